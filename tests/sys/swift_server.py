# SPDX-License-Identifier: Apache-2.0
"""OpenStack Swift with its S3 interface, all of it in one process of its own:
a proxy that verifies signatures, and one account, container and object server
behind it.

  swift_server.py DIR [--cert PEM] [--skew SECONDS]

All its files are in DIR, which must be on a file system with extended
attributes. DIR/port is written when it is ready to answer. The access key is
test:tester, its secret testing. --skew: what its clock is wrong by.
"""
import argparse, os, sys, time

parser = argparse.ArgumentParser()
parser.add_argument("dir")
parser.add_argument("--cert")
parser.add_argument("--port", type=int, default=0)
parser.add_argument("--skew", type=float, default=0)
ARGS = parser.parse_args()
if ARGS.skew:
    _time = time.time
    time.time = lambda: _time() + ARGS.skew

from swift.common import utils
from swift.common.wsgi import loadapp, SwiftHttpProtocol
utils.eventlet_monkey_patch()
import eventlet
import eventlet.wsgi
import logging

DIR = os.path.abspath(ARGS.dir)


def write(name, text):
    with open(os.path.join(DIR, name), "w") as f:
        f.write(text)
    return os.path.join(DIR, name)


os.makedirs(os.path.join(DIR, "devices", "d1"), exist_ok=True)
write("swift.conf", """
[swift-hash]
swift_hash_path_suffix = aim
[storage-policy:0]
name = all
default = yes
""")
utils.set_swift_dir(DIR)
from swift.common.storage_policy import reload_storage_policies
reload_storage_policies()
from swift.common.ring import RingBuilder

COMMON = """
[DEFAULT]
swift_dir = {dir}
devices = {dir}/devices
mount_check = false
user = root
log_level = ERROR
fallocate_reserve = 0
"""
NAMES = ["account", "container", "object"]
BACK = {n: eventlet.listen(("127.0.0.1", 0), backlog=128) for n in NAMES}
APPS = {}
for name, sock in BACK.items():
    ring = RingBuilder(2, 1, 0)
    ring.add_dev({"region": 1, "zone": 1, "ip": "127.0.0.1",
                  "port": sock.getsockname()[1], "device": "d1", "weight": 1,
                  "replication_ip": "127.0.0.1",
                  "replication_port": sock.getsockname()[1]})
    ring.rebalance()
    ring.get_ring().save(os.path.join(DIR, name + ".ring.gz"))
utils.FALLOCATE_RESERVE = 0
for name in NAMES:
    APPS[name] = loadapp(write(name + ".conf", (COMMON + """
[pipeline:main]
pipeline = {name}-server
[app:{name}-server]
use = egg:swift#{name}
""").format(dir=DIR, name=name)), {"log_name": name})
APPS["proxy"] = loadapp(write("proxy.conf", (COMMON + """
[pipeline:main]
pipeline = catch_errors gatekeeper s3api tempauth proxy-server
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
storage_domain = localhost
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
user_test_reader = reading
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true
""").format(dir=DIR)), {"log_name": "proxy"})



class Cache(dict):
    """What memcached would be."""

    def __bool__(self):
        return True

    def get(self, key, *args, **kwargs):
        return dict.get(self, key)

    def set(self, key, value, *args, **kwargs):
        self[key] = value

    def incr(self, key, delta=1, *args, **kwargs):
        self[key] = int(dict.get(self, key, 0)) + delta
        return self[key]

    def decr(self, key, delta=1, *args, **kwargs):
        return self.incr(key, -delta)

    def delete(self, key, *args, **kwargs):
        self.pop(key, None)


CACHE, PROXY = Cache(), APPS["proxy"]


def with_cache(env, start_response):
    env["swift.cache"] = CACHE
    return PROXY(env, start_response)


APPS["proxy"] = with_cache
front = eventlet.listen(("127.0.0.1", ARGS.port), backlog=128)
port = front.getsockname()[1]
if ARGS.cert:
    front = eventlet.wrap_ssl(front, certfile=ARGS.cert, keyfile=ARGS.cert,
                              server_side=True)
BACK["proxy"] = front


class Quiet:
    def write(self, text):
        pass


logging.raiseExceptions = False
pool = eventlet.GreenPool(1000)
for name, sock in BACK.items():
    eventlet.spawn(eventlet.wsgi.server, sock, APPS[name], Quiet(),
                   custom_pool=pool, protocol=SwiftHttpProtocol,
                   capitalize_response_headers=False)
write("port.new", "%d\n" % port)
os.rename(os.path.join(DIR, "port.new"), os.path.join(DIR, "port"))
while True:
    eventlet.sleep(3600)
