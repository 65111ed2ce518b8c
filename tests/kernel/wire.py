# SPDX-License-Identifier: Apache-2.0
"""A capture's own account of each connection, as tshark dissects it.

Nothing here knows the tracer. One Flow is one four-tuple; the scenarios use each once.
"""
import os
import shutil
import signal
import subprocess
import time

FIELDS = ["ip.src", "ipv6.src", "tcp.srcport", "ip.dst", "ipv6.dst", "tcp.dstport",
          "tcp.seq_raw", "tcp.ack_raw", "tcp.len", "tcp.flags", "tcp.analysis.retransmission",
          "tcp.analysis.keep_alive", "tcp.analysis.zero_window_probe"]
FIN, SYN, RST, ACK = 1, 2, 4, 16
MOD = 1 << 32


def missing():
    """Why there can be no capture; None when all is there."""
    for tool in ("tcpdump", "tshark"):
        if not shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
            return f"{tool} is not installed"
    return None


def settle(path, quiet_s=2, limit_s=30):
    """Until nothing more comes: on a busy machine tcpdump lags behind the kernel's buffer."""
    size, since, end = -1, time.time(), time.time() + limit_s
    while time.time() < end and time.time() - since < quiet_s:
        time.sleep(0.1)
        now = os.path.getsize(path)
        if now != size:
            size, since = now, time.time()


class Capture:
    """tcpdump on the loopback, for a range of ports."""

    def __init__(self, path, ports):
        self.path = path
        self.process = subprocess.Popen(
            ["tcpdump", "-i", "lo", "-U", "-s", "96", "-Z", "root", "-B", "8192", "-w", path,
             f"tcp portrange {ports[0]}-{ports[1]}"],
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
            env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"})
        line = self.process.stderr.readline()
        while line and b"listening on" not in line:
            line = self.process.stderr.readline()
        if not line:
            raise RuntimeError("tcpdump does not listen")

    def stop(self):
        """How many packets the kernel dropped from the capture."""
        settle(self.path)
        self.process.send_signal(signal.SIGINT)
        said = self.process.stderr.read().decode()
        self.process.wait(60)
        dropped = [line.split()[0] for line in said.splitlines() if "dropped by kernel" in line]
        return int(dropped[0]) if dropped else -1


class Side:
    """What one end sent."""

    def __init__(self):
        self.syn = self.fin = None   # sequence numbers
        self.syns = self.synacks = self.resets = self.retransmits = 0
        self.first_fin = self.first_reset = None  # packet numbers
        self.seen = set()


class Flow:
    def __init__(self):
        self.sides = {}
        self.packets = 0

    def side(self, end):
        return self.sides.setdefault(end, Side())

    def add(self, end, number, seq, length, flags):
        s = self.side(end)
        self.packets += 1
        if flags & SYN:
            s.synacks += bool(flags & ACK)
            s.syns += not flags & ACK
            s.syn = seq if s.syn is None else s.syn
        if flags & FIN:
            s.fin = (seq + length) % MOD
            s.first_fin = s.first_fin or number
        if flags & RST:
            s.resets += 1
            s.first_reset = s.first_reset or number
            return
        # What takes up sequence space and was sent from there before, as long as it was or
        # shorter, was sent again. A keepalive's or window probe's byte was never sent anew.
        if length or flags & (SYN | FIN):
            last = (seq + length + bool(flags & FIN)) % MOD
            if (flags & SYN, last) in s.seen:
                s.retransmits += 1
            s.seen.add((flags & SYN, last))


def flows(path):
    """{frozenset of both ends: Flow}, an end being (address, port)."""
    args = ["tshark", "-r", path, "-n", "-T", "fields"]
    for f in FIELDS:
        args += ["-e", f]
    out = subprocess.run(args, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                         text=True).stdout
    found = {}
    for number, line in enumerate(out.splitlines(), 1):
        v = dict(zip(FIELDS, line.split("\t")))
        src = (v["ip.src"] or v["ipv6.src"], int(v["tcp.srcport"]))
        dst = (v["ip.dst"] or v["ipv6.dst"], int(v["tcp.dstport"]))
        flow = found.setdefault(frozenset((src, dst)), Flow())
        if v["tcp.analysis.keep_alive"] or v["tcp.analysis.zero_window_probe"]:
            continue
        flow.add(src, number, int(v["tcp.seq_raw"]), int(v["tcp.len"]),
                 int(v["tcp.flags"], 16))
    return found
