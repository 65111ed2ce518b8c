/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What hangs, as `stuck` has it: a line for each group, worst first, and below them
 * why the selected one hangs and what to do. Enter shows all that `stuck` says of it.
 *
 * The report is made anew after each look at the sockets, never while paused.
 */
#include <stdlib.h>
#include <string.h>

#include "../core/process/proc.h"
#include "../core/connection/words.h"
#include "top_impl.h"

enum { SEVERITY = 1, COUNT_END = 16, KIND = 18, SINCE_END = 50, WHO = 52, ADVICE = 6 };

static int by_cookie(const void *a, const void *b)
{
	const struct hung *x = a, *y = b;

	return x->cookie < y->cookie ? -1 : x->cookie > y->cookie;
}

const struct stuck_item *findings_of(const struct top *v, uint64_t cookie)
{
	struct hung key = {.cookie = cookie};
	const struct hung *h = NULL;

	if (v->nhung)
		h = bsearch(&key, v->hung, v->nhung, sizeof(key), by_cookie);
	return h ? &v->stuck.report.items[h->item] : NULL;
}

/* The worst of a socket is enough: a connection has one finding at most. */
static void index_items(struct top *v)
{
	const struct stuck_report *r = &v->stuck.report;

	v->nhung = 0;
	if (r->nitems > v->hung_cap) {
		struct hung *more = reallocarray(v->hung, r->nitems, sizeof(*more));

		if (!more)
			return;
		v->hung = more;
		v->hung_cap = r->nitems;
	}
	for (uint32_t i = 0; i < r->nitems; i++)
		v->hung[v->nhung++] = (struct hung){.cookie = r->items[i].cookie, .item = i};
	if (v->nhung)
		qsort(v->hung, v->nhung, sizeof(*v->hung), by_cookie);
}

/* The selection stays with its kind and process where they are still there. */
void findings_collect(struct top *v)
{
	struct stuck_report *r = &v->stuck.report;
	uint32_t proc = 0, kind = FIND_NONE;

	if (v->paused)
		return;
	v->stuck_due = false;
	if (v->finding < r->ngroups) {
		proc = r->groups[v->finding].proc;
		kind = r->groups[v->finding].finding.kind;
	}
	if (stuck_collect(r, v->s->p, &v->stuck.query))
		r->nitems = r->ngroups = 0;
	index_items(v);
	for (uint32_t i = 0; v->finding && i < r->ngroups; i++)
		if (r->groups[i].proc == proc && r->groups[i].finding.kind == kind) {
			v->finding = i;
			return;
		}
	if (v->finding >= r->ngroups)
		v->finding = r->ngroups ? r->ngroups - 1 : 0;
}

/* ---- the list --------------------------------------------------------------------------------- */

static unsigned severity_look(unsigned severity)
{
	return severity == SEV_CRITICAL ? LOOK_BAD : severity == SEV_WARNING ? LOOK_WARN : 0;
}

static void put_who(struct top *v, const struct stuck_group *g, int y, const struct box *box,
		    unsigned look)
{
	struct line l;

	line_begin(&l, &v->text, &v->b);
	if (proc_get(v->text.procs, g->proc)->pid)
		text_proc(&v->text, &l, g->proc);
	else if (g->of_host)
		text_host(&l, g->example.netns, stuck_elsewhere(v->s->p, g->example.netns));
	else
		line_str(&l, "an unknown process");
	if (!g->of_host || g->example.pport) {
		bool server = g->example.role == ROLE_SERVER || g->example.role == ROLE_LISTENER;

		line_str(&l, server ? " port " : " to ");
		if (server)
			buf_u64(&v->b, g->example.lport);
		else
			text_endpoint(&v->text, &l, g->example.peer, g->example.pport);
	}
	put(v, y, box->x + WHO, box->w - WHO, look);
}

static void draw_group(struct top *v, const struct box *box, int y, uint32_t i)
{
	const struct stuck_group *g = &v->stuck.report.groups[i];
	bool selected = i == v->finding && v->pane == PANE_FINDINGS && !v->over;
	unsigned look = severity_look(g->finding.severity) | (selected ? LOOK_REVERSE : 0);

	if (selected)
		screen_fill(v->screen, y, box->x, box->w, look);
	buf_str(&v->b, word_severity(g->finding.severity));
	put(v, y, box->x + SEVERITY, 9, look);
	buf_u64(&v->b, g->of_host ? g->finding.value : g->count);
	put_right(v, y, box->x + COUNT_END, look);
	buf_str(&v->b, word_finding(g->finding.kind));
	put(v, y, box->x + KIND, SINCE_END - KIND - 9, look);
	if (g->of_host || g->example.role == ROLE_LISTENER) {
		buf_char(&v->b, '-');
	} else {
		if (g->finding.at_least)
			buf_char(&v->b, '>');
		buf_duration(&v->b, g->oldest_ns);
	}
	put_right(v, y, box->x + SINCE_END, look);
	put_who(v, g, y, box, look);
}

