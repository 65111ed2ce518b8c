/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a connection ends: FINs, their acknowledgements, RSTs.
 *
 * A FIN counts at its receiver when that end's own acknowledgement says so, which
 * is what tells a FIN that answers another from two that crossed. A RST counts
 * when its number is one that the receiver would take (RFC 9293, 3.10.7.4).
 */
#include "flow_impl.h"

#include <errno.h>

void flow_fin(struct flow_step_ctx *c)
{
	struct flow_end *x = c->x;

	if (x->fin_sent)
		return;
	x->fin_sent = true;
	x->fin_seq = c->s->seq + c->s->len;
	if (!c->f->fins++) {
		c->f->first_fin = c->side;
		c->m->step = FLOW_FIN_1;
	} else {
		c->m->crossed = !x->fin_taken;
		c->m->step = c->m->step == FLOW_FIN_1_ACK ? FLOW_FIN_23 : FLOW_FIN_2;
	}
	if (x->state == ST_ESTABLISHED || x->state == ST_SYN_RECV)
		flow_tell_state(c, x, ST_FIN_WAIT_1, 0);
	else if (x->state == ST_CLOSE_WAIT)
		flow_tell_state(c, x, ST_LAST_ACK, 0);
}

void flow_take_fin(struct flow_step_ctx *c, struct flow_end *e)
{
	static const uint8_t next[ST_COUNT] = {
		[ST_ESTABLISHED] = ST_CLOSE_WAIT,
		[ST_FIN_WAIT_1] = ST_CLOSING,
		[ST_FIN_WAIT_2] = ST_TIME_WAIT,
	};

	e->fin_taken = true;
	if (next[e->state])
		flow_tell_proved(c, e, (enum tcp_state)next[e->state],
				 e == c->x ? c->p->fin_ns : c->x->fin_ns);
}

/* The other end's FIN is acknowledged by what passes. */
void flow_fin_acked(struct flow_step_ctx *c)
{
	static const uint8_t next[ST_COUNT] = {
		[ST_FIN_WAIT_1] = ST_FIN_WAIT_2,
		[ST_CLOSING] = ST_TIME_WAIT,
		[ST_LAST_ACK] = ST_CLOSED,
	};
	struct flow_end *p = c->p;

	p->fin_acked = true;
	c->m->step = c->f->first_fin == flow_far(c->f, c->side) ? FLOW_FIN_1_ACK : FLOW_FIN_2_ACK;
	/* This end's own FIN went before this ACK, and arrives before it. */
	if (c->x->fin_sent && !p->fin_taken)
		flow_take_fin(c, p);
	if (next[p->state])
		flow_tell_state(c, p, (enum tcp_state)next[p->state], 0);
}

static void refuse(struct flow_step_ctx *c)
{
	if (!(c->s->flags & WIRE_ACK) || !seq_after(c->s->ack, c->p->isn) ||
	    seq_after(c->s->ack, c->p->nxt)) {
		c->m->notes |= FLOW_NOT_OURS;
		return;
	}
	c->m->step = FLOW_REFUSED;
	c->m->reset_flow = true;
	flow_tell_rst_sent(c, false);
	flow_tell_rst_received(c);
	flow_tell_state(c, c->p, ST_CLOSED, ECONNREFUSED);
	if (c->x->state == ST_SYN_SENT) /* it would have answered by a SYN-ACK: it had given up */
		flow_tell_state(c, c->x, ST_CLOSED, 0);
}

/* Nobody is there for the SYN: nor is who sent an earlier one from there. */
static bool refuses(const struct flow_step_ctx *c)
{
	return c->p->state == ST_SYN_SENT &&
	       (c->x->state == ST_NONE || (c->x->state == ST_SYN_SENT && c->s->flags & WIRE_ACK &&
					   c->s->ack == c->p->nxt));
}

/* Within what the receiver would take: from what it acknowledged to the end of its window, or of
 * what was sent to it. */
static bool in_window(const struct flow_step_ctx *c)
{
	uint32_t offset = c->s->seq - c->p->ack, room = c->p->window;

	/* Its direction was not captured; or this answers what was left of an older connection. */
	if (!c->p->has_ack)
		return !c->x->isn_known || !seq_before(c->s->seq, c->x->isn);
	if (c->x->nxt - c->p->ack > room && (int32_t)(c->x->nxt - c->p->ack) > 0)
		room = c->x->nxt - c->p->ack;
	/* Linux also takes the number of a FIN that it has taken before (tcp_reset_check()). */
	return offset <= room || (c->p->fin_taken && offset == UINT32_MAX);
}

/* A process that resets says what had come, though it was not acknowledged before: data, a FIN. */
static void rst_acknowledges(struct flow_step_ctx *c)
{
	struct flow_end *x = c->x, *p = c->p;
	uint32_t ack = c->s->ack;

	if (!(c->s->flags & WIRE_ACK) ||
	    (x->state != ST_ESTABLISHED && x->state != ST_FIN_WAIT_1) || !seq_after(ack, p->una) ||
	    seq_after(ack, p->nxt))
		return;
	p->una_off += ack - p->una;
	p->una = ack;
	if (p->fin_sent && seq_after(ack, p->fin_seq) && !x->fin_taken)
		flow_take_fin(c, x);
}

void flow_rst(struct flow_step_ctx *c)
{
	struct flow_end *x = c->x, *p = c->p;
	bool known = flow_lives(x) && x->cookie;

	c->m->step = FLOW_RESET;
	if (refuses(c)) {
		refuse(c);
		return;
	}
	if (!in_window(c)) {
		c->m->notes |= FLOW_NOT_OURS;
		return;
	}
	c->m->reset_flow = true;
	rst_acknowledges(c);
	/* It went ahead of the RST; but who has spoken since and not of it has not got it. */
	if (x->fin_sent && !p->fin_taken && flow_lives(p) && p->sent_ns <= x->fin_ns)
		flow_take_fin(c, p);
	flow_tell_rst_sent(c, known);
	if (known)
		flow_tell_state(c, x, ST_CLOSED, 0);
	else if (flow_lives(x))
		x->state = ST_CLOSED;
	if (flow_lives(p) && p->cookie) {
		flow_tell_rst_received(c);
		flow_tell_state(c, p, ST_CLOSED,
				p->state == ST_SYN_SENT ? ECONNREFUSED : ECONNRESET);
	} else if (flow_lives(p)) {
		p->state = ST_CLOSED;
	}
}
