/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection as one end on this host lived it: the facts, no words for them.
 *
 * A fact that was not seen is 0 with its flag unset; verdict.h turns facts into
 * the words of the interface. Written by timeline.c only; everyone else reads.
 */
#ifndef TCPTRAIL_CONN_H
#define TCPTRAIL_CONN_H

#include <stdbool.h>
#include <stdint.h>

struct event;

/* RFC 9293's states. The values are the kernel's (include/net/tcp_states.h), so
 * that an event's state indexes our tables; NEW_SYN_RECV is the kernel's name
 * for a request sock and is shown as SYN_RECEIVED. */
enum tcp_state {
	ST_NONE, /* not known */
	ST_ESTABLISHED,
	ST_SYN_SENT,
	ST_SYN_RECV,
	ST_FIN_WAIT_1,
	ST_FIN_WAIT_2,
	ST_TIME_WAIT,
	ST_CLOSED,
	ST_CLOSE_WAIT,
	ST_LAST_ACK,
	ST_LISTEN,
	ST_CLOSING,
	ST_NEW_SYN_RECV,
	ST_COUNT,
};

enum conn_role { ROLE_UNKNOWN, ROLE_CLIENT, ROLE_SERVER, ROLE_LISTENER, ROLE_COUNT };

/* Who or what made a change (tcp.trigger). */
enum trigger { TRIG_UNKNOWN, TRIG_SYSCALL, TRIG_PACKET, TRIG_TIMER, TRIG_ABORT, TRIG_COUNT };

enum retransmit_kind {
	RT_SYN,
	RT_SYNACK,
	RT_TIMEOUT,
	RT_FAST,
	RT_SLOW_START, /* what else a timeout took for lost, as acknowledgements come */
	RT_TAIL_LOSS_PROBE,
	RT_ZERO_WINDOW_PROBE,
	RT_KEEPALIVE,
	RT_COUNT,
};

enum step_kind {
	STEP_STATE,        /* entered .state; aux = actor (proc index) */
	STEP_RETRANSMIT,   /* aux = enum retransmit_kind, seq = first byte sent again */
	STEP_RST_SENT,     /* aux = kernel's reason */
	STEP_RST_RECEIVED, /* seq of it where known */
	STEP_ACCEPT,       /* aux = proc */
	STEP_CLOSE,        /* close() of a socket already half-closed: the self-transition; aux = proc */
	STEP_DROP,         /* aux = kernel's drop reason */
	STEP_ERROR,        /* aux = errno */
	STEP_SYN_IN,       /* the client's SYN arrived (full mode); seq = its ISN */
	STEP_SYNACK_SENT,  /* seq = our ISN */
	STEP_FIN_IN,       /* the peer's FIN met our minisock; seq = FIN's */
	STEP_ABORT,        /* SOCK_DESTROY; aux = proc */
	STEP_KINDS,
};

/* 16 bytes. `at` counts from conn.start_ns and saturates at 52 days. */
struct step {
	uint64_t at : 52;
	uint64_t kind : 5;
	uint64_t state : 4; /* the state after this step */
	uint64_t trigger : 3;
	uint32_t seq;
	uint32_t aux;
};

enum {
	STEPS_SMALL = 2,  /* one that lives: how it came to ESTABLISHED */
	STEPS_MEDIUM = 8, /* a quiet life from SYN to TIME_WAIT */
	STEPS_LARGE = 24, /* the first STEPS_KEEP and the latest ones; the middle is counted */
	STEPS_KEEP = 12,
};

