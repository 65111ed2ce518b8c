/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sweep: questions in small steps, suspects, and the walk that settles them.
 *
 * The cost is bounded: STEP_ASKS questions of some microseconds in a step, then a
 * rest of ROUND_REST times what a round through the table took; walks only while
 * there are suspects, with a rest of WALK_REST times what the last one took.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/connection/conn.h"
#include "core/pipeline/pipeline.h"
#include "live.h"
#include "sweep.h"

enum {
	STEP_ASKS = 32,
	STEP_LOOKS = 8192,  /* entries of the table that a step looks at */
	SUSPECTS = 4096,
	ROUND_REST = 500,
	WALK_REST = 50,
};

static const uint64_t step_every_ns = 50000000;
static const uint64_t count_every_ns = 1000000000;
static const uint64_t settled_after_ns = 20000000000; /* in one state: before, events are near */
static const uint64_t suspect_for_ns = 10000000000;
static const uint64_t round_every_ns = 30000000000;

struct suspect {
	uint64_t cookie;
	uint64_t since_ns;
	struct lookup_answer answer; /* the second */
	bool there;                  /* the walk has seen it */
};

void sweep_free(struct sweep *s)
{
	free(s->suspects);
	slots_free(&s->walked);
	s->suspects = NULL;
}

/* Found, and no longer than a minute: all that is left of it. */
static bool is_time_wait(const struct lookup_answer *a)
{
	return a->found && a->state == ST_TIME_WAIT;
}

/* ---- asking, a few at a time -------------------------------------------------------------- */

static void suspect(struct sweep *s, uint64_t cookie, uint64_t now_ns)
{
	if (!s->suspects)
		s->suspects = calloc(SUSPECTS, sizeof(*s->suspects));
	if (!s->suspects)
		return;
	for (unsigned i = 0; i < s->nsuspects; i++)
		if (s->suspects[i].cookie == cookie)
			return;
	s->suspects[s->nsuspects++] = (struct suspect){.cookie = cookie, .since_ns = now_ns};
}

static void step(struct sweep *s, struct live *l, struct pipeline *p, uint64_t now_ns)
{
	struct lookup_request r;
	struct lookup_answer a;
	unsigned looks = STEP_LOOKS, asks = 0;
	uint64_t rest_ns;

	for (; asks < STEP_ASKS && s->nsuspects < SUSPECTS; asks++) {
		if (!pipeline_next_settled(p, &s->cursor, &looks, l->lookup.netns,
					   now_ns - settled_after_ns, &r))
			break;
		if (!lookup_any(&l->lookup, &r, &a) && (!a.found || is_time_wait(&a)))
			suspect(s, r.cookie, now_ns);
	}
	s->spent_ns += live_now() - now_ns;
	s->step_ns = now_ns + step_every_ns;
	if (asks == STEP_ASKS || !looks || s->nsuspects == SUSPECTS)
		return; /* the round is not over */
	rest_ns = s->spent_ns * ROUND_REST;
	s->step_ns = now_ns + (rest_ns > round_every_ns ? rest_ns : round_every_ns);
	s->spent_ns = 0;
	s->cursor = 0;
}

/* ---- the second question, and the walk ------------------------------------------------------- */

static bool is_suspect(const void *owner, uint32_t index, const void *key)
{
	const struct sweep *s = owner;

	return s->suspects[index - 1].cookie == *(const uint64_t *)key;
}

static uint32_t place_of(const struct sweep *s, uint64_t cookie)
{
	return slots_find(&s->walked, (uint32_t)slots_mix(cookie), is_suspect, s, &cookie);
}

bool sweep_takes(struct sweep *s, const struct event *e)
{
	uint32_t index;

	if (e->kind != EV_SOCK && e->kind != EV_TW_SOCK && e->kind != EV_REQ_SOCK)
		return false;
	index = s->walked.at[place_of(s, e->cookie)].index;
	if (index)
		s->suspects[index - 1].there = true;
	return true;
}

/* Still a connection of ours, and still not found (or found in TIME_WAIT)? */
static bool still(struct live *l, struct pipeline *p, struct suspect *k, bool ask)
{
	struct lookup_request r;

	if (!pipeline_settled(p, k->cookie, l->lookup.netns, k->since_ns, &r))
		return false;
	if (!ask)
		return true;
	return !lookup_any(&l->lookup, &r, &k->answer) &&
	       (!k->answer.found || is_time_wait(&k->answer));
}

