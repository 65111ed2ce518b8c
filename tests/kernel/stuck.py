#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`tcptrail stuck` against sockets that really hang.

    tests/kernel/stuck.py --tcptrail build/tcptrail

Each maker of stuck_make.py runs in a network namespace of its own; what the tool says
from outside (kind, state, holders with pid and descriptor) is compared with what the
maker knows and with what `ss` says inside. Once for sockets older than the tracer, once
for sockets made while it watches. Needs root and nft. Says "ok - what" or "not ok - what",
last "N passed, N failed, N skipped".
"""
import argparse
import csv
import json
import os
import re
import signal
import subprocess
import sys
import time

import stuck_make
from stuck_rig import Maker, Watch

DEADLINE_S = 60         # for something to be found at all; nothing asserts how soon
PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


SS_STATES = {"established": "ESTAB", "close_wait": "CLOSE-WAIT", "fin_wait_1": "FIN-WAIT-1",
             "fin_wait_2": "FIN-WAIT-2", "last_ack": "LAST-ACK", "closing": "CLOSING",
             "syn_sent": "SYN-SENT", "listen": "LISTEN"}


def stuck(tool, *args):
    p = subprocess.run([tool, "stuck", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       text=True, check=False, timeout=300)
    return p.returncode, p.stdout, p.stderr


def findings(tool, *args):
    rc, out, err = stuck(tool, "-o", "json", *args)
    if rc:
        raise AssertionError(f"exit {rc}: {err.strip()}")
    return [r for r in map(json.loads, out.splitlines()) if r["event"]["name"] == "tcp.finding"]


def is_about(record, want):
    tcp, net = record["tcp"], record.get("network", {})
    if "cookie" in want:
        return tcp.get("socket_id") == want["cookie"]
    if "ports" in want:
        return (net.get("local", {}).get("port"), net.get("peer", {}).get("port")) == \
            tuple(want["ports"])
    if "who" in want and record.get("process", {}).get("pid") != want["who"]:
        return False
    return tcp["finding"]["kind"] == want["host"]


def differences(record, want):
    """What of the record is not as it should be."""
    tcp, finding = record["tcp"], record["tcp"]["finding"]
    kind = want.get("kind", want.get("host"))
    if finding["kind"] != kind:
        yield f"kind {finding['kind']}, not {kind}"
    if "state" in want and record["network"]["connection"]["state"] != want["state"]:
        yield f"state {record['network']['connection']['state']}, not {want['state']}"
    held = sorted((h["pid"], h["fd"]) for h in tcp.get("holders", []))
    if "holders" in want and held != sorted(map(tuple, want["holders"])):
        yield f"held by {held}, not {want['holders']}"
    if "who" in want and record.get("process", {}).get("pid") != want["who"]:
        yield f"process {record.get('process')}, not {want['who']}"
    for key in ("value", "limit"):
        if key in want and finding.get(key) != want[key]:
            yield f"{key} {finding.get(key)}, not {want[key]}"
    if "severity" in want and finding["severity"] != want["severity"]:
        yield f"severity {finding['severity']}, not {want['severity']}"
    if "says" in want and want["says"] not in finding["explanation"]:
        yield f"'{want['says']}' is not in: {finding['explanation']}"
    for text in ("explanation", "advice"):
        if re.search(r"[{}\[]\w|\?$", finding[text].replace("[" + str(os.getpid()), "")) and \
           "{" in finding[text]:
            yield f"{text} has a hole: {finding[text]}"


def compare(maker, records):
    """Complaints; empty when all is as the maker and ss say."""
    inside = maker.ss()
    for want in maker.expected:
        about = [r for r in records if is_about(r, want)]
        if not about:
            yield f"nothing is said of {want}"
            continue
        yield from differences(about[0], want)
        if "cookie" not in want:
            continue
        if want["cookie"] not in inside:
            yield f"ss has no socket {want['cookie']}"
        elif inside[want["cookie"]] != (SS_STATES[want["state"]],
                                        sorted(map(tuple, want["holders"]))):
            yield f"ss says {inside[want['cookie']]} of {want}"


def until_right(look, maker):
    """What hangs takes time to be seen hanging: looks again until nothing is wrong."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        complaints = list(compare(maker, look()))
        if not complaints or time.monotonic() > deadline:
            return complaints
        signal.sigtimedwait([], 0.3)


