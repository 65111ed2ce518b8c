# SPDX-License-Identifier: Apache-2.0
"""--sample, --only-findings and verdicts in a FILTER: what is left out, and that it is counted."""
import ipaddress
import json
import subprocess
from collections import defaultdict

import harness

MASK = 2 ** 64 - 1
VIEWS = (["events"], ["conns", "--open"], ["watch", "--open"], ["timeline", "--open"])
RATES = (2, 3, 7)


def end(side):
    address = ipaddress.ip_address(side["address"])
    packed = address.packed if address.version == 6 else b"\0" * 10 + b"\xff\xff" + address.packed
    return packed + side.get("port", 0).to_bytes(2, "big")


def keeps(rate, network):
    """The rule of core/filter/sample.h, written a second time."""
    h = 0xcbf29ce484222325
    for byte in b"".join(sorted((end(network["local"]), end(network["peer"])))):
        h = (h ^ byte) * 0x100000001b3 & MASK
    for factor in (0xff51afd7ed558ccd, 0xc4ceb9fe1a85ec53):
        h = (h ^ h >> 33) * factor & MASK
    return (h ^ h >> 33) % rate == 0


def read(ground, args):
    return [json.loads(x) for x in harness.run(ground.tcptrail, *args, "-o", "json").splitlines()]


def core(record):
    """A record without what sampling itself puts in."""
    r = json.loads(json.dumps(record))
    r["event"].pop("sequence")
    r.get("tcp", {}).pop("sample_rate", None)
    return json.dumps(r, sort_keys=True)


def check_sample(ground, view, rate):
    kept_ids, out_ids, lost = set(), set(), 0
    for file in harness.recordings():
        whole = read(ground, view + ["--from", file])
        some = read(ground, view + ["--from", file, "--sample", str(rate)])
        *whole, stats = whole
        *some, sampled = some
        left = sampled["tracer"].pop("left_out")
        # What the tracer counts is whole, whatever is shown.
        harness.Tally.equal(core(sampled), core(stats))
        harness.Tally.equal(left["sample_rate"], rate)
        harness.Tally.equal(left["records"] + len(some), len(whole))
        remaining = [core(r) for r in some]
        harness.Tally.equal(sorted(set(remaining) - {core(r) for r in whole}), [])
        ids = defaultdict(set)
        for r in whole:
            if r["tcp"]["role"] != "listener" and "community_id" in r["network"]:
                ids[keeps(rate, r["network"])].add(r["network"]["community_id"])
        for r in some:
            if r["tcp"]["role"] == "listener":
                harness.Tally.true("sample_rate" not in r["tcp"], "a listener is no sample")
                continue
            harness.Tally.equal(r["tcp"]["sample_rate"], rate)
        shown = {r["network"]["community_id"] for r in some if "community_id" in r["network"]}
        harness.Tally.equal(shown, ids[True])
        # All records of a connection, or none: by its socket (but one that connects again is
        # several), so that the first one counts, which has no port yet.
        lives = defaultdict(set)
        for r in whole:
            lives[r["tcp"].get("socket_id")].add(r["network"].get("community_id"))
        sockets = {r["tcp"]["socket_id"] for r in some
                   if len(lives[r["tcp"].get("socket_id")] - {None}) == 1 and "socket_id" in r["tcp"]}
        for r in whole:
            if r["tcp"].get("socket_id") in sockets and core(r) not in remaining:
                raise AssertionError(f"half of a connection: {r}")
        kept_ids |= ids[True]
        out_ids |= ids[False]
        lost += left["records"]
    harness.Tally.true(kept_ids and out_ids and lost, "nothing was kept, or nothing left out")


