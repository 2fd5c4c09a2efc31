#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# C sources are laid out as .clang-format says.
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"
need clang-format

# Other versions lay out some constructs differently.
case $(clang-format --version) in
*version\ 14.*) ;;
*) skip "needs clang-format 14" ;;
esac
while read -r file; do
	clang-format --dry-run -Werror "$file" 2>/dev/null ||
		complain "$file: run clang-format -i $file"
done < <(sources '*.c' '*.h')
verdict
