/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files behind pipeline.h share: the pipeline's state and the steps that
 * one hands to the next. Nothing outside user/core includes it.
 *
 *   pipeline.c  dispatches an event to its handler
 *   identity.c  who is this: birth, tuple, pair, owner
 *   timeline.c  state changes: what each transition proves
 *   proof.c     what a state proves when its transitions were not seen
 *   ending.c    the end of a connection, and what must be waited for before it
 *   segments.c  retransmits, resets, drops, probes, errors
 *   request.c   the server's half of a handshake before there is a child socket
 *   minisock.c  FIN_WAIT_2 and TIME_WAIT in the timewait minisock
 *   snapshot.c  sockets that were there before
 *   census.c    how many are in each state; TIME_WAIT that no record waits for
 *   asked.c     what a lookup of a minisock says
 *   doubt.c     a reset of which only what follows says whose it was
 *   gave_up.c   which timer gave it up
 *   gone.c      connections whose end no event told
 *   listener.c  listening sockets and their queues
 */
#ifndef TCPTRAIL_PIPELINE_IMPL_H
#define TCPTRAIL_PIPELINE_IMPL_H

#include "pipeline.h"

/* Why a connection waits, and how long: a FIFO for each, as every member of one waits the same
 * time. conn.pending holds the number. */
enum wait {
	WAIT_NONE,
	WAIT_RESET,     /* closed with a RST that is announced after the CLOSE: join it */
	WAIT_LOOKUP_1,  /* an orphan FIN_WAIT_2 minisock, looked up with back-off */
	WAIT_LOOKUP_2,
	WAIT_LOOKUP_3,
	WAIT_LOOKUP_4,
	WAIT_LOOKUP_5,
	WAIT_UNSEEN,    /* the same where no lookup can reach it */
	WAIT_REAP,      /* TIME_WAIT held for --until reaped */
	WAIT_REUSE,     /* its minisock left early: a new connection on the tuple may say why */
	WAIT_REQUEST,   /* a request sock whose end nobody announces (base mode) */
	WAITS,
};
_Static_assert(WAITS <= 16, "conn.pending holds it");

enum { TIME_WAIT_S = 60 }; /* TCP_TIMEWAIT_LEN, include/net/tcp.h */
#define NSEC_PER_SEC 1000000000ULL
#define NSEC_PER_MS  1000000ULL

/* Where a TIME_WAIT is: in our own namespace the kernel says how many there are. */
enum tw_place { TW_HERE, TW_ELSEWHERE, TW_PLACES };

enum { DOUBTS = 8 };

struct wait_queue {
	uint32_t head, tail;
};

struct listentab;

struct pipeline {
	struct pipeline_config cfg;
	const struct view_ops *ops;
	void *view;
	const struct pipeline_tap *tap; /* may be NULL */
	void *tap_arg;
	struct conntab *conns;
	struct proctab *procs;
	struct listentab *listeners;
	struct holders *holders;
	struct sysfacts *facts;
	struct stacks *stacks;
	struct stats stats;
	uint64_t now_ns;
	uint64_t next_due_ns;        /* the earliest due time of any queue */
	int64_t clock_offset_ns;
	struct wait_queue waits[WAITS];

	uint32_t own_netns;          /* where lookups and iter/tcp reach; 0 not told */
	uint64_t snapshot_begin_ns;
	uint16_t generation;
	bool in_snapshot;
	uint32_t snapshot_time_wait; /* TIME_WAIT minisocks that this snapshot saw and nobody follows */
	uint64_t procs_swept_ns;
	bool sees_tw_enter, sees_tw_leave, sees_requests; /* full-mode hooks that have spoken */

	/* TIME_WAIT minisocks that nobody watches, by the second in which they expire. */
	uint32_t tw_expiring[TW_PLACES][TIME_WAIT_S + 4];
	uint32_t tw_here;            /* how many of these are in our own namespace */
	uint64_t tw_second;          /* every slot up to it is counted off */
	bool tw_counting;
	bool tw_by_tuple;            /* all that the FILTER asks is told by a minisock that goes */
	uint32_t tw_counted;         /* how many of now_in_state[ST_TIME_WAIT] are counted so */
	uint32_t tw_presumed_over;   /* counted off so, while nobody had told of one's end */
	uint64_t lost_at_ns;         /* newest growth of the ledger */
	struct event doubts[DOUBTS]; /* ->CLOSEs that are held (doubt.c); kind EV_NONE: free */
	unsigned doubts_next;
};

/* --- pipeline.c --- */
/* Does the user want to hear of it? v: NULL while it lives. */
bool pipeline_passes(const struct pipeline *p, const struct conn *c, const struct verdict *v);

