/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections whose end no event told: who is asked for, what a sure answer makes of
 * them, and what the ledger says.
 */
#include "pipeline_rig.h"

static struct event sure(uint64_t ms, uint64_t cookie, bool found, uint8_t st)
{
	struct event e = tick(ms);

	e.kind = EV_TW_LOOKUP;
	e.cookie = cookie;
	e.extra.lookup.sure = 1;
	e.extra.lookup.found = found;
	e.extra.lookup.state = st;
	e.extra.lookup.expires_ms = 50000;
	return e;
}

/* How and when it ended nobody saw; the ledger has it, once. */
static void what_is_gone_ended_unseen(void **st)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){0});
	struct event no = sure(30000, 1, false, 0);

	open_client(p, 1);
	no.extra.lookup.sure = 0;
	feed(p, no); /* one question is not enough */
	assert_int_equal(s.ends, 0);
	feed(p, sure(40000, 2, false, 0)); /* of none that is known */
	feed(p, sure(40000, 1, true, ST_ESTABLISHED));
	assert_int_equal(s.ends, 0);
	feed(p, sure(40000, 1, false, 0));
	assert_int_equal(s.ends, 1);
	assert_int_equal(s.verdict.teardown, TD_UNSEEN);
	assert_int_equal(s.verdict.end_reason, END_UNKNOWN);
	assert_int_equal(s.verdict.handshake, HS_NORMAL);
	assert_int_equal(s.verdict.conn_state, CS_S1);
	assert_int_equal(s.verdict.duration_ns, -1);
	assert_int_equal(s.verdict.teardown_ns, -1);
	assert_int_equal(s.end.end_ns, 0);
	assert_int_equal(s.last.state_duration_ns, -1);
	assert_true(s.last.inferred);
	assert_int_equal(s.conn.incomplete, INCOMPLETE_GAP);
	assert_int_equal(pipeline_stats(p)->lost[LOSS_END_UNSEEN], 1);
	assert_int_equal(conntab_count(pipeline_conns(p)), 0);
	feed(p, sure(41000, 1, false, 0));
	assert_int_equal(s.ends, 1);
	pipeline_free(p);
}

/* What was lost since is counted; before it could not be established it is no failure to connect. */
static void what_is_gone_may_be_counted_already(void **st)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){0});
	struct event lost = tick(5000);

	feed(p, state(1, 1, ST_CLOSED, ST_SYN_SENT));
	feed(p, sure(2000, 1, false, 0)); /* it has no port yet: nothing was asked */
	assert_int_equal(s.ends, 0);
	feed(p, state(3, 2, ST_SYN_SENT, ST_ESTABLISHED));
	lost.kind = EV_LOST;
	lost.extra.lost.reason = LOSS_RING_FULL;
	lost.extra.lost.count = 7;
	feed(p, lost);
	feed(p, sure(40000, 2, false, 0));
	assert_int_equal(s.ends, 1);
	assert_int_equal(s.verdict.teardown, TD_UNSEEN);
	assert_int_equal(s.conn.incomplete, INCOMPLETE_GAP | INCOMPLETE_LOST);
	assert_int_equal(pipeline_stats(p)->lost[LOSS_END_UNSEEN], 0);
	pipeline_free(p);
}

static void what_is_gone_may_be_in_time_wait(void **st)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){0});

	open_client(p, 1);
	feed(p, state(3, 1, ST_ESTABLISHED, ST_FIN_WAIT_1));
	feed(p, sure(40000, 1, true, ST_TIME_WAIT));
	assert_int_equal(s.ends, 1);
	assert_int_equal(s.verdict.teardown, TD_NORMAL);
	assert_int_equal(s.end.end_ns, 30000 * 1000000ULL); /* 50 s are left of 60 */
	assert_int_equal(s.conn.incomplete, INCOMPLETE_GAP);
	assert_true(s.verdict.has_client_fin && !s.verdict.has_server_fin);
	assert_int_equal(pipeline_stats(p)->now_in_state[ST_TIME_WAIT], 1);
	assert_int_equal(pipeline_stats(p)->lost[LOSS_END_UNSEEN], 1);
	pipeline_free(p);
}

