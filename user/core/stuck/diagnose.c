/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules, a row each: in which states, on what evidence, after how long, how bad.
 *
 * Of a connection the first row that holds is its finding, so causes stand before
 * what they cause (a peer that does not read, before an application that waits for
 * it). A listener may have several. Never: a clock, a guess, or a finding from
 * silence alone; an idle connection is healthy however long it is idle.
 */
#include "diagnose.h"

#include "event.h"
#include "connection/facts.h"
#include "pipeline/pipeline.h"

#define STATE(s) (1u << ST_##s)

enum {
	SYN_TRIES = 1,          /* SYNs sent again before it is worth a word */
	FIN_TRIES = 2,
	DATA_TRIES = 3,
	PROBES = 2,
	TIME_WAIT_S = 60,       /* TCP_TIMEWAIT_LEN */
	SYN_QUEUE_OLD = 16,     /* handshakes whose SYN-ACK was sent again */
};

static const uint64_t ns_per_s = 1000000000;
static const uint64_t ns_per_ms = 1000000;

/* ---- evidence --------------------------------------------------------------------- */

static bool is_orphan(const struct conn *c)
{
	return c->seen & (SEEN_ORPHAN | SEEN_MINISOCK);
}

static bool timer_retried(const struct conn *c, unsigned timer, unsigned times)
{
	return c->timer == timer && c->timer_retries >= times;
}

/* Who connected is in nobody's accept queue: a socket without a process at that end is the kernel's
 * own (a subflow of MPTCP). */
static bool is_never_accepted(const struct subject *s, struct finding *f)
{
	return s->conn->now & NOW_UNACCEPTED && !s->holders && s->conn->role != ROLE_CLIENT;
}

/* A peer that only does not read answers each probe, which sets their count back. */
static bool is_zero_window(const struct subject *s, struct finding *f)
{
	const struct conn *c = s->conn;

	f->value = c->tx_queue;
	return c->timer == TIMER_PERSIST && c->now & NOW_ZERO_WINDOW && conn_end(c)->stall_ns &&
	       c->timer_retries < DATA_TRIES;
}

/* Sent again so often without an answer. What does not even leave this host (a firewall here) is
 * tried again by the persist timer, with the window open; with it closed, that one probes. */
static bool is_unanswered(const struct conn *c, unsigned times)
{
	unsigned probes = c->now & NOW_ZERO_WINDOW ? DATA_TRIES : times;

	return timer_retried(c, TIMER_RETRANSMIT, times) || timer_retried(c, TIMER_PERSIST, probes);
}

static bool is_peer_silent(const struct subject *s, struct finding *f)
{
	const struct conn *c = s->conn;

	f->value = c->tx_queue;
	return (c->tx_queue && is_unanswered(c, DATA_TRIES)) ||
	       timer_retried(c, TIMER_KEEPALIVE, PROBES);
}

/* rx_queue does not count the FIN. */
static bool is_backlog(const struct subject *s, struct finding *f)
{
	f->value = s->conn->rx_queue;
	return s->conn->now & NOW_FIN_UNREAD && s->conn->rx_queue;
}

static bool is_unread(const struct subject *s, struct finding *f)
{
	return s->conn->now & NOW_FIN_UNREAD && !s->conn->rx_queue;
}

static bool is_leak(const struct subject *s, struct finding *f)
{
	return !(s->conn->now & NOW_FIN_UNREAD);
}

static bool is_orphaned(const struct subject *s, struct finding *f)
{
	return is_orphan(s->conn);
}

static bool is_held(const struct subject *s, struct finding *f)
{
	return !is_orphan(s->conn);
}

static bool is_fin_unanswered(const struct subject *s, struct finding *f)
{
	return is_unanswered(s->conn, FIN_TRIES);
}

static bool is_closing_stuck(const struct subject *s, struct finding *f)
{
	return is_unanswered(s->conn, 1);
}

static bool is_syn_unanswered(const struct subject *s, struct finding *f)
{
	const struct conn *c = s->conn;

	if (c->syn_retransmits > f->retries)
		f->retries = c->syn_retransmits;
	return f->retries >= SYN_TRIES;
}