/* --- identity.c --- */
/* The conn of this event; adds one found in mid-life if it is unknown. NULL: table full. */
struct conn *identity_conn(struct pipeline *p, const struct event *e);
struct conn *identity_add(struct pipeline *p, const struct event *e);
/* An event of this time told of it. */
static inline void identity_told(const struct pipeline *p, struct conn *c, uint64_t ts_ns)
{
	c->told = ts_ns >= p->snapshot_begin_ns;
}
void identity_tuple(struct pipeline *p, struct conn *c, const struct event *e);
/* The interface that it is bound to, as this event says. */
void identity_bound(struct pipeline *p, struct conn *c, const struct event *e);
void identity_pair(struct pipeline *p, struct conn *c);
struct conn *identity_peer(const struct pipeline *p, const struct conn *c);
/* Name who did this, and take them as owner if that is surer than what we have. */
uint32_t identity_actor(struct pipeline *p, const struct event *e);
void identity_own(struct conn *c, uint32_t proc, enum owner_source source);
/* It acted on the socket, and owns it: but a kernel thread works for others (MPTCP's worker closes
 * subflows). */
void identity_act(const struct pipeline *p, struct conn *c, uint32_t proc);
/* ISNs from the counters (kernel-side formulas in docs/architecture.md). */
void identity_isns(struct conn *c, const struct event_tcp *t);

/* --- timeline.c --- */
void timeline_state(struct pipeline *p, const struct event *e);
/* Moves c to a state and reports it. */
struct move {
	uint64_t ts_ns;
	enum tcp_state to;
	enum trigger trigger;
	uint32_t actor;
	uint32_t seq;
	bool has_seq, inferred;
};
void timeline_move(struct pipeline *p, struct conn *c, const struct move *m);
void timeline_step(struct pipeline *p, struct conn *c, enum step_kind kind, uint64_t ts_ns,
		   enum trigger trigger, uint32_t seq, uint32_t aux);
void timeline_counters(struct conn *c, const struct event_tcp *t);
/* SYNs sent again, as the kernel counts them in a socket that sent nothing else yet: no hook tells
 * of one that is withheld from us. tcp_sock.total_retrans. */
void timeline_syns(struct pipeline *p, struct conn *c, const struct event_tcp *t);
/* What being in this (kernel) state proves, when how it got there was not seen. */
void timeline_imply(struct pipeline *p, struct conn *c, enum tcp_state state,
		    const struct event_tcp *t);
void timeline_report(struct pipeline *p, const struct conn *c, const struct change *ch);
/* Counts c under `state` without a change being reported. */
void timeline_count_state(struct pipeline *p, struct conn *c, enum tcp_state state);

/* --- ending.c --- */
void ending_closed(struct pipeline *p, struct conn *c, const struct event *e); /* the kernel's ->CLOSE */
void ending_finish(struct pipeline *p, struct conn *c, uint64_t ts_ns);        /* write the record, free it */
void ending_drop(struct pipeline *p, struct conn *c);                          /* free it without a record */
void ending_destroyed(struct pipeline *p, const struct event *e); /* the socket is freed */
void ending_awaited(struct pipeline *p, struct conn *c);
void ending_wait(struct pipeline *p, struct conn *c, enum wait w);             /* WAIT_NONE: stop waiting */
void ending_settle(struct pipeline *p, uint64_t now_ns);
void ending_write(struct pipeline *p, struct conn *c);                         /* the record only */
/* Which wait for a lookup is over before so long; at the least the shortest. */
enum wait ending_wait_within(uint64_t ns);
void ending_lookup_of(struct lookup_request *out, const struct conn *c);

/* --- asked.c --- */
void asked_minisock(struct pipeline *p, const struct event *e);
/* An orphan's FIN_WAIT_2 is not there any more. */
void asked_gone(struct pipeline *p, struct conn *c, uint64_t now_ns);

/* --- doubt.c --- */
/* A RST is said to have come: may it have been data that is answered by one? */
bool doubt_begins(const struct conn *c, const struct event *e);
/* Is its ->CLOSE held until that is known? Then it is not to be taken now. */
bool doubt_holds(struct pipeline *p, struct conn *c, const struct event *closed);
/* No RST of ours has followed; one has. Both take the ->CLOSE that was held; the first ends c. */
void doubt_received(struct pipeline *p, struct conn *c);
void doubt_answered(struct pipeline *p, struct conn *c);

/* --- gave_up.c --- */
/* Has a timer tried without an answer? */
bool ending_tried(const struct event_tcp *t);
/* The ->CLOSE of an open connection: notes the timer that gave it up, if one did. icmp: its error is
 * one that only an ICMP message brings. */
void ending_gave_up(struct pipeline *p, struct conn *c, const struct event *e, bool icmp);
/* That of SYN_SENT: was it TCP_USER_TIMEOUT? */
void ending_syn_gave_up(struct conn *c, const struct event *e);
/* With nothing in flight: is the peer's window too small for the next segment, as tcp_snd_wnd_test()
 * has it? */
bool ending_window_shut(const struct event_tcp *t);

/* --- gone.c --- */
/* The kernel has it no more: ends it, how and when unseen. */
void gone_unseen(struct pipeline *p, struct conn *c);
/* The same of one that nobody could be asked for: no event is missing, and none is counted. */
void gone_unasked(struct pipeline *p, struct conn *c);
/* A sure answer about a connection whose end an event would have told. */
void gone_lookup(struct pipeline *p, const struct event *e);

