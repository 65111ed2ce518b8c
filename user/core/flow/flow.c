/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One segment: whose it is, what it proves of its sender, what its passing does to
 * the other end; in that order, each in a file of its own.
 *
 * Always: numbers are compared modulo 2^32 and only within half of that; a segment
 * outside of any window changes nothing. Never: a state that the segments do not
 * force.
 */
#include "flow_impl.h"

#include <string.h>

static const int32_t WINDOW_MAX = 1 << 30; /* RFC 7323, 2.3 */

static bool near(uint32_t a, uint32_t b)
{
	int32_t d = (int32_t)(a - b);

	return d >= -WINDOW_MAX && d <= WINDOW_MAX;
}

/* Could this segment belong to the connection that we know? */
static bool ours(const struct flow_step_ctx *c)
{
	const struct flow_end *x = c->x, *p = c->p;

	if (x->nxt_off && !near(c->s->seq, x->nxt))
		return false;
	if (!(c->s->flags & WIRE_ACK) || !p->nxt_off)
		return true;
	if (p->fin_sent && seq_after(c->s->ack, p->fin_seq + 1))
		return false;
	return near(c->s->ack, p->nxt);
}

/* What it acknowledges: its sender has received that, and the other end learns so. */
static void take_ack(struct flow_step_ctx *c)
{
	struct flow_end *x = c->x, *p = c->p;
	uint32_t ack = c->s->ack;

	if (seq_after(ack, p->nxt)) {
		c->m->notes |= FLOW_ACKED_UNSEEN;
		p->nxt_off += ack - p->nxt;
		p->nxt = ack;
	}
	if (seq_after(ack, p->una)) {
		p->una_off += ack - p->una;
		p->una = ack;
	}
	if (!x->has_ack || seq_after(ack, x->ack)) {
		x->ack = ack;
		x->has_ack = true;
		x->dup_acks = 0;
		x->ack_ns = c->ts_ns;
	}
	x->saw_sack = c->s->nsack && seq_after(c->s->sack[0][1], ack);
	flow_acked_syn(c);
	if (!p->fin_sent || !seq_after(ack, p->fin_seq))
		return;
	if (!x->fin_taken)
		flow_take_fin(c, x);
	if (!p->fin_acked)
		flow_fin_acked(c);
}

static void advance(struct flow_step_ctx *c, uint32_t to)
{
	struct flow_end *x = c->x;

	if (!seq_after(to, x->nxt))
		return;
	x->nxt_off += to - x->nxt;
	x->nxt = to;
	x->nxt_ns = c->ts_ns;
}

static void take_window(struct flow_step_ctx *c)
{
	struct flow_end *x = c->x;
	bool scaled = x->has & c->p->has & WIRE_HAS_WSCALE && !(c->s->flags & WIRE_SYN);

	x->raw_window = c->s->window;
	x->window = (uint32_t)c->s->window << (scaled ? x->wscale : 0);
	x->sent_ns = c->ts_ns;
}

static void past_syn(struct flow_step_ctx *c)
{
	if (!ours(c) || flow_of_older(c)) {
		c->m->notes |= FLOW_NOT_OURS;
		return;
	}
	flow_past_syn(c);
	flow_judge(c);
	if (c->s->flags & WIRE_ACK)
		take_ack(c);
	/* The byte of a window probe is thrown away. */
	if (!c->x->probing_zero)
		advance(c, c->s->seq + c->s->len);
	if (c->s->flags & WIRE_FIN)
		c->x->fin_ns = c->ts_ns;
	if (c->s->flags & WIRE_FIN && (!c->x->fin_sent || c->x->fin_seq == c->s->seq + c->s->len)) {
		flow_fin(c);
		advance(c, c->s->seq + c->s->len + 1);
	}
	take_window(c);
}

/* The ports are free again, and somebody connects. */
static bool reuses(const struct flow_step_ctx *c)
{
	return c->f->closed && (c->s->flags & (WIRE_SYN | WIRE_ACK | WIRE_RST)) == WIRE_SYN &&
	       c->s->seq != c->x->isn;
}

/* Both ends were closed; nothing changes any more, but a segment may still be named. */
static void after_end(struct flow_step_ctx *c)
{
	c->m->notes |= FLOW_AFTER_END;
	if (c->s->flags & WIRE_RST)
		c->m->step = FLOW_RESET;
	else if (flow_span(c->s) && seq_before(c->s->seq, c->x->nxt))
		c->m->notes |= FLOW_RETRANSMISSION;
}

static void dispatch(struct flow_step_ctx *c)
{
	uint16_t kind = c->s->flags & (WIRE_SYN | WIRE_ACK | WIRE_RST);

	if (reuses(c)) {
		flow_reused(c);
		c->m->notes |= FLOW_PORTS_REUSED;
	}
	c->x->segments++;
	if (c->f->closed) {
		after_end(c);
	} else if (kind & WIRE_RST) {
		flow_rst(c);
	} else if (kind == WIRE_SYN) {
		flow_syn(c);
		take_window(c);
	} else if (kind & WIRE_SYN) {
		flow_synack(c);
		take_window(c);
	} else {
		past_syn(c);
	}
	if (!c->f->closed && !flow_lives(c->x) && !flow_lives(c->p))
		flow_retire(c->t, c->f, c->ts_ns);
}

/* From the ISN; where that is not known, the first number that was captured is 1. */
static void relative(const struct flow_step_ctx *c)
{
	c->m->relative_known = c->x->isn_known && c->p->isn_known;
	c->m->relative_seq = c->x->nxt_off ? c->s->seq - c->x->isn : 1;
	if (c->s->flags & WIRE_ACK)
		c->m->relative_ack = c->p->nxt_off ? c->s->ack - c->p->isn : 1;
}

static void describe(struct flow_step_ctx *c)
{
	bool scaled = c->x->has & c->p->has & WIRE_HAS_WSCALE && c->x->isn_known;

	c->m->flow = c->f->number;
	c->m->cookie = c->x->cookie;
	c->m->peer_cookie = c->p->cookie;
	c->m->state = c->x->state;
	c->m->peer_state = c->p->state;
	c->m->role = c->x->role;
	c->m->window_shift = scaled ? (int8_t)c->x->wscale : c->x->isn_known ? 0 : -1;
	relative(c);
}

void flowtab_segment(struct flowtab *t, const struct wire_segment *s, uint64_t ts_ns,
		     struct flow_mark *mark)
{
	struct flow_mark nobody_asks = {0};
	struct flow_step_ctx c = {.t = t, .s = s, .m = mark ? mark : &nobody_asks, .ts_ns = ts_ns};

	t->stats.segments++;
	if (ts_ns > t->now_ns)
		t->now_ns = ts_ns;
	flow_expire(t, t->now_ns);
	if (mark)
		memset(mark, 0, sizeof(*mark));
	c.m->window_shift = -1;
	c.f = flow_find(t, s, !(s->flags & WIRE_RST), &c.side);
	if (!c.f) {
		c.m->step = s->flags & WIRE_RST ? FLOW_RESET : FLOW_STEP_NONE;
		return;
	}
	c.x = &c.f->end[c.side];
	c.p = &c.f->end[flow_far(c.f, c.side)];
	if (flow_fresh(&c))
		dispatch(&c);
	if (mark)
		describe(&c);
}
