#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The tracer against others that watched the same connections: tshark and ss.

    crosscheck.py [--mode base|full] [--tcptrail PATH] [--scenario PATH]

1. tcpdump captures the loopback while scenarios run and the tracer traces; what tshark reads
   from the capture (ISNs, FIN sequence numbers, who sent the first FIN, who sent a RST, what
   was sent again) must be what the tracer says. The capture is held against the scenarios'
   truth as well: three parties, one story.
2. Scenarios hold sockets in their states; the tracer's tcp.snapshot records must tell the
   states, cookies and counts that `ss -tane` tells.

A line for each check, and a last line: N passed, N failed, N skipped. Exit 0 if none failed.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)

import wire  # noqa: E402
from records import Records, field, read_lines, split_address  # noqa: E402
from run import Held, Report, end_name, play  # noqa: E402
from tracers import Tracer  # noqa: E402

PORTS = (24600, 24649)
HELD_PORTS = (24650, 24699)
# On the host's loopback: tcpdump sees no other namespace.
CAPTURED = ["normal", "no_data", "server_closes_first", "half_close", "half_close_server",
            "half_close_held", "shutdown_both", "bulk", "ipv6", "linger_reset", "peer_reset",
            "unread_data_reset", "reset_after_fin", "reset_in_close_wait", "write_after_close",
            "half_open", "listener_closed", "refused", "syn_timeout", "syn_retransmitted",
            "synack_retransmitted", "retransmit", "fin_retransmitted", "keepalive_timeout",
            "user_timeout", "user_timeout_syn", "keepalive_user_timeout", "accept_queue_full",
            "data_after_shutdown", "linger2_reset", "both_reset", "reset_before_accept",
            "bound_device", "passed_in_close_wait", "churn"]
# What is held open while ss and the tracer look.
HELD = ["normal", "close_wait_leak", "half_close_held", "shared_by_fork", "never_accepted",
        "close_wait_unread"]
SS_STATES = {"ESTAB": "established", "SYN-SENT": "syn_sent", "SYN-RECV": "syn_received",
             "FIN-WAIT-1": "fin_wait_1", "FIN-WAIT-2": "fin_wait_2", "TIME-WAIT": "time_wait",
             "CLOSE-WAIT": "close_wait", "LAST-ACK": "last_ack", "LISTEN": "listen",
             "CLOSING": "closing"}
SENT_AGAIN = ("syn", "synack", "timeout", "fast", "slow_start", "tail_loss_probe")


def ports_args(ports):
    return ["-P", f"{ports[0]}-{ports[1]}"]


def differences(pairs):
    return [f"{what}: the wire says {want!r}, the tracer {got!r}"
            for what, want, got in pairs if want != got]


def wire_against_truth(truth, flow, local, peer):
    """The capture and the scenario must agree before either judges the tracer."""
    mine, other = flow.side(local), flow.side(peer)
    faults = []
    if "isn_local" in truth and (mine.syn, other.syn) != (truth["isn_local"], truth["isn_peer"]):
        faults.append(f"ISNs: the wire says {mine.syn} {other.syn}, TCP_REPAIR "
                      f"{truth['isn_local']} {truth['isn_peer']}")
    if mine.fin is not None and "isn_local" in truth and \
            mine.fin != (truth["isn_local"] + 1 + truth["sent"]) % wire.MOD:
        faults.append(f"FIN: the wire says {mine.fin} after {truth['sent']} bytes")
    if "retransmits" in truth and mine.retransmits != truth["retransmits"]:
        faults.append(f"sent again: the wire says {mine.retransmits}, TCP_INFO "
                      f"{truth['retransmits']}")
    return faults


def wire_against_tracer(truth, flow, local, peer, record):
    mine, other = flow.side(local), flow.side(peer)
    me, you = ("client", "server") if truth["role"] == "client" else ("server", "client")
    teardown = field(record, "tcp.teardown") or {}
    handshake = field(record, "tcp.handshake") or {}
    pairs = []
    for side, name in ((mine, me), (other, you)):
        # an end that never got an answer cannot know the other's ISN
        if side.syn is not None:
            pairs.append((f"{name}_isn", side.syn, handshake.get(f"{name}_isn", side.syn)
                          if side is mine and not other.syns + other.synacks
                          else handshake.get(f"{name}_isn")))
    if mine.fin is not None:
        pairs.append((f"{me}_fin_seq", mine.fin, teardown.get(f"{me}_fin_seq")))
    if other.fin is not None and teardown.get(f"{you}_fin_seq") is not None:
        pairs.append((f"{you}_fin_seq", other.fin, teardown.get(f"{you}_fin_seq")))
    fins = [(s.first_fin, who) for s, who in ((mine, "local"), (other, "peer")) if s.first_fin]
    if fins and teardown.get("kind") != "timed_out":  # else they came to an end that was gone
        pairs.append(("who sent the first FIN", min(fins)[1], teardown.get("initiator")))
    kind = teardown.get("kind")
    if kind == "reset_sent":
        pairs.append(("it sent a RST", True, mine.resets > 0))
    if kind == "reset_received" or handshake.get("kind") == "refused":
        pairs.append(("the other sent a RST", True, other.resets > 0))
    if kind in ("normal", "half_closed"):
        pairs.append(("nobody sent a RST", (0, 0), (mine.resets, other.resets)))
    counted = field(record, "tcp.retransmits") or {}
    pairs.append(("sent again", mine.retransmits, sum(counted.get(k, 0) for k in SENT_AGAIN)))
    return differences(pairs)


