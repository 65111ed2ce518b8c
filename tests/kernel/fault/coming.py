# SPDX-License-Identifier: Apache-2.0
"""Coming and going: killed in each phase, in and out under load, two at once."""
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time

from fault.steps import (CALLS, ITER_CREATE, LINK_CREATE, PROG_LOAD, RAW_TRACEPOINT_OPEN, Stepped)
from fault.suite import NOTICES, SUMMARY, valid
from tracers import until

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
ATTACHES = [RAW_TRACEPOINT_OPEN, LINK_CREATE]


def holders():
    """{program id: pids that hold it}, by their own descriptors: of programs and of links."""
    held = {}
    for path in glob.glob("/proc/[0-9]*/fdinfo/*"):
        try:
            with open(path, encoding="ascii", errors="replace") as f:
                found = re.search(r"^prog_id:\t(\d+)$", f.read(), re.M)
        except OSError:
            continue
        if found:
            held.setdefault(int(found.group(1)), set()).add(int(path.split("/")[2]))
    return held


def programs():
    """{id: pids} of the BPF programs that bear our names."""
    names = set(re.findall(r'\.name = "(on_[a-z_0-9]+)"', open(
        os.path.join(ROOT, "user/source/hooks.c"), encoding="utf-8").read()))
    path = shutil.which("bpftool", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    listing = json.loads(subprocess.run([path, "prog", "show", "-j"], capture_output=True,
                                        check=True).stdout)
    held = holders()
    return {p["id"]: held.get(p["id"], set()) for p in listing
            if any(p.get("name") in (n, n[:15]) for n in names)}


def nobodys(before):
    """Programs of ours that came since and that no process holds. Freed ones need a moment."""
    for _ in range(100):
        left = [i for i, pids in programs().items() if i not in before and not pids]
        if not left:
            return left
        time.sleep(0.1)
    return left


# Where it is stopped: call after call, each (name, commands of bpf(), the how manieth); None sends SIGINT.
PHASES = {
    "loading the first": [("bpf", [PROG_LOAD], 1)],
    "loading": [("bpf", [PROG_LOAD], 9)],
    "attaching the first": [("bpf", ATTACHES, 1)],
    "attaching": [("bpf", ATTACHES, 5)],
    "listing": [("bpf", [ITER_CREATE], 1)],
    "reading the list": [("bpf", [ITER_CREATE], 1), ("read", (), 1)],
    "running": [("bpf", [ITER_CREATE], 2), ("epoll_wait", (), 3)],
    "detaching the first": [("bpf", [ITER_CREATE], 2), ("epoll_wait", (), 3), None,
                            ("close", (), 1)],
    "detaching": [("bpf", [ITER_CREATE], 2), ("epoll_wait", (), 3), None, ("close", (), 6)],
    "writing the last": [("bpf", [ITER_CREATE], 2), ("epoll_wait", (), 3), None,
                         ("write", [1], 1)],
}


def gone(mine):
    """What is left of these programs, and of links to them. Freed ones need a moment."""
    path = shutil.which("bpftool", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    for _ in range(100):
        links = json.loads(subprocess.run([path, "link", "show", "-j"], capture_output=True,
                                          check=True).stdout or "[]")
        left = set(mine) & set(programs()), [x for x in links if x.get("prog_id") in mine]
        if not any(left):
            break
        time.sleep(0.1)
    return left


def killed_at(s, phase, steps, number):
    name = f"{signal.Signals(number).name} while {phase}"
    port, out = s.next_port(), os.path.join(s.directory, "stepped.out")
    t = Stepped([s.tcptrail, "conns", "-o", "json", "-P", str(port), "--mode", "base"], out,
                os.path.join(s.directory, "stepped.err"))
    for step in steps:
        if step and not t.until(*step):
            return s.check(f"{name}: gets there", False, t.said())
        if not step:
            s.make("churn", port, "--count", 50)
            os.kill(t.pid, signal.SIGINT)
    mine = {i for i, pids in programs().items() if t.pid in pids}
    status = t.end(number)
    left = gone(mine)
    s.check(f"{name}: nothing is left of {len(mine)} programs and their links",
            not any(left) and (mine or steps[-1][:2] == ("bpf", [PROG_LOAD])), left)
    with open(out, "rb") as f:
        lines = f.read().split(b"\n")
    s.check(f"{name}: each line that arrived is whole", all(map(valid, lines[:-1])), lines)
    if number == signal.SIGKILL:
        s.check(f"{name}: its status", status == -signal.SIGKILL, status)
        return None
    told = s.says(f"{name}: exit 0, what it ends with", status, NOTICES + SUMMARY, t)
    if told and None in steps:
        s.balance(f"{name}: every record is there", len(lines) - 1, int(told["slow"] or 0), 101)
    return None


def killed(s):
    """SIGKILL and SIGTERM while it loads, attaches, lists, runs, ends: nothing of it is left in the
    kernel, and SIGTERM is an end like any other."""
    before = set(programs())
    if not CALLS:
        return s.skip("killed in each phase", "the numbers of its calls are not known here")
    for phase, steps in PHASES.items():
        for number in (signal.SIGKILL, signal.SIGTERM):
            killed_at(s, phase, steps, number)
    port = s.next_port()
    t = s.tracer("killed", "events", "-P", str(port))
    t.wait_ready()
    mine = {i for i, pids in programs().items() if t.process.pid in pids}
    t.process.send_signal(signal.SIGSTOP)
    s.make("churn", port, "--count", 200)
    t.process.kill()
    t.process.wait()
    s.check("SIGKILL while stopped: nothing is left", mine and not any(gone(mine)))
    s.check("of none is anything left", not nobodys(before))
    pinned = [p for p in glob.glob("/sys/fs/bpf/**", recursive=True) if "tcptrail" in p]
    return s.check("nothing is pinned", not pinned, pinned)


def reload_under_load(s):
    """Twenty times in and out while connections come and go."""
    port, before, faults = s.next_port(), set(programs()), []
    over, bursts = threading.Event(), []

    def load():   # less than a busy host can read: what is lost then is no fault of the coming
        while not over.wait(0.02):
            s.churn(port, "-n", 200)
            bursts.append(200)
    thread = threading.Thread(target=load)
    thread.start()
    try:
        for turn in range(20):
            t = s.tracer("turn", "conns", "-o", "json", "-P", str(port), "--buffer", "64M",
                         "--mode", "base")
            why, were = t.wait_ready(), len(bursts)
            # a whole burst of them, for the first one may have begun before it traced
            loaded = not why and until(lambda were=were: len(bursts) >= were + 2)
            status = t.stop()
            said = re.fullmatch(NOTICES + SUMMARY, t.said().decode())
            with open(t.out, "rb") as f:
                lines = f.read().split(b"\n")[:-1]
            if status or not said or said["slow"] or not all(map(valid, lines)) or \
                    len(lines) < 2 or int(said["ended"]) != len(lines) - 1 or not loaded:
                faults.append(f"turn {turn}: status {status}, {len(lines)} lines: {t.said()!r}")
    finally:
        over.set()
        thread.join()
    s.check("20 times loaded and unloaded under load, each line pinned", not faults, faults)
    s.check("... and nothing is left", not nobodys(before))
    t = s.tracer("turn", "conns", "-o", "json", "-P", str(port), "--mode", "base", "--no-snapshot")
    t.wait_ready()
    s.churn(port, "-n", 200)
    time.sleep(0.5)
    status = t.stop()
    with open(t.out, "rb") as f:
        ends = f.read().count(b'"tcp.connection"')
    said = s.says("... and the 21st says what it should", status, NOTICES + SUMMARY, t)
    s.balance("... and tells every end", ends, int(said["slow"] or 0) if said else 0, 400)


def two_tracers(s):
    """Neither takes anything from the other."""
    port = s.next_port()
    both = [s.tracer(f"two{i}", "conns", "-o", "json", "-P", str(port), "--mode", "base")
            for i in (1, 2)]
    ready = [t.wait_ready() for t in both]
    s.check("two tracers: both trace", ready == [None, None], ready)
    s.make("churn", port, "--count", 300)
    time.sleep(0.5)
    told = []
    for t in both:
        status = t.stop()
        ids = [json.loads(line)["tcp"]["socket_id"] for line in open(t.out)
               if '"tcp.connection"' in line]
        told.append((status, sorted(ids), s.says(f"{t.tag}: what it ends with", status,
                                                 NOTICES + SUMMARY, t)))
    s.check("two tracers: the same 600 ends, nothing lost", told[0][:2] == told[1][:2] and
            len(told[0][1]) == 600 and all(t[2] and not t[2]["slow"] for t in told),
            [(a, len(b), c) for a, b, c in told])


FAULTS = [killed, reload_under_load, two_tracers]
