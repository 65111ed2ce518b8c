# SPDX-License-Identifier: Apache-2.0
"""A second witness of what the kernel did, which is no BPF program: ftrace.

Some hosts keep BPF away from one task. Seen on a virtual machine's 6.18: in a softirq that runs
on top of a thread of pid 1, ftrace's probe of a tracepoint runs and no BPF program of anybody's
does (tp_btf, raw or classic), nor is a miss counted. Such an event no tracer can show. The suite
asks this witness about an end whose records are not as they should be, and names what was
withheld; it is asked only then, so that it can hide nothing on a host that withholds nothing.
"""
import os
import re
import subprocess
import tempfile

EVENTS = ["sock/inet_sock_set_state", "sock/inet_sk_error_report", "tcp/tcp_retransmit_skb",
          "tcp/tcp_retransmit_synack", "tcp/tcp_receive_reset", "tcp/tcp_send_reset",
          "tcp/tcp_destroy_sock"]
BUFFER_KB = 8192         # a processor
OVERRUN = re.compile(rb"\[LOST (\d+) EVENTS\]")
LINE = re.compile(r"^\s*(?P<comm>.+)-(?P<tid>\d+)\s+\[\d+\]\s+\S+\s+[\d.]+:\s+(?P<event>\w+):"
                  r".*\bsport=(?P<sport>\d+)\s+dport=(?P<dport>\d+)")


def threads_of_init():
    try:
        return set(map(int, os.listdir("/proc/1/task")))
    except OSError:
        return set()


class Witness:
    """Watches the ports lo..hi from its making to close(). Where ftrace is not to be had, it has
    seen nothing."""

    def __init__(self, lo, hi, busy=False):
        """busy: so much happens on the ports that only those threads are followed."""
        self.seen = []   # (tid, comm, event, {port, port})
        self.overrun = 0
        self.busy = busy
        self.init = threads_of_init()
        # A mount of its own: another's end must not take it away.
        self.place = tempfile.mkdtemp(prefix="tcptrail-tracefs-")
        self.mounted = subprocess.run(["mount", "-t", "tracefs", "tracefs", self.place],
                                      stderr=subprocess.DEVNULL, check=False).returncode == 0
        self.home = f"{self.place}/instances/tcptrail-test-{os.getpid()}"
        try:
            os.mkdir(self.home)
        except OSError:
            self.home = None
            return
        self.write("buffer_size_kb", str(BUFFER_KB))
        if busy:
            self.write("options/event-fork", "1")
            self.write("set_event_pid", " ".join(map(str, sorted(self.init))))
        ports = " || ".join(f"({p}>={lo} && {p}<={hi})" for p in ("sport", "dport"))
        for event in EVENTS:
            try:
                self.write(f"events/{event}/filter", ports)
                self.write(f"events/{event}/enable", "1")
            except OSError:
                pass  # this kernel has it not

    def write(self, name, text):
        with open(f"{self.home}/{name}", "w", encoding="ascii") as f:
            f.write(text)

    def poll(self):
        """Takes what has come, so that the buffer never fills however long one watches. When busy,
        what happened on top of others is forgotten at once."""
        if not self.home:
            return
        with open(os.open(self.home + "/trace_pipe", os.O_RDONLY | os.O_NONBLOCK), "rb",
                  buffering=0) as pipe:
            data = b""
            while some := pipe.read(1 << 16):   # None: no more for now
                data += some
        self.init |= threads_of_init()
        self.overrun += sum(map(int, OVERRUN.findall(data)))
        for line in data.decode(errors="replace").splitlines():
            m = LINE.match(line)
            if m and (not self.busy or int(m["tid"]) in self.init):
                self.seen.append((int(m["tid"]), m["comm"].strip(), m["event"],
                                  {int(m["sport"]), int(m["dport"])}))

    def close(self):
        if self.home:
            self.write("tracing_on", "0")
            self.poll()
            os.rmdir(self.home)
            self.home = None
        if self.mounted:
            subprocess.run(["umount", self.place], stderr=subprocess.DEVNULL, check=False)
            self.mounted = False
        if self.place:
            os.rmdir(self.place)
            self.place = None

    def count(self, ports, only=None):
        """How many events of these ports were withheld, of all kinds or of one."""
        return sum(tid in self.init and bool(pair & set(ports)) and only in (None, event)
                   for tid, _, event, pair in self.seen)

    def withheld(self, truth):
        """What happened to this end (or its peer's) on top of pid 1, in words; None: nothing."""
        ports = {int(truth[side].rsplit(":", 1)[1]) for side in ("local", "peer")
                 if truth.get(side)}
        events = [(comm, tid, event) for tid, comm, event, pair in self.seen
                  if tid in self.init and pair - {0} and pair - {0} <= ports]
        if not events:
            return None
        return "withheld from every BPF program, on top of pid 1: " + ", ".join(
            f"{event} ({comm}, thread {tid})" for comm, tid, event in events)
