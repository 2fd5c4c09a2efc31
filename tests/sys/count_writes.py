#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Counts what strace -ff -y saw written to one file: writes and bytes.

count_writes.py PATH LOG...
"""
import re
import sys

WRITE = re.compile(
    r"(write|pwrite64|writev|pwritev|pwritev2)\(\d+<(.*?)>, .* = (\d+)$"
)
# x86-64's. A call that the tripwire has trapped is shown with its number for
# a result, when it is shown; it has not been made.
NUMBERS = {"write": 1, "pwrite64": 18, "writev": 20, "pwritev": 296,
           "pwritev2": 328}


def is_trapped(name, result, after):
    """Is the line after it that of the trap?"""
    return (after.startswith("--- SIGSYS") and f"__NR_{name}," in after
            and result == NUMBERS[name])



def main(path, logs):
    """Prints them."""
    count = total = 0
    for log in logs:
        with open(log, encoding="utf-8", errors="replace") as f:
            lines = f.read().splitlines()
        for line, after in zip(lines, lines[1:] + [""]):
            m = WRITE.match(line)
            if not m or m.group(2) != path:
                continue
            result = int(m.group(3))
            if not is_trapped(m.group(1), result, after):
                count += result > 0
                total += result
    print(count, total)


main(sys.argv[1], sys.argv[2:])