/* What was observed (conn.seen). */
enum {
	SEEN_START = 1 << 0,       /* its first event was its birth */
	SEEN_SYN_TIME = 1 << 1,    /* syn_ns holds the SYN's time */
	SEEN_SYN_ESTIMATED = 1 << 2, /* syn_ns was reckoned from the kernel's round-trip sample */
	SEEN_ESTABLISHED = 1 << 3, /* it was ESTABLISHED (or later) at some time */
	SEEN_EST_TIME = 1 << 4,    /* est_ns holds when */
	SEEN_ISN_LOCAL = 1 << 5,
	SEEN_ISN_PEER = 1 << 6,
	SEEN_FIN_LOCAL = 1 << 7,   /* our FIN was sent; fin_seq_local */
	SEEN_FIN_LOCAL_TIME = 1 << 8,
	SEEN_FIN_PEER = 1 << 9,    /* the peer's FIN arrived; fin_seq_peer */
	SEEN_FIN_PEER_TIME = 1 << 10,
	SEEN_FIN_LOCAL_ACKED = 1 << 11,
	SEEN_CLOSE = 1 << 12,      /* both directions are closed: the record may be written */
	SEEN_RST_SENT = 1 << 13,
	SEEN_RST_RECEIVED = 1 << 14,
	SEEN_SNAPSHOT = 1 << 15,   /* was there before the tracer (iter/tcp or iter/task_file) */
	SEEN_ACCEPT = 1 << 16,
	SEEN_TIME_WAIT = 1 << 17,  /* entered TIME_WAIT; tw_ns */
	SEEN_MINISOCK = 1 << 18,   /* orphan FIN_WAIT_2 in a timewait minisock */
	SEEN_SYNACK_TIME = 1 << 19,/* synack_ns: server sent it / client received it */
	SEEN_CLOSING = 1 << 20,    /* passed through CLOSING: FINs crossed */
	SEEN_SIMULTANEOUS_OPEN = 1 << 21, /* SYN_SENT -> SYN_RECV */
	SEEN_FASTOPEN = 1 << 22,
	SEEN_COOKIE = 1 << 23,     /* SYN cookie */
	SEEN_ABORT = 1 << 24,      /* SOCK_DESTROY */
	SEEN_SHUT_WR_FIRST = 1 << 26, /* our FIN came from shutdown(SHUT_WR): sk_shutdown was 2 */
	SEEN_DATA_AFTER_FIN = 1 << 27, /* data was delivered after our FIN */
	SEEN_UNREAD_AT_CLOSE = 1 << 28, /* closed with rcv_nxt != copied_seq */
	SEEN_ORPHAN = 1 << 29,     /* SOCK_DEAD at the end or in FIN_WAIT_2 */
	SEEN_LISTENER_CLOSED = 1 << 30, /* a queued child whose listener was closed */
};
#define SEEN_NETNS_GONE (1u << 31)

/* What a record rests on beyond its own events (tcp.evidence). */
enum { EVIDENCE_PAIR = 1, EVIDENCE_LOOKUP = 2, EVIDENCE_ESTIMATE = 4 };

/* What may be missing from it (tcp.incomplete). */
enum { INCOMPLETE_GAP = 1, INCOMPLETE_LOST = 2, INCOMPLETE_STEPS = 4 };

/* Later ones replace earlier ones. */
enum owner_source { OWNER_NONE, OWNER_LISTENER, OWNER_HOLDER, OWNER_ACTOR, OWNER_CREATED };

/* conn.detail: facts that only matter to one verdict. */
enum {
	DETAIL_USER_TIMEOUT = 1 << 0,  /* TCP_USER_TIMEOUT, not a number of tries, ended it */
	DETAIL_UNHEARD = 1 << 1,       /* as the RST came, what was sent again (or a probe) had no answer */
	DETAIL_TAKEN_OVER = 1 << 2,    /* a new connection began on the tuple of its minisock */
	DETAIL_RST_NO_ACK = 1 << 3,    /* the RST received had no ACK flag: no socket answered */
	DETAIL_FW2_EXPIRED = 1 << 4,   /* the orphan FIN_WAIT_2 minisock ran out */
	DETAIL_ICMP = 1 << 5,          /* an error without a RST */
	DETAIL_NETNS_PURGE = 1 << 6,   /* its minisock was purged with its namespace */
	DETAIL_EMBRYO = 1 << 7,        /* a request sock, no child yet */
	DETAIL_ACK_REFUSED = 1 << 8,   /* the final ACK was not taken: accept queue full */
	DETAIL_RST_IMPLIED = 1 << 9,   /* close() of this kind always sends RST */
	DETAIL_FOUND = 1 << 10,        /* first told of by an event in the middle of its life */
	DETAIL_IN_SNAPSHOT = 1 << 11,  /* the running snapshot has told of it */
	DETAIL_WRITTEN = 1 << 12,      /* its record was written */
	DETAIL_SYN_RECV_TOLD = 1 << 13, /* its request sock's LISTEN -> SYN_RECEIVED was reported */
	DETAIL_SYN_ANSWERED = 1 << 14, /* server: its SYN-ACK was sent */
	DETAIL_DISCONNECTED = 1 << 15, /* reset by connect(AF_UNSPEC), not by close() */
};

