/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One pass over the table: count, hold against the rules, remember what hangs; then
 * sort by what looks alike, and make each run of equals a group.
 *
 * Always: an item names its socket by cookie, so that nothing points into the table.
 * Never: a socket twice, or one that the filter does not surely want.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "write/buf.h"
#include "connection/facts.h"
#include "filter/filter.h"
#include "pipeline/pipeline.h"
#include "stuck.h"

enum { HOLDERS_SEEN = 4, MANY = 1000, TIME_WAITS_MAX = 1 << 20 };

static const uint64_t recent_ns = 60ull * 1000000000;

void stuck_free(struct stuck_report *r)
{
	free(r->items);
	free(r->groups);
	free(r->time_waits);
	memset(r, 0, sizeof(*r));
}

static bool grow(void **array, uint32_t used, uint32_t *cap, size_t size)
{
	uint32_t n = *cap ? *cap * 2 : 64;
	void *more;

	if (used < *cap)
		return true;
	more = reallocarray(*array, n, size);
	if (!more)
		return false;
	*array = more;
	*cap = n;
	return true;
}

struct stuck_group *stuck_group_add(struct stuck_report *r)
{
	struct stuck_group *g;

	if (!grow((void **)&r->groups, r->ngroups, &r->groups_cap, sizeof(*r->groups))) {
		r->dropped++;
		return NULL;
	}
	g = &r->groups[r->ngroups++];
	memset(g, 0, sizeof(*g));
	g->fd = -1;
	return g;
}

/* ---- TIME_WAIT ----------------------------------------------------------------------- */

void stuck_begin(struct stuck_report *r)
{
	r->ntime_waits = 0;
}

void stuck_time_wait(struct stuck_report *r, const struct conn *c)
{
	struct stuck_time_wait *t;

	if (r->ntime_waits >= TIME_WAITS_MAX ||
	    !grow((void **)&r->time_waits, r->ntime_waits, &r->time_waits_cap,
		  sizeof(*r->time_waits))) {
		r->dropped++;
		return;
	}
	t = &r->time_waits[r->ntime_waits++];
	*t = (struct stuck_time_wait){
		.cookie = c->cookie,
		.state_ns = c->state_ns,
		.netns = c->netns,
		.expires_ms = c->timer_expires_ms,
		.lport = c->lport,
		.pport = c->pport,
	};
	memcpy(t->local, c->local, sizeof(t->local));
	memcpy(t->peer, c->peer, sizeof(t->peer));
}

void stuck_time_wait_conn(const struct stuck_time_wait *t, struct conn *out)
{
	*out = (struct conn){
		.cookie = t->cookie,
		.netns = t->netns,
		.lport = t->lport,
		.pport = t->pport,
		.state = ST_TIME_WAIT,
		.seen = SEEN_SNAPSHOT | SEEN_MINISOCK,
		.state_ns = t->state_ns,
		.start_ns = t->state_ns,
		.timer = TIMER_TIME_WAIT,
		.timer_expires_ms = t->expires_ms,
	};
	memcpy(out->local, t->local, sizeof(out->local));
	memcpy(out->peer, t->peer, sizeof(out->peer));
}

/* ---- one socket ---------------------------------------------------------------------- */

bool stuck_wanted(const struct pipeline *p, const struct stuck_query *q, const struct conn *c)
{
	struct filter_subject s = {
		.conn = c,
		.procs = pipeline_procs(p),
		.holders = pipeline_holders(p),
		.now_ns = pipeline_now(p),
	};

	return (!q->filter || filter_match(q->filter, &s) == FILTER_YES) &&
	       (!q->also || filter_match(q->also, &s) == FILTER_YES);
}

/* Whose it is: a holder, whoever had it last, or whoever does not accept it. */
static void take_owner(struct stuck_item *it, const struct pipeline *p, const struct conn *c)
{
	struct holder held[HOLDERS_SEEN];

	it->nholders = holders_get(pipeline_holders(p), c->cookie, held, HOLDERS_SEEN);
	it->fd = -1;
	it->proc = c->owner ? c->owner : conn_end(c)->closer;
	if (it->nholders) {
		it->proc = held[0].proc;
		it->fd = held[0].fd;
	} else if (!it->proc) {
		it->proc = pipeline_listener_of(p, c).owner;
	}
}

