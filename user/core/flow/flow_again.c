/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a segment is among those before it: new, sent again and why, out of order,
 * a probe, a duplicate.
 *
 * The rules are Wireshark's where it has one (its limits too), so that the two
 * agree on a capture; beyond it, a range that never went by is not called sent
 * again, and the very same datagram seen twice is the network's or the capture's
 * doing, not the sender's.
 */
#include "flow_impl.h"

enum { SAME_MOMENT_NS = 1000000, CAPTURE_COPY_NS = 100000000 };
static const uint64_t FAST_NS = 20 * FLOW_NS_PER_MS;   /* from the last duplicate ACK */
static const uint64_t REORDER_NS = 3 * FLOW_NS_PER_MS; /* where the round trip is not known */

/* ---- the same datagram --------------------------------------------------------- */

static uint32_t print_of(const struct wire_segment *s)
{
	uint64_t h = ((uint64_t)s->seq << 32 | s->ack) * 0x9e3779b97f4a7c15ULL;

	h ^= h >> 32; /* or a number that counts up here would hide one that does there */
	h = (h ^ ((uint64_t)s->flags << 48 | (uint64_t)s->len << 32 | (uint32_t)s->window << 16 |
		  s->ip_id)) *
	    0xff51afd7ed558ccdULL;
	h ^= h >> 32;
	h = (h ^ ((uint64_t)s->tsval << 32 | s->tsecr)) * 0xc4ceb9fe1a85ec53ULL;
	if (s->nsack)
		h = (h ^ ((uint64_t)s->sack[0][0] << 32 | s->sack[0][1])) * 0xff51afd7ed558ccdULL;
	h ^= h >> 32;
	return (uint32_t)h | 1;
}

bool flow_fresh(struct flow_step_ctx *c)
{
	const struct wire_segment *s = c->s;
	uint32_t print = print_of(s);
	struct flow_recent *r;
	uint64_t since;

	for (unsigned i = 0; i < FLOW_RECENT; i++) {
		r = &c->x->recent[i];
		if (r->print != print)
			continue;
		since = c->ts_ns > r->ts_ns ? c->ts_ns - r->ts_ns : 0;
		/* Seen at two places of one host; or one header with one IP number. */
		if ((r->seen_at != s->seen_at && since < CAPTURE_COPY_NS) ||
		    (s->ip_id && since < SAME_MOMENT_NS)) {
			c->m->notes |= FLOW_CAPTURED_TWICE;
			c->t->stats.captured_twice++;
			return false;
		}
		if (s->ip_id && c->x->state != ST_NONE) {
			c->m->notes |= FLOW_DELAYED_DUPLICATE;
			flow_tell_drop(c);
			return false;
		}
	}
	r = &c->x->recent[c->x->recent_at++ % FLOW_RECENT];
	*r = (struct flow_recent){.print = print, .seen_at = s->seen_at, .ts_ns = c->ts_ns};
	return true;
}

/* ---- holes --------------------------------------------------------------------- */

static void hole_add(struct flow_end *e, uint32_t from, uint32_t to)
{
	for (unsigned i = 0; i < FLOW_HOLES; i++) {
		if (e->holes[i].from != e->holes[i].to)
			continue;
		e->holes[i] = (struct flow_hole){from, to};
		return;
	}
	/* The oldest is given up: what comes of it will be called sent again. */
	for (unsigned i = 1; i < FLOW_HOLES; i++)
		e->holes[i - 1] = e->holes[i];
	e->holes[FLOW_HOLES - 1] = (struct flow_hole){from, to};
}

/* Does [from, to) lie in sequence space that went by unseen? Then that much of it is filled. */
static bool hole_fill(struct flow_end *e, uint32_t from, uint32_t to)
{
	for (unsigned i = 0; i < FLOW_HOLES; i++) {
		struct flow_hole *h = &e->holes[i], old = *h;

		if (old.from == old.to || seq_before(from, old.from) || seq_after(to, old.to))
			continue;
		if (from == old.from) {
			h->from = to;
		} else {
			h->to = from;
			if (to != old.to)
				hole_add(e, to, old.to);
		}
		return true;
	}
	return false;
}

/* ---- probes and bare ACKs ------------------------------------------------------- */

