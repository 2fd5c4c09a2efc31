#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Manual pages are clean; every program has one and it is installed.
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"
need mandoc

while read -r page; do
	mandoc -T lint -W warning "$page" || complain "$page"
	grep -q "${page#./}" ./*/local.mk ||
		complain "$page is in no local.mk"
done < <(sources '*.[1-8]')
for program in aim-manager aim-coordinator aimdump aim-logwrites; do
	sources "*/$program.[18]" | grep -q . ||
		complain "$program has no manual page"
done
sources '*.5' | grep -q . || complain "the file format has no manual page"
verdict