/* Who is asked for: what has long been as it is, and waits for nothing. */
static void only_the_settled_are_asked_for(void **st)
{
	const uint64_t s10 = 10000000000ULL;
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){0});
	struct lookup_request r;
	uint32_t cursor = 0;
	unsigned looks = 100;

	open_client(p, 1);
	orphan(p, 2);
	feed(p, state(12000, 3, ST_SYN_SENT, ST_ESTABLISHED));
	assert_true(pipeline_next_settled(p, &cursor, &looks, NETNS, s10, &r));
	assert_int_equal(r.cookie, 1);
	assert_false(pipeline_next_settled(p, &cursor, &looks, NETNS, s10, &r));
	assert_int_equal(looks, 97);
	assert_true(pipeline_settled(p, 1, NETNS, s10, &r));
	assert_false(pipeline_settled(p, 1, NETNS + 1, s10, &r));
	assert_false(pipeline_settled(p, 2, NETNS, s10, &r));
	assert_false(pipeline_settled(p, 3, NETNS, s10, &r));
	assert_true(pipeline_settled(p, 3, NETNS, 2 * s10, &r));
	cursor = 0;
	looks = 0;
	assert_false(pipeline_next_settled(p, &cursor, &looks, NETNS, s10, &r));
	pipeline_free(p);
}

/* A snapshot of which records were lost proves nobody's absence. */
static void a_torn_snapshot_ends_nothing(void **st)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){0});
	struct event begin = tick(5000), end = tick(5001);

	begin.kind = EV_SNAPSHOT_BEGIN;
	begin.extra.raw[0] = NETNS;
	end.kind = EV_SNAPSHOT_END;
	end.extra.raw[0] = 1;
	open_client(p, 1);
	feed(p, begin);
	feed(p, end);
	assert_int_equal(s.ends, 0);
	end.extra.raw[0] = 0;
	feed(p, begin);
	feed(p, end);
	assert_int_equal(s.ends, 1);
	assert_int_equal(s.verdict.teardown, TD_UNSEEN);
	pipeline_free(p);
}

/* Never more than the kernel has, however they were told of; elsewhere it does not say. */
static void time_wait_is_held_to_the_kernels(void **st)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){0});
	const uint32_t *counted = &pipeline_stats(p)->now_in_state[ST_TIME_WAIT];
	struct event begin = tick(1), has = tick(20000);

	begin.kind = EV_SNAPSHOT_BEGIN;
	begin.extra.raw[0] = NETNS;
	feed(p, begin);
	for (uint64_t i = 1; i <= 40; i++) {
		struct event e = state(1000 * i, i, ST_FIN_WAIT_2, ST_CLOSED);

		e.flags |= EVF_DONE;
		e.netns = i % 4 ? NETNS : NETNS + 1;
		feed(p, e);
	}
	assert_int_equal(*counted, 40);
	assert_int_equal(pipeline_time_wait_here(p), 30);
	has.kind = EV_FACT;
	has.extra.fact.id = FACT_TIME_WAIT;
	has.extra.fact.value = 5;
	has.netns = NETNS + 1;
	feed(p, has);
	assert_int_equal(*counted, 40);
	has.netns = NETNS;
	feed(p, has);
	assert_int_equal(*counted, 15);
	has.extra.fact.value = 7;
	feed(p, has);
	assert_int_equal(*counted, 15);
	for (uint64_t ms = 41000; ms <= 95000; ms += 1000)
		feed(p, tick(ms));
	assert_int_equal(*counted, 6); /* four of the newest five, and two of elsewhere */
	feed(p, tick(103000));
	assert_int_equal(*counted, 0);
	assert_int_equal(pipeline_time_wait_here(p), 0);
	pipeline_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_gone_ended_unseen),
		cmocka_unit_test(what_is_gone_may_be_counted_already),
		cmocka_unit_test(what_is_gone_may_be_in_time_wait),
		cmocka_unit_test(only_the_settled_are_asked_for),
		cmocka_unit_test(a_torn_snapshot_ends_nothing),
		cmocka_unit_test(time_wait_is_held_to_the_kernels),
	};

	return cmocka_run_group_tests_name("gone", tests, NULL, NULL);
}
