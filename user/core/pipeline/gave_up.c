/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel gives a connection up by a timer (tcp_write_err()): which one it was.
 *
 * Told by what waits at ->CLOSE: the retransmission timer runs while something is in
 * flight, the persist timer while something is not sent, keepalive's when nothing
 * waits. The persist timer also tries again what did not leave this host, with the
 * peer's window open: that is a retransmission in all but name. The error does not
 * tell: it is ETIMEDOUT, or what an ICMP message had said before (sk_err_soft), and
 * that only names why nobody answered.
 */
#include <errno.h>

#include "connection/facts.h"
#include "pipeline_impl.h"

/* Has a timer tried without an answer? An ICMP message alone ends no open connection, not even where
 * its process wants to hear of it (IP_RECVERR). */
bool ending_tried(const struct event_tcp *t)
{
	return t->probes_out || (t->retransmits && t->snd_una != t->snd_nxt);
}

bool ending_window_shut(const struct event_tcp *t)
{
	uint32_t waits = t->write_seq - t->snd_nxt;
	int32_t room = (int32_t)(t->snd_una + t->snd_wnd - t->snd_nxt); /* < 0: it was taken back */

	return room < (int32_t)(waits < t->mss ? waits : t->mss);
}

static enum event_timer timer_behind(const struct event_tcp *t)
{
	if (t->snd_una != t->snd_nxt)
		return TIMER_RETRANSMIT;
	if (t->write_seq == t->snd_nxt)
		return TIMER_KEEPALIVE;
	return ending_window_shut(t) ? TIMER_PERSIST : TIMER_RETRANSMIT;
}

/* How long the persist timer has tried since its last answer: it doubles from the first wait on
 * (tcp_probe0_when()), and fires an eighth late at most. tcp_write_queue_purge() has set icsk_backoff
 * back by now. */
static uint64_t tried_for_us(const struct event_tcp *t)
{
	const uint64_t shortest = 200000, longest = 120000000; /* TCP_RTO_MIN, TCP_RTO_MAX */
	uint64_t wait = t->rto_us > shortest ? t->rto_us : shortest, us = 0;

	for (unsigned i = 0; i < t->probes_out; i++) {
		wait = wait * 2 < longest ? wait * 2 : longest;
		us += wait;
	}
	return us + us / 8;
}

/* The number of probes in a row without an answer that tcp_probe_timer() takes for the end. */
static uint64_t probes_limit(const struct pipeline *p, const struct event *e)
{
	uint64_t orphan = facts_or(p->facts, FACT_ORPHAN_RETRIES, e->netns, 0);

	if (e->flags & EVF_DEAD)
		return orphan ? orphan : 8; /* tcp_orphan_retries() */
	return facts_or(p->facts, FACT_RETRIES2, e->netns, 15);
}

/* TCP_USER_TIMEOUT stands for the number of retransmissions and of keepalive probes. The persist
 * timer heeds both: the time since the window shut, whatever was answered, and its own count. */
static bool by_user_timeout(const struct pipeline *p, const struct conn *c, const struct event *e)
{
	const struct event_tcp *t = &e->tcp;
	uint64_t limit_us = e->extra.state.user_timeout_ms * 1000ULL;

	if (!limit_us || t->snd_una != t->snd_nxt || t->write_seq == t->snd_nxt)
		return limit_us;
	if (c->seen & SEEN_EST_TIME && e->ts_ns - c->est_ns < limit_us * 1000)
		return false;
	return tried_for_us(t) >= limit_us || t->probes_out < probes_limit(p, e);
}

void ending_gave_up(struct pipeline *p, struct conn *c, const struct event *e, bool icmp)
{
	const struct event_tcp *t = &e->tcp;
	struct conn_end *end = conntab_end(p->conns, c);
	enum retransmit_kind k;

	if (t->err != ETIMEDOUT && !(icmp && ending_tried(t)))
		return;
	end->gave_up = timer_behind(t);
	if (by_user_timeout(p, c, e))
		c->detail |= DETAIL_USER_TIMEOUT;
	if (end->gave_up == TIMER_RETRANSMIT)
		return;
	/* In base mode only their count is seen. */
	k = end->gave_up == TIMER_PERSIST ? RT_ZERO_WINDOW_PROBE : RT_KEEPALIVE;
	if (end->retransmits[k] < t->probes_out)
		end->retransmits[k] = t->probes_out;
}

/* An unanswered SYN has a number of tries too (tcp_syn_retries), and each of its time-outs asks for
 * both: had the time been over before, it would have been the end. In whole milliseconds, at both its
 * ends (tcp_time_stamp()). */
void ending_syn_gave_up(struct conn *c, const struct event *e)
{
	uint64_t limit_ms = e->extra.state.user_timeout_ms;

	if (e->old_state == ST_SYN_SENT && e->tcp.err == ETIMEDOUT && limit_ms &&
	    c->seen & SEEN_SYN_TIME && (e->ts_ns - c->syn_ns) / NSEC_PER_MS + 1 >= limit_ms)
		c->detail |= DETAIL_USER_TIMEOUT;
}
