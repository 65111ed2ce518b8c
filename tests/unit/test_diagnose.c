/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules, a case a row: what is a finding, what is none (silence above all), from
 * when on; counts against limits; when the kernel gives up. Holders and facts, which
 * the rules read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "connection/conn.h"
#include "stuck/diagnose.h"
#include "event.h"
#include "connection/facts.h"
#include "process/holders.h"
#include "pipeline/pipeline.h"

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))
#define S 1000000000ull
enum { NOW_S = 100000, NETNS = 7, FIN = NOW_FIN_UNREAD, FLIGHT = NOW_IN_FLIGHT };

/* age and stall: seconds ago; stall 0: the peer answers. */
static const struct row {
	const char *what;
	uint8_t state;
	uint32_t seen, age_s, stall_s, rx, tx;
	uint8_t now, timer, retries;
	uint32_t holders;
	uint8_t kind; /* what it is; FIND_NONE */
} rows[] = {
	{"idle for a day", ST_ESTABLISHED, 0, 86400, 0, 0, 0, 0, 0, 0, 1, FIND_NONE},
	{"idle with keepalive", ST_ESTABLISHED, 0, 86400, 0, 0, 0, 0, TIMER_KEEPALIVE, 0, 1,
	 FIND_NONE},
	{"one probe unanswered", ST_ESTABLISHED, 0, 86400, 9, 0, 0, 0, TIMER_KEEPALIVE, 1, 1,
	 FIND_NONE},
	{"two probes unanswered", ST_ESTABLISHED, 0, 86400, 90, 0, 0, 0, TIMER_KEEPALIVE, 2, 1,
	 FIND_PEER_SILENT},
	{"sent again twice", ST_ESTABLISHED, 0, 9, 9, 0, 5, FLIGHT, TIMER_RETRANSMIT, 2, 1,
	 FIND_NONE},
	{"sent again 3 times", ST_ESTABLISHED, 0, 9, 9, 0, 5, FLIGHT, TIMER_RETRANSMIT, 3, 1,
	 FIND_PEER_SILENT},
	{"never left this host", ST_ESTABLISHED, 0, 9, 9, 0, 5, 0, TIMER_PERSIST, 3, 1,
	 FIND_PEER_SILENT},
	{"window closed a moment", ST_ESTABLISHED, 0, 99, 5, 0, 5, NOW_ZERO_WINDOW, TIMER_PERSIST, 1,
	 1, FIND_NONE},
	{"window closed", ST_ESTABLISHED, 0, 99, 20, 0, 5, NOW_ZERO_WINDOW, TIMER_PERSIST, 1, 1,
	 FIND_ZERO_WINDOW},
	{"window closed, probes unanswered", ST_ESTABLISHED, 0, 99, 20, 0, 5, NOW_ZERO_WINDOW,
	 TIMER_PERSIST, 3, 1, FIND_PEER_SILENT},
	{"window closed, two probes lost", ST_ESTABLISHED, 0, 99, 20, 0, 5, NOW_ZERO_WINDOW,
	 TIMER_PERSIST, 2, 1, FIND_ZERO_WINDOW},
	{"close wait, window closed", ST_CLOSE_WAIT, 0, 99, 20, 0, 5, NOW_ZERO_WINDOW, TIMER_PERSIST,
	 1, 1, FIND_ZERO_WINDOW},
	{"unaccepted a moment", ST_ESTABLISHED, 0, 5, 0, 0, 0, NOW_UNACCEPTED, 0, 0, 0, FIND_NONE},
	{"unaccepted", ST_ESTABLISHED, 0, 15, 0, 0, 0, NOW_UNACCEPTED, 0, 0, 0,
	 FIND_NEVER_ACCEPTED},
	{"unaccepted, peer left", ST_CLOSE_WAIT, 0, 90, 0, 5, 0, NOW_UNACCEPTED | FIN, 0, 0, 0,
	 FIND_NEVER_ACCEPTED},
	{"accepted meanwhile", ST_ESTABLISHED, 0, 15, 0, 0, 0, NOW_UNACCEPTED, 0, 0, 1, FIND_NONE},
	{"close wait, young", ST_CLOSE_WAIT, 0, 59, 0, 0, 0, 0, 0, 0, 1, FIND_NONE},
	{"close wait, EOF read", ST_CLOSE_WAIT, 0, 60, 0, 0, 0, 0, 0, 0, 1, FIND_CLOSE_WAIT_LEAK},
	{"close wait, EOF unread", ST_CLOSE_WAIT, 0, 60, 0, 0, 0, FIN, 0, 0, 1,
	 FIND_CLOSE_WAIT_UNREAD},
	{"close wait, data unread", ST_CLOSE_WAIT, 0, 60, 0, 1, 0, FIN, 0, 0, 1,
	 FIND_CLOSE_WAIT_BACKLOG},
	{"half-closed by us, young", ST_FIN_WAIT_2, 0, 119, 0, 0, 0, 0, 0, 0, 1, FIND_NONE},
	{"half-closed by us", ST_FIN_WAIT_2, 0, 120, 0, 0, 0, 0, 0, 0, 1, FIND_FIN_WAIT_2_HELD},
	{"orphan, full socket", ST_FIN_WAIT_2, SEEN_ORPHAN, 10, 0, 0, 0, 0, TIMER_FIN_WAIT_2, 0, 0,
	 FIND_FIN_WAIT_2_ORPHANED},
	{"orphan, minisock", ST_FIN_WAIT_2, SEEN_MINISOCK, 10, 0, 0, 0, 0, TIMER_FIN_WAIT_2, 0, 0,
	 FIND_FIN_WAIT_2_ORPHANED},
	{"FIN just sent", ST_FIN_WAIT_1, 0, 0, 0, 0, 1, FLIGHT, TIMER_RETRANSMIT, 1, 1, FIND_NONE},
	{"FIN unanswered", ST_FIN_WAIT_1, SEEN_ORPHAN, 0, 1, 0, 1, FLIGHT, TIMER_RETRANSMIT, 2, 0,
	 FIND_FIN_WAIT_1_PEER_GONE},
	{"FIN behind a closed window", ST_FIN_WAIT_1, SEEN_ORPHAN, 0, 30, 0, 9, NOW_ZERO_WINDOW,
	 TIMER_PERSIST, 0, 0, FIND_ZERO_WINDOW},
	{"the same, peer gone", ST_FIN_WAIT_1, SEEN_ORPHAN, 0, 30, 0, 9, NOW_ZERO_WINDOW,
	 TIMER_PERSIST, 4, 0, FIND_FIN_WAIT_1_PEER_GONE},
	{"second FIN unanswered", ST_LAST_ACK, SEEN_ORPHAN, 0, 1, 0, 1, FLIGHT, TIMER_RETRANSMIT, 2,
	 0, FIND_LAST_ACK_PEER_GONE},
	{"second FIN just sent", ST_LAST_ACK, SEEN_ORPHAN, 0, 0, 0, 1, FLIGHT, TIMER_RETRANSMIT, 0,
	 0, FIND_NONE},
	{"closing", ST_CLOSING, 0, 0, 1, 0, 1, FLIGHT, TIMER_RETRANSMIT, 1, 1, FIND_CLOSING_STUCK},
	{"closing, answered soon", ST_CLOSING, 0, 0, 0, 0, 1, FLIGHT, TIMER_RETRANSMIT, 0, 1,
	 FIND_NONE},
	{"SYN just sent", ST_SYN_SENT, 0, 4, 0, 0, 1, FLIGHT, TIMER_RETRANSMIT, 0, 1, FIND_NONE},
	{"SYN unanswered", ST_SYN_SENT, 0, 4, 3, 0, 1, FLIGHT, TIMER_RETRANSMIT, 2, 1,
	 FIND_SYN_UNANSWERED},
	{"time wait", ST_TIME_WAIT, SEEN_MINISOCK, 59, 0, 0, 0, 0, TIMER_TIME_WAIT, 0, 0,
	 FIND_NONE},
	{"request", ST_SYN_RECV, 0, 30, 0, 0, 0, 0, TIMER_SYNACK, 3, 0, FIND_NONE},
};