def case_before(tool, fn):
    maker = Maker(fn)
    try:
        if maker.error:
            return [maker.error]
        # The host's own findings are not of one namespace: the FILTER would leave them out.
        scope = [] if any("host" in w for w in maker.expected) else ["--netns", str(maker.netns)]

        def look():
            rows = findings(tool, "--list", "--min-age", "0", *scope)
            return [r for r in rows if r["tcp"].get("netns", 0) in (maker.netns, 0)]

        complaints = until_right(look, maker)
        known = {w.get("cookie") for w in maker.expected}
        if fn is stuck_make.healthy:
            complaints += [f"healthy, and found: {r}" for r in look() if r not in known]
        return complaints
    finally:
        maker.close()


def seen_changing(record, want, maker):
    """Made while it watched: the age is exact, and whose it is is known, an orphan's too."""
    if record["tcp"].get("state_age_bound") != "exact":
        yield f"age is not exact: {record['tcp']}"
    if not want.get("holders") and record.get("process", {}).get("pid") != maker.pid:
        yield f"owner {record.get('process')}, not {maker.pid}: {want}"
    if want.get("orphan") and f"[{maker.pid}]" not in record["tcp"]["finding"]["explanation"]:
        yield f"its last owner is not named: {record['tcp']['finding']}"


def after(watch, maker):
    rows = watch.findings(maker.netns)
    yield from compare(maker, rows)
    for want in maker.expected:
        about = [r for r in rows if is_about(r, want)]
        if about and want.get("state", "listen") != "listen":
            yield from seen_changing(about[0], want, maker)


def case_after(tool, fn):
    maker = Maker(fn, begin=False)  # a namespace made later is out of its reach
    watch = Watch(tool)
    try:
        maker.make()
        if maker.error:
            return [maker.error]
        deadline = time.monotonic() + DEADLINE_S
        complaints = list(after(watch, maker))
        while complaints and time.monotonic() < deadline:
            signal.sigtimedwait([], 0.3)
            complaints = list(after(watch, maker))
        if fn is stuck_make.healthy:
            signal.sigtimedwait([], 3)
            complaints += [f"healthy, and found: {r}" for r in watch.findings(maker.netns)
                           if r["tcp"].get("netns") == maker.netns]
    finally:
        maker.close()
        status, err = watch.close()
    if status:
        complaints.append(f"exit {status}: {err}")
    return complaints


def case_nothing(tool):
    maker = Maker(stuck_make.healthy)
    try:
        scope = ["--netns", str(maker.netns), "--min-age", "0"]
        complaints = []
        for args, words in (([], "nothing is stuck"), (["--list"], "nothing is stuck"),
                            (["--check"], "OK: nothing is stuck"),
                            (["--kill"], "nothing to close"),
                            (["--kill", "--yes"], "nothing to close")):
            rc, out, err = stuck(tool, *args, *scope)
            if rc or words not in out or err:
                complaints.append(f"{args}: exit {rc}, '{out}' '{err}'")
        return complaints
    finally:
        maker.close()


def case_check(tool):
    maker = Maker(stuck_make.fin_wait_2)
    try:
        scope = ["--netns", str(maker.netns)]
        complaints = []
        for args, want, words in ((["--min-age", "0"], 1, "WARNING: 2 stuck"),
                                  (["--min-age", "1h"], 0, "OK"),
                                  (["--min-age", "0", "--warn", "2"], 1, "WARNING: 2 stuck"),
                                  (["--min-age", "0", "--warn", "3"], 0, "OK: 2 stuck"),
                                  (["--min-age", "0", "--critical", "1"], 1, "CRITICAL"),
                                  (["--min-age", "0", "state", "close-wait"], 1, "close_wait"),
                                  (["--min-age", "0", "state", "syn-sent"], 0, "OK")):
            rc, out, err = stuck(tool, "--check", *args, *scope)
            if rc != want or words not in out or out.count("\n") != 1:
                complaints.append(f"{args}: exit {rc}, '{out}' '{err}'")
        return complaints
    finally:
        maker.close()


