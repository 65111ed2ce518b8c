#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Churn for a while: memory stays flat, nothing is lost unexplained, and at the end the table
counts what ss counts.

    soak.py [--seconds N] [--rate N] [--tcptrail PATH] [--churn PATH]

60 seconds if nothing is said (SOAK_SECONDS in the environment says it too). Two workers connect
and close as fast as they can, or --rate of them a second, while one tracer writes each connection
to a file; its resident memory is sampled. The churn's own count is the independent one: every
connection has two ends, each told or counted as lost. Connections held to the end are in the
table as in ss; after a long run (from LONG_S on) the minute of TIME_WAIT is waited for, and the
table must count what ss counts in every state. `make soak` runs it in a network namespace of its
own. A line a check, and a last line: N passed, N failed, N skipped.
"""
import argparse
import collections
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)

from tracers import Tracer  # noqa: E402

PORT, HELD_PORT = 29400, 29401
HELD = 200
WARM_PART = 4          # the first quarter fills caches, slabs and queues
FLAT_KIB = 2048        # what is left may not grow by more
ROUND_S = 5
LONG_S = 300
TIME_WAIT_S = 60
REPORTS = 12           # lines about a run, however long


class Report:
    def __init__(self):
        self.passed = self.failed = 0

    def check(self, name, holds, why=""):
        self.passed += bool(holds)
        self.failed += not holds
        print(f"{'ok' if holds else 'not ok'} {self.passed + self.failed} - {name}", flush=True)
        if not holds:
            print(f"    {why}")


def rss_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))


def counts_of_ss():
    """{state: sockets} of both ports, as ss has them."""
    ports = " or ".join(f"{end} = :{port}" for port in (PORT, HELD_PORT)
                        for end in ("sport", "dport"))
    out = subprocess.run(["ss", "-tanH", ports], capture_output=True, text=True,
                         check=True).stdout
    return dict(collections.Counter(line.split()[0] for line in out.splitlines()))


def table_counts(tracer):
    """What SIGUSR1 prints last: {state: sockets}."""
    before = tracer.said().count(b"STATE         SOCKETS")
    tracer.process.send_signal(signal.SIGUSR1)
    for _ in range(100):
        said = tracer.said()
        if said.count(b"STATE         SOCKETS") > before:
            time.sleep(0.2)
            last = tracer.said().decode().rsplit("STATE         SOCKETS", 1)[1]
            return {k: int(v) for k, v in re.findall(r"^([A-Z0-9-]+) +(\d+)$", last, re.M)}
        time.sleep(0.05)
    return {}


def count_and_forget(tracer, ends):
    """The output is counted and emptied: an hour of it would fill a disk. By whole lines."""
    with open(tracer.out, "rb") as f:
        f.seek(ends["at"])
        data = f.read()
        cut = data.rfind(b"\n") + 1
        ends["n"] += data.count(b'"tcp.connection"', 0, cut)
        ends["incomplete"] += data.count(b'"incomplete":true', 0, cut)
        ends["last"] = data[:cut].rstrip(b"\n").rsplit(b"\n", 1)[-1] if cut else ends["last"]
        ends["at"] += cut
    # A hole instead of what was read: the tracer goes on at its own offset.
    subprocess.run(["fallocate", "--punch-hole", "--offset", "0", "--length",
                    str(max(ends["at"], 1)), tracer.out], stderr=subprocess.DEVNULL)


def churn_for(options, seconds, tracer, ends):
    """What was made, what failed, and the tracer's memory after each round."""
    made = failed = 0
    samples = []
    start = time.monotonic()
    end = start + seconds
    while time.monotonic() < end:
        turn = time.monotonic()
        some = min(ROUND_S, max(1, end - turn))
        much = ["-w", "1", "-n", str(max(1, int(options.rate * some)))] if options.rate else \
            ["-w", "2", "-s", f"{some:.1f}"]
        done = subprocess.run([options.churn, "churn", "-l", str(PORT), *much],
                              capture_output=True, timeout=300)
        result = json.loads(done.stdout)
        made += result["connections"]
        failed += result["failed"]
        count_and_forget(tracer, ends)
        samples.append(rss_kib(tracer.process.pid))
        if options.rate:
            time.sleep(max(0, min(turn + some, end) - time.monotonic()))
        if len(samples) % max(1, int(seconds / ROUND_S / REPORTS)) == 0:
            print(f"# {time.monotonic() - start:.0f} s: {made} connections, "
                  f"{ends['n']} ends told, memory {samples[-1]} KiB", flush=True)
    return made, failed, samples


