/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tcptrail conns`: a line per connection when it ends.
 *
 * 80 columns hold what decides: whose, with whom, how it ended, who closed, how
 * long. What is out of the ordinary (retransmits, an end other than FIN, a gap in
 * what was seen) follows behind column 80, on those lines only. -w gives each of
 * them its own column and the local endpoint in full.
 *
 * The hot path of the house: no printf, no allocation of its own.
 */
#include <stdlib.h>

#include "text.h"
#include "views.h"

#include "../core/connection/verdict.h"
#include "../core/connection/words.h"

/* Where columns start, or end for those that are right-aligned; behind the time's column. */
struct columns {
	short pid_end, port_end, peer, state, by;
	short handshake_end, duration_end, sent_end, received_end;
};

static const struct columns narrow = {6, 20, 21, 39, 44, 54, 61, 67, 73};
static const struct columns wide = {8, 48, 51, 73, 78, 91, 99, 107, 115};

struct conns_view {
	struct text t;
	struct columns at;
};

static void add_time(struct columns *c, int width)
{
	short *all[] = {&c->pid_end, &c->port_end,	&c->peer,	  &c->state,	&c->by,
			&c->handshake_end, &c->duration_end, &c->sent_end, &c->received_end};

	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		*all[i] = (short)(*all[i] + width);
}

static void *conns_open(struct session *s)
{
	struct conns_view *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	text_init(&v->t, s);
	v->at = v->t.wide ? wide : narrow;
	add_time(&v->at, text_time_width(&v->t));
	return v;
}

static void conns_begin(void *view)
{
	struct conns_view *v = view;
	struct buf *b = sink_begin(v->t.s->out);
	struct line l;

	line_begin(&l, &v->t, b);
	line_ink(&l, INK_BOLD);
	line_put_right(&l, v->t.wall_clock ? "END" : "END(s)", text_time_width(&v->t));
	line_put_right(&l, "PID", v->at.pid_end);
	buf_str(b, " COMM");
	line_put_right(&l, "LOCAL", v->at.port_end);
	line_to(&l, v->at.peer);
	buf_str(b, "PEER");
	line_to(&l, v->at.state);
	buf_str(b, "END");
	line_to(&l, v->at.by);
	buf_str(b, "BY");
	line_put_right(&l, "HS(ms)", v->at.handshake_end);
	line_put_right(&l, "DUR", v->at.duration_end);
	line_put_right(&l, "TX", v->at.sent_end);
	line_put_right(&l, "RX", v->at.received_end);
	if (v->t.wide)
		buf_str(b, "  RETX WHY");
	line_ink(&l, INK_NONE);
	line_end(&l);
	sink_commit(v->t.s->out);
}

/* What is out of the ordinary, behind the last column. */
static void put_extraordinary(struct line *l, const struct conns_view *v, const struct conn *c,
			      const struct verdict *vd)
{
	unsigned again = text_retransmits(c);

	if (v->t.wide) {
		size_t from = l->b->len;

		buf_u64(l->b, again);
		line_right(l, from, v->at.received_end + 6);
	} else if (again) {
		buf_char(l->b, ' ');
		line_ink(l, INK_WARN);
		buf_char(l->b, 'R');
		buf_u64(l->b, again);
		line_ink(l, INK_NONE);
	}
	if (vd->end_reason != END_FIN && vd->end_reason != END_UNKNOWN) {
		buf_char(l->b, ' ');
		line_str(l, word_end_reason(vd->end_reason));
	}
	if (c->incomplete) {
		buf_char(l->b, ' ');
		line_word(l, INK_BAD, "incomplete");
	}
}

static enum ink ink_of(const struct verdict *vd)
{
	return vd->conn_state == CS_SF	 ? INK_NONE :
	       vd->conn_state == CS_S1 || vd->conn_state == CS_OTH ? INK_DIM :
								     INK_BAD;
}

static void conns_end(void *view, const struct conn *c, const struct verdict *vd)
{
	struct conns_view *v = view;
	struct session *s = v->t.s;
	struct buf *b = sink_begin(s->out);
	struct line l;
	size_t from;

	text_base(&v->t, c->start_ns);
	line_begin(&l, &v->t, b);
	text_time(&v->t, &l, conn_end(c)->end_ns ? conn_end(c)->end_ns : pipeline_now(s->p));
	text_owner(&v->t, &l, c->owner, v->at.pid_end);
	text_ends(&v->t, &l, c, v->at.port_end);
	line_to(&l, v->at.state);
	line_word(&l, ink_of(vd), word_conn_state(vd->conn_state));
	line_to(&l, v->at.by);
	buf_str(b, word_initiator(vd->initiator));
	from = b->len;
	text_ms(b, vd->handshake_ns);
	line_right(&l, from, v->at.handshake_end);
	from = b->len;
	text_duration(b, vd->duration_ns);
	line_right(&l, from, v->at.duration_end);
	from = b->len;
	text_size(b, c->bytes_sent);
	line_right(&l, from, v->at.sent_end);
	from = b->len;
	text_size(b, c->bytes_received);
	line_right(&l, from, v->at.received_end);
	put_extraordinary(&l, v, c, vd);
	line_end(&l);
	sink_commit(s->out);
	session_printed(s);
}

static void conns_tick(void *view, uint64_t now_ns)
{
	text_base(&((struct conns_view *)view)->t, now_ns);
}

static void conns_close(void *view)
{
	free(view);
}

static const struct view_ops ops = {.conn_end = conns_end, .tick = conns_tick};

const struct view view_conns_text = {
	.ops = &ops,
	.open = conns_open,
	.begin = conns_begin,
	.close = conns_close,
};
