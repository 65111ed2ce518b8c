/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp.finding: one for each group with its count, with --list one for each socket;
 * with --all the healthy ones follow as tcp.snapshot.
 *
 * A group's record has what its sockets share: a client's peer, a server's own port;
 * no socket_id. What is of the host has no network at all.
 */
#include <string.h>

#include "../core/connection/facts.h"
#include "../core/connection/words.h"
#include "stack.h"
#include "stuck.h"

static void put_sentence(struct jsonw *w, const char *key,
			 void (*say)(struct buf *, const struct told *), const struct told *t)
{
	struct buf said = {0};

	say(&said, t);
	json_strn(w, key, said.data ? said.data : "", said.len);
	buf_free(&said);
}

static void put_evidence(struct jsonw *w, const struct finding *f)
{
	if (f->value)
		json_u64(w, "value", f->value);
	if (f->limit)
		json_u64(w, "limit", f->limit);
	if (f->retries)
		json_u64(w, "retries", f->retries);
	json_ns(w, "next_in_ns", f->next_ns);
	json_ns(w, "ends_in_ns", f->ends_ns);
}

static void put_finding(struct jsonw *w, const struct told *t, const struct stuck_group *g)
{
	const struct finding *f = t->finding;

	json_open(w, "finding");
	json_word(w, "kind", word_finding(f->kind));
	json_word(w, "severity", word_severity(f->severity));
	put_sentence(w, "explanation", told_explanation, t);
	put_sentence(w, "advice", told_advice, t);
	if (g && !g->of_host) {
		json_u64(w, "count", g->count);
		json_u64(w, "recent_count", g->recent);
		json_u64(w, "oldest_age_ns", g->oldest_ns);
		json_u64(w, "p95_age_ns", g->p95_ns);
	} else if (!g) {
		json_u64(w, "age_ns", f->age_ns);
		json_word(w, "age_bound", f->at_least ? "at_least" : "exact");
	}
	put_evidence(w, f);
	json_close(w);
}

static void put_holders(struct stuck_view *v, struct jsonw *w, const struct conn *c)
{
	uint32_t n = json_holders(&v->face, w, c);

	if (n)
		json_u64(w, "holder_count", n);
}

static void put_state_age(struct stuck_view *v, struct jsonw *w, const struct conn *c)
{
	bool at_least;
	uint64_t age = stuck_age(v, c, &at_least);

	json_u64(w, "state_age_ns", age);
	json_word(w, "state_age_bound", at_least ? "at_least" : "exact");
}

static void put_queue(struct jsonw *w, const struct conn *c)
{
	json_open(w, "queue");
	json_u64(w, "receive_bytes", c->rx_queue);
	json_u64(w, "send_bytes", c->tx_queue);
	json_close(w);
}

void stuck_json_item(struct stuck_view *v, const struct conn *c, const struct stuck_item *item)
{
	struct buf *b = stuck_begin_record(v);
	struct conn named = *c;
	struct told t;
	struct jsonw w;

	if (!item) {
		if (c->role == ROLE_LISTENER)
			json_listener(&v->face, b, c, pipeline_listener(v->s->p, c));
		else
			json_snapshot(&v->face, b, c);
		stuck_end_record(v);
		return;
	}
	named.owner = item->proc;
	stuck_told_item(&t, item, c, v->s->p);
	json_common(&v->face, &w, b, "tcp.finding", v->report.made_ns);
	json_close(&w);
	json_network(&v->face, &w, c, c->state);
	json_tcp(&v->face, &w, c);
	if (c->role != ROLE_LISTENER) {
		put_state_age(v, &w, c);
		if (!(c->seen & SEEN_MINISOCK))
			put_queue(&w, c);
		json_armed_timer(&w, c);
	}
	put_holders(v, &w, c);
	json_stack(&w, pipeline_stack(v->s->p, c->cookie));
	put_finding(&w, &t, NULL);
	json_close(&w);
	json_owner(&v->face, &w, &named);
	stuck_end_record(v);
}

/* What all of a group have. */
static struct conn shared_part(const struct stuck_group *g)
{
	struct conn c = g->example;

	c.cookie = 0;
	c.owner = g->proc;
	if (c.role == ROLE_SERVER) {
		c.pport = 0;
		if (g->spread_peers)
			memset(c.peer, 0, sizeof(c.peer));
	} else if (c.role != ROLE_LISTENER) {
		c.lport = 0;
		if (!g->of_host)
			memset(c.local, 0, sizeof(c.local));
	}
	return c;
}

static void put_stack(struct stuck_view *v, struct jsonw *w, const struct stuck_group *g)
{
	uint32_t count;
	const char *stack = stuck_stack(&v->report, g, v->s->p, &count);

	json_stack(w, stack);
	if (stack)
		json_u64(w, "stack_count", count);
}

void stuck_json_group(struct stuck_view *v, struct buf *b, const struct stuck_group *g)
{
	struct conn c = shared_part(g);
	struct told t;
	struct jsonw w;

	stuck_told_group(&t, g, v->s->p);
	json_common(&v->face, &w, b, "tcp.finding", v->report.made_ns);
	json_close(&w);
	if (!g->of_host || c.pport) {
		json_network(&v->face, &w, &c, c.state);
		json_tcp(&v->face, &w, &c);
	} else {
		json_open(&w, "tcp");
		if (c.netns)
			json_u64(&w, "netns", c.netns);
	}
	if (!g->of_host)
		put_holders(v, &w, &g->example);
	put_stack(v, &w, g);
	put_finding(&w, &t, g);
	json_close(&w);
	json_owner(&v->face, &w, &c);
}

static void print_group(struct stuck_view *v, const struct stuck_group *g)
{
	stuck_json_group(v, stuck_begin_record(v), g);
	stuck_end_record(v);
}

void stuck_print_json(struct stuck_view *v)
{
	const struct stuck_report *r = &v->report;

	if (v->so->list || v->so->all)
		stuck_each(v, stuck_json_item);
	for (uint32_t i = 0; i < r->ngroups && !v->s->stop; i++)
		if (r->groups[i].of_host || !(v->so->list || v->so->all))
			print_group(v, &r->groups[i]);
}