/* Those that have waited: asked again. How many are left; they stand first. */
static unsigned ask_again(struct sweep *s, struct live *l, struct pipeline *p, uint64_t now_ns)
{
	unsigned kept = 0, due = 0;

	for (unsigned i = 0; i < s->nsuspects; i++) {
		struct suspect k = s->suspects[i];

		if (now_ns - k.since_ns >= suspect_for_ns) {
			if (!still(l, p, &k, true))
				continue;
			due++;
		}
		k.there = false;
		s->suspects[kept++] = k;
	}
	s->nsuspects = kept;
	return due;
}

/* 0 when every socket that is there was told of. */
static int walk(struct sweep *s, struct live *l, struct pipeline *p, unsigned due)
{
	uint64_t lost = live_ring_lost(l);
	int err = slots_init(&s->walked) ? 0 : -ENOMEM;

	for (unsigned i = 0; i < due && !err; i++) {
		uint64_t cookie = s->suspects[i].cookie;

		if (slots_room(&s->walked))
			slots_set(&s->walked, place_of(s, cookie), (uint32_t)slots_mix(cookie),
				  i + 1);
		else
			err = -ENOMEM;
	}
	s->walks = true;
	if (!err)
		err = live_iterate_tcp(l, p);
	s->walks = false;
	slots_free(&s->walked);
	return err ? err : live_ring_lost(l) != lost ? -ENOBUFS : 0;
}

static void tell_gone(struct pipeline *p, const struct suspect *k, uint32_t netns)
{
	struct event e;

	live_event(&e, EV_TW_LOOKUP);
	e.cookie = k->cookie;
	e.netns = netns;
	e.extra.lookup.sure = 1;
	e.extra.lookup.found = k->answer.found;
	e.extra.lookup.state = k->answer.state;
	e.extra.lookup.expires_ms = k->answer.expires_ms;
	pipeline_feed(p, &e, sizeof(e));
}

static void settle(struct sweep *s, struct live *l, struct pipeline *p, uint64_t now_ns)
{
	unsigned due = ask_again(s, l, p, now_ns), unfound = 0;
	int err = 0;

	for (unsigned i = 0; i < due; i++)
		unfound += !s->suspects[i].answer.found;
	if (unfound)
		err = walk(s, l, p, due);
	for (unsigned i = 0; i < due; i++) {
		struct suspect *k = &s->suspects[i];

		if ((k->answer.found || (!err && !k->there)) && still(l, p, k, false))
			tell_gone(p, k, l->lookup.netns);
	}
	s->walk_ns = now_ns + suspect_for_ns + (live_now() - now_ns) * WALK_REST;
	if (err)
		due = 0; /* once more, when there is room */
	s->nsuspects -= due;
	memmove(s->suspects, s->suspects + due, s->nsuspects * sizeof(*s->suspects));
}

/* ---- TIME_WAIT, which is only counted -------------------------------------------------------- */

/* Told when the kernel has less, as when its buckets are full. FIN_WAIT_2 minisocks are among its
 * number: it is an upper bound all the same. */
static void hold_time_wait(struct sweep *s, struct live *l, struct pipeline *p, uint64_t now_ns)
{
	struct event e;
	uint64_t has;

	s->count_ns = now_ns + count_every_ns;
	if (!pipeline_time_wait_here(p) || fact_time_wait(&has) ||
	    has >= pipeline_time_wait_here(p))
		return;
	live_event(&e, EV_FACT);
	e.netns = l->lookup.netns;
	e.extra.fact.id = FACT_TIME_WAIT;
	e.extra.fact.value = has;
	pipeline_feed(p, &e, sizeof(e));
}

void sweep_turn(struct sweep *s, struct live *l, struct pipeline *p)
{
	uint64_t now_ns = live_now();

	if (l->cfg.snapshot_only || !l->lookup.netns)
		return;
	if (now_ns >= s->count_ns)
		hold_time_wait(s, l, p, now_ns);
	if (l->lookup.fd < 0)
		return;
	if (s->nsuspects && now_ns >= s->walk_ns &&
	    now_ns - s->suspects[0].since_ns >= suspect_for_ns)
		settle(s, l, p, now_ns);
	if (now_ns >= s->step_ns)
		step(s, l, p, now_ns);
}
