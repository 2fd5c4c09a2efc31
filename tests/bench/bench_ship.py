# SPDX-License-Identifier: Apache-2.0
"""ship: our ship role against scp and rsync, over the same private sshd.

The same journal files of 1 MiB each, from their sealed folder into an empty
one. Each side is timed as a process, with connecting and leaving. Ours also
renames each file into place (they appear whole or not at all), as rsync does
and scp does not, and fetches acknowledgements, which a stand-in for the
mirror's site publishes. Nobody syncs.
"""

import os
import shutil
import time

from figures import Case
from lab import MIB, Skipped, Sshd, Trouble


class Turns:
    def __init__(self, lab, files):
        self.lab = lab
        self.sshd = Sshd(lab).start()
        self.home = lab.path("home")
        self.files = files
        self.sealed = lab.run(lab.program("bench_ship"), "make", self.home,
                              str(files), str(MIB)).strip()
        self.stream = os.path.basename(self.sealed)
        self.bytes = sum(e.stat().st_size for e in os.scandir(self.sealed))

    def ours(self, to):
        self.lab.run(self.lab.program("bench_ship"), "send", self.home,
                     self.sshd.url(os.path.dirname(to)), self.sshd.key,
                     self.sshd.known_hosts)

    def scp(self, to):
        names = sorted(e.path for e in os.scandir(self.sealed))
        self.lab.run("scp", "-q", *self.sshd.options(), "-P",
                     str(self.sshd.port), *names,
                     f"{self.sshd.user}@127.0.0.1:{to}/")

    def rsync(self, to):
        shell = " ".join(["ssh", *self.sshd.options(), "-p",
                          str(self.sshd.port)])
        self.lab.run("rsync", "-rW", "-e", shell, f"{self.sealed}/",
                     f"{self.sshd.user}@127.0.0.1:{to}/")

    def timed(self, how):
        """MB/s; what arrived is compared by name and size, then removed."""
        root = self.lab.path("there")
        to = os.path.join(root, self.stream)
        os.makedirs(os.path.join(to, "ack"))
        self.lab.run("sync", "-f", self.lab.dir)
        begin = time.monotonic()
        how(to)
        seconds = time.monotonic() - begin
        for e in os.scandir(self.sealed):
            there = os.path.join(to, e.name)
            if os.path.getsize(there) != e.stat().st_size:
                raise Trouble(f"{there} did not arrive whole")
        shutil.rmtree(root)
        return self.bytes / seconds / 1e6


def run(options, make_lab):
    files = 100 if options.quick else 1000
    with make_lab() as lab:
        turns = Turns(lab, files)
        peers = [(turns.scp, "scp", ("ratio", 1.0)),
                 (turns.rsync, "rsync -W -e ssh", None)]
        for how, name, target in peers:
            if shutil.which(name.split()[0]) is None:
                raise Skipped(f"ship: there is no {name.split()[0]}")
            c = Case("ship", f"{files} files of 1 MiB", "MB/s", "more", name,
                     target)
            for i in range(options.pairs):
                sides = [how, turns.ours]
                first = i % 2
                one = turns.timed(sides[first])
                two = turns.timed(sides[1 - first])
                c.add(*((two, one) if first else (one, two)))
            yield c
