/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files behind flow.h share.
 *
 *   flowtab.c      the table: finding, making, forgetting flows
 *   flow.c         one segment: what it proves of both ends
 *   flow_open.c    SYNs: how a connection begins, or is found in mid-life
 *   flow_close.c   FINs and RSTs
 *   flow_again.c   what was sent before: retransmissions and their kind, probes, order
 *   flow_tell.c    a change as a struct event
 *
 * When a change is told: what an end sends, with that segment. What it receives,
 * when its own next segment proves it (between a capture and an end a segment may
 * still be lost), as of the time when that went by. Only what nothing answers is
 * told as it passes: the ACK that ends a handshake or a teardown, and a RST.
 */
#ifndef TCPTRAIL_FLOW_IMPL_H
#define TCPTRAIL_FLOW_IMPL_H

#include "flow.h"
#include "table/slab.h"
#include "table/slots.h"
#include "../wire/wire.h"
#include "connection/conn.h"
#include "event.h"

enum { FLOW_HOLES = 4, FLOW_RECENT = 4 };
#define FLOW_NS_PER_S  1000000000ULL
#define FLOW_NS_PER_MS 1000000ULL

/* Sequence space that went by unseen. */
struct flow_hole {
	uint32_t from, to; /* equal: none */
};

/* A segment that was seen lately, to know it again. */
struct flow_recent {
	uint32_t print; /* of its header; 0 none */
	uint32_t seen_at;
	uint64_t ts_ns;
};

struct flow_end {
	uint64_t cookie;  /* 0: nobody was told of it */
	uint64_t nxt_off; /* how far nxt is from the ISN */
	uint64_t una_off;
	uint64_t syn_ns; /* newest SYN or SYN-ACK */
	uint64_t first_syn_ns;
	uint64_t nxt_ns;   /* when nxt last advanced */
	uint64_t ack_ns;   /* when its ACK last advanced */
	uint64_t sent_ns;  /* newest segment */
	uint64_t fin_ns;   /* newest FIN */
	uint64_t told_ns;  /* newest change that was told */
	uint32_t isn;	   /* the first sequence number less 1, if no SYN was seen */
	uint32_t nxt, una; /* as RFC 9293's SND.NXT, SND.UNA, seen from here */
	uint32_t ack;	   /* newest acknowledgement that it sent: its RCV.NXT */
	uint32_t fin_seq;
	uint32_t window; /* that it offers, scaled */
	uint32_t segments;
	uint32_t retransmits;
	uint32_t dup_acks;
	uint16_t raw_window;
	uint16_t mss;
	uint8_t state; /* enum tcp_state; ST_NONE: no segment of it, nothing known */
	uint8_t role;  /* enum conn_role */
	uint8_t wscale;
	uint8_t has;	/* WIRE_HAS_*: of its SYN */
	bool isn_known; /* its SYN (or its acknowledgement) was seen */
	bool has_ack;	/* .ack holds one */
	bool fin_sent, fin_acked;
	bool fin_taken;		    /* it has processed the other's FIN */
	bool ecn;		    /* its SYN asked or its SYN-ACK agreed */
	bool syn_data;		    /* SYN with data */
	bool probing, probing_zero; /* its newest segment was a keepalive, a window probe */
	bool saw_sack;		    /* its newest ACK told of data beyond a gap */
	uint8_t recent_at;
	struct flow_hole holes[FLOW_HOLES];
	struct flow_recent recent[FLOW_RECENT];
};

struct flow {
	uint8_t addr[2][16];
	uint16_t port[2];
	uint32_t hash;
	uint32_t number;
	uint32_t idle_next, idle_prev; /* of the closed, oldest first */
	uint64_t closed_ns;	       /* both ends are closed since; with .closed */
	uint64_t rtt_ns;	       /* SYN to the ACK that ends the handshake; 0 not seen */
	uint32_t next_isn;	       /* a SYN that does not fit: a connection to come */
	uint64_t next_ns;
	uint16_t next_mss;
	uint8_t next_has, next_wscale;
	uint8_t next_again; /* how often it was sent again meanwhile */
	uint8_t next_side;
	bool has_next, next_ecn;
	bool closed;
	bool simultaneous;
	bool fastopen;
	bool self;	   /* both ends are one socket: end[0] */
	uint8_t fins;	   /* how many FINs were sent */
	uint8_t first_fin; /* side of the first */
	struct flow_end end[2];
};

