/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of connections: cookies are found through slots.h, tuples through
 * chains that the conns themselves are links of.
 *
 * Always true: a conn never moves; in use means cookie != 0; a conn is in exactly
 * one tuple chain when tuple_hash != 0. The hash is seeded by the table's own
 * address (cookies and addresses may come from a hostile file), so nothing that
 * is shown may depend on the order of buckets: walks go by index.
 */
#include <stdlib.h>
#include <string.h>

#include "conntab.h"
#include "table/slab.h"
#include "table/slots.h"

enum {
	FIRST_HEADS = 1024,
	CONN_BLOCK = 256 * 1024,
	END_BLOCK = 64 * 1024,
	STEP_BLOCK = 64 * 1024,
	ROOMS = 4,
	CAPACITY_MAX = 1 << 28,
};

/* How many steps each size of room holds (conn.steps_room). */
static const uint8_t room_steps[ROOMS] = {0, STEPS_SMALL, STEPS_MEDIUM, STEPS_LARGE};

const struct conn_end conn_end_none;

struct conntab {
	struct slots cookies;
	uint32_t capacity;
	uint32_t tuples_mask;   /* as many heads as there are slots, when there is memory */
	uint32_t *tuples;       /* heads of chains, newest first */
	uint64_t seed;
	uint64_t refused;
	struct slab conns, ends;
	struct slab steps[ROOMS]; /* [0] is not used */
	struct conn_end spare;  /* when memory is out: written, never read */
};

static inline uint32_t hash_cookie(const struct conntab *t, uint64_t cookie)
{
	return (uint32_t)slots_mix(cookie ^ t->seed);
}

/* Both addresses and both ports, not the namespace: the other end of a veth has another one.
 * Never 0. */
static uint32_t hash_tuple(const struct conntab *t, const uint8_t *la, uint16_t lp,
			   const uint8_t *pa, uint16_t pp)
{
	uint64_t a[2], b[2], h;

	memcpy(a, la, sizeof(a));
	memcpy(b, pa, sizeof(b));
	h = slots_mix(a[0] ^ t->seed) + a[1];
	h = slots_mix(h) + (b[0] ^ ((uint64_t)lp << 16 | pp));
	h = slots_mix(h) + b[1];
	return (uint32_t)slots_mix(h) | 1u << 31;
}

struct conntab *conntab_new(uint32_t capacity)
{
	struct conntab *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->capacity = capacity && capacity < CAPACITY_MAX ? capacity : CAPACITY_MAX;
	t->seed = slots_mix((uintptr_t)t);
	t->tuples_mask = FIRST_HEADS - 1;
	slab_init(&t->conns, sizeof(struct conn), CONN_BLOCK);
	slab_init(&t->ends, sizeof(struct conn_end), END_BLOCK);
	for (unsigned i = 1; i < ROOMS; i++)
		slab_init(&t->steps[i], room_steps[i] * sizeof(struct step), STEP_BLOCK);
	t->tuples = calloc(FIRST_HEADS, sizeof(*t->tuples));
	if (!slots_init(&t->cookies) || !t->tuples) {
		conntab_free(t);
		return NULL;
	}
	return t;
}

void conntab_free(struct conntab *t)
{
	if (!t)
		return;
	slab_free_all(&t->conns);
	slab_free_all(&t->ends);
	for (unsigned i = 1; i < ROOMS; i++)
		slab_free_all(&t->steps[i]);
	slots_free(&t->cookies);
	free(t->tuples);
	free(t);
}

uint32_t conntab_count(const struct conntab *t)
{
	return t->cookies.count;
}

uint64_t conntab_refused(const struct conntab *t)
{
	return t->refused;
}

uint64_t conntab_bytes(const struct conntab *t)
{
	uint64_t n = sizeof(*t) + slots_bytes(&t->cookies) +
		     (t->tuples_mask + 1ull) * sizeof(*t->tuples) + slab_bytes(&t->conns) +
		     slab_bytes(&t->ends);

	for (unsigned i = 1; i < ROOMS; i++)
		n += slab_bytes(&t->steps[i]);
	return n;
}

