/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The report for people, on one screen: counts per state, then what hangs, worst
 * first, each with whose it is, since when, why and what to do.
 *
 * Sentences are wrapped at 80 columns, commands are not: they are there to be copied.
 */
#include <string.h>

#include "../core/connection/facts.h"
#include "../core/process/proc.h"
#include "../core/connection/words.h"
#include "stack.h"
#include "stuck.h"

enum { WIDTH = 80, INDENT = 8, COUNT_END = 21, TREND_END = 35, SHARERS = 4 };

static const enum ink severity_ink[SEV_COUNT] = {
	[SEV_INFO] = INK_DIM,
	[SEV_WARNING] = INK_WARN,
	[SEV_CRITICAL] = INK_BAD,
};

/* ---- counts ------------------------------------------------------------------------- */

/* With --watch against the report before; else what came in the last minute, as far as ages tell. */
static void put_trend(const struct stuck_view *v, struct line *l, unsigned state)
{
	const struct stuck_report *r = &v->report;
	int64_t moved = v->last_ns ? (int64_t)r->states[state] - v->last_states[state]
				   : (int64_t)r->recent[state];
	size_t from = l->b->len;

	if (!v->last_ns && !stuck_tells_entry(state))
		return;
	if (moved >= 0)
		buf_char(l->b, '+');
	buf_i64(l->b, moved);
	line_right(l, from, TREND_END);
}

static void put_state(const struct stuck_view *v, struct buf *b, unsigned state)
{
	struct line l;
	size_t from;

	line_begin(&l, &v->text, b);
	line_word(&l, paint_state(state), word_state_ss(state));
	from = b->len;
	buf_u64(b, v->report.states[state]);
	line_right(&l, from, COUNT_END);
	put_trend(v, &l, state);
	line_end(&l);
}

static void put_states(const struct stuck_view *v, struct buf *b)
{
	struct line l;

	line_begin(&l, &v->text, b);
	line_ink(&l, INK_BOLD);
	line_str(&l, "STATE");
	line_put_right(&l, "SOCKETS", COUNT_END);
	line_put_right(&l, v->last_ns ? "CHANGE" : "LAST MINUTE", TREND_END);
	line_ink(&l, INK_NONE);
	line_end(&l);
	for (unsigned i = ST_NONE + 1; i < ST_COUNT; i++)
		if (v->report.states[i] || (v->last_ns && v->last_states[i]))
			put_state(v, b, i);
}

static void put_plural(struct buf *b, uint64_t n, const char *one, const char *many)
{
	buf_u64(b, n);
	buf_char(b, ' ');
	buf_str(b, n == 1 ? one : many);
}

static bool no_holders(const struct stuck_view *v)
{
	const struct source *src = v->s->source;

	for (unsigned i = 0; src && i < src->nhooks; i++)
		if (!strcmp(src->hooks[i].name, "on_iter_task_file"))
			return src->hooks[i].status == HOOK_ABSENT ||
			       src->hooks[i].status == HOOK_REFUSED;
	return false;
}

/* What was refused, and whether a capability would have helped: one that is held did not. */
static void put_refused(struct buf *b, const char *what, const char *cap, bool held)
{
	buf_printf(b, "  %s: ", what);
	if (held)
		buf_printf(b,
			   "refused, although %s is held\n  (a sandbox or a security module "
			   "forbids it: ask whoever runs that)\n",
			   cap);
	else
		buf_printf(b, "needs %s (run as root)\n", cap);
}

static void put_why_unseen(struct buf *b, const struct sysfacts *f, uint64_t refused, bool hidden)
{
	uint64_t reach = facts_or(f, FACT_REACH, 0, 0);
	bool admin = reach & REACH_SYS_ADMIN;

	if (refused && reach & REACH_TOO_MANY)
		buf_str(b, "  more namespaces than are looked at\n");
	else if (refused || !admin)
		put_refused(b, "entering a namespace", "CAP_SYS_ADMIN", admin);
	else if (!hidden)
		buf_str(b, "  made since the start: start again to see it\n");
}

