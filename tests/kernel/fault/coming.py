# SPDX-License-Identifier: Apache-2.0
"""Coming and going: killed in each phase, in and out under load, two at once."""
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import time

from fault.suite import valid

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))


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
            if any(n[:15] == p.get("name") for n in names)}


def nobodys(before):
    """Programs of ours that came since and that no process holds. Freed ones need a moment."""
    for _ in range(100):
        left = [i for i, pids in programs().items() if i not in before and not pids]
        if not left:
            return left
        time.sleep(0.1)
    return left


def killed(s):
    """kill -9 while it loads, traces, is stopped, ends: nothing of it is left in the kernel."""
    port, before = s.next_port(), set(programs())
    for ms in (5, 20, 60, 120, 250):
        t = s.tracer("killed", "conns", "-P", str(port))
        time.sleep(ms / 1000)
        t.process.kill()
        t.process.wait()
        left = nobodys(before)
        s.check(f"kill -9 after {ms} ms: nothing is left", not left, left)
    for phase in ("tracing", "stopped", "ending"):
        t = s.tracer("killed", "events", "-P", str(port))
        t.wait_ready()
        mine = [i for i, pids in programs().items() if t.process.pid in pids]
        s.make("churn", port, "--count", 200)
        if phase != "tracing":
            t.process.send_signal(signal.SIGSTOP if phase == "stopped" else signal.SIGINT)
        t.process.kill()
        t.process.wait()
        for _ in range(100):
            left = set(mine) & set(programs())
            if not left:
                break
            time.sleep(0.1)
        s.check(f"kill -9 while {phase}: its {len(mine)} programs are gone", mine and not left, left)
    pinned = [p for p in glob.glob("/sys/fs/bpf/**", recursive=True) if "tcptrail" in p]
    s.check("nothing is pinned", not pinned, pinned)


def reload_under_load(s):
    """Twenty times in and out while connections come and go."""
    port, before = s.next_port(), set(programs())
    load = s.load(port, "-s", 300, "-w", 1)
    faults = []
    try:
        for turn in range(20):
            t = s.tracer("turn", "conns", "-o", "json", "-d", "0.2", "-P", str(port), "--buffer",
                         "64M")
            status = t.process.wait(60)
            if status or b"nothing lost" not in t.said() or \
                    not all(valid(line) for line in open(t.out, "rb")):
                faults.append(f"turn {turn}: status {status}: {t.said()[-300:]!r}")
        alive = load.poll() is None
    finally:
        load.kill()
        load.wait()
    s.check("20 times loaded and unloaded under load", not faults and alive, faults)
    s.check("... and nothing is left", not nobodys(before), "")


def two_tracers(s):
    """Neither takes anything from the other."""
    port = s.next_port()
    both = [s.tracer(f"two{i}", "conns", "-o", "json", "-P", str(port)) for i in (1, 2)]
    ready = [t.wait_ready() for t in both]
    s.check("two tracers: both trace", ready == [None, None], ready)
    s.make("churn", port, "--count", 300)
    time.sleep(0.5)
    told = []
    for t in both:
        status = t.stop()
        ids = [json.loads(line)["tcp"]["socket_id"] for line in open(t.out)
               if '"tcp.connection"' in line]
        told.append((status, sorted(ids), b"nothing lost" in t.said()))
    s.check("two tracers: the same 600 ends", told[0] == told[1] and len(told[0][1]) == 600
            and told[0][0] == 0 and told[0][2], [(a, len(b), c) for a, b, c in told])


FAULTS = [killed, reload_under_load, two_tracers]
