# SPDX-License-Identifier: Apache-2.0
"""scale: many destinations, many groups, and what codecs cost.

The writer's rate while every destination is dead, beside the rate while all
live; one coordinator with many groups at rest; processor time of sealing for
each gigabyte and codec, beside that of storing as it is.
"""

import json
import os
import time

from figures import Case, Value
from lab import (GIB, MIB, Replica, Site, Trouble, anonymous_bytes,
                 cpu_seconds, own_anonymous_bytes)


def export(lab, site, noun, group, name):
    with open(lab.path(name), "w") as f:
        f.write(site.manager(noun, "export", group))
    return lab.path(name)


def join(lab, replica, name):
    """One more mirror of the replica's volume, at a site of its own."""
    site = Site(lab, name)
    incoming = lab.path(name + ".incoming")
    os.mkdir(incoming, 0o700)
    site.manager("mirror", "add", "vol", "--pairing", lab.path("source.pair"),
                 "--incoming", incoming, "--create", "--onto",
                 "vol=" + lab.path(name + ".img"))
    replica.source.manager(
        "destination", "add", name, "--group", "vol", "--url",
        "file://" + incoming, "--pairing",
        export(lab, site, "mirror", "vol", name + ".pair"))
    return site


class Places:
    """Three mirrors; dead: their folders have gone and nobody is there."""

    def __init__(self, lab, size):
        self.lab = lab
        self.replica = Replica(lab, size)
        self.sites = [self.replica.target] + [
            join(lab, self.replica, name) for name in ("second", "third")]
        self.folders = [self.replica.incoming] + [
            lab.path(name + ".incoming") for name in ("second", "third")]
        self.replica.source.start()
        for site in self.sites:
            site.start()
        self.replica.source.manager("base", "vol")
        self.replica.wait()

    def dead(self):
        for site in self.sites:
            self.lab.stop(site.process)
        for folder in self.folders:
            os.rename(folder, folder + ".gone")

    def alive(self):
        for folder in self.folders:
            os.rename(folder + ".gone", folder)
        for site in self.sites:
            site.start()
        self.replica.wait()

    def rate(self, total):
        """MB/s of a captured writer, at random places, to the page cache."""
        out = self.lab.run(*self.replica.captured(
            self.lab.program("bench_writer"), "--total", str(total),
            self.replica.volume))
        result = json.loads(out)
        return result["bytes"] / result["elapsed_ns"] * 1000


def dead_cases(lab, options):
    total = (16 if options.quick else 512) * MIB
    places = Places(lab, (16 if options.quick else 256) * MIB)
    c = Case("scale", "writer's rate, three destinations dead", "MB/s", "more",
             "three alive", ("ratio", 0.95))
    for i in range(options.pairs):
        got = {}
        for state in (("alive", "dead") if i % 2 == 0 else ("dead", "alive")):
            if state == "dead":
                places.dead()
            got[state] = places.rate(total)
            if state == "dead":
                places.alive()
            else:
                places.replica.wait()
        c.add(got["alive"], got["dead"])
    places.replica.compare()
    yield c