/* ---- why, and what to do ------------------------------------------------------------------------ */

static int draw_sentence(struct top *v, const struct box *box, int line, const char *head,
			 void (*told)(struct buf *, const struct told *), const struct told *t)
{
	struct box rest = *box;

	if (line >= box->h)
		return line;
	buf_str(&v->b, head);
	put(v, box->y + line, box->x + 1, ADVICE - 1, LOOK_BOLD);
	rest.x += ADVICE;
	rest.w -= ADVICE;
	told(&v->b, t);
	return put_wrapped(v, &rest, line, 0);
}

static void draw_commands(struct top *v, const struct box *box, int line, const struct told *t)
{
	struct buf said = {0};
	size_t at = 0;

	told_commands(&said, t);
	while (at < said.len && line < box->h) {
		const char *end = memchr(said.data + at, '\n', said.len - at);
		size_t n = end ? (size_t)(end - said.data) - at : said.len - at;

		buf_str(&v->b, "$ ");
		buf_put(&v->b, said.data + at, n);
		put(v, box->y + line++, box->x + ADVICE, box->w - ADVICE, LOOK_PLAIN);
		at += n + 1;
	}
	buf_free(&said);
}

static void draw_advice(struct top *v, const struct box *box, int line)
{
	const struct stuck_group *g = &v->stuck.report.groups[v->finding];
	struct told t;

	stuck_told_group(&t, g, v->s->p);
	line = draw_sentence(v, box, line, "why", told_explanation, &t);
	line = draw_sentence(v, box, line, "do", told_remedy, &t);
	draw_commands(v, box, line, &t);
}

/* Half of the pane is the list; what it does not need is the advice's. */
void findings_draw(struct top *v, const struct box *box)
{
	const struct stuck_report *r = &v->stuck.report;
	uint32_t room = box->h > 4 ? (uint32_t)(box->h - 1) / 2 : 1, first = 0;
	struct box body = {box->y + 1, box->x, box->h - 1, box->w};
	char title[80];

	snprintf(title, sizeof(title), "STUCK  %u critical, %u warning, %u info",
		 r->by_severity[SEV_CRITICAL], r->by_severity[SEV_WARNING],
		 r->by_severity[SEV_INFO]);
	put_heading(v, box, title, v->pane == PANE_FINDINGS);
	if (!r->ngroups) {
		buf_str(&v->b, "nothing is stuck");
		put(v, body.y, body.x + 1, body.w, LOOK_DIM);
		return;
	}
	if (v->finding >= room)
		first = v->finding - room + 1;
	for (uint32_t i = 0; i < room && first + i < r->ngroups; i++)
		draw_group(v, box, body.y + (int)i, first + i);
	draw_advice(v, &body, (int)(room < r->ngroups ? room : r->ngroups));
}

/* ---- all of one ------------------------------------------------------------------------------------ */

void findings_open(struct top *v)
{
	if (v->finding >= v->stuck.report.ngroups)
		return;
	v->over = OVER_FINDING;
	v->scroll = 0;
}

static void put_sockets(struct top *v, const struct stuck_group *g)
{
	enum { MOST = 100 };
	struct line l;

	for (uint32_t i = 0; !g->of_host && i < g->count && i < MOST; i++) {
		const struct stuck_item *item = &v->stuck.report.items[g->first + i];
		const struct conn *c = stuck_conn(&v->stuck, item);

		if (!c)
			continue;
		line_begin(&l, &v->text, &v->b);
		line_str(&l, "  ");
		stuck_put_socket(&v->text, &l, c, item);
		line_end(&l);
	}
	if (g->count > MOST)
		buf_printf(&v->b, "  and %u more\n", g->count - MOST);
}

void findings_detail(struct top *v, const struct box *box)
{
	struct box body = {box->y + 1, box->x, box->h - 1, box->w};
	const struct stuck_group *g;

	put_heading(v, box, "FINDING", true);
	if (v->finding >= v->stuck.report.ngroups) {
		buf_str(&v->b, "it is over");
		put(v, body.y, body.x + 1, body.w, LOOK_DIM);
		return;
	}
	g = &v->stuck.report.groups[v->finding];
	stuck_text_group(&v->stuck, &v->b, g);
	buf_char(&v->b, '\n');
	put_sockets(v, g);
	put_scrolled(v, &body);
}

void findings_key(struct top *v, int key)
{
	uint32_t n = v->stuck.report.ngroups, last = n ? n - 1 : 0;

	switch (key) {
	case KEY_IS_UP:
		v->finding -= v->finding > 0;
		break;
	case KEY_IS_DOWN:
		v->finding += v->finding < last;
		break;
	case KEY_IS_HOME:
	case KEY_IS_PAGE_UP:
		v->finding = 0;
		break;
	case KEY_IS_END:
	case KEY_IS_PAGE_DOWN:
		v->finding = last;
		break;
	case KEY_IS_ENTER:
		findings_open(v);
		break;
	default:
		break;
	}
}
