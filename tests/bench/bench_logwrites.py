# SPDX-License-Identifier: Apache-2.0
"""logwrites: importing a write log against a plain loop that replays it.

A log of random or sequential writes of one size, all of it in the page cache,
and two equal images: one the protected volume, on which the writes are already
(as dm-log-writes or QEMU would have left it), one nobody's. The plain loop
(bench_replay) reads each entry and writes it to the other image. Ours is all
of `aim-logwrites import`, from its start to its end: it reads the log, compares
the disk with what the log leaves on it, and puts every write into the group's
stream. Nothing is synced by the loop; ours makes durable only where it is, at
begin and end. Sealing, shipping and applying are not timed: they happen between
the turns, and at the end the mirror must be equal to the volume.
"""

import os
import random
import struct
import time

from figures import Case
from lab import MIB, Replica, Trouble, fill

SECTOR = 512


def plans():
    """(name, bytes of a write, random?)"""
    yield "4 KiB random", 4096, True
    yield "64 KiB random", 65536, True
    yield "1 MiB sequential", MIB, False


class Log:
    """Adds writes to a log that was prepared, and to the disk."""

    def __init__(self, path, disk, size):
        self.path, self.disk, self.size = path, disk, size
        self.noise = os.urandom(2 * MIB)

    def fill(self, total, length, scattered):
        with open(self.path, "r+b") as log, open(self.disk, "r+b") as disk:
            count, sector = struct.unpack("<QI", log.read(28)[16:])
            if count != 1 or sector != SECTOR:
                raise Trouble(f"{self.path} was not prepared")
            log.seek(2 * SECTOR)
            for i in range(total // length):
                at = (random.randrange(self.size // length) if scattered
                      else i % (self.size // length)) * length
                begin = random.randrange(MIB)
                data = self.noise[begin:begin + length]
                log.write(struct.pack("<QQQQ", at // SECTOR,
                                      length // SECTOR, 0, 0).ljust(SECTOR,
                                                                    b"\0"))
                log.write(data)
                disk.seek(at)
                disk.write(data)
            log.seek(16)
            log.write(struct.pack("<Q", 1 + total // length))


class ImportTurns:
    def __init__(self, lab, size):
        self.lab, self.size = lab, size
        self.replica = Replica(lab, size)
        self.replica.source.manager("base", "vol")
        self.catch_up()
        self.plain = lab.path("plain.img")
        fill(self.plain, size)

    def catch_up(self):
        """Seals, ships, applies, acknowledges."""
        coordinator = self.lab.program("aim-coordinator")
        for site in (self.replica.source, self.replica.target,
                     self.replica.source):
            self.lab.run(coordinator, "--home", site.home, "--once")

    def logwrites(self, command, *words):
        return self.lab.run(
            self.lab.program("aim-logwrites"), command, "--home",
            self.replica.source.home, "--volume", self.replica.volume, *words)

    def log(self, length, scattered):
        """A new log in the page cache; its path."""
        path = self.lab.path("log")
        if os.path.exists(path):
            os.unlink(path)
        self.logwrites("prepare", path)
        Log(path, self.replica.volume, self.size).fill(
            self.size, length, scattered)
        return path

    def ours(self, path, words):
        begin = time.monotonic()
        self.logwrites("import", *words, path)
        return self.size / 1e6 / (time.monotonic() - begin)

    def theirs(self, path):
        begin = time.monotonic()
        self.lab.run(self.lab.program("bench_replay"), path, self.plain)
        return self.size / 1e6 / (time.monotonic() - begin)

    def pair(self, length, scattered, words, ours_first):
        path = self.log(length, scattered)
        if ours_first:
            ours = self.ours(path, words)
            theirs = self.theirs(path)
        else:
            theirs = self.theirs(path)
            ours = self.ours(path, words)
        self.catch_up()
        return theirs, ours


def run(options, make_lab):
    size = 8 * MIB if options.quick else 256 * MIB
    with make_lab() as lab:
        turns = ImportTurns(lab, size)
        for name, length, scattered in plans():
            if options.only not in name:
                continue
            for words, more in (([], ""), (["--no-compare"],
                                           ", --no-compare")):
                c = Case("logwrites", name + more, "MB/s", "more",
                         "plain loop", ("ratio", 0.80))
                for i in range(options.pairs):
                    c.add(*turns.pair(length, scattered, words, i % 2 == 1))
                yield c
        turns.replica.compare()
