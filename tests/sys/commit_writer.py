#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes that are told to a witness when their flush has returned.

commit_writer.py fsync|dsync DISK WITNESS [COUNT]: numbered records of 512 bytes
  to a file or block device, each flushed; then its number and what that took
  (microseconds) as a line of WITNESS, which is no part of the site
commit_writer.py flush|fua URI WITNESS [COUNT]: the same by NBD
commit_writer.py check DISK WITNESS: all records that were told are on DISK
commit_writer.py median WITNESS: of what they took, in milliseconds
"""
import os
import signal
import struct
import sys
import time

SIZE = 512


def record(i):
    return struct.pack("<QQ", i, i ^ 0x5bd1e9955bd1e995) * (SIZE // 16)


def by_file(path, how):
    fd = os.open(path, os.O_RDWR | (os.O_DSYNC if how == "dsync" else 0))
    size = os.lseek(fd, 0, os.SEEK_END)

    def put(i):
        os.pwrite(fd, record(i), i * SIZE % size)
        if how == "fsync":
            os.fsync(fd)
    return put


def by_nbd(uri, how):
    import nbd
    h = nbd.NBD()
    h.connect_uri(uri)
    size = h.get_size()

    def put(i):
        h.pwrite(record(i), i * SIZE % size, nbd.CMD_FLAG_FUA if how == "fua" else 0)
        if how == "flush":
            h.flush()
    return put


def write(how, where, witness, count):
    put = (by_nbd if how in ("flush", "fua") else by_file)(where, how)
    out = os.open(witness, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    # The handler in C writes a byte there, also while a flush waits.
    signal.set_wakeup_fd(os.open(witness + ".signals", os.O_WRONLY | os.O_CREAT
                                 | os.O_APPEND | os.O_NONBLOCK, 0o644))
    signal.signal(signal.SIGUSR1, lambda *_: None)
    first = last_of(witness) + 1
    for i in range(first, first + count):
        begin = time.monotonic_ns()
        put(i)
        took = (time.monotonic_ns() - begin) // 1000
        os.write(out, b"%d %d\n" % (i, took))


def told(witness):
    with open(witness) as f:
        # The last line may be torn.
        return [tuple(map(int, line.split())) for line in f
                if line.endswith("\n")]


def last_of(witness):
    return max((i for i, _ in told(witness)), default=0)


def check(path, witness):
    rows = told(witness)
    with open(path, "rb") as f:
        image = f.read()
    if not rows:
        sys.exit("nothing was told: this proves nothing")
    for i, _ in rows:
        off = i * SIZE % len(image)
        if image[off:off + SIZE] != record(i):
            sys.exit(f"record {i} of {len(rows)}, which was told, is not there")
    print(f"   {len(rows)} records")


def main():
    how, where = sys.argv[1:3]
    if how == "check":
        check(where, sys.argv[3])
    elif how == "median":
        took = sorted(t for _, t in told(where))
        print(f"{took[len(took) // 2] / 1000:.2f}")
    else:
        write(how, where, sys.argv[3], int(sys.argv[4]) if len(sys.argv) > 4 else 1 << 20)


main()
