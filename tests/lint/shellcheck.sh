#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every shell script passes shellcheck.
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"
need shellcheck

while read -r file; do
	case $file in
	*.sh) ;;
	*)
		head -c 64 "$file" | head -n 1 |
			grep -aqE '^#!.*(/| )(ba)?sh' || continue
		;;
	esac
	shellcheck -x "$file" || complain "$file"
done < <(sources '*')
verdict