static struct conn conn_of(const struct row *r)
{
	static struct conn_end end; /* the newest row's */
	struct conn c = {
		.cookie = 1,
		.netns = NETNS,
		.lport = 40000,
		.pport = 443,
		.role = r->now & NOW_UNACCEPTED ? ROLE_SERVER : ROLE_CLIENT,
		.state = r->state,
		.seen = r->seen,
		.state_ns = (NOW_S - r->age_s) * S,
		.end = &end,
		.now = r->now,
		.timer = r->timer,
		.timer_retries = r->retries,
		.timer_expires_ms = 500,
		.rx_queue = r->rx,
		.tx_queue = r->tx,
	};

	end.stall_ns = r->stall_s ? (NOW_S - r->stall_s) * S : 0;
	c.local[10] = c.local[11] = c.peer[10] = c.peer[11] = 0xff;
	c.local[12] = c.peer[12] = 10;
	c.peer[15] = 2;
	return c;
}

static void test_rules(void **state)
{
	struct sysfacts *facts = facts_new();

	for (size_t i = 0; i < LENGTH(rows); i++) {
		struct conn c = conn_of(&rows[i]);
		struct subject s = {.conn = &c, .facts = facts, .holders = rows[i].holders,
				    .now_ns = NOW_S * S, .min_age_ns = -1};
		struct finding f = {0};
		unsigned n = diagnose(&s, &f, 1);

		if (n != (rows[i].kind != FIND_NONE) || f.kind != (n ? rows[i].kind : f.kind))
			fail_msg("%s: %s", rows[i].what, n ? word_finding(f.kind) : "nothing");
		if (n && !f.severity)
			fail_msg("%s: without a severity", rows[i].what);
	}
	facts_free(facts);
}

