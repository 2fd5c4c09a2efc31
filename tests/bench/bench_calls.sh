#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What one write of 64 bytes costs, by how it is made; docs/benchmarks.md.

# shellcheck source=tests/driver.sh
. "$(dirname "$0")/../driver.sh"
CALLS=$BUILD/tests/bench/bench_calls

cd "$T" || fail "$T"
truncate -s 1M volume other
group "$T/volume"
echo "plain"
"$CALLS" /dev/null other
echo "captured: symbols and patches"
# A write past libc is seen by nobody here, so not to the volume.
captured "$CALLS" /dev/null other
echo "captured: with the tripwire"
captured env AIM_TRIPWIRE=1 "$CALLS" /dev/null other volume
