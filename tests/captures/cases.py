# SPDX-License-Identifier: Apache-2.0
"""Corner cases: a capture each, and what it must be called.

A case: packets, the link type and snapshot length, the expected fields of each end's
tcp.connection (None: that end has no record), the expected steps of the packets, and where
this tool knows better than Wireshark (`differ`: analysis words that are not compared).
"""
from packets import (ACK, C, CWR, ECE, ETHERNET, FIN, MSS, NOP, NULL, PSH, RAW, RST, S, SACK_OK,
                     SLL, SLL2, SYN, WS7, Talk, sack)

H = ["handshake 1/3", "handshake 2/3", "handshake 3/3"]
T = ["teardown 1/4", "teardown 2/4", "teardown 3/4", "teardown 4/4"]


def end(conn_state, kind, initiator, reason, handshake="normal", **more):
    return {"tcp.conn_state": conn_state, "tcp.teardown.kind": kind,
            "tcp.teardown.initiator": initiator, "tcp.end_reason": reason,
            "tcp.handshake.kind": handshake,
            **{"tcp." + k.replace("__", "."): v for k, v in more.items()}}


def both(conn_state="SF", kind="normal", reason="fin", first="client", **more):
    return {"client": end(conn_state, kind, "local" if first == "client" else "peer", reason,
                          **more),
            "server": end(conn_state, kind, "peer" if first == "client" else "local", reason,
                          **more)}


def crossed(**more):
    one = end("SF", "simultaneous", "both", "fin", **more)
    return {"client": one, "server": one}


def reset(by, conn_state, reason="reset", first=None):
    def one(role):
        return end(conn_state, "reset_sent" if role == by else "reset_received",
                   "local" if role == (first or by) else "peer", reason)
    return {"client": one("client"), "server": one("server")}


class Case:
    def __init__(self, talk, ends, steps=None, link=ETHERNET, snap=65535, order="=", differ=(),
                 wireshark=True):
        self.packets = talk if isinstance(talk, list) else talk.packets
        self.ends, self.steps, self.link, self.snap = ends, steps, link, snap
        self.order, self.differ, self.wireshark = order, differ, wireshark