/* --- minisock.c --- */
void minisock_fin_wait_2(struct pipeline *p, struct conn *c, const struct event *e);
void minisock_time_wait(struct pipeline *p, struct conn *c, uint64_t ts_ns, bool inferred);
/* The peer on this host moved: its LAST_ACK, its end. */
void minisock_peer_sent_fin(struct pipeline *p, struct conn *peer, uint64_t ts_ns);
void minisock_peer_ended(struct pipeline *p, struct conn *peer, uint64_t ts_ns);
/* Waits for its own RST to be told; when it is not, it was the minisock's. */
bool minisock_awaits_reset(const struct conn *c);
void minisock_did_reset(struct pipeline *p, struct conn *c);
void minisock_reset_sent(struct pipeline *p, struct conn *c, const struct event *e);
void minisock_no_socket(struct pipeline *p, struct conn *c, uint64_t ts_ns);
/* FIN_WAIT_2 found in a minisock: ask for it. */
void minisock_watch(struct pipeline *p, struct conn *c);
void minisock_reused(struct pipeline *p, const struct conn *fresh);
void minisock_reaped(struct pipeline *p, struct conn *c, uint64_t ts_ns, enum time_wait_end how);
void minisock_enter(struct pipeline *p, const struct event *e);
void minisock_leave(struct pipeline *p, const struct event *e);
void minisock_segment(struct pipeline *p, const struct event *e);
/* Is it an orphan's FIN_WAIT_2, in a minisock? */
bool minisock_has(const struct conn *c);
/* Its peer's FIN; its end without one. */
void minisock_fin(struct pipeline *p, struct conn *c, uint64_t ts_ns, uint8_t evidence);
void minisock_gone(struct pipeline *p, struct conn *c, uint64_t ts_ns, bool purge);

/* --- census.c --- */
/* Something happened to a connection that the FILTER wants. */
void census_change(struct pipeline *p, const struct change *ch);
/* One more TIME_WAIT that no record waits for and that the FILTER wants; the end of one, where
 * that is told. */
void census_time_wait(struct pipeline *p, uint32_t netns, uint64_t expires_ns);
void census_left(struct pipeline *p, const struct event *e);
/* As much of a connection as its TIME_WAIT minisock knows. */
struct conn census_minisock(const struct event *e);
/* From now on each one's end is told. */
void census_leaving_is_told(struct pipeline *p);
/* The kernel has no more than so many minisocks in our namespace. */
void census_at_most(struct pipeline *p, uint64_t most);
void census_expire(struct pipeline *p, uint64_t now_ns);

/* --- segments.c --- */
void segments_retransmit(struct pipeline *p, const struct event *e);
void segments_rst_sent(struct pipeline *p, const struct event *e);
/* A RST from the peer reached its socket. */
void segments_rst_came(struct pipeline *p, struct conn *c, uint64_t ts_ns);
void segments_rst_received(struct pipeline *p, const struct event *e);
void segments_rst_segment(struct pipeline *p, const struct event *e);
void segments_drop(struct pipeline *p, const struct event *e);
void segments_probe(struct pipeline *p, const struct event *e);
void segments_error(struct pipeline *p, const struct event *e);
void segments_abort(struct pipeline *p, const struct event *e);
void segments_accept(struct pipeline *p, const struct event *e);

/* --- request.c --- */
void request_syn(struct pipeline *p, const struct event *e);
void request_new(struct pipeline *p, const struct event *e);
void request_synack(struct pipeline *p, const struct event *e);
void request_synack_again(struct pipeline *p, const struct event *e);
void request_refused(struct pipeline *p, const struct event *e);
void request_gone(struct pipeline *p, const struct event *e);
void request_sock(struct pipeline *p, const struct event *e);
/* The child has come: take over what its request knew. */
void request_adopt(struct pipeline *p, struct conn *child);
void request_childless(struct pipeline *p, struct conn *c);
void request_expired(struct pipeline *p, struct conn *c);

/* --- snapshot.c --- */
void snapshot_begin(struct pipeline *p, const struct event *e);
void snapshot_end(struct pipeline *p, const struct event *e);
void snapshot_lookup(struct pipeline *p, struct conn *c, const struct event *e);
void snapshot_sock(struct pipeline *p, const struct event *e);
void snapshot_holder(struct pipeline *p, const struct event *e);
void snapshot_tw(struct pipeline *p, const struct event *e);

/* --- listener.c --- */
struct listentab *listentab_new(void);
void listentab_free(struct listentab *t);
struct listener *listener_get(struct pipeline *p, uint64_t cookie, bool create);
void listener_index(struct pipeline *p, const struct conn *c);    /* c listens on its port */
void listener_unindex(struct pipeline *p, const struct conn *c);
void listener_queues(struct pipeline *p, const struct event *e);
struct made_by listener_of(const struct pipeline *p, const struct conn *child);
/* A child of one of its listeners is ESTABLISHED. */
void listener_established(struct pipeline *p, const struct conn *child);

#endif
