#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Random requests to an NBD server, checked against a copy in memory.

nbd_writer.py URI COUNT SEED [ALIGN]: writes, zeroes, trims and flushes of any length
and place (of multiples of ALIGN), some with FUA; reads back what was written.
"""
import random
import sys

import nbd

MOST = 3 << 20


def run(h, rng, count, align):
    size = h.get_size()
    image = bytearray(h.pread(size // 2, 0) + h.pread(size - size // 2, size // 2))
    for i in range(count):
        length = min(int(MOST ** rng.random()) // align * align + align, size)
        off = rng.randrange((size - length) // align + 1) * align
        fua = nbd.CMD_FLAG_FUA if rng.random() < 0.1 else 0
        kind = rng.random()
        if kind < 0.7:
            data = rng.randbytes(length)
            h.pwrite(data, off, fua)
        elif kind < 0.8:
            data = bytes(length)
            h.zero(length, off, fua | nbd.CMD_FLAG_NO_HOLE)
        elif kind < 0.9:
            data = bytes(length)
            h.zero(length, off, fua)
        elif kind < 0.97:
            # The filter promises zeroes.
            data = bytes(length)
            h.trim(length, off, fua)
        else:
            h.flush()
            continue
        image[off:off + length] = data
        if h.pread(length, off) != data:
            sys.exit(f"request {i}: other bytes at {off}+{length}")
    for off in range(0, size, 1 << 20):
        n = min(1 << 20, size - off)
        if h.pread(n, off) != image[off:off + n]:
            sys.exit(f"the disk differs at {off}")


def main():
    h = nbd.NBD()
    h.set_strict_mode(0)
    h.connect_uri(sys.argv[1])
    run(h, random.Random(int(sys.argv[3])), int(sys.argv[2]),
        int(sys.argv[4]) if len(sys.argv) > 4 else 1)
    h.shutdown()


main()
