# SPDX-License-Identifier: Apache-2.0
"""nbdkit: an NBD server with and without the filter aim, turn by turn.

Two equal images, both written once before, each served by `nbdkit file` on a
socket of its own: one is a protected volume, with the filter; the other is
nobody's. The client is the same: fio, and nbdcopy for the copy. As in
`capture`, the sealer runs beside it, shipping and the mirror's site are
stopped while the clock runs. At the end volume and mirror must be equal.

Against a twin: the baseline is `nbdkit file` with a filter that writes each
request's bytes to a second file too (bench_twin_filter), while a program makes
as many bytes durable on the same disk (bench_twin); neither knows of AIM.

The peer that also keeps a log of what is written, QEMU's blklogwrites, is
measured beside QEMU without it, where qemu-storage-daemon is there.
"""

import json
import os
import shutil
import statistics
import time

from bench_capture import Turns
from figures import Case
from lab import GIB, MIB, Replica, Skipped, Trouble, cpu_seconds, fill


def plans(quick):
    """(name, target, arguments of fio, commit, against a twin?); None instead
    of arguments: a copy."""
    seconds = "300ms" if quick else "3s"
    fio = ["--rw=randwrite", "--bs=4k", "--time_based", f"--runtime={seconds}"]
    each = [*fio, "--iodepth=1", "--fsync=1"]
    clients = [*each, "--numjobs=16", "--thread", "--group_reporting"]
    one, many = [*fio, "--iodepth=1"], [*fio, "--iodepth=32"]
    sequential = ["--rw=write", "--bs=1M", "--iodepth=4", "--time_based",
                  f"--runtime={seconds}"]
    yield "4 KiB random, 1 in flight", 0.90, one, "local", False
    yield "4 KiB random, 32 in flight", 0.80, many, "local", False
    yield "32 in flight, against a twin", 0.80, many, "local", True
    yield "4 KiB random, flush each", 0.90, each, "local", False
    yield "4 KiB random, 16 clients, flush each", 0.90, clients, "local", False
    yield "16 clients, against a twin", 0.90, clients, "local", True
    yield "wal: 4 KiB random, flush each", 1.00, each, "wal", False
    yield ("wal: 4 KiB random, 16 clients, flush each", 1.20, clients, "wal",
           False)
    yield "1 MiB sequential, 4 in flight", 0.45, sequential, "local", False
    yield "copy of 512 MiB", 0.45, None, "local", False


class Server:
    """An NBD server in the lab; `name` is its socket's and its log's."""

    def __init__(self, lab, name, *argv):
        self.lab, self.socket = lab, lab.path(name + ".sock")
        if os.path.exists(self.socket):  # of one that had to be killed
            os.unlink(self.socket)
        argv = [a.replace("SOCKET", self.socket) for a in argv]
        self.process = lab.start(*argv, log=name + ".log")
        self.uri = "nbd+unix:///?socket=" + self.socket
        self.requests, self.bytes = 0, 0  # of the last turn; bytes: /s
        self.cpu = 0  # us of processor time for a request of the last measure
        end = time.monotonic() + 10
        while True:
            try:
                lab.run("nbdinfo", "--size", self.uri)
                return
            except Trouble:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise Trouble(f"{name}: {lab.tail(self.process)}") \
                        from None
                time.sleep(0.05)

    def measure(self, words, source):
        """Requests (or MiB) for each second."""
        before = cpu_seconds(self.process.pid)
        if words is None:
            begin = time.monotonic()
            self.lab.run("nbdcopy", "--requests=16", source, self.uri)
            return os.path.getsize(source) / MIB / (time.monotonic() - begin)
        out = self.lab.run(
            "fio", "--name=x", "--ioengine=nbd", "--uri=" + self.uri,
            "--randrepeat=0", "--norandommap", "--output-format=json",
            *words)
        # It says that it is connected first.
        out = json.loads(out[out.index("{"):out.rindex("}") + 1])
        write = out["jobs"][0]["write"]
        self.requests = write["total_ios"]
        self.bytes = write["bw_bytes"]
        self.cpu = (cpu_seconds(self.process.pid) - before) * 1e6 \
            / self.requests
        return write["iops"]


