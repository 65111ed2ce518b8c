/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a lookup of one minisock says (EV_TW_LOOKUP), where no event tells.
 *
 * Always: between two looks nothing is known; a time is what an answer gives (the
 * timer's rest), or the estimate that it is called. An orphan FIN_WAIT_2 is looked
 * at once more shortly before its time is over: only then "gone" means "run out".
 */
#include "connection/facts.h"
#include "pipeline_impl.h"

enum {
	LOOK_LEAST_MS = 100, /* WAIT_LOOKUP_1 */
	SHORT_S = 4,         /* between two looks; longer than WAIT_LOOKUP_4, shorter than _5 */
};

/* Was it there shortly before this? */
static bool looked_before(const struct conn *c, uint64_t ns)
{
	return conn_end(c)->looked_ns + 2 * LOOK_LEAST_MS * NSEC_PER_MS >= ns;
}

/* With the buckets full no minisock is made at all. */
static bool had_minisock(const struct pipeline *p, const struct conn *c)
{
	uint64_t most = facts_get(p->facts, FACT_MAX_TW_BUCKETS, c->netns);
	uint64_t now = facts_get(p->facts, FACT_TIME_WAIT, c->netns);

	return conn_end(c)->looked_ns ||
	       (most != FACT_UNKNOWN && now != FACT_UNKNOWN && now < most - most / 16);
}

/* Can nothing but a RST have taken it away since the last look? The FIN would have made a TIME_WAIT
 * of it, which only a new connection takes over, and that takes a while. */
static bool was_reset(const struct pipeline *p, const struct conn *c, uint64_t now_ns)
{
	uint64_t seen_ns = conn_end(c)->looked_ns ? conn_end(c)->looked_ns : c->state_ns;
	bool reused = facts_or(p->facts, FACT_TW_REUSE, c->netns, 2) == 1;

	return had_minisock(p, c) && !reused && now_ns - seen_ns <= SHORT_S * NSEC_PER_SEC &&
	       facts_or(p->facts, FACT_RST_OF_MINISOCK, 0, 0);
}

/* An orphan FIN_WAIT_2 is gone, and not into TIME_WAIT. If its time was not over, a RST ended it: the
 * peer's, for one of ours (it answers data so) is traced from 6.12 on. When, only the looks say. */
void asked_gone(struct pipeline *p, struct conn *c, uint64_t now_ns)
{
	uint64_t over_ns = c->state_ns + c->timer_expires_ms * NSEC_PER_MS;

	if (c->timer_expires_ms && now_ns >= over_ns) {
		if (!looked_before(c, over_ns))
			c->evidence |= EVIDENCE_ESTIMATE; /* most likely: nobody looked just then */
		minisock_gone(p, c, over_ns, false);
		return;
	}
	if (c->detail & DETAIL_TAKEN_OVER || !was_reset(p, c, now_ns)) {
		gone_unasked(p, c);
		return;
	}
	c->evidence |= EVIDENCE_ESTIMATE;
	c->seen |= SEEN_RST_RECEIVED;
	minisock_gone(p, c, now_ns, false);
}

/* No minisock there. Where a hook tells of its end, that word is on its way in the ring, behind the
 * answer: it is waited for once; had it been lost, the next look would settle it. */
static void no_time_wait(struct pipeline *p, struct conn *c, uint64_t now_ns)
{
	struct conn_end *end = conntab_end(p->conns, c);
	uint64_t over_ns = end->tw_ns + TIME_WAIT_S * NSEC_PER_SEC;

	if ((p->sees_tw_enter || p->sees_tw_leave) && !end->tw_left_ns)
		end->tw_left_ns = now_ns;
	else if (now_ns >= over_ns)
		minisock_reaped(p, c, over_ns, TW_EXPIRED);
	else
		minisock_reaped(p, c, now_ns, TW_KILLED);
}

void asked_minisock(struct pipeline *p, const struct event *e)
{
	struct conn *c = conntab_find(p->conns, e->cookie);
	uint64_t left_ns = e->extra.lookup.expires_ms * NSEC_PER_MS;
	uint64_t spent_ns = TIME_WAIT_S * NSEC_PER_SEC - left_ns;

	if (e->extra.lookup.sure) {
		gone_lookup(p, e);
		return;
	}
	if (c && e->extra.lookup.found && e->extra.lookup.state == c->state && !minisock_has(c))
		snapshot_lookup(p, c, e);
	if (!c || (!minisock_has(c) && c->state != ST_TIME_WAIT))
		return;
	if (!e->extra.lookup.found) {
		if (c->state == ST_TIME_WAIT) {
			no_time_wait(p, c, e->ts_ns);
			return;
		}
		c->evidence |= EVIDENCE_LOOKUP;
		asked_gone(p, c, e->ts_ns);
		return;
	}
	if (minisock_has(c) && e->extra.lookup.state == ST_TIME_WAIT) {
		uint64_t fin_ns = e->ts_ns - spent_ns;

		if (left_ns > TIME_WAIT_S * NSEC_PER_SEC || fin_ns < c->state_ns)
			fin_ns = c->state_ns;
		minisock_fin(p, c, fin_ns, EVIDENCE_LOOKUP);
		minisock_time_wait(p, c, fin_ns, true);
	} else if (minisock_has(c)) {
		c->detail &= ~DETAIL_TAKEN_OVER; /* whoever wanted its tuple did not get it */
		c->timer = TIMER_FIN_WAIT_2;
		/* kept as the whole life, counted from the state's beginning */
		c->timer_expires_ms = (e->ts_ns - c->state_ns + left_ns) / NSEC_PER_MS;
		c->evidence |= EVIDENCE_LOOKUP;
		conntab_end(p->conns, c)->looked_ns = e->ts_ns;
		/* The look before its time is over says what the one after it means. */
		if (c->pending > ending_wait_within(left_ns))
			ending_wait(p, c, ending_wait_within(left_ns));
	}
}
