# SPDX-License-Identifier: Apache-2.0
"""Writes captures: frames made with struct, of any link type, and pcap files of them."""
import socket
import struct

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = 1, 2, 4, 8, 16, 32, 64, 128
NULL, ETHERNET, RAW, SLL, SLL2 = 0, 1, 101, 113, 276
C, S = ("10.0.0.1", 40000), ("10.0.0.2", 80)
ISN_C, ISN_S = 1000, 5000

MSS = b"\x02\x04\x05\xb4"
SACK_OK = b"\x04\x02"
WS7 = b"\x03\x03\x07"
NOP = b"\x01"


def timestamps(value, echo):
    return NOP * 2 + struct.pack("!BBII", 8, 10, value, echo)


def sack(left, right):
    return NOP * 2 + struct.pack("!BBII", 5, 10, left, right)


class Packet:
    """One segment: src and dst are (address, port)."""

    def __init__(self, t, src, dst, flags, seq, ack=0, data=0, win=1000, opts=b"", ident=None,
                 vlan=(), ext=b"", cooked=(0, 1)):
        self.t, self.src, self.dst, self.flags = t, src, dst, flags
        self.seq, self.ack, self.data, self.win = seq % 2**32, ack % 2**32, data, win
        self.opts, self.ident, self.vlan, self.ext, self.cooked = opts, ident, vlan, ext, cooked

    def tcp(self):
        opts = self.opts + b"\0" * (-len(self.opts) % 4)
        head = struct.pack("!HHIIBBHHH", self.src[1], self.dst[1], self.seq, self.ack,
                           (5 + len(opts) // 4) << 4, self.flags, self.win, 0, 0)
        return head + opts + b"x" * self.data

    def ip(self, ident):
        tcp = self.tcp()
        if ":" in self.src[0]:
            kind = self.ext[0] if self.ext else 6
            body = self.ext[1:] + tcp if self.ext else tcp
            return struct.pack("!IHBB", 6 << 28, len(body), kind, 64) + \
                socket.inet_pton(socket.AF_INET6, self.src[0]) + \
                socket.inet_pton(socket.AF_INET6, self.dst[0]) + body
        opts = self.ext + b"\0" * (-len(self.ext) % 4)
        return struct.pack("!BBHHHBBH", 0x45 + len(opts) // 4, 0, 20 + len(opts) + len(tcp),
                           ident, 0x4000, 64, 6, 0) + socket.inet_aton(self.src[0]) + \
            socket.inet_aton(self.dst[0]) + opts + tcp

    def frame(self, link, ident):
        ip = self.ip(ident if self.ident is None else self.ident)
        kind = 0x86dd if ":" in self.src[0] else 0x0800
        tags = b""
        for tag in self.vlan:
            tags += struct.pack("!HH", tag, 7)
        if link == NULL:
            return struct.pack("=I", 2 if kind == 0x0800 else 10) + ip
        if link == ETHERNET:
            return b"\2\0\0\0\0\2\2\0\0\0\0\1" + tags + struct.pack("!H", kind) + ip
        if link == SLL:
            return struct.pack("!HHHQH", self.cooked[0], 1, 6, 0, kind) + ip
        if link == SLL2:
            return struct.pack("!HHIHBBQ", kind, 0, self.cooked[1], 1, self.cooked[0], 6, 0) + ip
        return ip


def write(path, packets, link=ETHERNET, snap=65535, order="="):
    """packets in the order of the file; IP numbers count up."""
    with open(path, "wb") as f:
        f.write(struct.pack(order + "IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, snap, link))
        for n, p in enumerate(packets):
            frame = p.frame(link, n + 1)
            us = int(round(p.t * 1e6))
            f.write(struct.pack(order + "IIII", 1700000000 + us // 1000000, us % 1000000,
                                min(len(frame), snap), len(frame)))
            f.write(frame[:snap])


class Talk:
    """A connection in the making: c() and s() send, numbers kept by hand of the caller."""

    def __init__(self, c=C, s=S, t=0.0, step=0.01):
        self.client, self.server, self.t, self.step, self.packets = c, s, t, step, []
        self.seq = {"c": ISN_C, "s": ISN_S}

    def at(self, side, flags, seq, ack=0, data=0, after=None, **more):
        self.t += self.step if after is None else after
        ends = (self.client, self.server) if side == "c" else (self.server, self.client)
        isn = self.seq
        other = "s" if side == "c" else "c"
        p = Packet(self.t, *ends, flags, isn[side] + seq,
                   isn[other] + ack if flags & ACK else 0, data, **more)
        self.packets.append(p)
        return self

    def c(self, flags, seq, ack=0, data=0, **more):
        return self.at("c", flags, seq, ack, data, **more)

    def s(self, flags, seq, ack=0, data=0, **more):
        return self.at("s", flags, seq, ack, data, **more)

    def open(self, **more):
        return self.c(SYN, 0, opts=MSS, **more).s(SYN | ACK, 0, 1, opts=MSS).c(ACK, 1, 1)

    def close_client(self, c=1, s=1):
        return self.c(FIN | ACK, c, s).s(ACK, s, c + 1).s(FIN | ACK, s, c + 1).c(ACK, c + 1, s + 1)
