#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Churn for a while: memory stays flat, nothing is lost unexplained, and at the end the table
counts what ss counts.

    soak.py [--seconds N] [--rate N] [--tcptrail PATH] [--churn PATH]

60 seconds if nothing is said (SOAK_SECONDS in the environment says it too). Two workers connect
and close as fast as they can, or one does --rate of them a second, while one tracer writes each
connection to a file; its resident memory is sampled. The churn's own count is the independent one:
every connection has two ends, each told once or counted as lost. What this kernel showed no BPF
program of anybody (witness.py) can be told by none: a gap in a connection of which ftrace saw
such an event, at its time, is a skip with a name, never a pass; any other gap fails.
Connections held to the end are in the table as in ss; after a long run (from LONG_S
on) the minute of TIME_WAIT is waited for, and the table must count what ss counts in every state.
`make soak` runs it in a network namespace of its own. A line a check, and a last line: N passed,
N failed, N skipped.
"""
import argparse
import collections
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from datetime import datetime

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

from tally import Tally  # noqa: E402
from tracers import Tracer, until  # noqa: E402
from witness import Witness  # noqa: E402

PORT, HELD_PORT = 29600, 29601   # nobody else's: the witness knows no namespace
HELD = 200
WARM_PART = 4          # the first quarter fills caches, slabs and queues
FLAT_KIB = 2048        # what is left may not grow by more
ROUND_S = 5
LONG_S = 300
TIME_WAIT_S = 60
STAY = {"ESTAB", "LISTEN", "TIME-WAIT"}
REPORTS = 12           # lines about a run, however long
ODD = 5                # records shown that are not as they should be
# A record's times are the host's, the witness's CLOCK_MONOTONIC; an end that was not seen is near
# its start: a connection of the churn lives for less than a millisecond.
CLOCKS_S, LIFE_S = 0.02, 0.3


class Report(Tally):
    def check_but_withheld(self, name, wrong, withheld, why=""):
        """wrong: how many things are not as they should be. What the kernel showed to no BPF
        program (witness.py) explains one each, and is named; it never makes a pass."""
        if 0 < wrong <= withheld:
            self.skip(name, f"{why}: up to {withheld} state changes withheld from every BPF "
                      "program, on top of pid 1")
        else:
            self.check(name, wrong == 0, f"{why}; {withheld} withheld")


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
    if tracer.turn():
        return {}
    last = tracer.said().decode().rsplit("STATE         SOCKETS", 1)[1]
    return {k: int(v) for k, v in re.findall(r"^([A-Z0-9-]+) +(\d+)$", last, re.M)}


class Bits:
    """Which socket ids there were: a bit each, for millions of them. The kernel counts them up;
    one made on top of another's making is counted down from 2^64."""

    def __init__(self):
        self.low, self.high = bytearray(), set()

    def add(self, n):
        """Was it there already?"""
        if n >> 36:
            was = n in self.high
            self.high.add(n)
            return was
        byte, bit = n >> 3, 1 << (n & 7)
        if byte >= len(self.low):
            self.low.extend(bytes(byte + 1 - len(self.low) + (1 << 16)))
        was = bool(self.low[byte] & bit)
        self.low[byte] |= bit
        return was

    def __contains__(self, n):
        if n >> 36:
            return n in self.high
        return n >> 3 < len(self.low) and bool(self.low[n >> 3] >> (n & 7) & 1)

    def not_in(self, other):
        low = [8 * i + bit for i, byte in enumerate(self.low) if byte for bit in range(8)
               if byte >> bit & 1 and 8 * i + bit not in other]
        return low + sorted(self.high - other.high)


