# SPDX-License-Identifier: Apache-2.0
"""A second witness of what the kernel did, which is no BPF program: ftrace.

Some hosts keep BPF away from one task. Seen on a virtual machine's 6.18: in a softirq that runs
on top of a thread of pid 1, ftrace's probe of a tracepoint runs and no BPF program of anybody's
does (tp_btf, raw or classic), nor is a miss counted. Such an event no tracer can show. What such
a thread does itself not even ftrace is shown: it looks at other processes' files, and where it
lets go of a socket last it is the one who closes it. Then that change is in no trace, and of the
segment that it sends only what it does at the other end, in the softirq on top (seen: FIN_WAIT_2
and TIME_WAIT of a client whose server never was in LAST_ACK, in ftrace's complete record of 34
million changes). The suite asks this witness about an end whose records are not as they should
be, and names what was withheld; it is asked only then, so that it can hide nothing on a host that
withholds nothing.
"""
import collections
import os
import re
import subprocess
import tempfile

EVENTS = ["sock/inet_sock_set_state", "sock/inet_sk_error_report", "tcp/tcp_retransmit_skb",
          "tcp/tcp_retransmit_synack", "tcp/tcp_receive_reset", "tcp/tcp_send_reset",
          "tcp/tcp_destroy_sock"]
BUFFER_KB = 8192         # a processor
OVERRUN = re.compile(rb"\[LOST (\d+) EVENTS\]")
LINE = re.compile(r"^\s*(?P<comm>.+)-(?P<tid>\d+)\s+\[\d+\]\s+\S+\s+(?P<at>[\d.]+):\s+(?P<event>\w+):"
                  r".*\bsport=(?P<sport>\d+)\s+dport=(?P<dport>\d+)(?:\s+saddr=(?P<saddr>\S+)"
                  r"\s+daddr=(?P<daddr>\S+))?")
# at: by CLOCK_MONOTONIC, in seconds; ports and ends: of both sides, ends as "address:port"
Seen = collections.namedtuple("Seen", "tid comm event ports ends at")


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
        self.seen = []   # Seen
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
        self.write("trace_clock", "mono")
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
                self.seen.append(Seen(
                    int(m["tid"]), m["comm"].strip(), m["event"], {int(m["sport"]), int(m["dport"])},
                    {f"{m['saddr']}:{m['sport']}", f"{m['daddr']}:{m['dport']}"}, float(m["at"])))

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

    def of_init(self):
        """What ftrace saw and no BPF program was shown."""
        return [e for e in self.seen if e.tid in self.init]

    def count(self, ports, only=None):
        """How many events of these ports it saw withheld, of all kinds or of one."""
        return sum(bool(e.ports & set(ports)) and only in (None, e.event) for e in self.of_init())

    def most(self, ports):
        """How many may have been withheld at most: those of a close() that such a thread makes are
        no more than those that its segments make on top of it."""
        return 2 * self.count(ports)

    def saw(self, ends, begin, end):
        """Was an event of this connection withheld, between these times of CLOCK_MONOTONIC?"""
        return any(e.ends == set(ends) and begin <= e.at <= end for e in self.of_init())

    def withheld(self, truth):
        """What happened to this end (or its peer's) on top of pid 1, in words; None: nothing."""
        ports = {int(truth[side].rsplit(":", 1)[1]) for side in ("local", "peer")
                 if truth.get(side)}
        events = [e for e in self.of_init() if e.ports - {0} and e.ports - {0} <= ports]
        if not events:
            return None
        return "withheld from every BPF program, on top of pid 1: " + ", ".join(
            f"{e.event} ({e.comm}, thread {e.tid})" for e in events)