/* A client's MPTCP subflow has no socket of a process either. */
static void test_own_subflow(void **state)
{
	const struct row row = {"", ST_ESTABLISHED, 0, 15, 0, 0, 0, NOW_UNACCEPTED, 0, 0, 0, 0};
	struct conn c = conn_of(&row);
	struct subject s = {.conn = &c, .now_ns = NOW_S * S, .min_age_ns = -1};
	struct finding f;

	assert_int_equal(diagnose(&s, &f, 1), 1);
	c.role = ROLE_UNKNOWN;
	assert_int_equal(diagnose(&s, &f, 1), 1);
	c.role = ROLE_CLIENT;
	assert_int_equal(diagnose(&s, &f, 1), 0);
}

/* --min-age stands for every rule's own. */
static void test_min_age(void **state)
{
	const struct row young = {"", ST_CLOSE_WAIT, 0, 5, 0, 0, 0, 0, 0, 0, 1, 0};
	struct sysfacts *facts = facts_new();
	struct conn c = conn_of(&young);
	struct subject s = {.conn = &c, .facts = facts, .now_ns = NOW_S * S, .min_age_ns = -1};
	struct finding f;

	assert_int_equal(diagnose(&s, &f, 1), 0);
	s.min_age_ns = 5 * (int64_t)S;
	assert_int_equal(diagnose(&s, &f, 1), 1);
	assert_int_equal(f.age_ns, 5 * S);
	assert_false(f.at_least);
	s.min_age_ns++;
	assert_int_equal(diagnose(&s, &f, 1), 0);
	c.state_age_bound = 1;
	s.min_age_ns = 0;
	assert_int_equal(diagnose(&s, &f, 1), 1);
	assert_true(f.at_least);
	facts_free(facts);
}

static void test_listeners(void **state)
{
	static const struct {
		uint32_t queue, limit, syn, young;
		uint8_t n, first, severity;
	} cases[] = {
		{0, 10, 0, 0, 0, 0, 0},
		{9, 10, 0, 0, 0, 0, 0},
		{10, 10, 0, 0, 1, FIND_ACCEPT_QUEUE_FULL, SEV_WARNING},
		{11, 10, 0, 0, 1, FIND_ACCEPT_QUEUE_FULL, SEV_CRITICAL},
		{0, 0, 0, 0, 0, 0, 0},
		{1, 0, 0, 0, 1, FIND_ACCEPT_QUEUE_FULL, SEV_CRITICAL},
		{0, 1000, 15, 0, 0, 0, 0},
		{0, 1000, 16, 0, 1, FIND_SYN_QUEUE_PILING, SEV_WARNING},
		{0, 1000, 999, 999, 0, 0, 0}, /* all of them young: a busy server */
		{0, 10, 5, 4, 1, FIND_SYN_QUEUE_PILING, SEV_WARNING},
		{0, 10, 10, 4, 1, FIND_SYN_QUEUE_PILING, SEV_CRITICAL},
		{11, 10, 10, 4, 2, FIND_ACCEPT_QUEUE_FULL, SEV_CRITICAL},
	};
	struct sysfacts *facts = facts_new();

	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct conn c = {.state = ST_LISTEN, .role = ROLE_LISTENER, .lport = 80};
		struct listener l = {.accept_queue = cases[i].queue, .accept_limit = cases[i].limit,
				     .syn_queue = cases[i].syn, .syn_young = cases[i].young};
		struct subject s = {.conn = &c, .listener = &l, .facts = facts, .min_age_ns = -1};
		struct finding f[DIAGNOSE_MAX];

		assert_int_equal(diagnose(&s, f, DIAGNOSE_MAX), cases[i].n);
		if (cases[i].n) {
			assert_int_equal(f[0].kind, cases[i].first);
			assert_int_equal(f[0].severity, cases[i].severity);
		}
	}
	facts_free(facts);
}