class Ends:
    """What the tracer told, counted and forgotten: an hour of it would fill a disk."""

    ID = re.compile(rb'"tcp":\{"socket_id":"([0-9a-f]+)"')
    PEER = re.compile(rb'"pair_socket_id":"([0-9a-f]+)"')
    HELD = b'"port":%d' % HELD_PORT
    GAP = re.compile(rb'"incomplete":true|"teardown":\{"kind":"(?:unseen|open)"')

    def __init__(self):
        self.n = self.at = self.twice = self.open = 0
        self.told, self.peers = Bits(), Bits()
        self.gaps, self.again, self.last = [], [], b""

    def line(self, line):
        if b'"name":"tcp.connection"' not in line:
            self.last = line
            return
        if self.HELD in line:
            return
        if self.GAP.search(line):
            self.gaps.append(json.loads(line))
            if self.gaps[-1]["tcp"]["teardown"]["kind"] == "open":
                self.open += 1
                return
        self.n += 1
        found = self.ID.search(line)
        again = self.told.add(int(found[1], 16)) if found else True
        self.twice += again
        peer = self.PEER.search(line)
        if peer:
            self.peers.add(int(peer[1], 16))
        if again and len(self.again) < ODD:
            self.again.append(line.decode())

    def take(self, tracer):
        """By whole lines. They leave a hole in the file: the tracer goes on at its own offset."""
        with open(tracer.out, "rb") as f:
            f.seek(self.at)
            data = f.read()
        cut = data.rfind(b"\n") + 1
        for line in data[:cut].splitlines():
            self.line(line)
        self.at += cut
        subprocess.run(["fallocate", "--punch-hole", "--offset", "0", "--length",
                        str(max(self.at, 1)), tracer.out], stderr=subprocess.DEVNULL)


def churn_for(options, seconds, watch):
    """What was made, what failed (each reason once), and the tracer's memory after each round."""
    made, failed, why = 0, 0, set()
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
        why |= {result.get("error")} - {None}
        watch.ends.take(watch.tracer)
        watch.witness.poll()
        samples.append(rss_kib(watch.tracer.process.pid))
        if options.rate:
            time.sleep(max(0, min(turn + some, end) - time.monotonic()))
        if len(samples) % max(1, int(seconds / ROUND_S / REPORTS)) == 0:
            print(f"# {time.monotonic() - start:.0f} s: {made} connections, {watch.ends.n} ends "
                  f"told, {watch.withheld()} events withheld, memory {samples[-1]} KiB", flush=True)
    return made, f"{failed} failed {sorted(why)}" if failed else "", samples


class Watch:
    """The tracer, what it told, and who else saw."""

    def __init__(self, tracer):
        self.tracer, self.ends = tracer, Ends()
        self.witness = Witness(PORT, HELD_PORT, busy=True)
        if not self.witness.home:
            print("# no ftrace: what a kernel shows no BPF program counts as lost", flush=True)

    def withheld(self):
        return self.witness.count((PORT, HELD_PORT), "inet_sock_set_state")

    def is_withheld(self, record):
        """Did ftrace see an event of this connection that no BPF program was shown?"""
        ahead = time.time() - time.monotonic()
        event, both = record["event"], record["network"]
        begin = datetime.fromisoformat(event.get("start") or record["tcp"]["first_seen"])
        begin = begin.timestamp() - ahead
        end = datetime.fromisoformat(event["end"]).timestamp() - ahead \
            if "end" in event and record["tcp"]["teardown"]["kind"] != "open" else begin + LIFE_S
        return self.witness.saw([f"{both[side]['address']}:{both[side]['port']}"
                                 for side in ("local", "peer")], begin - CLOCKS_S, end + CLOCKS_S)


def apart(table, by_ss):
    """By how many sockets they differ; one in another state differs once, not twice."""
    off = [table.get(k, 0) - by_ss.get(k, 0) for k in {*table, *by_ss}]
    return max(sum(n for n in off if n > 0), -sum(n for n in off if n < 0))


def compare_tables(report, watch, long):
    """The held ones in any case; every state once nothing is on its way out any more."""
    if long:
        print(f"# the churn is over; ss: {counts_of_ss()}, the table: "
              f"{table_counts(watch.tracer)}", flush=True)
        end = time.monotonic() + TIME_WAIT_S + 10
        while time.monotonic() < end and counts_of_ss().get("TIME-WAIT"):
            time.sleep(1)
    # What the churn left on its way out, and what a busy tracer has not looked up yet.
    until(lambda: STAY.issuperset(counts_of_ss()) and
          STAY.issuperset(table_counts(watch.tracer)), 30)
    by_ss, table = counts_of_ss(), table_counts(watch.tracer)
    watch.witness.poll()
    print(f"# ss: {by_ss}, the table: {table}", flush=True)
    report.check("ss counts what was held", by_ss.get("ESTAB") == 2 * HELD, by_ss)
    report.check_but_withheld("the table counts them as well",
                              abs(table.get("ESTAB", 0) - 2 * HELD), watch.withheld(),
                              f"{table} {by_ss}")
    if long:
        report.check_but_withheld("... and what ss counts in every state", apart(table, by_ss),
                                  2 * watch.withheld(), f"{table} {by_ss}")
    return table


