# SPDX-License-Identifier: Apache-2.0
"""Real connections, traced live and captured at once: both must tell one story.

Left out are those whose end the wire does not show (a timer that gave up, a kill), and
of teardown.kind a half-close in which no data went: only the socket knows that it was one.
"""
import json
import os
import shutil
import signal
import subprocess

import wireshark
from kernel.wire import settle

FIRST_PORT, LAST_PORT = 28500, 28999
SCENARIOS = ["normal", "no_data", "server_closes_first", "half_close", "half_close_server", "bulk",
             "ipv6", "v4mapped", "linger_reset", "peer_reset", "reset_after_fin",
             "reset_in_close_wait", "write_after_close", "listener_closed", "never_accepted",
             "refused", "syn_retransmitted", "synack_retransmitted", "retransmit",
             "fin_retransmitted", "zero_window", "self_connect", "passed", "killed_process",
             "half_close_held"]
SAME = ["tcp.conn_state", "tcp.teardown.initiator", "tcp.teardown.kind", "tcp.handshake.kind",
        "tcp.handshake.client_isn", "tcp.handshake.server_isn", "tcp.teardown.client_fin_seq",
        "tcp.teardown.server_fin_seq", "tcp.bytes_sent", "tcp.bytes_received",
        "tcp.teardown.time_wait", "tcp.options.window_scale", "tcp.options.sack",
        "tcp.options.timestamps"]
# What one of the two cannot know.
BUT = {"half_close_held": {"tcp.teardown.kind"}}


def wait_for(process, word):
    line = process.stderr.readline()
    while line and word not in line:
        line = process.stderr.readline()
    return bool(line)


def both_sides(program, scenario, folder):
    """Runs them all under both; returns (live output, capture)."""
    live, capture = os.path.join(folder, "live.json"), os.path.join(folder, "live.pcap")
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    ports = f"{FIRST_PORT}-{LAST_PORT}"
    with open(live, "w", encoding="utf-8") as out:
        tracer = subprocess.Popen([program, "conns", "-o", "json", "--no-snapshot", "-P", ports],
                                  stdout=out, stderr=subprocess.PIPE, text=True)
        dump = subprocess.Popen(["tcpdump", "-i", "lo", "-U", "-s", "128", "-Z", "root",
                                 "-B", "8192", "-w", capture, f"tcp portrange {ports}"],
                                stderr=subprocess.PIPE, text=True, env={**os.environ, "PATH": path})
        try:
            if not wait_for(tracer, "tracing") or not wait_for(dump, "listening on"):
                return None, None
            for n, name in enumerate(SCENARIOS):
                subprocess.run([scenario, name, "--port", str(FIRST_PORT + n * 4), "--hold", "50"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
            settle(capture)
        finally:
            for process in (dump, tracer):
                process.send_signal(signal.SIGINT)
                process.communicate(timeout=60)
    return live, capture


def key_of(record, field):
    return tuple(field(record, f"network.{side}.{what}") for side in ("local", "peer")
                 for what in ("address", "port"))


def compare(name, port, live, capture, field):
    def mine(records):
        return [r for r in records if port in (field(r, "network.local.port"),
                                               field(r, "network.peer.port"))]
    traced, captured = mine(live), mine(capture)
    faults = [] if traced else ["nothing was traced"]
    if len(traced) != len(captured):
        faults.append(f"{len(traced)} ends live, {len(captured)} in the capture")
    rest = list(captured)
    for r in traced:
        same = [c for c in rest if key_of(c, field) == key_of(r, field)
                and field(c, "tcp.role") == field(r, "tcp.role")]
        if not same:
            faults.append(f"{field(r, 'tcp.role')}: not in the capture")
            continue
        rest.remove(same[0])
        faults += [f"{field(r, 'tcp.role')}: {k}: live {field(r, k)!r}, capture "
                   f"{field(same[0], k)!r}" for k in SAME if k not in BUT.get(name, ())
                   and field(r, k) is not None and field(r, k) != field(same[0], k)]
    return faults


def run(tests, program, scenario, folder, ask, of, field):
    if os.geteuid() or not shutil.which("tcpdump", path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
        tests.skip("live", "needs root and tcpdump")
        return
    live, capture = both_sides(program, scenario, folder)
    if not live:
        tests.clean("live: tracer and tcpdump start", ["they do not"])
        return
    with open(live, encoding="utf-8") as f:
        traced = of([json.loads(line) for line in f], "tcp.connection")
    captured = of(ask(program, "conns", "--from", capture)[0], "tcp.connection")
    for n, name in enumerate(SCENARIOS):
        tests.clean(f"live and captured: {name}",
                    compare(name, FIRST_PORT + n * 4, traced, captured, field))
    if wireshark.there():
        table = of(ask(program, "timeline", "--packets", "--from", capture)[0], "tcp.packet")
        tests.clean("live: wireshark", wireshark.compare(capture, table,
                                                         ("zero_window_probe_ack",)))
