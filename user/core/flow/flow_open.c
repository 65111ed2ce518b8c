/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a connection begins: SYN, SYN-ACK, the ACK that proves both; SYNs that
 * cross; and connections that are older than the capture.
 *
 * The server's end is told of with its SYN-ACK: a SYN that nobody answers proves
 * no server. A SYN that does not fit a living connection is kept until somebody
 * answers it; only then is the old one over.
 */
#include "flow_impl.h"

#include <string.h>

static void take_offer(struct flow_end *e, const struct wire_segment *s)
{
	e->has = s->has;
	e->mss = s->has & WIRE_HAS_MSS ? s->mss : 0;
	e->wscale = s->has & WIRE_HAS_WSCALE ? s->wscale : 0;
	if (s->flags & WIRE_ACK)
		e->ecn = (s->flags & (WIRE_ECE | WIRE_CWR)) == WIRE_ECE;
	else
		e->ecn = (s->flags & (WIRE_ECE | WIRE_CWR)) == (WIRE_ECE | WIRE_CWR);
}

static void take_isn(struct flow_end *e, uint32_t isn, uint32_t data)
{
	e->isn = e->una = isn;
	e->una_off = 0;
	e->nxt = isn + 1 + data;
	e->nxt_off = 1 + (uint64_t)data;
	e->isn_known = true;
}

/* Everything before `seq` went by before the capture, or was not captured. */
static void take_number(struct flow_end *e, uint32_t seq)
{
	if (e->nxt_off)
		return;
	e->isn = seq - 1;
	e->una = e->nxt = seq;
	e->una_off = e->nxt_off = 1;
}

static void begin_syn_sent(struct flow_step_ctx *c, struct flow_end *e, uint32_t isn, uint32_t data,
			   uint64_t syn_ns)
{
	take_isn(e, isn, data);
	e->role = ROLE_CLIENT;
	e->syn_data = data != 0;
	e->syn_ns = e->first_syn_ns = syn_ns;
	flow_tell_proved(c, e, ST_SYN_SENT, syn_ns);
}

static void first_syn(struct flow_step_ctx *c)
{
	bool crossed = c->p->state == ST_SYN_SENT;

	take_offer(c->x, c->s);
	begin_syn_sent(c, c->x, c->s->seq, c->s->len, c->ts_ns);
	c->f->simultaneous = crossed;
	c->m->step = crossed ? FLOW_SYN_CROSSED : FLOW_SYN;
}

static void syn_again(struct flow_step_ctx *c)
{
	c->m->notes |= FLOW_RETRANSMISSION;
	c->m->step = FLOW_SYN;
	c->x->syn_ns = c->ts_ns;
	flow_count_again(c, RT_SYN);
}

/* It was kept before, and sent again. */
static bool waits(const struct flow_step_ctx *c)
{
	const struct flow *f = c->f;

	return f->has_next && f->next_side == c->side && f->next_isn == c->s->seq;
}

static void keep_next(struct flow_step_ctx *c)
{
	struct flow *f = c->f;
	struct flow_end offer = {0};

	take_offer(&offer, c->s);
	f->next_has = offer.has;
	f->next_mss = offer.mss;
	f->next_wscale = offer.wscale;
	f->next_ecn = offer.ecn;
	f->next_again = 0;
	f->has_next = true;
	f->next_isn = c->s->seq;
	f->next_ns = c->ts_ns;
	f->next_side = c->side;
}

/* The SYN that was kept begins a connection of `e`; the one before is forgotten. */
static void begin_kept(struct flow_step_ctx *c, struct flow_end *e, uint32_t data)
{
	struct flow kept = *c->f;

	flow_restart(c->t, c->f);
	e->has = kept.next_has;
	e->mss = kept.next_mss;
	e->wscale = kept.next_wscale;
	e->ecn = kept.next_ecn;
	begin_syn_sent(c, e, kept.next_isn, data, kept.next_ns);
	e->retransmits = kept.next_again;
	e->segments = 1u + kept.next_again;
}

/* The one before is over. This SYN may have come before, when it was not. */
void flow_reused(struct flow_step_ctx *c)
{
	if (waits(c))
		begin_kept(c, c->x, c->s->len);
	else
		flow_restart(c->t, c->f);
}

void flow_syn(struct flow_step_ctx *c)
{
	struct flow *f = c->f;

	if (c->x->isn_known && c->s->seq == c->x->isn && c->x->state != ST_NONE) {
		syn_again(c);
		return;
	}
	/* Nobody answered the one before, and its port has a new owner. */
	if (c->x->state == ST_SYN_SENT && c->p->state == ST_NONE) {
		flow_tell_state(c, c->x, ST_CLOSED, 0);
		flow_restart(c->t, f);
		c->m->notes |= FLOW_PORTS_REUSED;
	}
	if (c->x->state == ST_NONE && (c->p->state == ST_NONE || c->p->state == ST_SYN_SENT)) {
		first_syn(c);
		return;
	}
	c->m->step = FLOW_SYN;
	c->m->notes |= FLOW_PORTS_REUSED;
	if (waits(c))
		f->next_again += f->next_again < UINT8_MAX;
	else
		keep_next(c);
}

/* The SYN-ACK answers a SYN that did not fit: that one was a new connection. */
static void next_begins(struct flow_step_ctx *c)
{
	begin_kept(c, c->p, 0);
	c->x->segments = 1;
}

static bool answers(const struct flow_step_ctx *c)
{
	return seq_after(c->s->ack, c->p->isn) && !seq_after(c->s->ack, c->p->nxt);
}

