# SPDX-License-Identifier: Apache-2.0
"""An S3 server that verifies signatures, for what Swift's has not: objects
that are kept from being written over, other regions, and bad days.

  s3_server.py --port-file FILE --dir DIR [--cert PEM] [--conditional
      yes|never|ignored] [--region NAME] [--token TEXT]

Objects are files DIR/BUCKET/KEY with their headers in DIR/.meta/BUCKET/KEY; a
folder without the right to write may not be written to. Access key AKIAAIM, secret SECRET/key+; AKIAREAD may only read, AKIAWRITE may
only write. A host BUCKET.localhost has the bucket. DIR/weather, when it is there, says what each request meets: a
status and a code ("503 SlowDown"), "cut" (the connection ends after the body),
"lost" (done, but the answer is not sent). DIR/log has a line for each request.
 Independent of what it is to test: nothing is shared with it.
"""
import argparse, datetime, errno, hashlib, hmac, http.server, os, re, ssl
import socketserver, threading, urllib.parse

SECRETS = {"AKIAAIM": "SECRET/key+", "AKIAREAD": "SECRET/key+",
           "AKIAWRITE": "SECRET/key+"}
LOCK = threading.Lock()


def sha(data):
    return hashlib.sha256(data).hexdigest()


def mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class Refused(Exception):
    def __init__(self, status, code, more=""):
        self.status, self.code, self.more = status, code, more


def quote(text):
    return urllib.parse.quote(text, safe="-_.~")


def signature(handler, secret, scope, names, payload):
    path, _, query = handler.path.partition("?")
    pairs = sorted(tuple(quote(urllib.parse.unquote(x))
                         for x in p.partition("=")[::2])
                   for p in query.split("&") if p)
    lines = []
    for name in names:
        values = handler.headers.get_all(name)
        if values is None:
            raise Refused(403, "SignatureDoesNotMatch", name + " is missing")
        lines.append(name + ":" + ",".join(
            re.sub(" +", " ", v.strip()) for v in values))
    canonical = "\n".join([
        handler.command,
        "/".join(quote(urllib.parse.unquote(p)) for p in path.split("/")),
        "&".join(a + "=" + b for a, b in pairs), *lines, "",
        ";".join(names), payload])
    key = ("AWS4" + secret).encode()
    for part in scope.split("/"):
        key = mac(key, part)
    return mac(key, "\n".join([
        "AWS4-HMAC-SHA256", handler.headers["x-amz-date"], scope,
        sha(canonical.encode())])).hex()


