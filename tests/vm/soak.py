#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Judges what a VM handed back of soak.script: soak.py RUN_STATUS DIRECTORY

Who made the connections counted their ends, and the kernel's /proc/net/tcp its sockets:

- each tracer told every end, once, whole, and lost nothing;
- its table counts what the kernel counts in every state, after each phase and at the end;
- what it counted of opens, SYNs sent again and keepalive is what nstat counts;
- its memory does not grow once the first quarter is over.

Base mode does not see when a minisock goes: until the minute is over, TIME_WAIT may count too many
that were reused, and FIN_WAIT_2 those that are yet to be asked for. Keepalive it does not see.
"""
import collections
import json
import sys

import verdicts

TAGS = ("conns", "reaped")
FLAT_KIB = 256
# What the hour is there for: both tracers must have met each of these.
TIME_WAITS = {"conns": ("running",), "reaped": ("expired", "reused")}
TIME_WAITS_BASE = {"conns": ("running",), "reaped": ("expired",)}
UNSEEN_IN_BASE = {"TIME-WAIT", "FIN-WAIT-2"}


def lines(path):
    return [line.split() for line in path.read_text(encoding="ascii").splitlines()]


def counts(path):
    """{phase: {who: {state: sockets}}}"""
    found = collections.defaultdict(lambda: collections.defaultdict(dict))
    for phase, who, state, sockets in lines(path):
        found[phase][who][state] = int(sockets)
    return found


def same(what, left, right, without=()):
    left, right = ({k: v for k, v in d.items() if k not in without} for d in (left, right))
    return [] if left == right else [f"{what} {left}, not {right}"]


def tables(results, base):
    found = counts(results / "counts")
    in_time_wait = max((f["kernel"].get("TIME-WAIT", 0) for f in found.values()), default=0)
    yield f"{len(found)} times counted, up to {in_time_wait} in TIME_WAIT", \
        [] if len(found) > 2 and "end" in found and in_time_wait else ["too few"]
    for tag in TAGS:
        for phase, f in found.items():
            unseen = UNSEEN_IN_BASE if base and phase != "end" else ()
            yield f"{tag}: the table after phase {phase}" if phase != "end" else \
                f"{tag}: the table at the end", \
                same("the kernel, asked again,", f["again"], f["kernel"], unseen) + \
                same("the table", f[tag], f["kernel"], unseen)


def as_nstat(tag, told, nstat, base):
    opened, again = told["connections"]["opened"], told["retransmits"]
    pairs = [("TcpActiveOpens", opened["client"]), ("TcpPassiveOpens", opened["server"]),
             ("TcpExtTCPSynRetrans", again.get("syn", 0))]
    if not base:
        pairs.append(("TcpExtTCPKeepAlive", again.get("keepalive", 0)))
    for counter, n in pairs:
        yield f"{tag}: {counter} {nstat[counter]}", \
            same(counter, {counter: n}, {counter: nstat[counter]}) + ([] if n else ["none"])


def flat(results):
    for tag in TAGS:
        kib = [int(n) for _, who, n in lines(results / "memory") if who == tag]
        warm = kib[len(kib) // 4] if kib else 0
        yield f"{tag}: memory is flat: {' '.join(map(str, kib))} KiB", \
            [] if kib and kib[-1] - warm <= FLAT_KIB else [f"{kib}"]


def judge(results, base):
    """(what, complaints) of every case."""
    nstat = {words[0]: int(words[1]) for words in lines(results.parent / "nstat")
             if words[0] != "#kernel"}
    ends = sum(json.loads(line)["ends"] for line in (results / "flows").read_text().splitlines())
    for tag in TAGS:
        told, closing = map(json.loads, (results / f"{tag}.count").read_text().splitlines())
        lost = closing["tracer"]["lost"]
        yield f"{tag}: nothing lost", same("lost", {"total": lost["total"]}, {"total": 0})
        yield f"{tag}: {told['ends']} ends told of {ends}", same("", told, told | {"ends": ends})
        yield f"{tag}: each once, whole", \
            same("", told, told | {"twice": 0, "unnumbered": 0, "incomplete": 0})
        yield from as_nstat(tag, closing["tracer"], nstat, base)
        for how in (TIME_WAITS_BASE if base else TIME_WAITS)[tag]:
            yield f"{tag}: TIME_WAIT {how}: {told['time_wait'][how]}", \
                [] if told["time_wait"][how] else ["none"]
    yield from tables(results, base)
    yield from flat(results)


if __name__ == "__main__":
    sys.exit(verdicts.main(
        "soak", lambda where: judge(where / "results" / "all", where.name.endswith("-base"))))
