# SPDX-License-Identifier: Apache-2.0
"""The tracer's record of each end against the packets, the journal, and itself.

Every function gives complaints, a text each. What a record leaves out is no complaint here but
where it must have been seen.
"""
import calendar
import time

import oracle
from records import field

TIMERS = {"timed_out", "orphaned"}
# RFC 9293's arcs, and Linux's: which state may follow.
ARCS = {
    None: {"syn_sent", "syn_received", "listen", "closed", "established"},
    "listen": {"syn_received", "established", "closed"},
    "closed": {"syn_sent", "listen"},
    "syn_sent": {"established", "syn_received", "closed"},
    "syn_received": {"established", "fin_wait_1", "closed", "close_wait"},
    "established": {"fin_wait_1", "close_wait", "closed"},
    "fin_wait_1": {"fin_wait_2", "closing", "time_wait", "closed"},
    "fin_wait_2": {"time_wait", "closed"},
    "closing": {"time_wait", "closed"},
    "close_wait": {"last_ack", "closed"},
    "last_ack": {"closed"},
    "time_wait": {"closed"},
}


def instant(text):
    """Seconds since 1970 of an RFC 3339 time with nanoseconds."""
    if not text:
        return 0.0   # it was there before
    whole, _, rest = text.rstrip("Z").partition(".")
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float("0." + (rest or "0"))


def by_timer(r):
    """Its socket was given up by the kernel, or before it had an answer."""
    return field(r, "tcp.teardown.kind") in TIMERS or \
        field(r, "tcp.teardown.kind") == "aborted" and field(r, "tcp.conn_state") == "S0"


def let_go(r):
    """SO_LINGER 0 or connect(AF_UNSPEC) with the FIN on its way: no segment tells of that."""
    steps = [s for s in field(r, "tcp.timeline") or [] if s["event"] == "state"]
    return len(steps) > 1 and steps[-2]["state"] in ("last_ack", "closing") and \
        steps[-1]["state"] == "closed" and steps[-1].get("trigger") == "syscall" and \
        field(r, "tcp.end_reason") == "fin"


def life(r, local, packets):
    """What the packets tell of that end, as long as it lived: later ones met no socket."""
    end = instant(field(r, "event.end")) if by_timer(r) or let_go(r) else None
    return oracle.Life(local, packets, end)


def differ(pairs):
    return [f"{what}: {source} {want!r}, the record {got!r}"
            for what, source, want, got in pairs if want != got]


def sides(role):
    return ("client", "server") if role == "client" else ("server", "client")


def numbers(r, life):
    """ISNs, FINs, bytes, what of the handshake was sent again."""
    me, you = sides(field(r, "tcp.role"))
    pairs = []

    def known(path, want):
        got = field(r, path)
        if got is not None:
            pairs.append((path, "the wire", want, got))
    known(f"tcp.handshake.{me}_isn", life.isn[True])
    known(f"tcp.handshake.{you}_isn", life.isn[False])
    known(f"tcp.teardown.{me}_fin_seq", life.fin)
    known(f"tcp.teardown.{you}_fin_seq", life.peer_fin if life.peer_fin_at is not None else None)
    known("tcp.bytes_sent", life.sent())
    least, most = life.received()
    got = field(r, "tcp.bytes_received")
    if got is not None and not least <= got <= most:
        pairs.append(("tcp.bytes_received", "the wire", (least, most), got))
    if life.role() == "client":
        known("tcp.handshake.syn_retransmits", life.syns - 1)
    else:
        known("tcp.handshake.synack_retransmits", life.synacks - 1)
    return differ(pairs)


def words(r, life):
    kind, got = field(r, "tcp.teardown.kind"), field(r, "tcp.conn_state")
    initiator = field(r, "tcp.teardown.initiator")
    pairs = [("tcp.role", "the wire", life.role(), field(r, "tcp.role"))]
    pairs.append(("tcp.conn_state", "the wire", life.conn_state(), got))
    want = life.initiator()
    if want or kind not in TIMERS | {"aborted"}:
        pairs.append(("tcp.teardown.initiator", "the wire", want, initiator))
    want = life.teardown()
    if kind not in TIMERS:
        pairs.append(("tcp.teardown.kind", "the wire", want,
                      "normal" if kind == "half_closed" else kind))
    return differ(pairs)


def never_sent(r):
    """connect() failed on this host, with no port to be had: there was a socket, and no segment."""
    return field(r, "tcp.conn_state") == "S0" and field(r, "tcp.handshake.client_isn") is None


def wire(r, life):
    if life is None:
        return [] if never_sent(r) else ["no packet of it"]
    if field(r, "tcp.teardown.kind") == "unseen":
        return numbers(r, life)
    return numbers(r, life) + words(r, life)


