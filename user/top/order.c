/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which connections are on the page. One walk gives each a key of three numbers; the
 * page's part of the order is then picked out of them and only that part is sorted, so
 * ten thousand connections cost a walk, not a sort.
 *
 * Always: the order is total (the cookie decides last), so a page is the same when it
 * is asked for again. A pause walks the copies that it took.
 */
#include <stdlib.h>
#include <string.h>

#include "../core/process/proc.h"
#include "../core/connection/words.h"
#include "top_impl.h"

enum { TIME_WAIT_S = 60 };

/* order_key.at of a minisock that only the newest snapshot knows. */
static const uint32_t minisock = 1u << 31;

/* ---- keys ------------------------------------------------------------------------------------- */

static uint64_t age_of(const struct top *v, const struct conn *c)
{
	uint64_t now = top_now(v);

	return now > c->state_ns ? now - c->state_ns : 0;
}

static uint64_t big_endian(const uint8_t *s)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | s[i];
	return v;
}

static void key_stuck(const struct top *v, const struct conn *c, struct order_key *k)
{
	const struct stuck_item *item = findings_of(v, c->cookie);

	k->hi = item ? item->finding.severity : 0;
	k->lo = item ? item->finding.age_ns : age_of(v, c);
}

static void key_state(const struct top *v, const struct conn *c, struct order_key *k)
{
	k->hi = c->state;
	k->lo = ~age_of(v, c);
}

static void key_age(const struct top *v, const struct conn *c, struct order_key *k)
{
	k->hi = age_of(v, c);
}

static void key_owner(const struct top *v, const struct conn *c, struct order_key *k)
{
	const struct proc *p = proc_get(v->text.procs, c->owner);

	if (!p->pid) { /* nobody's stand last */
		k->hi = k->lo = UINT64_MAX;
		return;
	}
	k->hi = big_endian((const uint8_t *)p->comm);
	k->lo = big_endian((const uint8_t *)p->comm + 8);
}

static void key_peer(const struct top *v, const struct conn *c, struct order_key *k)
{
	k->hi = big_endian(c->peer);
	k->lo = big_endian(c->peer + 8);
}

static void key_sent(const struct top *v, const struct conn *c, struct order_key *k)
{
	k->hi = c->bytes_sent;
}

static void key_received(const struct top *v, const struct conn *c, struct order_key *k)
{
	k->hi = c->bytes_received;
}

static void key_rtt(const struct top *v, const struct conn *c, struct order_key *k)
{
	k->hi = c->srtt_us;
}

static void key_retransmits(const struct top *v, const struct conn *c, struct order_key *k)
{
	k->hi = text_retransmits(c);
}

static const struct {
	const char *name;
	bool most_first;
	void (*key)(const struct top *v, const struct conn *c, struct order_key *k);
} sorts[] = {
	[SORT_STUCK] = {"stuck first", true, key_stuck},
	[SORT_STATE] = {"state", false, key_state},
	[SORT_AGE] = {"age", true, key_age},
	[SORT_OWNER] = {"owner", false, key_owner},
	[SORT_PEER] = {"peer", false, key_peer},
	[SORT_SENT] = {"sent", true, key_sent},
	[SORT_RECEIVED] = {"received", true, key_received},
	[SORT_RTT] = {"rtt", true, key_rtt},
	[SORT_RETRANSMITS] = {"retransmits", true, key_retransmits},
};
_Static_assert(sizeof(sorts) / sizeof(sorts[0]) == SORTS, "a key each");

const char *order_name(unsigned sort)
{
	return sort < SORTS ? sorts[sort].name : "";
}

unsigned order_next(unsigned sort)
{
	return (sort + 1) % SORTS;
}

static void key_of(const struct top *v, const struct conn *c, uint32_t at, struct order_key *k)
{
	bool turn = sorts[v->conns.sort].most_first != v->conns.reverse;

	*k = (struct order_key){.tie = c->cookie, .at = at};
	sorts[v->conns.sort].key(v, c, k);
	if (turn) {
		k->hi = ~k->hi;
		k->lo = ~k->lo;
	}
}

