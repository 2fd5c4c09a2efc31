#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A file includes its own folder and those below; the preload driver links
# only libc.
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"

floor() {
	case $1 in
	common) echo 0 ;;
	fileformat) echo 1 ;;
	aimdriver) echo 2 ;;
	aimdriver/*) echo 3 ;;
	coordinator) echo 4 ;;
	manager | manager/*) echo 5 ;;
	tests | tests/*) echo 9 ;;
	*) echo none ;;
	esac
}

while read -r file; do
	folder=$(dirname "$file")
	mine=$(floor "$folder")
	[ "$mine" != none ] || complain "$file: the folder has no floor"
	while read -r line included; do
		if [ "$included" = config.h ]; then
			continue
		fi
		other=$(dirname "$included")
		[ -f "$included" ] ||
			complain "$file:$line: no file $included from the top"
		theirs=$(floor "$other")
		if [ "$theirs" = none ]; then
			complain "$file:$line: $included is on no floor"
		elif [ "$other" != "$folder" ] &&
			[ "$theirs" -ge "$mine" ] && [ "$mine" -ne 9 ]; then
			complain "$file:$line: $folder may not use $included"
		fi
		case $folder:$included in
		fileformat:common/log.h | fileformat:common/sys.h)
			complain "$file:$line: fileformat knows no files" \
				"and no log"
			;;
		aimdriver*:*sqlite* | aimdriver*:*curl*)
			complain "$file:$line: not below the coordinator"
			;;
		esac
	done < <(sed -n 's/^[ \t]*#[ \t]*include[ \t]*"\([^"]*\)".*/\1/p;t
		s/.*//' "$file" | grep -n . | sed 's/:/ /')
	case $folder in
	common | fileformat | aimdriver*)
		grep -nE '#[ \t]*include[ \t]*<(sqlite3|curl/)' "$file" &&
			complain "$file: SQLite and curl are the coordinator's"
		;;
	esac
done < <(sources '*.c' '*.h')

need readelf
preload=$(find "$BUILD" -name 'libaim-preload.so' -type f | head -n 1)
[ -n "$preload" ] || complain "the preload driver is not built"
if [ -n "$preload" ]; then
	readelf -d "$preload" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
		grep -vE '^(libc\.so\.6|ld-linux.*)$' |
		{ ! grep .; } || complain "$preload links more than libc"
fi
verdict