/* The other end of the same ports on this host, where a rule asks for it: in its own namespace (every
 * container has the same 127.0.0.1), else in any. The peer's orphan may still be known when a new
 * connection has its ports already: that one is what waits. */
static const struct conn *other_end(struct pipeline *p, const struct conn *c)
{
	struct conntab *t = pipeline_conns(p);
	const struct conn *peer = pipeline_peer(p, c), *o;

	if ((peer && c->state != ST_CLOSE_WAIT) ||
	    (c->state != ST_SYN_SENT && c->state != ST_CLOSE_WAIT) || !c->lport)
		return peer;
	o = conntab_find_tuple(t, c->netns, c->peer, c->pport, c->local, c->lport, peer);
	if (o == c) /* connected to itself */
		return peer;
	if (peer)
		return o && o->state == ST_SYN_SENT ? o : peer;
	if (o || !c->netns || addr_is_loopback(c->local))
		return o;
	return conntab_find_tuple(t, 0, c->peer, c->pport, c->local, c->lport, NULL);
}

bool stuck_tells_entry(unsigned state)
{
	return 1u << state & (1u << ST_SYN_SENT | 1u << ST_SYN_RECV | 1u << ST_FIN_WAIT_2 |
			      1u << ST_CLOSE_WAIT | 1u << ST_CLOSING | 1u << ST_TIME_WAIT);
}

static void count_state(struct stuck_report *r, const struct conn *c, uint64_t age_ns,
			uint32_t nholders)
{
	unsigned state = c->state == ST_NEW_SYN_RECV ? ST_SYN_RECV : c->state;

	r->states[state]++;
	if (age_ns < recent_ns && stuck_tells_entry(state))
		r->recent[state]++;
	if (nholders > 1)
		r->shared++;
	if (!nholders && c->seen & SEEN_ORPHAN)
		r->orphans++;
}

/* What only a walk of its namespace shows (orphans, minisocks) is then missing. */
static void note_netns(struct stuck_report *r, const struct pipeline *p, uint32_t netns)
{
	const struct sysfacts *f = pipeline_facts(p);

	if (!netns || !facts_netns_count(f) || facts_netns_told(f, netns))
		return;
	for (uint32_t i = 0; i < r->nunseen; i++)
		if (r->unseen[i] == netns)
			return;
	if (r->nunseen < STUCK_UNSEEN)
		r->unseen[r->nunseen++] = netns;
}

static int look_at(struct stuck_report *r, struct pipeline *p, const struct stuck_query *q,
		   const struct conn *c)
{
	struct finding found[DIAGNOSE_MAX];
	struct stuck_item it = { .cookie = c->cookie };
	struct subject s = {
		.conn = c,
		.listener = c->role == ROLE_LISTENER ? pipeline_listener(p, c) : NULL,
		.other = other_end(p, c),
		.facts = pipeline_facts(p),
		.now_ns = pipeline_now(p),
		.min_age_ns = q->min_age_ns,
	};
	bool at_least;
	unsigned n;

	if (!stuck_wanted(p, q, c))
		return 0;
	note_netns(r, p, c->netns);
	take_owner(&it, p, c);
	s.holders = it.nholders;
	count_state(r, c, diagnose_age(&s, &at_least), it.nholders);
	n = diagnose(&s, found, DIAGNOSE_MAX);
	for (unsigned i = 0; i < n; i++) {
		if (!grow((void **)&r->items, r->nitems, &r->items_cap, sizeof(*r->items)))
			return -ENOMEM;
		it.finding = found[i];
		r->items[r->nitems++] = it;
	}
	return 0;
}

/* ---- groups ---------------------------------------------------------------------------- */

/* What makes two items alike. Of a server the service is its own port, of a client the peer's. */
struct likeness {
	uint32_t proc, kind, netns;
	uint16_t port;
	uint16_t server; /* no padding: it is compared as it lies */
	uint8_t peer[16];
};