class NbdTurns(Turns):
    def __init__(self, lab, replica, companions, size, source):
        super().__init__(lab, replica, companions)
        self.source = source
        self.plain_server = Server(
            lab, "plain", "nbdkit", "-f", "-U", "SOCKET", "file", self.plain)
        self.ours, self.commit = None, None
        self.cpus = []  # us of a request: nbdkit, ours, the sealer
        self.peers = self.peer_servers(size)

    def serve(self, commit):
        """Ours with that kind of commit; one has the volume at a time."""
        if self.commit == commit:
            return
        if self.ours is not None:
            self.lab.stop(self.ours.process)
        self.ours = Server(
            self.lab, "ours-" + commit, "nbdkit", "-f", "-U", "SOCKET",
            "--filter=" + self.lab.program("nbdkit-aim-filter.so"), "file",
            self.replica.volume, "group=vol", "commit=" + commit,
            "home=" + self.replica.source.home)
        self.commit = commit

    def peer_servers(self, size):
        """QEMU without and with blklogwrites; none where it is not."""
        if shutil.which("qemu-storage-daemon") is None:
            return []
        disk = self.lab.path("peer.img")
        fill(disk, size)
        log = self.lab.path("peer.log.img")
        with open(log, "wb") as f:
            f.truncate(64 * GIB)
        node = f"driver=file,node-name=f,filename={disk},cache.direct=off"
        with_log = ["--blockdev",
                    f"driver=file,node-name=l,filename={log}", "--blockdev",
                    "driver=blklogwrites,node-name=top,file=f,log=l"]
        plain = ["--blockdev", "driver=raw,node-name=top,file=f"]
        return [lambda name=name, top=top: Server(
            self.lab, name, "qemu-storage-daemon", "--blockdev", node, *top,
            "--nbd-server", "addr.type=unix,addr.path=SOCKET",
            "--export", "type=nbd,id=e,node-name=top,name=,writable=on")
            for name, top in (("qemu", plain), ("blklogwrites", with_log))]

    def with_filter(self, words):
        sealer = self.replica.source.process.pid

        def measure():
            before = cpu_seconds(sealer)
            rate = self.ours.measure(words, self.source)
            self.sealing = cpu_seconds(sealer) - before
            return rate
        return self.beside(measure)

    def without(self, words):
        self.settle()
        return self.plain_server.measure(words, self.source)

    def beside_twin(self, words):
        """As many bytes as ours has written in its last turn."""
        if self.ours.bytes == 0:
            self.with_filter(words)
        self.settle()
        folder = self.lab.path("twin")
        os.makedirs(folder, exist_ok=True)
        twin = self.lab.start(self.lab.program("bench_twin"), folder,
                              str(self.ours.bytes), log="bench_twin.log")
        server = Server(
            self.lab, "twin", "nbdkit", "-f", "-U", "SOCKET",
            "--filter=" + self.lab.program("nbdkit-twin-filter.so"), "file",
            self.plain, "twin=" + self.lab.path("twin.img"))
        try:
            return server.measure(words, self.source)
        finally:
            self.lab.stop(server.process)
            self.lab.stop(twin)

    def peer(self, words):
        """What blklogwrites leaves of QEMU's rate; one client only: QEMU
        gives several no common order."""
        rates = []
        for start in self.peers:
            server = start()
            try:
                rates.append(server.measure(words, self.source))
            finally:
                self.lab.stop(server.process)
        return rates[1] / rates[0]

    def note_cpu(self):
        if self.ours.requests > 0:
            self.cpus.append((self.plain_server.cpu, self.ours.cpu,
                              self.sealing * 1e6 / self.ours.requests))

    def nbd_case(self, name, target, words, pairs, twin):
        c = Case("nbdkit", name, "MiB/s" if words is None else "/s", "more",
                 "a twin" if twin else "nbdkit file", ("ratio", target))
        peers, self.cpus = [], []
        self.ours.bytes = 0
        for i in range(pairs):
            sides = [self.beside_twin if twin else self.without,
                     self.with_filter]
            first = i % 2
            pair = [sides[first](words), sides[1 - first](words)]
            c.add(*(pair[::-1] if first else pair))
            if twin:
                continue
            if words is not None:
                self.note_cpu()
            if self.peers and "clients" not in name:
                peers.append(self.peer(words))
        if peers:
            c.notes.append(f"QEMU with blklogwrites: "
                           f"{statistics.median(peers):.2f} x QEMU without")
        if self.cpus:
            c.notes.append(
                "processor time of a request: nbdkit {:.1f} us, with the "
                "filter {:.1f}, and the sealer's {:.1f}".format(
                    *(statistics.median(us) for us in zip(*self.cpus))))
        return c


def run(options, make_lab):
    for tool in ("nbdkit", "nbdinfo", "nbdcopy", "fio"):
        if shutil.which(tool) is None:
            raise Skipped(f"there is no {tool}")
    size = 16 * MIB if options.quick else GIB
    with make_lab() as lab:
        fill(lab.path("plain.img"), size)
        source = lab.path("copy.img")
        fill(source, size // 2)
        turns = NbdTurns(lab, Replica(lab, size).start(), options.companions,
                         size, source)
        for name, target, words, commit, twin in plans(options.quick):
            if options.only in name:
                turns.serve(commit)
                yield turns.nbd_case(name, target, words, options.pairs, twin)
        turns.settle()
        turns.replica.compare()
