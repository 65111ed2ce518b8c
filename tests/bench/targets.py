#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The engine's speed and memory, and the views' beside the tools that people use today.

    tests/bench/targets.py [--build build] [--only NAME]...

A line for each figure, with its target beside it where it has one: "met" or "MISSED". Times
are processor time, the best of a few runs: what else the machine does is not counted, though
it slows the caches. No assertion on any of it: exits 1 only when something that was to be
measured could not be. `stuck` and `serve` need root.
"""
import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
MILLION = 1000000


class Bench:
    def __init__(self, args):
        self.args = args
        self.figures, self.failed = [], []

    def engine(self, *words):
        out = subprocess.run([os.path.join(self.args.build, "tests", "engine"),
                              *map(str, words)], stdout=subprocess.PIPE, check=True)
        got = json.loads(out.stdout)
        if got.get("events_lost"):
            raise RuntimeError(f"the engine lost events: {got}")
        return got

    def say(self, what, figure, unit, bound=None, note=""):
        """bound: ("at least" or "at most", value) or None for a figure that has no target."""
        met = None
        if bound:
            met = figure >= bound[1] if bound[0] == "at least" else figure <= bound[1]
        self.figures.append({"what": what, "figure": figure, "unit": unit, "met": met,
                             "target": " ".join(map(str, bound)) if bound else None})
        text = f"{what + ':':58} {figure:10,.2f} {unit}"
        if bound:
            text += f"  target: {bound[0]} {bound[1]:g}: {'met' if met else 'MISSED'}"
        print(text + (f"  ({note})" if note else ""), flush=True)


def cpu_of(argv):
    """Processor seconds of a run whose output goes nowhere."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


# ---- the engine ---------------------------------------------------------------------

def speed(b):
    for words, what in (((), "decode, table, states"), (("steps",), "the same with timelines")):
        best = max(b.engine(MILLION, 1000, *words)["events_per_s"] for _ in range(3))
        b.say(what, best / MILLION, "M events/s", ("at least", 5))


def json_records(b):
    with tempfile.TemporaryDirectory(prefix="tcptrail-bench-") as folder:
        path = os.path.join(folder, "stream.ttr")
        events = b.engine("record", 300000, path)["events"]
        argv = [os.path.join(b.args.build, "tcptrail"), "events", "-o", "json", "--from", path]
        best = min(cpu_of(argv) for _ in range(3))
    b.say("events -o json --from, the whole program", events / best / MILLION,
          "M tcp.state_change/s", ("at least", 1))


def memory(b):
    got = b.engine(1000, MILLION // 2, "steps")
    b.say("1,000,000 open connections, one end each, timelines", got["rss_most"] / 1e6,
          "MB resident", ("at most", 300), f"{got['bytes_per_open']} bytes an end")
    got = b.engine(1000, MILLION // 2)
    b.say("the same without timelines (conns)", got["rss_most"] / 1e6, "MB resident",
          ("at most", 300), f"{got['bytes_per_open']} bytes an end")
    got = b.engine(1000, MILLION, "steps")
    b.say("1,000,000 within one host: both ends of each", got["rss_most"] / 1e6, "MB resident",
          None, f"{got['open']} entries")


def hour(b):
    got = b.engine("hour", 10 * MILLION)
    rss = got["rss"]
    b.say("an hour of 10,000,000 connections: after the first million", rss[0] / 1e6,
          "MB resident", None, f"at most {got['most_open']} ends open")
    b.say("  after ten million", rss[-1] / 1e6, "MB resident")
    b.say("  growth", rss[-1] / rss[0], "times", ("at most", 1.05),
          f"{got['ended']} ended, {got['left_open']} left")


# ---- beside other tools --------------------------------------------------------------

def captures(b):
    out = subprocess.run([os.path.join(HERE, "..", "captures", "bench.py"), "--tcptrail",
                          os.path.join(b.args.build, "tcptrail")],
                         stdout=subprocess.PIPE, check=True)
    got = json.loads(out.stdout)
    b.say(f"a capture of {got['packets']:,} packets: conns",
          got["tcptrail conns"]["packets_per_s"] / MILLION, "M packets/s")
    for tool, bound in (("tshark", ("at least", 10)), ("tcpdump -r", None),
                        ("tcptrail timeline -o json", None), ("tcptrail --packets", None)):
        if tool in got:
            b.say(f"  the time that {tool} takes", got[tool]["ratio"], "times ours", bound)
        else:
            b.failed.append(f"{tool} is not installed")


def stuck(b):
    out = subprocess.run([os.path.join(HERE, "stuck_bench.py"), "--tcptrail",
                          os.path.join(b.args.build, "tcptrail"), "--sockets",
                          str(b.args.sockets), "--json"], stdout=subprocess.PIPE, check=False)
    lines = out.stdout.decode().splitlines()
    if not lines or not lines[-1].startswith("{"):
        raise RuntimeError("stuck_bench.py gave no figures")
    got = json.loads(lines[-1])
    ours, ss = got["tools"]["tcptrail stuck"], got["tools"]["ss -tanpe"]
    b.say(f"stuck over {got['sockets']:,} sockets", ours["cpu_s"], "s", ("at most", 1))
    b.say("  its memory", ours["peak_mb"], "MB", ("at most", 200))
    b.say("  the time that ss -tanpe takes", ss["cpu_s"] / ours["cpu_s"], "times ours",
          ("at least", 1))
    b.say("  sockets shown with their holder", got["tools"]["tcptrail stuck --list -o csv"]["seen"],
          "", ("at least", got["sockets"]))


def serve(b):
    out = subprocess.run([os.path.join(HERE, "serve_bench.py"), "--build", b.args.build],
                         stdout=subprocess.PIPE, check=True)
    got = json.loads(out.stdout.decode().splitlines()[-1])
    b.say("serve: 20 scrapes a second, 10,000 open, churn", 100 * got["cost"], "% of a core",
          ("at most", 1), f"{100 * got['quiet']:.1f} % without")
    b.say("  its memory", got["peak_kb"] / 1000, "MB at most")


PARTS = {"speed": speed, "json": json_records, "memory": memory, "hour": hour,
         "captures": captures, "stuck": stuck, "serve": serve}
NEED_ROOT = ("stuck", "serve")


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--build", default="build", help="where the programs are (build)")
    p.add_argument("--only", action="append", choices=PARTS, default=[])
    p.add_argument("--sockets", type=int, default=100000, help="for stuck (100000)")
    args = p.parse_args()
    args.build = os.path.abspath(args.build)
    b = Bench(args)
    load = os.getloadavg()[0]
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, load before: {load:.1f}"
          + (": others use this machine" if load > 0.5 else ""))
    for name in args.only or PARTS:
        if name in NEED_ROOT and os.geteuid():
            b.failed.append(f"{name}: needs root")
            continue
        try:
            PARTS[name](b)
        except (OSError, RuntimeError, subprocess.CalledProcessError, ValueError, KeyError) as e:
            b.failed.append(f"{name}: {e}")
    for text in b.failed:
        print(f"not measured: {text}")
    path = os.path.join(args.build, "bench-targets.json")
    with open(path, "w", encoding="utf-8") as f:
        json.dump({"machine": platform.machine(), "cpus": os.cpu_count(),
                   "kernel": platform.release(), "load_before": load,
                   "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                   "figures": b.figures, "not_measured": b.failed}, f, indent=1)
        f.write("\n")
    print(f"written: {path}")
    return 1 if b.failed else 0


if __name__ == "__main__":
    sys.exit(main())
