# SPDX-License-Identifier: Apache-2.0
"""capture: the same writer with and without capture, turn by turn.

Two equal images, both written once before: one is a protected volume, written
to under `aim-manager run`, the other is nobody's. What is measured is what the
writing program feels while the source's sealer works on the same processors.
Shipping and the mirror's site would be on other machines, or later; here they
are stopped while the clock runs (--with says otherwise), and catch up before
the next turn. At the end volume and mirror must be equal.
"""

import contextlib
import json
import os
import signal
import statistics
import time

from figures import Case
from lab import (GIB, MIB, Replica, Skipped, Trouble, fill, free_bytes,
                 session, stat_fields)

NS_LIMIT = 1000
PAST = "1 MiB sequential, past the dirty limit"


LOW_LIMIT = 256 * MIB
SYNCED = "4 KiB random, fdatasync each"
TWIN = "4 KiB random, fdatasync each, against a twin"
AFTER_BASE = "4 KiB random, after a base"
UNPROTECTED = "4 KiB random, 200 MB/s, unprotected file"


def put_vm(name, text):
    with open(f"/proc/sys/vm/{name}", "w") as f:
        f.write(text)


def get_vm(name):
    with open(f"/proc/sys/vm/{name}") as f:
        return f.read().strip()


@contextlib.contextmanager
def low_dirty_limit():
    """While in here the kernel makes writers wait early, if we may say so: it
    would take gigabytes to get there otherwise. Each limit is set in bytes or
    as a ratio; setting one form clears the other."""
    names = [("dirty_bytes", "dirty_ratio"),
             ("dirty_background_bytes", "dirty_background_ratio")]
    if not os.access("/proc/sys/vm/dirty_bytes", os.W_OK):
        yield
        return
    were = [[(name, get_vm(name)) for name in pair] for pair in names]
    try:
        put_vm("dirty_background_bytes", str(LOW_LIMIT // 2))
        put_vm("dirty_bytes", str(LOW_LIMIT))
        yield
    finally:
        for pair in were[::-1]:
            put_vm(*next((p for p in pair if p[1] != "0"), pair[1]))


def dirty_limit():
    """Bytes at which the kernel makes writers wait, as of now."""
    with open("/proc/vmstat") as f:
        for line in f:
            name, value = line.split()
            if name == "nr_dirty_threshold":
                return int(value) * os.sysconf("SC_PAGE_SIZE")
    raise Skipped("/proc/vmstat does not tell the dirty limit")


def synced(k):
    """All extents were written to before the clock starts."""
    return ["--sync", "--warm", str(16 * MIB // k), "--total",
            str(64 * MIB // k)]


def plans(quick):
    """(name, arguments of the writer, better, target)."""
    k = 64 if quick else 1
    warm = ["--warm", str(256 * MIB // k)]
    paced = ["--rate", "200000000", "--total", str(GIB // k)]
    page = [*warm, "--total", str(2 * GIB // k)]
    yield ("4 KiB random, 200 MB/s, 1 thread", paced, "less",
           ("added", NS_LIMIT))
    yield ("4 KiB random, 200 MB/s, 2 threads", [*paced, "--threads", "2"],
           "less", ("added", NS_LIMIT))
    yield UNPROTECTED, paced, "less", ("ratio", 0.98)
    yield "4 KiB random, 1 thread", page, "less", ("added", NS_LIMIT)
    yield ("4 KiB random, 2 threads", [*page, "--threads", "2"], "less",
           ("added", NS_LIMIT))
    yield SYNCED, synced(k), "less", ("ratio", 0.95)
    yield TWIN, synced(k), "less", ("ratio", 0.95)
    yield ("4 KiB random, O_DIRECT",
           ["--direct", "--total", str(128 * MIB // k)], "less", None)
    yield ("1 MiB sequential",
           [*warm, "--block", str(MIB), "--sequential", "--total",
            str(2 * GIB // k)], "more", None)


class Turns:
    def __init__(self, lab, replica, companions):
        self.lab, self.replica = lab, replica
        self.companions = companions
        self.plain = lab.path("plain.img")

    def writer(self, *words):
        return self.lab.program("bench_writer"), *words

    def settle(self):
        """Nothing is dirty, nothing is on its way."""
        self.replica.wait()
        self.lab.run("sync", "-f", self.lab.dir)

    def halt(self, number):
        """Stops (or continues) what is not to run beside the writer."""
        if self.companions != "mirror":
            self.replica.target.signal(number)
        if self.companions != "seal":
            return
        leader = self.replica.source.process.pid
        for pid in session(leader):
            stat = stat_fields(pid)
            if stat and stat[0].startswith("aim-ship"):
                os.kill(pid, number)

    def beside(self, measure):
        """Calls measure() while the companions are halted."""
        self.settle()
        self.halt(signal.SIGSTOP)
        try:
            out = measure()
        finally:
            self.halt(signal.SIGCONT)
        self.replica.source.check()
        return out

    def uncaptured(self, words):
        self.settle()
        out = self.lab.run(*self.writer(*words, self.plain))
        return json.loads(out)

    def beside_twin(self, words):
        """Uncaptured, while a program that knows nothing of AIM makes as many
        bytes durable a second time on this disk, in files of 4 MiB."""
        alone = self.uncaptured(words)
        rate = alone["bytes"] * 10**9 // alone["elapsed_ns"]
        folder = self.lab.path("twin")
        os.makedirs(folder, exist_ok=True)
        twin = self.lab.start(self.lab.program("bench_twin"), folder,
                              str(rate), log="twin.log")
        try:
            deadline = time.monotonic() + 20
            while "ready" not in self.lab.tail(twin):
                if twin.poll() is not None or time.monotonic() > deadline:
                    raise Trouble(f"bench_twin: {self.lab.tail(twin)}")
                time.sleep(0.01)
            out = self.lab.run(*self.writer(*words, self.lab.path("plain.img")))
            if twin.poll() is not None:
                raise Trouble(f"bench_twin: {self.lab.tail(twin)}")
        finally:
            self.lab.stop(twin)
        return json.loads(out)

    def captured(self, words, path=None):
        return json.loads(self.beside(
            lambda: self.lab.run(*self.replica.captured(
                *self.writer(*words, path or self.replica.volume)))))

    def unprotected(self, words):
        """A captured program writes to what is nobody's volume."""
        return self.captured(words, self.plain)

    def figure(self, result, better):
        """ns for each write, or MB/s."""
        if better == "less":
            return result["ns_per_write"]
        return result["bytes"] / result["elapsed_ns"] * 1000

    def case(self, name, words, better, target, pairs):
        baseline = self.beside_twin if name == TWIN else self.uncaptured
        measured = self.unprotected if name == UNPROTECTED else self.captured
        c = Case("capture", name, "ns" if better == "less" else "MB/s",
                 better, "twin" if name == TWIN else "uncaptured", target)
        cpu = []
        for i in range(pairs):
            sides = [baseline, measured]
            first = i % 2
            pair = [sides[first](words), sides[1 - first](words)]
            theirs, ours = pair[::-1] if first else pair
            c.add(self.figure(theirs, better), self.figure(ours, better))
            cpu.append([r["cpu_ns_per_write"] for r in (theirs, ours)])
        theirs, ours = (statistics.median(side) for side in zip(*cpu))
        c.notes.append(f"processor time of the writer for each write: "
                       f"{theirs:.0f} and {ours:.0f} ns")
        c.notes.append({
            "seal": "the sealer ran beside it, shipping and mirror stopped",
            "ship": "sealer and shipper ran beside it, the mirror stopped",
            "mirror": "sealer, shipper and mirror ran beside it, on this disk",
        }[self.companions])
        return c


def sustained(quick):
    """(size of the image, arguments): the clock starts beyond the limit."""
    limit = 8 * MIB if quick else dirty_limit()
    size = (limit + limit // 4) // MIB * MIB
    total = limit if quick else max(limit, GIB)
    return size, ["--block", str(MIB), "--sequential", "--warm", str(limit),
                  "--total", str(total)]


def run(options, make_lab):
    size = 16 * MIB if options.quick else GIB
    with make_lab() as lab:
        fill(lab.path("plain.img"), size)
        turns = Turns(lab, Replica(lab, size).start(), options.companions)
        for name, words, better, target in plans(options.quick):
            if options.only not in name:
                continue
            yield turns.case(name, words, better, target, options.pairs)
        turns.settle()
        turns.replica.compare()
    if options.only in AFTER_BASE:
        yield after_a_base(options, make_lab)
    if options.only in PAST:
        with contextlib.ExitStack() as stack:
            if not options.quick:
                stack.enter_context(low_dirty_limit())
            case = past_the_limit(options, make_lab)
        yield case


def forget(path):
    """The page cache lets go of the file."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)


def after_a_base(options, make_lab):
    """How the volume's page cache is made that taking a base leaves behind."""
    size = (16 if options.quick else 256) * MIB
    words = ["--total", str(size // 4)]
    c = Case("capture", AFTER_BASE, "ns", "less", "uncaptured")
    for i in range(options.pairs):
        with make_lab() as lab:
            for name in ("plain.img", "volume.img"):
                fill(lab.path(name), size)
                forget(lab.path(name))
            turns = Turns(lab, Replica(lab, size).start(), options.companions)
            sides = [turns.uncaptured, turns.captured]
            pair = [sides[i % 2](words), sides[1 - i % 2](words)]
            theirs, ours = pair[::-1] if i % 2 else pair
            c.add(turns.figure(theirs, "less"), turns.figure(ours, "less"))
            turns.settle()
            turns.replica.compare()
    c.notes.append("neither was in the page cache before the base")
    return c


def past_the_limit(options, make_lab):
    size, words = sustained(options.quick)
    with make_lab() as lab:
        if free_bytes(lab.dir) < 9 * size:
            raise Skipped(f"sustained: needs {9 * size >> 30} GiB of room")
        fill(lab.path("plain.img"), size)
        turns = Turns(lab, Replica(lab, size).start(), options.companions)
        c = turns.case(PAST, words, "more",
                       ("ratio", 0.45), options.pairs)
        c.notes.append(f"image of {size // MIB} MiB, the clock starts after "
                       f"{int(words[4]) // MIB} MiB")
        turns.settle()
        turns.replica.compare()
    return c