struct flowtab {
	flow_emit_fn emit;
	void *ctx;
	struct slots pairs;
	uint32_t max, numbered;
	uint32_t idle_head, idle_tail;
	uint64_t next_cookie;
	uint64_t now_ns;
	struct slab flows;
	struct flow_stats stats;
};

/* One segment on its way: where everything about it is at hand. */
struct flow_step_ctx {
	struct flowtab *t;
	struct flow *f;
	struct flow_end *x, *p; /* who sent it, and the other */
	const struct wire_segment *s;
	struct flow_mark *m;
	uint64_t ts_ns;
	uint8_t side; /* of x */
};

static inline bool seq_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static inline bool seq_after(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

/* The other side. */
static inline unsigned flow_far(const struct flow *f, unsigned side)
{
	return f->self ? side : 1 - side;
}

/* In the state machine's hands: it may still change. */
static inline bool flow_lives(const struct flow_end *e)
{
	return e->state != ST_NONE && e->state != ST_CLOSED && e->state != ST_TIME_WAIT;
}

/* Sequence numbers that a segment takes up. */
static inline uint32_t flow_span(const struct wire_segment *s)
{
	return s->len + !!(s->flags & WIRE_SYN) + !!(s->flags & WIRE_FIN);
}

/* --- flowtab.c --- */
/* The flow of this segment and the sender's side; NULL when there is none (and make is false) or
 * no room. */
struct flow *flow_find(struct flowtab *t, const struct wire_segment *s, bool make, uint8_t *side);
/* Begins anew on the same ports. */
void flow_restart(struct flowtab *t, struct flow *f);
/* Both ends are closed: remember it for as long as its segments may still come. */
void flow_retire(struct flowtab *t, struct flow *f, uint64_t ts_ns);
void flow_expire(struct flowtab *t, uint64_t now_ns);

/* --- flow_open.c --- */
/* A SYN on the ports of a connection that is over. */
void flow_reused(struct flow_step_ctx *c);
void flow_syn(struct flow_step_ctx *c);
void flow_synack(struct flow_step_ctx *c);
/* Does it answer an older connection on these ports, and not the SYN that was sent? */
bool flow_of_older(const struct flow_step_ctx *c);
/* A segment without SYN: what it proves of the handshake. */
void flow_past_syn(struct flow_step_ctx *c);
void flow_acked_syn(struct flow_step_ctx *c);
void flow_known(struct flow_step_ctx *c, struct flow_end *e);

/* --- flow_close.c --- */
void flow_fin(struct flow_step_ctx *c);
/* e has processed the other's FIN. */
void flow_take_fin(struct flow_step_ctx *c, struct flow_end *e);
void flow_fin_acked(struct flow_step_ctx *c);
void flow_rst(struct flow_step_ctx *c);

/* --- flow_again.c --- */
/* The very same segment was seen before: false when nothing of it may count. */
bool flow_fresh(struct flow_step_ctx *c);
/* Before the sender's numbers are advanced by it. */
void flow_judge(struct flow_step_ctx *c);
void flow_count_again(struct flow_step_ctx *c, enum retransmit_kind kind);

/* --- flow_tell.c --- */
uint64_t flow_cookie(struct flowtab *t, struct flow_end *e);
void flow_tell_state(struct flow_step_ctx *c, struct flow_end *e, enum tcp_state to, int err);
/* The same for what went by before, and is proved only now. */
void flow_tell_proved(struct flow_step_ctx *c, struct flow_end *e, enum tcp_state to,
		      uint64_t passed_ns);
void flow_tell_server(struct flow_step_ctx *c, struct flow_end *e, uint64_t syn_ns, bool seen);
void flow_tell_found(struct flow_step_ctx *c, struct flow_end *e);
void flow_tell_again(struct flow_step_ctx *c, enum retransmit_kind kind);
void flow_tell_drop(struct flow_step_ctx *c);
/* known: the sending end is a connection of ours. */
void flow_tell_rst_sent(struct flow_step_ctx *c, bool known);
void flow_tell_rst_received(struct flow_step_ctx *c);
void flow_tell_reaped(struct flowtab *t, struct flow *f);
void flow_tell_counters(struct flowtab *t, struct flow *f, unsigned side, uint64_t ts_ns);

#endif