def case_kill(tool):
    """Nothing without --yes; with it what the FILTER wants, no more than --max, each accounted."""
    maker = Maker(stuck_make.close_wait)
    try:
        scope = ["--netns", str(maker.netns), "--min-age", "0", "state", "close-wait"]
        victims = {w["cookie"] for w in maker.expected if w["state"] == "close_wait"}
        others = {w["cookie"] for w in maker.expected} - victims
        complaints = []

        def left():
            return victims & set(maker.ss())

        rc, out, _ = stuck(tool, "--kill", *scope)
        if rc or out.count(": would be closed") != len(victims) or left() != victims:
            complaints.append(f"without --yes: exit {rc}, {len(left())} left, {out}")
        rc, out, _ = stuck(tool, "--kill", "--yes", "--max", "2", *scope)
        if rc or out.count(": closed") != 2 or len(left()) != len(victims) - 2:
            complaints.append(f"--max 2: exit {rc}, {len(left())} left, {out}")
        rc, out, _ = stuck(tool, "--kill", "--yes", *scope)
        if rc or left():
            complaints.append(f"--yes: exit {rc}, {len(left())} left, {out}")
        # Those whose end was not killed: an RST may have ended them, they are not ours to judge.
        if "fin_wait_2" in out or (others and others & victims):
            complaints.append(f"more than was asked for: {out}")
        return complaints
    finally:
        maker.close()


def case_holders(tool):
    """-p means any process that holds it, also one that only inherited it."""
    maker = Maker(stuck_make.shared)
    try:
        want = maker.expected[0]
        complaints = []
        for pid, _ in want["holders"]:
            rows = findings(tool, "--list", "--min-age", "0", "-p", str(pid))
            if not any(is_about(r, want) for r in rows):
                complaints.append(f"-p {pid} does not show {want}")
            if any(r["tcp"].get("netns") != maker.netns for r in rows):
                complaints.append(f"-p {pid} shows another's")
        rows = findings(tool, "--list", "--min-age", "0", "-p", "1")
        if any(is_about(r, want) for r in rows):
            complaints.append("-p 1 shows it")
        return complaints
    finally:
        maker.close()


def case_all(tool):
    """--all has every socket that ss has, once."""
    maker = Maker(stuck_make.close_wait)
    try:
        rc, out, err = stuck(tool, "--all", "-o", "json", "--min-age", "0", "--netns",
                             str(maker.netns))
        rows = [json.loads(line) for line in out.splitlines()]
        said = [r["tcp"]["socket_id"] for r in rows if "socket_id" in r.get("tcp", {})]
        inside = maker.ss()
        complaints = [] if rc == 0 else [f"exit {rc}: {err}"]
        if sorted(said) != sorted(inside):
            complaints.append(f"said {sorted(said)}, ss {sorted(inside)}")
        return complaints
    finally:
        maker.close()


def case_unasked(tool):
    """An orphan whose cookie nobody has ever asked for: the kernel makes one only then. Not
    compared with ss, that would ask."""
    maker = Maker(stuck_make.orphan_unasked)
    try:
        rows = findings(tool, "--list", "--min-age", "0", "--netns", str(maker.netns))
        complaints = [maker.error] if maker.error else []
        for want in maker.expected:
            about = [r for r in rows if is_about(r, want)]
            complaints += list(differences(about[0], want)) if about else \
                [f"nothing is said of {want}"]
        return complaints
    finally:
        maker.close()


def case_formats(tool):
    """Groups add up to their sockets; CSV has as many rows as JSON; 80 columns."""
    maker = Maker(stuck_make.close_wait)
    try:
        scope = ["--netns", str(maker.netns), "--min-age", "0"]
        complaints = []
        groups = findings(tool, *scope)
        rows = findings(tool, "--list", *scope)
        if sum(g["tcp"]["finding"]["count"] for g in groups) != len(rows):
            complaints.append("the groups' counts are not the sockets' number")
        for args, n in (([], len(groups)), (["--list"], len(rows))):
            _, out, _ = stuck(tool, "-o", "csv", *args, *scope)
            if len(out.splitlines()) != n + 1:
                complaints.append(f"csv {args}: {len(out.splitlines())} lines, not {n} + 1")
        # A group's peer is told where its sockets share it: those of one family do here.
        for args, all_share in (([], False), (["-4"], True)):
            _, out, _ = stuck(tool, "-o", "csv", *args, *scope)
            peers = [r["peer_address"] for r in csv.DictReader(out.splitlines())]
            told = [g["network"].get("peer", {}).get("address", "")
                    for g in findings(tool, *args, *scope)]
            # Of the same age either may come first: they are two looks.
            if sorted(peers) != sorted(told) or all_share != (set(told) == {"127.0.0.1"}):
                complaints.append(f"{args}: peers {told}, in csv {peers}")
        _, out, _ = stuck(tool, *scope)
        long = [s for s in out.splitlines() if len(s) > 80 and "$ " not in s and
                not s.startswith(("warning", "info", "critical"))]
        complaints += [f"more than 80 columns: {s}" for s in long]
        return complaints
    finally:
        maker.close()