def compare_tables(report, tracer, long):
    """The held ones in any case; every state once nothing is on its way out any more."""
    if long:
        end = time.monotonic() + TIME_WAIT_S + 10
        while time.monotonic() < end and counts_of_ss().get("TIME-WAIT"):
            time.sleep(1)
    time.sleep(1)
    by_ss, table = counts_of_ss(), table_counts(tracer)
    print(f"# ss: {by_ss}, the table: {table}")
    report.check("the table counts what ss counts",
                 table.get("ESTAB") == by_ss.get("ESTAB") == 2 * HELD, f"{table} {by_ss}")
    if long:
        report.check("... in every state", table == by_ss, f"{table} {by_ss}")
    return table


def run(report, options, seconds, directory):
    tracer = Tracer(options.tcptrail, ["conns", "-o", "json", "--buffer", "128M", "-P",
                                       f"{PORT},{HELD_PORT}", "--netns", "/proc/self/ns/net"], directory, "soak")
    held = None
    ends = {"n": 0, "at": 0, "incomplete": 0, "last": b""}
    try:
        report.check("the tracer traces", tracer.wait_ready() is None, tracer.said())
        held = subprocess.Popen([options.churn, "hold", "-n", str(HELD), "-l", str(HELD_PORT)],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        made, failed, samples = churn_for(options, seconds, tracer, ends)
        table = compare_tables(report, tracer, seconds >= LONG_S)
        status = tracer.stop(120)
        count_and_forget(tracer, ends)
    finally:
        if held:
            held.kill()
            held.wait()
        tracer.stop()
    stats = json.loads(ends["last"])
    lost = stats["tracer"]["lost"]
    print(f"# {made} connections in {seconds:.0f} s, memory {samples[0]} to {samples[-1]} KiB, "
          f"lost {lost}")
    warm = samples[len(samples) // WARM_PART]
    report.check("memory is flat", samples[-1] - warm <= FLAT_KIB, samples)
    report.check("it ends with 0", status == 0, status)
    # a lost record can hide an end, and never more than one
    missing = 2 * made - ends["n"]
    report.check("every end is told, or its loss is counted",
                 failed == 0 and 0 <= missing <= lost["total"],
                 f"{made} made ({failed} failed), {ends['n']} ends told, lost {lost}")
    report.check("zero unexplained loss", lost["total"] > 0 or missing == ends["incomplete"] == 0,
                 f"{missing} missing, {ends['incomplete']} incomplete")
    leftovers = {k: v for k, v in table.items() if k not in ("ESTAB", "LISTEN", "TIME-WAIT")}
    report.check("no state keeps what is gone", not leftovers or lost["total"], table)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--tcptrail", default=os.path.join(ROOT, "build", "tcptrail"))
    p.add_argument("--churn", default=os.path.join(ROOT, "build", "tests", "churn"))
    p.add_argument("--seconds", type=float, default=float(os.environ.get("SOAK_SECONDS") or 60))
    p.add_argument("--rate", type=float, default=0, help="connections a second (0: all it can)")
    options = p.parse_args()
    if os.geteuid():
        print("skip - soak: needs root\n0 passed, 0 failed, 1 skipped")
        return 0
    report = Report()
    with tempfile.TemporaryDirectory(prefix="tcptrail-soak-") as directory:
        run(report, options, options.seconds, directory)
    print(f"{report.passed} passed, {report.failed} failed, 0 skipped")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
