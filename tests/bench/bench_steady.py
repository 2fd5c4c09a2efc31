# SPDX-License-Identifier: Apache-2.0
"""steady: from a captured write to the mirror, at a given rate and flat out.

Two sites on one machine and one disk. While a captured program writes at
random places, the destination's lag is read from `status --json` at the
source; afterwards the time until all is applied is taken.
"""

import json
import statistics
import subprocess
import time

from figures import Value, percentile
from lab import GIB, MIB, Replica, Sshd, Trouble


def sample(replica, argv):
    """Runs argv captured; (its result, lags in seconds, lags in bytes)."""
    with subprocess.Popen(replica.captured(*argv), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as p:
        seconds, size = [], []
        begin = time.monotonic()
        while p.poll() is None:
            time.sleep(0.25)
            if time.monotonic() - begin < 1:
                continue  # the first files are still on their way
            d = replica.destination()
            seconds.append(d["lag_seconds"])
            size.append(d["lag_bytes"])
        out, errors = p.communicate()
    if p.returncode != 0:
        raise Trouble(f"captured writer: {errors.strip()[-2000:]}")
    return json.loads(out), seconds, size


def phase(replica, name, words):
    program = replica.lab.program("bench_writer")
    result, seconds, size = sample(replica, [program, *words, replica.volume])
    rest = replica.wait()
    rate = result["bytes"] / result["elapsed_ns"] * 1000
    total = result["bytes"] / 1e6 / (result["elapsed_ns"] / 1e9 + rest)
    yield Value("steady", f"{name}: captured", "MB/s", rate)
    if seconds:
        yield Value("steady", f"{name}: lag p50", "s",
                    statistics.median(seconds))
        yield Value("steady", f"{name}: lag p95", "s", percentile(seconds, 95))
        yield Value("steady", f"{name}: lag p95", "MB",
                    percentile(size, 95) / 1e6)
    yield Value("steady", f"{name}: catching up", "s", rest)
    yield Value("steady", f"{name}: end to end", "MB/s", total)


def over(options, make_lab, transport):
    size = 16 * MIB if options.quick else GIB
    seconds = 2 if options.quick else 20
    rates = (5,) if options.quick else (20, 50, 100)
    with make_lab() as lab:
        sshd = Sshd(lab).start() if transport == "sftp" else None
        replica = Replica(lab, size, sshd=sshd).start()
        for rate in rates:
            yield from phase(replica, f"{transport}, {rate} MB/s",
                             ["--rate", str(rate * 1000000), "--seconds",
                              str(seconds)])
        flat_out = ["--total", str(32 * MIB if options.quick else 4 * GIB)]
        yield from phase(replica, f"{transport}, flat out", flat_out)
        replica.compare()


def run(options, make_lab):
    for transport in ("file", "sftp"):
        yield from over(options, make_lab, transport)
