/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tcptrail listeners`: each listening socket's two queues against their limits,
 * what overflowed, and how long connections wait for accept(). Worst first.
 *
 * 80 columns have no room for what only full mode sees (overflows, which DROPS
 * has among others, and cookies): -w has them, the longest wait and whole names.
 *
 * One report and the end, unless an interval or a duration asks for more. What
 * this mode cannot see is "-", never 0.
 */
#include <stdlib.h>

#include "text.h"
#include "views.h"

#include "../core/process/proc.h"

enum { SHOWN = 4096 };

/* Where columns start, or end for those that are right-aligned; 0: not there. */
struct columns {
	short pid_end, local, syn_end, accept_end, drops_end, overflows_end, cookies_end,
		accepted_end;
};

static const struct columns narrow = {7, 18, 43, 53, 59, 0, 0, 68};
static const struct columns wide = {8, 25, 53, 64, 71, 77, 83, 92};

struct row {
	const struct conn *conn;
	const struct listener *l;
};

struct listeners_view {
	struct text t;
	struct columns at;
	bool reported;
	struct row rows[SHOWN];
};

static void *listeners_open(struct session *s)
{
	struct listeners_view *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	text_init(&v->t, s);
	v->at = v->t.wide ? wide : narrow;
	return v;
}

/* Fullest accept queue, then what was dropped, then what waits in the SYN queue. */
static int worse_first(const void *pa, const void *pb)
{
	static const struct listener none;
	const struct row *ra = pa, *rb = pb;
	const struct listener *a = ra->l ? ra->l : &none, *b = rb->l ? rb->l : &none;
	uint64_t fa = (uint64_t)a->accept_queue * (b->accept_limit + 1ULL);
	uint64_t fb = (uint64_t)b->accept_queue * (a->accept_limit + 1ULL);

	if (fa != fb)
		return fa > fb ? -1 : 1;
	if (a->drops != b->drops)
		return a->drops > b->drops ? -1 : 1;
	if (a->syn_queue != b->syn_queue)
		return a->syn_queue > b->syn_queue ? -1 : 1;
	if (a->accepted != b->accepted)
		return a->accepted > b->accepted ? -1 : 1;
	return (ra->conn->lport > rb->conn->lport) - (ra->conn->lport < rb->conn->lport);
}

static void put_heading(const struct listeners_view *v, struct buf *b)
{
	const struct columns *at = &v->at;
	const struct {
		const char *name;
		int end;
	} names[] = {
		{"SYNQ", at->syn_end},	     {"ACCEPTQ", at->accept_end}, {"DROPS", at->drops_end},
		{"OVFL", at->overflows_end}, {"COOK", at->cookies_end},	  {"ACCEPTED", at->accepted_end},
	};
	struct line l;

	line_begin(&l, &v->t, b);
	line_ink(&l, INK_BOLD);
	line_put_right(&l, "PID", at->pid_end);
	line_str(&l, " COMM");
	line_to(&l, at->local);
	line_str(&l, "LOCAL");
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].end)
			line_put_right(&l, names[i].name, names[i].end);
	line_str(&l, " WAIT");
	line_ink(&l, INK_NONE);
	line_end(&l);
}

/* "-" where it cannot be seen; in ink where it is not 0. */
static void put_number(struct line *l, uint64_t n, bool seen, enum ink ink, int end)
{
	struct buf *b = l->b;
	size_t from = b->len, len;

	if (!end)
		return;
	if (seen)
		buf_u64(b, n);
	else
		buf_char(b, '-');
	len = b->len - from;
	line_right(l, from, end);
	if (!ink || !n || !seen || !l->paint->color)
		return;
	b->len -= len; /* once more, now that its place is known */
	line_ink(l, ink);
	buf_u64(b, n);
	line_ink(l, INK_NONE);
}

static void put_accept_queue(struct line *l, const struct listener *q, int end)
{
	size_t from = l->b->len;

	buf_u64(l->b, q->accept_queue);
	buf_char(l->b, '/');
	buf_u64(l->b, q->accept_limit);
	line_right(l, from, end);
}

/* Mean time from ESTABLISHED to accept(), with -w the longest; and whether more can wait: that some
 * do, the queue says. */
static void put_waits(struct line *l, const struct listener *q, bool at_length)
{
	if (q->accept_waits && !q->shared) {
		buf_char(l->b, ' ');
		buf_duration(l->b, q->accept_wait_sum_ns / q->accept_waits);
	}
	if (q->accept_waits && !q->shared && at_length) {
		line_str(l, " max ");
		buf_duration(l->b, q->accept_wait_max_ns);
	}
	if (q->accept_queue > q->accept_limit)
		line_word(l, INK_BAD, " FULL");
	else if (q->accept_queue && at_length)
		line_word(l, INK_WARN, " waiting");
}

static void put_row(const struct listeners_view *v, struct buf *b, const struct row *r)
{
	static const struct listener none;
	const struct listener *q = r->l ? r->l : &none;
	const struct source *src = v->t.s->source;
	const struct columns *at = &v->at;
	bool full = src && src->full_mode, known = r->l != NULL && q->ts_ns;
	struct line l;

	line_begin(&l, &v->t, b);
	text_owner(&v->t, &l, r->conn->owner, at->pid_end, at->local - 1);
	line_to(&l, at->local);
	text_endpoint(&v->t, &l, r->conn->local, r->conn->lport);
	put_number(&l, q->syn_queue, known, INK_NONE, at->syn_end);
	if (known)
		put_accept_queue(&l, q, at->accept_end);
	else
		line_put_right(&l, "-", at->accept_end);
	put_number(&l, q->drops, known, INK_WARN, at->drops_end);
	put_number(&l, q->overflows, full, INK_WARN, at->overflows_end);
	put_number(&l, q->cookies_sent, full, INK_WARN, at->cookies_end);
	put_number(&l, q->accepted, !q->shared, INK_NONE, at->accepted_end);
	put_waits(&l, q, v->t.wide);
	line_end(&l);
}

static bool wanted(const struct listeners_view *v, const struct conn *c)
{
	const struct session *s = v->t.s;
	struct filter_subject subject = {
		.conn = c,
		.procs = v->t.procs,
		.now_ns = pipeline_now(s->p),
	};

	return !s->o->filter || filter_match(s->o->filter, &subject) != FILTER_NO;
}

static unsigned collect(struct listeners_view *v, unsigned *left_out)
{
	struct conntab *conns = pipeline_conns(v->t.s->p);
	uint32_t cursor = 0;
	unsigned n = 0;
	const struct conn *c;

	while ((c = conntab_next(conns, &cursor))) {
		if (c->role != ROLE_LISTENER || !wanted(v, c))
			continue;
		if (n == SHOWN) {
			++*left_out;
			continue;
		}
		v->rows[n].conn = c;
		v->rows[n++].l = pipeline_listener(v->t.s->p, c);
	}
	qsort(v->rows, n, sizeof(v->rows[0]), worse_first);
	return n;
}

/* A row is a record, as it is in JSON. */
static void report(struct listeners_view *v)
{
	struct session *s = v->t.s;
	unsigned left_out = 0, n = collect(v, &left_out);
	struct buf *b = sink_begin(s->out);

	if (v->reported)
		buf_char(b, '\n');
	v->reported = true;
	text_clock_line(&v->t, b, pipeline_now(s->p));
	put_heading(v, b);
	if (!n)
		buf_str(b, "nobody listens\n");
	sink_commit(s->out);
	for (unsigned i = 0; i < n; i++) {
		put_row(v, sink_begin(s->out), &v->rows[i]);
		sink_commit(s->out);
		session_printed(s);
	}
	if (!left_out)
		return;
	b = sink_begin(s->out);
	buf_str(b, "and ");
	buf_u64(b, left_out);
	buf_str(b, " more\n");
	sink_commit(s->out);
}

static bool reports_again(const struct listeners_view *v)
{
	return v->t.s->o->interval_s > 0 || v->t.s->o->duration_s > 0;
}

static void listeners_snapshot_done(void *view)
{
	struct listeners_view *v = view;

	if (v->reported)
		return;
	report(v);
	v->t.s->stop |= !reports_again(v);
}

static void listeners_interval(void *view)
{
	if (reports_again(view))
		report(view);
}

static void listeners_finish(void *view)
{
	struct listeners_view *v = view;

	if (!v->reported)
		report(v);
}

static void listeners_close(void *view)
{
	free(view);
}

static const struct view_ops ops = {.snapshot_done = listeners_snapshot_done};

const struct view view_listeners_text = {
	.ops = &ops,
	.open = listeners_open,
	.interval = listeners_interval,
	.finish = listeners_finish,
	.close = listeners_close,
	.interval_s = 2,
	.resnapshot = true,
};