/* Namespaces that could not be entered: those that we know of, and whose sockets we saw held. */
static void put_unseen(const struct stuck_view *v, struct buf *b)
{
	const struct sysfacts *f = pipeline_facts(v->s->p);
	uint64_t refused = facts_or(f, FACT_NETNS_UNSEEN, 0, 0), unseen = refused;
	uint64_t hidden = facts_or(f, FACT_PROCS_HIDDEN, 0, 0);

	if (v->report.nunseen > unseen)
		unseen = v->report.nunseen;
	if (!unseen && !hidden)
		return;
	buf_str(b, "out of reach: ");
	if (unseen)
		put_plural(b, unseen, "network namespace", "network namespaces");
	if (unseen && hidden)
		buf_str(b, " or more,\n  and ");
	if (hidden) {
		buf_str(b, hidden == 1 ? "the network namespace of " :
					 "the network namespaces of ");
		put_plural(b, hidden, "process", "processes");
	}
	buf_str(b, "\n  (orphans, TIME-WAIT and half-open connections there are unseen)\n");
	if (unseen)
		put_why_unseen(b, f, refused, hidden);
	if (hidden)
		put_refused(b, "reading /proc/PID/ns/net", "CAP_SYS_PTRACE",
			    facts_or(f, FACT_REACH, 0, 0) & REACH_SYS_PTRACE);
}

/* What the counts are of, and what is not in them. */
static void put_reach(const struct stuck_view *v, struct buf *b)
{
	const struct stuck_report *r = &v->report;
	const struct sysfacts *f = pipeline_facts(v->s->p);
	uint64_t seen = facts_get(f, FACT_NETNS_SEEN, 0), total = 0;

	for (unsigned i = 0; i < ST_COUNT; i++)
		total += r->states[i];
	put_plural(b, total, "socket", "sockets");
	if (r->shared) {
		buf_str(b, ", ");
		buf_u64(b, r->shared);
		buf_str(b, " shared by several processes");
	}
	if (r->orphans) {
		buf_str(b, ", ");
		buf_u64(b, r->orphans);
		buf_str(b, " without a process");
	}
	if (seen != FACT_UNKNOWN && seen > 1) {
		buf_str(b, "; ");
		put_plural(b, seen, "network namespace", "network namespaces");
	}
	buf_char(b, '\n');
	put_unseen(v, b);
	if (no_holders(v))
		buf_str(b, "holders are not known: this kernel lacks iter/task_file\n");
	if (r->dropped || holders_refused(pipeline_holders(v->s->p)))
		buf_str(b, "incomplete: more sockets or holders than there is memory for\n");
}

static void put_lost(const struct stuck_view *v, struct buf *b)
{
	const struct stats *st = pipeline_stats(v->s->p);

	if (st->lost[LOSS_RING_FULL] || st->lost[LOSS_TABLE_FULL]) {
		buf_str(b, "incomplete: ");
		buf_u64(b, st->lost[LOSS_RING_FULL] + st->lost[LOSS_TABLE_FULL]);
		buf_str(b, " records were lost (--buffer, --max-connections)\n");
	}
}

/* ---- one group ------------------------------------------------------------------------- */

/* Words from `at`; a line that is full goes on at INDENT. */
static void put_wrapped(struct buf *b, const char *s, size_t len, bool wide)
{
	int at = INDENT;
	bool first = true;

	for (size_t i = 0; i < len;) {
		size_t n = 0;

		while (i + n < len && s[i + n] != ' ')
			n++;
		if (!first && !wide && at + 1 + (int)n > WIDTH) {
			buf_char(b, '\n');
			buf_fill(b, ' ', INDENT);
			at = INDENT;
		} else if (!first) {
			buf_char(b, ' ');
			at++;
		}
		buf_put(b, s + i, n);
		at += (int)n;
		first = false;
		i += n + 1;
	}
	buf_char(b, '\n');
}

