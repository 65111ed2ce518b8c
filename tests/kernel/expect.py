# SPDX-License-Identifier: Apache-2.0
"""What the tracer must say of each end that the scenario program makes.

Written from the interface's definitions and RFC 9293, never from what a tracer printed.
A row is one end of one connection: EXPECT[scenario][conn][role] (conn "main" where there
is only one). Beyond its row, checks.py holds every end to the scenario's own truth: the
addresses, cookie, namespace, pid, exact bytes, ISNs, FIN sequence numbers and options.

Times are never expected. Where base mode cannot see what full mode does, Mode() says so.
"""


class OneOf:
    def __init__(self, *values):
        self.values = values

    def holds(self, got):
        return got in self.values

    def __repr__(self):
        return " or ".join(map(repr, self.values))


class AtLeast:
    def __init__(self, least):
        self.least = least

    def holds(self, got):
        return isinstance(got, int) and got >= self.least

    def __repr__(self):
        return f"at least {self.least}"


class Present:
    def holds(self, got):
        return got is not None

    def __repr__(self):
        return "present"


class Absent:
    def holds(self, got):
        return got is None

    def __repr__(self):
        return "absent"


class Anything:
    """Base mode cannot know."""

    def holds(self, got):
        return True

    def __repr__(self):
        return "anything"


class Mode:
    """What base mode and full mode may each say."""

    def __init__(self, base, full):
        self.base, self.full = base, full


class Before:
    """What kernels before a version may say, and what later ones must."""

    def __init__(self, version, earlier, later):
        self.version, self.earlier, self.later = version, earlier, later


class Watch(str):
    """"base" or "full", on a kernel (major, minor)."""

    def __new__(cls, mode, release):
        self = super().__new__(cls, mode)
        self.kernel = tuple(int(n) for n in release.split("-")[0].split(".")[:2])
        return self

    def choose(self, want):
        while isinstance(want, (Mode, Before)):
            if isinstance(want, Mode):
                want = getattr(want, self)
            else:
                want = want.earlier if self.kernel < want.version else want.later
        return want


# ---- the ways through RFC 9293's diagram; "?x" may be missing (conns does not ask for it) ----

OPEN_C, OPEN_S = ["syn_sent", "established"], ["?syn_received", "established"]
FIRST = ["fin_wait_1", "fin_wait_2", "time_wait"]
SECOND = ["close_wait", "last_ack", "closed"]
CROSSED = ["fin_wait_1", "closing", "time_wait"]


def end(kind, initiator, reason, conn_state, path, fins="", handshake="normal", optional=False,
        **more):
    """One row. fins: whose FINs this end knows, of "cs" (client, server), None: not held to it.
    optional: base mode may have no record. more: other fields, "__" for "."."""
    row = {
        "tcp.teardown.kind": kind, "tcp.teardown.initiator": initiator,
        "tcp.end_reason": reason, "tcp.conn_state": conn_state, "tcp.handshake.kind": handshake,
    }
    row.update({"tcp." + k.replace("__", "."): v for k, v in more.items()})
    return {"fields": row, "path": path, "fins": fins, "optional": optional}


def client_first(c="normal", s=None, **more):
    """Closed by FINs, the client's first."""
    return {
        "client": end(c, "local", "fin", "SF", OPEN_C + FIRST, "cs",
                      teardown__time_wait="running", **more),
        "server": end(s or c, "peer", "fin", "SF", OPEN_S + SECOND, "cs",
                      teardown__time_wait="none", **more),
    }


def server_first(c="normal", s=None):
    return {
        "client": end(c, "peer", "fin", "SF", OPEN_C + SECOND, "cs",
                      teardown__time_wait="none"),
        "server": end(s or c, "local", "fin", "SF", OPEN_S + FIRST, "cs",
                      teardown__time_wait="running"),
    }


