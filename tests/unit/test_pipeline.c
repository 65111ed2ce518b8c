/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pipeline's promises that no golden recording shows: hostile records are
 * refused, a gap is marked and mended, the table's bound is counted, lookups back
 * off, and a reset that is announced late is joined.
 */
#include "pipeline_rig.h"
#include "process/proc.h"

static void hostile_records_are_refused(void **st)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){0});
	struct event e = state(1, 1, ST_CLOSED, ST_SYN_SENT);

	assert_int_equal(pipeline_feed(p, &e, sizeof(e) - 1), -EBADMSG);
	e.kind = EV_KIND_MAX;
	assert_int_equal(pipeline_feed(p, &e, sizeof(e)), -EBADMSG);
	e = state(1, 1, ST_CLOSED, 13);
	assert_int_equal(pipeline_feed(p, &e, sizeof(e)), -EBADMSG);
	e.kind = EV_LOST;
	e.new_state = 0;
	e.extra.lost.reason = LOSS_REASONS;
	assert_int_equal(pipeline_feed(p, &e, sizeof(e)), -EBADMSG);
	assert_int_equal(pipeline_stats(p)->lost[LOSS_MALFORMED], 4);
	assert_int_equal(pipeline_stats(p)->events, 0);
	pipeline_free(p);
}

static void isns_come_from_the_counters(void **st)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){0});

	open_client(p, 1);
	feed(p, state(3, 1, ST_ESTABLISHED, ST_CLOSE_WAIT));
	feed(p, state(4, 1, ST_CLOSE_WAIT, ST_LAST_ACK));
	feed(p, state(5, 1, ST_LAST_ACK, ST_CLOSED));
	assert_int_equal(s.ends, 1);
	assert_true(s.verdict.has_client_isn && s.verdict.has_server_isn);
	assert_int_equal(s.verdict.client_isn, 1000);
	assert_int_equal(s.verdict.server_isn, 5000);
	assert_int_equal(s.verdict.conn_state, CS_SF);
	assert_int_equal(s.verdict.initiator, INIT_PEER);
	assert_int_equal(conntab_count(pipeline_conns(p)), 0);
	pipeline_free(p);
}

/* FIN_WAIT1 and FIN_WAIT2 were lost: the close is still told, and the gap with it. */
static void a_gap_is_marked_and_mended(void **st)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){0});
	struct event e = state(9, 1, ST_FIN_WAIT_2, ST_CLOSED);

	open_client(p, 1);
	e.flags |= EVF_DONE;
	feed(p, e);
	assert_int_equal(s.ends, 1);
	assert_int_equal(s.conn.incomplete & INCOMPLETE_GAP, INCOMPLETE_GAP);
	assert_int_equal(s.verdict.conn_state, CS_SF);
	assert_int_equal(s.verdict.initiator, INIT_LOCAL);
	assert_int_equal(s.verdict.half_close_ns, -1);
	assert_int_equal(s.last.to, ST_TIME_WAIT);
	pipeline_free(p);
}

static void a_full_table_is_counted(void **st)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){.max_connections = 2});

	for (uint64_t i = 1; i <= 5; i++)
		feed(p, state(i, i, ST_CLOSED, ST_SYN_SENT));
	assert_int_equal(conntab_count(pipeline_conns(p)), 2);
	assert_int_equal(pipeline_stats(p)->lost[LOSS_TABLE_FULL], 3);
	pipeline_free(p);
}

/* SO_LINGER 0: ->CLOSE first, the RST after it; one record, with the RST. */
static void a_late_reset_is_joined(void **st)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){0});
	struct event e = state(3, 1, ST_ESTABLISHED, ST_CLOSED), rst = state(4, 1, 0, ST_CLOSED);

	open_client(p, 1);
	e.flags |= EVF_OWNED;
	feed(p, e);
	assert_int_equal(s.ends, 0);
	rst.kind = EV_RST_SENT;
	feed(p, rst);
	assert_int_equal(s.ends, 1);
	assert_int_equal(s.verdict.end_reason, END_LINGER_RESET);
	assert_int_equal(s.verdict.conn_state, CS_RSTO);
	pipeline_free(p);
}

static void a_reset_that_never_shows_is_not_waited_for(void **st)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){0});
	struct event e = state(3, 1, ST_ESTABLISHED, ST_CLOSED);

	open_client(p, 1);
	e.flags |= EVF_OWNED;
	feed(p, e);
	feed(p, tick(20));
	assert_int_equal(s.ends, 1);
	pipeline_free(p);
}