/* conn.now: what the newest counters said, true for that moment only. */
enum {
	NOW_FIN_UNREAD = 1 << 0,   /* the peer's FIN waits behind copied_seq */
	NOW_ZERO_WINDOW = 1 << 1,  /* the peer's window is closed and data waits for it */
	NOW_IN_FLIGHT = 1 << 2,    /* sent and not acknowledged */
	NOW_UNACCEPTED = 1 << 3,   /* a snapshot: no process has it yet (in an accept queue) */
};

enum time_wait_end { TW_NONE, TW_RUNNING, TW_EXPIRED, TW_REUSED, TW_KILLED, TW_ENDS };

/*
 * What a connection has late, or never: its end, and the troubles on the way to it. Most of those
 * that live have none of it, so it is apart: made (conntab_end()) by the first fact that belongs
 * here, read through conn_end(), which gives zeros as long as there is none.
 */
struct conn_end {
	/* when; monotonic ns, 0: not (yet) */
	uint64_t end_ns;
	uint64_t fin_local_ns;
	uint64_t fin_peer_ns;
	uint64_t tw_ns;          /* entered TIME_WAIT */
	uint64_t tw_left_ns;
	uint64_t rst_ns;         /* the newest RST, sent or received */
	uint64_t looked_ns;      /* a lookup found its minisock in FIN_WAIT_2 */
	uint64_t stall_ns;       /* the peer has answered nothing since, at the latest; 0: it does */
	uint64_t due_ns;         /* pending: when the pipeline looks at it again */

	/* how */
	uint64_t at_fin;         /* at the first FIN: ours, bytes_received; the peer's, our write_seq */
	uint32_t fin_seq_local;
	uint32_t fin_seq_peer;
	uint32_t closer;         /* proc index of who called close/shutdown/abort; 0 unknown */
	uint8_t first_fin;       /* 0 none, 1 local, 2 peer */
	uint8_t err;             /* sk_err when it ended */
	uint8_t end_old_state;   /* the state it was in when it ended */
	uint8_t end_trigger;     /* enum trigger of the end */
	uint8_t rst_reason;      /* kernel's enum sk_rst_reason, 0 unknown */
	uint8_t tw_end;          /* enum time_wait_end */
	uint8_t tw_substate;     /* full mode: what tcp_time_wait() made, FIN_WAIT2 or TIME_WAIT */
	uint8_t rst_doubt;       /* the kernel reset it: a RST came, or data that it answers by one */
	uint8_t gave_up;         /* enum event_timer by which the kernel gave it up: RETRANSMIT,
				  * PERSIST, KEEPALIVE; 0 it did not */

	/* the troubles */
	uint16_t retransmits[RT_COUNT];
	uint16_t steps_dropped;  /* left out of the middle */
	uint8_t rto_fired;       /* icsk_retransmits at the newest retransmission */

	uint64_t peer_cookie;    /* of an other end that is gone: conntab_peer_cookie() */
	uint32_t bound_dev;      /* index of the interface that it is bound to; 0: none, of most */

	/* the wait queues' links (ending.c) */
	uint32_t wait_next;
	uint32_t wait_prev;
};

/* Ordered for the cache: what a look-up touches first. */
struct conn {
	/* who */
	uint64_t cookie;
	uint8_t local[16];       /* v4-mapped for IPv4 */
	uint8_t peer[16];
	uint16_t lport;
	uint16_t pport;
	uint32_t netns;
	uint32_t tuple_next;     /* the table's own links (conntab.c) */
	uint32_t tuple_prev;
	uint32_t tuple_hash;     /* 0: not in the tuple index */
	uint32_t peer_conn;      /* index of the other end on this host, 0 if none (conntab.h) */