def reset(by, reason, c_path=(), s_path=(), c_fins="", s_fins="", first=None, got="reset"):
    """Ended by a RST: `by` sent it, for `reason`; the other end says `got`. A FIN may have come
    before: then `first` is who sent that, and the initiator."""
    first = first or by
    state = "RSTO" if by == "client" else "RSTR"

    def one(role, open_path, path, fins):
        kind, why = ("reset_sent", reason) if role == by else ("reset_received", got)
        return end(kind, "local" if first == role else "peer", why, state,
                   open_path + list(path) + ["closed"], fins, teardown__time_wait="none")
    return {"client": one("client", OPEN_C, c_path, c_fins),
            "server": one("server", OPEN_S, s_path, s_fins)}


def unopened(handshake, initiator, reason, conn_state, **more):
    return {"client": end("aborted", initiator, reason, conn_state, ["syn_sent", "closed"], None,
                          handshake, handshake__server_isn=Absent(), bytes_sent=0,
                          bytes_received=0, **more)}


def childless(initiator, reason, conn_state, **more):
    """A server's request sock that became no connection: base mode does not see it."""
    return end("aborted", initiator, reason, conn_state, ["syn_received", "closed"], None,
               "aborted", optional=True, **more)


# The client's FIN_WAIT_2 is a minisock in a namespace that base mode may not enter.
MAYBE_FIN = Mode(OneOf("normal", "open", "unseen"), "normal")


def far_client(path=tuple(FIRST)):
    return end(MAYBE_FIN, "local", Mode(Anything(), "fin"), Mode(OneOf("SF", "S2"), "SF"),
               OPEN_C + Mode_path(path), None, optional=True)


def Mode_path(path):
    """Base mode may stop at FIN_WAIT_2, or say CLOSED for what it saw no TIME_WAIT of."""
    return [*path[:2], "?" + path[2], "?closed"]


FAR_SERVER = client_first()["server"]
UNHEARD = OneOf("reset", "half_open")  # a RST answered a FIN: the peer was gone
# Which RST it was is full mode's to see from 5.12 on; one without a socket behind it is traced
# from 6.12 on. Before that nothing tells this RST from any other.
FORGOTTEN = Before((5, 12), OneOf("half_open", "reset"),
                   Before((6, 12), Mode(OneOf("half_open", "reset"), "half_open"), "half_open"))

# A filter's RST is no socket's, and has no ACK: full mode sees that much from 5.12 on.
FILTERS_RST = Before((5, 12), OneOf("half_open", "reset"),
                     Mode(OneOf("half_open", "reset"), "half_open"))

GIVEN_UP = {"teardown__time_wait": "none"}
# Its client is gone, and it never heard of that: its own FIN meets nobody.
LEFT_ALONE = end("reset_received", "local", UNHEARD, "RSTO", OPEN_S + ["fin_wait_1", "closed"],
                 "s", **GIVEN_UP)


def given_up(kind, initiator, reason, path=("closed",), fins="", conn_state="S1", **more):
    """A client that its kernel gave up."""
    return end(kind, initiator, reason, conn_state, OPEN_C + list(path), fins, **GIVEN_UP, **more)