static void put_paragraph(const struct stuck_view *v, struct buf *b, const char *head,
			  void (*say)(struct buf *, const struct told *), const struct told *t)
{
	struct buf said = {0};

	say(&said, t);
	buf_str(b, "  ");
	buf_str(b, head);
	buf_fill(b, ' ', INDENT - 2 - (int)strlen(head));
	put_wrapped(b, said.data ? said.data : "", said.len, v->text.wide);
	buf_free(&said);
}

static void put_commands(struct buf *b, const struct told *t)
{
	struct buf said = {0};

	told_commands(&said, t);
	for (size_t i = 0; i < said.len; i++) {
		if (!i || said.data[i - 1] == '\n')
			buf_str(b, "        $ ");
		buf_char(b, said.data[i]);
	}
	if (said.len)
		buf_char(b, '\n');
	buf_free(&said);
}

/* The systemd unit, container or pod that it runs in. */
static void put_home(const struct stuck_view *v, struct line *l, const struct proc *who)
{
	const struct cgroup *g = cgroup_get(v->text.procs, who->cgroup);

	if (!g)
		return;
	if (g->container[0]) {
		line_str(l, " (container ");
		line_safe(l, g->container, 12);
		line_str(l, ")");
	} else if (g->unit[0]) {
		line_str(l, " (");
		line_safe(l, g->unit, sizeof(g->unit));
		line_str(l, ")");
	}
}

static void put_whose(const struct stuck_view *v, struct line *l, const struct stuck_group *g)
{
	const struct proc *who = proc_get(v->text.procs, g->proc);

	if (!who->pid && g->of_host) {
		text_host(l, g->example.netns, stuck_elsewhere(v->s->p, g->example.netns));
		return;
	}
	if (!who->pid) {
		line_str(l, "an unknown process");
		return;
	}
	text_proc(&v->text, l, g->proc);
	put_home(v, l, who);
}

static void put_service(const struct stuck_view *v, struct line *l, const struct stuck_group *g)
{
	const struct conn *c = &g->example;
	bool server = c->role == ROLE_SERVER || c->role == ROLE_LISTENER;
	struct mark m;

	if (g->of_host && !c->pport)
		return;
	if (server && !g->of_host)
		buf_char(l->b, ',');
	m = line_mark(l);
	if (!server || g->of_host) {
		line_str(l, "to ");
		text_endpoint(&v->text, l, c->peer, c->pport);
	} else {
		line_str(l, "its port ");
		buf_u64(l->b, c->lport);
	}
	line_fold(l, m, v->text.width, INDENT);
	if (g->of_host || c->role != ROLE_SERVER)
		return;
	buf_char(l->b, ',');
	m = line_mark(l);
	line_str(l, g->spread_peers ? "several peers" : "from ");
	if (!g->spread_peers)
		buf_addr(l->b, c->peer);
	line_fold(l, m, v->text.width, INDENT);
}

/* Between the sockets and the process: it holds them, had them last, or is to accept them. */
static const char *relation(const struct stuck_view *v, const struct stuck_group *g)
{
	if (v->report.items[g->first].nholders)
		return " of ";
	return g->example.seen & (SEEN_ORPHAN | SEEN_MINISOCK) ? " last of " : " for ";
}

static void put_headline(const struct stuck_view *v, struct buf *b, const struct stuck_group *g)
{
	struct line l;

	line_begin(&l, &v->text, b);
	line_word(&l, severity_ink[g->finding.severity], word_severity(g->finding.severity));
	line_str(&l, " ");
	line_word(&l, INK_BOLD, word_finding(g->finding.kind));
	line_str(&l, ": ");
	if (!g->of_host && g->example.role != ROLE_LISTENER) {
		buf_u64(b, g->count);
		line_str(&l, " ");
		line_str(&l, word_state_ss(g->example.state));
		line_str(&l, relation(v, g));
	}
	put_whose(v, &l, g);
	put_service(v, &l, g);
	line_end(&l);
}

