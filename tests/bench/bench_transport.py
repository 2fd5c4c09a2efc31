# SPDX-License-Identifier: Apache-2.0
"""transport: our ship role against the plain tool for each protocol.

The same journal files, from their sealed folder into an empty one, over the
same private server; each side is timed as a process. On the loopback
interface, and through a relay that makes it a link of 50 ms and 1 Gbit/s.
`ship` is the case of large files over SFTP.
"""

import os
import resource
import shutil
import time

from figures import Case
from lab import MIB, Skipped, Sshd, Trouble
from servers import Nginx, Relay, S3, bulk_rate

RTT_MS, MBIT = 50, 1000


class Files:
    """A stream of journal files in a home of its own, and where they go."""

    def __init__(self, lab, name, count, size):
        self.lab = lab
        self.home = lab.path(name)
        self.sealed = lab.run(lab.program("bench_ship"), "make", self.home,
                              str(count), str(size)).strip()
        self.stream = os.path.basename(self.sealed)
        self.names = sorted(e.name for e in os.scandir(self.sealed))
        self.paths = [os.path.join(self.sealed, n) for n in self.names]
        self.bytes = sum(os.path.getsize(p) for p in self.paths)

    def ship(self, url, folder, key="-", hosts="-", options=()):
        self.lab.run(self.lab.program("bench_ship"), "send", self.home, url,
                     key, hosts, folder, *options)

    def timed(self, how, folder):
        """(seconds, processor seconds of the sender) of how(folder)."""
        to = os.path.join(folder, self.stream)
        os.makedirs(os.path.join(to, "ack"))
        self.lab.run("sync", "-f", self.lab.dir)
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        begin = time.monotonic()
        how(to)
        seconds = time.monotonic() - begin
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        for name, path in zip(self.names, self.paths):
            there = os.path.join(to, name)
            if os.path.getsize(there) != os.path.getsize(path):
                raise Trouble(f"{there} did not arrive whole")
        shutil.rmtree(to)
        return seconds, (after.ru_utime + after.ru_stime - usage.ru_utime -
                         usage.ru_stime)


def tool(name):
    if shutil.which(name) is None:
        raise Skipped(f"transport: there is no {name}")


def pairs(case, options, files, folder, theirs, ours, rate):
    """Fills the case with alternating pairs; rate(seconds) is its unit."""
    cpu = []
    for i in range(options.pairs):
        got = {}
        for how in ((theirs, ours) if i % 2 == 0 else (ours, theirs)):
            got[how] = files.timed(how, folder)
        case.add(rate(got[theirs][0]), rate(got[ours][0]))
        cpu.append(got[ours][1] / got[ours][0])
    case.notes.append("our sender used "
                      f"{sorted(cpu)[len(cpu) // 2]:.2f} processors")
    return case


class Web:
    def __init__(self, lab):
        self.lab, self.folder = lab, lab.path("web")
        os.makedirs(os.path.join(self.folder, "incoming"))
        self.server = Nginx(lab, self.folder)
        self.incoming = os.path.join(self.folder, "incoming")

    def curl(self, files, port):
        def how(to):
            base = f"https://127.0.0.1:{port}/incoming/{files.stream}/"
            config = self.lab.path("curl.config")
            with open(config, "w") as f:
                for name, path in zip(files.names, files.paths):
                    f.write(f'upload-file = "{path}"\nurl = "{base}{name}"\n')
            assert os.path.isdir(to)
            self.lab.run("curl", "-sS", "--fail", "--parallel",
                         "--parallel-max", "16", "--cacert", self.server.ca,
                         "--config", config)
        return how

    def ours(self, files, port):
        return lambda to: files.ship(f"https://127.0.0.1:{port}/incoming",
                                     os.path.dirname(to), options=(
                                         f"ca={self.server.ca}",))


