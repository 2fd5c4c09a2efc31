#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A witness: one row for each commit, noted outside the disk.

pg_witness.py NOTES FIRST POSITIONS-COMMAND... -- PSQL-COMMAND...
inserts rows FIRST, FIRST + 1, ... and, after each acknowledgement, adds the
line "row position" to NOTES: a mirror at that position or later must have the
row. Ends when the database does; fails when there was no row at all.
"""
import subprocess
import sys


def talk(command):
    return subprocess.Popen(command, stdin=subprocess.PIPE, text=True,
                            stdout=subprocess.PIPE, bufsize=1)


def ask(process, text):
    try:
        process.stdin.write(text + "\n")
        process.stdin.flush()
        return process.stdout.readline().strip()
    except BrokenPipeError:
        return ""


def main():
    split = sys.argv.index("--")
    positions = talk(sys.argv[3:split])
    psql = talk(sys.argv[split + 1:])
    row = int(sys.argv[2])
    noted = 0
    with open(sys.argv[1], "a", buffering=1) as notes:
        while True:
            answer = ask(psql, f"insert into witness values ({row}) returning row;")
            if answer != str(row):
                break
            notes.write(f"{row} {int(ask(positions, ''))}\n")
            row += 1
            noted += 1
    sys.exit(0 if noted > 0 else 1)


main()
