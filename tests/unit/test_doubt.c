/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one event leaves open and later ones, or a lookup, settle: whose reset it was,
 * and what became of an orphan's FIN_WAIT_2 that is there no more.
 */
#include "pipeline_rig.h"

enum { MS = 1000000 };

static struct event fact(uint32_t netns, uint32_t id, uint64_t value)
{
	return (struct event){
		.kind = EV_FACT, .netns = netns, .extra.fact.id = id, .extra.fact.value = value};
}

/* In FIN_WAIT_2, both directions shut by its process. */
static void shut_both(struct pipeline *p, uint64_t cookie)
{
	open_client(p, cookie);
	feed(p, state(3, cookie, ST_ESTABLISHED, ST_FIN_WAIT_1));
	feed(p, state(4, cookie, ST_FIN_WAIT_1, ST_FIN_WAIT_2));
}

/* tcp_reset(): the hook, then ->CLOSE with ECONNRESET. */
static void is_reset(struct pipeline *p, uint64_t ms, uint64_t cookie)
{
	struct event rst = state(ms, cookie, 0, ST_FIN_WAIT_2);
	struct event closed = state(ms, cookie, ST_FIN_WAIT_2, ST_CLOSED);

	rst.kind = EV_RST_RECEIVED;
	rst.tcp.shutdown = 3;
	feed(p, rst);
	closed.tcp.err = ECONNRESET;
	feed(p, closed);
}

static void a_reset_that_is_answered_was_data(void **st)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){0});
	struct event answer = state(10, 1, 0, ST_CLOSED);

	shut_both(p, 1);
	is_reset(p, 10, 1);
	assert_int_equal(s.ends, 0);
	answer.kind = EV_RST_SENT;
	feed(p, answer);
	assert_int_equal(s.ends, 1);
	assert_int_equal(s.verdict.teardown, TD_RESET_SENT);
	assert_int_equal(s.verdict.conn_state, CS_RSTO);
	assert_int_equal(s.verdict.initiator, INIT_LOCAL);
	assert_int_equal(pipeline_stats(p)->resets[true], 0);
	assert_int_equal(pipeline_stats(p)->resets[false], 1);
	pipeline_free(p);
}

static void a_reset_that_is_not_came_from_the_peer(void **st)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){0});
	unsigned before;

	shut_both(p, 1);
	before = s.changes;
	is_reset(p, 10, 1);
	assert_int_equal(s.changes, before); /* nothing is told before it is known */
	feed(p, tick(30));
	assert_int_equal(s.changes, before + 2);
	assert_int_equal(s.last.to, ST_CLOSED); /* after the RST */
	assert_int_equal(s.ends, 1);
	assert_int_equal(s.end.end_ns, 10 * MS);
	assert_int_equal(s.verdict.teardown, TD_RESET_RECEIVED);
	assert_int_equal(s.verdict.conn_state, CS_RSTR);
	pipeline_free(p);
}

/* More at once than are held: the oldest is taken as what most of them are. */
static void many_at_once_are_all_told(void **st)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){0});

	for (uint64_t cookie = 1; cookie <= 20; cookie++) {
		shut_both(p, cookie);
		is_reset(p, 10, cookie);
	}
	pipeline_finish(p, 11 * MS);
	assert_int_equal(s.ends, 20);
	assert_int_equal(pipeline_stats(p)->resets[true], 20);
	pipeline_free(p);
}

static void answer(struct pipeline *p, uint64_t ms, bool found, uint64_t left_ms)
{
	struct event e = tick(ms);
	struct lookup_request rq;

	feed(p, tick(ms));
	assert_true(pipeline_next_lookup(p, ms * MS, &rq));
	assert_int_equal(rq.cookie, 1);
	e.kind = EV_TW_LOOKUP;
	e.cookie = 1;
	e.extra.lookup.found = found;
	e.extra.lookup.state = found ? ST_FIN_WAIT_2 : 0;
	e.extra.lookup.expires_ms = left_ms;
	feed(p, e);
}

/* It is looked at shortly before its time is over, whatever the back-off would be. */
static void an_orphan_is_there_until_its_time_is_over(void **st)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){0});

	orphan(p, 1);
	answer(p, 110, true, 3900);
	answer(p, 420, true, 3590);
	answer(p, 1430, true, 2580);
	answer(p, 2440, true, 1570);
	answer(p, 3450, true, 560);
	answer(p, 3760, true, 250);
	answer(p, 3870, true, 140);
	answer(p, 3980, true, 30);
	answer(p, 4090, false, 0);
	assert_int_equal(s.ends, 1);
	assert_int_equal(s.verdict.end_reason, END_FIN_WAIT_2_TIMEOUT);
	assert_int_equal(s.end.end_ns, 4010 * (uint64_t)MS);
	assert_int_equal(s.conn.evidence, EVIDENCE_LOOKUP);
	pipeline_free(p);
}