def cooked_twice(link):
    """A loopback packet as an any-interface capture has it: going out and coming in."""
    out = []
    for p in Talk().open().c(PSH | ACK, 1, 1, 50).s(ACK, 1, 51).close_client(51).packets:
        for way in (4, 0):
            q = type(p)(**{**vars_of(p), "cooked": (way, 1), "ident": len(out) // 2 + 1})
            q.t += 0.000002 * (way == 0)
            out.append(q)
    return out


def vars_of(p):
    return {k: getattr(p, k) for k in ("t", "src", "dst", "flags", "seq", "ack", "data", "win",
                                       "opts", "ident", "vlan", "ext", "cooked")}


def changed(talk, **fields):
    return [type(p)(**{**vars_of(p), **fields}) for p in talk.packets]


def plain():
    return Talk().open().c(PSH | ACK, 1, 1, 100).s(ACK, 1, 101).s(PSH | ACK, 1, 101, 300) \
        .c(ACK, 101, 301).close_client(101, 301)


def delayed():
    """The same datagram a second time, 50 ms later."""
    out = Talk().open().c(PSH | ACK, 1, 1, 100).s(ACK, 1, 101).close_client(101).packets
    first = type(out[3])(**{**vars_of(out[3]), "ident": 999})
    late = type(first)(**{**vars_of(first), "t": out[4].t + 0.005})
    return out[:3] + [first, out[4], late] + out[5:]


def over_ipv6(ext=b""):
    out = []
    for p in plain().packets:
        fields = vars_of(p)
        fields["src"] = ("2001:db8::%s" % p.src[0][-1], p.src[1])
        fields["dst"] = ("2001:db8::%s" % p.dst[0][-1], p.dst[1])
        out.append(type(p)(**{**fields, "ext": ext}))
    return out


PLAIN = both()
PLAIN["client"] = {**PLAIN["client"], "tcp.bytes_sent": 100, "tcp.bytes_received": 300,
                   "tcp.handshake.client_isn": 1000, "tcp.handshake.server_isn": 5000,
                   "tcp.teardown.client_fin_seq": 1101, "tcp.teardown.server_fin_seq": 5301,
                   "tcp.teardown.time_wait": "running", "tcp.segments_sent": 6}
PLAIN["server"] = {**PLAIN["server"], "tcp.bytes_sent": 300, "tcp.bytes_received": 100,
                   "tcp.teardown.time_wait": "none", "tcp.segments_received": 6}
PLAIN_STEPS = H + ["data", "ACK", "data", "ACK"] + T

HOP = b"\0" + b"\x3c\0\x01\x04\0\0\0\0" + b"\x06\0\x01\x04\0\0\0\0"  # hop-by-hop, destination

CASES = {
    # ---- what stands before TCP ----
    "ethernet": Case(plain(), PLAIN, PLAIN_STEPS),
    "big_endian_file": Case(plain(), PLAIN, PLAIN_STEPS, order=">"),
    "vlan": Case(changed(plain(), vlan=(0x8100,)), PLAIN, PLAIN_STEPS),
    "qinq": Case(changed(plain(), vlan=(0x88a8, 0x8100)), PLAIN, PLAIN_STEPS),
    "raw": Case(plain(), PLAIN, PLAIN_STEPS, RAW),
    "null": Case(plain(), PLAIN, PLAIN_STEPS, NULL),
    "cooked_1": Case(plain(), PLAIN, PLAIN_STEPS, SLL),
    "cooked_2": Case(plain(), PLAIN, PLAIN_STEPS, SLL2),
    "ip_options": Case(changed(plain(), ext=b"\x94\x04\0\0"), PLAIN, PLAIN_STEPS),
    "snapped": Case(plain(), PLAIN, PLAIN_STEPS, snap=58),
    "ipv6": Case(over_ipv6(), PLAIN, PLAIN_STEPS),
    "ipv6_extensions": Case(over_ipv6(HOP), PLAIN, PLAIN_STEPS),
    "cooked_1_twice": Case(cooked_twice(SLL), both(retransmits__total=0), link=SLL,
                           wireshark=False),
    "cooked_2_twice": Case(cooked_twice(SLL2), both(retransmits__total=0), link=SLL2,
                           wireshark=False),

    # ---- handshakes ----
    "fin_carries_ack": Case(
        Talk().open().c(FIN | ACK, 1, 1).s(FIN | ACK, 1, 2).c(ACK, 2, 2), both(),
        H + ["teardown 1/4", "teardown 2+3/4", "teardown 4/4"]),
    "simultaneous_open": Case(
        Talk().c(SYN, 0).s(SYN, 0, after=0.001).s(SYN | ACK, 0, 1).c(SYN | ACK, 0, 1, after=0.001)
        .c(ACK, 1, 1).s(ACK, 1, 1).close_client(),
        {"client": {"tcp.conn_state": "SF", "tcp.handshake.kind": "simultaneous",
                    "tcp.end_reason": "fin"}, "server": None}, wireshark=False),
    "refused": Case(Talk().c(SYN, 0).s(RST | ACK, 0, 1),
                    {"client": end("REJ", "aborted", "peer", "refused", "refused"),
                     "server": None}, ["handshake 1/3", "refused"]),
    "syn_unanswered": Case(Talk().c(SYN, 0).c(SYN, 0, after=1).c(SYN, 0, after=2),
                           {"client": {"tcp.conn_state": "S0", "tcp.teardown.kind": "open",
                                       "tcp.handshake.syn_retransmits": 2}, "server": None}),
    "syn_again": Case(Talk().c(SYN, 0).c(SYN, 0, after=1).s(SYN | ACK, 0, 1).c(ACK, 1, 1)
                      .close_client(), both()),
    "synack_again": Case(Talk().c(SYN, 0).s(SYN | ACK, 0, 1).s(SYN | ACK, 0, 1, after=1)
                         .c(ACK, 1, 1).close_client(),
                         {**both(), "server": {**both()["server"],
                                               "tcp.handshake.synack_retransmits": 1}}),
    "options": Case(
        Talk().c(SYN | ECE | CWR, 0, opts=MSS + SACK_OK + NOP + WS7)
        .s(SYN | ACK | ECE, 0, 1, opts=MSS + NOP + WS7 + SACK_OK).c(ACK, 1, 1).close_client(),
        {**both(), "client": {**both()["client"], "tcp.options.mss": 1460,
                              "tcp.options.window_scale.send": 7, "tcp.options.sack": True,
                              "tcp.options.timestamps": False, "tcp.options.ecn": True}}),

    # ---- teardowns ----
    "server_first": Case(Talk().open().s(FIN | ACK, 1, 1).c(ACK, 1, 2).c(FIN | ACK, 1, 2)
                         .s(ACK, 2, 2), both(first="server"), H + T),
    "simultaneous_close": Case(
        Talk().open().c(FIN | ACK, 1, 1).s(FIN | ACK, 1, 1, after=0.0001).c(ACK, 2, 2)
        .s(ACK, 2, 2, after=0.0001), crossed()),
    "half_closed": Case(
        Talk().open().c(FIN | ACK, 1, 1).s(ACK, 1, 2).s(PSH | ACK, 1, 2, 200).c(ACK, 2, 201)
        .s(FIN | ACK, 201, 2).c(ACK, 2, 202), both(kind="half_closed"),
        H + ["teardown 1/4", "teardown 2/4", "half-closed data", "ACK", "teardown 3/4",
             "teardown 4/4"]),
    "fin_again": Case(
        Talk().open().c(FIN | ACK, 1, 1).c(FIN | ACK, 1, 1, after=0.3).s(FIN | ACK, 1, 2)
        .c(ACK, 2, 2),
        {**both(), "client": {**both()["client"], "tcp.retransmits.timeout": 1}},
        H + ["teardown 1/4", "retransmission", "teardown 2+3/4", "teardown 4/4"]),
    "reset_by_client": Case(Talk().open().c(RST | ACK, 1, 1), reset("client", "RSTO")),
    "reset_by_server": Case(Talk().open().s(RST | ACK, 1, 1), reset("server", "RSTR")),
    "reset_after_fin": Case(Talk().open().c(FIN | ACK, 1, 1).s(ACK, 1, 2).c(RST | ACK, 2, 1),
                            reset("client", "RSTO")),
    "reset_out_of_window": Case(
        Talk().open().c(RST, 900000).c(PSH | ACK, 1, 1, 10).s(ACK, 1, 11).close_client(11),
        both(), differ=("out_of_order", "retransmission")),
    "ports_reused": Case(
        Talk().open().close_client().packets +
        [type(p)(**{**vars_of(p), "t": p.t + 1, "seq": p.seq + 77777,
                    "ack": p.ack + 77777 if p.flags & ACK else 0})
         for p in Talk().open().close_client().packets], both(), (H + T) * 2),

    # ---- what is lost, late or again ----
    "retransmission": Case(
        Talk().open().c(PSH | ACK, 1, 1, 100).c(PSH | ACK, 1, 1, 100, after=0.3).s(ACK, 1, 101)
        .close_client(101),
        {**both(), "client": {**both()["client"], "tcp.retransmits.timeout": 1,
                              "tcp.bytes_sent": 100}}),
    "fast_retransmission": Case(
        Talk(step=0.001).open().c(ACK, 1, 1, 100).c(ACK, 101, 1, 100).c(ACK, 201, 1, 100)
        .c(ACK, 301, 1, 100).s(ACK, 1, 101).s(ACK, 1, 101).s(ACK, 1, 101).s(ACK, 1, 101)
        .c(ACK, 101, 1, 100, after=0.004).s(ACK, 1, 401).close_client(401),
        {**both(), "client": {**both()["client"], "tcp.retransmits.fast": 1}}),
    "sack": Case(
        Talk(step=0.02).open().c(ACK, 1, 1, 100, after=0.1).c(ACK, 101, 1, 100, after=0.001)
        .s(ACK, 1, 1, opts=sack(1101, 1201), after=0.04).c(ACK, 1, 1, 100, after=0.001)
        .s(ACK, 1, 201).close_client(201),
        {**both(), "client": {**both()["client"], "tcp.retransmits.fast": 1}},
        differ=("retransmission", "fast_retransmission", "out_of_order")),
    "out_of_order": Case(
        Talk().open().c(ACK, 101, 1, 100).c(ACK, 1, 1, 100, after=0.0005).s(ACK, 1, 201)
        .close_client(201),
        {**both(), "client": {**both()["client"], "tcp.retransmits.total": 0,
                              "tcp.bytes_sent": 200}}),
    "keep_alive": Case(
        Talk().open().c(PSH | ACK, 1, 1, 10).s(ACK, 1, 11).c(ACK, 10, 1, after=60)
        .s(ACK, 1, 11).close_client(11),
        {**both(), "client": {**both()["client"], "tcp.retransmits.keepalive": 1}}),
    "zero_window": Case(
        Talk().open().c(ACK, 1, 1, 1000).s(ACK, 1, 1001, win=0).c(ACK, 1001, 1, 1, after=0.3)
        .s(ACK, 1, 1001, win=0).s(ACK, 1, 1001, win=1000, after=0.5).c(ACK, 1001, 1, 100)
        .s(ACK, 1, 1101).close_client(1101),
        {**both(), "client": {**both()["client"], "tcp.retransmits.zero_window_probe": 1}}),
    "delayed_duplicate": Case(
        delayed(), both(),
        H + ["data", "ACK", "delayed duplicate"] + T, wireshark=False),
    "ack_of_unseen": Case(
        Talk().open().s(ACK, 1, 501).c(PSH | ACK, 501, 1, 10).s(ACK, 1, 511).close_client(511),
        {**both(), "client": {**both()["client"], "tcp.bytes_sent": 510}},
        differ=("lost_segment", "ack_lost_segment")),
    "sequence_wraps": Case(
        [type(p)(**{**vars_of(p), "seq": p.seq + (0xfffffc00 if p.src == C else 0),
                    "ack": p.ack + (0xfffffc00 if p.src == S else 0) if p.flags & ACK else 0})
         for p in Talk().open().c(ACK, 1, 1, 1000).s(ACK, 1, 1001).close_client(1001).packets],
        {**both(), "client": {**both()["client"], "tcp.bytes_sent": 1000}}),

    # ---- captures that do not show all ----
    "begins_in_the_middle": Case(
        Talk().c(PSH | ACK, 500, 700, 10).s(ACK, 700, 510).close_client(510, 700),
        {"unknown": {"tcp.conn_state": "SF", "tcp.teardown.kind": "normal",
                     "tcp.handshake.kind": "unseen", "tcp.end_reason": "fin"}}),
    "middle_only": Case(
        Talk().c(PSH | ACK, 500, 700, 10).s(ACK, 700, 510),
        {"unknown": {"tcp.conn_state": "OTH", "tcp.teardown.kind": "open"}}),
    "ends_in_the_middle": Case(
        Talk().open().c(PSH | ACK, 1, 1, 10).s(ACK, 1, 11),
        {"client": {"tcp.conn_state": "S1", "tcp.teardown.kind": "open", "tcp.bytes_sent": 10},
         "server": {"tcp.conn_state": "S1", "tcp.teardown.kind": "open",
                    "tcp.bytes_received": 10}}),
    "syn_uncaptured": Case(
        Talk().s(SYN | ACK, 0, 1).c(ACK, 1, 1).close_client(),
        {"client": {"tcp.conn_state": "SF", "tcp.teardown.initiator": "local",
                    "tcp.handshake.client_isn": 1000},
         "server": {"tcp.conn_state": "SF", "tcp.teardown.initiator": "peer",
                    "tcp.handshake.server_isn": 5000}}),
    "one_direction": Case(
        [p for p in plain().packets if p.src == C],
        {"client": {"tcp.conn_state": "S2", "tcp.teardown.kind": "open",
                    "tcp.handshake.client_isn": 1000, "tcp.handshake.server_isn": 5000}},
        differ=("lost_segment", "ack_lost_segment")),
}