def check_findings(ground):
    file = harness.path("tests/fleet/queues.ttr")
    *records, stats = read(ground, ["events", "--only-findings", "--from", file])
    findings = {(r["tcp"]["socket_id"], r["tcp"]["finding"]["kind"])
                for r in records if r["event"]["name"] == "tcp.finding"}
    harness.Tally.true({k for _, k in findings} >= {"accept_queue_full", "syn_unanswered"},
                       f"found: {findings}")
    for r in records:  # whose it is, as `stuck` says it
        if r["event"]["name"] == "tcp.finding" and "holder_count" in r["tcp"]:
            harness.Tally.equal(len(r["tcp"]["holders"]), min(r["tcp"]["holder_count"], 16))
    harness.Tally.true(any(r["tcp"].get("holder_count") for r in records), "nobody holds any")
    found = set()
    for r in records:  # only what belongs to one, and only after it
        if r["event"]["name"] == "tcp.finding":
            found.add(r["tcp"]["socket_id"])
        harness.Tally.true(r["tcp"]["socket_id"] in found, f"of no finding: {r}")
    harness.Tally.true(len(records) > len(findings), "nothing became of them")
    harness.Tally.equal(len(findings), sum(r["event"]["name"] == "tcp.finding" for r in records))
    whole = read(ground, ["events", "--from", file])
    shown = sum(r["event"]["name"] != "tcp.finding" for r in records)
    harness.Tally.equal(stats["tracer"]["left_out"]["records"] + shown + 1, len(whole))
    ends = [r for r in read(ground, ["conns", "--only-findings", "--from", file])
            if r["event"]["name"] == "tcp.connection"]
    harness.Tally.true(ends and all(r["tcp"]["socket_id"] in found for r in ends), "no end told")
    quiet = read(ground, ["watch", "--only-findings", "--from",
                          harness.path("tests/golden/normal.ttr")])
    harness.Tally.equal([r["event"]["name"] for r in quiet], ["tracer.stats"])


def check_verdict(ground):
    total = 0
    for file in harness.recordings():
        every = [r for r in read(ground, ["conns", "--from", file])
                 if r["event"]["name"] == "tcp.connection"]
        reset = [r for r in read(ground, ["conns", "--from", file, "verdict", "=", "reset"])
                 if r["event"]["name"] == "tcp.connection"]
        want = [r["tcp"].get("socket_id") for r in every
                if r["tcp"]["teardown"]["kind"] in ("reset_sent", "reset_received")]
        harness.Tally.equal([r["tcp"].get("socket_id") for r in reset], want)
        total += len(want)
    harness.Tally.true(total, "no reset at all")


MISTAKES = (
    (["conns", "--sample", "0"], "--sample"), (["conns", "--sample", "-2"], "--sample"),
    (["conns", "--sample", "2x"], "--sample"), (["stuck", "--sample", "2"], "--sample"),
    (["conns", "--only-findings"], "--only-findings"),
    (["conns", "--only-findings", "-o", "csv"], "--only-findings"),
    (["watch", "--only-findings", "--sample", "2", "-o", "json"], "--only-findings"),
    (["events", "verdict", "=", "reset"], "verdict"),
    (["stuck", "not", "(", "pid", "=", "1", "or", "verdict", "=", "SF", ")"], "verdict"),
)


def check_mistake(ground, args, word):
    done = subprocess.run([ground.tcptrail, *args], capture_output=True, text=True, timeout=20)
    harness.Tally.equal((done.returncode, done.stdout, done.stderr.count("\n")), (2, "", 1))
    harness.Tally.true(word in done.stderr, done.stderr)


def check(t, ground):
    for view in VIEWS:
        for rate in RATES:
            t.check(f"{view[0]} --sample {rate}: whole connections, both ends, all counted",
                    lambda v=view, r=rate: check_sample(ground, v, r))
    t.check("--only-findings: findings, and what becomes of them", lambda: check_findings(ground))
    t.check("a verdict in the FILTER", lambda: check_verdict(ground))
    for args, word in MISTAKES:
        t.check(f"refused: {' '.join(args)}", lambda a=args, w=word: check_mistake(ground, a, w))
