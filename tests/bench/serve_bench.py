#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What scraping costs: `serve` beside 10,000 open connections and churn, without and with 20
scrapes of /metrics a second, in turn. Root. Prints the processor time a second of each, the
median difference within a pair, and the peak memory; the last line is the same as JSON.

    tests/bench/serve_bench.py --build build [--seconds 10] [--pairs 5] [--connections 10000]
"""
import argparse
import http.client
import json
import os
import re
import signal
import statistics
import subprocess
import time

PORT = 29560
SCRAPES_A_SECOND = 20


def cpu_s(pid):
    """Of all its threads, user and system, to the nanosecond (a clock tick is 1 % of a second)."""
    total = 0
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/schedstat", encoding="ascii") as f:
            total += int(f.read().split()[0])
    return total / 1e9


def peak_kb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
        return int(re.search(r"VmHWM:\s+(\d+)", f.read())[1])


def measure(pid, seconds, scrape):
    """Processor seconds a second; the connection is kept, as a scraper's is."""
    client = http.client.HTTPConnection("127.0.0.1", PORT, timeout=30)
    before, start, size, n = cpu_s(pid), time.monotonic(), 0, 0
    while time.monotonic() - start < seconds:
        if scrape:
            client.request("GET", "/metrics")
            size = len(client.getresponse().read())
            n += 1
        time.sleep(max(0, start + (n if scrape else 1e9) / SCRAPES_A_SECOND - time.monotonic())
                   if scrape else 0.1)
    client.close()
    took = time.monotonic() - start
    return (cpu_s(pid) - before) / took, size, n / took


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--build", required=True)
    ap.add_argument("--seconds", type=float, default=10)
    ap.add_argument("--pairs", type=int, default=5)
    ap.add_argument("--connections", type=int, default=10000)
    ap.add_argument("--churn", type=int, default=1, help="workers of churn beside them; 0: none")
    args = ap.parse_args()
    started = []

    def run(*command, **kw):
        p = subprocess.Popen(command, **kw)
        started.append(p)
        return p

    try:
        run(f"{args.build}/tests/churn", "hold", "-n", str(args.connections),
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        time.sleep(3)
        serve = run(f"{args.build}/tcptrail", "serve", "--listen", str(PORT),
                    stderr=subprocess.DEVNULL)
        time.sleep(3)
        if args.churn:
            run(f"{args.build}/tests/churn", "churn", "-s", str(args.seconds * (2 * args.pairs + 1) + 20), "-w",
                str(args.churn), stdout=subprocess.DEVNULL)
        time.sleep(1)
        pairs = []
        for _ in range(args.pairs):     # in turn: other load falls on both
            pairs.append((measure(serve.pid, args.seconds, False),
                          measure(serve.pid, args.seconds, True)))
        quiet = statistics.median(q[0] for q, _ in pairs)
        busy = statistics.median(b[0] for _, b in pairs)
        cost = statistics.median(b[0] - q[0] for q, b in pairs)
        size, rate = pairs[0][1][1:]
        print(f"{args.connections} open connections, churn: {args.churn} workers, "
              f"{args.pairs} pairs of {args.seconds:g} s")
        print(f"without scrapes  {100 * quiet:6.2f} % of a core")
        print(f"{rate:4.1f} scrapes/s   {100 * busy:6.2f} % of a core, {size} bytes each")
        print(f"scraping costs   {100 * cost:6.2f} % of a core")
        print(f"peak memory      {peak_kb(serve.pid) / 1024:6.1f} MiB")
        print(json.dumps({"quiet": quiet, "scraped": busy, "cost": cost, "scrapes_per_s": rate,
                          "bytes": size, "peak_kb": peak_kb(serve.pid),
                          "pairs": [b[0] - q[0] for q, b in pairs]}))
    finally:
        for p in reversed(started):
            p.send_signal(signal.SIGTERM)
            p.wait()


if __name__ == "__main__":
    main()
