#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The other end is out of sight, as a remote host's is: base mode has this end's events and lookups.

    apart.py [--tcptrail PATH]

Two network namespaces of its own, a veth pair between them; the client's is the one that is looked
at, the server's is the remote host. Three tracers see the client's ends: one within its namespace,
one outside (the host's agent that watches containers: it was in there before it gave its privileges
away), and one outside that keeps a record until its TIME_WAIT is over, and is stopped before. The
server does what it does when it is told, on a port for each case. sock_diag finds a socket that is bound to an
interface by that only: IPv6's link-local addresses (connect() binds those) and SO_BINDTODEVICE are
among the cases, and one bound socket is closed by `stuck --kill`. A line a check, and a last line:
N passed, N failed, N skipped.
"""
import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

from ledger import Tracer  # it makes the tests' own folder known
from tally import Tally
from tracers import until, whole

FIRST = 24820   # the ports, in CASES' order, then that of the held one
HERE, THERE = "10.83.0.1", "10.83.0.2"
OURS, THEIRS = "ttapart0", "ttapart1"
FIN_TIMEOUT_S = 4
APART_S = 0.6   # between this end's FIN and what the other end does: lookups, and their back-off


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def link_local(name):
    """Once duplicate detection is over: the address without its length, or None."""
    for _ in range(100):
        shown = json.loads(subprocess.run(["ip", "-j", "-6", "addr", "show", "dev", name],
                                          capture_output=True, check=True).stdout or "[]")
        for a in (a for link in shown for a in link.get("addr_info", [])):
            if a["scope"] == "link" and not a.get("tentative"):
                return a["local"]
        time.sleep(0.1)
    return None


# ---- the remote host ------------------------------------------------------------------------------

def close_late(end, told):
    end.recv(1)
    told.wait()


def send_late(end, told):
    end.recv(1)
    told.wait()
    end.sendall(b"late")
    until(lambda: end.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))


def reset_late(_, told):
    """With what came unread."""
    told.wait()


def stay(end, told):
    """It is never told."""
    close_late(end, told)


def serve():
    sys.stdin.readline()   # the interface is there
    ip("addr", "add", f"{THERE}/24", "dev", THEIRS)
    ip("link", "set", THEIRS, "up")
    print(link_local(THEIRS), flush=True)

    def each(listener, does, told):
        end = listener.accept()[0]
        does(end, told)
        end.close()
    does = [case[2] for case in CASES] + [stay]
    tell = [threading.Event() for _ in does]
    threads = [threading.Thread(target=each, daemon=True, args=(
        socket.create_server(("::", FIRST + i), family=socket.AF_INET6, dualstack_ipv6=True), d,
        tell[i])) for i, d in enumerate(does)]
    for t in threads:
        t.start()
    print("listens", flush=True)
    for line in sys.stdin:
        tell[int(line)].set()


# ---- this end -------------------------------------------------------------------------------------

def connect(address, port, device=None):
    client = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    if device:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    scope = (0, socket.if_nametoindex(OURS)) if ":" in address else ()
    client.connect((address, port, *scope))
    client.sendall(b"x")
    return client


def closes(client):
    client.close()


def shuts_both(client):
    time.sleep(0.2)
    client.shutdown(socket.SHUT_RDWR)


def fins(*evidence):
    return ["SF", "fin", "normal", "local", "running", True, list(evidence)]


# name, which socket, what the remote host does, what this end does, what its record says
CASES = [
    ("link-local", "v6", close_late, closes, fins("lookup")),
    ("SO_BINDTODEVICE", "bound", close_late, closes, fins("lookup")),
    ("unbound", "v4", close_late, closes, fins("lookup")),
    ("data after both directions were shut: this end resets", "v4", send_late, shuts_both,
     ["RSTO", "reset", "reset_sent", "local", "none", False, []]),
    ("a RST into an orphan's FIN_WAIT_2", "v4", reset_late, closes,
     ["RSTR", "reset", "reset_received", "local", "none", False, ["lookup", "estimate"]]),
    ("an orphan's FIN_WAIT_2 runs out", "v4", stay, closes,
     ["S2", "fin_wait_2_timeout", "orphaned", "local", "none", False, ["lookup"]]),
]


def told_of(record):
    tcp = record["tcp"]
    down = tcp["teardown"]
    return [tcp["conn_state"], tcp["end_reason"], down["kind"], down["initiator"],
            down["time_wait"], "server_fin_seq" in down, tcp["evidence"]]


def fin_wait_2(port):
    return subprocess.run(["ss", "-tanH", "state", "fin-wait-2", f"dport = :{port}"],
                          capture_output=True, text=True, check=True).stdout.count("\n")


def judge(check, who, tracer, ports):
    status, records, said = tracer.finish()
    check(f"{who}: ends with 0", status == 0, said)
    ends = {r["network"]["local"]["port"]: r for r in records
            if r["event"]["name"] == "tcp.connection"}
    for (name, _, _, _, want), port in zip(CASES, ports):
        got = told_of(ends[port]) if port in ends else "no record"
        check(f"{who}: {name}", got == want, f"{got}, expected {want}")
    open_ended = [r for r in ends.values() if "end" not in r["event"]]
    check(f"{who}: each end has its time", not open_ended, json.dumps(open_ended[:1]))


def is_killed(args, check, port):
    client = connect(THERE, port, OURS)
    client.shutdown(socket.SHUT_WR)
    check("held: in FIN-WAIT-2", until(lambda: fin_wait_2(port) == 1))
    done = subprocess.run([args.tcptrail, "stuck", "--kill", "--yes", "--min-age", "0", "--mode",
                           "base", f"dport = :{port}"], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, check=False)
    check("held: stuck --kill closes it", fin_wait_2(port) == 0, done.stdout + done.stderr)
    client.close()


def play(check, theirs, tell):
    """Local ports, in the cases' order. Each is in FIN-WAIT-2 before the other end does its own."""
    ports, open_ones = [], []
    for i, (name, kind, does, acts, _) in enumerate(CASES):
        client = connect(theirs if kind == "v6" else THERE, FIRST + i,
                         OURS if kind == "bound" else None)
        ports.append(client.getsockname()[1])
        acts(client)
        open_ones.append(client)
        there = until(lambda port=FIRST + i: fin_wait_2(port) == 1)
        check(f"{name}: ss has it in FIN-WAIT-2", there)
        if does is not stay:
            time.sleep(APART_S)
            tell(i)
    until(lambda: not any(fin_wait_2(FIRST + i) for i in range(len(CASES))))
    for client in open_ones:
        client.close()
    return ports