static void one_that_is_gone_earlier_was_reset(void **st)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){0});

	feed(p, fact(0, FACT_RST_OF_MINISOCK, 1));
	orphan(p, 1);
	answer(p, 110, true, 3900);
	answer(p, 420, false, 0);
	assert_int_equal(s.ends, 1);
	assert_int_equal(s.verdict.teardown, TD_RESET_RECEIVED);
	assert_int_equal(s.verdict.conn_state, CS_RSTR);
	assert_int_equal(s.conn.evidence, EVIDENCE_LOOKUP | EVIDENCE_ESTIMATE);
	pipeline_free(p);
}

/* Where the RST of a minisock is not traced (to 6.11), or there may never have been one. */
static void what_may_be_either_is_unseen(void **st)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){0});

	orphan(p, 1);
	answer(p, 110, true, 3900);
	answer(p, 420, false, 0);
	assert_int_equal(s.verdict.teardown, TD_UNSEEN);
	pipeline_free(p);

	p = make(&s, (struct pipeline_config){0});
	feed(p, fact(0, FACT_RST_OF_MINISOCK, 1));
	feed(p, fact(NETNS, FACT_MAX_TW_BUCKETS, 100));
	feed(p, fact(NETNS, FACT_TIME_WAIT, 100));
	orphan(p, 1);
	answer(p, 110, false, 0);
	assert_int_equal(s.ends, 1);
	assert_int_equal(s.verdict.teardown, TD_UNSEEN);
	assert_int_equal(s.verdict.conn_state, CS_OTH);
	pipeline_free(p);
}

static struct event own_netns(uint32_t netns)
{
	return (struct event){.kind = EV_SNAPSHOT_BEGIN, .extra.raw[0] = netns};
}

/* Nobody can ask in that namespace: how it ended is unseen, and so is when. */
static void out_of_reach_is_unseen(void **st)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){0});
	struct lookup_request rq;

	feed(p, own_netns(NETNS + 1));
	orphan(p, 1);
	feed(p, tick(70000));
	assert_false(pipeline_next_lookup(p, 70000 * (uint64_t)MS, &rq));
	assert_int_equal(s.ends, 1);
	assert_int_equal(s.verdict.teardown, TD_UNSEEN);
	assert_int_equal(s.verdict.duration_ns, -1);
	assert_int_equal(s.conn.incomplete, 0);
	assert_int_equal(pipeline_stats(p)->lost[LOSS_END_UNSEEN], 0);
	pipeline_free(p);
}

/* The source has been in that one: it can be asked. */
static void a_namespace_that_was_told_of_is_asked(void **st)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){0});

	feed(p, own_netns(NETNS + 1));
	feed(p, fact(NETNS, FACT_FIN_TIMEOUT_S, 4));
	orphan(p, 1);
	answer(p, 110, true, 3900);
	pipeline_free(p);
}

/* --until reaped, stopped before: it has ended all the same, in whatever namespace. */
static void a_time_wait_that_still_runs_has_its_end(void **st)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){.until_reaped = true});
	struct event closed = state(5, 1, ST_FIN_WAIT_2, ST_CLOSED);

	feed(p, own_netns(NETNS + 1));
	shut_both(p, 1);
	closed.flags |= EVF_DONE;
	feed(p, closed);
	assert_int_equal(s.ends, 0);
	pipeline_finish(p, 100 * MS);
	assert_int_equal(s.ends, 1);
	assert_int_equal(s.end.end_ns, 5 * MS);
	assert_int_equal(s.verdict.duration_ns, 4 * MS);
	assert_int_equal(s.end.tw_end, TW_RUNNING);
	pipeline_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reset_that_is_answered_was_data),
		cmocka_unit_test(a_reset_that_is_not_came_from_the_peer),
		cmocka_unit_test(many_at_once_are_all_told),
		cmocka_unit_test(an_orphan_is_there_until_its_time_is_over),
		cmocka_unit_test(one_that_is_gone_earlier_was_reset),
		cmocka_unit_test(what_may_be_either_is_unseen),
		cmocka_unit_test(out_of_reach_is_unseen),
		cmocka_unit_test(a_namespace_that_was_told_of_is_asked),
		cmocka_unit_test(a_time_wait_that_still_runs_has_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
