#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cppcheck finds nothing; what it misreads is in cppcheck.suppressions.
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"
need cppcheck

# shellcheck disable=SC2046 # a list of files
cppcheck --quiet --std=c11 --enable=warning,portability,performance \
	--inline-suppr --error-exitcode=1 -j "$(nproc)" \
	--suppressions-list=tests/lint/cppcheck.suppressions \
	-D_GNU_SOURCE -DAIM_PKGLIBDIR='"/usr/lib/aim"' -I. \
	--library=posix $(sources '*.c' | grep -v '^tests/') ||
	complain "see above"
verdict
