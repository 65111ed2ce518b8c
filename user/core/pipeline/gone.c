/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that are gone, and no event said so: the ring was full, a program had
 * no turn, or the kernel showed the change to no program at all.
 *
 * An event may always be late: whoever says that the kernel has a socket no more has
 * asked twice, and has read all that was told between. How it ended and when stays
 * unseen. What no other counter of the ledger can account for has one of its own.
 */
#include <string.h>

#include "pipeline_impl.h"

static void count_untold(struct pipeline *p, struct conn *c)
{
	c->incomplete |= INCOMPLETE_GAP;
	conntab_end(p->conns, c)->end_old_state = c->state;
	if (p->lost_at_ns < c->state_ns)
		p->stats.lost[LOSS_END_UNSEEN]++; /* else it is among what was lost since then */
}

/* No step of its timeline and no time: they would be when it was found out. */
void gone_unasked(struct pipeline *p, struct conn *c)
{
	const struct change gone = {
		.kind = CHANGE_STATE,
		.ts_ns = p->now_ns,
		.from = c->state,
		.to = ST_CLOSED,
		.inferred = true,
		.state_duration_ns = -1,
	};

	conntab_end(p->conns, c)->end_old_state = c->state;
	timeline_count_state(p, c, ST_CLOSED);
	timeline_report(p, c, &gone);
	ending_finish(p, c, 0);
}

void gone_unseen(struct pipeline *p, struct conn *c)
{
	count_untold(p, c);
	gone_unasked(p, c);
}

/* Both FINs have gone by; their numbers stay unknown where they were not seen. */
static void in_time_wait(struct pipeline *p, struct conn *c, const struct event *e)
{
	uint64_t left_ns = e->extra.lookup.expires_ms * NSEC_PER_MS;
	uint64_t since_ns = e->ts_ns;

	if (left_ns < TIME_WAIT_S * NSEC_PER_SEC)
		since_ns -= TIME_WAIT_S * NSEC_PER_SEC - left_ns;
	if (since_ns < c->state_ns)
		since_ns = c->state_ns;
	count_untold(p, c);
	c->evidence |= EVIDENCE_LOOKUP;
	c->seen |= SEEN_ESTABLISHED | SEEN_FIN_LOCAL | SEEN_FIN_PEER;
	minisock_time_wait(p, c, since_ns, true);
}

/* Its end would be told by an event, and nothing else waits for it. */
static bool awaits_event(const struct conn *c)
{
	const uint32_t open = 1u << ST_ESTABLISHED | 1u << ST_SYN_SENT | 1u << ST_SYN_RECV |
			      1u << ST_FIN_WAIT_1 | 1u << ST_FIN_WAIT_2 | 1u << ST_CLOSE_WAIT |
			      1u << ST_LAST_ACK | 1u << ST_CLOSING;

	return open >> c->state & 1 && !c->pending && c->role != ROLE_LISTENER && c->lport &&
	       !(c->seen & (SEEN_CLOSE | SEEN_MINISOCK)) && !(c->detail & DETAIL_EMBRYO);
}

void gone_lookup(struct pipeline *p, const struct event *e)
{
	struct conn *c = conntab_find(p->conns, e->cookie);

	if (!c || !awaits_event(c))
		return;
	if (!e->extra.lookup.found)
		gone_unseen(p, c);
	else if (e->extra.lookup.state == ST_TIME_WAIT)
		in_time_wait(p, c, e);
}

static bool is_settled(const struct conn *c, uint32_t netns, uint64_t before_ns)
{
	return c->netns == netns && c->state_ns < before_ns && awaits_event(c);
}

bool pipeline_settled(const struct pipeline *p, uint64_t cookie, uint32_t netns,
		      uint64_t before_ns, struct lookup_request *out)
{
	const struct conn *c = conntab_find(p->conns, cookie);

	if (!c || !is_settled(c, netns, before_ns))
		return false;
	ending_lookup_of(out, c);
	return true;
}

bool pipeline_next_settled(const struct pipeline *p, uint32_t *cursor, unsigned *looks,
			   uint32_t netns, uint64_t before_ns, struct lookup_request *out)
{
	const struct conn *c;

	while (*looks && (c = conntab_next(p->conns, cursor))) {
		--*looks;
		if (!is_settled(c, netns, before_ns))
			continue;
		ending_lookup_of(out, c);
		return true;
	}
	return false;
}
