#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What --help tells and what the manual page tells are the same options.
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"
need mandoc

options() { grep -oE -e '--[a-z][a-z-]*' | sort -u; }

# compare PROGRAM PAGE HELP-TEXT
compare() {
	local told written
	told=$(printf '%s\n' "$3" | options)
	written=$(mandoc -T utf8 "$2" | sed 's/.\x08//g' | options)
	[ -n "$told" ] || complain "$1 --help tells no option"
	diff <(echo "$told") <(echo "$written") >/dev/null ||
		complain "$1: only in --help or (>) in $2:" \
			"$(diff <(echo "$told") <(echo "$written") |
				grep '^[<>]' | tr '\n' ' ')"
}

manager=$BUILD/manager/aim-manager
if ! [ -x "$manager" ]; then
	complain "$manager is not built"
	verdict
fi
# Every command of the table, "NOUN VERB" or "VERB", and its own options.
text=$("$manager" --help)
while read -r noun verb; do
	# shellcheck disable=SC2086 # one word or none
	more=$("$manager" "$noun" $verb --help) ||
		complain "aim-manager $noun $verb --help fails"
	text+=$'\n'$more
done < <(echo "$text" | sed -nE '/^commands:/,/^$/s/^  ([a-z]+( [a-z]+)?).*/\1/p')
compare aim-manager manager/aim-manager.8 "$text"
compare aim-coordinator coordinator/aim-coordinator.8 \
	"$("$BUILD/coordinator/aim-coordinator" --help)"
compare aimdump manager/aimdump/aimdump.1 \
	"$("$BUILD/manager/aimdump/aimdump" --help)"
compare aim-logwrites aimdriver/logwrites/aim-logwrites.1 \
	"$("$BUILD/aimdriver/logwrites/aim-logwrites" --help)"
verdict
