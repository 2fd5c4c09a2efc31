#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""stamps: writes of which it can be told afterwards what became of them.

stamps.py write FIRST LOG FILE... GROWING
    Writes numbered blocks, FIRST and on, until it cannot or is killed: each
    is one block of 4 KiB full of its number, which also says where it goes;
    every 16th is appended to GROWING. Now and then all files are synced, and
    then a line with the highest number goes to LOG.

stamps.py prefix BEFORE FILE... GROWING
    Are the files what BEFORE/ has under their names, and then all writes from
    the number in BEFORE/first up to another, and no more? Prints that other.

stamps.py synced BEFORE NUMBER FILE... GROWING
    Has every block at least what was written to it up to NUMBER? Prints the
    highest number found.
"""
import os
import struct
import sys
import time

BLOCK = 4096


def place(n, blocks, files):
    """The file and block of write n; file -1: appended."""
    if n % 16 == 0:
        return -1, 0
    return n % files, (n * 2654435761 >> 5) % blocks


def write(first, log, names):
    fds = [os.open(n, os.O_RDWR) for n in names[:-1]]
    grow = os.open(names[-1], os.O_WRONLY | os.O_APPEND)
    blocks = os.fstat(fds[0]).st_size // BLOCK
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    n = first
    while True:
        f, b = place(n, blocks, len(fds))
        data = struct.pack("<Q", n) * (BLOCK // 8)
        done = (os.write(grow, data) if f < 0
                else os.pwrite(fds[f], data, b * BLOCK))
        if done != BLOCK:
            raise SystemExit("short write")
        if n % 64 == 0:
            time.sleep(0.004)
        if n % 333 == 0:
            for fd in fds + [grow]:
                os.fdatasync(fd)
            os.write(out, b"%d\n" % n)
        n += 1


def stamps(name):
    """The number in each block; a torn block is an error."""
    with open(name, "rb") as f:
        data = f.read()
    if len(data) % BLOCK:
        raise SystemExit(f"{name}: {len(data)} bytes")
    out = []
    for off in range(0, len(data), BLOCK):
        block = data[off:off + BLOCK]
        n = block[:8]
        if block != n * (BLOCK // 8):
            raise SystemExit(f"{name}: torn at {off}")
        out.append(struct.unpack("<Q", n)[0])
    return out


def load(names):
    all_ = [stamps(n) for n in names]
    return all_[:-1], all_[-1]


def before(folder, names):
    return load([os.path.join(folder, os.path.basename(n).split(".")[0])
                 for n in names])


def top(files, grown):
    return max(max(map(max, files)), max(grown, default=0))


def replay(folder, files, grown, upto):
    """What the writes up to that one make of it."""
    with open(os.path.join(folder, "first")) as f:
        first = int(f.read())
    for n in range(first, upto + 1):
        f, b = place(n, len(files[0]), len(files))
        if f < 0:
            grown.append(n)
        else:
            files[f][b] = n


def prefix(folder, names):
    files, grown = load(names)
    want, want_grown = before(folder, names)
    n = top(files, grown)
    replay(folder, want, want_grown, n)
    if grown != want_grown:
        raise SystemExit(f"appended: {grown[-3:]} of {len(grown)}, "
                         f"not {want_grown[-3:]} of {len(want_grown)}")
    for f, (is_, should) in enumerate(zip(files, want)):
        for b, (x, y) in enumerate(zip(is_, should)):
            if x != y:
                raise SystemExit(f"file {f} block {b} has write {x}, not {y}, "
                                 f"of {n}")
    print(n)


def synced(folder, number, names):
    files, grown = load(names)
    want, want_grown = before(folder, names)
    replay(folder, want, want_grown, number)
    if grown[:len(want_grown)] != want_grown:
        raise SystemExit("what was appended and synced is gone")
    for f, (is_, least) in enumerate(zip(files, want)):
        for b, (x, y) in enumerate(zip(is_, least)):
            if x < y:
                raise SystemExit(f"file {f} block {b} has write {x}; "
                                 f"{y} was synced")
    print(top(files, grown))


if sys.argv[1] == "write":
    write(int(sys.argv[2]), sys.argv[3], sys.argv[4:])
elif sys.argv[1] == "prefix":
    prefix(sys.argv[2], sys.argv[3:])
elif sys.argv[1] == "synced":
    synced(sys.argv[2], int(sys.argv[3]), sys.argv[4:])
else:
    raise SystemExit(__doc__)