def captured(report, options, directory):
    why = wire.missing()
    if why:
        report.skip("tcpdump and tshark", why)
        return
    path = os.path.join(directory, "wire.pcap")
    tracer = Tracer(options.tcptrail, ["conns", "-o", "json", *ports_args(PORTS),
                                       *options.mode_args], directory, "captured")
    try:
        why = tracer.wait_ready()
        if why:
            report.clean("the tracer starts", [why])
            return
        capture = wire.Capture(path, PORTS)
        ends = []
        for i, name in enumerate(CAPTURED):
            more = ["--count", "20"] if name == "churn" else []
            ends += map(json.loads, play(options.scenario, name, PORTS[0] + i, *more))
        dropped = capture.stop()
        time.sleep(0.5)
    finally:
        status = tracer.stop()
    report.clean("the capture is whole", [f"{dropped} packets dropped"] if dropped else [])
    report.clean("the tracer ends by SIGINT", [f"status {status}"] if status else [])
    objects, faults = read_lines(tracer.out)
    report.clean("its output is NDJSON", faults)
    records, flows = Records(objects), wire.flows(path)
    for truth in ends:
        captured_end(report, truth, records, flows)


def captured_end(report, truth, records, flows):
    if "role" not in truth:
        report.clean(f"scenario {truth['scenario']}", [str(truth)])
        return
    found = records.of_end(truth, "tcp.connection")
    name = end_name(truth)
    if len(found) != 1:
        report.clean(f"tshark: {name}", [f"expected one tcp.connection, got {len(found)}"])
        return
    peer = split_address(truth["peer"])
    # a refused client has forgotten its port: the record has it
    local = split_address(truth["local"]) or (field(found[0], "network.local.address"),
                                              field(found[0], "network.local.port"))
    flow = flows.get(frozenset((local, peer)))
    if not flow:
        report.clean(f"tshark: {name}", [f"the capture has no {local} {peer}"])
        return
    report.clean(f"truth against tshark: {name}", wire_against_truth(truth, flow, local, peer))
    report.clean(f"tshark: {name}", wire_against_tracer(truth, flow, local, peer, found[0]))


# ---- ss ---------------------------------------------------------------------------------------

def ss_sockets():
    """{cookie: (state, local, peer)} on our ports, as ss tells."""
    low, high = HELD_PORTS
    out = subprocess.run(
        ["ss", "-tanHe", f"( sport >= :{low} and sport <= :{high} ) or "
                         f"( dport >= :{low} and dport <= :{high} )"],
        check=True, stdout=subprocess.PIPE, text=True).stdout
    found = {}
    for line in out.splitlines():
        words, cookie = line.split(), re.search(r"\bsk:([0-9a-f]+)", line)
        if len(words) >= 5 and words[0] in SS_STATES and cookie:
            found[cookie[1]] = (SS_STATES[words[0]], words[3], words[4])
    return found


def snapshots(options, directory):
    """{cookie: (state, local, peer)} as the tracer tells of what is there."""
    tracer = Tracer(options.tcptrail, ["events", "-o", "json", *ports_args(HELD_PORTS),
                                       *options.mode_args], directory, "snapshot")
    why = tracer.wait_ready() or tracer.turn()
    status = tracer.stop()
    if why or status:
        raise RuntimeError(why or f"status {status}")
    found = {}
    for r in read_lines(tracer.out)[0]:
        if field(r, "event.name") not in ("tcp.snapshot", "tcp.listener"):
            continue
        local, peer = [(field(r, f"network.{w}.address"), field(r, f"network.{w}.port"))
                       for w in ("local", "peer")]
        if any(p is not None and HELD_PORTS[0] <= p <= HELD_PORTS[1] for p in (local[1], peer[1])):
            found[field(r, "tcp.socket_id")] = (field(r, "network.connection.state"), local, peer)
    return found


def stable_ss(options, directory):
    """ss before and after the tracer's look: equal, or the world moved between."""
    for _ in range(3):
        before, told, after = ss_sockets(), snapshots(options, directory), ss_sockets()
        if before == after:
            return before, told
    raise RuntimeError("the sockets on our ports do not hold still")


def held(report, options, directory):
    if not shutil.which("ss"):
        report.skip("ss", "ss is not installed")
        return
    plays = [Held(options.scenario, name, HELD_PORTS[0] + i) for i, name in enumerate(HELD)]
    try:
        ss, told = stable_ss(options, directory)
    except RuntimeError as e:
        report.clean("ss and the tracer look at the same sockets", [str(e)])
        return
    finally:
        for p in plays:
            p.release()
    report.clean("ss sees what is held", [] if len(ss) >= 2 * len(HELD) else [str(ss)])
    for cookie, (state, local, peer) in sorted(ss.items()):
        got = told.get(cookie)
        name = f"ss: {state} {local} {peer} sk:{cookie}"
        report.clean(name, [] if got and got[0] == state and
                     split_address(local) in (got[1], None)
                     else [f"the tracer says {got}"])
    counts = Counter(s[0] for s in ss.values())
    report.clean(f"ss: the counts of states {dict(counts)}",
                 [] if counts == Counter(s[0] for s in told.values())
                 else [f"the tracer says {dict(Counter(s[0] for s in told.values()))}"])


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--mode", choices=["base", "full"])
    p.add_argument("--tcptrail", default=os.path.join(ROOT, "build", "tcptrail"))
    p.add_argument("--scenario", default=os.path.join(ROOT, "build", "tests", "scenario"))
    options = p.parse_args()
    options.mode_args = ["--mode", options.mode] if options.mode else []
    report = Report()
    with tempfile.TemporaryDirectory(prefix="tcptrail-crosscheck-") as directory:
        captured(report, options, directory)
        held(report, options, directory)
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
