/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TIME_WAIT that no record waits for: only counted, into stats.now_in_state. Full mode's hooks
 * tell of each that goes; in base mode it is counted off when its minute is over (TCP_TIMEWAIT_LEN,
 * include/net/tcp.h), and never more are counted than the kernel says that it has.
 */
#include <string.h>

#include "pipeline_impl.h"

enum { TW_SECONDS = sizeof(((struct pipeline *)0)->tw_expiring[0]) / sizeof(uint32_t) };

/* Each that goes is announced from the first on: those counted before it as well, and those whose
 * minute was reckoned to be over while the kernel's timer, which rounds up, was not. */
void counts_leaving_is_told(struct pipeline *p)
{
	if (p->sees_tw_leave)
		return;
	p->sees_tw_leave = true;
	p->stats.now_in_state[ST_TIME_WAIT] += p->tw_presumed_over;
	memset(p->tw_expiring, 0, sizeof(p->tw_expiring));
	p->tw_here = 0;
	p->tw_counting = false;
}

void counts_left(struct pipeline *p)
{
	if (p->stats.now_in_state[ST_TIME_WAIT])
		p->stats.now_in_state[ST_TIME_WAIT]--;
}

void counts_time_wait(struct pipeline *p, uint32_t netns, uint64_t expires_ns)
{
	enum tw_place place = p->own_netns && netns == p->own_netns ? TW_HERE : TW_ELSEWHERE;
	uint64_t second = expires_ns / NSEC_PER_SEC + 1;

	p->stats.now_in_state[ST_TIME_WAIT]++;
	if (p->sees_tw_leave)
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
	uint32_t *in_tw = &p->stats.now_in_state[ST_TIME_WAIT];
	uint32_t over = *n < most ? *n : most;

	*n -= over;
	if (place == TW_HERE)
		p->tw_here -= over;
	if (over > *in_tw)
		over = *in_tw;
	*in_tw -= over;
	return over;
}

void counts_expire(struct pipeline *p, uint64_t now_ns)
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
void counts_at_most(struct pipeline *p, uint64_t most)
{
	for (unsigned i = 1; i <= TW_SECONDS && p->tw_here > most; i++)
		count_off(p, TW_HERE, p->tw_second + i, p->tw_here - (uint32_t)most);
}
