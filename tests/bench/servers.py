# SPDX-License-Identifier: Apache-2.0
"""servers: an HTTPS and an S3 server of the benchmarks' own, and a long link."""

import os
import shutil
import socket
import subprocess
import time

from lab import Skipped, Trouble, free_port

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))


def answers(lab, process, port, name):
    """Waits until somebody listens there."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.05)
    raise Trouble(f"{name}: {lab.tail(process)}")


def certificate(lab):
    """An authority's certificate, and a server's with its key, in files."""
    ca, key = lab.path("ca.crt"), lab.path("server.key")
    if not os.path.exists(ca):
        if shutil.which("openssl") is None:
            raise Skipped("there is no openssl")
        lab.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
                "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
                "-keyout", key, "-out", ca)
    return ca, key


class Nginx:
    """WebDAV over TLS and HTTP/2: PUT and MOVE below `folder`, for anybody."""

    def __init__(self, lab, folder):
        server = shutil.which("nginx", path="/usr/sbin:/sbin:" + os.defpath)
        if server is None:
            raise Skipped("there is no nginx; install nginx-light")
        self.ca, key = certificate(lab)
        self.port, self.folder = free_port(), folder
        temporary = "\n".join(f"{kind}_temp_path {lab.path('tmp_' + kind)};"
                              for kind in ("proxy", "fastcgi", "uwsgi", "scgi"))
        user = "user root;" if os.getuid() == 0 else ""
        config = lab.path("nginx.conf")
        with open(config, "w") as f:
            f.write(f"""daemon off; pid {lab.path('nginx.pid')}; {user}
worker_processes 1; events {{ worker_connections 256; }}
http {{ access_log off; {temporary}
server {{ listen 127.0.0.1:{self.port} ssl http2;
ssl_certificate {self.ca}; ssl_certificate_key {key};
root {folder}; client_body_temp_path {folder}/.body;
client_max_body_size 1g; http2_max_requests 100000;
dav_methods PUT MOVE MKCOL; create_full_put_path on; }} }}
""")
        process = lab.start(server, "-e", lab.path("nginx.err"), "-p",
                            lab.dir, "-c", config, log="nginx.log")
        answers(lab, process, self.port, "nginx")


class S3:
    """The tests' own S3 server, which verifies signatures; one bucket."""

    BUCKET = "incoming"

    def __init__(self, lab, folder):
        self.ca, key = certificate(lab)
        self.folder = os.path.join(folder, self.BUCKET)
        os.makedirs(self.folder, exist_ok=True)
        self.keys = lab.path("s3_keys")
        with open(os.open(self.keys, os.O_CREAT | os.O_WRONLY, 0o600),
                  "w") as f:
            f.write("[default]\naws_access_key_id = AKIAAIM\n"
                    "aws_secret_access_key = SECRET/key+\n")
        pem, port = lab.path("s3.pem"), lab.path("s3_port")
        with open(pem, "w") as out:
            for part in (key, self.ca):
                with open(part) as f:
                    out.write(f.read())
        process = lab.start("/usr/bin/python3",
                            os.path.join(TOP, "tests/sys/s3_server.py"),
                            "--port-file", port, "--dir", folder, "--cert",
                            pem, log="s3.log")
        end = time.monotonic() + 20
        while not (os.path.exists(port) and os.path.getsize(port)):
            if process.poll() is not None or time.monotonic() > end:
                raise Trouble(f"S3 server: {lab.tail(process)}")
            time.sleep(0.05)
        with open(port) as f:
            self.port = int(f.read())

    def url(self, port):
        return f"s3://{self.BUCKET}/?endpoint=https://127.0.0.1:{port}"


class Relay:
    """A link to a port of 127.0.0.1 that is `rtt_ms` long and `mbit` thick."""

    def __init__(self, lab, to, rtt_ms, mbit):
        self.process = subprocess.Popen(
            [lab.program("bench_relay"), str(to), str(rtt_ms // 2), str(mbit)],
            stdout=subprocess.PIPE, text=True, start_new_session=True)
        lab.running.append(self.process)
        self.port = int(self.process.stdout.readline() or 0)
        if self.port == 0:
            raise Trouble("bench_relay does not start")


def bulk_rate(lab, rtt_ms, mbit, size):
    """MB/s of one plain TCP stream through such a link: what it can carry."""
    with socket.socket() as sink:
        sink.bind(("127.0.0.1", 0))
        sink.listen(1)
        relay = Relay(lab, sink.getsockname()[1], rtt_ms, mbit)
        with socket.create_connection(("127.0.0.1", relay.port)) as out:
            conn, _ = sink.accept()
            pid = os.fork()
            if pid == 0:
                block, left = bytes(1 << 20), size
                while left > 0:
                    left -= out.send(block[:left])
                os._exit(0)
            begin, got = time.monotonic(), 0
            with conn:
                while got < size:
                    part = conn.recv(1 << 20)
                    if not part:
                        raise Trouble("the relay has lost its end")
                    got += len(part)
            seconds = time.monotonic() - begin
            os.waitpid(pid, 0)
        lab.stop(relay.process)
    return size / seconds / 1e6
