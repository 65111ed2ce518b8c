/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many sockets are in each state now, and what the FILTER wanted of that which happened.
 *
 * TIME_WAIT that no record waits for is only counted, into stats.now_in_state: those that the
 * FILTER wants when it begins. Full mode's hooks tell of each that goes; in base mode it is counted
 * off when its minute is over (TCP_TIMEWAIT_LEN, include/net/tcp.h), and never more are counted than
 * the kernel says that it has. A minisock that goes has no owner: a FILTER that asks for one has
 * the minute in full mode too.
 */
#include <string.h>

#include "filter/filter.h"
#include "pipeline_impl.h"

void census_change(struct pipeline *p, const struct change *ch)
{
	struct stats *st = &p->stats;

	if (ch->kind == CHANGE_STATE && ch->from != ch->to)
		st->transitions[ch->from][ch->to]++;
	else if (ch->kind == CHANGE_RETRANSMIT)
		st->retransmits[ch->retransmit]++;
	else if (ch->kind == CHANGE_RESET)
		st->resets[ch->received]++;
}

enum { TW_SECONDS = sizeof(((struct pipeline *)0)->tw_expiring[0]) / sizeof(uint32_t) };

/* Each that goes is announced from the first on: those counted before it as well, and those whose
 * minute was reckoned to be over while the kernel's timer, which rounds up, was not. */
void census_leaving_is_told(struct pipeline *p)
{
	if (p->sees_tw_leave)
		return;
	p->sees_tw_leave = true;
	if (!p->tw_by_tuple)
		return;
	p->stats.now_in_state[ST_TIME_WAIT] += p->tw_presumed_over;
	p->tw_counted += p->tw_presumed_over;
	memset(p->tw_expiring, 0, sizeof(p->tw_expiring));
	p->tw_here = 0;
	p->tw_counting = false;
}

struct conn census_minisock(const struct event *e)
{
	struct conn c = {
		.cookie = e->cookie,
		.netns = e->netns,
		.lport = e->lport,
		.pport = e->pport,
		.state = ST_TIME_WAIT,
	};

	memcpy(c.local, e->local, sizeof(c.local));
	memcpy(c.peer, e->peer, sizeof(c.peer));
	return c;
}

/* So many fewer; how many that was. */
static uint32_t counted_off(struct pipeline *p, uint32_t n)
{
	uint32_t *in_tw = &p->stats.now_in_state[ST_TIME_WAIT];

	if (n > p->tw_counted)
		n = p->tw_counted;
	p->tw_counted -= n;
	*in_tw -= n < *in_tw ? n : *in_tw;
	return n;
}

void census_left(struct pipeline *p, const struct event *e)
{
	const struct conn c = census_minisock(e);

	if (p->tw_by_tuple && pipeline_passes(p, &c, NULL))
		counted_off(p, 1);
}

void census_time_wait(struct pipeline *p, uint32_t netns, uint64_t expires_ns)
{
	enum tw_place place = p->own_netns && netns == p->own_netns ? TW_HERE : TW_ELSEWHERE;
	uint64_t second = expires_ns / NSEC_PER_SEC + 1;

	p->stats.now_in_state[ST_TIME_WAIT]++;
	p->tw_counted++;
	if (p->sees_tw_leave && p->tw_by_tuple)
		return; /* each end is announced */
	if (!p->tw_counting)
		p->tw_second = p->now_ns / NSEC_PER_SEC;
	p->tw_counting = true;
	if (second <= p->tw_second)
		second = p->tw_second + 1;
	if (second >= p->tw_second + TW_SECONDS)
		second = p->tw_second + TW_SECONDS - 1;
	p->tw_expiring[place][second % TW_SECONDS]++;
	p->tw_here += place == TW_HERE;
	if (p->next_due_ns > p->now_ns + NSEC_PER_SEC)
		p->next_due_ns = p->now_ns + NSEC_PER_SEC;
}

/* Counts off so many of those that end in this second. How many that was. */
static uint32_t count_off(struct pipeline *p, enum tw_place place, uint64_t second, uint32_t most)
{
	uint32_t *n = &p->tw_expiring[place][second % TW_SECONDS];
	uint32_t over = *n < most ? *n : most;

	*n -= over;
	if (place == TW_HERE)
		p->tw_here -= over;
	return counted_off(p, over);
}

void census_expire(struct pipeline *p, uint64_t now_ns)
{
	uint64_t second = now_ns / NSEC_PER_SEC;

	if (!p->tw_counting)
		return;
	if (second > p->tw_second + TW_SECONDS)
		p->tw_second = second - TW_SECONDS;
	while (p->tw_second < second) {
		p->tw_second++;
		for (unsigned place = 0; place < TW_PLACES; place++)
			p->tw_presumed_over += count_off(p, place, p->tw_second, UINT32_MAX);
	}
}

/* With tcp_max_tw_buckets full the kernel keeps none. Which ones it did not keep nobody tells: the
 * oldest are counted off, and so never more than it has, nor less. */
void census_at_most(struct pipeline *p, uint64_t most)
{
	for (unsigned i = 1; i <= TW_SECONDS && p->tw_here > most; i++)
		count_off(p, TW_HERE, p->tw_second + i, p->tw_here - (uint32_t)most);
}

static bool wanted_too(const struct pipeline *p, const struct filter *also, const struct conn *c)
{
	struct filter_subject s = {.conn = c, .procs = p->procs, .now_ns = p->now_ns};

	return pipeline_passes(p, c, NULL) && (!also || filter_match(also, &s) == FILTER_YES);
}

uint32_t pipeline_time_wait_counted(const struct pipeline *p)
{
	return p->tw_counted;
}

void pipeline_count_states(const struct pipeline *p, const struct filter *also,
			   uint64_t count[ST_COUNT])
{
	bool all = !also && !p->cfg.filter;
	const struct conn *c;
	uint32_t at = 0;

	for (unsigned s = 0; s < ST_COUNT; s++)
		count[s] = all ? p->stats.now_in_state[s] : 0;
	while (!all && (c = conntab_next(p->conns, &at)))
		if (c->state < ST_COUNT && c->state != ST_CLOSED && wanted_too(p, also, c))
			count[c->state]++;
	if (!all && !also)
		count[ST_TIME_WAIT] += p->tw_counted;
	count[ST_SYN_RECV] += count[ST_NEW_SYN_RECV];
	count[ST_NEW_SYN_RECV] = 0;
	count[ST_NONE] = 0;
}
