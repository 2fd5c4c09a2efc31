# SPDX-License-Identifier: Apache-2.0
"""replay_log LOG DISK: writes a write log onto a file, as any other tool that
knows dm-log-writes would; prints the marks. Shares no code with AIM."""
import struct
import sys


def main(log_name, disk_name):
    with open(log_name, "rb") as log, open(disk_name, "r+b") as disk:
        magic, version, entries, sector = struct.unpack("<QQQI", log.read(28))
        assert magic == 0x006A736677736872 and version == 1, "no log"
        at = sector
        for _ in range(entries):
            log.seek(at)
            head = log.read(sector)
            first, count, flags, length = struct.unpack("<QQQQ", head[:32])
            at += sector
            if flags & 8:
                print(head[32:32 + length].decode())
            if flags & 4:
                disk.seek(first * sector)
                disk.write(bytes(count * sector))
            elif count:
                data = log.read(count * sector)
                assert len(data) == count * sector, "cut off"
                disk.seek(first * sector)
                disk.write(data)
                at += count * sector


main(sys.argv[1], sys.argv[2])
