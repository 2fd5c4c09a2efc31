# SPDX-License-Identifier: Apache-2.0
"""Numbered writes over NBD, and what must be left of them.

nbd_stamps.py write URI FIRST LOG
    Writes FIRST, FIRST + 1, ... (4 KiB filled with the number, a flush or a
    FUA write now and then) until it is killed, or the server is: then its
    status is 0. LOG has a line for each number with which all up to it were
    said to be durable.
nbd_stamps.py durable OLD IMAGE FIRST LAST
    IMAGE was OLD, and has all writes FIRST..LAST or later ones.
nbd_stamps.py prefix OLD IMAGE FIRST
    IMAGE was OLD and has all writes from FIRST to some number, and none after
    it. Prints the number.
"""
import os
import struct
import sys

BLOCK = 4096


def place(n, blocks):
    return (n * 2654435761 >> 7) % blocks


def write(uri, first, log):
    import nbd
    h = nbd.NBD()
    h.connect_uri(uri)
    blocks = h.get_size() // BLOCK
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    n = first
    try:
        while True:
            fua = n % 5 == 0
            h.pwrite(struct.pack("<Q", n) * (BLOCK // 8),
                     place(n, blocks) * BLOCK, nbd.CMD_FLAG_FUA if fua else 0)
            if n % 7 == 0:
                h.flush()
                os.write(out, b"%d\n" % n)
            n += 1
    except nbd.Error as e:
        print(e, file=sys.stderr)


def stamps(name):
    with open(name, "rb") as f:
        data = f.read()
    out = []
    for off in range(0, len(data), BLOCK):
        n = data[off:off + 8]
        if data[off:off + BLOCK] != n * (BLOCK // 8):
            raise SystemExit(f"{name}: torn at {off}")
        out.append(struct.unpack("<Q", n)[0])
    return out


def replay(old, first, last):
    want = stamps(old)
    for n in range(first, last + 1):
        want[place(n, len(want))] = n
    return want


def durable(old, image, first, last):
    for b, (least, is_) in enumerate(zip(replay(old, first, last),
                                         stamps(image))):
        if is_ < least:
            raise SystemExit(f"block {b} has write {is_}; {least} was durable")


def prefix(old, image, first):
    have = stamps(image)
    last = max(have)
    if have != replay(old, first, last):
        raise SystemExit(f"it is not as it was after write {last}")
    print(last)


if sys.argv[1] == "write":
    write(sys.argv[2], int(sys.argv[3]), sys.argv[4])
elif sys.argv[1] == "durable":
    durable(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
elif sys.argv[1] == "prefix":
    prefix(sys.argv[2], sys.argv[3], int(sys.argv[4]))
else:
    raise SystemExit(__doc__)
