/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tcptrail conns`: a line per connection when it ends.
 *
 * 80 columns hold what decides: whose, with whom, how long, how it ended and who
 * closed. What is out of the ordinary (retransmits, an end other than FIN, a gap
 * in what was seen) follows last, where its length moves nothing, in short words;
 * a cause stands for who closed, where it implies that. -w has the interface's
 * words, a column for the retransmits and the local endpoint in full.
 *
 * The hot path of the house: no printf, no allocation of its own.
 */
#include <stdlib.h>

#include "text.h"
#include "views.h"

#include "../core/connection/verdict.h"
#include "../core/connection/words.h"
#include "../core/process/proc.h"

/* Where columns start, or end for those that are right-aligned; behind the time's column. */
struct columns {
	short pid_end, comm_end, port_end, peer;
	short handshake_end, duration_end, sent_end, received_end, state, by;
};

static const struct columns narrow = {6, 14, 20, 21, 44, 51, 56, 61, 62, 65};
static const struct columns wide = {8, 9 + 4 * PROC_COMM_LEN, 48, 51, 80, 88, 95, 102, 109, 116};

struct conns_view {
	struct text t;
	struct columns at;
};

static void add_time(struct columns *c, int width)
{
	short *all[] = {
		&c->pid_end,	  &c->comm_end, &c->port_end,	  &c->peer,  &c->handshake_end,
		&c->duration_end, &c->sent_end, &c->received_end, &c->state, &c->by};

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
	line_put_right(&l, "HS(ms)", v->at.handshake_end);
	line_put_right(&l, "DUR", v->at.duration_end);
	line_put_right(&l, "TX", v->at.sent_end);
	line_put_right(&l, "RX", v->at.received_end);
	if (v->t.wide)
		line_put_right(&l, "RETX", v->at.state - 1);
	line_to(&l, v->at.state);
	buf_str(b, "END");
	line_to(&l, v->at.by);
	buf_str(b, v->t.wide ? "BY     WHY" : "BY/WHY");
	line_ink(&l, INK_NONE);
	line_end(&l);
	sink_commit(v->t.s->out);
}

static enum ink ink_of(const struct verdict *vd)
{
	return vd->conn_state == CS_SF	 ? INK_NONE :
	       vd->conn_state == CS_S1 || vd->conn_state == CS_OTH ? INK_DIM :
								     INK_BAD;
}

/* A cause in a word, where the state and the side do not say it ("" : they do). Each implies who
 * ended it, what the kernel gave up, what this end reset, but for SF: who closed first. */
static const char *const causes[END_REASONS] = {
	[END_UNKNOWN] = "",
	[END_FIN] = "",
	[END_RESET] = "",
	[END_REFUSED] = "",
	[END_SYN_TIMEOUT] = "",
	[END_RETRANSMIT_TIMEOUT] = "rto",
	[END_USER_TIMEOUT] = "user-to",
	[END_KEEPALIVE_TIMEOUT] = "probes",
	[END_ZERO_WINDOW_TIMEOUT] = "window",
	[END_FIN_WAIT_2_TIMEOUT] = "no-fin",
	[END_LINGER_RESET] = "linger",
	[END_UNREAD_DATA_RESET] = "unread",
	[END_LISTENER_CLOSED] = "listen",
	[END_HALF_OPEN] = "forgot",
	[END_ICMP] = "icmp",
	[END_KILLED] = "killed",
	[END_NETNS_DESTROYED] = "netns",
};

static void put_cause(struct line *l, const struct conns_view *v, const struct verdict *vd)
{
	const char *cause = causes[vd->end_reason];

	if (v->t.wide || !*cause || vd->conn_state == CS_SF)
		line_str(l, word_initiator(vd->initiator));
	if (!v->t.wide) {
		if (*cause && vd->conn_state == CS_SF)
			buf_char(l->b, ' ');
		line_str(l, cause);
		return;
	}
	if (vd->end_reason == END_FIN || vd->end_reason == END_UNKNOWN)
		return;
	line_to(l, v->at.by + 7);
	line_str(l, word_end_reason(vd->end_reason));
}

/* How it ended and why, with what is out of the ordinary. */
static void put_end(struct line *l, const struct conns_view *v, const struct conn *c,
		    const struct verdict *vd)
{
	unsigned again = text_retransmits(c);
	size_t from = l->b->len;

	if (v->t.wide) {
		buf_u64(l->b, again);
		line_right(l, from, v->at.state - 1);
	}
	line_to(l, v->at.state);
	line_word(l, ink_of(vd), word_conn_state(vd->conn_state));
	line_to(l, v->at.by);
	put_cause(l, v, vd);
	if (again && !v->t.wide) {
		struct mark m = line_mark(l);

		line_ink(l, INK_WARN);
		buf_char(l->b, 'R');
		buf_u64(l->b, again);
		line_ink(l, INK_NONE);
		line_unless_wider(l, m, text_row_width(&v->t));
	}
	if (c->incomplete) {
		buf_char(l->b, ' ');
		line_word(l, INK_BAD, v->t.wide ? "incomplete" : "gap");
	}
}

static void put_size(struct line *l, const struct conns_view *v, uint64_t n, int end)
{
	size_t from = l->b->len;

	if (v->t.wide)
		text_size(l->b, n);
	else
		text_size_short(l->b, n);
	line_right(l, from, end);
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
	text_owner(&v->t, &l, c->owner, v->at.pid_end, v->at.comm_end);
	text_ends(&v->t, &l, c, v->at.port_end);
	from = b->len;
	text_ms(b, vd->handshake_ns);
	line_right(&l, from, v->at.handshake_end);
	from = b->len;
	text_duration(b, vd->duration_ns);
	line_right(&l, from, v->at.duration_end);
	put_size(&l, v, c->bytes_sent, v->at.sent_end);
	put_size(&l, v, c->bytes_received, v->at.received_end);
	put_end(&l, v, c, vd);
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