static bool probe(struct flow_step_ctx *c)
{
	const struct wire_segment *s = c->s;
	struct flow_end *x = c->x, *p = c->p;
	bool shut = p->has_ack && !p->raw_window;

	if (s->flags & (WIRE_SYN | WIRE_FIN | WIRE_RST) || s->len > 1)
		return false;
	if (s->len == 1 && s->seq == x->nxt && shut) {
		x->probing_zero = true;
	} else if (s->seq == x->nxt - 1 && x->nxt_off > 1) {
		/* Linux probes a closed window with the number before, as it keeps alive */
		x->probing_zero = shut;
		x->probing = !shut;
		if (!shut)
			c->m->notes |= FLOW_KEEPALIVE;
	} else {
		return false;
	}
	if (x->probing_zero)
		c->m->notes |= FLOW_ZERO_WINDOW_PROBE;
	flow_tell_again(c, x->probing_zero ? RT_ZERO_WINDOW_PROBE : RT_KEEPALIVE);
	return true;
}

static void bare_ack(struct flow_step_ctx *c)
{
	const struct wire_segment *s = c->s;
	struct flow_end *x = c->x;

	if (s->len || s->flags & (WIRE_SYN | WIRE_FIN | WIRE_RST) || s->seq != x->nxt ||
	    !x->has_ack || s->ack != x->ack || c->p->sent_ns == 0)
		return;
	if (c->p->probing_zero && !s->window) {
		c->m->notes |= FLOW_ZERO_WINDOW_PROBE_ACK;
	} else if (c->p->probing && s->window == x->raw_window) {
		c->m->notes |= FLOW_KEEPALIVE_ACK;
	} else if (s->window && s->window != x->raw_window) {
		c->m->notes |= FLOW_WINDOW_UPDATE;
	} else if (s->window) {
		c->m->notes |= FLOW_DUP_ACK;
		c->m->dup_acks = ++x->dup_acks;
		x->ack_ns = c->ts_ns;
	}
}

/* ---- sent again ----------------------------------------------------------------- */

void flow_count_again(struct flow_step_ctx *c, enum retransmit_kind kind)
{
	c->x->retransmits++;
	flow_tell_again(c, kind);
}

static bool is_fast(const struct flow_step_ctx *c)
{
	const struct flow_end *p = c->p;

	if (c->ts_ns - p->sent_ns < FAST_NS && p->saw_sack)
		return true;
	return p->dup_acks >= 2 && p->ack == c->s->seq && c->ts_ns - p->ack_ns < FAST_NS;
}

static void again(struct flow_step_ctx *c)
{
	const struct wire_segment *s = c->s;
	struct flow_end *x = c->x;
	uint32_t end = s->seq + flow_span(s);
	uint64_t late_ns = c->ts_ns > x->nxt_ns ? c->ts_ns - x->nxt_ns : 0;
	bool unseen = hole_fill(x, s->seq, end);

	if (is_fast(c)) {
		c->m->notes |= FLOW_RETRANSMISSION | FLOW_FAST;
		flow_count_again(c, RT_FAST);
		return;
	}
	if (unseen && late_ns < (c->f->rtt_ns ? c->f->rtt_ns : REORDER_NS)) {
		c->m->notes |= FLOW_OUT_OF_ORDER;
		return;
	}
	c->m->notes |= FLOW_RETRANSMISSION;
	if (c->p->has_ack && !seq_after(end, c->p->ack))
		c->m->notes |= FLOW_SPURIOUS;
	flow_count_again(c, RT_TIMEOUT);
}

void flow_judge(struct flow_step_ctx *c)
{
	const struct wire_segment *s = c->s;
	struct flow_end *x = c->x;

	x->probing = x->probing_zero = false;
	if (!s->window && !(s->flags & (WIRE_SYN | WIRE_FIN | WIRE_RST)))
		c->m->notes |= FLOW_ZERO_WINDOW;
	if (probe(c))
		return;
	if (!flow_span(s)) {
		bare_ack(c);
	} else if (seq_before(s->seq, x->nxt)) {
		again(c);
	}
	if (seq_after(s->seq, x->nxt)) {
		c->m->notes |= FLOW_GAP_BEFORE;
		hole_add(x, x->nxt, s->seq);
	}
	if (s->len && c->p->fin_sent && !(c->m->notes & FLOW_RETRANSMISSION))
		c->m->notes |= FLOW_HALF_CLOSED;
}
