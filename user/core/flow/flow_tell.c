/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A change as a struct event, with the counters that a socket would have had.
 *
 * Always: the formulas of the live source hold (the ISN is snd_una less
 * bytes_acked, payload is what is left without SYN and FIN), so that the core
 * cannot tell the two apart. What a wire does not show (owner, queues, timers,
 * shutdown's argument) is 0.
 */
#include "flow_impl.h"

#include <errno.h>
#include <string.h>

/* What the core tells kinds by: enum tcp_ca_state, icsk_pending. */
enum { CA_RECOVERY = 3, CA_LOSS = 4, PENDING_RETRANSMIT = 1 };
enum { PROBE_KEEPALIVE = 1, PROBE_WINDOW = 2 };
enum { SYNACK_NORMAL = 0, SYNACK_FAST_OPEN = 1 };
enum { DROP_OLD_DUPLICATE = 1 }; /* the capture source's own list of reasons */

uint64_t flow_cookie(struct flowtab *t, struct flow_end *e)
{
	if (!e->cookie)
		e->cookie = EVENT_OWN_ID | ++t->next_cookie;
	return e->cookie;
}

static struct event blank(const struct flow *f, unsigned side, enum event_kind kind, uint64_t ts_ns)
{
	struct event e = {
		.ts_ns = ts_ns,
		.kind = (uint8_t)kind,
		.cookie = f->end[side].cookie,
		.new_state = f->end[side].state,
		.old_state = f->end[side].state,
		.lport = f->port[side],
		.pport = f->port[flow_far(f, side)],
	};

	memcpy(e.local, f->addr[side], 16);
	memcpy(e.peer, f->addr[flow_far(f, side)], 16);
	return e;
}

static uint8_t agreed_options(const struct flow *f, const struct flow_end *a,
			      const struct flow_end *b)
{
	uint8_t both = a->has & b->has, o = 0;

	if (both & WIRE_HAS_SACK_OK)
		o |= TOPT_SACK;
	if (both & WIRE_HAS_TS)
		o |= TOPT_TIMESTAMPS;
	if (both & WIRE_HAS_WSCALE)
		o |= TOPT_WSCALE;
	if (a->ecn && b->ecn)
		o |= TOPT_ECN;
	if (f->fastopen)
		o |= TOPT_FASTOPEN;
	return o;
}

/* How far the other's numbers were received: what was acknowledged, and a FIN that was processed. */
static uint64_t received_to(const struct flow_end *e, const struct flow_end *from)
{
	/* What opened it had the other's SYN, though its acknowledgement is only passing now. */
	uint64_t syn = e->state == ST_ESTABLISHED && from->isn_known;
	uint64_t fin_off = from->nxt_off - (uint32_t)(from->nxt - from->fin_seq) + 1;

	if (e->fin_taken && from->fin_sent && fin_off > from->una_off)
		return fin_off;
	return from->una_off ? from->una_off : syn;
}

static void counters(struct event *e, const struct flow *f, unsigned side)
{
	const struct flow_end *x = &f->end[side], *p = &f->end[flow_far(f, side)];
	uint64_t received = received_to(x, p);

	e->flags |= EVF_TCP;
	e->tcp = (struct event_tcp){
		.snd_una = x->una,
		.snd_nxt = x->nxt,
		.write_seq = x->nxt,
		.rcv_nxt = received ? p->isn + (uint32_t)received : 0,
		.srtt_us = (uint32_t)(f->rtt_ns / 1000),
		.min_rtt_us = f->rtt_ns ? (uint32_t)(f->rtt_ns / 1000) : UINT32_MAX,
		.segs_in = p->segments,
		.segs_out = x->segments,
		.total_retrans = x->retransmits,
		.bytes_acked = x->una_off - (x->una_off && x->role == ROLE_SERVER),
		.bytes_received = received ? received - 1 : 0,
		.mss = p->mss,
		.snd_wscale = p->wscale,
		.rcv_wscale = x->wscale,
		.options = agreed_options(f, x, p),
		.shutdown = 3,
		.snd_wnd = p->window,
	};
	e->tcp.copied_seq = e->tcp.rcv_nxt;
}

static void emit(struct flow_step_ctx *c, const struct event *e)
{
	c->t->emit(c->t->ctx, e);
}

static unsigned side_of(const struct flow *f, const struct flow_end *e)
{
	return e == &f->end[1];
}

/* The tracepoint's word for it: TIME_WAIT is what it calls CLOSE, with the peer's FIN received. */
static void tell_state(struct flow_step_ctx *c, struct flow_end *e, enum tcp_state to, int err,
		       uint64_t ts_ns)
{
	struct event ev;

	flow_cookie(c->t, e);
	e->told_ns = ts_ns > e->told_ns ? ts_ns : e->told_ns;
	ev = blank(c->f, side_of(c->f, e), EV_STATE, e->told_ns);
	if (e->state == ST_NONE)
		ev.old_state = e->role == ROLE_SERVER ? ST_LISTEN : ST_CLOSED;
	ev.new_state = (uint8_t)to;
	if (to == ST_TIME_WAIT) {
		ev.new_state = ST_CLOSED;
		ev.flags |= EVF_DONE;
	}
	e->state = (uint8_t)to;
	if (to != ST_SYN_SENT)
		counters(&ev, c->f, side_of(c->f, e));
	if (ev.old_state == ST_SYN_SENT && to == ST_CLOSED)
		ev.tcp.snd_una = e->isn; /* it took no answer, whatever passed */
	ev.tcp.err = (uint8_t)err;
	emit(c, &ev);
}

void flow_tell_state(struct flow_step_ctx *c, struct flow_end *e, enum tcp_state to, int err)
{
	tell_state(c, e, to, err, c->ts_ns);
}

void flow_tell_proved(struct flow_step_ctx *c, struct flow_end *e, enum tcp_state to,
		      uint64_t passed_ns)
{
	tell_state(c, e, to, 0, passed_ns ? passed_ns : c->ts_ns);
}

/* The passive half: the SYN arrived (seen: it was captured), the SYN-ACK was sent, and the
 * connection is in SYN_RECEIVED. */
void flow_tell_server(struct flow_step_ctx *c, struct flow_end *e, uint64_t syn_ns, bool seen)
{
	unsigned side = side_of(c->f, e);
	bool answered = e == c->x; /* else its SYN-ACK was not captured */
	struct event ev = blank(c->f, side, EV_SYN_IN, syn_ns);

	ev.cookie = 0;
	ev.extra.req.isn_peer = c->f->end[flow_far(c->f, side)].isn;
	if (seen)
		emit(c, &ev);
	flow_tell_proved(c, e, ST_SYN_RECV, syn_ns);
	if (!answered)
		return;
	ev.kind = EV_SYNACK_SENT;
	ev.ts_ns = e->told_ns = c->ts_ns;
	ev.extra.req.isn_local = e->isn;
	ev.extra.req.type = c->f->fastopen ? SYNACK_FAST_OPEN : SYNACK_NORMAL;
	ev.extra.req.mss = e->mss;
	emit(c, &ev);
}

/* In mid-life: it is there, in this state, and how it got there was not captured. */
void flow_tell_found(struct flow_step_ctx *c, struct flow_end *e)
{
	struct event ev;

	flow_cookie(c->t, e);
	ev = blank(c->f, side_of(c->f, e), EV_SOCK, c->ts_ns);
	counters(&ev, c->f, side_of(c->f, e));
	emit(c, &ev);
}

static void tell_probe(struct flow_step_ctx *c, uint8_t what)
{
	struct event ev = blank(c->f, c->side, EV_PROBE, c->ts_ns);

	counters(&ev, c->f, c->side);
	ev.tcp.snd_una = c->s->seq + 1; /* the core takes the number before it */
	ev.extra.seg.mib = what;
	emit(c, &ev);
}

void flow_tell_again(struct flow_step_ctx *c, enum retransmit_kind kind)
{
	struct event ev;

	if (!flow_lives(c->x) || !c->x->cookie)
		return;
	c->x->told_ns = c->ts_ns;
	if (kind == RT_KEEPALIVE || kind == RT_ZERO_WINDOW_PROBE) {
		tell_probe(c, kind == RT_KEEPALIVE ? PROBE_KEEPALIVE : PROBE_WINDOW);
		return;
	}
	ev = blank(c->f, c->side, kind == RT_SYNACK ? EV_SYNACK_RETRANSMIT : EV_RETRANSMIT,
		   c->ts_ns);
	if (kind == RT_SYNACK) {
		ev.cookie = 0;
		ev.extra.req.isn_local = c->x->isn;
		ev.extra.req.isn_peer = c->p->isn;
		emit(c, &ev);
		return;
	}
	counters(&ev, c->f, c->side);
	ev.tcp.ca_state = kind == RT_FAST ? CA_RECOVERY : CA_LOSS;
	ev.tcp.pending = kind == RT_FAST ? PENDING_RETRANSMIT : 0; /* a timer that fires is not pending */
	ev.extra.seg.seq = c->s->seq;
	ev.extra.seg.end_seq = c->s->seq + flow_span(c->s);
	ev.extra.seg.tcp_flags = c->s->flags & 0xff;
	ev.extra.seg.len = (uint16_t)(c->s->len < UINT16_MAX ? c->s->len : UINT16_MAX);
	emit(c, &ev);
}

/* The receiver throws it away. */
void flow_tell_drop(struct flow_step_ctx *c)
{
	struct event ev = blank(c->f, flow_far(c->f, c->side), EV_DROP, c->ts_ns);

	if (!c->p->cookie || !flow_lives(c->p))
		return;
	ev.cookie = 0;
	ev.extra.reset.reason = DROP_OLD_DUPLICATE;
	ev.extra.reset.seq = c->s->seq;
	ev.extra.reset.ack_seq = c->s->ack;
	ev.extra.reset.tcp_flags = c->s->flags & 0xff;
	ev.extra.reset.has_skb = 1;
	emit(c, &ev);
}

void flow_tell_rst_sent(struct flow_step_ctx *c, bool known)
{
	struct event ev = blank(c->f, c->side, EV_RST_SENT, c->ts_ns);

	if (!known) {
		ev.cookie = 0;
		ev.new_state = ev.old_state = ST_NONE;
	}
	ev.extra.reset.seq = c->s->seq;
	ev.extra.reset.ack_seq = c->s->ack;
	ev.extra.reset.tcp_flags = c->s->flags & 0xff;
	ev.extra.reset.has_skb = 1;
	emit(c, &ev);
}

void flow_tell_rst_received(struct flow_step_ctx *c)
{
	struct event ev = blank(c->f, flow_far(c->f, c->side), EV_RST_SEGMENT, c->ts_ns);

	ev.extra.seg.seq = c->s->seq;
	ev.extra.seg.tcp_flags = c->s->flags & 0xff;
	emit(c, &ev);
	ev = blank(c->f, flow_far(c->f, c->side), EV_RST_RECEIVED, c->ts_ns);
	ev.extra.reset.seq = c->s->seq;
	ev.extra.reset.ack_seq = c->s->ack;
	ev.extra.reset.tcp_flags = c->s->flags & 0xff;
	ev.extra.reset.has_skb = 1;
	emit(c, &ev);
}

/* 2MSL is over, or a new connection has the ports. */
void flow_tell_reaped(struct flowtab *t, struct flow *f)
{
	for (unsigned side = 0; side < 2; side++) {
		struct event ev;

		if (f->end[side].state != ST_TIME_WAIT)
			continue;
		ev = blank(f, side, EV_TW_LEAVE, t->now_ns);
		t->emit(t->ctx, &ev);
	}
}

void flow_tell_counters(struct flowtab *t, struct flow *f, unsigned side, uint64_t ts_ns)
{
	struct event ev = blank(f, side, EV_SOCK, ts_ns);

	if (!flow_lives(&f->end[side]) || !f->end[side].cookie)
		return;
	counters(&ev, f, side);
	t->emit(t->ctx, &ev);
}
