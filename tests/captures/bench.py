#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How fast a capture is read, beside tcpdump -r and tshark.

    bench.py --tcptrail PROGRAM [--packets 1000000] [--keep FILE]

Writes a capture of connections of twenty packets each, a thousand open at a time, reads it
with each tool (the best of three; tshark once) and prints a JSON line: processor seconds,
packets a second, the ratio to tcptrail.
"""
import argparse
import json
import os
import resource
import shutil
import struct
import subprocess
import sys
import tempfile

from packets import ACK, PSH, Talk

OPEN = 1000


def life():
    t = Talk(step=0.0001).open()
    for n in range(6):
        t.c(PSH | ACK, 1 + 100 * n, 1 + 1000 * n, 100)
        t.s(PSH | ACK, 1 + 1000 * n, 101 + 100 * n, 1000)
    t.c(ACK, 601, 6001)
    return t.close_client(601, 6001).packets


def write(path, count):
    """Frames are made once and given each connection's addresses and port."""
    frames = [(p.frame(1, 7), p.src[1] == 40000) for p in life()]
    each, done, base, us = len(frames), 0, 0, 0
    with open(path, "wb", buffering=1 << 22) as f:
        f.write(struct.pack("=IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
        while done < count:
            for frame, from_client in frames:
                for n in range(base, base + OPEN):
                    address = struct.pack("!I", 0x0a000000 + n // 60000)
                    port = struct.pack("!H", 1024 + n % 60000)
                    b = bytearray(frame)
                    if from_client:
                        b[26:30], b[34:36] = address, port
                    else:
                        b[30:34], b[36:38] = address, port
                    us += 3
                    f.write(struct.pack("=IIII", 1700000000 + us // 1000000, us % 1000000,
                                        len(b), len(b)))
                    f.write(b)
            base += OPEN
            done += OPEN * each
    return done


def cpu_of(args):
    """Processor seconds of a run whose output goes nowhere."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(args, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tcptrail", required=True)
    parser.add_argument("--packets", type=int, default=1000000)
    parser.add_argument("--keep")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tcptrail-bench-") as folder:
        path = args.keep or os.path.join(folder, "bench.pcap")
        count = write(path, args.packets)
        where = os.environ["PATH"] + ":/usr/sbin:/sbin"
        runs = {
            "tcptrail conns": ([args.tcptrail, "conns", "--from", path], 3),
            "tcptrail timeline -o json": ([args.tcptrail, "timeline", "-o", "json", "--from",
                                           path], 3),
            "tcptrail --packets": ([args.tcptrail, "timeline", "--packets", "--from", path], 1),
            "tcpdump -r": (["tcpdump", "-nn", "-r", path], 3),
            "tshark": (["tshark", "-n", "-r", path], 1),
        }
        out, ours = {"packets": count, "bytes": os.path.getsize(path)}, 0
        for name, (command, times) in runs.items():
            if not shutil.which(command[0], path=where):
                continue
            command[0] = shutil.which(command[0], path=where)
            best = min(cpu_of(command) for _ in range(times))
            ours = ours or best
            out[name] = {"cpu_s": round(best, 2), "packets_per_s": round(count / best),
                         "ratio": round(best / ours, 1)}
        print(json.dumps(out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
