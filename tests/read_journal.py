#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A second reader of journal files, acknowledgements and pairing texts, written
from docs/ alone. Prints what aimdump --json --data prints of a journal file, as
far as both know it. XXH3 is left out: the SHA-256 digests cover the same bytes.
usage: read_journal.py PUBLIC-KEY-FILE [GROUP-KEY-FILE...] FILE..."""
import hashlib, json, re, struct, sys, uuid, zlib
import unlock_journal as lock

OPS = {1: "write", 2: "zero", 3: "discard", 4: "resize", 5: "flush", 6: "void",
       7: "gap", 16: "copyin-begin", 17: "copyin", 18: "copyin-zero",
       19: "copyin-end", 32: "marker", 33: "heartbeat", 34: "cut", 35: "verify",
       36: "expand", 37: "establish", 38: "split", 39: "resync", 40: "promote"}
RANGE, NOTE = {1, 2, 3, 7, 17, 18}, {16, 19, 32} | set(range(34, 41))
DATA = {1, 17} | NOTE
sha = lambda b: hashlib.sha256(b).digest()

def need(true, what):
    if not true:
        raise ValueError(what)

# Ed25519, RFC 8032 section 6, verification only: slow and clear.
P, Q = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P

def add(a, b):
    A = (a[1] - a[0]) * (b[1] - b[0]) % P
    B = (a[1] + a[0]) * (b[1] + b[0]) % P
    C, E = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = B - A, E - C, E + C, B + A
    return (e * f % P, g * h % P, f * g % P, e * h % P)

def times(n, a):
    r = (0, 1, 1, 0)
    for bit in bin(n)[2:]:
        r = add(r, r)
        r = add(r, a) if bit == "1" else r
    return r

def point(b):
    y = int.from_bytes(b, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    xx = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(xx, (P + 3) // 8, P)
    x = x * pow(2, (P - 1) // 4, P) % P if (x * x - xx) % P else x
    need((x * x - xx) % P == 0, "not a point of the curve")
    x = P - x if x & 1 != sign else x
    return (x, y, 1, x * y % P)

def signed(key, domain, message, signature):
    message = domain + b"\0" + message
    s = int.from_bytes(signature[32:], "little")
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(),
                       "little") % Q
    base = point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))
    a, b = times(s, base), add(point(signature[:32]), times(h, point(key)))
    return (s < Q and (a[0] * b[2] - b[0] * a[2]) % P == 0
            and (a[1] * b[2] - b[1] * a[2]) % P == 0)

def blank(b):
    return b[:568] + bytes(72) + b[640:]

def uid(b):
    return str(uuid.UUID(bytes=b)) if any(b) else None

def text(b):
    s = b.split(b"\0")[0]
    need(s + bytes(len(b) - len(s)) == b, "text is not filled up with zeroes")
    return s.decode("ascii")

def header(b, key):
    u = lambda f, at: struct.unpack_from("<" + f, b, at)
    need(b[:16] == b"\x89AIM JOURNAL\r\n\x1a\n", "magic")
    h = dict(zip(("major", "minor", "header_len", "incompat", "compat", "kind",
                  "codec", "file_len", "iocb_off", "iocb_count", "iocb_len",
                  "data_off", "data_stored_len", "data_raw_len", "chunk_len",
                  "volumes", "targets", "epoch_number"),
                 u("HHIQQIIQQIIQQQIIII", 16)))
    h.update(zip(("sequence", "first", "last", "first_time_ns", "last_time_ns",
                  "sealed_time_ns"), u("6Q", 176)))
    for i, name in enumerate(("stream", "group", "site", "epoch")):
        h[name] = uid(b[112 + 16 * i:128 + 16 * i])
    h["parent_epoch"] = uid(b[224:240])
    h["parent_epoch_number"], h["parent_sequence"], h["fork"] = u("I4xQQ", 240)
    for name, at, n in (("prev_digest", 264, 32), ("content_digest", 296, 32),
                        ("stored_digest", 328, 32), ("salt", 360, 32),
                        ("key_id", 392, 16), ("group_key_id", 412, 16),
                        ("signature", 568, 64)):
        h[name] = b[at:at + n].hex() if n > 16 or any(b[at:at + n]) else None
    end = 640 + 32 * h["volumes"] + 16 * h["targets"] + u("I", 408)[0]
    need(h["major"] == 1 and h["incompat"] & ~3 == 0, "unknown version")
    need(h["header_len"] == (end + 63) // 64 * 64 == h["iocb_off"], "header")
    need(not any(b[244:248] + b[428:568]), "reserved")
    need(h["data_off"] == h["iocb_off"] + h["iocb_count"] * h["iocb_len"], "data")
    need(h["file_len"] == len(b) == (lock.length(h) if h["incompat"] & 1 else
                                     h["data_off"] + h["data_stored_len"]), "length")
    need(b[392:408] == sha(key)[:16], "key")
    need(signed(key, b"aim journal 1", blank(b[:h["header_len"]]), b[568:632]),
         "signature")
    return h

def raw_data(b, h):
    at, raw, heads, bodies = h["data_off"], b"", b"", b""
    while at < len(b):
        stored, n, codec, zero = struct.unpack_from("<IIII", b, at)
        part = b[at + 24:at + 24 + stored]
        heads, bodies = heads + b[at:at + 24], bodies + part
        at += 24 + stored
        if codec == 2:
            z = zlib.decompressobj()
            part = z.decompress(part, n) + z.flush()
            need(z.eof and not z.unused_data, "zlib stream")
        need(len(part) == n == min(h["chunk_len"], h["data_raw_len"] - len(raw))
             and zero == 0 and codec in (1, 2), "chunk")
        raw += part
    need(len(raw) == h["data_raw_len"], "raw length")
    need(h["incompat"] & 1 or b[328:360] ==
         sha(b"aim stored 1\0\0\0\0" + sha(b[h["iocb_off"]:h["data_off"]])
             + sha(heads) + sha(bodies)), "stored digest")
    return raw

def note(op, p):
    if op in (16, 19):
        kind, begin = struct.unpack_from("<I4xQ", p, 16)
        return {"id": uid(p[:16]), "kind": {1: "base", 2: "recovery"}[kind],
                "begin": begin}
    return {"target": uid(p[:16]), "initiator": uid(p[16:32]),
            "message": uid(p[32:48]), "name": text(p[56:120]),
            "value": struct.unpack_from("<Q", p, 48)[0]}

def journal(b, key):
    h = header(b, key)
    b, blind = lock.opened(b, h) if h["incompat"] & 1 else (b, b"")
    raw, out, canonical = raw_data(b, h), [], b""
    table = b[640:640 + 32 * h["volumes"]]
    targets = b[640 + len(table):][:16 * h["targets"]]
    volumes = [dict(zip(("uuid", "size", "kind"),
                        struct.unpack_from("<16sQI", table, at)))
               for at in range(0, len(table), 32)]
    size = [v["size"] for v in volumes]
    number, time, used = h["first"] - 1, h["first_time_ns"], 0
    for i in range(h["iocb_count"]):
        e = b[h["iocb_off"] + i * h["iocb_len"]:][:80]
        (op, flags, vol, _, n, t, off, length, at) = struct.unpack_from("<4I5Q", e)
        canonical += e[:12] + bytes(4) + e[16:56]
        dense = h["compat"] & 1
        need(number < n <= h["last"] and (not dense or n == number + 1), "number")
        need(time <= t <= h["last_time_ns"], "time")
        need(op not in RANGE or off + length <= size[vol], "range")
        number, time, t = n, t, {"number": n, "op": OPS[op], "volume": vol,
                                 "time_ns": t, "offset": off, "length": length}
        t["flags"] = "".join(c for k, c in enumerate("FRS") if flags >> k & 1)
        if op == 4:
            need(length == size[vol], "old size")
            size[vol] = off
        if op in DATA:
            need(at == used and at + length <= len(raw), "payload")
            payload, used = raw[at:at + length], used + length
            t.update(data_offset=at, data=payload.hex())
        if op in NOTE:
            t["note"] = note(op, payload)
        out.append(t)
    need(used == len(raw), "data beyond the last payload")
    c = (b"aim content 1\0\0\0" + b[112:176] + b[108:112] + b[40:44] + b[176:216]
         + struct.pack("<QQ", h["incompat"] & 2, h["compat"] & 3) + b[224:244]
         + bytes(4) + b[248:296] + b[100:108] + b[64:68] + bytes(4) + b[88:96]
         + table + targets)
    need(sha(c + sha(canonical) + sha(raw) + blind) == b[296:328], "content digest")
    return {"header": h, "transactions": out,
            "targets": [uid(targets[k:k + 16]) for k in range(0, len(targets), 16)],
            "volumes": [{"uuid": uid(v["uuid"]), "size": v["size"],
                         "kind": {1: "file", 2: "block"}[v["kind"]]} for v in volumes]}

def ack(b, key):
    need(b[:16] == b"\x89AIM ACKNOTE\r\n\x1a\n", "magic")
    (n, counter, state, count) = struct.unpack_from("<I16xQI28xI", b, 20)
    need(len(b) == n == 640 + 16 * count and b[544:560] == sha(key)[:16], "length")
    need(signed(key, b"aim acknowledgement 1", blank(b), b[568:632]), "signature")
    at = [struct.unpack_from("<16sI4xQQ32s", b, k) for k in (168, 240, 312)]
    return {"counter": counter, "state": state, "reason": text(b[384:544]),
            "positions": [(p[1], p[2], p[3], p[4].hex()) for p in at],
            "done": [uid(b[k:k + 16]) for k in range(640, n, 16)]}

def pairing(b, key):
    body, signature = re.fullmatch(rb"(.*\n)signature ([0-9a-f]{128})\n", b,
                                   re.S).groups()
    need(b"\nkey " + key.hex().encode() + b"\n" in body, "key")
    need(signed(key, b"aim pairing 1", body, bytes.fromhex(signature.decode())),
         "signature")
    return {"lines": body.decode("ascii").splitlines()}

if __name__ == "__main__":
    public = bytes.fromhex(open(sys.argv[1]).read())
    for path in sys.argv[2:]:
        content = open(path, "rb").read()
        if lock.take(content):
            continue
        read = (journal if content[5:6] == b"J" else
                ack if content[5:6] == b"A" else pairing)
        print(json.dumps(read(content, public)))
