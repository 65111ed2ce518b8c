/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tcptrail events`: a line per change, as it happens.
 *
 * The owner is who the socket belongs to, never who happened to run when the
 * packet came. Before each transition: how long the old state lasted; behind it
 * why it ended: the call (and who made it, if not the owner), a packet, or a timer.
 * What has no bound comes last, so that its length moves nothing.
 */
#include <stdlib.h>

#include "text.h"
#include "views.h"

#include "../core/process/proc.h"
#include "../core/connection/words.h"

struct columns {
	short pid_end, comm_end, port_end, age_end, what;
};

static const struct columns narrow = {6, 14, 20, 43, 44};
static const struct columns wide = {8, 9 + 4 * PROC_COMM_LEN, 48, 81, 82};

enum { AGE_WIDTH = 6 }; /* where there is no age, what happened begins there */

struct events_view {
	struct text t;
	struct columns at;
};

static void *events_open(struct session *s)
{
	struct events_view *v = calloc(1, sizeof(*v));
	short width;

	if (!v)
		return NULL;
	text_init(&v->t, s);
	width = (short)text_time_width(&v->t);
	v->at = v->t.wide ? wide : narrow;
	v->at.pid_end = (short)(v->at.pid_end + width);
	v->at.comm_end = (short)(v->at.comm_end + width);
	v->at.port_end = (short)(v->at.port_end + width);
	v->at.what = (short)(v->at.what + width);
	v->at.age_end = (short)(v->at.age_end + width);
	return v;
}

static void events_begin(void *view)
{
	struct events_view *v = view;
	struct buf *b = sink_begin(v->t.s->out);
	struct line l;

	line_begin(&l, &v->t, b);
	line_ink(&l, INK_BOLD);
	line_put_right(&l, v->t.wall_clock ? "TIME" : "TIME(s)", text_time_width(&v->t));
	line_put_right(&l, "PID", v->at.pid_end);
	buf_str(b, " COMM");
	line_put_right(&l, "LOCAL", v->at.port_end);
	line_to(&l, v->at.port_end + (v->t.wide ? 3 : 1));
	buf_str(b, "PEER");
	line_put_right(&l, "AGE", v->at.age_end);
	line_to(&l, v->at.what);
	buf_str(b, "OLDSTATE -> NEWSTATE WHY");
	line_ink(&l, INK_NONE);
	line_end(&l);
	sink_commit(v->t.s->out);
}

/* --- the states, or what is not a state ------------------------------------------ */

/* The socket call behind a change made in a task. */
static const char *call_of(const struct conn *c, const struct change *ch)
{
	static const char *const calls[ST_COUNT] = {
		[ST_SYN_SENT] = "connect()",
		[ST_LISTEN] = "listen()",
		[ST_LAST_ACK] = "close()",
		[ST_CLOSED] = "close()",
		[ST_FIN_WAIT_1] = "close()",
		[ST_FIN_WAIT_2] = "close()",
	};

	if (ch->to == ST_FIN_WAIT_1 && ch->from != ST_FIN_WAIT_1 && c->seen & SEEN_SHUT_WR_FIRST)
		return "shutdown()";
	return ch->to < ST_COUNT && calls[ch->to] ? calls[ch->to] : "syscall";
}

enum { ACTOR_NAME, ACTOR_PID, ACTOR_ALONE, ACTOR_WAYS };

/* " close() by curl[812]"; shorter where the line would pass its width: " close() by 812", " by 812". */
static void put_call(const struct events_view *v, struct line *l, const struct conn *c,
		     const struct change *ch)
{
	bool killed = ch->trigger == TRIG_ABORT;
	const char *call = killed ? "killed" : call_of(c, ch);
	bool other = proc_get(v->t.procs, ch->actor)->pid && ch->actor != c->owner;

	for (unsigned way = ACTOR_NAME; way < ACTOR_WAYS; way++) {
		struct mark m = line_mark(l);

		if (way < ACTOR_ALONE || killed || c->seen & SEEN_SHUT_WR_FIRST)
			line_word(l, killed ? INK_BAD : INK_NONE, call);
		else
			l->b->len--; /* close(): the state says it */
		if (!other)
			return;
		line_str(l, " by ");
		if (way == ACTOR_NAME)
			text_proc(&v->t, l, ch->actor);
		else
			buf_u64(l->b, proc_get(v->t.procs, ch->actor)->pid);
		if (line_col(l) <= text_row_width(&v->t))
			return;
		if (way < ACTOR_ALONE)
			line_unless_wider(l, m, text_row_width(&v->t));
	}
}

static void put_why(const struct events_view *v, struct line *l, const struct conn *c,
		    const struct change *ch)
{
	struct mark m;

	if (ch->trigger == TRIG_SYSCALL || ch->trigger == TRIG_ABORT) {
		put_call(v, l, c, ch);
	} else if (ch->trigger != TRIG_UNKNOWN) {
		buf_char(l->b, ' ');
		line_str(l, word_trigger(ch->trigger));
	}
	if (!ch->inferred)
		return;
	m = line_mark(l);
	line_word(l, INK_DIM, "inferred");
	if (line_col(l) <= text_row_width(&v->t))
		return;
	line_unless_wider(l, m, text_row_width(&v->t));
	buf_char(l->b, ' ');
	line_glyph(l, GL_ABOUT);
}

static void put_age(const struct events_view *v, struct line *l, const struct change *ch)
{
	size_t from = l->b->len;

	if (ch->duration_at_least && ch->state_duration_ns >= 0)
		buf_char(l->b, '>');
	text_duration(l->b, ch->state_duration_ns);
	line_right(l, from, v->at.age_end);
}

static void put_state(const struct events_view *v, struct line *l, const struct conn *c,
		      const struct change *ch)
{
	bool gave_up = ch->to == ST_CLOSED && ch->from != ST_TIME_WAIT &&
		       (ch->trigger == TRIG_TIMER || ch->trigger == TRIG_ABORT);

	line_str(l, word_state_ss(ch->from));
	line_glyph(l, GL_TO);
	line_word(l, gave_up ? INK_BAD : INK_NONE, word_state_ss(ch->to));
	put_why(v, l, c, ch);
}

/* The least that one needs of it: -w has it always. */
static void put_seq(const struct events_view *v, struct line *l, const struct change *ch)
{
	struct mark m;

	if (!ch->has_seq)
		return;
	m = line_mark(l);
	line_str(l, "seq=");
	buf_u64(l->b, ch->seq);
	line_unless_wider(l, m, text_row_width(&v->t));
}

static void put_retransmit(const struct events_view *v, struct line *l, const struct conn *c,
			   const struct change *ch)
{
	line_ink(l, INK_WARN);
	line_str(l, "R ");
	line_str(l, word_retransmit(ch->retransmit));
	line_ink(l, INK_NONE);
	line_str(l, " in ");
	line_str(l, word_state_ss(ch->to));
	put_seq(v, l, ch);
}

/* The kernel's own name of a reason; "" where it has none. */
static const char *reason_name(const struct events_view *v, const struct change *ch)
{
	const struct source *src = v->t.s->source;
	const char *name = NULL;

	if (src && ch->reason)
		name = ch->kind == CHANGE_RESET ?
			       (src->rst_reason ? src->rst_reason(src, ch->reason) : NULL) :
			       (src->drop_reason ? src->drop_reason(src, ch->reason) : NULL);
	return name ? name : "";
}

static void put_reason(const struct events_view *v, struct line *l, const struct change *ch)
{
	const char *name = reason_name(v, ch);

	if (*name) {
		buf_char(l->b, ' ');
		line_safe(l, name, 64);
	} else if (ch->reason) {
		line_str(l, " reason ");
		buf_u64(l->b, ch->reason);
	}
}

static void put_reset(const struct events_view *v, struct line *l, const struct conn *c,
		      const struct change *ch)
{
	struct mark m;

	line_word(l, INK_BAD, ch->received ? "RST received" : "RST sent");
	put_reason(v, l, ch);
	if (ch->to) {
		m = line_mark(l);
		line_str(l, "in ");
		line_str(l, word_state_ss(ch->to));
		line_unless_wider(l, m, text_row_width(&v->t));
	}
}

static void put_drop(const struct events_view *v, struct line *l, const struct conn *c,
		     const struct change *ch)
{
	line_word(l, INK_WARN, "dropped");
	put_reason(v, l, ch);
	put_seq(v, l, ch);
}

typedef void (*put_fn)(const struct events_view *v, struct line *l, const struct conn *c,
		       const struct change *ch);

static const put_fn put[CHANGE_KINDS] = {
	[CHANGE_STATE] = put_state,
	[CHANGE_RETRANSMIT] = put_retransmit,
	[CHANGE_RESET] = put_reset,
	[CHANGE_DROP] = put_drop,
};

static void events_change(void *view, const struct conn *c, const struct change *ch)
{
	struct events_view *v = view;
	struct session *s = v->t.s;
	struct buf *b = sink_begin(s->out);
	struct line l;

	text_base(&v->t, ch->ts_ns);
	line_begin(&l, &v->t, b);
	text_time(&v->t, &l, ch->ts_ns);
	text_owner(&v->t, &l, c->owner, v->at.pid_end, v->at.comm_end);
	text_ends(&v->t, &l, c, v->at.port_end);
	if (ch->kind == CHANGE_STATE)
		put_age(v, &l, ch);
	line_to(&l, ch->kind == CHANGE_STATE ? v->at.what : v->at.age_end - AGE_WIDTH);
	put[ch->kind](v, &l, c, ch);
	line_end(&l);
	sink_commit(s->out);
	session_printed(s);
}

static void events_tick(void *view, uint64_t now_ns)
{
	text_base(&((struct events_view *)view)->t, now_ns);
}

static void events_close(void *view)
{
	free(view);
}

static const struct view_ops ops = {.change = events_change, .tick = events_tick};

const struct view view_events_text = {
	.ops = &ops,
	.open = events_open,
	.begin = events_begin,
	.close = events_close,
	.child_syn_recv = true,
	.segments = true,
};
