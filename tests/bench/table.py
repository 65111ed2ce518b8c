#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The README's cost table, from what `make bench` wrote.

    tests/bench/table.py [build/bench.json]

Says nothing of churn when others used the machine: then a rate tells of them, not of us.
"""
import json
import sys

QUIET_LOAD = 0.5
COLUMNS = (  # key, heading, scale, decimals, which of the rounds, needs a quiet machine
    ("bpf_us", "BPF µs", 1, 1, "median", False),
    ("user_us", "user µs", 1, 1, "median", False),
    ("total_us", "total µs", 1, 1, "range", False),
    ("churn", "churn", 1, 2, "median", True),
    ("churn_busy", "busy churn", 1, 2, "median", True),
    ("peak_kb", "peak MB", 1024, 0, "max", False),
    ("lost", "lost", 1, 0, "max", False),
)


def cell(figures, key, scale, decimals, which):
    if key not in figures:
        return "–"
    lo, mid, hi = (f"{figures[key][k] / scale:.{decimals}f}" for k in ("min", "median", "max"))
    if which == "range":
        return f"**{mid}** ({lo}–{hi})"
    return hi if which == "max" else mid


def main(argv):
    with open(argv[1] if len(argv) > 1 else "build/bench.json", encoding="utf-8") as f:
        doc = json.load(f)
    quiet = doc["load_before"] <= QUIET_LOAD
    columns = [c for c in COLUMNS if quiet or not c[5]]
    print("| per connection | " + " | ".join(c[1] for c in columns) + " |")
    print("| --- |" + " ---: |" * len(columns))
    for name, figures in doc["result"].items():
        if name == "no tracer":
            continue
        shown = f"`{name}`" if name.startswith("tcptrail") else name
        print(f"| {shown.replace(' | wc`', '`, piped to `wc`').replace(' > file`', '`, to a file')} | "
              + " | ".join(cell(figures, c[0], *c[2:5]) for c in columns) + " |")
    base = doc["result"]["no tracer"]
    print(f"\nLinux {doc['kernel']}, {doc['cpus']} CPUs, {doc['rounds']} rounds of "
          f"{doc['connections']} connections, {doc['when']}; load before: {doc['load_before']:.1f}; "
          f"untraced {base['rate']['median']:.0f} connections/s with one client, "
          f"{base['rate_busy']['median']:.0f} with {doc['cpus']}.")


if __name__ == "__main__":
    main(sys.argv)
