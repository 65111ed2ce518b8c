/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who reset it? A socket that is closed for both directions and gets more data is
 * reset as if a RST had come (tcp_rcv_state_process() calls tcp_reset(); RFC 1122,
 * 4.2.2.13), and answers with a RST of its own; a RST that came is never answered.
 * So the hook of a received RST leaves it in doubt until ours follows, or does not.
 *
 * Always: the ->CLOSE between the two is held, and taken when it is known what came
 * before it, so that what is told is in its order. Few are held at a time: what
 * follows comes within microseconds.
 */
#include <stddef.h>

#include "pipeline_impl.h"

static struct event *held_of(struct pipeline *p, const struct conn *c)
{
	for (unsigned i = 0; i < DOUBTS; i++)
		if (p->doubts[i].kind && p->doubts[i].cookie == c->cookie)
			return &p->doubts[i];
	return NULL;
}

bool doubt_begins(const struct conn *c, const struct event *e)
{
	enum { BOTH = 3 };

	return e->flags & EVF_TCP && e->tcp.shutdown == BOTH && c->cookie &&
	       (c->state == ST_FIN_WAIT_1 || c->state == ST_FIN_WAIT_2);
}

bool doubt_holds(struct pipeline *p, struct conn *c, const struct event *closed)
{
	struct event *slot = &p->doubts[p->doubts_next];
	struct conn *before;

	if (!conn_end(c)->rst_doubt)
		return false;
	p->doubts_next = (p->doubts_next + 1) % DOUBTS;
	before = slot->kind ? conntab_find(p->conns, slot->cookie) : NULL;
	if (before && before != c)
		doubt_received(p, before);
	*slot = *closed;
	ending_wait(p, c, WAIT_RESET);
	return true;
}

/* The ->CLOSE that was held, if it was. */
static void take_closed(struct pipeline *p, struct conn *c)
{
	struct event *slot = held_of(p, c);
	struct event closed;

	if (!slot)
		return;
	closed = *slot;
	slot->kind = EV_NONE;
	ending_closed(p, c, &closed);
}

void doubt_received(struct pipeline *p, struct conn *c)
{
	conntab_end(p->conns, c)->rst_doubt = 0;
	ending_wait(p, c, WAIT_NONE);
	segments_rst_came(p, c, conn_end(c)->rst_ns);
	take_closed(p, c);
}

void doubt_answered(struct pipeline *p, struct conn *c)
{
	conntab_end(p->conns, c)->rst_doubt = 0;
	c->detail |= DETAIL_RST_IMPLIED; /* it is told next, and ends it */
	take_closed(p, c);
}
