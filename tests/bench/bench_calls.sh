#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What one write costs, by how it is made; docs/capture.md.

# shellcheck source=tests/driver.sh
. "$(dirname "$0")/../driver.sh"
CALLS=$BUILD/tests/bench/bench_calls

cd "$T" || fail "$T"
truncate -s 1M volume other
group "$T/volume"
for len in 64 4096; do
	echo "plain, $len bytes"
	"$CALLS" $len /dev/null other
	echo "captured: symbols and patches"
	# A write past libc is seen by nobody here, so not to the volume.
	captured "$CALLS" $len /dev/null other
	echo "captured: with the tripwire"
	captured env AIM_TRIPWIRE=1 "$CALLS" $len /dev/null other volume
done
