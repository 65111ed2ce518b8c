#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Judges what a VM handed back of stuck_ages.script: stuck_ages.py RUN_STATUS DIRECTORY

Every age is held against the time when the maker saw the state begin, by the VM's own
clock: what is `exact` must be that, what is `at_least` must never be more, and where the
kernel keeps a stamp of that moment not be less either.
"""
import json
import re
import sys
from datetime import datetime, timezone

import verdicts

NS = 10**9
# Between the two clock readings around a call and what the kernel stamps: its tick (CONFIG_HZ
# 100 at worst, jiffies rounded down), a delayed ACK before FIN_WAIT_2.
SLACK_NS = NS // 4
TIME_OUT_NS = 60 * NS

KINDS = {
    ("before", "close_wait"): "close_wait_leak",
    ("before", "fin_wait_2"): "fin_wait_2_held",
    ("watched", "close_wait"): "close_wait_leak",
    ("watched", "fin_wait_2"): "fin_wait_2_held",
    ("minute", "syn_sent"): "syn_unanswered",
    ("orphan", "close_wait"): "close_wait_leak",
    ("orphan", "fin_wait_2"): "fin_wait_2_orphaned",
}
OLDEST_NS = {"before": 7200 * NS, "watched": 7190 * NS, "minute": 60 * NS, "orphan": 40 * NS}


def when_ns(record):
    text = record["@timestamp"]
    fraction = re.search(r"\.(\d+)Z$", text)[1].ljust(9, "0")
    whole = datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
    return int(whole.timestamp()) * NS + int(fraction)


def findings(path):
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [r for r in rows if r["event"]["name"] == "tcp.finding"]


def about(records, truth):
    """By ports: where the kernel gives no cookie (5.10) the tracer's number is its own."""
    ports = (truth["local"], truth["peer"])
    return [r for r in records if "network" in r and "peer" in r["network"] and
            (r["network"]["local"].get("port"), r["network"]["peer"].get("port")) == ports]


def wrong_age(record, truth, bound):
    tcp = record["tcp"]
    now = when_ns(record)
    least, most = now - truth["to_ns"], now - truth["from_ns"]
    for name, age, said in (
            ("state", tcp["state_age_ns"], tcp["state_age_bound"]),
            ("finding", tcp["finding"]["age_ns"], tcp["finding"]["age_bound"])):
        if said != bound:
            yield f"{name} age is {said}, not {bound}"
        if age > most + SLACK_NS:
            yield f"{name} age {age / NS:.3f} s, but it is {most / NS:.3f} s old"
        if age < least - SLACK_NS and truth["state"] != "syn_sent":
            yield f"{name} age {age / NS:.3f} s, of {least / NS:.3f} s"


def wrong_syn(record, truth, bound):
    """Before the tracer: no stamp, but the waits between its retries are a lower bound."""
    age, retries = record["tcp"]["state_age_ns"], record["tcp"]["finding"].get("retries", 0)
    true = when_ns(record) - truth["from_ns"]
    if retries < 5:
        yield f"{retries} retries in {true / NS:.0f} s"
    if bound == "exact" and abs(age - true) > SLACK_NS:
        yield f"age {age / NS:.3f} s, of {true / NS:.3f} s"
    if bound == "at_least" and age < true / 3:
        yield f"age at least {age / NS:.3f} s, of {true / NS:.3f} s: its retries prove more"


def wrong_orphan(record, truth):
    ends = record["tcp"]["finding"].get("ends_in_ns", -1)
    left = TIME_OUT_NS - (when_ns(record) - truth["to_ns"])
    if not 0 <= ends <= left + SLACK_NS or ends < left - NS:
        yield f"ends in {ends / NS:.3f} s, and not in {left / NS:.3f} s"


def wrong(record, truth, bound, old_kernel):
    tcp = record["tcp"]
    if not old_kernel and truth["cookie"] not in ("0", tcp["socket_id"]):
        yield f"socket {tcp['socket_id']}, not {truth['cookie']}"
    kind = KINDS[truth["tag"], truth["state"]]
    if tcp["finding"]["kind"] != kind:
        yield f"kind {tcp['finding']['kind']}, not {kind}"
    if record["network"]["connection"]["state"] != truth["state"]:
        yield f"state {record['network']['connection']['state']}"
    held = [(h["pid"], h["fd"]) for h in tcp.get("holders", [])]
    mine = [(truth["pid"], truth["fd"])] if truth["fd"] >= 0 else []
    # Nor does that kernel tell whose a file is.
    if (not old_kernel or held) and held != mine:
        yield f"held by {held}"
    true = when_ns(record) - truth["from_ns"]
    if true < OLDEST_NS[truth["tag"]]:
        yield f"the test is not long enough: {true / NS:.3f} s"
    yield from wrong_age(record, truth, bound)
    if truth["state"] == "syn_sent":
        yield from wrong_syn(record, truth, bound)
    if kind == "fin_wait_2_orphaned":
        yield from wrong_orphan(record, truth)
    if bound == "exact" and kind == "fin_wait_2_orphaned" and \
       f"[{truth['pid']}]" not in tcp["finding"]["explanation"]:
        yield f"its last owner is not named: {tcp['finding']['explanation']}"


def judge(where):
    """(what, complaints) of every case."""
    results = where / "results" / "all"
    truths = [json.loads(line) for path in sorted(results.glob("*.truth"))
              for line in path.read_text(encoding="utf-8").splitlines()]
    if {(t["tag"], t["state"]) for t in truths} != set(KINDS):
        yield "all sockets were made", [f"only {truths}"]
        return
    old = where.name.startswith("5.10-")
    look = findings(results / "look.json")
    watched = {name: findings(results / f"{name}.watch") for name in ("long", "often")}
    after, seen_text = findings(results / "after.json"), (results / "look.txt").read_text("utf-8")
    for t in truths:
        what = f"{t['tag']} {t['state']}"
        over = t["tag"] == "orphan" and t["state"] == "fin_wait_2"
        rows = about(look, t)
        # There a minisock older than the tracer has no number that lasts: it is left out.
        if old and over and not rows:
            yield f"one look: {what} (5.10 has no cookies here)", None
        else:
            yield f"one look: {what}", list(wrong(rows[0], t, "at_least", old)) \
                if len(rows) == 1 else [f"{len(rows)} records"]
        rows = about(watched["long" if t["tag"] in ("before", "watched") else "often"], t)
        bound = "at_least" if t["tag"] == "before" else "exact"
        yield f"watched: {what}", list(wrong(rows[-1], t, bound, old)) if rows else ["no record"]
        yield f"when its time is over: {what}", [] if bool(about(after, t)) != over else \
            ["still told" if over else "no longer told"]
    yield "text says hours", [] if re.search(r"\b2h", seen_text) else [seen_text]


if __name__ == "__main__":
    sys.exit(verdicts.main("ages", judge))