static void acknowledge(struct flow_end *p, uint32_t ack)
{
	p->una_off += ack - p->una;
	p->una = ack;
}

/* The SYN went by unseen; its number is one less than what acknowledges it. */
static void syn_unseen(struct flow_step_ctx *c)
{
	take_isn(c->p, c->s->ack - 1, 0);
	c->p->role = ROLE_CLIENT;
	c->p->state = ST_SYN_SENT;
}

static void first_synack(struct flow_step_ctx *c)
{
	bool seen = c->p->state == ST_SYN_SENT;

	if (!seen && c->p->state == ST_NONE)
		syn_unseen(c);
	if (c->p->state != ST_SYN_SENT || !answers(c)) {
		c->m->notes |= FLOW_NOT_OURS;
		return;
	}
	take_offer(c->x, c->s);
	take_isn(c->x, c->s->seq, c->s->len);
	c->x->role = ROLE_SERVER;
	c->x->syn_ns = c->x->first_syn_ns = c->ts_ns;
	c->x->ack = c->s->ack;
	c->x->has_ack = true;
	c->f->fastopen = c->p->syn_data && seq_after(c->s->ack, c->p->isn + 1);
	acknowledge(c->p, c->s->ack);
	flow_tell_server(c, c->x, c->p->syn_ns, seen);
}

/* SYNs crossed, and this end says that it has the other's. */
static void crossed_synack(struct flow_step_ctx *c)
{
	c->f->simultaneous = true;
	flow_tell_proved(c, c->x, ST_SYN_RECV, c->p->syn_ns);
	c->x->ack = c->s->ack;
	c->x->has_ack = true;
	if (answers(c))
		acknowledge(c->p, c->s->ack);
	flow_acked_syn(c);
}

void flow_synack(struct flow_step_ctx *c)
{
	struct flow *f = c->f;

	c->m->step = FLOW_SYNACK;
	if (f->has_next && f->next_side != c->side && c->s->ack == f->next_isn + 1)
		next_begins(c);
	if (c->x->state == ST_NONE) {
		first_synack(c);
	} else if (c->x->state == ST_SYN_SENT && c->s->seq == c->x->isn &&
		   (c->p->state == ST_SYN_SENT || c->p->state == ST_SYN_RECV)) {
		crossed_synack(c);
	} else if (c->x->isn_known && c->s->seq == c->x->isn) {
		c->m->notes |= FLOW_RETRANSMISSION;
		c->x->syn_ns = c->ts_ns;
		flow_count_again(c, c->f->simultaneous ? RT_TIMEOUT : RT_SYNACK);
	} else {
		c->m->notes |= FLOW_NOT_OURS;
	}
}

/* Found in mid-life: ESTABLISHED at least. */
void flow_known(struct flow_step_ctx *c, struct flow_end *e)
{
	e->state = ST_ESTABLISHED;
	flow_tell_found(c, e);
}

/* The client's own next segment: it has the SYN-ACK. */
static void client_opens(struct flow_step_ctx *c)
{
	if (c->p->state == ST_NONE) { /* only the client's direction was captured */
		take_isn(c->p, c->s->ack - 1, 0);
		acknowledge(c->p, c->s->ack);
		c->p->role = ROLE_SERVER;
		flow_tell_server(c, c->p, c->x->syn_ns, true);
	}
	if (!c->x->retransmits && !c->p->retransmits && c->x->first_syn_ns &&
	    c->ts_ns > c->x->first_syn_ns)
		c->f->rtt_ns = c->ts_ns - c->x->first_syn_ns;
	flow_tell_proved(c, c->x, ST_ESTABLISHED, c->p->syn_ns);
	if (c->p->state == ST_SYN_RECV && !c->f->simultaneous)
		c->m->step = FLOW_ACK;
}

/* A server speaks on: the client's ACK came to it, though it was not captured. In a Fast Open it
 * may speak before. */
static void server_opens(struct flow_step_ctx *c)
{
	if (c->f->fastopen && c->p->state == ST_SYN_SENT)
		return;
	if (c->p->state == ST_SYN_SENT)
		flow_tell_proved(c, c->p, ST_ESTABLISHED, c->x->syn_ns);
	flow_tell_state(c, c->x, ST_ESTABLISHED, 0);
}

/* In SYN_SENT only what acknowledges the SYN is an answer: what else comes is of an older connection on
 * the same ports, whose other end still lives (RFC 9293, 3.5.1), and is reset. */
bool flow_of_older(const struct flow_step_ctx *c)
{
	return c->p->state == ST_SYN_SENT && c->x->state == ST_NONE && c->s->flags & WIRE_ACK &&
	       !seq_after(c->s->ack, c->p->isn);
}

void flow_past_syn(struct flow_step_ctx *c)
{
	take_number(c->x, c->s->seq);
	if (c->s->flags & WIRE_ACK)
		take_number(c->p, c->s->ack);
	switch (c->x->state) {
	case ST_NONE: /* a SYN-ACK went by unseen, or was lost: what the other end sends next tells */
		flow_known(c, c->x);
		break;
	case ST_SYN_SENT:
		if (c->s->flags & WIRE_ACK)
			client_opens(c);
		break;
	case ST_SYN_RECV:
		server_opens(c);
		break;
	default:
		break;
	}
}

/* What passes acknowledges the SYN (or SYN-ACK) of the other end. */
void flow_acked_syn(struct flow_step_ctx *c)
{
	if (c->p->state == ST_SYN_RECV && seq_after(c->s->ack, c->p->isn))
		flow_tell_state(c, c->p, ST_ESTABLISHED, 0);
}
