#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a snapshot costs: `tcptrail stuck` beside `ss -tanpe` on the same sockets.

    tests/bench/stuck_bench.py [--tcptrail build/tcptrail] [--sockets 100000] [--rounds 5]

Makes that many sockets on the loopback (half of them in CLOSE_WAIT, half in FIN_WAIT_2
after shutdown()), held by as many processes as the descriptor limit asks for, and runs
both tools over them in turn. Prints the median time and the largest memory of each, and
whether both saw all of them. Exit 0 when tcptrail missed nothing, took under a second of
a processor and under 200 MB, and less than ss. Needs root.
"""
import argparse
import json
import os
import resource
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time

PORT = 26100
RESERVE = 64            # descriptors that a holder needs for itself
LIMIT_S, LIMIT_MB = 1.0, 200
READY_S = 120


def hold(n, address, out):
    """Opens n connections to ourselves, closes the client's direction, and waits to be ended."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, PORT))
    listener.listen(512)
    kept = [listener]
    for _ in range(n):
        client = socket.create_connection((address, PORT))
        server, _ = listener.accept()
        client.shutdown(socket.SHUT_WR)
        kept += [client, server]
    os.write(out, b"r")
    select.select([sys.stdin], [], [])


class Holders:
    """Processes that hold the sockets; ended by the end of their standard input."""

    def __init__(self, sockets):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = (hard - RESERVE) // 2
        left, self.children, i = sockets // 2, [], 0
        ready, tell = os.pipe()
        self.end_read, self.end_write = os.pipe()
        while left:
            n = min(left, most)
            self.children.append(self.start(n, f"127.0.{26 + i // 250}.{1 + i % 250}", tell))
            left -= n
            i += 1
        os.close(tell)
        deadline = time.monotonic() + READY_S
        got = 0
        while got < len(self.children):
            r, _, _ = select.select([ready], [], [], max(0, deadline - time.monotonic()))
            said = os.read(ready, 64) if r else b""
            if not said:
                self.close()
                raise SystemExit("the sockets could not be made")
            got += len(said)
        os.close(ready)

    def start(self, n, address, tell):
        pid = os.fork()
        if pid:
            return pid
        try:
            os.close(self.end_write)
            os.dup2(self.end_read, 0)
            _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            hold(n, address, tell)
        finally:
            os._exit(0)

    def close(self):
        os.close(self.end_write)
        os.close(self.end_read)
        for pid in self.children:
            os.waitpid(pid, 0)


def run(argv, out_path):
    """(seconds, of them processor time, peak memory in MB, exit status)"""
    start = time.monotonic()
    with open(out_path, "wb") as out:
        p = subprocess.Popen(argv, stdout=out, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(p.pid, 0)
    p.returncode = os.waitstatus_to_exitcode(status)
    return (time.monotonic() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024,
            p.returncode)


def count_ss(path):
    """Our sockets with their holder."""
    with open(path, encoding="utf-8", errors="replace") as f:
        return sum(1 for line in f if f":{PORT}" in line and "users:" in line
                   and not line.startswith("LISTEN"))


def count_list(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        rows = [line.split(",") for line in f.read().splitlines()[1:]]
    ours = [r for r in rows if str(PORT) in (r[6], r[8]) and r[9] and r[11]]
    return len(ours)


def counted(path, state):
    with open(path, encoding="utf-8", errors="replace") as f:
        for line in f:
            words = line.split()
            if words and words[0] == state:
                return int(words[1])
    return 0


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("--tcptrail", default="build/tcptrail")
    ap.add_argument("--sockets", type=int, default=100000)
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--json", action="store_true", help="close with the figures as a JSON line")
    args = ap.parse_args()
    if os.geteuid():
        raise SystemExit("needs root")
    n = args.sockets // 2 * 2
    holders = Holders(n)
    tools = {
        "tcptrail stuck": [args.tcptrail, "stuck", "--min-age", "0"],
        "tcptrail stuck --list -o csv": [args.tcptrail, "stuck", "--min-age", "0", "--list",
                                         "-o", "csv"],
        "ss -tanpe": ["ss", "-tanpe"],
    }
    took = {name: [] for name in tools}
    busy = {name: [] for name in tools}
    peak = dict.fromkeys(tools, 0.0)
    status = 0
    with tempfile.TemporaryDirectory() as tmp:
        paths = {name: os.path.join(tmp, str(i)) for i, name in enumerate(tools)}
        try:
            for _ in range(args.rounds):
                for name, argv in tools.items():
                    s, cpu, mb, rc = run(argv, paths[name])
                    took[name].append(s)
                    busy[name].append(cpu)
                    peak[name] = max(peak[name], mb)
                    status |= rc
        finally:
            holders.close()
        report, listed, ss = (paths[name] for name in tools)
        seen = {
            "tcptrail stuck": counted(report, "CLOSE-WAIT") + counted(report, "FIN-WAIT-2"),
            "tcptrail stuck --list -o csv": count_list(listed),
            "ss -tanpe": count_ss(ss),
        }
    print(f"{n} sockets, {len(holders.children)} processes, median of {args.rounds}:")
    for name in tools:
        print(f"  {name:30} {statistics.median(took[name]):7.3f} s  "
              f"{statistics.median(busy[name]):6.3f} s CPU  {peak[name]:4.0f} MB  "
              f"{seen[name]:7d} seen with their holder")
    # Processor time, so that what else the host does is not counted: each is one thread.
    mine = statistics.median(busy["tcptrail stuck"])
    checks = {
        "every socket is in the report": seen["tcptrail stuck"] >= n,
        "every socket is listed with its holder": seen["tcptrail stuck --list -o csv"] >= n,
        f"under {LIMIT_S:g} s": mine < LIMIT_S,
        f"under {LIMIT_MB} MB": peak["tcptrail stuck"] < LIMIT_MB,
        "faster than ss": mine < statistics.median(busy["ss -tanpe"]),
        "no run failed": status == 0,
    }
    for what, good in checks.items():
        print(("ok - " if good else "not ok - ") + what)
    if args.json:
        print(json.dumps({"sockets": n, "tools": {
            name: {"s": statistics.median(took[name]), "cpu_s": statistics.median(busy[name]),
                   "peak_mb": peak[name], "seen": seen[name]} for name in tools}}))
    return 0 if all(checks.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
