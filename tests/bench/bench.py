#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""bench: runs the benchmarks; docs/benchmarks.md says what they are.

Each measures a baseline or a peer and ours in the same run, turn by turn, and
tells medians and the median of the ratios of the pairs. Exit status: 0 all
asked for have worked (whether or not they met their targets), 1 one has not.
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True  # leave the source tree as it is

import bench_capture
import bench_logwrites
import bench_memory
import bench_nbdkit
import bench_redrive
import bench_scale
import bench_ship
import bench_steady
import bench_transport
import figures
import lab

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BENCHES = {"capture": bench_capture, "nbdkit": bench_nbdkit,
           "ship": bench_ship, "redrive": bench_redrive,
           "steady": bench_steady, "memory": bench_memory,
           "logwrites": bench_logwrites, "transport": bench_transport,
           "scale": bench_scale}


def arguments():
    p = argparse.ArgumentParser(
        description="Runs AIM's benchmarks.", epilog="Benchmarks: " +
        ", ".join(BENCHES) + " (default: all)")
    p.add_argument("names", nargs="*", metavar="BENCHMARK")
    p.add_argument("--quick", action="store_true",
                   help="small sizes, one pair: shows that they work")
    p.add_argument("--json", action="store_true")
    p.add_argument("--pairs", type=int, help="pairs for each case (5)")
    p.add_argument("--build", default=os.path.join(TOP, "build"),
                   help="where the programs were built (%(default)s)")
    p.add_argument("--dir", help="folder on the disk to measure ($TMPDIR, "
                   "/var/tmp); must not be a tmpfs")
    p.add_argument("--with", dest="companions", default="seal",
                   choices=("seal", "ship", "mirror"),
                   help="capture: what runs beside the writer (%(default)s)")
    p.add_argument("--only", default="", metavar="TEXT",
                   help="only cases with TEXT in their name")
    p.add_argument("--keep", action="store_true",
                   help="leave the temporary folders")
    p.add_argument("--verbose", action="store_true",
                   help="show commands on standard error")
    o = p.parse_args()
    unknown = [n for n in o.names if n not in BENCHES]
    if unknown:
        p.error(f"no benchmark {unknown[0]}; there are {', '.join(BENCHES)}")
    if o.pairs is None:
        o.pairs = 1 if o.quick else 5
    if o.pairs < 1:
        p.error("--pairs: at least 1")
    return o


def machine(folder):
    """What the figures depend on; nothing that names the machine."""
    model = ""
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {"kernel": platform.release(), "processor": model,
            "processors": os.cpu_count(), "memory_mib": memory // lab.MIB,
            "filesystem": lab.kind_of_filesystem(folder),
            "load": os.getloadavg()[0]}


def run_one(name, options, results):
    """Appends what the benchmark yields; False when it did not work."""
    def make_lab():
        return lab.Lab(options.build, options.dir, options.keep,
                       options.verbose)

    begin = time.monotonic()
    try:
        for r in BENCHES[name].run(options, make_lab):
            results.append(r)
            print(f"{name}: {r.name}: {' '.join(filter(None, r.row()[2:]))}",
                  file=sys.stderr)
    except lab.Skipped as e:
        print(f"SKIP {name}: {e}", file=sys.stderr)
    except (lab.Trouble, OSError, subprocess.SubprocessError, KeyError,
            ValueError) as e:
        print(f"FAIL {name}: {type(e).__name__}: {e}", file=sys.stderr)
        return False
    print(f"{name}: took {time.monotonic() - begin:.0f} s", file=sys.stderr)
    return True


def stopped(*_):
    raise SystemExit(130)


def main():
    o = arguments()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stopped)
    results, good = [], True
    for name in o.names or BENCHES:
        good = run_one(name, o, results) and good
    folder = o.dir or os.environ.get("TMPDIR") or "/var/tmp"
    about = machine(folder)
    date = time.strftime("%Y-%m-%d", time.gmtime())
    if o.json:
        print(json.dumps({"format": 1, "date": date, "quick": o.quick,
                          "machine": about,
                          "results": [r.json() for r in results]}, indent=1))
    else:
        print(f"{date}, {about['processors']} x {about['processor']}, "
              f"{about['memory_mib']} MiB, Linux {about['kernel']}, "
              f"{about['filesystem']}, load {about['load']:.1f}")
        print(figures.table(results))
        if o.quick:
            print("A quick run: the figures mean nothing.")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