static void put_age(struct buf *b, const struct finding *f, uint64_t ns)
{
	if (f->at_least)
		buf_str(b, "at least ");
	buf_duration(b, ns);
}

static void put_ages(struct buf *b, const struct stuck_group *g)
{
	if (g->of_host || g->example.role == ROLE_LISTENER)
		return;
	buf_str(b, "  since ");
	if (g->count > 1)
		buf_str(b, "oldest ");
	put_age(b, &g->finding, g->oldest_ns);
	if (g->count > 1) {
		buf_str(b, ", p95 ");
		buf_duration(b, g->p95_ns);
		if (g->recent)
			buf_printf(b, "; growing, %u in the last minute", g->recent);
		else
			buf_str(b, "; steady, none in the last minute");
	}
	buf_char(b, '\n');
}

/* Who else holds the oldest of them: fork() shares, SCM_RIGHTS passes on. */
static void put_sharers(const struct stuck_view *v, struct buf *b, const struct stuck_group *g)
{
	struct mark m = {SIZE_MAX, 0};
	struct holder held[SHARERS];
	struct line l;
	uint32_t n;

	if (g->of_host || v->report.items[g->first].nholders < 2)
		return;
	n = holders_get(pipeline_holders(v->s->p), g->example.cookie, held, SHARERS);
	line_begin(&l, &v->text, b);
	line_str(&l, "  held by ");
	for (uint32_t i = 0; i < n && i < SHARERS; i++) {
		if (i) {
			buf_char(b, ',');
			m = line_mark(&l);
		}
		text_proc(&v->text, &l, held[i].proc);
		buf_printf(b, " fd %u", held[i].fd);
		line_fold(&l, m, v->text.width, INDENT);
	}
	if (n > SHARERS)
		buf_printf(b, " and %u more", n - SHARERS);
	line_end(&l);
}

/* Where most of them come from: connect() or accept(), and who called it. */
static void put_stack(const struct stuck_view *v, struct buf *b, const struct stuck_group *g)
{
	uint32_t count;
	const char *stack = stuck_stack(&v->report, g, v->s->p, &count);

	if (!stack)
		return;
	text_stack(b, "  made", INDENT, stack);
	if (g->count > 1) {
		buf_fill(b, ' ', INDENT);
		buf_printf(b, "(%u of these %u)\n", count, g->count);
	}
}

void stuck_text_group(const struct stuck_view *v, struct buf *b, const struct stuck_group *g)
{
	struct told t;

	stuck_told_group(&t, g, v->s->p);
	put_headline(v, b, g);
	put_ages(b, g);
	put_sharers(v, b, g);
	put_stack(v, b, g);
	put_paragraph(v, b, "why", told_explanation, &t);
	put_paragraph(v, b, "do", told_remedy, &t);
	put_commands(b, &t);
}

/* ---- the report -------------------------------------------------------------------------- */

void stuck_print_text(struct stuck_view *v)
{
	const struct stuck_report *r = &v->report;
	struct buf *b;

	if (v->so->list || v->so->all) {
		stuck_list_text(v);
		return;
	}
	b = stuck_begin_record(v);
	if (v->last_ns)
		buf_char(b, '\n');
	text_clock_line(&v->text, b, r->made_ns);
	put_states(v, b);
	put_reach(v, b);
	put_lost(v, b);
	if (!r->ngroups)
		buf_str(b, "nothing is stuck\n");
	sink_commit(v->s->out); /* no record: -c counts findings, as in JSON */
	for (uint32_t i = 0; i < r->ngroups && !v->s->stop; i++) {
		b = stuck_begin_record(v);
		buf_char(b, '\n');
		stuck_text_group(v, b, &r->groups[i]);
		stuck_end_record(v);
	}
}
