# SPDX-License-Identifier: Apache-2.0
"""Opens encrypted journal files for read_journal.py, from docs/ alone as well:
docs/journal-format.md section 9, FIPS 197 (AES), NIST SP 800-38D (GCM), RFC 5869
(HKDF). Slow and clear, and in need of no library."""
import hashlib, hmac, re, struct

BLOCK, TAG, BLIND = 65536, 16, 32
sha = lambda b: hashlib.sha256(b).digest()
keys = {}

def take(content):
    """Is it a key file? Then its key is known from now on."""
    m = re.fullmatch(rb"aim-group-key 1\ngroup ([0-9a-f-]{36})\nid ([0-9a-f]{32})"
                     rb"\nkey ([0-9a-f]{64})\n", content)
    if m:
        key = bytes.fromhex(m[3].decode())
        assert sha(b"aim group key 1\0" + key)[:16].hex() == m[2].decode(), "id"
        keys[m[2].decode()] = key
    return m is not None

def gf(a, b):  # GF(2^8) of AES
    r = 0
    while b:
        r ^= a * (b & 1)
        a, b = (a << 1 ^ (0x11b if a & 0x80 else 0)), b >> 1
    return r

def sbox():
    out = [0x63]
    for x in range(1, 256):
        inv = next(y for y in range(1, 256) if gf(x, y) == 1)
        r = inv
        for k in range(1, 5):
            r ^= (inv << k | inv >> (8 - k)) & 255
        out.append(r ^ 0x63)
    return out

S = sbox()
X2 = [gf(x, 2) for x in range(256)]

def schedule(key):
    w, rcon = [list(key[i:i + 4]) for i in range(0, 32, 4)], 1
    for i in range(8, 60):
        t = list(w[-1])
        if i % 8 == 0:
            t = [S[x] for x in t[1:] + t[:1]]
            t[0], rcon = t[0] ^ rcon, X2[rcon]
        elif i % 8 == 4:
            t = [S[x] for x in t]
        w.append([a ^ b for a, b in zip(w[-8], t)])
    return [sum(w[i:i + 4], []) for i in range(0, 60, 4)]

def aes(rounds, block):
    s = [a ^ b for a, b in zip(block, rounds[0])]
    for r in range(1, 15):
        s = [S[s[(i + 4 * (i % 4)) % 16]] for i in range(16)]
        if r < 14:
            for c in range(0, 16, 4):
                q = s[c:c + 4]
                all_ = q[0] ^ q[1] ^ q[2] ^ q[3]
                s[c:c + 4] = [q[i] ^ all_ ^ X2[q[i] ^ q[(i + 1) % 4]]
                              for i in range(4)]
        s = [a ^ b for a, b in zip(s, rounds[r])]
    return bytes(s)

def ghash(h, data):
    y = 0
    for i in range(0, len(data), 16):
        y ^= int.from_bytes(data[i:i + 16].ljust(16, b"\0"), "big")
        z, v = 0, h
        for bit in range(127, -1, -1):
            z ^= v if y >> bit & 1 else 0
            v = v >> 1 ^ (0xe1 << 120 if v & 1 else 0)
        y = z
    return y.to_bytes(16, "big")

def gcm(key, nonce, aad, stored):
    rounds, text, tag = schedule(key), stored[:-TAG], stored[-TAG:]
    h = int.from_bytes(aes(rounds, bytes(16)), "big")
    mask = lambda n: aes(rounds, nonce + struct.pack(">I", n))
    pad = lambda b: b + bytes(-len(b) % 16)
    sum_ = ghash(h, pad(aad) + pad(text)
                 + struct.pack(">QQ", 8 * len(aad), 8 * len(text)))
    assert bytes(a ^ b for a, b in zip(sum_, mask(1))) == tag, "does not open"
    return b"".join(bytes(a ^ b for a, b in zip(text[i:i + 16], mask(i // 16 + 2)))
                    for i in range(0, len(text), 16))

def length(h):
    n = BLIND + h["iocb_count"] * h["iocb_len"] + h["data_stored_len"]
    return h["header_len"] + n + (n + BLOCK - 1) // BLOCK * TAG

def opened(b, h):
    """The file as it is when it is open, and its blind."""
    head, body = b[:h["header_len"]], b[h["header_len"]:]
    blocks = [body[i:i + BLOCK + TAG] for i in range(0, len(body), BLOCK + TAG)]
    assert (sha(b"aim stored 2\0\0\0\0" + b"".join(map(sha, blocks)))
            == b[328:360]), "stored digest"
    prk = hmac.digest(b[360:392], keys[h["group_key_id"]], "sha256")
    key = hmac.digest(prk, b"aim file key 1\0\0" + b[112:128] + b"\1", "sha256")
    bound = sha(head[:328] + bytes(32) + head[360:568] + bytes(72) + head[640:])
    last = len(blocks) - 1
    o = b"".join(gcm(key, struct.pack("<QI", i, i == last),
                     bound if i == last else b"", x) for i, x in enumerate(blocks))
    return head + o[BLIND:], o[:BLIND]