static bool is_accept_full(const struct subject *s, struct finding *f)
{
	const struct listener *l = s->listener;

	if (!l || !l->accept_queue)
		return false;
	f->value = l->accept_queue;
	f->limit = l->accept_limit;
	if (l->accept_queue > l->accept_limit)
		f->severity = SEV_CRITICAL; /* the next one is dropped (sk_acceptq_is_full) */
	return l->accept_queue >= l->accept_limit;
}

static bool is_syn_piling(const struct subject *s, struct finding *f)
{
	const struct listener *l = s->listener;
	uint32_t old;

	if (!l || l->syn_queue <= l->syn_young)
		return false;
	old = l->syn_queue - l->syn_young;
	f->value = l->syn_queue;
	f->limit = l->accept_limit; /* inet_csk_reqsk_queue_is_full() compares with the same */
	if (l->syn_queue >= l->accept_limit)
		f->severity = SEV_CRITICAL;
	return old >= SYN_QUEUE_OLD || l->syn_queue * 2ULL >= l->accept_limit;
}

/* ---- the rows ------------------------------------------------------------------------ */

struct rule {
	enum finding_kind kind;
	uint32_t states;
	bool (*holds)(const struct subject *s, struct finding *f);
	uint16_t min_age_s;
	uint8_t severity;
};

static const struct rule rules[] = {
	{FIND_NEVER_ACCEPTED, STATE(ESTABLISHED) | STATE(CLOSE_WAIT), is_never_accepted, 10,
	 SEV_WARNING},
	{FIND_ZERO_WINDOW,
	 STATE(ESTABLISHED) | STATE(CLOSE_WAIT) | STATE(FIN_WAIT_1) | STATE(CLOSING) |
		 STATE(LAST_ACK),
	 is_zero_window, 10, SEV_WARNING},
	{FIND_PEER_SILENT, STATE(ESTABLISHED) | STATE(CLOSE_WAIT), is_peer_silent, 2, SEV_WARNING},
	{FIND_CLOSE_WAIT_BACKLOG, STATE(CLOSE_WAIT), is_backlog, 60, SEV_WARNING},
	{FIND_CLOSE_WAIT_UNREAD, STATE(CLOSE_WAIT), is_unread, 60, SEV_WARNING},
	{FIND_CLOSE_WAIT_LEAK, STATE(CLOSE_WAIT), is_leak, 60, SEV_WARNING},
	{FIND_FIN_WAIT_2_HELD, STATE(FIN_WAIT_2), is_held, 120, SEV_WARNING},
	{FIND_FIN_WAIT_2_ORPHANED, STATE(FIN_WAIT_2), is_orphaned, 10, SEV_INFO},
	{FIND_FIN_WAIT_1_PEER_GONE, STATE(FIN_WAIT_1), is_fin_unanswered, 0, SEV_WARNING},
	{FIND_LAST_ACK_PEER_GONE, STATE(LAST_ACK), is_fin_unanswered, 0, SEV_WARNING},
	{FIND_CLOSING_STUCK, STATE(CLOSING), is_closing_stuck, 0, SEV_WARNING},
	{FIND_SYN_UNANSWERED, STATE(SYN_SENT), is_syn_unanswered, 3, SEV_WARNING},
	{FIND_ACCEPT_QUEUE_FULL, STATE(LISTEN), is_accept_full, 0, SEV_WARNING},
	{FIND_SYN_QUEUE_PILING, STATE(LISTEN), is_syn_piling, 0, SEV_WARNING},
};
enum { RULES = sizeof(rules) / sizeof(rules[0]) };

unsigned finding_min_age_s(enum finding_kind kind)
{
	for (unsigned i = 0; i < RULES; i++)
		if (rules[i].kind == kind)
			return rules[i].min_age_s;
	return 0;
}

uint64_t diagnose_age(const struct subject *s, bool *at_least)
{
	const struct conn *c = s->conn;
	uint64_t age = c->state_ns && s->now_ns > c->state_ns ? s->now_ns - c->state_ns : 0;
	uint64_t life_ms, spent;

	*at_least = c->state_age_bound;
	if (!c->state_age_bound)
		return age;
	/* An orphan that was there before: its timer says how much of its time it has spent. */
	if (c->state == ST_FIN_WAIT_2 && c->seen & SEEN_MINISOCK && c->timer == TIMER_FIN_WAIT_2) {
		life_ms = facts_or(s->facts, FACT_FIN_TIMEOUT_S, c->netns, TIME_WAIT_S) * 1000;
		if (life_ms > TIME_WAIT_S * 1000)
			life_ms = TIME_WAIT_S * 1000; /* a minisock lives no longer */
		spent = life_ms > c->timer_expires_ms ? (life_ms - c->timer_expires_ms) * ns_per_ms
						      : 0;
		return age + spent;
	}
	/* What was unanswered when the state began is no proof of its age. */
	return age;
}

