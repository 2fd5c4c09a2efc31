# SPDX-License-Identifier: Apache-2.0
"""lab: a private place for a benchmark, and all that runs in it.

A Lab owns a temporary folder on a disk and every process started through it;
leaving its `with` block stops them, by pid, and removes the folder.
"""

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

MIB = 1 << 20
GIB = 1 << 30
SSH_OPTIONS = ("BatchMode=yes", "StrictHostKeyChecking=yes",
               "IdentitiesOnly=yes", "LogLevel=ERROR")


class Trouble(Exception):
    """The benchmark cannot go on; the text is for people."""


class Skipped(Exception):
    """The benchmark cannot be run here; the text says why."""


def kind_of_filesystem(path):
    done = subprocess.run(["stat", "-f", "-c", "%T", path], check=True,
                          capture_output=True, text=True)
    return done.stdout.strip()


def free_bytes(path):
    st = os.statvfs(path)
    return st.f_bavail * st.f_frsize


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def fill(path, size):
    """Writes the whole file once, by single pages.

    First-touch allocation is over then, and the page cache is made of single
    pages, as after ordinary use: ext4 keeps a file that was written in large
    pieces in large folios, where a write of 4 KiB costs several times more.
    """
    page = os.urandom(4096)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        for off in range(0, size, 4096):
            os.pwrite(fd, page, off)
        os.fsync(fd)
    finally:
        os.close(fd)


class Lab:
    def __init__(self, build, base=None, keep=False, verbose=False):
        self.build = os.path.abspath(build)
        self.keep = keep
        self.verbose = verbose
        self.running = []
        base = base or os.environ.get("TMPDIR") or "/var/tmp"
        if kind_of_filesystem(base) in ("tmpfs", "ramfs", "overlayfs"):
            raise Trouble(f"{base} is not on a disk; give --dir FOLDER")
        self.dir = tempfile.mkdtemp(prefix="aim-bench-", dir=base)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for p in reversed(self.running[:]):
            self.stop(p)
        if self.keep:
            print(f"kept: {self.dir}", file=sys.stderr)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def program(self, name):
        """A program of ours in the build folder."""
        for folder in ("", "manager", "coordinator", "aimdriver/logwrites",
                       "tests/bench"):
            path = os.path.join(self.build, folder, name)
            if os.access(path, os.X_OK) and os.path.isfile(path):
                return path
        raise Trouble(f"{name} is not in {self.build}; run make there first")

    def run(self, *argv, status=(0,), env=None):
        """Runs to the end; its standard output, or Trouble."""
        if self.verbose:
            print("+", *argv, file=sys.stderr)
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, text=True,
                              capture_output=True, check=False,
                              env=dict(os.environ, **(env or {})))
        if done.returncode not in status:
            raise Trouble(f"{' '.join(argv)}: status {done.returncode}: "
                          f"{done.stderr.strip()[-2000:]}")
        return done.stdout

    def start(self, *argv, log):
        """Starts a process in a session of its own; stop() ends it."""
        if self.verbose:
            print("+", *argv, "&", file=sys.stderr)
        with open(self.path(log), "ab") as out:
            p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out,
                                 stderr=out, start_new_session=True)
        p.log = self.path(log)
        self.running.append(p)
        return p

    def stop(self, p):
        self.running.remove(p)
        if p.poll() is None:
            os.killpg(p.pid, signal.SIGCONT)
            p.terminate()
            try:
                p.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(p.pid, signal.SIGKILL)
                p.wait()
        for pid in session(p.pid):  # children that outlived it
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def tail(self, p):
        with open(p.log, errors="replace") as f:
            return f.read()[-2000:]


def stat_fields(pid):
    """(name, fields from the state on) of /proc/PID/stat; None: gone."""
    try:
        with open(f"/proc/{pid}/stat", errors="replace") as f:
            head, _, rest = f.read().rpartition(")")
    except OSError:
        return None
    return head.partition("(")[2], rest.split()


def session(leader):
    """Living processes of the session that `leader` leads."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        stat = stat_fields(entry)
        if stat and stat[1][0] != "Z" and int(stat[1][3]) == leader:
            found.append(int(entry))
    return found


def cpu_seconds(leader):
    """CPU time of a session's processes and of their ended children."""
    total = 0
    for pid in session(leader):
        stat = stat_fields(pid)
        if stat:
            total += sum(int(n) for n in stat[1][11:15])
    return total / os.sysconf("SC_CLK_TCK")


def anonymous_bytes(leader):
    """(sum, largest) of RssAnon of the session's processes."""
    sizes = [0]
    for pid in session(leader):
        try:
            with open(f"/proc/{pid}/status") as f:
                sizes += [int(line.split()[1]) * 1024 for line in f
                          if line.startswith("RssAnon:")]
        except OSError:
            continue
    return sum(sizes), max(sizes)


def own_anonymous_bytes(leader):
    """Anonymous memory of the session's processes, shared pages once."""
    total = 0
    for pid in session(leader):
        try:
            with open(f"/proc/{pid}/smaps_rollup") as f:
                total += sum(int(line.split()[1]) * 1024 for line in f
                             if line.startswith("Pss_Anon:"))
        except OSError:
            continue
    return total


