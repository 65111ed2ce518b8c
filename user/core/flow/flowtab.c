/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of flows: both directions of one pair of endpoints are one entry,
 * found (slots.h) by the pair in a fixed order.
 *
 * Always bounded: a flow whose ends are closed is kept for 2MSL, because its last
 * segments may come again, or until its room is needed; a new flow that finds no
 * room is counted and not followed. The hash is seeded by the table's address, so
 * that a hostile capture cannot choose its collisions; nothing that is shown
 * depends on the order of slots.
 */
#include <stdlib.h>
#include <string.h>

#include "flow_impl.h"

enum { FLOW_BLOCK = 256 * 1024, FLOWS_MAX = 1 << 24 };
static const uint64_t KEEP_NS = 60 * FLOW_NS_PER_S; /* what Linux takes for 2MSL */

struct pair {
	const uint8_t *addr[2];
	uint16_t port[2];
	bool swapped; /* the sender is the second */
};

static struct pair pair_of(const struct wire_segment *s)
{
	int order = memcmp(s->src, s->dst, 16);
	bool swap = order > 0 || (!order && s->sport > s->dport);

	if (swap)
		return (struct pair){{s->dst, s->src}, {s->dport, s->sport}, true};
	return (struct pair){{s->src, s->dst}, {s->sport, s->dport}, false};
}

static uint32_t hash_of(const struct flowtab *t, const struct pair *p)
{
	uint64_t a[2], b[2], h;

	memcpy(a, p->addr[0], sizeof(a));
	memcpy(b, p->addr[1], sizeof(b));
	h = slots_mix((uintptr_t)t ^ a[0] ^ ((uint64_t)p->port[0] << 16 | p->port[1])) + a[1];
	h = slots_mix(h ^ b[0]) + b[1];
	return (uint32_t)slots_mix(h);
}

static struct flow *at(const struct flowtab *t, uint32_t index)
{
	return slab_item(&t->flows, index);
}

static inline bool has_pair(const void *owner, uint32_t index, const void *key)
{
	const struct flow *f = at(owner, index);
	const struct pair *p = key;

	return f->port[0] == p->port[0] && f->port[1] == p->port[1] &&
	       !memcmp(f->addr[0], p->addr[0], 16) && !memcmp(f->addr[1], p->addr[1], 16);
}

static uint32_t place_of(const struct flowtab *t, const struct pair *p, uint32_t hash)
{
	return slots_find(&t->pairs, hash, has_pair, t, p);
}

struct flowtab *flowtab_new(uint32_t max_flows, flow_emit_fn emit, void *ctx)
{
	struct flowtab *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->emit = emit;
	t->ctx = ctx;
	t->max = max_flows && max_flows < FLOWS_MAX ? max_flows : FLOWS_MAX;
	slab_init(&t->flows, sizeof(struct flow), FLOW_BLOCK);
	if (!slots_init(&t->pairs)) {
		free(t);
		return NULL;
	}
	return t;
}

void flowtab_free(struct flowtab *t)
{
	if (!t)
		return;
	slab_free_all(&t->flows);
	slots_free(&t->pairs);
	free(t);
}

/* ---- those that are closed ------------------------------------------------------ */

static void idle_unlink(struct flowtab *t, struct flow *f)
{
	if (f->idle_prev)
		at(t, f->idle_prev)->idle_next = f->idle_next;
	else
		t->idle_head = f->idle_next;
	if (f->idle_next)
		at(t, f->idle_next)->idle_prev = f->idle_prev;
	else
		t->idle_tail = f->idle_prev;
	f->idle_next = f->idle_prev = 0;
}

void flow_retire(struct flowtab *t, struct flow *f, uint64_t ts_ns)
{
	uint32_t index = slab_index(&t->flows, f);

	f->closed = true;
	f->closed_ns = t->now_ns;
	f->idle_prev = t->idle_tail;
	f->idle_next = 0;
	if (t->idle_tail)
		at(t, t->idle_tail)->idle_next = index;
	else
		t->idle_head = index;
	t->idle_tail = index;
}

static void forget(struct flowtab *t, struct flow *f)
{
	struct pair p = {{f->addr[0], f->addr[1]}, {f->port[0], f->port[1]}, false};

	idle_unlink(t, f);
	flow_tell_reaped(t, f);
	slots_clear(&t->pairs, place_of(t, &p, f->hash));
	f->number = 0;
	slab_free(&t->flows, slab_index(&t->flows, f));
}

void flow_expire(struct flowtab *t, uint64_t now_ns)
{
	struct flow *f;

	while (t->idle_head && (f = at(t, t->idle_head))->closed_ns + KEEP_NS <= now_ns)
		forget(t, f);
}

static void begin(struct flowtab *t, struct flow *f)
{
	memset(f->end, 0, sizeof(f->end));
	f->number = ++t->numbered;
	f->rtt_ns = 0;
	f->has_next = f->closed = f->simultaneous = f->fastopen = false;
	f->fins = f->first_fin = 0;
	t->stats.flows++;
}

void flow_restart(struct flowtab *t, struct flow *f)
{
	if (f->closed) {
		idle_unlink(t, f);
		flow_tell_reaped(t, f);
	}
	begin(t, f);
}

/* ---- finding and making --------------------------------------------------------- */

static struct flow *make_flow(struct flowtab *t, const struct pair *p, uint32_t hash)
{
	struct flow *f;
	uint32_t index;

	if (t->pairs.count >= t->max && t->idle_head)
		forget(t, at(t, t->idle_head));
	if (t->pairs.count >= t->max || !slots_room(&t->pairs))
		return NULL;
	index = slab_alloc(&t->flows);
	if (!index)
		return NULL;
	f = at(t, index);
	memset(f, 0, sizeof(*f));
	for (unsigned side = 0; side < 2; side++) {
		memcpy(f->addr[side], p->addr[side], 16);
		f->port[side] = p->port[side];
	}
	f->self = p->port[0] == p->port[1] && !memcmp(p->addr[0], p->addr[1], 16);
	f->hash = hash;
	slots_set(&t->pairs, place_of(t, p, hash), hash, index);
	begin(t, f);
	return f;
}

struct flow *flow_find(struct flowtab *t, const struct wire_segment *s, bool make, uint8_t *side)
{
	struct pair p = pair_of(s);
	uint32_t hash = hash_of(t, &p);
	uint32_t index = t->pairs.at[place_of(t, &p, hash)].index;
	struct flow *f = index ? at(t, index) : NULL;

	*side = p.swapped;
	if (f || !make)
		return f;
	f = make_flow(t, &p, hash);
	if (!f)
		t->stats.refused++;
	return f;
}

/* ---- the end -------------------------------------------------------------------- */

void flowtab_finish(struct flowtab *t, uint64_t ts_ns)
{
	for (uint32_t i = slab_next(&t->flows, 1); i; i = slab_next(&t->flows, i + 1)) {
		struct flow *f = at(t, i);

		if (!f->number || f->closed)
			continue;
		for (unsigned side = 0; side < 2u - f->self; side++)
			flow_tell_counters(t, f, side, ts_ns);
	}
}

const struct flow_stats *flowtab_stats(const struct flowtab *t)
{
	return &t->stats;
}

uint32_t flowtab_count(const struct flowtab *t)
{
	return t->pairs.count;
}