def web_cases(lab, options):
    tool("curl")
    web = Web(lab)
    big = Files(lab, "big", 100 if options.quick else 1000, MIB)
    small = Files(lab, "small", 200 if options.quick else 5000, 4096)
    port = web.server.port
    for files, name, unit, target in (
            (big, "HTTPS, 1 MiB files", "MB/s", ("ratio", 0.9)),
            (small, "HTTPS, 4 KiB files", "files/s", None)):
        if options.only not in name:
            continue
        amount = files.bytes / 1e6 if unit == "MB/s" else len(files.names)
        case = Case("transport", name, unit, "more", "curl -T, parallel",
                    target)
        yield pairs(case, options, files, web.incoming,
                    web.curl(files, port), web.ours(files, port),
                    lambda s, a=amount: a / s)


class Shell:
    def __init__(self, lab):
        self.lab, self.sshd = lab, Sshd(lab).start()
        self.folder = lab.path("shell")
        os.mkdir(self.folder)

    def hosts(self, port):
        """The known host of another port."""
        path = self.lab.path(f"known_{port}")
        with open(self.sshd.known_hosts) as f:
            text = f.read().replace(f":{self.sshd.port} ", f":{port} ")
        with open(path, "w") as f:
            f.write(text)
        return path

    def sftp(self, files, port):
        def how(to):
            batch = self.lab.path("batch")
            with open(batch, "w") as f:
                for name, path in zip(files.names, files.paths):
                    f.write(f"put {path} {to}/{name}.part\n"
                            f"rename {to}/{name}.part {to}/{name}\n")
            options = [o.replace(self.sshd.known_hosts, self.hosts(port))
                       for o in self.sshd.options()]
            self.lab.run("sftp", "-q", "-b", batch, "-P", str(port), *options,
                         f"{self.sshd.user}@127.0.0.1")
        return how

    def ours(self, files, port):
        return lambda to: files.ship(
            f"sftp://{self.sshd.user}@127.0.0.1:{port}{os.path.dirname(to)}",
            os.path.dirname(to), self.sshd.key, self.hosts(port))


def shell_cases(lab, options):
    tool("sftp")
    name = "SFTP, 4 KiB files"
    if options.only not in name:
        return
    shell = Shell(lab)
    files = Files(lab, "tiny", 200 if options.quick else 5000, 4096)
    case = Case("transport", name, "files/s", "more", "sftp -b", ("ratio", 2))
    yield pairs(case, options, files, shell.folder,
                shell.sftp(files, shell.sshd.port),
                shell.ours(files, shell.sshd.port),
                lambda s: len(files.names) / s)


def far_cases(lab, options):
    """Through the relay."""
    quick = options.quick
    name = f"SFTP {RTT_MS} ms away, 1 MiB files"
    if options.only in name:
        shell = Shell(lab)
        files = Files(lab, "far", 8 if quick else 50, MIB)
        port = Relay(lab, shell.sshd.port, RTT_MS, MBIT).port
        case = Case("transport", name, "MB/s", "more", "sftp -b",
                    ("ratio", 2))
        yield pairs(case, options, files, shell.folder,
                    shell.sftp(files, port), shell.ours(files, port),
                    lambda s: files.bytes / 1e6 / s)
    bulk = Files(lab, "bulk", 50 if quick else 400, MIB)
    size = bulk.bytes
    for kind in ("HTTPS", "S3"):
        name = f"{kind} {RTT_MS} ms away, 1 MiB files"
        if options.only not in name:
            continue
        case = Case("transport", name, "MB/s", "more",
                    f"one TCP stream, {MBIT} Mbit/s", ("ratio", 0.8))
        if kind == "HTTPS":
            web = Web(lab)
            folder = web.incoming
            ours = web.ours(bulk, Relay(lab, web.server.port, RTT_MS,
                                        MBIT).port)
        else:
            s3 = S3(lab, lab.path("s3"))
            folder = s3.folder
            url = s3.url(Relay(lab, s3.port, RTT_MS, MBIT).port)

            def ours(to, s3=s3, url=url):
                bulk.ship(url, os.path.dirname(to), options=(
                    f"ca={s3.ca}", f"credentials={s3.keys}"))
        for _ in range(options.pairs):
            case.add(bulk_rate(lab, RTT_MS, MBIT, size),
                     size / bulk.timed(ours, folder)[0] / 1e6)
        yield case


def run(options, make_lab):
    for cases in (web_cases, shell_cases, far_cases):
        with make_lab() as lab:
            yield from cases(lab, options)