/* An old connection at the other end of the same ports. */
static void test_blocked(void **state)
{
	const struct row syn = {"", ST_SYN_SENT, 0, 4, 3, 0, 1, 0, TIMER_RETRANSMIT, 2, 1, 0};
	struct sysfacts *facts = facts_new();
	struct conn c = conn_of(&syn), old = {.state = ST_CLOSE_WAIT};
	struct subject s = {.conn = &c, .other = &old, .facts = facts, .now_ns = NOW_S * S,
			    .min_age_ns = -1};
	struct finding f;

	assert_int_equal(diagnose(&s, &f, 1), 1);
	assert_true(f.blocked);
	old.state = ST_ESTABLISHED;
	assert_int_equal(diagnose(&s, &f, 1), 1);
	assert_false(f.blocked);
	facts_free(facts);
}

static void test_limits(void **state)
{
	static const struct {
		uint8_t kind;
		uint64_t value, limit;
		uint8_t severity;
	} cases[] = {
		{FIND_FD_LIMIT_NEAR, 799, 1000, 0},
		{FIND_FD_LIMIT_NEAR, 800, 1000, SEV_WARNING},
		{FIND_FD_LIMIT_NEAR, 950, 1000, SEV_CRITICAL},
		{FIND_FD_LIMIT_NEAR, FACT_UNKNOWN, 1000, 0},
		{FIND_FD_LIMIT_NEAR, 800, FACT_UNKNOWN, 0},
		{FIND_FD_LIMIT_NEAR, 800, 0, 0},
		{FIND_ORPHANS_NEAR_LIMIT, 65535, 131072, 0},
		{FIND_ORPHANS_NEAR_LIMIT, 65536, 131072, SEV_WARNING},
		{FIND_TIME_WAIT_NEAR_LIMIT, 131072, 131072, SEV_CRITICAL},
		{FIND_PORT_EXHAUSTION, 28232, 28232, SEV_CRITICAL},
		{FIND_CLOSE_WAIT_LEAK, 5, 5, 0}, /* no count */
		{FIND_KINDS, 5, 5, 0},
	};

	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct finding f;
		bool found = diagnose_limit(cases[i].kind, cases[i].value, cases[i].limit, &f);

		assert_int_equal(found, cases[i].severity != 0);
		if (found)
			assert_int_equal(f.severity, cases[i].severity);
	}
}

static void tell(struct sysfacts *f, uint32_t id, uint32_t netns, uint32_t pid, uint64_t value)
{
	struct event e = {.kind = EV_FACT, .netns = netns, .task.pid = pid};

	e.extra.fact.id = id;
	e.extra.fact.value = value;
	facts_take(f, &e);
}

/* tcp_timer.c's own sums: 131 s for 6 retries after 4 linear ones, 102.2 s for an orphan's 8,
 * 924.6 s for tcp_retries2 = 15. */
static void test_ends(void **state)
{
	struct row r = {"", ST_SYN_SENT, 0, 1, 1, 0, 1, 0, TIMER_RETRANSMIT, 0, 1, 0};
	struct sysfacts *facts = facts_new();
	struct conn c;
	struct subject s = {.conn = &c, .facts = facts, .now_ns = NOW_S * S};

	c = conn_of(&r);
	c.timer_expires_ms = 1000;
	assert_int_equal(diagnose_ends(&s), 127 * (int64_t)S);
	tell(facts, FACT_SYN_LINEAR, NETNS, 0, 4);
	tell(facts, FACT_SYN_RETRIES, NETNS, 0, 6);
	assert_int_equal(diagnose_ends(&s), 131 * (int64_t)S);
	tell(facts, FACT_SYN_RETRIES, NETNS, 0, FACT_UNKNOWN - 1); /* hostile */
	assert_int_equal(diagnose_ends(&s), -1);

	r.state = ST_FIN_WAIT_1;
	r.seen = SEEN_ORPHAN;
	r.retries = 3;
	c = conn_of(&r);
	assert_int_equal(diagnose_ends(&s), 102200 * 1000000ll - (int64_t)S);
	c.seen = 0;
	assert_int_equal(diagnose_ends(&s), 924600 * 1000000ll - (int64_t)S);
	c.timer_expires_ms = 4000000;
	assert_int_equal(diagnose_ends(&s), 4000 * (int64_t)S); /* it looks when the timer fires */

	r.state = ST_FIN_WAIT_2;
	r.age_s = 20;
	c = conn_of(&r);
	assert_int_equal(diagnose_ends(&s), -1); /* held: never */
	c.seen = SEEN_MINISOCK;
	c.timer = TIMER_FIN_WAIT_2;
	c.timer_expires_ms = 60000;
	assert_int_equal(diagnose_ends(&s), 40 * (int64_t)S);
	c.seen = SEEN_ORPHAN;
	tell(facts, FACT_FIN_TIMEOUT_S, NETNS, 0, 62);
	c.timer_expires_ms = 1500;
	assert_int_equal(diagnose_ends(&s), 3500 * 1000000ll);
	facts_free(facts);
}