def group_cases(lab, options):
    """Groups without destinations that live, all idle."""
    count = 5 if options.quick else 200
    site, far = Site(lab, "many"), Site(lab, "far")
    os.mkdir(lab.path("in"), 0o700)
    for i in range(count):
        name, path = f"vol{i}", lab.path(f"vol{i}.img")
        with open(path, "wb") as f:
            f.truncate(MIB)
        site.manager("volume", "add", name, path)
        far.manager("mirror", "add", name, "--pairing",
                    export(lab, site, "group", name, "g.pair"), "--incoming",
                    lab.path("in"), "--create", "--onto",
                    f"{name}={lab.path(name + '.mir')}")
        site.manager("destination", "add", "far", "--group", name, "--url",
                     "file://" + lab.path("in"), "--pairing",
                     export(lab, far, "mirror", name, "m.pair"))
    begin = time.monotonic()
    site.start()
    for i in range(count):
        site.manager("base", f"vol{i}")
    end = begin + 600
    while True:
        site.check()
        groups = json.loads(site.manager("status", "--json"))["groups"]
        if all(g["captured"] > 0 for g in groups):
            break
        if time.monotonic() > end:
            raise Trouble("not all groups have begun their base")
        time.sleep(0.2)
    yield Value("scale", f"{count} groups: started, bases begun", "s",
                time.monotonic() - begin)
    time.sleep(2 if options.quick else 20)
    total = own_anonymous_bytes(site.process.pid)
    largest = anonymous_bytes(site.process.pid)[1]
    yield Value("scale", f"{count} groups: all processes", "MiB", total / MIB)
    yield Value("scale", f"{count} groups: for each", "MiB",
                total / MIB / count)
    yield Value("scale", f"{count} groups: largest process", "MiB",
                largest / MIB)
    rest = 2 if options.quick else 20
    cpu = cpu_seconds(site.process.pid)
    time.sleep(rest)
    yield Value("scale", f"{count} groups at rest", "processors",
                (cpu_seconds(site.process.pid) - cpu) / rest)
    begin = time.monotonic()
    site.manager("status", "--json")
    yield Value("scale", f"{count} groups: status", "s",
                time.monotonic() - begin)


def text(size):
    """Half words, half noise: shrinks to about two thirds."""
    words = [b"%08x " % (i * 2654435761 % 2**32) for i in range(4096)]
    block = b"".join(words)[:32768]
    out = bytearray()
    while len(out) < size:
        out += block + os.urandom(16384)
    return bytes(out[:size])


def sealing(lab, codec, size):
    """(processor seconds per GB, bytes stored / bytes written) of sealing."""
    with lab.__class__(lab.build, os.path.dirname(lab.dir)) as own:
        replica = Replica(own, 64 * MIB, protect=("--compress", codec))
        replica.start()
        replica.lab.stop(replica.target.process)
        source = own.path("text")
        with open(source, "wb") as f:
            f.write(text(64 * MIB))
        before = cpu_seconds(replica.source.process.pid)
        for _ in range(max(1, size // (64 * MIB))):
            own.run(*replica.captured("dd", f"if={source}", "bs=64k",
                                      f"of={replica.volume}", "conv=notrunc",
                                      "status=none"))
        end = time.monotonic() + 300
        while time.monotonic() < end:
            g = replica.source.group("vol")
            if g["sealed"] >= g["captured"]:
                break
            time.sleep(0.1)
        cpu = cpu_seconds(replica.source.process.pid) - before
        stored = sum(e.stat().st_size for e in os.scandir(os.path.join(
            replica.source.home, "sealed", g["stream"])) if e.is_file())
        return cpu / size * 1e9, stored / size


def codec_cases(lab, options):
    size = 64 * MIB if options.quick else GIB
    codecs = ("zlib:1", "zlib:6", "zstd:1", "zstd:3")
    for codec in codecs[2:3] if options.quick else codecs:
        c = Case("scale", f"sealing, {codec}", "CPU s/GB", "less", "none")
        kept = []
        for i in range(options.pairs):
            got = {}
            for name in (("none", codec) if i % 2 == 0 else (codec, "none")):
                got[name], part = sealing(lab, name, size)
                if name == codec:
                    kept.append(part)
            # A tick of the clock at least, or nothing could be divided.
            c.add(max(got["none"], 0.01), max(got[codec], 0.01))
        c.notes.append(f"stored {sorted(kept)[len(kept) // 2]:.2f} of it")
        yield c


def run(options, make_lab):
    for cases, name in ((dead_cases, "writer's rate"),
                        (group_cases, "groups"), (codec_cases, "sealing")):
        if options.only in name or name in options.only:
            with make_lab() as lab:
                yield from cases(lab, options)