struct sortable {
	struct stuck_item item;
	struct likeness like;
};

static void take_likeness(struct likeness *l, const struct stuck_item *it, const struct conn *c)
{
	memset(l, 0, sizeof(*l));
	l->proc = it->proc;
	l->kind = it->finding.kind;
	l->netns = c->netns;
	l->server = c->role == ROLE_SERVER || c->role == ROLE_LISTENER;
	l->port = l->server ? c->lport : c->pport;
	if (!l->server)
		memcpy(l->peer, c->peer, sizeof(l->peer));
}

static int by_likeness(const void *a, const void *b)
{
	const struct sortable *x = a, *y = b;
	int d = memcmp(&x->like, &y->like, sizeof(x->like));

	if (d)
		return d;
	if (x->item.finding.age_ns != y->item.finding.age_ns)
		return x->item.finding.age_ns < y->item.finding.age_ns ? 1 : -1;
	return x->item.cookie < y->item.cookie ? -1 : x->item.cookie > y->item.cookie;
}

/* A leak that fills a process's table, or thousands of the same, is no longer a warning. */
static enum severity group_severity(const struct stuck_group *g, const struct pipeline *p)
{
	static const uint32_t leaks = 1u << FIND_CLOSE_WAIT_LEAK | 1u << FIND_CLOSE_WAIT_UNREAD |
				      1u << FIND_CLOSE_WAIT_BACKLOG | 1u << FIND_FIN_WAIT_2_HELD;
	const struct proc_fds *fds =
		facts_proc(pipeline_facts(p), proc_get(pipeline_procs(p), g->proc)->pid);
	struct finding near;

	if (!(leaks & 1u << g->finding.kind))
		return g->finding.severity;
	if (g->count >= MANY ||
	    (fds && diagnose_limit(FIND_FD_LIMIT_NEAR, fds->used, fds->limit, &near)))
		return SEV_CRITICAL;
	return g->finding.severity;
}

static void close_group(struct stuck_report *r, struct stuck_group *g, struct pipeline *p)
{
	/* Oldest first: the 95th percentile is 5 % in. */
	uint32_t p95 = g->first + g->count / 20;

	g->oldest_ns = r->items[g->first].finding.age_ns;
	g->p95_ns = r->items[p95].finding.age_ns;
	for (uint32_t i = g->first; i < g->first + g->count; i++) {
		g->recent += r->items[i].finding.age_ns < recent_ns;
		if (r->items[i].finding.severity > g->finding.severity)
			g->finding.severity = r->items[i].finding.severity;
		g->finding.blocked |= r->items[i].finding.blocked;
	}
	g->finding.severity = group_severity(g, p);
}

static int make_groups(struct stuck_report *r, struct pipeline *p, const struct sortable *sorted)
{
	struct stuck_group *g = NULL;

	for (uint32_t i = 0; i < r->nitems; i++) {
		const struct conn *c = conntab_find(pipeline_conns(p), sorted[i].item.cookie);

		r->items[i] = sorted[i].item;
		if (!c)
			return -ENOENT;
		if (!g || memcmp(&sorted[i].like, &sorted[i - 1].like, sizeof(sorted[i].like))) {
			if (g)
				close_group(r, g, p);
			g = stuck_group_add(r);
			if (!g)
				return -ENOMEM;
			g->finding = sorted[i].item.finding;
			g->example = *c;
			g->example.end = NULL; /* it may be gone before the report is */
			g->proc = sorted[i].item.proc;
			g->fd = sorted[i].item.fd;
			g->first = i;
		}
		g->count++;
		g->spread_peers |= memcmp(g->example.peer, c->peer, sizeof(c->peer)) != 0;
	}
	if (g)
		close_group(r, g, p);
	return 0;
}

