#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every benchmark works (in small; nothing is said about its figures).
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need python3 sshd scp rsync

must python3 "$TOP/tests/bench/bench.py" --quick --build "$BUILD" --dir "$T"
pass