static inline struct conn *at(const struct conntab *t, uint32_t index)
{
	return slab_item(&t->conns, index);
}

static inline bool has_cookie(const void *owner, uint32_t index, const void *key)
{
	return at(owner, index)->cookie == *(const uint64_t *)key;
}

static inline uint32_t place_of(const struct conntab *t, uint64_t cookie, uint32_t hash)
{
	return slots_find(&t->cookies, hash, has_cookie, t, &cookie);
}

struct conn *conntab_find(struct conntab *t, uint64_t cookie)
{
	uint32_t index = t->cookies.at[place_of(t, cookie, hash_cookie(t, cookie))].index;

	return index ? at(t, index) : NULL;
}

/* Doubling sends each tuple chain to two chains; the walk keeps their order (newest first). */
static void split_chains(struct conntab *t, uint32_t *heads, uint32_t new_mask)
{
	for (uint32_t bucket = 0; bucket <= t->tuples_mask; bucket++) {
		uint32_t tail[2] = { 0, 0 }, next;

		for (uint32_t i = t->tuples[bucket]; i; i = next) {
			struct conn *c = at(t, i);
			uint32_t to = c->tuple_hash & new_mask, half = to != bucket;

			next = c->tuple_next;
			c->tuple_prev = tail[half];
			c->tuple_next = 0;
			if (tail[half])
				at(t, tail[half])->tuple_next = i;
			else
				heads[to] = i;
			tail[half] = i;
		}
	}
}

/* Without memory for it the chains stay longer than they should, and right. */
static void grow_tuples(struct conntab *t)
{
	uint32_t mask = t->tuples_mask * 2 + 1;
	uint32_t *heads = calloc((size_t)mask + 1, sizeof(*heads));

	if (!heads)
		return;
	split_chains(t, heads, mask);
	free(t->tuples);
	t->tuples = heads;
	t->tuples_mask = mask;
}

struct conn *conntab_add(struct conntab *t, uint64_t cookie)
{
	uint32_t hash = hash_cookie(t, cookie), i, index;
	struct conn *c;

	if (!cookie)
		return NULL;
	i = place_of(t, cookie, hash);
	if (t->cookies.at[i].index)
		return at(t, t->cookies.at[i].index);
	if (t->cookies.count >= t->capacity || !slots_room(&t->cookies))
		goto refuse;
	if (t->tuples_mask < t->cookies.mask)
		grow_tuples(t);
	index = slab_alloc(&t->conns);
	if (!index)
		goto refuse;
	c = at(t, index);
	memset(c, 0, sizeof(*c));
	c->cookie = cookie;
	slots_set(&t->cookies, place_of(t, cookie, hash), hash, index);
	return c;
refuse:
	t->refused++;
	return NULL;
}

static void tuple_unlink(struct conntab *t, struct conn *c)
{
	if (!c->tuple_hash)
		return;
	if (c->tuple_prev)
		at(t, c->tuple_prev)->tuple_next = c->tuple_next;
	else
		t->tuples[c->tuple_hash & t->tuples_mask] = c->tuple_next;
	if (c->tuple_next)
		at(t, c->tuple_next)->tuple_prev = c->tuple_prev;
	c->tuple_next = c->tuple_prev = c->tuple_hash = 0;
}

struct conn_end *conntab_end_make(struct conntab *t, struct conn *c)
{
	uint32_t index = slab_alloc(&t->ends);

	if (!index) {
		c->incomplete |= INCOMPLETE_LOST;
		return &t->spare;
	}
	c->end = slab_item(&t->ends, index);
	memset(c->end, 0, sizeof(*c->end));
	return c->end;
}

void conntab_del(struct conntab *t, struct conn *c)
{
	uint32_t index = slab_index(&t->conns, c);

	tuple_unlink(t, c);
	if (c->steps_room)
		slab_free(&t->steps[c->steps_room], c->steps_at);
	if (c->end)
		slab_free(&t->ends, slab_index(&t->ends, c->end));
	slots_clear(&t->cookies, place_of(t, c->cookie, hash_cookie(t, c->cookie)));
	c->cookie = 0;
	slab_free(&t->conns, index);
}

