/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the kernel gives a socket up by itself, reckoned as net/ipv4/tcp_timer.c does.
 *
 * tcp_write_timeout() turns a number of retries into a time, from the shortest RTO
 * and doubling; a SYN's tries are counted. Not known here: TCP_USER_TIMEOUT and
 * TCP_SYNCNT, so that what is said is "about". -1 where nothing ends it.
 */
#include "diagnose.h"

#include "connection/conn.h"
#include "event.h"
#include "connection/facts.h"

enum {
	RTO_MIN_MS = 200,
	RTO_MAX_S = 120,
	DOUBLINGS = 9,        /* ilog2(RTO_MAX / RTO_MIN) */
	ORPHAN_RETRIES = 8,   /* tcp_orphan_retries() for a sysctl of 0 */
	SYN_WAITS_MAX = 128,
	FIN_TIMEOUT_MAX_S = 1000000, /* more is no time-out but nonsense */
	TIME_WAIT_S = 60,     /* TCP_TIMEWAIT_LEN */
};

static const int64_t ns_per_ms = 1000000;
static const int64_t ns_per_s = 1000000000;

/* tcp_model_timeout() */
static int64_t model_timeout_ns(uint64_t retries)
{
	uint64_t doubled = retries < DOUBLINGS ? retries : DOUBLINGS;
	int64_t ns = (int64_t)((2ULL << doubled) - 1) * RTO_MIN_MS * ns_per_ms;

	if (retries > 255)
		retries = 255;
	return ns + (int64_t)(retries - doubled) * RTO_MAX_S * ns_per_s;
}

/* The SYN's waits are a second, as long as they are linear (6.5), then double. */
static int64_t syn_ends_ns(const struct subject *s)
{
	const struct conn *c = s->conn;
	uint64_t linear = facts_or(s->facts, FACT_SYN_LINEAR, c->netns, 0);
	uint64_t last = facts_or(s->facts, FACT_SYN_RETRIES, c->netns, 6);
	int64_t ns = (int64_t)c->timer_expires_ms * ns_per_ms;

	if (c->timer != TIMER_RETRANSMIT || last > SYN_WAITS_MAX || linear > SYN_WAITS_MAX)
		return -1;
	last += linear;
	for (uint64_t i = c->timer_retries + 1ULL; i <= last; i++) {
		uint64_t doublings = i > linear ? i - linear : 0;
		int64_t wait_s = doublings < 7 ? 1LL << doublings : RTO_MAX_S;

		ns += wait_s * ns_per_s;
	}
	return ns;
}

static int64_t retransmit_ends_ns(const struct subject *s, bool orphan)
{
	const struct conn *c = s->conn;
	uint64_t retries = orphan ? facts_or(s->facts, FACT_ORPHAN_RETRIES, c->netns, 0)
				  : facts_or(s->facts, FACT_RETRIES2, c->netns, 15);
	uint64_t stall_ns = conn_end(c)->stall_ns;
	int64_t ends;

	if (orphan && !retries)
		retries = ORPHAN_RETRIES;
	if (!stall_ns || stall_ns > s->now_ns)
		return -1;
	ends = model_timeout_ns(retries) - (int64_t)(s->now_ns - stall_ns);
	/* It looks only when the timer fires. */
	if (ends < (int64_t)c->timer_expires_ms * ns_per_ms)
		ends = (int64_t)c->timer_expires_ms * ns_per_ms;
	return ends;
}

/* A minisock's expiry was told at state_ns or as the whole life from there; an orphan socket's
 * timer when it was last seen. */
static int64_t fin_wait_2_ends_ns(const struct subject *s, bool orphan)
{
	const struct conn *c = s->conn;
	int64_t left = (int64_t)c->timer_expires_ms * ns_per_ms, gone;
	uint64_t fin_s = facts_or(s->facts, FACT_FIN_TIMEOUT_S, c->netns, TIME_WAIT_S);

	if (!orphan || c->timer != TIMER_FIN_WAIT_2)
		return -1;
	if (!(c->seen & SEEN_MINISOCK)) /* tcp_keepalive_timer() then makes a minisock for the rest */
		return fin_s > TIME_WAIT_S && fin_s < FIN_TIMEOUT_MAX_S ?
			       left + (int64_t)(fin_s - TIME_WAIT_S) * ns_per_s :
			       left;
	gone = s->now_ns > c->state_ns ? (int64_t)(s->now_ns - c->state_ns) : 0;
	return left > gone ? left - gone : 0;
}

int64_t diagnose_ends(const struct subject *s)
{
	const struct conn *c = s->conn;
	bool orphan = c->seen & (SEEN_ORPHAN | SEEN_MINISOCK);

	switch (c->state) {
	case ST_SYN_SENT:
		return syn_ends_ns(s);
	case ST_FIN_WAIT_2:
		return fin_wait_2_ends_ns(s, orphan);
	case ST_ESTABLISHED:
	case ST_CLOSE_WAIT:
	case ST_FIN_WAIT_1:
	case ST_CLOSING:
	case ST_LAST_ACK:
		if (c->timer != TIMER_RETRANSMIT || !c->timer_retries)
			return -1;
		return retransmit_ends_ns(s, orphan);
	default:
		return -1;
	}
}
