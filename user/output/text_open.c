/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is open now, in a few lines that are true within a second on a quiet host:
 * sockets by state, those that have waited longest for somebody, established
 * connections by process, and who listens where.
 *
 * Ages of sockets older than the tracer are lower bounds and say so. Everything
 * is bounded; what is not listed is counted.
 */
#include "text_open.h"

#include <stdlib.h>
#include <string.h>

#include "../core/process/proc.h"
#include "../core/connection/words.h"

enum { LABEL = 9, SHOWN_PROCS = 12, SHOWN_LISTENERS = 24 };

/* States in which somebody has to act for it to end. */
static bool waits(unsigned state)
{
	static const bool w[ST_COUNT] = {
		[ST_SYN_SENT] = true,   [ST_FIN_WAIT_1] = true, [ST_FIN_WAIT_2] = true,
		[ST_CLOSE_WAIT] = true, [ST_LAST_ACK] = true,   [ST_CLOSING] = true,
	};

	return w[state];
}

/* What is shown of it is no part of its end, and that may be gone by then. */
static void keep(struct conn *to, const struct conn *c)
{
	*to = *c;
	to->end = NULL;
}

static void add_oldest(struct open_now *o, const struct conn *c)
{
	unsigned i = o->noldest < OPEN_OLDEST ? o->noldest++ : OPEN_OLDEST;

	if (i == OPEN_OLDEST && o->oldest[--i].state_ns <= c->state_ns)
		return;
	for (; i > 0 && o->oldest[i - 1].state_ns > c->state_ns; i--)
		o->oldest[i] = o->oldest[i - 1];
	keep(&o->oldest[i], c);
}

static void add_proc(struct open_now *o, uint32_t proc)
{
	unsigned i = 0;

	while (i < o->nprocs && o->procs[i].proc != proc)
		i++;
	if (i == OPEN_PROCS) {
		o->other_open++;
		return;
	}
	if (i == o->nprocs) {
		o->procs[i].proc = proc;
		o->nprocs++;
	}
	o->procs[i].count++;
}

void open_now_add(struct open_now *o, const struct conn *c)
{
	unsigned state = c->state == ST_NEW_SYN_RECV ? ST_SYN_RECV : c->state;

	if (state >= ST_COUNT)
		return;
	o->count[state]++;
	if (!o->oldest_ns[state] || c->state_ns < o->oldest_ns[state]) {
		o->oldest_ns[state] = c->state_ns;
		o->at_least[state] = c->state_age_bound;
	}
	if (waits(state))
		add_oldest(o, c);
	if (state == ST_ESTABLISHED)
		add_proc(o, c->owner);
	if (state != ST_LISTEN)
		return;
	if (o->nlisteners < OPEN_LISTENERS)
		keep(&o->listeners[o->nlisteners++], c);
	else
		o->more_listeners++;
}

/* --- showing ---------------------------------------------------------------------- */

static void label(struct line *l, const char *name)
{
	line_word(l, INK_DIM, name);
	line_to(l, LABEL);
}

/* Between two: begins the next, which the line is folded before if it passes the width. */
static struct mark next(struct line *l)
{
	static const struct mark nowhere = {SIZE_MAX, 0};

	if (line_col(l) <= LABEL)
		return nowhere;
	buf_char(l->b, ' ');
	return line_mark(l);
}

static void put_age(struct line *l, const struct text *t, uint64_t since_ns, bool at_least)
{
	uint64_t now = pipeline_now(t->s->p);

	if (at_least)
		line_glyph(l, GL_AT_LEAST);
	buf_duration(l->b, now > since_ns ? now - since_ns : 0);
}

static void put_states(const struct open_now *o, const struct text *t, struct buf *b)
{
	static const uint8_t order[] = {
		ST_LISTEN,     ST_SYN_SENT,   ST_SYN_RECV, ST_ESTABLISHED, ST_FIN_WAIT_1, ST_FIN_WAIT_2,
		ST_CLOSE_WAIT, ST_LAST_ACK, ST_CLOSING,     ST_TIME_WAIT,
	};
	uint64_t count[ST_COUNT];
	unsigned shown = 0;
	struct mark m;
	struct line l;

	pipeline_count_states(t->s->p, NULL, count);
	line_begin(&l, t, b);
	label(&l, "now");
	for (unsigned i = 0; i < sizeof(order); i++) {
		unsigned state = order[i];
		/* minisocks are only counted */
		uint64_t n = state == ST_TIME_WAIT ? count[state] : o->count[state];

		if (!n)
			continue;
		shown++;
		m = next(&l);
		buf_u64(b, n);
		buf_char(b, ' ');
		line_word(&l, paint_state(state), word_state_ss(state));
		if (waits(state) && o->oldest_ns[state]) {
			buf_char(b, ' ');
			put_age(&l, t, o->oldest_ns[state], o->at_least[state]);
		}
		line_fold(&l, m, t->width, LABEL);
	}
	if (!shown)
		line_str(&l, t->s->o->filter ? "no TCP socket that matches" : "no TCP socket");
	line_end(&l);
}