EXPECT = {
    # ---- FIN both ways ----
    "normal": client_first(),
    "no_data": client_first(),
    "server_closes_first": server_first(),
    "half_close": client_first("half_closed"),
    "half_close_server": server_first("half_closed"),
    # no data after the FIN: only the end that called shutdown() can know what it called
    "half_close_held": client_first("half_closed", OneOf("half_closed", "normal")),
    "half_close_then_close": client_first("half_closed", OneOf("half_closed", "normal")),
    "shutdown_both": client_first(),
    "close_wait_leak": client_first(),
    "close_wait_unread": client_first(),
    "bulk": client_first(),
    "ipv6": client_first(),
    "v4mapped": client_first(),
    "churn": {"client_first": client_first(), "server_first": server_first()},
    "two_processes": client_first(),
    "killed_process": client_first(),
    "shared_by_fork": client_first(),
    "passed": server_first(),
    "passed_in_close_wait": client_first(),
    "bound_device": client_first(),
    "linger_expires": client_first(),
    "forked_workers": server_first(),
    "namespaces": {n: client_first() for n in ("one", "two", "three")},
    "simultaneous_close": {
        "client": end("simultaneous", "both", "fin", "SF", OPEN_C + CROSSED, "cs"),
        "server": end("simultaneous", "both", "fin", "SF", OPEN_S + CROSSED, "cs"),
    },
    "two_hosts": {"client": far_client(), "server": FAR_SERVER},
    "delayed_duplicate": {"client": far_client(), "server": FAR_SERVER},

    # ---- RST ----
    "linger_reset": reset("client", "linger_reset"),
    "peer_reset": reset("server", "linger_reset"),
    "unread_data_reset": reset("client", "unread_data_reset"),
    "data_after_shutdown": reset("client", "reset", ["fin_wait_1", "fin_wait_2"], ["close_wait"],
                                 "c", "c"),
    # TCP_LINGER2 < 0: the kernel's own name for it is "abort on linger"
    "linger2_reset": reset("client", OneOf("linger_reset", "reset"), ["fin_wait_1", "fin_wait_2"],
                           ["close_wait"], "c", "c"),
    "both_reset": {"client": reset("client", "linger_reset")["client"],
                   "server": reset("server", "linger_reset")["server"]},
    # the first one's server learns by the RST of an ACK: neither data nor a probe
    "half_open_again": {"first": reset("client", "linger_reset"),
                        "second": client_first()},
    "reset_before_accept": reset("client", "linger_reset"),
    "reset_after_fin": reset("client", "linger_reset", ["fin_wait_1", "fin_wait_2"],
                             ["close_wait"], "c", "c"),
    "reset_in_close_wait": reset("server", "linger_reset", ["fin_wait_1", "fin_wait_2"],
                                 ["close_wait"], "c", "c", first="client"),
    "write_after_close": reset("client", "reset", ["fin_wait_1", "fin_wait_2"], ["close_wait"],
                               "c", "c"),
    "half_open": reset("server", "linger_reset", got=FORGOTTEN),
    "host_restarted": reset("server", "linger_reset", got=FORGOTTEN),
    "listener_closed": reset("server", "listener_closed"),
    "never_accepted": reset("server", "listener_closed", ["fin_wait_1", "fin_wait_2"],
                            ["close_wait"], "c", "c", first="client"),
    "reconnect": {"first": reset("client", "reset"), "second": client_first()},
    "sock_destroy": {
        "client": end("killed", "local", "killed", "RSTO", OPEN_C + ["closed"]),
        "server": reset("client", "")["server"],
    },

    # ---- handshakes ----
    "refused": unopened("refused", "peer", "refused", "REJ"),
    "syn_timeout": unopened("timed_out", "kernel", "syn_timeout", "S0"),
    # a close() in SYN_SENT sends neither FIN nor RST, and no reason is defined for it
    "closed_in_handshake": unopened("aborted", "none", "unknown", "S0"),
    "icmp_refused": unopened("aborted", OneOf("none", "kernel"), "icmp", "S0"),
    "syn_retransmitted": client_first(),
    "synack_retransmitted": client_first(),
    "self_connect": {"client": end(
        "simultaneous", "both", "fin", "SF",
        ["syn_sent", "syn_received", "established"] + CROSSED, None, "simultaneous",
        teardown__time_wait="running")},
    "simultaneous_open": {
        "left": {"client": end(
            MAYBE_FIN, "local", Mode(Anything(), "fin"), Mode(OneOf("SF", "S2"), "SF"),
            ["syn_sent", "syn_received", "established"] + Mode_path(FIRST), None,
            "simultaneous", optional=True)},
        "right": {"client": end(
            "normal", "peer", "fin", "SF",
            ["syn_sent", "syn_received", "established"] + SECOND, None, "simultaneous")},
    },
    "accept_queue_full": {n: client_first() for n in ("first", "second", "waits")},
    "accept_queue_overflow": {"three": client_first()},
    "syn_cookies": {
        "client": client_first()["client"],
        "server": client_first(handshake=Mode(OneOf("cookie", "normal"), "cookie"),
                               handshake__duration_ns=Mode(Absent(), Anything()))["server"],
    },
    "fast_open": client_first(handshake="fast_open"),
    # sent again at once, by the SYN-ACK that did not acknowledge it: no timer
    "fast_open_ignored": client_first(retransmits__timeout=0, retransmits__syn=0),
    "fast_open_cookie": {"asks": client_first(), "has": client_first(handshake="fast_open")},
    "defer_accept": client_first(),
    "defer_accept_silent": client_first(),
    "ecn": client_first(),
    "listener_left": {
        "client": reset("server", "", got=FORGOTTEN)["client"],
        # the RST is no socket's: no kernel before 6.12 traces it
        "server": childless(Before((6, 12), "none", "local"), "listener_closed",
                            Before((6, 12), "OTH", "RSTR")),
    },
    "defer_accept_reset": {"client": reset("client", "linger_reset")["client"],
                           "server": childless("peer", "reset", "RSTO",
                                               handshake__synack_retransmits=0)},
    "reset_in_handshake": {"client": unopened("aborted", "none", "unknown", "S0")["client"],
                           "server": childless("peer", "reset", "RSTO",
                                               handshake__synack_retransmits=1)},
    # what the RST answers is a bare ACK, and its sender never had the connection
    "accept_queue_abort": {
        "late": {"client": reset("server", "")["client"],
                 "server": childless("local", "reset", "RSTR", handshake__synack_retransmits=1)},
        "waits": client_first(),
    },
    "mptcp": client_first(),
    # its socket's close() is a shutdown(SHUT_WR) of the subflow, by the kernel
    "mptcp_fallback": client_first(OneOf("half_closed", "normal")),
    "time_wait_reuse": {"first": client_first(), "second": client_first()},
    "time_wait_syn": {"first": server_first(), "second": client_first()},

    # ---- a packet filter ----
    "filter_rst_syn": unopened("refused", "peer", "refused", "REJ"),
    "filter_icmp_syn": unopened("aborted", OneOf("none", "kernel"), "icmp", "S0"),
    "filter_port_syn": unopened("aborted", OneOf("none", "kernel"), "icmp", "S0"),
    "filter_rst_data": {"client": reset("server", "", got=FILTERS_RST)["client"],
                        "server": LEFT_ALONE},
    # an ICMP message ends no open connection: nobody answered, and that did
    "filter_icmp_data": {"client": given_up("timed_out", "kernel", "retransmit_timeout"),
                         "server": LEFT_ALONE},
    "filter_port_data": {"client": given_up("timed_out", "kernel", "retransmit_timeout"),
                         "server": LEFT_ALONE},
    # an error that nobody has read ends nothing either
    "icmp_unread": {"first": client_first(), "second": server_first(),
                    "resets": reset("client", "linger_reset")},
    "icmp_tired": {"client": reset("client", "linger_reset")["client"], "server": LEFT_ALONE},
    "output_icmp_syn": unopened("aborted", OneOf("none", "kernel"), "icmp", "S0"),
    "output_drop_syn": unopened("timed_out", "kernel", "syn_timeout", "S0"),
    # what never left was no probe, and that FIN is nobody's
    "output_drop_data": {
        "client": given_up("timed_out", "kernel", "retransmit_timeout",
                           retransmits__zero_window_probe=Absent()),
        "server": LEFT_ALONE,
    },
    "output_drop_fin": {
        "client": given_up("orphaned", "kernel", "retransmit_timeout", ["fin_wait_1", "closed"],
                           retransmits__zero_window_probe=Absent()),
        "server": LEFT_ALONE,
    },

    # ---- timers ----
    "retransmit": client_first(),
    "fin_retransmitted": client_first(),
    "zero_window": {
        "client": client_first(
            retransmits__zero_window_probe=Mode(Anything(), AtLeast(1)))["client"],
        "server": client_first()["server"],
    },
    "keepalive_timeout": {
        # its timer's own end; the RST that the kernel then sends is the client's
        "client": end("timed_out", "kernel", "keepalive_timeout", "RSTO", OPEN_C + ["closed"],
                      retransmits__keepalive=Mode(Anything(), AtLeast(2)), **GIVEN_UP),
        "server": reset("client", "")["server"],
    },
    "user_timeout": {
        "client": end("timed_out", "kernel", "user_timeout", "S1", OPEN_C + ["closed"],
                      **GIVEN_UP),
        "server": end("reset_received", "local", UNHEARD, "RSTO",
                      OPEN_S + ["fin_wait_1", "closed"], "s", **GIVEN_UP),
    },
    "user_timeout_syn": unopened("timed_out", "kernel", "user_timeout", "S0"),
    "user_timeout_window": {
        "client": given_up("timed_out", "kernel", "user_timeout",
                           retransmits__zero_window_probe=AtLeast(1)),
        "server": reset("server", "unread_data_reset")["server"],
    },
    "user_timeout_fin": {
        name: {
            "client": given_up(kind, "local", "user_timeout", ["fin_wait_1", "closed"], "c", "S2"),
            "server": end("reset_received", "peer", UNHEARD, "RSTO", OPEN_S + SECOND, "cs",
                          **GIVEN_UP),
        } for name, kind in (("held", "timed_out"), ("orphan", "orphaned"))
    },
    "keepalive_user_timeout": {
        "client": given_up("timed_out", "kernel", "user_timeout", conn_state="RSTO",
                           retransmits__keepalive=AtLeast(1)),
        "server": reset("client", "")["server"],
    },
    # the FIN was never sent, so nobody's came first
    "fin_unsent": {
        "client": given_up("orphaned", "kernel", "zero_window_timeout", ["fin_wait_1", "closed"],
                           retransmits__zero_window_probe=AtLeast(1)),
        "server": reset("server", "unread_data_reset")["server"],
    },
    "fin_unsent_reset": {
        "client": end("reset_received", "peer", "reset", "RSTR",
                      OPEN_C + ["fin_wait_1", "closed"], "", **GIVEN_UP),
        "server": reset("server", "unread_data_reset")["server"],
    },
    "rto_death": {
        "client": end("timed_out", "kernel", "retransmit_timeout", "S1", OPEN_C + ["closed"],
                      **GIVEN_UP),
        "server": end("reset_received", "local", UNHEARD, "RSTO",
                      OPEN_S + ["fin_wait_1", "closed"], "s", **GIVEN_UP),
    },
    "zero_window_timeout": {
        "client": end("timed_out", "kernel", "zero_window_timeout", "S1", OPEN_C + ["closed"],
                      **GIVEN_UP),
        "server": reset("server", "unread_data_reset")["server"],
    },
    "orphan_fin_wait_2": {
        "client": end("orphaned", "local", "fin_wait_2_timeout", "S2",
                      OPEN_C + ["fin_wait_1", "fin_wait_2", "closed"], "c", **GIVEN_UP),
        "server": end("reset_received", "peer", UNHEARD, "RSTO", OPEN_S + SECOND, "cs",
                      **GIVEN_UP),
    },
    "fin_wait_1_timeout": {
        "client": end("orphaned", "local", "retransmit_timeout", "S2",
                      OPEN_C + ["fin_wait_1", "closed"], "c", **GIVEN_UP),
        "server": end("reset_received", "peer", UNHEARD, "RSTO", OPEN_S + SECOND, "cs",
                      **GIVEN_UP),
    },
    # The ACK of its FIN goes ahead of the server's FIN if the host lets 40 ms pass between the two
    # (TCP_DELACK_MIN): the FIN then meets a minisock, of which base mode has nothing but the word of
    # the other end, and that one gets no ACK. Full mode sees it come.
    "last_ack_timeout": {
        "client": end("normal", "local", "fin", "SF", OPEN_C + FIRST[:2] + ["?time_wait"], "cs",
                      teardown__time_wait="running", optional=True),
        "server": end("orphaned", "peer", "retransmit_timeout", "SF", OPEN_S + SECOND, "cs",
                      **GIVEN_UP),
    },
    "netns_destroyed": {
        # a minisock that the namespace took with it: base mode is told nothing
        "client": end(Mode(OneOf("orphaned", "open"), "orphaned"), "local",
                      Mode(Anything(), "netns_destroyed"), Mode(OneOf("S2", "S1"), "S2"),
                      OPEN_C + ["fin_wait_1", "fin_wait_2", "?closed"], None, optional=True),
        "server": end("reset_sent", "peer", "linger_reset", "RSTR",
                      OPEN_S + ["close_wait", "closed"], "c", **GIVEN_UP),
    },

    # ---- a minute and more ----
    "time_wait_expiry": client_first(),
    "syn_timeout_full": unopened("timed_out", "kernel", "syn_timeout", "S0"),
    "leaked_two_hours": client_first("half_closed", OneOf("half_closed", "normal")),
}
# The RST of a minisock: no kernel before 6.12 traces it.
EXPECT["write_after_close"]["client"]["reset_traced_from"] = (6, 12)
EXPECT["fin_wait_2_full"] = EXPECT["orphan_fin_wait_2"]
EXPECT["last_ack_full"] = EXPECT["last_ack_timeout"]
EXPECT["keepalive_full"] = EXPECT["keepalive_timeout"]

