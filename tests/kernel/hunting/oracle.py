# SPDX-License-Identifier: Apache-2.0
"""What one end must have lived through, told from the packets that left it and came to it.

Nothing here knows the tracer: the packets are tshark's, the words are interface.md's, and how a
segment is taken is RFC 9293 and 5961. A Life is one connection at one end.
"""
import os
import subprocess

FIN, SYN, RST, ACK = 1, 2, 4, 16
MOD = 1 << 32
FIELDS = ["frame.time_epoch", "ip.src", "ipv6.src", "tcp.srcport", "ip.dst", "ipv6.dst",
          "tcp.dstport", "tcp.seq_raw", "tcp.ack_raw", "tcp.len", "tcp.flags"]


def after(a, b):
    """How far a lies after b; negative before."""
    return (a - b + MOD // 2) % MOD - MOD // 2


class Packet:
    def __init__(self, line):
        v = dict(zip(FIELDS, line.split("\t")))
        self.time = float(v["frame.time_epoch"])
        self.src = (v["ip.src"] or v["ipv6.src"], int(v["tcp.srcport"]))
        self.dst = (v["ip.dst"] or v["ipv6.dst"], int(v["tcp.dstport"]))
        self.seq, self.length = int(v["tcp.seq_raw"]), int(v["tcp.len"])
        self.ack, self.flags = int(v["tcp.ack_raw"] or 0), int(v["tcp.flags"], 16)

    def bare_syn(self):
        return self.flags & (SYN | ACK | RST) == SYN

    def __str__(self):
        names = "".join(c for bit, c in ((SYN, "S"), (FIN, "F"), (RST, "R"), (ACK, ".")) if
                        self.flags & bit)
        return f"{self.time:.6f} {self.src[1]}>{self.dst[1]} {names} seq {self.seq} " \
            f"ack {self.ack} len {self.length}"


def packets(path):
    args = ["tshark", "-r", path, "-n", "-T", "fields"]
    for f in FIELDS:
        args += ["-e", f]
    out = subprocess.run(args, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                         env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"},
                         text=True).stdout
    return [Packet(line) for line in out.splitlines()]


class Numbers:
    """The packets of one connection, as they are sorted out of those of its ports."""

    def __init__(self):
        self.packets, self.isn, self.answered = [], {}, False

    def begins_anew(self, p):
        """Is this SYN another connection's? One that crosses the other's is not."""
        if p.src in self.isn:
            return self.isn[p.src] != p.seq
        refused = any(q.flags & RST and q.flags & ACK and q.src == p.src for q in self.packets)
        return bool(self.packets) and (not self.isn or self.answered or refused)

    def take(self, p):
        if p.flags & SYN:
            self.isn.setdefault(p.src, p.seq)
            self.answered = self.answered or bool(p.flags & ACK)
        self.packets.append(p)

    def far(self, p):
        """How far a packet's number is from this connection's; None: it cannot be told."""
        if p.src in self.isn:
            return abs(after(p.seq, self.isn[p.src]))
        if p.flags & ACK and p.dst in self.isn:
            return abs(after(p.ack, self.isn[p.dst]) - 1)
        return None


def whose(of, p):
    """Ports are used again while segments of the connection before are still about."""
    new, old = of[-1], of[-2] if len(of) > 1 else None
    if p.flags & SYN or not old:
        return new
    there, here = old.far(p), new.far(p)
    if p.flags & RST and p.flags & ACK and p.dst in new.isn and \
            p.ack == (new.isn[p.dst] + 1) % MOD:
        return new
    return old if there is not None and (here is None or there < here) and \
        (p.src not in new.isn or after(p.seq, new.isn[p.src]) < 0) else new


def lives(path):
    """{both ends, as a frozenset: [the packets of each connection]}."""
    found = {}
    for p in packets(path):
        of = found.setdefault(frozenset((p.src, p.dst)), [Numbers()])
        if p.bare_syn() and of[-1].begins_anew(p):
            of.append(Numbers())
        whose(of, p).take(p)
    return {key: [n.packets for n in of] for key, of in found.items()}


class Life:
    """Plays the packets of one connection as the end `me` sent and met them."""

    def __init__(self, me, these, until=None):
        """until: what comes later meets no socket."""
        self.me, self.packets = me, [p for p in these if until is None or p.time <= until]
        self.isn = {True: None, False: None}   # True: mine
        self.syns = self.synacks = 0
        self.established = self.answered = self.crossed_syns = False
        self.top = self.acked = self.next = None
        self.waiting = []                       # came out of order: [begin, end)
        self.fin = self.peer_fin = None         # numbers
        self.fin_ack = self.fin_at = self.peer_fin_at = self.acked_at = None
        self.closed = self.not_taken = False   # not_taken: a RST that was none
        self.rst_out = self.rst_in = None
        self.rsts_out = self.rsts_in = 0
        self.taken = None                       # up to where mine acknowledged theirs
        for at, p in enumerate(self.packets):
            (self.out if p.src == me else self.come)(at, p)
            self.close_if_done(at)

    def out(self, at, p):
        if p.flags & RST:
            self.rsts_out += 1
            if p.flags & ACK and self.taken is not None and after(p.ack, self.taken) > 0:
                self.taken = p.ack
            if not p.flags & ACK and self.rst_out is None and self.peer_fin_at is not None and \
                    after(self.taken, self.peer_fin) <= 0:
                self.peer_fin_at, self.closed = None, False   # the answer to that FIN is this RST
            if not self.closed:
                self.rst_out = at
                self.closed = True
            return
        if p.flags & SYN:
            if self.isn[True] is None:
                self.isn[True] = self.acked = p.seq
            self.syns += not p.flags & ACK
            self.synacks += bool(p.flags & ACK)
        end = (p.seq + p.length + bool(p.flags & (SYN | FIN))) % MOD
        if self.top is None or after(end, self.top) > 0:
            self.top = end
        if p.flags & ACK and self.rst_in is None and \
                (self.taken is None or after(p.ack, self.taken) > 0):
            self.taken = p.ack
        if p.flags & FIN and self.fin is None:
            self.fin, self.fin_at, self.fin_ack = (end - 1) % MOD, at, p.ack
        if self.role() == "client" and p.flags & ACK and not p.flags & SYN and not self.rst_in:
            self.established = self.established or \
                self.isn[False] is not None and after(self.acked, self.isn[True]) > 0

    def come(self, at, p):
        if p.flags & RST:
            self.rsts_in += 1
            if not self.closed and self.takes_reset(p):
                self.rst_in = at
                self.closed = True
            elif not self.closed:
                self.not_taken = True
            return
        if p.flags & SYN:
            if self.isn[False] is None and not self.closed:
                self.isn[False], self.next = p.seq, (p.seq + 1) % MOD
                self.crossed_syns = bool(self.syns) and not p.flags & ACK
        if p.flags & ACK and self.isn[True] is not None and self.top is not None and \
                after(p.ack, self.acked) > 0 >= after(p.ack, self.top):
            self.acked = p.ack
            if self.fin is not None and after(p.ack, self.fin) > 0 and self.acked_at is None:
                self.acked_at = at
            if self.isn[False] is not None:
                self.established = True
        if self.next is not None and (p.length or p.flags & FIN) and not self.closed:
            self.take(at, p)

    def takes_reset(self, p):
        if self.next is None:
            return bool(p.flags & ACK) and self.isn[True] is not None and \
                p.ack == (self.isn[True] + 1) % MOD
        edges = [end for _, end in self.waiting if after(end, self.next) > 0]
        if p.seq == self.next or edges and p.seq == max(edges, key=lambda e: after(e, self.next)):
            return True   # the next number, or the right edge of what is SACKed (RFC 5961, Linux)
        if self.acked_at is not None and 0 <= after(p.seq, self.next) < 65536:
            return True   # a minisock in FIN_WAIT_2 does not ask for the very number
        # the FIN's own number: Linux takes it as well (tcp_reset_check)
        return self.peer_fin_at is not None and (p.seq + 1) % MOD == self.next

    def take(self, at, p):
        if p.flags & FIN:
            told = (p.seq + p.length) % MOD
            if self.peer_fin is None:
                self.peer_fin = told
        self.waiting.append((p.seq, (p.seq + p.length + bool(p.flags & FIN)) % MOD))
        moved = True
        while moved:
            moved = False
            for begin, end in self.waiting:
                if after(begin, self.next) <= 0 < after(end, self.next):
                    self.next, moved = end, True
        if self.peer_fin is not None and self.peer_fin_at is None and \
                after(self.next, self.peer_fin) > 0:
            self.peer_fin_at = at

    def close_if_done(self, at):
        if self.fin is not None and self.peer_fin_at is not None and self.acked_at is not None:
            self.closed = True

    # ---- in the interface's words ----

    def role(self):
        return "client" if self.syns else "server"

    def fins(self):
        return self.fin is not None, self.peer_fin_at is not None

    def fin_unanswered(self):
        """The peer's FIN came, and no segment of mine acknowledges it."""
        return self.peer_fin is not None and (self.taken is None
                                              or after(self.taken, self.peer_fin) <= 0)

    def closing(self):
        """The FINs crossed: mine was sent without knowing of theirs, and theirs came before the
        acknowledgement of mine."""
        return all(self.fins()) and after(self.fin_ack, self.peer_fin) <= 0 and \
            (self.acked_at is None or self.peer_fin_at < self.acked_at)

    def peer_fin_first(self):
        """Had mine not been sent when theirs was taken? Its first sending's ack tells."""
        return self.peer_fin_at is not None and \
            (self.fin is None or after(self.fin_ack, self.peer_fin) > 0)

    def conn_state(self):
        client = self.role() == "client"
        if self.rst_in is not None or self.rst_out is not None:
            by_client = client == (self.rst_out is not None)
            if self.established:
                return "RSTO" if by_client else "RSTR"
            if not by_client:
                return "REJ"
            return "RSTO" if self.synacks or client and self.isn[False] is not None else "RSTOS0"
        mine, theirs = self.fins()
        if mine and theirs:
            return "SF"
        if not self.established:
            return "S0" if client else "OTH"
        if mine or theirs:
            return "S2" if client == mine else "S3"
        return "S1"

    def initiator(self):
        if self.closing():
            return "both"
        mine, theirs = self.fins()
        if mine or theirs:
            return "peer" if self.peer_fin_first() else "local"
        if self.rst_in is not None:
            return "peer"
        return "local" if self.rst_out is not None else None

    def teardown(self):
        if not self.established:
            return "aborted"
        if self.rst_in is not None:
            return "reset_received"
        if self.rst_out is not None:
            return "reset_sent"
        if all(self.fins()):
            return "simultaneous" if self.closing() else "normal"
        return None

    def sent(self):
        if self.isn[True] is None:
            return 0
        return max(0, after(self.top, self.isn[True]) - 1 - (self.fin is not None))

    def received(self):
        """(at least, at most): what came in order and was acknowledged; what came in order. What came
        when there was nobody left to read it is answered by a RST and was not received."""
        if self.next is None:
            return 0, 0
        most = after(self.next, self.isn[False]) - 1 - (self.peer_fin_at is not None)
        if self.taken is None:
            return 0, most
        return min(most, max(0, after(self.taken, self.isn[False]) - 1)), most