	/* where it stands */
	uint32_t seen;           /* SEEN_* */
	uint16_t detail;         /* DETAIL_* */
	uint16_t generation;     /* last snapshot that saw it */
	uint8_t state : 4;       /* enum tcp_state as it truly is: TIME_WAIT, not CLOSE */
	uint8_t role : 2;        /* enum conn_role */
	uint8_t told : 1;        /* told of since the newest snapshot began */
	uint8_t state_age_bound : 1; /* 0 exact, 1 at least */
	uint8_t pending : 4;     /* enum wait of pipeline_impl.h: what it waits for; 0 nothing */
	uint8_t now : 4;         /* NOW_* */
	uint8_t evidence : 3;    /* EVIDENCE_* */
	uint8_t incomplete : 3;  /* INCOMPLETE_* */
	uint8_t steps_room : 2;  /* which of conntab.c's sizes its steps lie in; 0: none */
	uint8_t steps_len;
	uint32_t steps_at;       /* slab index */
	struct conn_end *end;    /* read with conn_end(), made with conntab_end(); NULL: none */

	/* whose */
	uint32_t owner;          /* proc index (proc.h) of process.*; 0 unknown */
	uint8_t owner_source;    /* enum owner_source: how sure .owner is */
	uint8_t holders;         /* processes that hold it, as far as a snapshot told; saturates */

	/* the handshake */
	uint8_t syn_retransmits;
	uint8_t synack_retransmits;
	uint64_t start_ns;       /* first sight; monotonic, like all times here */
	uint64_t state_ns;       /* entered the present state */
	uint64_t syn_ns;
	uint64_t synack_ns;
	uint64_t est_ns;
	uint64_t accept_ns;
	uint32_t isn_local;
	uint32_t isn_peer;
	uint16_t mss;
	uint8_t tcp_options;     /* TOPT_*, negotiated */
	uint8_t snd_wscale : 4;
	uint8_t rcv_wscale : 4;

	/* as last seen */
	uint32_t rcv_nxt;
	uint64_t bytes_sent;     /* payload handed to the wire at least once */
	uint64_t bytes_received;
	uint32_t segments_sent;
	uint32_t segments_received;
	uint32_t srtt_us;
	uint32_t min_rtt_us;     /* 0: none */
	uint32_t rx_queue;       /* rcv_nxt - copied_seq, listener: accept queue */
	uint32_t tx_queue;       /* write_seq - snd_una, listener: accept limit */
	uint32_t timer_expires_ms;
	uint8_t timer;           /* enum event_timer that was armed */
	uint8_t timer_retries;
	uint8_t probes;          /* icsk_probes_out */
};
_Static_assert(ST_COUNT <= 16 && ROLE_COUNT == 4, "a role always indexes a table, a state fits");

extern const struct conn_end conn_end_none;

/* Its end as far as it is known. Never NULL. */
static inline const struct conn_end *conn_end(const struct conn *c)
{
	return c->end ? c->end : &conn_end_none;
}

/* A cookie that ss shows too; 0 where there is none: a capture has no sockets, and a request sock is
 * kept under a key of our own, with the highest bit (no cookie has it: they count up from 1). */
static inline uint64_t conn_cookie(const struct conn *c, uint64_t cookie)
{
	return c->netns && !(cookie >> 63) ? cookie : 0;
}

/* The numbers of its FINs that are known. Behind a gap it may be known that there was one, and no
 * more: the number is 0 then. */
static inline uint32_t conn_fins(const struct conn *c)
{
	const struct conn_end *end = conn_end(c);
	uint32_t unknown = 0;

	if (c->incomplete & INCOMPLETE_GAP)
		unknown = (end->fin_seq_local ? 0 : SEEN_FIN_LOCAL) |
			  (end->fin_seq_peer ? 0 : SEEN_FIN_PEER);
	return c->seen & (SEEN_FIN_LOCAL | SEEN_FIN_PEER) & ~unknown;
}

static inline bool conn_seen(const struct conn *c, uint32_t flags)
{
	return (c->seen & flags) == flags;
}

#endif
