# SPDX-License-Identifier: Apache-2.0
"""memory: thousands of journal files queued for a destination that is dead.

The coordinator's anonymous memory must not grow with the queue, nor its work
for each file. Files are made by capturing one write after the other and asking
for each to be sealed. Afterwards the destination comes to life and everything
must arrive.
"""

import os
import time

from figures import Case, Value
from lab import MIB, Replica, Sshd, anonymous_bytes, cpu_seconds

MEMORY_LIMIT = 64


class Queue:
    def __init__(self, lab, replica):
        self.lab, self.replica = lab, replica
        self.leader = replica.source.process.pid
        self.group = replica.source.group("vol")["uuid"]

    def grow(self, files):
        """CPU seconds that the coordinator took for each of `files` more."""
        cpu = cpu_seconds(self.leader)
        self.lab.run(self.lab.program("bench_queue"),
                     self.replica.source.home, self.group, str(files))
        self.replica.source.check()
        return (cpu_seconds(self.leader) - cpu) / files

    def idle(self, seconds):
        """CPU use of the coordinator with nothing to do, 1 = a processor."""
        cpu = cpu_seconds(self.leader)
        time.sleep(seconds)
        return (cpu_seconds(self.leader) - cpu) / seconds


def start_source_only(replica):
    """Capturing begins with the base, though nobody takes it."""
    replica.source.start()
    replica.source.manager("base", "vol")
    end = time.monotonic() + 60
    while replica.source.group("vol")["captured"] == 0:
        replica.source.check()
        if time.monotonic() > end:
            break
        time.sleep(0.1)


def run(options, make_lab):
    few, many = (20, 100) if options.quick else (1000, 10000)
    with make_lab() as lab:
        sshd = Sshd(lab)  # not started: nobody listens at its port
        replica = Replica(lab, 8 * MIB, sshd=sshd)
        start_source_only(replica)
        q = Queue(lab, replica)
        early = q.grow(few)
        anon = anonymous_bytes(q.leader)
        yield Value("memory", f"{few} files queued, all processes", "MiB",
                    anon[0] / MIB, MEMORY_LIMIT)
        q.grow(many - 2 * few)
        late = q.grow(few)
        anon = anonymous_bytes(q.leader)
        yield Value("memory", f"{many} files queued, all processes", "MiB",
                    anon[0] / MIB, MEMORY_LIMIT)
        yield Value("memory", f"{many} files queued, largest process", "MiB",
                    anon[1] / MIB, MEMORY_LIMIT)
        c = Case("memory", f"work per file, {few} and {many} queued", "ms",
                 "less", f"first {few}", ("ratio", 0.8))
        tick = 1e3 / os.sysconf("SC_CLK_TCK") / few  # at least one
        c.add(max(early * 1e3, tick), max(late * 1e3, tick))
        yield c
        yield Value("memory", f"{many} files queued, idle", "processors",
                    q.idle(2 if options.quick else 20))
        begin = time.monotonic()
        replica.source.manager("status", "--json")
        yield Value("memory", f"{many} files queued, status", "s",
                    time.monotonic() - begin)
        yield from revive(replica, sshd, many)


def revive(replica, sshd, many):
    """The clock starts when the shipper has noticed (it backs off)."""
    sshd.start()
    replica.target.start()
    end = time.monotonic() + 120
    while time.monotonic() < end and replica.destination()["stored"] == 0:
        time.sleep(0.05)
    seconds = replica.wait(1800)
    replica.compare()
    yield Value("memory", "after the destination came to life", "files/s",
                many / seconds)