def told(tracer):
    return whole(tracer.out).count('"tcp.connection"')


def look(args, check, theirs, tell):
    words = ["-o", "json", "--mode", "base", "-D", f"{FIRST}-{FIRST + len(CASES) - 1}"]
    inside = f"/proc/{os.getpid()}/ns/net"
    outside = ["nsenter", "-t", str(os.getppid()), "-n", args.tcptrail]
    tracers = {
        "inside": Tracer(args.tcptrail, ["events", *words, "--netns", inside]),
        "of its interface": Tracer(args.tcptrail, ["conns", *words, "dev", "=", OURS]),
        "its ends": Tracer(args.tcptrail, ["conns", *words, "--netns", inside]),
        "outside": Tracer(outside[0], [*outside[1:], "conns", *words, "--netns", inside]),
        "until reaped": Tracer(outside[0], [*outside[1:], "conns", "--until", "reaped", *words,
                                            "--netns", inside])}
    for who, tracer in tracers.items():
        check(f"{who}: traces", tracer.wait_ready(), tracer.said())
    ports = play(check, theirs, tell)
    for who, wanted in (("its ends", len(CASES)), ("outside", len(CASES)), ("until reaped", 3)):
        until(lambda t=tracers[who], n=wanted: told(t) >= n)   # the lookups are behind
    _, records, _ = tracers.pop("inside").finish()
    resets = [(r["network"]["local"]["port"], r["tcp"]["reset"]["direction"]) for r in records
              if r["event"]["name"] == "tcp.reset"]
    check("events: the one RST that is seen was sent", resets == [(ports[3], "sent")], resets)
    _, records, _ = tracers.pop("of its interface").finish()
    bound = sorted(r["network"]["local"]["port"] for r in records
                   if r["event"]["name"] == "tcp.connection")
    check(f"dev = {OURS}: those that are bound to it", bound == sorted(ports[:2]),
          f"{bound}, of {ports}")
    for who, tracer in tracers.items():
        judge(check, who, tracer, ports)


def inside(args, check):
    peer = subprocess.Popen(["unshare", "-n", sys.executable, __file__, "--serve"],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        # in a namespace of its own
        until(lambda: os.readlink(f"/proc/{peer.pid}/ns/net") != os.readlink("/proc/self/ns/net"))
        with open("/proc/sys/net/ipv4/tcp_fin_timeout", "w", encoding="ascii") as f:
            f.write(str(FIN_TIMEOUT_S))
        ip("link", "set", "lo", "up")
        ip("link", "add", OURS, "type", "veth", "peer", "name", THEIRS, "netns", str(peer.pid))
        ip("addr", "add", f"{HERE}/24", "dev", OURS)
        ip("link", "set", OURS, "up")
        peer.stdin.write("go\n")
        peer.stdin.flush()
        theirs = peer.stdout.readline().strip()
        check("the other end listens", theirs != "None" and link_local(OURS) and
              peer.stdout.readline().strip() == "listens", theirs)

        def tell(case):
            peer.stdin.write(f"{case}\n")
            peer.stdin.flush()
        look(args, check, theirs, tell)
        is_killed(args, check, FIRST + len(CASES))
    finally:
        peer.stdin.close()
        try:
            peer.wait(60)
        except subprocess.TimeoutExpired:
            peer.send_signal(signal.SIGKILL)
            peer.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--tcptrail", default="build/tcptrail")
    args = parser.parse_args()
    if os.geteuid():
        print("skip - apart: needs root\n0 passed, 0 failed, 1 skipped")
        return 0
    if args.serve:
        serve()
        return 0
    if not args.inside:
        return subprocess.run(["unshare", "-n", sys.executable, __file__, "--inside", "--tcptrail",
                               os.path.abspath(args.tcptrail)], check=False).returncode
    tally = Tally()
    inside(args, tally.check)
    return tally.end()


if __name__ == "__main__":
    sys.exit(main())
