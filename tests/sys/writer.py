#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""writer: writes to disks as programs do.

writer.py [options] FILE...   random writes, reproducible by --seed, spread
over the files; sizes from one byte to --max; now and then a flush, and with
--resize a change of size. Prints the number of writes at the end.
"""
import argparse
import os
import random
import time

p = argparse.ArgumentParser()
p.add_argument("--seed", type=int, default=1)
p.add_argument("--count", type=int, default=1000)
p.add_argument("--seconds", type=float, default=0)
p.add_argument("--max", type=int, default=64 << 10)
p.add_argument("--align", type=int, default=1)
p.add_argument("--resize", action="store_true")
p.add_argument("--pause", type=float, default=0, help="between writes")
p.add_argument("file", nargs="+")
a = p.parse_args()

r = random.Random(a.seed)
fds = [os.open(f, os.O_RDWR) for f in a.file]
pool = r.randbytes(2 << 20)
begin, n = time.monotonic(), 0
while n < a.count or (a.seconds and time.monotonic() - begin < a.seconds):
    if a.seconds and time.monotonic() - begin >= a.seconds:
        break
    fd = r.choice(fds)
    size = os.fstat(fd).st_size
    length = max(a.align, int(a.max ** r.random()) // a.align * a.align)
    at = r.randrange(0, max(1, size - length)) // a.align * a.align
    start = r.randrange(0, len(pool) - length)
    data = pool[start:start + length]
    if os.pwrite(fd, data, at) != length:
        raise SystemExit("short write")
    n += 1
    if n % 97 == 0:
        os.fdatasync(fd)
    if a.resize and n % 41 == 0:
        os.ftruncate(fd, max(1, size + r.randrange(-5000, 6000)))
    if a.resize and n % 59 == 0:
        os.lseek(fd, 0, os.SEEK_END)
        os.write(fd, data[:999])
    if a.pause:
        time.sleep(a.pause)
for fd in fds:
    os.fsync(fd)
print(n)
