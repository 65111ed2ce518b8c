#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sockets that are bound to an interface: sock_diag finds them by it only.

    bound.py [--tcptrail PATH]

In network namespaces of its own, with the other end in another one, so that nothing but the exact
lookup can tell when the peer's FIN came: one connection over IPv6's link-local addresses (connect()
binds it), one by SO_BINDTODEVICE, one bound to nothing. The client closes first, the server a second
later; for the tracer (base mode) each has to end by both FINs, and `ss` shows the orphan in
FIN-WAIT-2 meanwhile. One more that is bound is held in FIN_WAIT_2 and closed by `stuck --kill`.
A line a check, and a last line: N passed, N failed, N skipped.
"""
import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time

from ledger import Tracer  # it makes the tests' own folder known
from tally import Tally

PORT, HELD_PORT = 24820, 24821
HALF_OPEN_S = 1
HERE, THERE = "10.83.0.1", "10.83.0.2"
OURS, THEIRS = "ttbound0", "ttbound1"


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


def serve():
    """The other namespace's side: closes late, what comes to HELD_PORT never by itself."""
    sys.stdin.readline()   # the interface is there
    ip("addr", "add", f"{THERE}/24", "dev", THEIRS)
    ip("link", "set", THEIRS, "up")
    print(link_local(THEIRS), flush=True)
    listeners = [socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
                 for port in (PORT, HELD_PORT)]
    print("listens", flush=True)
    for _ in range(3):
        end = listeners[0].accept()[0]
        end.recv(1)
        time.sleep(HALF_OPEN_S)
        end.close()
    held = listeners[1].accept()[0]
    sys.stdin.read()
    held.close()


def connect(address, port, device=None):
    client = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    if device:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    scope = (0, socket.if_nametoindex(OURS)) if ":" in address else ()
    client.connect((address, port, *scope))
    client.sendall(b"x")
    return client


def fin_wait_2(port):
    return subprocess.run(["ss", "-tanH", "state", "fin-wait-2", f"dport = :{port}"],
                          capture_output=True, text=True, check=True).stdout.count("\n")


def ends_by_both_fins(args, check, theirs):
    tracer = Tracer(args.tcptrail, ["conns", "-o", "json", "-P", str(PORT), "--mode", "base",
                                    "--netns", "/proc/self/ns/net"])
    check("traces", tracer.wait_ready(), tracer.said())
    ways = {"link-local": (theirs, None), "SO_BINDTODEVICE": (THERE, OURS), "unbound": (THERE, None)}
    ports = {}
    for way, (address, device) in ways.items():
        client = connect(address, PORT, device)
        ports[client.getsockname()[1]] = way
        client.close()
        time.sleep(HALF_OPEN_S / 3)
        check(f"{way}: ss has an orphan in FIN-WAIT-2", fin_wait_2(PORT) == 1)
        time.sleep(HALF_OPEN_S)
    time.sleep(1.5)   # the third lookup is 1.4 s after the close()
    status, records, said = tracer.finish()
    check("ends with 0", status == 0, said)
    ends = {ports.get(r["network"]["local"]["port"]): r["tcp"] for r in records
            if r["event"]["name"] == "tcp.connection"}
    for way in ways:
        tcp = ends.get(way, {"teardown": {}})
        down = tcp["teardown"]
        got = [tcp.get("conn_state"), tcp.get("end_reason"), down.get("kind"), down.get("time_wait"),
               "server_fin_seq" in down, tcp.get("evidence")]
        check(f"{way}: ended by both FINs, as the lookup tells",
              got == ["SF", "fin", "normal", "running", True, ["lookup"]], got)


def is_killed(args, check):
    client = connect(THERE, HELD_PORT, OURS)
    client.shutdown(socket.SHUT_WR)
    time.sleep(0.3)
    check("held: in FIN-WAIT-2", fin_wait_2(HELD_PORT) == 1)
    done = subprocess.run([args.tcptrail, "stuck", "--kill", "--yes", "--min-age", "0", "--mode",
                           "base", f"dport = :{HELD_PORT}"], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, check=False)
    check("held: stuck --kill closes it", fin_wait_2(HELD_PORT) == 0, done.stdout + done.stderr)
    client.close()


def inside(args, check):
    peer = subprocess.Popen(["unshare", "-n", sys.executable, __file__, "--serve"],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        for _ in range(100):   # until it is in a namespace of its own
            if os.readlink(f"/proc/{peer.pid}/ns/net") != os.readlink("/proc/self/ns/net"):
                break
            time.sleep(0.05)
        ip("link", "set", "lo", "up")
        ip("link", "add", OURS, "type", "veth", "peer", "name", THEIRS, "netns", str(peer.pid))
        ip("addr", "add", f"{HERE}/24", "dev", OURS)
        ip("link", "set", OURS, "up")
        peer.stdin.write("go\n")
        peer.stdin.flush()
        theirs = peer.stdout.readline().strip()
        check("the other end listens", theirs != "None" and link_local(OURS) and
              peer.stdout.readline().strip() == "listens", theirs)
        ends_by_both_fins(args, check, theirs)
        is_killed(args, check)
    finally:
        peer.stdin.close()
        try:
            peer.wait(5)
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
        print("skip - bound: needs root\n0 passed, 0 failed, 1 skipped")
        return 0
    if args.serve:
        serve()
        return 0
    if not args.inside:
        os.execvp("unshare", ["unshare", "-n", sys.executable, __file__, "--inside", "--tcptrail",
                              args.tcptrail])
    tally = Tally()
    inside(args, tally.check)
    return tally.end()


if __name__ == "__main__":
    sys.exit(main())