# `conns --until reaped` holds the record until the minisock is gone: what became of TIME_WAIT.
REAPED = {
    ("time_wait_reuse", "first", "client"): OneOf("reused"),
    ("time_wait_syn", "first", "server"): OneOf("reused"),
    ("time_wait_expiry", "main", "client"): OneOf("expired"),
}

# Connections older than the tracer: the handshake was not seen, the rest is exact. The state
# that it was found in may or may not be a step.
EARLIER = {
    "shared_by_fork": {
        "client": end("normal", "local", "fin", "SF", ["?established"] + FIRST, "cs", "unseen"),
        "server": end("normal", "peer", "fin", "SF", ["?established"] + SECOND, "cs", "unseen"),
    },
    "half_close_held": {
        "client": end(OneOf("half_closed", "normal"), "local", "fin", "SF",
                      ["?fin_wait_2", "time_wait"], "cs", "unseen"),
        "server": end(OneOf("half_closed", "normal"), "peer", "fin", "SF",
                      ["?close_wait", "last_ack", "closed"], "cs", "unseen"),
    },
    "listener_closed": {
        "client": end("reset_received", "peer", "reset", OneOf("RSTR", "OTH"),
                      ["?established", "closed"], "", "unseen"),
        "server": end("reset_sent", "local", "listener_closed", OneOf("RSTR", "OTH"),
                      ["?established", "closed"], "", "unseen"),
    },
}

# Who a process said it was (prctl), where it matters that the names differ.
NAMES = {
    ("two_processes", "server"): "the-server",
    ("forked_workers", "server"): "the-worker",
}

# What makes a change into this state: a call, a segment (RFC 9293's arcs).
TRIGGERS = {
    "syn_sent": "syscall", "syn_received": "packet", "established": "packet",
    "fin_wait_1": "syscall", "last_ack": "syscall", "fin_wait_2": "packet",
    "closing": "packet", "close_wait": "packet", "time_wait": "packet",
}
