#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What goes wrong around the tracer: each fault has its expected one line, and what was lost is
counted by somebody else as well.

    faults.py [--tcptrail PATH] [--scenario PATH] [--only NAME]

Full disks and slow readers for every output, descriptors that run out, 20,000 connections at
once, loading and unloading under load, two tracers, kill -9 in each phase, no BTF, each
capability missing, a container, a user namespace, what is left to a run that is set up. The
ring and the table are tests/kernel/ledger.py's; the clock and lockdown tests/vm/faults.sh's.

A line a check ("ok", "not ok", "skip"), and a last line: N passed, N failed, N skipped.
"""
import argparse
import glob
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)

from tracers import READY, Tracer  # noqa: E402
from witness import Witness  # noqa: E402

PORT = 29100
AT_ONCE = 20000
# Every stream, and connections enough to overflow a pipe and the sink's 4 MiB behind it.
OUTPUTS = [("events", "text", 8000), ("events", "json", 2000), ("conns", "text", 32000),
           ("conns", "json", 3000), ("conns", "csv", 16000), ("timeline", "text", 4000),
           ("watch", "text", 6000)]


class Suite:
    def __init__(self, options, directory):
        self.tcptrail, self.scenario = options.tcptrail, options.scenario
        self.churn_program = os.path.join(os.path.dirname(options.scenario), "churn")
        self.directory = directory
        self.passed = self.failed = self.skipped = 0
        self.port = PORT

    def check(self, name, holds, why=""):
        self.passed += bool(holds)
        self.failed += not holds
        print(f"{'ok' if holds else 'not ok'} {self.passed + self.failed} - {name}", flush=True)
        if not holds:
            print("    " + str(why).strip().replace("\n", "\n    ")[:1500])

    def skip(self, name, why):
        self.skipped += 1
        print(f"skip - {name}: {why}", flush=True)

    def next_port(self):
        self.port += 1
        return self.port

    def tracer(self, tag, *args):
        return Tracer(self.tcptrail, list(args), self.directory, tag)

    def make(self, name, port, *more):
        done = subprocess.run([self.scenario, name, "--port", str(port), *map(str, more)],
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=300)
        if done.returncode:
            raise RuntimeError(f"scenario {name}: {done.stderr.decode()}")

    def load(self, port, *more):
        return subprocess.Popen([self.churn_program, "churn", "-l", str(port), *map(str, more)],
                                stdout=subprocess.PIPE)

    def churn(self, port, *more):
        """Many connections, quickly."""
        made = json.loads(self.load(port, *more).communicate(timeout=300)[0])
        if made["failed"]:
            raise RuntimeError(f"churn: {made}")

    def one_line(self, name, want, argv, **more):
        """Exit 2, nothing on stdout, and on stderr the one line."""
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=60, **more)
        self.check(name, done.returncode == 2 and not done.stdout and
                   re.fullmatch(f"tcptrail: {want}\n", done.stderr),
                   f"status {done.returncode}, expected 2 and: {want}\n{done.stderr}{done.stdout}")


def lost_of(said, what):
    found = re.search(rf"(?:lost: |, )(\d+) {what}", said)
    return int(found.group(1)) if found else 0


# ---- stdout -----------------------------------------------------------------------------------

def full_disk(s):
    """A full disk ends the run: exit 2 and one line, whatever the output."""
    for view, form, _ in OUTPUTS:
        port = s.next_port()
        err = os.path.join(s.directory, "full.err")
        with open("/dev/full", "wb") as out, open(err, "wb") as to:
            t = subprocess.Popen([s.tcptrail, view, "-o", form, "-P", str(port)], stdout=out,
                                 stderr=to, stdin=subprocess.DEVNULL)
        try:
            # A header may end it before the first connection.
            for _ in range(100):
                if t.poll() is not None or READY in open(err, "rb").read():
                    break
                time.sleep(0.05)
            s.make("churn", port, "--count", 50)
            status = t.wait(15)
        except subprocess.TimeoutExpired:
            t.kill()
            status = t.wait()
        said = open(err, "rb").read()
        s.check(f"full disk: {view} -o {form}: exit 2, one line",
                status == 2 and b"tcptrail: stdout: No space left on device\n" in said,
                f"status {status}\n{said.decode()}")


def full_recording(s):
    """The recording ends, the view goes on, and the exit status says so."""
    place = os.path.join(s.directory, "small")
    os.mkdir(place)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", place]).returncode:
        return s.skip("full disk: --record", "no tmpfs can be mounted")
    try:
        port, path = s.next_port(), os.path.join(place, "r")
        t = s.tracer("record", "conns", "-o", "json", "-P", str(port), "--record", path)
        s.check("full disk: --record: traces", t.wait_ready() is None, t.said())
        s.make("churn", port, "--count", 1000)
        time.sleep(1)
        status, said = t.stop(), t.said().decode()
        ends = sum(b'"tcp.connection"' in line for line in open(t.out, "rb"))
        s.check("full disk: --record: said once, exit 2",
                status == 2 and said.count("No space left on device") == 1, f"{status}\n{said}")
        s.check("full disk: --record: the view told all of them", ends == 2000, ends)
    finally:
        subprocess.run(["umount", place], check=True)


def slow_reader(s):
    """A reader that takes nothing: records are whole or counted, and the count is right."""
    for view, form, enough in OUTPUTS:
        port = s.next_port()
        read, write = os.pipe()
        args = [view, "-o", form, "-P", str(port), "--buffer", "64M", "--no-snapshot"]
        err = os.path.join(s.directory, "slow.err")
        other = s.tracer("whole", *args)
        with open(err, "wb") as to:
            t = subprocess.Popen([s.tcptrail, *args], stdout=write, stderr=to,
                                 stdin=subprocess.DEVNULL)
        os.close(write)
        while READY not in open(err, "rb").read() and t.poll() is None:
            time.sleep(0.05)
        other.wait_ready()
        s.churn(port, "-n", enough)
        time.sleep(0.5)
        t.send_signal(signal.SIGINT)
        other.stop(60)
        try:
            status = t.wait(30)
        except subprocess.TimeoutExpired:
            t.kill()
            status = t.wait()
        with os.fdopen(read, "rb") as pipe:
            got = pipe.read()
        said = open(err).read()
        whole = open(other.out, "rb").read()
        lost = lost_of(said, "output slow")
        name = f"slow reader: {view} -o {form}"
        s.check(f"{name}: exit 0", status == 0, f"{status}\n{said}")
        if form == "json":
            # the other tracer's times are its own: it is the number that must agree
            read_whole = got.count(b"\n")
            s.check(f"{name}: read + lost = what there was", lost and
                    read_whole + lost == whole.count(b"\n"),
                    f"{read_whole} + {lost} != {whole.count(chr(10).encode())}")
            faults = sum(not valid(line) for line in got.split(b"\n")[:-1])
            s.check(f"{name}: what arrived is whole", not faults, faults)
        else:
            s.check(f"{name}: says that records are lost", lost and len(got) < len(whole),
                    f"{len(got)} of {len(whole)}\n{said}")


def valid(line):
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


# ---- resources ----------------------------------------------------------------------------------

def descriptors(s):
    """Too few: one line that says how many, never a half-loaded tracer."""
    def limited(n):
        return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (n, n))
    for n in (8, 20, 40, 63):
        s.one_line(f"ulimit -n {n}: one line", rf"needs 64 file descriptors, and the limit is {n} "
                   r"\(try: ulimit -n 1024\)", [s.tcptrail, "conns", "-d", "1"],
                   preexec_fn=limited(n))
    done = subprocess.run([s.tcptrail, "conns", "-d", "0.2", "-P", str(PORT)], capture_output=True,
                          stdin=subprocess.DEVNULL, preexec_fn=limited(64), timeout=60)
    s.check("ulimit -n 64: traces", done.returncode == 0 and READY in done.stderr, done.stderr)


def told_all(s, ends, lost, status, withheld):
    """Eight closing threads on two processors: delayed ACKs by the hundred fire on top of
    on_set_state, and on_set_state_again must tell of them. What the kernel showed no BPF program
    of anybody (witness.py) is no fault of ours: no more may be missing than that."""
    name = "20,000 at once: every end is told once, whole, nothing lost"
    gaps = [r for r in ends if r["tcp"].get("incomplete")]
    missing = 2 * AT_ONCE - len(ends)
    if status == lost["total"] == 0 <= missing and 0 < missing + len(gaps) <= withheld:
        s.skip(name, f"{withheld} events withheld from every BPF program, on top of pid 1: "
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
        by_ss = 0
        for _ in range(600):
            by_ss = sum(map(established, ports))
            if by_ss >= 2 * AT_ONCE or any(h.poll() is not None for h in held):
                break
            time.sleep(0.1)
        time.sleep(0.5)
        t.process.send_signal(signal.SIGUSR1)
        table = None
        for _ in range(100):
            table = re.search(rb"^ESTAB(?:LISHED)? +(\d+)$", t.said(), re.M)
            if table:
                break
            time.sleep(0.05)
        s.check("20,000 at once: the table counts what ss counts",
                table and int(table.group(1)) == by_ss == 2 * AT_ONCE, f"{by_ss} {t.said()}")
        for h in held:
            h.stdin.close()
        for h in held:
            h.wait(120)
        time.sleep(2)
        status = t.stop(60)
        ends = [json.loads(line) for line in open(t.out)]
        stats = ends[-1]
        ends = [r for r in ends if r["event"]["name"] == "tcp.connection"]
        witness.close()
        told_all(s, ends, stats["tracer"]["lost"], status, witness.count(ports))
    finally:
        witness.close()
        for h in held:
            h.kill()
            h.wait()
        t.stop()


def established(port):
    shown = subprocess.run(["ss", "-tanH", f"sport = :{port} or dport = :{port}"], text=True,
                           capture_output=True, check=True).stdout
    return sum(line.startswith("ESTAB") for line in shown.split("\n"))


# ---- coming and going -----------------------------------------------------------------------------

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


# ---- a kernel or a place that does not let it -----------------------------------------------------

def no_btf(s):
    if subprocess.run(["unshare", "-m", "true"]).returncode:
        return s.skip("no BTF", "no mount namespace")
    s.one_line("no BTF: one line", r"this kernel has no BTF \(/sys/kernel/btf/vmlinux\): needs Linux "
               "5.10 or newer with CONFIG_DEBUG_INFO_BTF",
               ["unshare", "-m", "sh", "-c",
                'mount -t tmpfs none /sys/kernel/btf && exec "$0" "$@"', s.tcptrail, "conns"])


def as_user(s, caps):
    """argv that runs the tracer as nobody, with these capabilities and no more."""
    copy = os.path.join(s.directory, "tcptrail")
    if not os.path.exists(copy):
        shutil.copy(s.tcptrail, copy)
        os.chmod(s.directory, 0o755)
    sets = ",".join(["-all", *("+" + c for c in caps)])
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", f"--inh-caps={sets}",
            f"--ambient-caps={sets}", f"--bounding-set={sets}", copy]


def capabilities(s):
    remedy = r" \(run as root, or: sudo setcap cap_bpf,cap_perfmon\+ep .*\)"
    for caps, missing in (((), "CAP_BPF and CAP_PERFMON"), (("bpf",), "CAP_PERFMON"),
                          (("perfmon",), "CAP_BPF"), (("net_admin",), "CAP_BPF and CAP_PERFMON")):
        s.one_line(f"capabilities: only {'+'.join(caps) or 'none'}: one line",
                   f"needs {missing}{remedy}", [*as_user(s, caps), "conns"])
    port = s.next_port()
    t = Tracer(as_user(s, ("bpf", "perfmon"))[0],
               [*as_user(s, ("bpf", "perfmon"))[1:], "conns", "-o", "json", "-P", str(port)],
               s.directory, "user")
    s.check("a user with CAP_BPF and CAP_PERFMON: traces", t.wait_ready() is None, t.said())
    s.make("churn", port, "--count", 20)
    time.sleep(0.5)
    status = t.stop()
    ends = sum(b'"tcp.connection"' in line for line in open(t.out, "rb"))
    s.check("... and tells every end", status == 0 and ends == 40, f"{status} {ends} {t.said()}")


def left_to_it(s):
    """Once it traces: no capability, no new privilege, a seccomp filter."""
    for args in (["conns"], ["events", "-r"], ["timeline"], ["watch"], ["states"], ["listeners"],
                 ["stuck", "--watch"]):
        t = s.tracer("left", *args)
        t.wait_ready()
        for _ in range(100):   # `stuck` does not say that it traces
            status = dict(line.split(":\t", 1) for line in
                          open(f"/proc/{t.process.pid}/status") if ":\t" in line)
            if status["Seccomp"].strip() == "2":
                break
            time.sleep(0.05)
        t.stop()
        got = {k: status[k].strip() for k in ("CapEff", "CapPrm", "NoNewPrivs", "Seccomp")}
        s.check(f"{args[0]}: what is left: no capability, no new privileges, seccomp",
                int(got["CapEff"], 16) == int(got["CapPrm"], 16) == 0 and got["NoNewPrivs"] == "1"
                and got["Seccomp"] == "2", got)


def container(s):
    """All namespaces its own. With the two capabilities it traces; without, one line."""
    apart = ["unshare", "-mnpuiCf", "--mount-proc", "setpriv", "--inh-caps=-all"]
    if subprocess.run([*apart[:3], "true"], stderr=subprocess.DEVNULL).returncode:
        return s.skip("container", "namespaces are refused")
    done = subprocess.run([*apart, "--bounding-set=-all,+bpf,+perfmon", s.tcptrail, "conns", "-d",
                           "0.3", "-P", str(PORT)], capture_output=True, timeout=60,
                          stdin=subprocess.DEVNULL)
    s.check("container with CAP_BPF and CAP_PERFMON: traces", done.returncode == 0
            and READY in done.stderr, done.stderr)
    s.one_line("container without: one line", r"needs CAP_BPF and CAP_PERFMON \(.*\)",
               [*apart, "--bounding-set=-all,+chown", s.tcptrail, "conns"])


def user_namespace(s):
    if subprocess.run(["unshare", "-Ur", "true"], stderr=subprocess.DEVNULL).returncode:
        return s.skip("user namespace", "refused on this host")
    s.one_line("user namespace: one line", "the kernel refuses BPF here: Operation not permitted "
               r"\(in a container or a user namespace capabilities may not count: run on the host\)",
               ["unshare", "-Ur", s.tcptrail, "conns", "-d", "1"])


FAULTS = [full_disk, full_recording, slow_reader, descriptors, at_once, killed, reload_under_load,
          two_tracers, no_btf, capabilities, left_to_it, container, user_namespace]


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--tcptrail", default=os.path.join(ROOT, "build", "tcptrail"))
    p.add_argument("--scenario", default=os.path.join(ROOT, "build", "tests", "scenario"))
    p.add_argument("--only", action="append", default=[], metavar="NAME")
    options = p.parse_args()
    options.tcptrail = os.path.abspath(options.tcptrail)
    options.scenario = os.path.abspath(options.scenario)
    if os.geteuid():
        print("skip - faults: needs root\n0 passed, 0 failed, 1 skipped")
        return 0
    with tempfile.TemporaryDirectory(prefix="tcptrail-faults-") as directory:
        s = Suite(options, directory)
        for fault in FAULTS:
            if not options.only or fault.__name__ in options.only:
                fault(s)
    print(f"{s.passed} passed, {s.failed} failed, {s.skipped} skipped")
    return 1 if s.failed else 0


if __name__ == "__main__":
    sys.exit(main())
