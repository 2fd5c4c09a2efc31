#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every command and option that the help names is in the manual page.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need mandoc

# checked PAGE: standard input is help; each --option must be on the page.
checked() {
	local option page
	page=$(mandoc -T ascii "$1" | col -b) || fail "$1 cannot be read"
	while read -r option; do
		grep -q -e "$option\b" <<<"$page" ||
			fail "$(basename "$1") does not tell of $option"
	done < <(grep -oE -e '--[a-z][a-z-]+' | sort -u)
}

general=$(aim-manager --help) || fail "status $? from --help"
mapfile -t commands < <(sed -n '/^commands:/,/^$/p' <<<"$general" |
	sed -n '/^  /p' | cut -c3-38 | sed 's/ *\(--\|\[\|[A-Z]\).*//; s/ *$//')
[ "${#commands[@]}" -gt 15 ] || fail "only ${#commands[@]} commands in --help"
page=$(mandoc -T ascii "$TOP/manager/aim-manager.8" | col -b)
for command in "${commands[@]}"; do
	read -ra words <<<"$command"
	help=$(aim-manager "${words[@]}" --help) || fail "$command --help: $?"
	[ "$(awk 'length > 80' <<<"$help")" = '' ] ||
		fail "$command --help is wider than 80 columns"
	checked "$TOP/manager/aim-manager.8" <<<"$help"
	grep -q "$command" <<<"$page" || fail "the page lacks '$command'"
done
aim-coordinator --help | checked "$TOP/coordinator/aim-coordinator.8"
pass
