# SPDX-License-Identifier: Apache-2.0
"""What runs out: descriptors; and 20,000 connections at once."""
import json
import os
import re
import resource
import socket
import subprocess
import time
import urllib.request

from fault.suite import NOTICES, SUMMARY, TABLES
from tracers import until
from witness import Witness

AT_ONCE = 20000
TRACING = r"tcptrail: tracing\n"


def descriptors(s):
    """Too few: one line that says how many, never a half-loaded tracer."""
    def limited(n):
        return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (n, n))
    for n in (8, 20, 40, 63):
        s.one_line(f"ulimit -n {n}: one line", rf"needs 64 file descriptors, and the limit is {n} "
                   r"\(try: ulimit -n 1024\)", [s.tcptrail, "conns", "-d", "1"],
                   preexec_fn=limited(n))
    port = s.next_port()
    t = s.tracer("few", "conns", "-o", "json", "-P", str(port), "--mode", "base", "--no-snapshot",
                 preexec_fn=limited(64))
    t.wait_ready()
    # what it may still open is gone while it runs: names of processes, cgroups' paths
    resource.prlimit(t.process.pid, resource.RLIMIT_NOFILE, (8, 8))
    s.churn(port, "-n", 500)
    time.sleep(0.5)
    status = t.stop()
    said = s.says("ulimit -n 64, and none left while it runs: exit 0", status, NOTICES + SUMMARY, t)
    with open(t.out, "rb") as f:
        ends = f.read().count(b'"tcp.connection"')
    s.balance("... and tells every end", ends, int(said["slow"] or 0) if said else 0, 1000)
    crowd(s)


def crowd(s):
    """More clients of `serve` than it has descriptors: it goes on, and answers when they are gone."""
    port, traced = s.next_port(), s.next_port()
    t = s.tracer("crowd", "serve", "--listen", f"127.0.0.1:{port}", "-P", str(traced), "--mode",
                 "base", "--no-snapshot")
    t.wait_ready()
    held = len(os.listdir(f"/proc/{t.process.pid}/fd"))
    resource.prlimit(t.process.pid, resource.RLIMIT_NOFILE, (held + 5, held + 5))
    clients = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(50)]
    time.sleep(0.5)
    before = cpu_ticks(t.process.pid)
    time.sleep(2)
    spent = cpu_ticks(t.process.pid) - before
    s.churn(traced, "-n", 200)
    for c in clients:
        c.close()
    until(lambda: closed_of(metrics(port)) >= 400)
    text = metrics(port)
    closed = closed_of(text)
    s.check("serve without descriptors: counted all the same", closed == 400, closed)
    lost = re.findall(r"^tcptrail_events_lost_total\{.*\} (\d+)$", text, re.M)
    s.check("serve without descriptors: nothing lost", lost and not sum(map(int, lost)), lost)
    # of 200 ticks: asking accept() again and again takes what there is
    s.check("serve without descriptors: waits, does not spin", spent < 100, spent)
    s.says("serve without descriptors: exit 0", t.stop(), rf"{NOTICES[:-len(TRACING)]}tcptrail: "
           rf"serving http://127.0.0.1:{port}/\n{TRACING}" + SUMMARY, t)


def metrics(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        return answer.read().decode()


def closed_of(text):
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
               if line.startswith("tcptrail_connections_closed_total{"))


def cpu_ticks(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def told_all(s, ends, lost, status, withheld):
    """Eight closing threads on two processors: delayed ACKs by the hundred fire on top of
    on_set_state, and on_set_state_again must tell of them. What the kernel showed no BPF program
    of anybody (witness.py) is no fault of ours: no more may be missing than that."""
    name = "20,000 at once: every end is told once, whole, nothing lost"
    gaps = [r for r in ends if r["tcp"].get("incomplete")]
    missing = 2 * AT_ONCE - len(ends)
    if status == lost["total"] == 0 <= missing and 0 < missing + len(gaps) <= withheld:
        s.skip(name, f"up to {withheld} events withheld from every BPF program, on top of pid 1: "
                     f"{missing} ends missing, {len(gaps)} with a gap")
    else:
        s.check(name, status == lost["total"] == missing == len(gaps) == 0,
                f"{status} {len(ends)} {lost} {gaps[:1]}")


def at_once(s):
    """20,000 connections opened before one is closed; the table counts what ss counts."""
    ports = [s.next_port(), s.next_port()]   # half of them each: descriptors have a limit
    t = s.tracer("many", "conns", "-o", "json", "-P", ",".join(map(str, ports)), "--buffer",
                 "256M")
    witness = Witness(ports[0], ports[-1], busy=True)
    held = []
    try:
        s.check("20,000 at once: traces", t.wait_ready() is None, t.said())
        held = [subprocess.Popen([s.churn_program, "hold", "-n", str(AT_ONCE // 2), "-w", "4",
                                  "-l", str(port)], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE) for port in ports]
        until(lambda: by_state(ports, ESTAB) >= 2 * AT_ONCE or
              any(h.poll() is not None for h in held), 300)
        by_ss = by_state(ports, ESTAB)
        t.turn()
        table = re.search(rb"^ESTAB(?:LISHED)? +(\d+)$", t.said(), re.M)
        s.check("20,000 at once: the table counts what ss counts",
                table and int(table.group(1)) == by_ss == 2 * AT_ONCE, f"{by_ss} {t.said()}")
        for h in held:
            h.stdin.close()
        for h in held:
            h.wait(120)
        until(lambda: not by_state(ports, CLOSES), 120)   # a FIN may have been lost in the crowd
        status = t.stop(60)
        ends = [json.loads(line) for line in open(t.out)]
        stats = ends[-1]
        ends = [r for r in ends if r["event"]["name"] == "tcp.connection"]
        witness.close()
        s.says("20,000 at once: exit 0", status, NOTICES + TABLES + SUMMARY, t)
        told_all(s, ends, stats["tracer"]["lost"], status, witness.most(ports))
    finally:
        witness.close()
        for h in held:
            h.kill()
            h.wait()
        t.stop()


ESTAB = ("established",)
CLOSES = ("connected", "exclude", "time-wait")


def by_state(ports, states):
    """How many sockets of these ports ss has in these states."""
    which = " or ".join(f"{end} = :{port}" for port in ports for end in ("sport", "dport"))
    return subprocess.run(["ss", "-tanH", "state", *states, which], text=True, capture_output=True,
                          check=True).stdout.count("\n")


FAULTS = [descriptors, at_once]