def journal(r, truth, role):
    """truth: a line of the generator's."""
    t = truth[role]
    calls = [c for c in truth["calls"] if c[0] == role]
    pids = {c[1] for c in calls} | {abs(t["pid"])} if role == "server" else {t["pid"]}
    faults = []
    if field(r, "process.pid") not in pids:
        faults.append(f"process.pid {field(r, 'process.pid')}, not of {sorted(pids)}")
    if field(r, "tcp.bytes_sent") is not None and field(r, "tcp.bytes_sent") > t["sent"]:
        faults.append(f"bytes_sent {field(r, 'tcp.bytes_sent')}, {t['sent']} were given to send()")
    if (field(r, "tcp.bytes_received") or 0) < t["received"]:
        faults.append(f"bytes_received {field(r, 'tcp.bytes_received')}, "
                      f"{t['received']} were read")
    if field(r, "tcp.conn_state") == "SF" and field(r, "tcp.bytes_sent") != t["sent"]:
        faults.append(f"SF, bytes_sent {field(r, 'tcp.bytes_sent')} of {t['sent']}")
    names = [c[2] for c in calls]
    reason = field(r, "tcp.end_reason")
    if reason == "linger_reset" and not t["linger2"] < 0 and "close_reset" not in names \
            and not ("disconnect" in names and {"shut_rdwr", "shut_rd"} & set(names)):
        faults.append("linger_reset, but nobody asked for that")
    if reason == "unread_data_reset" and field(r, "tcp.bytes_received") == t["received"]:
        faults.append("unread_data_reset, but all was read")
    if reason == "listener_closed" and "close_listener" not in names and "accept" in names:
        faults.append("listener_closed of what was accepted")
    if field(r, "tcp.teardown.initiator") == "local" and \
            field(r, "tcp.teardown.kind") == "half_closed" and "shut_wr" not in names and \
            field(r, "tcp.bytes_received") == 0:
        faults.append("half_closed, but no shutdown(SHUT_WR) and no data")
    return faults


def sane(r):
    faults, last, at = [], None, 0
    for step in field(r, "tcp.timeline") or []:
        if step["offset_ns"] < at:
            faults.append(f"step back in time at {step}")
        at = step["offset_ns"]
        state = step.get("state")
        if state and state != last:
            if state not in ARCS.get(last, ()):
                faults.append(f"{last} to {state}")
            last = state
    whole = field(r, "event.duration")
    parts = (field(r, "tcp.handshake.duration_ns") or 0) + \
        (field(r, "tcp.teardown.duration_ns") or 0)
    if whole is not None and whole < parts:
        faults.append(f"event.duration {whole} < handshake and teardown {parts}")
    half, down = field(r, "tcp.teardown.half_close_ns"), field(r, "tcp.teardown.duration_ns")
    if half is not None and down is not None and half > down:
        faults.append(f"half_close_ns {half} > teardown {down}")
    if field(r, "tcp.conn_state") == "SF" and not \
            (field(r, "tcp.teardown.client_fin_seq") and field(r, "tcp.teardown.server_fin_seq")):
        faults.append("SF without both FINs' numbers")
    return faults


GIVEN_UP = {"tcp.conn_state", "tcp.teardown.kind", "tcp.teardown.initiator", "tcp.handshake.kind"}
SAME = ["tcp.conn_state", "tcp.teardown.initiator", "tcp.teardown.kind", "tcp.handshake.kind",
        "tcp.handshake.client_isn", "tcp.handshake.server_isn", "tcp.teardown.client_fin_seq",
        "tcp.teardown.server_fin_seq", "tcp.bytes_sent", "tcp.bytes_received",
        "tcp.handshake.syn_retransmits", "tcp.handshake.synack_retransmits",
        "tcp.options.window_scale", "tcp.options.sack", "tcp.options.timestamps"]


def captured(r, same, life):
    """Against the tracer's own reader of that end's capture."""
    faults = []
    if life and life.not_taken:
        return []   # within the window, and yet not the next number: only its receiver knows
    if life and life.rst_in is not None and (life.fin_at or 0) > life.rst_in:
        return []   # a FIN and a RST crossed
    if field(r, "tcp.teardown.kind") == "unseen" or never_sent(r):
        return []
    if same is None:
        return ["not in the capture"]
    for path in SAME:
        live, read = field(r, path), field(same, path)
        if path == "tcp.teardown.kind" and {live, read} == {"normal", "half_closed"}:
            continue   # only the socket knows a shutdown() after which nothing came
        if path in GIVEN_UP and (by_timer(r) or let_go(r)):
            continue   # no packet shows that
        if path.startswith("tcp.bytes") and (read or 0) <= (live or 0):
            continue   # what was on its way as a RST came, or came and was not acknowledged
        if read is None and path.endswith("_fin_seq") and life and life.fin_unanswered():
            continue   # it was on its way, and nothing that passed says that it came
        if read is None and path.startswith("tcp.options"):
            continue   # its SYN-ACK came after other segments of that end, and says no more there
        if read is None and field(same, "tcp.handshake.kind") == "pending":
            continue   # nobody answered: not told until it is over
        if live is not None and live != read:
            faults.append(f"{path}: live {live!r}, the capture's reader {read!r}")
    return faults
