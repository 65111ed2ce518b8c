#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a host and a fleet would send, from the sizes of real records.

    fleet_size.py --tcptrail PATH            writes the tables into docs/fleet.md (`make docs`)
    fleet_size.py --tcptrail PATH --check    exits 1 when a figure there is off by more than 10 %

Every recording of tests/golden is shown by each view, its records are weighed, as they are
and compressed with zlib as collectors do; the rest is the arithmetic that the page states.
"""
import argparse
import glob
import json
import os
import re
import subprocess
import sys
import zlib

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
PAGE = os.path.join(ROOT, "docs/fleet.md")
BEGIN, END = "<!-- sizes: made by tools/fleet_size.py, `make docs` -->\n", "<!-- /sizes -->\n"
HOSTS, DAY_S, TOLERANCE = 10000, 86400, 0.10
RATES = (1, 50, 1000)    # connection ends a second on one host
MEAN_RATE = 50           # ... on average over the fleet
NOT_NORMAL = 0.01        # of connections that do not end with FINs both ways
FINDINGS_PER_MIN = 1     # new ones on one host
SERIES, SCRAPE_S = 500, 60


def lines(tcptrail, file, *view):
    done = subprocess.run([tcptrail, *view, "--from", file], capture_output=True, check=True,
                          timeout=60)
    return done.stdout.splitlines(keepends=True)


class Weight:
    """Of the records of one view: bytes for each connection end, plain and compressed."""

    def __init__(self, chunks, ends):
        data = b"".join(chunks)
        self.plain = len(data) / ends
        self.packed = len(zlib.compress(data, 6)) / ends


def weigh(tcptrail):
    files = sorted(glob.glob(os.path.join(ROOT, "tests/golden/*.ttr")))
    conns, otlp, events, findings, ends = [], [], [], [], 0
    for file in files:
        here = [x for x in lines(tcptrail, file, "conns", "--open", "-o", "json")
                if b'"name":"tcp.connection"' in x]
        ends += len(here)
        conns += here
        otlp += [x for x in lines(tcptrail, file, "conns", "--open", "-o", "otlp-json")
                 if b'"eventName":"tcp.connection"' in x]
        events += [x for x in lines(tcptrail, file, "events", "-o", "json")
                   if b'"name":"tracer.stats"' not in x]
    queues = os.path.join(ROOT, "tests/fleet/queues.ttr")
    findings = [x for x in lines(tcptrail, queues, "stuck", "--list", "--min-age", "0", "-d", "8",
                                 "-o", "json") if b'"name":"tcp.finding"' in x]
    assert len(otlp) == ends and json.loads(conns[0]) and findings
    return {"conns": Weight(conns, ends), "otlp": Weight(otlp, ends),
            "events": Weight(events, ends), "finding": Weight(findings, len(findings)),
            "per_end": len(events) / ends}


def settings(w):
    """(command, records, bytes, compressed bytes) a connection end; the last two per minute."""
    conns, otlp, events = w["conns"], w["otlp"], w["events"]
    yield "`events -o json`", w["per_end"], events.plain, events.packed
    yield "`conns -o json`", 1, conns.plain, conns.packed
    yield "`conns -o otlp-json`", 1, otlp.plain, otlp.packed
    yield (f"`conns -o json 'not verdict = SF'` ({NOT_NORMAL:.0%} of them)", NOT_NORMAL,
           conns.plain * NOT_NORMAL, conns.packed * NOT_NORMAL)
    yield "`conns -o json --sample 100`", 0.01, conns.plain / 100, conns.packed / 100
    yield "`events -o json --sample 1000`", w["per_end"] / 1000, events.plain / 1000, \
        events.packed / 1000


def number(x):
    """Three significant digits, no exponent."""
    digits = 0 if x >= 100 else 1 if x >= 10 else 2 if x >= 1 else 3 if x >= 0.1 else 4
    return f"{x:,.{digits}f}"


def tables(w):
    gb, tb = 1e9, 1e12
    out = [f"A connection's end is {w['conns'].plain:.0f} bytes of JSON, {w['conns'].packed:.0f} "
           f"compressed, or {w['otlp'].plain:.0f} bytes of OTLP, {w['otlp'].packed:.0f} "
           f"compressed. Its events are {w['per_end']:.1f} records, {w['events'].plain:.0f} bytes, "
           f"{w['events'].packed:.0f} compressed. A finding is {w['finding'].plain:.0f} bytes.\n\n",
           "| per host and day, GB | " + " | ".join(f"{r:,} ends/s" for r in RATES) +
           f" | {HOSTS:,} hosts, {MEAN_RATE} ends/s: records/s | TB/day | compressed, TB/day | "
           "compressed, Mbit/s |\n", "| --- |" + " ---: |" * (len(RATES) + 4) + "\n"]
    for name, records, plain, packed in settings(w):
        fleet = HOSTS * MEAN_RATE
        out.append(f"| {name} | " + " | ".join(number(plain * r * DAY_S / gb) for r in RATES) +
                   f" | {number(records * fleet)} | {number(plain * fleet * DAY_S / tb)} | "
                   f"{number(packed * fleet * DAY_S / tb)} | "
                   f"{number(packed * fleet * 8 / 1e6)} |\n")
    f, each = w["finding"], FINDINGS_PER_MIN / 60
    out.append(f"| `watch -o json --only-findings` ({FINDINGS_PER_MIN} a minute) | " +
               " | ".join([number(f.plain * each * DAY_S / gb)] * len(RATES)) +
               f" | {number(each * HOSTS)} | {number(f.plain * each * HOSTS * DAY_S / tb)} | "
               f"{number(f.packed * each * HOSTS * DAY_S / tb)} | "
               f"{number(f.packed * each * HOSTS * 8 / 1e6)} |\n")
    out.append(f"\nMetrics: {SERIES} series a host at most, every {SCRAPE_S} s: "
               f"{number(SERIES * HOSTS / SCRAPE_S)} samples a second for {HOSTS:,} hosts, "
               "whatever the traffic.\n")
    return "".join(out)


def numbers(text):
    return [float(x.replace(",", "")) for x in re.findall(r"\d[\d,]*(?:\.\d+)?", text)]


def off(have, want):
    """Same words, and no figure further off than TOLERANCE."""
    figure = r"\d[\d,]*(?:\.\d+)?"
    if re.sub(figure, "#", have) != re.sub(figure, "#", want):
        yield "its words are others"
        return
    for a, b in zip(numbers(have), numbers(want)):
        if abs(a - b) > TOLERANCE * max(abs(b), 1e-9) + 1e-4:
            yield f"{a} is there, {b} is measured"


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--tcptrail", required=True)
    args.add_argument("--check", action="store_true")
    args = args.parse_args()
    with open(PAGE, encoding="utf-8") as f:
        page = f.read()
    before, rest = page.split(BEGIN)
    have, after = rest.split(END)
    want = tables(weigh(os.path.abspath(args.tcptrail)))
    wrong = list(off(have, want))
    if args.check:
        for line in wrong:
            print(f"docs/fleet.md: {line}: run `make docs`")
        return 1 if wrong else 0
    if wrong:  # within its tolerance the page is left as it is
        with open(PAGE, "w", encoding="utf-8") as f:
            f.write(before + BEGIN + want + END + after)
    return 0


if __name__ == "__main__":
    sys.exit(main())