uint32_t conntab_index(const struct conntab *t, const struct conn *c)
{
	return c ? slab_index(&t->conns, c) : 0;
}

struct conn *conntab_at(struct conntab *t, uint32_t index)
{
	struct conn *c = slab_at(&t->conns, index);

	return c && c->cookie ? c : NULL;
}

const struct conn *conntab_at_const(const struct conntab *t, uint32_t index)
{
	const struct conn *c = slab_at(&t->conns, index);

	return c && c->cookie ? c : NULL;
}

uint64_t conntab_peer_cookie(const struct conntab *t, const struct conn *c)
{
	const struct conn *o = conntab_at_const(t, c->peer_conn);

	return o ? o->cookie : conn_end(c)->peer_cookie;
}

void conntab_set_tuple(struct conntab *t, struct conn *c)
{
	uint32_t index = conntab_index(t, c), *head;

	tuple_unlink(t, c);
	c->tuple_hash = hash_tuple(t, c->local, c->lport, c->peer, c->pport);
	head = &t->tuples[c->tuple_hash & t->tuples_mask];
	c->tuple_next = *head;
	if (*head)
		at(t, *head)->tuple_prev = index;
	*head = index;
}

struct conn *conntab_find_tuple(struct conntab *t, uint32_t netns, const uint8_t *la, uint16_t lp,
				const uint8_t *pa, uint16_t pp, const struct conn *except)
{
	uint32_t hash = hash_tuple(t, la, lp, pa, pp);
	uint32_t i = t->tuples[hash & t->tuples_mask];

	while (i) {
		struct conn *c = at(t, i);

		if (c->tuple_hash == hash && c != except && c->lport == lp && c->pport == pp &&
		    (!netns || c->netns == netns) && !memcmp(c->local, la, sizeof(c->local)) &&
		    !memcmp(c->peer, pa, sizeof(c->peer)))
			return c;
		i = c->tuple_next;
	}
	return NULL;
}

static void count_dropped(struct conntab *t, struct conn *c)
{
	struct conn_end *end = conntab_end(t, c);

	if (end->steps_dropped < UINT16_MAX)
		end->steps_dropped++;
}

/* Into the next larger room. False when memory is out. */
static bool move_steps(struct conntab *t, struct conn *c)
{
	struct slab *from = &t->steps[c->steps_room], *to = from + 1;
	uint32_t index = slab_alloc(to);

	if (!index)
		return false;
	if (c->steps_room) {
		memcpy(slab_item(to, index), slab_item(from, c->steps_at),
		       c->steps_len * sizeof(struct step));
		slab_free(from, c->steps_at);
	}
	c->steps_room++;
	c->steps_at = index;
	return true;
}

/* A place for one more step: in ever larger rooms, then in place of the oldest of those behind the
 * first few. NULL when memory is out. */
static struct step *step_place(struct conntab *t, struct conn *c)
{
	struct step *steps;

	if (c->steps_len == STEPS_LARGE) {
		steps = slab_item(&t->steps[c->steps_room], c->steps_at);
		memmove(steps + STEPS_KEEP, steps + STEPS_KEEP + 1,
			(STEPS_LARGE - STEPS_KEEP - 1) * sizeof(*steps));
		count_dropped(t, c);
		return steps + STEPS_LARGE - 1;
	}
	if (c->steps_len == room_steps[c->steps_room] && !move_steps(t, c)) {
		count_dropped(t, c);
		return NULL;
	}
	steps = slab_item(&t->steps[c->steps_room], c->steps_at);
	return steps + c->steps_len++;
}

void conntab_step_add(struct conntab *t, struct conn *c, const struct step *s)
{
	struct step *place = step_place(t, c);

	if (place)
		*place = *s;
}

const struct step *conntab_step(const struct conntab *t, const struct conn *c, unsigned i)
{
	return (const struct step *)slab_item(&t->steps[c->steps_room], c->steps_at) + i;
}

struct conn *conntab_next(struct conntab *t, uint32_t *cursor)
{
	uint32_t i = *cursor;

	while ((i = slab_next(&t->conns, i + 1))) {
		struct conn *c = at(t, i);

		*cursor = i;
		if (c->cookie)
			return c;
	}
	return NULL;
}
