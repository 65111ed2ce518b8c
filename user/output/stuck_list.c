/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A row a socket: --list the stuck ones, --all every one; and what the other formats
 * need to walk them in the same order: stuck first, worst first, oldest first.
 */
#include <stdlib.h>

#include "../core/connection/facts.h"
#include "../core/process/proc.h"
#include "../core/connection/words.h"
#include "stack.h"
#include "stuck.h"

/* Where columns start, or end for those that are right-aligned. */
struct columns {
	short age_end, state, pid_end, comm_end, fd_end, port_end, peer, kind;
};

/* The longest kind that a socket has ends at 80. */
static const struct columns narrow = {7, 8, 24, 32, 37, 43, 44, 60};
static const struct columns wide = {8, 9, 28, 29 + 4 * PROC_COMM_LEN, 52, 76, 79, 102};

static const struct columns *columns_of(const struct stuck_view *v)
{
	return v->text.wide ? &wide : &narrow;
}

static int by_cookie(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void each_stuck(struct stuck_view *v, uint64_t *cookies,
		       void (*f)(struct stuck_view *, const struct conn *,
				 const struct stuck_item *))
{
	const struct stuck_report *r = &v->report;

	for (uint32_t g = 0; g < r->ngroups; g++) {
		const struct stuck_group *group = &r->groups[g];

		for (uint32_t i = group->first; !group->of_host && i < group->first + group->count;
		     i++) {
			const struct conn *c = stuck_conn(v, &r->items[i]);

			if (cookies)
				cookies[i] = r->items[i].cookie;
			if (c && !v->s->stop)
				f(v, c, &r->items[i]);
		}
	}
}

static void each_healthy(struct stuck_view *v, const uint64_t *cookies,
			 void (*f)(struct stuck_view *, const struct conn *,
				   const struct stuck_item *))
{
	const struct stuck_report *r = &v->report;
	struct conn *c, tw;
	uint32_t cursor = 0;

	while ((c = conntab_next(pipeline_conns(v->s->p), &cursor)) && !v->s->stop) {
		if (c->state == ST_NONE || c->state == ST_CLOSED || c->state == ST_TIME_WAIT ||
		    !stuck_wanted(v->s->p, &v->query, c) ||
		    bsearch(&c->cookie, cookies, r->nitems, sizeof(*cookies), by_cookie))
			continue;
		f(v, c, NULL);
	}
	for (uint32_t i = 0; i < r->ntime_waits && !v->s->stop; i++) {
		stuck_time_wait_conn(&r->time_waits[i], &tw);
		if (stuck_wanted(v->s->p, &v->query, &tw))
			f(v, &tw, NULL);
	}
}

void stuck_each(struct stuck_view *v, void (*f)(struct stuck_view *v, const struct conn *c,
						const struct stuck_item *item))
{
	uint64_t *cookies = NULL;

	if (v->so->all) {
		cookies = calloc((size_t)v->report.nitems + 1, sizeof(*cookies));
		if (!cookies) {
			v->s->status = 2;
			return;
		}
	}
	each_stuck(v, cookies, f);
	if (cookies) {
		qsort(cookies, v->report.nitems, sizeof(*cookies), by_cookie);
		each_healthy(v, cookies, f);
	}
	free(cookies);
}

/* ---- text ---------------------------------------------------------------------------------- */

static void put_heading(struct stuck_view *v)
{
	const struct columns *at = columns_of(v);
	struct buf *b = stuck_begin_record(v);
	struct line l;

	text_clock_line(&v->text, b, v->report.made_ns);
	line_begin(&l, &v->text, b);
	line_ink(&l, INK_BOLD);
	line_put_right(&l, "AGE", at->age_end);
	line_to(&l, at->state);
	line_str(&l, "STATE");
	line_put_right(&l, "PID", at->pid_end);
	line_str(&l, " COMM");
	line_put_right(&l, "FD", at->fd_end);
	line_put_right(&l, v->text.wide ? "LOCAL" : "PORT", at->port_end);
	line_to(&l, at->peer);
	line_str(&l, "PEER");
	line_to(&l, at->kind);
	line_str(&l, "KIND");
	line_ink(&l, INK_NONE);
	line_end(&l);
	sink_commit(v->s->out);
}

static void put_age(struct stuck_view *v, struct line *l, const struct conn *c,
		    const struct stuck_item *item)
{
	int end = columns_of(v)->age_end;
	bool at_least;
	uint64_t ns = stuck_age(v, c, &at_least);
	size_t from = l->b->len;

	if (item) {
		ns = item->finding.age_ns;
		at_least = item->finding.at_least;
	}
	if (c->role == ROLE_LISTENER) {
		line_put_right(l, "-", end);
		return;
	}
	if (at_least)
		buf_char(l->b, '>');
	buf_duration(l->b, ns);
	line_right(l, from, end);
}

/* -w: where it comes from. */
static void put_made(const struct stuck_view *v, struct buf *b, const struct conn *c)
{
	const char *stack = v->text.wide ? pipeline_stack(v->s->p, c->cookie) : NULL;
	struct line l;

	if (!stack)
		return;
	line_begin(&l, &v->text, b);
	line_to(&l, wide.state);
	line_str(&l, "made ");
	text_stack_brief(&l, stack, v->text.width, wide.state);
	line_end(&l);
}

static void put_row(struct stuck_view *v, const struct conn *c, const struct stuck_item *item)
{
	struct holder held;
	const struct columns *at = columns_of(v);
	uint32_t n = holders_get(pipeline_holders(v->s->p), c->cookie, &held, 1);
	struct buf *b = stuck_begin_record(v);
	struct line l;
	size_t from;

	line_begin(&l, &v->text, b);
	put_age(v, &l, c, item);
	line_to(&l, at->state);
	line_word(&l, paint_state(c->state), word_state_ss(c->state));
	if (!n)
		held.proc = item ? item->proc : c->owner;
	text_owner(&v->text, &l, held.proc, at->pid_end, at->comm_end);
	from = b->len;
	if (n)
		buf_u64(b, held.fd);
	else
		buf_char(b, '-');
	if (n > 1)
		buf_printf(b, "+%u", n - 1);
	line_right(&l, from, at->fd_end);
	text_ends(&v->text, &l, c, at->port_end);
	if (item) {
		line_to(&l, at->kind);
		line_word(&l, item->finding.severity == SEV_CRITICAL ? INK_BAD : INK_NONE,
			  word_finding(item->finding.kind));
	}
	line_end(&l);
	put_made(v, b, c);
	stuck_end_record(v);
}

void stuck_list_text(struct stuck_view *v)
{
	if (!v->report.nitems && !v->so->all) {
		struct buf *b = stuck_begin_record(v);

		text_clock_line(&v->text, b, v->report.made_ns);
		buf_str(b, "nothing is stuck\n");
		sink_commit(v->s->out);
		return;
	}
	put_heading(v);
	stuck_each(v, put_row);
}