/* An orphan's minisock is looked up at 100 ms, 300 ms later, 1 s later: one socket, never a walk. */
static void lookups_back_off_and_settle(void **st)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){0});
	struct lookup_request rq;
	struct event answer = tick(600);

	orphan(p, 1);
	assert_int_equal(s.ends, 0);
	assert_false(pipeline_next_lookup(p, 50 * 1000000ULL, &rq));
	feed(p, tick(110));
	assert_true(pipeline_next_lookup(p, 110 * 1000000ULL, &rq));
	assert_int_equal(rq.cookie, 1);
	assert_int_equal(rq.lport, CLIENT_PORT);
	assert_int_equal(rq.bound_dev, 0);
	assert_false(pipeline_next_lookup(p, 200 * 1000000ULL, &rq));
	assert_true(pipeline_next_lookup(p, 420 * 1000000ULL, &rq));
	answer.kind = EV_TW_LOOKUP;
	answer.cookie = 1;
	answer.extra.lookup.found = 1;
	answer.extra.lookup.state = ST_TIME_WAIT;
	answer.extra.lookup.expires_ms = 59800; /* the FIN came 200 ms ago */
	feed(p, answer);
	assert_int_equal(s.ends, 1);
	assert_int_equal(s.verdict.conn_state, CS_SF);
	assert_int_equal(s.verdict.half_close_ns, (400 - 3) * 1000000LL);
	assert_int_equal(s.conn.evidence, EVIDENCE_LOOKUP);
	assert_int_equal(s.verdict.server_fin_seq, 5001);
	pipeline_free(p);
}

/* The kernel finds a bound socket by its interface only. */
static void a_bound_socket_is_asked_for_by_its_interface(void **st)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){0});
	struct event closed = state(4, 1, ST_FIN_WAIT_2, ST_CLOSED);
	struct lookup_request rq;

	open_client(p, 1);
	feed(p, state(2, 1, ST_ESTABLISHED, ST_FIN_WAIT_1));
	feed(p, state(3, 1, ST_FIN_WAIT_1, ST_FIN_WAIT_2));
	closed.task.bound_dev = 7;
	feed(p, closed);
	feed(p, tick(110));
	assert_true(pipeline_next_lookup(p, 110 * 1000000ULL, &rq));
	assert_int_equal(rq.bound_dev, 7);
	pipeline_free(p);
}

static void an_orphan_that_runs_out_says_so(void **st)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){0});
	struct event answer = tick(110);

	orphan(p, 1);
	answer.kind = EV_TW_LOOKUP;
	answer.cookie = 1;
	answer.extra.lookup.found = 1;
	answer.extra.lookup.state = ST_FIN_WAIT_2;
	answer.extra.lookup.expires_ms = 900;
	feed(p, answer);
	assert_int_equal(s.ends, 0);
	answer.ts_ns = 1500 * 1000000ULL;
	answer.extra.lookup.found = 0;
	feed(p, answer);
	assert_int_equal(s.ends, 1);
	assert_int_equal(s.verdict.teardown, TD_ORPHANED);
	assert_int_equal(s.verdict.end_reason, END_FIN_WAIT_2_TIMEOUT);
	assert_int_equal(s.verdict.conn_state, CS_S2);
	pipeline_free(p);
}

/* TIME_WAIT that nobody waits for leaves the count after 60 s, not before. */
static void time_wait_is_counted_for_its_time(void **st)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){0});
	struct event e = state(5, 1, ST_FIN_WAIT_2, ST_CLOSED);

	open_client(p, 1);
	feed(p, state(3, 1, ST_ESTABLISHED, ST_FIN_WAIT_1));
	feed(p, state(4, 1, ST_FIN_WAIT_1, ST_FIN_WAIT_2));
	e.flags |= EVF_DONE;
	feed(p, e);
	assert_int_equal(pipeline_stats(p)->now_in_state[ST_TIME_WAIT], 1);
	for (uint64_t t = 1; t <= 59; t++)
		feed(p, tick(t * 1000));
	assert_int_equal(pipeline_stats(p)->now_in_state[ST_TIME_WAIT], 1);
	for (uint64_t t = 60; t <= 63; t++)
		feed(p, tick(t * 1000));
	assert_int_equal(pipeline_stats(p)->now_in_state[ST_TIME_WAIT], 0);
	pipeline_free(p);
}

