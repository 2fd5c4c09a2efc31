#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# No unfinished business, no white space at line ends, a licence everywhere.
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"

while read -r file; do
	grep -Iq . "$file" || continue # empty or binary
	case $file in
	tests/data/* | tests/fuzz/corpus/* | LICENSE) continue ;;
	esac
	grep -nE '\b(TODO|FIXME|XXX|HACK)\b' "$file" &&
		[ "$file" != tests/lint/words.sh ] &&
		complain "$file: unfinished"
	grep -nE '[ 	]+$' "$file" && complain "$file: white space at the end"
	case $file in
	*.c | *.h | *.sh | *.py)
		head -n 5 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0' ||
			complain "$file: no SPDX line"
		;;
	esac
done < <(sources '*')
verdict
