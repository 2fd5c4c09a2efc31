# SPDX-License-Identifier: Apache-2.0
"""redrive: the apply role against a plain loop of pwrite (bench_redrive.c)."""

import json

from figures import Case
from lab import GIB, MIB


def case(options, make_lab, name, size, files, writes, block):
    c = Case("redrive", name, "MB/s", "more", "plain pwrite loop",
             ("ratio", 0.7))
    with make_lab() as lab:
        out = lab.run(lab.program("bench_redrive"), lab.dir, str(size),
                      str(files), str(writes), str(block), str(options.pairs))
    cpu = 0
    for line in out.splitlines():
        t = json.loads(line)
        c.add(t["bytes"] / t["plain_ns"] * 1000,
              t["bytes"] / t["role_ns"] * 1000)
        cpu = max(cpu, t["role_cpu_ns"] / t["role_ns"])
    c.notes.append(f"{files} files, {t['image_syncs']} syncs of the image on "
                   f"both sides, {t['other_syncs']} of state and folders on "
                   f"ours; ours used up to {cpu:.0%} of a processor")
    return c


def run(options, make_lab):
    size, files = (16 * MIB, 4) if options.quick else (GIB, 256)
    yield case(options, make_lab, "4 KiB random", size, files, 1000, 4096)
    yield case(options, make_lab, "1 MiB random", size, files, 4, MIB)
