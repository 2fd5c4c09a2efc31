# SPDX-License-Identifier: Apache-2.0
"""Numbered writes over NBD by several clients, and what must be left of them.

nbd_stamps.py write URI FIRST LOG
    Each client writes FIRST, FIRST + 1, ... to its own blocks (4 KiB filled
    with the number, a flush or a FUA write now and then) until the server
    ends. LOG has a line "CLIENT NUMBER" when all of that client's writes up to
    that number were said to be durable.
nbd_stamps.py durable OLD IMAGE FIRST LOG
    IMAGE was OLD, and has all writes that LOG says were durable, or later
    ones. Prints how many.
nbd_stamps.py prefix OLD IMAGE FIRST
    IMAGE was OLD, and has of each client all writes from FIRST to some number,
    and none after it.
"""
import os
import struct
import sys

BLOCK = 4096
CLIENTS = 4


def place(client, n, blocks):
    return (n * 2654435761 >> 7) % (blocks // CLIENTS) * CLIENTS + client


def write_one(uri, client, first, out):
    import nbd
    h = nbd.NBD()
    n = first
    try:
        h.connect_uri(uri)
        blocks = h.get_size() // BLOCK
        while True:
            fua = n % 5 == 0
            h.pwrite(struct.pack("<Q", n) * (BLOCK // 8),
                     place(client, n, blocks) * BLOCK,
                     nbd.CMD_FLAG_FUA if fua else 0)
            if n % 7 == 0:
                h.flush()
                os.write(out, b"%d %d\n" % (client, n))
            n += 1
    except nbd.Error as e:
        print(client, e, file=sys.stderr)


def write(uri, first, log):
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for client in range(CLIENTS):
        if os.fork() == 0:
            write_one(uri, client, first, out)
            os._exit(0)
    for client in range(CLIENTS):
        if os.wait()[1] != 0:
            raise SystemExit("a client failed")


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
    for client in range(CLIENTS):
        for n in range(first, last[client] + 1):
            want[place(client, n, len(want))] = n
    return want


def durable(old, image, first, log):
    last = [first - 1] * CLIENTS
    for line in open(log):
        client, n = map(int, line.split())
        last[client] = n
    for b, (least, is_) in enumerate(zip(replay(old, first, last),
                                         stamps(image))):
        if is_ < least:
            raise SystemExit(f"block {b} has write {is_}; {least} was durable")
    print(sum(last) - CLIENTS * (first - 1), "writes were durable")


def prefix(old, image, first):
    have = stamps(image)
    last = [max(have[client::CLIENTS]) for client in range(CLIENTS)]
    if have != replay(old, first, last):
        raise SystemExit(f"it is not as it was after writes {last}")


if sys.argv[1] == "write":
    write(sys.argv[2], int(sys.argv[3]), sys.argv[4])
elif sys.argv[1] == "durable":
    durable(sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5])
elif sys.argv[1] == "prefix":
    prefix(sys.argv[2], sys.argv[3], int(sys.argv[4]))
else:
    raise SystemExit(__doc__)