/* How long it hangs: the state, or since when the peer has not answered. */
static void take_age(const struct subject *s, struct finding *f)
{
	const struct conn *c = s->conn;
	uint64_t stall_ns = conn_end(c)->stall_ns;
	uint64_t age = diagnose_age(s, &f->at_least);
	uint64_t stall = stall_ns && s->now_ns > stall_ns ? s->now_ns - stall_ns : 0;

	f->age_ns = age;
	switch (f->kind) {
	case FIND_ZERO_WINDOW:
	case FIND_PEER_SILENT:
	case FIND_FIN_WAIT_1_PEER_GONE:
	case FIND_LAST_ACK_PEER_GONE:
	case FIND_CLOSING_STUCK:
		f->age_ns = stall ? stall : age;
		f->at_least = true;
		break;
	case FIND_ACCEPT_QUEUE_FULL:
	case FIND_SYN_QUEUE_PILING:
		f->age_ns = 0; /* a listener's queues have no stamp */
		f->at_least = true;
		break;
	default:
		break;
	}
}

static bool apply(const struct rule *r, const struct subject *s, struct finding *f)
{
	const struct conn *c = s->conn;
	uint64_t min_ns = s->min_age_ns < 0 ? r->min_age_s * ns_per_s : (uint64_t)s->min_age_ns;
	bool counted = r->states & STATE(LISTEN);

	*f = (struct finding){
		.kind = r->kind,
		.severity = r->severity,
		.retries = c->timer == TIMER_NONE ? 0 : c->timer_retries,
		.next_ns = -1,
		.ends_ns = -1,
	};
	if (!(r->states & 1u << c->state) || !r->holds(s, f))
		return false;
	take_age(s, f);
	if (!counted && f->age_ns < min_ns)
		return false;
	if (c->timer != TIMER_NONE && c->timer != TIMER_FIN_WAIT_2 && c->timer != TIMER_DELAYED_ACK)
		f->next_ns = (int64_t)(c->timer_expires_ms * ns_per_ms);
	f->ends_ns = diagnose_ends(s);
	f->blocked = s->other && ((c->state == ST_SYN_SENT && s->other->state == ST_CLOSE_WAIT) ||
				  (c->state == ST_CLOSE_WAIT && s->other->state == ST_SYN_SENT));
	return true;
}

unsigned diagnose(const struct subject *s, struct finding *out, unsigned max)
{
	unsigned n = 0;

	for (unsigned i = 0; i < RULES && n < max; i++) {
		if (!apply(&rules[i], s, &out[n]))
			continue;
		n++;
		if (s->conn->state != ST_LISTEN)
			break;
	}
	return n;
}

/* ---- counts against limits ------------------------------------------------------------- */

/* tcp_too_many_orphans() counts an orphan twice or four times when its peer behaves badly. */
static const struct {
	uint8_t warn_percent, critical_percent;
} limits[FIND_KINDS] = {
	[FIND_PORT_EXHAUSTION] = {80, 95},
	[FIND_ORPHANS_NEAR_LIMIT] = {50, 90},
	[FIND_TIME_WAIT_NEAR_LIMIT] = {80, 95},
	[FIND_FD_LIMIT_NEAR] = {80, 95},
};

bool diagnose_limit(enum finding_kind kind, uint64_t value, uint64_t limit, struct finding *out)
{
	double percent;

	if (kind >= FIND_KINDS || !limits[kind].warn_percent || !limit || limit == FACT_UNKNOWN ||
	    value == FACT_UNKNOWN)
		return false;
	percent = (double)value * 100 / (double)limit;
	if (percent < limits[kind].warn_percent)
		return false;
	*out = (struct finding){
		.kind = kind,
		.severity = percent < limits[kind].critical_percent ? SEV_WARNING : SEV_CRITICAL,
		.at_least = true,
		.value = value,
		.limit = limit,
		.next_ns = -1,
		.ends_ns = -1,
	};
	return true;
}