class Sshd:
    """A private OpenSSH server on a free port of 127.0.0.1, as ourselves."""

    def __init__(self, lab, port=None):
        self.lab = lab
        self.port = port or free_port()
        self.user = pwd.getpwuid(os.getuid()).pw_name
        self.key = lab.path("user_key")
        self.known_hosts = lab.path("known_hosts")
        server = shutil.which("sshd", path="/usr/sbin:/sbin:" + os.defpath)
        if server is None:
            raise Skipped("there is no sshd; install openssh-server")
        self.prepare()
        config = lab.path("sshd_config")
        with open(config, "w") as f:
            f.write(self.config())
        self.argv = (server, "-D", "-e", "-f", config)
        self.process = None

    def prepare(self):
        host_key = self.lab.path("host_key")
        for path in (host_key, self.key):
            if not os.path.exists(path):
                self.lab.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "",
                             "-f", path)
        with open(host_key + ".pub") as f:
            kind, key = f.read().split()[:2]
        with open(self.known_hosts, "w") as f:
            f.write(f"[127.0.0.1]:{self.port} {kind} {key}\n")
        shutil.copy(self.key + ".pub", self.lab.path("authorized_keys"))
        if os.getuid() == 0:
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)

    def config(self):
        lab = self.lab
        return "\n".join((
            f"Port {self.port}", "ListenAddress 127.0.0.1",
            f"HostKey {lab.path('host_key')}", "PidFile none", "UsePAM no",
            f"AuthorizedKeysFile {lab.path('authorized_keys')}",
            "StrictModes no", "PermitRootLogin prohibit-password",
            "PasswordAuthentication no", "KbdInteractiveAuthentication no",
            "Subsystem sftp internal-sftp", "LogLevel ERROR", ""))

    def start(self):
        self.process = self.lab.start(*self.argv, log="sshd.log")
        end = time.monotonic() + 10
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.05)
        raise Trouble(f"sshd: {self.lab.tail(self.process)}")

    def url(self, folder):
        return f"sftp://{self.user}@127.0.0.1:{self.port}{folder}"

    def options(self):
        """For ssh and scp."""
        out = ["-F", "none", "-i", self.key,
               "-o", f"UserKnownHostsFile={self.known_hosts}"]
        for text in SSH_OPTIONS:
            out += ["-o", text]
        return out


class Site:
    """One site: its home, its manager's calls, its coordinator."""

    def __init__(self, lab, name):
        self.lab = lab
        self.name = name
        self.home = lab.path(name)
        self.process = None
        self.manager("init", "--site", name)

    def command(self, *words):
        return (self.lab.program("aim-manager"), "--home", self.home, *words)

    def manager(self, *words, status=(0,)):
        return self.lab.run(*self.command(*words), status=status)

    def start(self):
        self.process = self.lab.start(
            self.lab.program("aim-coordinator"), "--home", self.home,
            log=f"{self.name}.log")
        return self

    def check(self):
        """Trouble if the coordinator has ended."""
        if self.process and self.process.poll() is not None:
            raise Trouble(f"coordinator of {self.name} ended: "
                          f"{self.lab.tail(self.process)}")

    def signal(self, number):
        os.killpg(self.process.pid, number)

    def group(self, name):
        """What `status --json` says of the group."""
        for g in json.loads(self.manager("status", "--json"))["groups"]:
            if g["name"] == name:
                return g
        raise Trouble(f"{self.name}: no group {name} in the status")


class Replica:
    """A volume of one site mirrored at another, streaming."""

    def __init__(self, lab, size, url=None, sshd=None, create=True,
                 protect=()):
        self.lab = lab
        self.volume = lab.path("volume.img")
        self.mirror = lab.path("mirror.img")
        self.incoming = lab.path("incoming")
        if not os.path.exists(self.volume):
            fill(self.volume, size)
        os.mkdir(self.incoming, 0o700)
        self.source = Site(lab, "source")
        self.target = Site(lab, "target")
        self.source.manager("volume", "add", "vol", self.volume, *protect)
        self.export(self.source, "group", "source.pair")
        self.target.manager(
            "mirror", "add", "vol", "--pairing", lab.path("source.pair"),
            "--incoming", self.incoming, "--onto", f"vol={self.mirror}",
            *(["--create"] if create else []))
        self.export(self.target, "mirror", "mirror.pair")
        if url is None:
            url = sshd.url(self.incoming) if sshd else f"file://{self.incoming}"
        keys = ["--key", sshd.key, "--known-hosts", sshd.known_hosts] \
            if sshd else []
        self.source.manager("destination", "add", "there", "--group", "vol",
                            "--url", url, "--pairing", lab.path("mirror.pair"),
                            *keys)

    def export(self, site, noun, name):
        with open(self.lab.path(name), "w") as f:
            f.write(site.manager(noun, "export", "vol"))

    def start(self, timeout=600):
        """Both coordinators, and the base."""
        self.source.start()
        self.target.start()
        self.source.manager("base", "vol")
        self.wait(timeout)
        return self

    def wait(self, timeout=600):
        """Until everything is applied; how many seconds that took."""
        begin = time.monotonic()
        self.source.manager("wait", "vol", "--timeout", str(timeout))
        return time.monotonic() - begin

    def captured(self, *argv):
        """The command line that runs argv under capture."""
        return self.source.command("run", "vol", "--", *argv)

    def destination(self):
        return self.source.group("vol")["destinations"][0]

    def compare(self):
        self.lab.run("cmp", self.volume, self.mirror)
