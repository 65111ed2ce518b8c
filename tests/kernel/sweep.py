#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Connections whose end the tracer was not told: they leave its table, and nobody else does.

    sweep.py [--tcptrail PATH] [--churn PATH]

A tracer with a ring of 64 KiB knows some connections, is stopped (SIGSTOP), others fill its
ring, and a half of those that it knows is closed. It has to find out by itself: each of these
is told once, incomplete, its end unseen (or as TIME_WAIT that was found), and what was lost is
in the ledger. The other half is open all the time and may not end before it is closed; some of
these are bound to a device, which sock_diag does not find. The replay of its recording is the
same. And where the kernel keeps no more timewait minisocks (tcp_max_tw_buckets, in a network
namespace of our own), the tracer counts no more. A line a check, and a last line: N passed, N
failed, N skipped.
"""
import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

from ledger import Tracer  # it makes the tests' own folder known
from tally import Tally

PORT, OTHER = 24810, 24811
PAIRS = 40
AT_A_TIME = 8
LIMIT_S = 180
BUCKETS = 50


class Pairs:
    """Connections of our own: every fourth one's client is bound to lo. So many at a time as the
    small ring holds: the tracer takes them before the next, if it is not stopped."""

    def __init__(self, listener, tracer):
        self.ends = []
        for i in range(PAIRS):
            client = socket.socket()
            if i % 4 == 0:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
            client.connect(listener.getsockname())
            self.ends.append((client, listener.accept()[0]))
            if i % AT_A_TIME == AT_A_TIME - 1:
                tracer.turn()
        self.ports = {client.getsockname()[1] for client, _ in self.ends}

    def close(self, tracer=None):
        for i, (client, server) in enumerate(self.ends):
            client.close()
            server.close()
            if tracer and i % AT_A_TIME == AT_A_TIME - 1:
                tracer.turn()
        self.ends = []


def records_of(path):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    return [json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines()]


def of(records, ports):
    """The ends of these connections, by either port; the churn's clients may have the same ones."""
    def both(r):
        return {r["network"]["local"]["port"], r["network"]["peer"]["port"]}
    return [r for r in records if r["event"]["name"] == "tcp.connection" and
            PORT in both(r) and ports & both(r)]


def until(what):
    for _ in range(LIMIT_S * 4):
        if what():
            return True
        time.sleep(0.25)
    return False


def honest(record):
    """Nothing of an end that nobody saw is made up."""
    tcp = record["tcp"]
    if not tcp["incomplete"]:
        return False
    if tcp["teardown"]["kind"] == "unseen":
        return "end" not in record["event"] and "duration" not in record["event"] and \
            tcp["end_reason"] == "unknown" and "duration_ns" not in tcp["teardown"]
    return "lookup" in tcp["evidence"] and tcp["teardown"]["time_wait"] == "running"