/* ---- the walk ---------------------------------------------------------------------------------- */

static bool wanted(const struct top *v, const struct conn *c)
{
	return c->state && c->state != ST_CLOSED && c->role != ROLE_LISTENER &&
	       c->state != ST_LISTEN && pipeline_passes_now(v->s->p, c) &&
	       stuck_wanted(v->s->p, &v->stuck.query, c);
}

bool order_expired(const struct top *v, uint32_t i)
{
	return pipeline_now(v->s->p) >
	       v->stuck.report.time_waits[i].state_ns + TIME_WAIT_S * 1000000000ull;
}

/* What the newest snapshot saw, and neither the table knows nor time has ended. */
static bool minisock_at(const struct top *v, uint32_t i, struct conn *out)
{
	const struct stuck_time_wait *t = &v->stuck.report.time_waits[i];

	if (order_expired(v, i) || conntab_find(pipeline_conns(v->s->p), t->cookie))
		return false;
	stuck_time_wait_conn(t, out);
	return true;
}

static void walk_frozen(struct top *v,
			void (*f)(struct top *, const struct conn *, uint32_t, void *), void *arg)
{
	for (uint32_t i = 0; i < v->nfrozen; i++)
		f(v, &v->frozen[i].c, i, arg);
}

void order_each(struct top *v, void (*f)(struct top *v, const struct conn *c, uint32_t at,
					 void *arg), void *arg)
{
	const struct conntab *t = pipeline_conns(v->s->p);
	uint32_t cursor = 0;
	struct conn *c, tw;

	if (v->frozen) {
		walk_frozen(v, f, arg);
		return;
	}
	while ((c = conntab_next(pipeline_conns(v->s->p), &cursor)))
		if (wanted(v, c))
			f(v, c, conntab_index(t, c), arg);
	for (uint32_t i = 0; i < v->stuck.report.ntime_waits; i++)
		if (minisock_at(v, i, &tw) && wanted(v, &tw))
			f(v, &tw, i | minisock, arg);
}

void order_copy(struct copied *into, const struct conn *c)
{
	into->c = *c;
	into->end = *conn_end(c);
	into->c.end = &into->end;
}

static bool copy_at(const struct top *v, uint32_t at, struct copied *out)
{
	const struct conn *c;
	struct conn tw;

	if (v->frozen)
		c = &v->frozen[at].c;
	else if (at & minisock)
		c = minisock_at(v, at & ~minisock, &tw) ? &tw : NULL;
	else
		c = conntab_at_const(pipeline_conns(v->s->p), at);
	if (c)
		order_copy(out, c);
	return c != NULL;
}

/* ---- the page ----------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	const struct order_key *x = a, *y = b;

	if (x->hi != y->hi)
		return x->hi < y->hi ? -1 : 1;
	if (x->lo != y->lo)
		return x->lo < y->lo ? -1 : 1;
	return x->tie < y->tie ? -1 : x->tie > y->tie;
}

static void swap(struct order_key *a, struct order_key *b)
{
	struct order_key t = *a;

	*a = *b;
	*b = t;
}

/* Hoare's selection: afterwards k[nth] is in its place, smaller ones before it. */
static void place(struct order_key *k, uint32_t n, uint32_t nth)
{
	uint32_t lo = 0, hi = n ? n - 1 : 0, chance = n;

	while (lo < hi) {
		struct order_key pivot;
		uint32_t i = lo, j = hi;

		chance = chance * 1664525u + 1013904223u; /* nobody's order makes it slow */
		pivot = k[lo + (chance >> 8) % (hi - lo + 1)];
		for (;;) {
			while (compare(&k[i], &pivot) < 0)
				i++;
			while (compare(&k[j], &pivot) > 0)
				j--;
			if (i >= j)
				break;
			swap(&k[i++], &k[j--]);
		}
		if (nth <= j)
			hi = j;
		else
			lo = j + 1;
	}
}