static int group(struct stuck_report *r, struct pipeline *p)
{
	struct sortable *s = calloc(r->nitems ? r->nitems : 1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	for (uint32_t i = 0; i < r->nitems; i++) {
		s[i].item = r->items[i];
		take_likeness(&s[i].like, &r->items[i],
			      conntab_find(pipeline_conns(p), r->items[i].cookie));
	}
	qsort(s, r->nitems, sizeof(*s), by_likeness);
	err = make_groups(r, p, s);
	free(s);
	return err;
}

static int worst_first(const void *a, const void *b)
{
	const struct stuck_group *x = a, *y = b;

	if (x->finding.severity != y->finding.severity)
		return x->finding.severity < y->finding.severity ? 1 : -1;
	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	if (x->oldest_ns != y->oldest_ns)
		return x->oldest_ns < y->oldest_ns ? 1 : -1;
	return (int)x->finding.kind - (int)y->finding.kind;
}

static void sum_up(struct stuck_report *r)
{
	if (r->ngroups)
		qsort(r->groups, r->ngroups, sizeof(*r->groups), worst_first);
	for (uint32_t i = 0; i < r->ngroups; i++) {
		const struct stuck_group *g = &r->groups[i];

		for (uint32_t k = g->first; k < g->first + g->count && !g->of_host; k++)
			r->items[k].group = i;
		r->by_severity[g->finding.severity] += g->of_host ? 1 : g->count;
		if (g->finding.severity >= SEV_WARNING && g->oldest_ns > r->oldest_ns)
			r->oldest_ns = g->oldest_ns;
	}
}

/* ---- the report -------------------------------------------------------------------------- */

static void count_time_waits(struct stuck_report *r, struct pipeline *p,
			     const struct stuck_query *q)
{
	struct conn c;

	for (uint32_t i = 0; i < r->ntime_waits; i++) {
		stuck_time_wait_conn(&r->time_waits[i], &c);
		if (!stuck_wanted(p, q, &c))
			continue;
		r->states[ST_TIME_WAIT]++;
		if (pipeline_now(p) - c.state_ns < recent_ns)
			r->recent[ST_TIME_WAIT]++;
	}
}

int stuck_collect(struct stuck_report *r, struct pipeline *p, const struct stuck_query *q)
{
	uint32_t cursor = 0;
	struct conn *c;
	int err = 0;

	r->nitems = r->ngroups = r->nunseen = 0;
	r->orphans = r->shared = 0;
	r->oldest_ns = 0;
	r->made_ns = pipeline_now(p);
	memset(r->states, 0, sizeof(r->states));
	memset(r->recent, 0, sizeof(r->recent));
	memset(r->by_severity, 0, sizeof(r->by_severity));
	while (!err && (c = conntab_next(pipeline_conns(p), &cursor)))
		if (c->state != ST_NONE && c->state != ST_CLOSED && c->state != ST_TIME_WAIT)
			err = look_at(r, p, q, c);
	count_time_waits(r, p, q);
	if (!err)
		err = group(r, p);
	if (!err)
		err = stuck_host(r, p, q);
	if (!err)
		sum_up(r);
	return err;
}

/* ---- for the sentences ---------------------------------------------------------------------- */

bool stuck_elsewhere(const struct pipeline *p, uint32_t netns)
{
	uint32_t own = facts_netns_at(pipeline_facts(p), 0);

	return own && netns && own != netns;
}

void stuck_told_group(struct told *t, const struct stuck_group *g, const struct pipeline *p)
{
	*t = (struct told){
		.finding = &g->finding,
		.conn = g->of_host && !g->example.pport ? NULL : &g->example,
		.facts = pipeline_facts(p),
		.who = proc_get(pipeline_procs(p), g->proc),
		.fd = g->fd,
		.count = g->of_host ? 1 : g->count,
		.spread_peers = g->spread_peers,
		.other_netns = stuck_elsewhere(p, g->example.netns),
		.time_wait = g->time_wait,
	};
}

void stuck_told_item(struct told *t, const struct stuck_item *i, const struct conn *c,
		     const struct pipeline *p)
{
	*t = (struct told){
		.finding = &i->finding,
		.conn = c,
		.facts = pipeline_facts(p),
		.who = proc_get(pipeline_procs(p), i->proc),
		.fd = i->fd,
		.count = 1,
		.other_netns = stuck_elsewhere(p, c->netns),
	};
}