def run(args, directory, check):
    out, recording = os.path.join(directory, "out"), os.path.join(directory, "ttr")
    words = ["conns", "-o", "json", "--buffer", "64K", "-P", f"{PORT},{OTHER}"]
    tracer = Tracer(args.tcptrail, [*words, "--record", recording], out)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", PORT))
    listener.listen(PAIRS)
    try:
        check("traces", tracer.wait_ready(), tracer.said())
        stay, go = Pairs(listener, tracer), Pairs(listener, tracer)
        tracer.process.send_signal(signal.SIGSTOP)
        made = subprocess.run([args.churn, "churn", "-l", str(OTHER), "-n", "1000"],
                              capture_output=True, text=True, timeout=120, check=False)
        check("churn filled the ring", made.returncode == 0, made.stderr)
        go.close()
        tracer.process.send_signal(signal.SIGCONT)
        check("those that were closed unseen leave the table",
              until(lambda: len(of(records_of(out), go.ports)) >= 2 * PAIRS),
              f"{len(of(records_of(out), go.ports))} of {2 * PAIRS}")
        wrong = of(records_of(out), stay.ports)
        check("those that are open do not", not wrong, json.dumps(wrong[:1]))
        stay.close(tracer)
    finally:
        listener.close()
        status, _, said = tracer.finish()
    records = records_of(out)
    gone, there = of(records, go.ports), of(records, stay.ports)
    stats = records[-1]["tracer"]
    check("ends with 0", status == 0, said)
    check("each is told once", len(gone) == 2 * PAIRS and
          len({r["tcp"]["socket_id"] for r in gone}) == 2 * PAIRS, str(len(gone)))
    dishonest = [r for r in gone if not honest(r)]
    check("each says what was not seen", not dishonest, json.dumps(dishonest[:1]))
    check("the ledger has what was lost, once", stats["lost"]["ring_full"] > 0 and
          "end_unseen" not in stats["lost"], json.dumps(stats["lost"]))
    check("those that stayed are told whole", len(there) == 2 * PAIRS and
          not any(r["tcp"]["incomplete"] for r in there), json.dumps(there[:1]))
    again = subprocess.run([args.tcptrail, "conns", "-o", "json", "--from", recording],
                           stdout=subprocess.PIPE, text=True, check=True).stdout
    with open(out, encoding="utf-8") as f:
        check("its recording gives the same", again == f.read())


def time_wait(path="/proc/self/net/sockstat"):
    with open(path, encoding="ascii") as f:
        return int(re.search(r"^TCP: .* tw (\d+)", f.read(), re.M).group(1))


def counted(tracer):
    """TIME-WAIT in the table that SIGUSR1 prints."""
    found = re.search(r"^TIME-WAIT +(\d+)$", tracer.turn(), re.M)
    return int(found.group(1)) if found else 0


def buckets(args, check):
    """In a namespace of its own: what the kernel does not keep is not counted."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with open("/proc/sys/net/ipv4/tcp_max_tw_buckets", "w", encoding="ascii") as f:
        f.write(str(BUCKETS))
    tracer = Tracer(args.tcptrail, ["conns", "-o", "json", "-P", str(OTHER), "--mode", "base"])
    check("buckets: traces", tracer.wait_ready(), tracer.said())
    subprocess.run([args.churn, "churn", "-l", str(OTHER), "-n", str(10 * BUCKETS)],
                   capture_output=True, timeout=120, check=True)
    kept = time_wait()
    check("buckets: the kernel keeps few", 0 < kept <= BUCKETS, str(kept))
    check("buckets: the tracer counts no more", until(lambda: not time_wait() or counted(tracer) == time_wait()) and
          counted(tracer) == time_wait() > 0,
          f"{counted(tracer)}, the kernel {time_wait()}")
    status, records, said = tracer.finish()
    ends = sum(r["event"]["name"] == "tcp.connection" for r in records)
    check("buckets: each end was told", status == 0 and ends == 20 * BUCKETS, f"{ends}\n{said}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--buckets", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--tcptrail", default="build/tcptrail")
    parser.add_argument("--churn", default="build/tests/churn")
    args = parser.parse_args()
    tally = Tally()

    if os.geteuid():
        print("skip - sweep: needs root\n0 passed, 0 failed, 1 skipped")
        return 0
    if args.buckets:
        buckets(args, tally.check)
        print(json.dumps([tally.passed, tally.failed]))
        return 0
    inner = subprocess.run(["unshare", "-n", sys.executable, __file__, "--buckets", "--tcptrail",
                            args.tcptrail, "--churn", args.churn], stdout=subprocess.PIPE,
                           text=True, check=False).stdout.splitlines()
    print("\n".join(inner[:-1]), flush=True)
    tally.passed, tally.failed = json.loads(inner[-1]) if inner else (0, 1)
    with tempfile.TemporaryDirectory(prefix="tcptrail-sweep-") as directory:
        run(args, directory, tally.check)
    return tally.end()


if __name__ == "__main__":
    sys.exit(main())