/* Where each end is told, none is counted off twice: neither those from before the first was told,
 * nor one whose minute was over by our clock and not by the kernel's timer. */
static void a_told_end_of_time_wait_is_counted_once(void **st)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){0});
	const uint32_t *n = &pipeline_stats(p)->now_in_state[ST_TIME_WAIT];

	for (uint64_t cookie = 1; cookie <= 3; cookie++)
		enter_time_wait(p, (cookie - 1) * 4000, cookie);
	assert_int_equal(*n, 3);
	for (uint64_t t = 10; t <= 62; t++)
		feed(p, tick(t * 1000));
	assert_int_equal(*n, 2);
	feed(p, leave(63000, 1, ST_TIME_WAIT));
	assert_int_equal(*n, 2);
	feed(p, leave(63100, 4, ST_FIN_WAIT_2)); /* never was in TIME_WAIT */
	for (uint64_t t = 64; t <= 80; t++)
		feed(p, tick(t * 1000));
	assert_int_equal(*n, 2);
	feed(p, leave(80100, 2, ST_TIME_WAIT));
	feed(p, leave(80200, 3, ST_TIME_WAIT));
	assert_int_equal(*n, 0);
	pipeline_free(p);
}

/* A lookup's answer can overtake the hook's word, which lies in the ring: only without it does the
 * next answer end the record. */
static void a_lookup_does_not_forestall_the_hook(void **st)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){.until_reaped = true});
	const uint32_t *n = &pipeline_stats(p)->now_in_state[ST_TIME_WAIT];
	struct event gone = tick(61000);

	enter_time_wait(p, 0, 1);
	enter_time_wait(p, 10, 2);
	enter_time_wait(p, 20, 3);
	feed(p, leave(60500, 3, ST_TIME_WAIT));
	assert_int_equal(s.ends, 1);
	gone.kind = EV_TW_LOOKUP;
	gone.cookie = 1;
	feed(p, gone);
	assert_int_equal(s.ends, 1);
	assert_int_equal(*n, 2);
	feed(p, leave(61000, 1, ST_TIME_WAIT));
	assert_int_equal(s.ends, 2);
	assert_int_equal(s.end.tw_end, TW_EXPIRED);
	assert_int_equal(*n, 1);
	gone.cookie = 2;
	feed(p, gone);
	assert_int_equal(s.ends, 2);
	gone.ts_ns += 1000000000;
	feed(p, gone);
	assert_int_equal(s.ends, 3);
	assert_int_equal(s.end.tw_end, TW_EXPIRED);
	assert_int_equal(*n, 0);
	pipeline_free(p);
}

/* The SYN met an older connection's CLOSE_WAIT, whose ACK it had to reset: the next SYN was heard. */
static void a_reset_before_established_ends_another(void **st)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){0});
	struct event rst = state(2, 1, ST_SYN_SENT, ST_SYN_SENT);
	struct event e = state(1006, 1, ST_FIN_WAIT_2, ST_CLOSED);

	feed(p, state(1, 1, ST_CLOSED, ST_SYN_SENT));
	rst.kind = EV_RST_SENT;
	rst.extra.reset.has_skb = 1;
	feed(p, rst);
	assert_int_equal(s.last.kind, CHANGE_RESET);
	feed(p, state(1003, 1, ST_SYN_SENT, ST_ESTABLISHED));
	feed(p, state(1004, 1, ST_ESTABLISHED, ST_FIN_WAIT_1));
	feed(p, state(1005, 1, ST_FIN_WAIT_1, ST_FIN_WAIT_2));
	e.flags |= EVF_DONE;
	feed(p, e);
	assert_int_equal(s.ends, 1);
	assert_int_equal(s.verdict.teardown, TD_NORMAL);
	assert_int_equal(s.verdict.conn_state, CS_SF);
	assert_int_equal(pipeline_stats(p)->now_in_state[ST_TIME_WAIT], 1);
	pipeline_free(p);
}