static void collect(struct top *v, const struct conn *c, uint32_t at, void *arg)
{
	struct conns_pane *p = &v->conns;
	struct order_key *more;
	uint32_t cap;

	if (p->nkeys == p->keys_cap) {
		cap = p->keys_cap ? p->keys_cap * 2 : 1024;
		more = reallocarray(p->keys, cap, sizeof(*more));
		if (!more)
			return; /* the rest is not on the list: its length says so */
		p->keys = more;
		p->keys_cap = cap;
	}
	key_of(v, c, at, &p->keys[p->nkeys]);
	p->nkeys++;
}

/* Where the selected connection stands now. */
static void follow(struct conns_pane *p)
{
	const struct order_key *mine = NULL;
	uint32_t before = 0;

	for (uint32_t i = 0; i < p->nkeys && !mine; i++)
		if (p->keys[i].tie == p->cookie)
			mine = &p->keys[i];
	if (!mine)
		return;
	for (uint32_t i = 0; i < p->nkeys; i++)
		before += compare(&p->keys[i], mine) < 0;
	p->selected = before;
}

static void keep_in_sight(struct conns_pane *p)
{
	uint32_t last = p->nkeys ? p->nkeys - 1 : 0;

	if (p->selected > last)
		p->selected = last;
	if (p->selected < p->offset)
		p->offset = p->selected;
	if (p->page && p->selected >= p->offset + p->page)
		p->offset = p->selected - p->page + 1;
	if (p->nkeys < p->offset + p->page)
		p->offset = p->nkeys > p->page ? p->nkeys - p->page : 0;
}

static void take_rows(struct top *v, uint32_t first, uint32_t n)
{
	struct conns_pane *p = &v->conns;

	p->nrows = 0;
	for (uint32_t i = 0; i < n; i++) {
		struct conn_row *r = &p->rows[p->nrows];
		const struct stuck_item *item;

		if (!copy_at(v, p->keys[first + i].at, &r->copy))
			continue;
		item = findings_of(v, r->copy.c.cookie);
		r->severity = item ? item->finding.severity : SEV_NONE;
		r->kind = item ? item->finding.kind : FIND_NONE;
		p->nrows++;
	}
}

void order_page(struct top *v)
{
	struct conns_pane *p = &v->conns;
	uint32_t n;

	p->nkeys = 0;
	if (p->page > ROWS_KEPT)
		p->page = ROWS_KEPT;
	order_each(v, collect, NULL);
	if (p->follows && p->cookie)
		follow(p);
	keep_in_sight(p);
	n = p->nkeys - p->offset < p->page ? p->nkeys - p->offset : p->page;
	if (n) {
		place(p->keys, p->nkeys, p->offset);
		if (n < p->nkeys - p->offset)
			place(p->keys + p->offset, p->nkeys - p->offset, n);
		qsort(p->keys + p->offset, n, sizeof(*p->keys), compare);
	}
	take_rows(v, p->offset, n);
	p->cookie = p->selected - p->offset < p->nrows
			    ? p->rows[p->selected - p->offset].copy.c.cookie
			    : 0;
}

/* ---- a pause --------------------------------------------------------------------------------------- */

static void freeze_one(struct top *v, const struct conn *c, uint32_t at, void *arg)
{
	struct copied *into = arg;

	v->frozen_of++;
	if (v->nfrozen < FROZEN_MAX)
		order_copy(&into[v->nfrozen++], c);
}

void order_freeze(struct top *v)
{
	struct copied *copies = calloc(FROZEN_MAX, sizeof(*copies));

	v->nfrozen = v->frozen_of = 0;
	if (!copies)
		return; /* the list goes on; the rest stands still */
	order_each(v, freeze_one, copies);
	v->frozen = copies;
}

void order_thaw(struct top *v)
{
	free(v->frozen);
	v->frozen = NULL;
	v->nfrozen = v->frozen_of = 0;
}