def case_schema(tool):
    """Every kind of record that it writes is what the schema says. None: no validator here."""
    here = os.path.dirname(os.path.abspath(__file__))
    validate = os.path.join(here, "../schema/validate.py")
    if subprocess.run(["/usr/bin/python3", "-c", "import jsonschema"], check=False,
                      stderr=subprocess.DEVNULL).returncode:
        return None
    makers = [Maker(fn) for fn in (stuck_make.close_wait, stuck_make.accept_queue,
                                   stuck_make.ports, stuck_make.time_waits,
                                   stuck_make.descriptors, stuck_make.syn_unanswered,
                                   stuck_make.zero_window)]
    complaints = [m.error for m in makers if m.error]
    try:
        signal.sigtimedwait([], 2.5)
        for args in ([], ["--list"], ["--all"]):
            rc, out, err = stuck(tool, "-o", "json", "--min-age", "0", *args)
            if rc or err:
                complaints.append(f"{args}: exit {rc}, '{err}'")
            p = subprocess.run(["/usr/bin/python3", validate], input=out, text=True, check=False,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if p.returncode:
                complaints.append(f"{args}: {p.stdout}")
        return complaints
    finally:
        for m in makers:
            m.close()


def case_mistakes(tool):
    complaints = []
    for args in (["--yes"], ["--max", "3"], ["--warn", "2"], ["--kill", "--watch"],
                 ["--kill", "-o", "json"], ["--check", "--list"], ["--explain", "nonsense"],
                 ["--min-age", "soon"], ["--check", "--warn", "0"], ["--interval", "1"]):
        rc, out, err = stuck(tool, *args)
        if rc != 2 or out or err.count("\n") != 1 or not err.startswith("tcptrail: "):
            complaints.append(f"{args}: exit {rc}, '{out}' '{err}'")
    rc, out, err = stuck(tool, "--explain", "all")
    if rc or err or any(f"\n{w['kind']}: " not in "\n" + out for w in
                        [{"kind": k} for k in ("close_wait_leak", "fd_limit_near")]):
        complaints.append(f"--explain all: exit {rc}")
    return complaints


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    ap.add_argument("--tcptrail", default="build/tcptrail")
    ap.add_argument("names", nargs="*", help="only cases that contain one of these")
    args = ap.parse_args()
    cases = [(f"found before the tracer: {fn.__name__}", case_before, fn)
             for fn in stuck_make.MAKERS]
    cases += [(f"made while it watches: {fn.__name__}", case_after, fn)
              for fn in stuck_make.MAKERS]
    cases += [(name, fn, None) for name, fn in (
        ("nothing is stuck: says so, exit 0", case_nothing),
        ("--check: one line and an exit status", case_check),
        ("--kill: only with --yes, only what was asked for", case_kill),
        ("-p: any holder", case_holders),
        ("--all: every socket once", case_all),
        ("an orphan whose cookie nobody asked for", case_unasked),
        ("formats agree", case_formats),
        ("records are what the schema says", case_schema),
        ("mistakes are one line and exit 2", case_mistakes))]
    count = dict.fromkeys((PASSED, FAILED, SKIPPED), 0)
    for name, fn, arg in cases:
        if args.names and not any(n in name for n in args.names):
            continue
        if os.geteuid():
            print(f"ok - {name} # SKIP needs root")
            count[SKIPPED] += 1
            continue
        try:
            complaints = fn(args.tcptrail, arg) if arg else fn(args.tcptrail)
        except (AssertionError, OSError, subprocess.SubprocessError, ValueError) as e:
            complaints = [f"{type(e).__name__}: {e}"]
        if complaints is None:
            print(f"ok - {name} # SKIP python3-jsonschema is not installed")
            count[SKIPPED] += 1
            continue
        print(("not ok - " if complaints else "ok - ") + name, flush=True)
        for c in complaints[:8]:
            print("  " + str(c).replace("\n", "\n  ")[:2000])
        count[FAILED if complaints else PASSED] += 1
    print(", ".join(f"{n} {what}" for what, n in count.items()))
    return 1 if count[FAILED] else 0


if __name__ == "__main__":
    sys.exit(main())