static void reuse_ends_a_held_time_wait(void **st)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){.until_reaped = true});
	struct event e = state(5, 1, ST_FIN_WAIT_2, ST_CLOSED);

	open_client(p, 1);
	feed(p, state(3, 1, ST_ESTABLISHED, ST_FIN_WAIT_1));
	feed(p, state(4, 1, ST_FIN_WAIT_1, ST_FIN_WAIT_2));
	e.flags |= EVF_DONE;
	feed(p, e);
	assert_int_equal(s.ends, 0);
	feed(p, state(2000, 2, ST_CLOSED, ST_SYN_SENT));
	feed(p, state(2001, 2, ST_SYN_SENT, ST_ESTABLISHED));
	assert_int_equal(s.ends, 1);
	assert_int_equal(s.end.tw_end, TW_REUSED);
	pipeline_free(p);
}

/* In base mode the kernel's sample says when the SYN came; a cookie's is from a timestamp that holds
 * something else, in whole milliseconds. */
static void a_cookie_has_no_handshake_time(void **st)
{
	static const struct {
		uint32_t srtt_us;
		uint8_t options;
		int64_t want_ns;
	} cases[] = {
		{400, TOPT_TIMESTAMPS, 400000},
		{1234, TOPT_TIMESTAMPS, 1234000},
		{50000, TOPT_TIMESTAMPS, -1},
		{1000, TOPT_TIMESTAMPS, -1},
		{50000, 0, 50000000}, /* without timestamps a cookie has no sample at all */
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct seen s;
		struct pipeline *p = make(&s, (struct pipeline_config){0});
		struct event e = state(100, 1, ST_SYN_RECV, ST_ESTABLISHED);
		bool estimated = cases[i].want_ns > 0;

		e.tcp.srtt_us = cases[i].srtt_us;
		e.tcp.options = cases[i].options;
		feed(p, state(100, 1, ST_LISTEN, ST_SYN_RECV));
		feed(p, e);
		e = state(200, 1, ST_ESTABLISHED, ST_CLOSED);
		e.tcp.err = ETIMEDOUT;
		feed(p, e);
		assert_int_equal(s.ends, 1);
		assert_true(s.verdict.handshake_ns == cases[i].want_ns);
		assert_int_equal(s.conn.start_ns, 100000000 - (estimated ? cases[i].want_ns : 0));
		assert_int_equal(s.conn.evidence, estimated ? EVIDENCE_ESTIMATE : 0);
		pipeline_free(p);
	}
}

/* MPTCP's worker closes a server's subflow: it did that, and owns nothing. */
static void a_kernel_thread_owns_nothing(void **arg)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){0});
	struct event fin = state(3, 1, ST_ESTABLISHED, ST_FIN_WAIT_1);
	struct event rst = state(4, 1, ST_FIN_WAIT_1, ST_CLOSED);
	const struct proctab *procs = pipeline_procs(p);

	for (int kthread = 1; kthread >= 0; kthread--) {
		open_client(p, 1);
		fin.flags |= EVF_TASK;
		fin.task.pid = 812;
		fin.flags = kthread ? fin.flags | EVF_KTHREAD : fin.flags & ~EVF_KTHREAD;
		feed(p, fin);
		assert_int_equal(proc_get(procs, s.last.actor)->pid, 812);
		rst.tcp.err = ETIMEDOUT;
		feed(p, rst);
		assert_int_equal(proc_get(procs, s.conn.owner)->pid, kthread ? 0 : 812);
	}
	pipeline_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hostile_records_are_refused),
		cmocka_unit_test(isns_come_from_the_counters),
		cmocka_unit_test(a_gap_is_marked_and_mended),
		cmocka_unit_test(a_full_table_is_counted),
		cmocka_unit_test(a_late_reset_is_joined),
		cmocka_unit_test(a_reset_that_never_shows_is_not_waited_for),
		cmocka_unit_test(lookups_back_off_and_settle),
		cmocka_unit_test(a_bound_socket_is_asked_for_by_its_interface),
		cmocka_unit_test(an_orphan_that_runs_out_says_so),
		cmocka_unit_test(time_wait_is_counted_for_its_time),
		cmocka_unit_test(a_told_end_of_time_wait_is_counted_once),
		cmocka_unit_test(a_lookup_does_not_forestall_the_hook),
		cmocka_unit_test(a_reset_before_established_ends_another),
		cmocka_unit_test(reuse_ends_a_held_time_wait),
		cmocka_unit_test(a_cookie_has_no_handshake_time),
		cmocka_unit_test(a_kernel_thread_owns_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