def verify(handler, body):
    given = handler.headers.get("Authorization", "")
    m = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8}/[^/]+/s3/"
                     r"aws4_request), SignedHeaders=([a-z0-9;-]+), "
                     r"Signature=([0-9a-f]{64})", given)
    if not m:
        raise Refused(403, "AccessDenied", "no signature")
    access, scope, names, theirs = m.groups()
    names = names.split(";")
    when = handler.headers.get("x-amz-date", "")
    payload = handler.headers.get("x-amz-content-sha256", "")
    if access not in SECRETS:
        raise Refused(403, "InvalidAccessKeyId")
    if scope.split("/")[1] != ARGS.region:
        raise Refused(400, "AuthorizationHeaderMalformed",
                      "<Region>" + ARGS.region + "</Region>")
    now = datetime.datetime.now(datetime.timezone.utc)
    then = datetime.datetime.strptime(when + "+0000", "%Y%m%dT%H%M%SZ%z")
    if abs((now - then).total_seconds()) > 900:
        raise Refused(403, "RequestTimeTooSkewed", "<ServerTime>" +
                      now.strftime("%Y-%m-%dT%H:%M:%SZ") + "</ServerTime>")
    for name in handler.headers:
        low = name.lower()
        if (low == "host" or low.startswith("x-amz-")) and low not in names:
            raise Refused(403, "AccessDenied", low + " is not signed")
    if names != sorted(names) or not when.startswith(scope[:8]):
        raise Refused(403, "SignatureDoesNotMatch", "order or day")
    ours = signature(handler, SECRETS[access], scope, names, payload)
    if not hmac.compare_digest(ours, theirs):
        raise Refused(403, "SignatureDoesNotMatch")
    if payload != sha(body):
        raise Refused(400, "XAmzContentSHA256Mismatch")
    if handler.headers.get("x-amz-security-token", "") != ARGS.token:
        raise Refused(400, "InvalidToken")
    writes = handler.command in ("PUT", "DELETE")
    if access == ("AKIAREAD" if writes else "AKIAWRITE"):
        raise Refused(403, "AccessDenied")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def note(self, what):
        with LOCK, open(os.path.join(ARGS.dir, "log"), "a") as f:
            f.write(f"{self.command} {self.path} {what}\n")

    def answer(self, status, body=b"", headers=(), length=None):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length",
                         str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.note(status)

    def weather(self):
        try:
            with open(os.path.join(ARGS.dir, "weather")) as f:
                return f.read().strip()
        except FileNotFoundError:
            return ""

    def place(self):
        path = urllib.parse.unquote(self.path.partition("?")[0])
        host = self.headers["Host"].partition(":")[0]
        if host.endswith(".localhost"):
            bucket, key = host[:-len(".localhost")], path.lstrip("/")
        else:
            bucket, _, key = path.lstrip("/").partition("/")
        if not os.path.isdir(os.path.join(ARGS.dir, bucket)):
            raise Refused(404, "NoSuchBucket")
        return os.path.join(ARGS.dir, bucket, key), os.path.join(
            ARGS.dir, ".meta", bucket, key)

    def put(self, path, meta, body):
        kept = self.headers.get("If-None-Match") == "*"
        if kept and ARGS.conditional == "never":
            raise Refused(501, "NotImplemented")
        new = os.path.join(ARGS.dir, ".meta", "%d" % threading.get_ident())
        with LOCK:
            if kept and ARGS.conditional == "yes" and os.path.exists(path):
                raise Refused(412, "PreconditionFailed")
            try:
                for name in (path, meta):
                    os.makedirs(os.path.dirname(name), exist_ok=True)
                if not os.stat(os.path.dirname(path)).st_mode & 0o200:
                    raise Refused(403, "AccessDenied")
                with open(new, "wb") as f:
                    f.write(body)
                with open(meta, "w") as f:
                    for name, value in self.headers.items():
                        if name.lower().startswith("x-amz-meta-"):
                            f.write(f"{name}\n{value}\n")
                os.rename(new, path)
            except OSError as e:
                if os.path.exists(new):
                    os.unlink(new)
                if e.errno == errno.ENOSPC:
                    raise Refused(507, "InsufficientStorage")
                raise Refused(500, "InternalError")
        self.answer(200, headers=[("ETag", '"%s"' % hashlib.md5(
            body).hexdigest())])

    def get(self, path, meta):
        try:
            with open(path, "rb") as f:
                body = f.read()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise Refused(404, "NoSuchKey")
        headers = [("ETag", '"%s"' % hashlib.md5(body).hexdigest())]
        if os.path.exists(meta):
            with open(meta) as f:
                lines = f.read().splitlines()
            headers += list(zip(lines[::2], lines[1::2]))
        status = 200
        m = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if m:
            first, last = int(m[1]), min(int(m[2]), len(body) - 1)
            if first >= len(body):
                raise Refused(416, "InvalidRange")
            headers.append(("Content-Range",
                            f"bytes {first}-{last}/{len(body)}"))
            status, body = 206, body[first:last + 1]
        self.answer(status, body, headers)

    def handle_one(self):
        try:
            self.serve()
        except Refused as r:
            self.answer(r.status, (
                '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>'
                f"{r.code}</Code><Message>no &lt;luck&gt;</Message>{r.more}"
                "</Error>").encode(), [("Content-Type", "application/xml")])

    def serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        weather = self.weather()
        if weather == "cut":
            self.close_connection = True
            return
        if re.match(r"\d", weather):
            raise Refused(int(weather.split()[0]), weather.split()[1])
        verify(self, body)
        path, meta = self.place()
        if weather == "lost":
            self.answer = lambda *a, **k: setattr(
                self, "close_connection", True)
        if self.command == "PUT":
            self.put(path, meta, body)
        elif self.command == "DELETE":
            with LOCK:
                for name in (path, meta):
                    if os.path.exists(name):
                        os.unlink(name)
            self.answer(204)
        else:
            self.get(path, meta)

    do_GET = do_HEAD = do_PUT = do_DELETE = handle_one


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


parser = argparse.ArgumentParser()
parser.add_argument("--port-file", required=True)
parser.add_argument("--dir", required=True)
parser.add_argument("--cert")
parser.add_argument("--conditional", default="yes")
parser.add_argument("--region", default="us-east-1")
parser.add_argument("--token", default="")
parser.add_argument("--port", type=int, default=0)
ARGS = parser.parse_args()
os.makedirs(os.path.join(ARGS.dir, ".meta"), exist_ok=True)
server = Server(("127.0.0.1", ARGS.port), Handler)
if ARGS.cert:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ARGS.cert)
    server.socket = context.wrap_socket(server.socket, server_side=True,
                                        do_handshake_on_connect=False)
with open(ARGS.port_file + ".new", "w") as f:
    f.write(f"{server.server_address[1]}\n")
os.rename(ARGS.port_file + ".new", ARGS.port_file)
server.serve_forever()