def judge_gaps(report, watch, missing, lost):
    """Every end that is missing or not whole is of a connection that was in the witness's way, or
    its loss is counted. What is called unseen is not: nobody knows why it is."""
    ends, name = watch.ends, "zero unexplained loss"
    counted = lost["total"] - lost.get("end_unseen", 0)
    report.check("every end is told, or its loss is counted, or it is still open",
                 missing <= counted + ends.open, f"{missing} missing, {ends.open} still open")
    strange = [r for r in ends.gaps if not watch.is_withheld(r)]
    if counted:   # each lost record makes a gap in one end, never in more
        report.check(name, len(strange) <= counted, f"{len(strange)} gaps, {counted} records lost")
        return
    for r in (strange or ends.gaps)[:ODD]:
        print(f"# {json.dumps(r)}")
    if ends.gaps and not strange and missing <= ends.open:
        report.skip(name, f"{len(ends.gaps)} gaps, each in a connection of which ftrace saw an "
                          "event that was withheld from every BPF program, on top of pid 1")
    else:
        report.check(name, missing <= 0 and not ends.gaps, f"{missing} missing, "
                     f"{len(ends.gaps)} gaps, {len(strange)} of them unexplained")


def judge(report, watch, made, failed, samples, table):
    ends = watch.ends
    lost = json.loads(ends.last)["tracer"]["lost"]
    withheld = watch.withheld()
    missing = 2 * made - ends.n
    print(f"# {made} connections, {ends.n} ends told, {missing} missing, {len(ends.gaps)} with a "
          f"gap, {withheld} state changes withheld; memory {samples[0]} to {samples[-1]} "
          f"KiB; lost {lost}", flush=True)
    gone = ends.peers.not_in(ends.told)
    for line in [f"told of only by its peer: {n:x}" for n in gone[:ODD]] + ends.again:
        print(f"# {line}")
    warm = samples[len(samples) // WARM_PART]
    report.check("memory is flat", samples[-1] - warm <= FLAT_KIB, samples)
    report.check("every connection was made", not failed, failed)
    report.check("no end is told twice", ends.twice == 0 and missing >= 0, ends.twice)
    report.check("what the witness saw is whole", not watch.witness.overrun, watch.witness.overrun)
    judge_gaps(report, watch, missing, lost)
    leftovers = {k: v for k, v in table.items() if k not in STAY}
    report.check_but_withheld("no state keeps what is gone",
                              0 if lost["total"] else sum(leftovers.values()), 2 * withheld,
                              str(table))


def run(report, options, seconds, directory):
    tracer = Tracer(options.tcptrail,
                    ["conns", "-o", "json", "--open", "--buffer", "128M", "-P", f"{PORT},{HELD_PORT}",
                     "--netns", "/proc/self/ns/net"], directory, "soak")
    held, watch = None, Watch(tracer)
    try:
        report.check("the tracer traces", tracer.wait_ready() is None, tracer.said())
        held = subprocess.Popen([options.churn, "hold", "-n", str(HELD), "-l", str(HELD_PORT)],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        made, failed, samples = churn_for(options, seconds, watch)
        table = compare_tables(report, watch, seconds >= LONG_S)
        status = tracer.stop(120)
        watch.ends.take(tracer)
    finally:
        if held:
            held.kill()
            held.wait()
        tracer.stop()
        watch.witness.close()
    print("# " + tracer.said().decode(errors="replace").strip().splitlines()[-1], flush=True)
    report.check("it ends with 0", status == 0, status)
    judge(report, watch, made, failed, samples, table)


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
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
