#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What tracers cost, side by side in one run.

Every round measures every tracer once, in turn, in a network namespace of its own
(so that one round's TIME_WAIT sockets are not the next one's burden); the figures
are medians over the rounds, with min and max. In each turn:

  1. statistics off: loopback churn with one client (idle CPU to spare), and with as
     many as there are CPUs (none to spare). The rate against the untraced one of the
     same round, and the tracer's own CPU time, come from here.
  2. statistics on (they cost some 60 ns a call): the same churn again, for the time
     spent in the tracer's BPF programs.

No assertion on time: it prints the targets beside the figures, and exits 1 only when
something that was to be measured could not be. Needs root. Nothing outlives it: BPF
statistics are held by a file descriptor, namespaces by this process.
"""
import argparse
import ctypes
import fcntl
import json
import os
import platform
import re
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
MS_REC, MS_PRIVATE = 0x4000, 1 << 18
BPF_PROG_GET_FD_BY_ID, BPF_ENABLE_STATS = 13, 32
SYS_BPF = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "ppc64le": 361, "s390x": 351}
IDLE_PORT = 9  # discard: nothing in the benchmark uses it


class BenchError(Exception):
    """A figure that could not be had; the message says why."""


# ---- the kernel ---------------------------------------------------------------

def check(rc, what):
    if rc < 0:
        raise BenchError(f"{what}: {os.strerror(ctypes.get_errno())}")
    return rc


def bpf(cmd, *words):
    """bpf(2) with an attribute of 32-bit words; returns a file descriptor."""
    attr = ctypes.create_string_buffer(struct.pack(f"={len(words)}I", *words), 128)
    return check(LIBC.syscall(SYS_BPF[platform.machine()], cmd, attr, 128), f"bpf({cmd})")


def fresh_netns():
    """Moves this process (and so its later children) into a new network namespace."""
    check(LIBC.unshare(CLONE_NEWNET), "unshare")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        up = struct.pack("16sh14x", b"lo", 0x1 | 0x40)  # IFF_UP | IFF_RUNNING
        fcntl.ioctl(s, 0x8914, up)  # SIOCSIFFLAGS


def private_tracefs():
    """tcpstates and tcplife need tracefs; mount it for us alone where it is not."""
    check(LIBC.unshare(CLONE_NEWNS), "unshare")
    check(LIBC.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None), "mount")
    if not os.path.exists("/sys/kernel/tracing/events"):
        LIBC.mount(b"tracefs", b"/sys/kernel/tracing", b"tracefs", 0, None)


def fdinfo_values(pid, key):
    """Every `key: value` in the file descriptors of a process."""
    values = []
    base = f"/proc/{pid}/fdinfo"
    for fd in os.listdir(base):
        try:
            with open(f"{base}/{fd}") as f:
                values += [line.split()[1] for line in f if line.startswith(key + ":")]
        except OSError:
            pass  # closed meanwhile
    return values


def prog_ids(pid):
    """The BPF programs that a process holds, by themselves or by a link."""
    return {int(v) for v in fdinfo_values(pid, "prog_id")}


def prog_times(ids):
    """Sum of (run_time_ns, run_cnt, recursion_misses) over programs."""
    total = [0, 0, 0]
    for i in ids:
        fd = bpf(BPF_PROG_GET_FD_BY_ID, i, 0, 0)
        try:
            with open(f"/proc/self/fdinfo/{fd}") as f:
                info = dict(line.split(":", 1) for line in f if ":" in line)
        finally:
            os.close(fd)
        for n, key in enumerate(("run_time_ns", "run_cnt", "recursion_misses")):
            total[n] += int(info.get(key, 0))
    return total


def cpu_ns(pid):
    """CPU time of all threads of a process, user and system."""
    total = 0
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/schedstat") as f:
            total += int(f.read().split()[0])
    return total


def peak_kb(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmHWM"))


def map_kb(pid):
    """Kernel memory of the BPF maps that a process holds open."""
    total = 0
    base = f"/proc/{pid}/fdinfo"
    for fd in os.listdir(base):
        try:
            with open(f"{base}/{fd}") as f:
                info = dict(line.split(":", 1) for line in f if ":" in line)
        except OSError:
            continue
        if "map_id" in info:
            total += int(info.get("memlock", 0))
    return total // 1024


# ---- a tracer -----------------------------------------------------------------

class Tracer:
    """A row of the table. `lost` reads what its stderr says of lost records."""

    def __init__(self, name, argv, ready=None, out="null", lost=None):
        self.name, self.argv, self.out, self.lost = name, argv, out, lost
        self.ready = ready  # a line on stderr; None: programs are there, and half a second
        self.rounds, self.error = [], None


class Running:
    """A started tracer; always stop() it."""

    def __init__(self, tracer, tmp):
        self.tracer = tracer
        self.err_path = os.path.join(tmp, "stderr")
        self.err = open(self.err_path, "wb")
        self.reader = None
        out = subprocess.DEVNULL
        if tracer.out == "file":
            out = open(os.path.join(tmp, "stdout"), "wb")
        elif tracer.out == "pipe":
            read_end, write_end = os.pipe()
            with os.fdopen(read_end) as r:
                self.reader = subprocess.Popen(["wc", "-l"], stdin=r, stdout=subprocess.PIPE)
            out = os.fdopen(write_end, "wb")
        self.proc = subprocess.Popen(tracer.argv, stdout=out, stderr=self.err,
                                     stdin=subprocess.DEVNULL)
        if out != subprocess.DEVNULL:
            out.close()
        try:
            self.wait_ready()
        except BaseException:
            self.stop()
            raise

    def stderr_text(self):
        with open(self.err_path, errors="replace") as f:
            return f.read()

    def wait_ready(self):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if self.proc.poll() is not None:
                said = self.stderr_text().strip().splitlines()
                raise BenchError(f"ended at once, status {self.proc.returncode}"
                                 + (f": {said[-1]}" if said else ""))
            if self.tracer.ready:
                if self.tracer.ready in self.stderr_text():
                    return
            elif prog_ids(self.proc.pid):
                time.sleep(0.5)  # from loaded to attached
                return
            time.sleep(0.02)
        raise BenchError("did not get ready in 20 s")

    def settle(self):
        """Until it has worked off what is queued: under 2 % of a CPU for 200 ms."""
        last = cpu_ns(self.proc.pid)
        for _ in range(50):
            time.sleep(0.2)
            now = cpu_ns(self.proc.pid)
            if now - last < 4_000_000:
                return
            last = now

    def stop(self):
        """SIGINT; returns the number of lines it wrote, if they were counted."""
        if self.proc.poll() is None:
            self.proc.send_signal(signal.SIGINT)
        try:
            self.proc.wait(10)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()
            self.tracer.error = "did not end within 10 s of SIGINT"
        self.err.close()
        if self.reader:
            return int(self.reader.communicate()[0])
        return None


def lost_bcc(text):
    return sum(int(n) for n in re.findall(r"lost (\d+) events", text, re.I))


def lost_tcptrail(text):
    """The closing summary: "; nothing lost" or "; lost: 12 ring full, 3 output slow"."""
    said = re.findall(r"; (nothing lost|lost: [^;\n]*)", text)
    if not said:
        raise BenchError("no closing summary on stderr")
    return sum(int(n) for n in re.findall(r"\b(\d+) [a-z]", said[-1]))


# ---- one turn -----------------------------------------------------------------

def churn(args, workers):
    out = subprocess.run([args.churn, "-n", str(args.connections), "-w", str(workers), "-a"],
                         stdout=subprocess.PIPE, check=False)
    result = json.loads(out.stdout or b"{}")
    if out.returncode or result.get("connections") != args.connections:
        raise BenchError(f"churn failed: {result}")
    return result["rate"]


def turn(tracer, args, tmp):
    """One tracer, once. Returns the figures of this round."""
    fresh_netns()
    time.sleep(0.3)  # the kernel takes the last namespace down
    n = args.connections
    if not tracer.argv:
        return {"rate": churn(args, 1), "rate_busy": churn(args, args.cpus)}
    run = Running(tracer, tmp)
    lines = None
    try:
        pid = run.proc.pid
        run.settle()
        cpu = cpu_ns(pid)
        figures = {"rate": churn(args, 1)}
        run.settle()
        figures["user_us"] = (cpu_ns(pid) - cpu) / n / 1e3
        figures["rate_busy"] = churn(args, args.cpus)
        run.settle()
        ids = prog_ids(pid)
        stats_fd = bpf(BPF_ENABLE_STATS, 0)
        try:
            before = prog_times(ids)
            churn(args, 1)
            after = prog_times(ids)
        finally:
            os.close(stats_fd)
        run.settle()
        figures["bpf_us"] = (after[0] - before[0]) / n / 1e3
        figures["bpf_runs"] = (after[1] - before[1]) / n
        figures["bpf_skipped"] = after[2]
        figures["total_us"] = figures["bpf_us"] + figures["user_us"]
        figures["peak_kb"] = peak_kb(pid)
        figures["map_kb"] = map_kb(pid)
    finally:
        lines = run.stop()
    if tracer.lost:
        figures["lost"] = tracer.lost(run.stderr_text())
    if lines is not None:
        figures["lines"] = lines / (3 * n)
    return figures


# ---- the report ---------------------------------------------------------------

def summary(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def summarise(tracers):
    """Medians per tracer; rates become ratios to the untraced run of the same round."""
    base = tracers[0].rounds
    for t in tracers:
        for r, b in zip(t.rounds, base):
            r["churn"] = r["rate"] / b["rate"]
            r["churn_busy"] = r["rate_busy"] / b["rate_busy"]
    return {t.name: {k: summary([r[k] for r in t.rounds]) for k in t.rounds[0]}
            for t in tracers if t.rounds}


COLUMNS = (  # key, heading, scale, decimals, which of the rounds
    ("bpf_us", "BPF us", 1, 2, "range"),
    ("user_us", "user us", 1, 2, "range"),
    ("total_us", "total us", 1, 2, "range"),
    ("churn", "churn", 1, 2, "range"),
    ("churn_busy", "busy churn", 1, 2, "range"),
    ("peak_kb", "peak MB", 1024, 1, "max"),
    ("map_kb", "maps MB", 1024, 1, "max"),
    ("lost", "lost", 1, 0, "max"),
    ("lines", "lines", 1, 1, "median"),
)


def cell(s, scale, decimals, which):
    if s is None:
        return "-"
    lo, mid, hi = (f"{s[k] / scale:.{decimals}f}" for k in ("min", "median", "max"))
    if which == "range" and lo != hi:
        return f"{mid} [{lo}-{hi}]"
    return hi if which == "max" else mid


def print_table(tracers, result, out):
    rows = [["per connection"] + [c[1] for c in COLUMNS]]
    for t in tracers:
        if t.error:
            continue
        s = result[t.name]
        rows.append([t.name] + [cell(s.get(k), scale, d, w) for k, _, scale, d, w in COLUMNS])
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    for r in rows:
        print("  ".join([r[0].ljust(widths[0])] +
                        [c.rjust(w) for c, w in zip(r[1:], widths[1:])]).rstrip(), file=out)


def print_disturbed(tracers, out):
    """A tracer's programs run as often for each connection in every round, unless other
    connections were made on this host meanwhile; then its figures hold those too."""
    for t in tracers:
        runs = [r["bpf_runs"] for r in t.rounds if "bpf_runs" in r]
        expected = 24 * len(runs)  # at most: two programs a transition, and what goes with them
        if runs and (max(runs) > 1.05 * min(runs) or sum(runs) > expected):
            print(f"disturbed: {t.name}: other TCP traffic on this host", file=out)


TARGETS = (  # tracer, key, bound, "at most" or "at least"
    ("tcptrail conns", "total_us", 6, "<="),
    ("tcptrail watch", "total_us", 6, "<="),
    ("tcptrail events -o json", "total_us", 12, "<="),
    ("tcptrail conns", "churn", 0.9, ">="),
    ("tcptrail watch", "churn", 0.9, ">="),
    ("tcptrail conns", "lost", 0, "<="),
    ("tcptrail watch", "lost", 0, "<="),
    ("tcptrail events -o json", "lost", 0, "<="),
)


def print_targets(result, out):
    for name, key, bound, sense in TARGETS:
        if name not in result or key not in result[name]:
            continue
        figure = result[name][key]["max" if key == "lost" else "median"]
        met = figure <= bound if sense == "<=" else figure >= bound
        print(f"target  {name}: {key} {sense} {bound}: {figure:.2f} "
              f"{'met' if met else 'MISSED'}", file=out)


# ---- what is measured ---------------------------------------------------------

def rows(args):
    def ours(words, out="null", label=None):
        words = words.split()
        name = label or " ".join(["tcptrail"] + words)
        return Tracer(name, [args.tcptrail] + words, "tcptrail: tracing", out, lost_tcptrail)

    return [
        Tracer("no tracer", None),
        Tracer("empty program", [args.empty], "attached"),
        Tracer("tcplife", [shutil.which("tcplife")], lost=lost_bcc),
        Tracer("tcpstates", [shutil.which("tcpstates")], lost=lost_bcc),
        ours("conns"),
        ours("watch"),
        ours("events -o json"),
        ours("conns -o json", "pipe", "tcptrail conns -o json | wc"),
        ours("events -o json", "pipe", "tcptrail events -o json | wc"),
        ours("events -o json", "file", "tcptrail events -o json > file"),
        ours(f"conns -P {IDLE_PORT}"),
    ]


def parse_args():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--build", default="build", help="where the programs are (build)")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("-n", "--connections", type=int, default=20000, help="per measurement")
    p.add_argument("--only", action="append", default=[], metavar="TEXT",
                   help="only tracers whose name contains TEXT (and no tracer)")
    args = p.parse_args()
    args.tcptrail = os.path.join(args.build, "tcptrail")
    args.churn = os.path.join(args.build, "tests", "churn")
    args.empty = os.path.join(args.build, "tests", "empty")
    args.cpus = min(os.cpu_count() or 1, 64)
    return args


def others_busy(seconds=3):
    """CPUs that others keep busy now. (The load average still knows what we ran before.)"""
    def idle():
        with open("/proc/stat", encoding="ascii") as f:
            return sum(map(int, f.readline().split()[4:6])) / os.sysconf("SC_CLK_TCK")
    before, began = idle(), time.monotonic()
    time.sleep(seconds)
    return max(0, os.cpu_count() - (idle() - before) / (time.monotonic() - began))


def write_json(path, args, load, tracers, result):
    doc = {
        "kernel": platform.release(), "machine": platform.machine(), "cpus": os.cpu_count(),
        "connections": args.connections, "rounds": args.rounds,
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "load_before": load, "result": result,
        "rounds_raw": {t.name: t.rounds for t in tracers},
        "errors": {t.name: t.error for t in tracers if t.error},
    }
    with open(path, "w") as f:
        json.dump(doc, f, indent=1)
        f.write("\n")


def progress(text):
    if sys.stderr.isatty():
        print(f"\r{text:60}", end="" if text else "\r", file=sys.stderr, flush=True)


def measure(tracers, args):
    with tempfile.TemporaryDirectory() as tmp:
        for n in range(args.rounds):
            for t in tracers:
                if t.error:
                    continue
                progress(f"round {n + 1}/{args.rounds}  {t.name}")
                try:
                    t.rounds.append(turn(t, args, tmp))
                except BenchError as e:
                    t.error = str(e)
                    if not t.argv:
                        raise
    progress("")


def main():
    args = parse_args()
    if os.geteuid() != 0:
        sys.exit("bench: needs root (BPF, network namespaces): sudo make bench")
    if platform.machine() not in SYS_BPF:
        sys.exit(f"bench: do not know bpf(2)'s number on {platform.machine()}")
    tracers = rows(args)
    tracers = tracers[:1] + [t for t in tracers[1:] if not args.only or
                             any(o in t.name for o in args.only)]
    for t in tracers[1:]:
        if not t.argv[0] or not os.path.exists(t.argv[0]):
            t.error = "not installed" if not t.argv[0] else f"{t.argv[0]} is not built"
    load = others_busy()
    if load > 0.5:
        print(f"note: others use this machine (load {load:.1f}): churn rates will be unsteady",
              file=sys.stderr)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    try:
        private_tracefs()
        measure(tracers, args)
    except BenchError as e:
        sys.exit(f"bench: {e}")
    done = [t for t in tracers if t.rounds and not t.error]
    result = summarise(done)
    base = result["no tracer"]
    print(f"kernel {platform.release()}, {os.cpu_count()} CPUs, {args.connections} connections"
          f" (both ends traced) in each of {args.rounds} rounds: median [min-max].\n"
          f"Untraced: {base['rate']['median']:.0f} connections/s with one client, "
          f"{base['rate_busy']['median']:.0f} with {args.cpus} (busy).\n")
    print_table(done[1:], result, sys.stdout)
    print()
    for t in tracers:
        if t.error:
            print(f"not measured: {t.name}: {t.error}")
    print_disturbed(done, sys.stdout)
    print_targets(result, sys.stdout)
    path = os.path.join(args.build, "bench.json")
    write_json(path, args, load, done, result)
    print(f"written: {path}")
    return 1 if any(t.error for t in tracers) else 0


if __name__ == "__main__":
    sys.exit(main())