static void test_holders(void **state)
{
	struct holders *h = holders_new(200);
	struct holder out[4];

	assert_int_equal(holders_get(h, 5, out, 4), 0);
	for (uint32_t i = 0; i < 100; i++) {
		assert_int_equal(holders_add(h, 1000 + i, i + 1, i), 0);
		assert_int_equal(holders_add(h, 5, i + 1, 100 + i), 0);
	}
	assert_int_not_equal(holders_add(h, 6, 1, 1), 0); /* full */
	assert_int_equal(holders_refused(h), 1);
	assert_int_equal(holders_get(h, 5, out, 4), 100);
	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(out[i].proc, i + 1);
		assert_int_equal(out[i].fd, 100 + i);
	}
	for (uint32_t i = 0; i < 100; i++) {
		assert_int_equal(holders_get(h, 1000 + i, out, 4), 1);
		assert_int_equal(out[0].fd, i);
	}
	assert_int_not_equal(holders_add(h, 0, 1, 1), 0);
	holders_clear(h);
	assert_int_equal(holders_count(h), 0);
	assert_int_equal(holders_get(h, 5, out, 4), 0);
	assert_int_equal(holders_add(h, 5, 9, 9), 0);
	assert_int_equal(holders_get(h, 5, out, 4), 1);
	holders_free(h);
}

static void test_facts(void **state)
{
	struct sysfacts *f = facts_new();

	assert_true(facts_get(f, FACT_ORPHANS, 0) == FACT_UNKNOWN);
	assert_true(facts_get(f, FACT_FIN_TIMEOUT_S, 3) == FACT_UNKNOWN);
	assert_int_equal(facts_or(f, FACT_FIN_TIMEOUT_S, 3, 60), 60);
	tell(f, FACT_ORPHANS, 0, 0, 12);
	tell(f, FACT_FIN_TIMEOUT_S, 3, 0, 30);
	tell(f, FACT_TIME_WAIT, 3, 0, 8);
	tell(f, FACT_FIN_TIMEOUT_S, 4, 0, 20);
	assert_int_equal(facts_get(f, FACT_ORPHANS, 99), 12);
	assert_int_equal(facts_get(f, FACT_FIN_TIMEOUT_S, 4), 20);
	assert_int_equal(facts_get(f, FACT_FIN_TIMEOUT_S, 99), 30); /* as in the first */
	assert_true(facts_get(f, FACT_TIME_WAIT, 99) == FACT_UNKNOWN); /* but no other's count */
	tell(f, FACT_FD_USED, 0, 812, 7);
	tell(f, FACT_FD_LIMIT, 0, 812, 9);
	assert_int_equal(facts_proc(f, 812)->used, 7);
	assert_int_equal(facts_proc(f, 812)->limit, 9);
	assert_null(facts_proc(f, 813));
	tell(f, FACT_COUNT, 0, 0, 1);
	tell(f, UINT32_MAX, 0, 0, 1);
	tell(f, FACT_NONE, 0, 0, 1);
	for (uint32_t i = 0; i < 2 * FACTS_NETNS; i++)
		tell(f, FACT_RETRIES2, 100 + i, 0, i);
	assert_int_equal(facts_netns_count(f), FACTS_NETNS);
	facts_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),	  cmocka_unit_test(test_min_age),
		cmocka_unit_test(test_listeners), cmocka_unit_test(test_blocked),
		cmocka_unit_test(test_limits),	  cmocka_unit_test(test_ends),
		cmocka_unit_test(test_holders),	  cmocka_unit_test(test_facts),
		cmocka_unit_test(test_own_subflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
