#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every header compiles alone and has its guard.
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"
need gcc pkg-config

flags=$(compile_flags)
while read -r header; do
	# shellcheck disable=SC2086 # a list of flags
	gcc $flags -Wall -Wextra -Werror -x c -fsyntax-only \
		-include "$header" /dev/null ||
		complain "$header does not compile alone"
	guard=$(echo "$header" | tr 'a-z/.-' 'A-Z___')
	case $header in
	tests/*) ;;
	*)
		grep -q "^#ifndef ${guard##AIMDRIVER_PRELOAD_}" "$header" ||
			grep -q "^#ifndef $guard" "$header" ||
			complain "$header: no guard $guard"
		;;
	esac
done < <(sources '*.h')
verdict