static void put_oldest(const struct open_now *o, const struct text *t, struct buf *b)
{
	for (unsigned i = 0; i < o->noldest; i++) {
		const struct conn *c = &o->oldest[i];
		struct mark m;
		struct line l;

		line_begin(&l, t, b);
		label(&l, i ? "" : "waiting");
		line_word(&l, paint_state(c->state), word_state_ss(c->state));
		line_to(&l, LABEL + 11);
		put_age(&l, t, c->state_ns, c->state_age_bound);
		line_to(&l, LABEL + 19);
		text_endpoint(t, &l, c->local, c->lport);
		line_glyph(&l, text_role_glyph(c->role));
		text_endpoint(t, &l, c->peer, c->pport);
		m = line_mark(&l);
		text_proc(t, &l, c->owner);
		if (c->rx_queue) {
			line_str(&l, " unread ");
			buf_u64(b, c->rx_queue);
		}
		line_fold(&l, m, t->width, LABEL + 19);
		line_end(&l);
	}
}

static int by_count(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b; /* {proc, count} */

	return x[1] != y[1] ? (x[1] < y[1] ? 1 : -1) : (x[0] > y[0]) - (x[0] < y[0]);
}

static void put_procs(struct open_now *o, const struct text *t, struct buf *b)
{
	uint32_t rest = o->other_open;
	struct mark m;
	struct line l;

	if (!o->nprocs)
		return;
	qsort(o->procs, o->nprocs, sizeof(o->procs[0]), by_count);
	line_begin(&l, t, b);
	label(&l, "open");
	for (unsigned i = 0; i < o->nprocs; i++) {
		if (i >= SHOWN_PROCS) {
			rest += o->procs[i].count;
			continue;
		}
		m = next(&l);
		buf_u64(b, o->procs[i].count);
		buf_char(b, ' ');
		if (o->procs[i].proc)
			text_proc(t, &l, o->procs[i].proc);
		else
			line_str(&l, "nobody known");
		line_fold(&l, m, t->width, LABEL);
	}
	if (rest) {
		m = next(&l);
		buf_u64(b, rest);
		line_str(&l, " others");
		line_fold(&l, m, t->width, LABEL);
	}
	line_end(&l);
}

static int by_port(const void *a, const void *b)
{
	const struct conn *x = a, *y = b;

	if (x->lport != y->lport)
		return x->lport < y->lport ? -1 : 1;
	return memcmp(x->local, y->local, sizeof(x->local));
}

static void put_listeners(struct open_now *o, const struct text *t, struct buf *b)
{
	uint32_t rest = o->more_listeners;
	struct mark m;
	struct line l;

	if (!o->nlisteners)
		return;
	qsort(o->listeners, o->nlisteners, sizeof(o->listeners[0]), by_port);
	line_begin(&l, t, b);
	label(&l, "listen");
	for (unsigned i = 0; i < o->nlisteners; i++) {
		const struct conn *c = &o->listeners[i];

		if (i >= SHOWN_LISTENERS) {
			rest++;
			continue;
		}
		m = next(&l);
		text_endpoint(t, &l, c->local, c->lport);
		buf_char(b, ' ');
		text_proc(t, &l, c->owner);
		line_fold(&l, m, t->width, LABEL);
	}
	if (rest) {
		m = next(&l);
		buf_u64(b, rest);
		line_str(&l, " more");
		line_fold(&l, m, t->width, LABEL);
	}
	line_end(&l);
}

void open_now_put(struct open_now *o, const struct text *t, struct buf *b)
{
	put_states(o, t, b);
	put_oldest(o, t, b);
	put_procs(o, t, b);
	put_listeners(o, t, b);
	buf_char(b, '\n');
}
