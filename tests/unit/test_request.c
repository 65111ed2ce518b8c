/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request sock that ends without a child: who ended it, and that nothing is claimed
 * of it that no event told. Events as full mode's hooks send them.
 */
#include "pipeline_rig.h"

enum { LISTENER = 99, SYN_MS = 10 };

/* About the server's end at 10.0.0.2:443; the client is 10.0.0.1:40000. */
static struct event request(uint64_t ms, uint8_t kind)
{
	struct event e = {
		.ts_ns = ms * 1000000,
		.netns = NETNS,
		.cookie = kind == EV_REQ_GONE ? 0 : LISTENER,
		.kind = kind,
		.old_state = ST_NEW_SYN_RECV,
		.new_state = ST_NEW_SYN_RECV,
		.lport = SERVER_PORT,
		.pport = CLIENT_PORT,
		.extra.req = {.isn_local = 7000, .isn_peer = 1000},
	};

	set_v4(e.local, 2);
	set_v4(e.peer, 1);
	return e;
}

static void listens(struct pipeline *p, uint64_t ms, uint64_t cookie)
{
	struct event e = request(ms, EV_STATE);

	e.cookie = cookie;
	e.old_state = ST_CLOSED;
	e.new_state = ST_LISTEN;
	e.pport = 0;
	memset(e.peer, 0, 16);
	feed(p, e);
}

static void syn_received(struct pipeline *p)
{
	feed(p, request(SYN_MS, EV_SYN_IN));
	feed(p, request(SYN_MS, EV_REQ_NEW));
	feed(p, request(SYN_MS, EV_SYNACK_SENT));
}

static void gone(struct pipeline *p, uint64_t ms, uint8_t listener, uint8_t retries)
{
	struct event e = request(ms, EV_REQ_GONE);

	e.extra.req.type = listener;
	e.extra.req.retries = retries;
	feed(p, e);
}

/* No socket stands behind it: the listener is no more, or it speaks for it. */
static void rst_sent(struct pipeline *p, uint64_t ms, bool listener)
{
	struct event e = request(ms, EV_RST_SENT);

	e.cookie = 0;
	e.old_state = 0;
	e.new_state = listener ? ST_LISTEN : 0;
	memset(&e.extra, 0, sizeof(e.extra));
	e.extra.reset.has_skb = 1;
	feed(p, e);
}

static void refused(struct pipeline *p, uint64_t ms, bool rst)
{
	struct event e = request(ms, EV_REQ_REFUSED);

	e.extra.req.type = rst;
	feed(p, e);
}

static void expect(struct pipeline *p, const struct seen *s, enum end_reason reason,
		   enum handshake_kind handshake, enum initiator initiator, enum conn_state state)
{
	assert_int_equal(s->ends, 1);
	assert_int_equal(s->verdict.teardown, TD_ABORTED);
	assert_int_equal(s->verdict.handshake, handshake);
	assert_int_equal(s->verdict.end_reason, reason);
	assert_int_equal(s->verdict.initiator, initiator);
	assert_int_equal(s->verdict.conn_state, state);
	assert_int_equal(s->last.to, ST_CLOSED);
	pipeline_free(p);
}

static struct pipeline *begin(struct seen *s)
{
	struct pipeline *p = make(s, (struct pipeline_config){0});

	listens(p, 1, LISTENER);
	syn_received(p);
	return p;
}

static void its_time_ran_out(void **st)
{
	struct seen s;
	struct pipeline *p = begin(&s);

	gone(p, 64000, REQUEST_GONE_LISTENS, 5);
	feed(p, tick(64100));
	expect(p, &s, END_SYN_TIMEOUT, HS_TIMED_OUT, INIT_KERNEL, CS_OTH);
}

/* tcp_synack_retries 0, or TCP_DEFER_ACCEPT: a time-out, and nothing was sent again. */
static void its_time_ran_out_and_nothing_was_sent_again(void **st)
{
	struct seen s;
	struct pipeline *p = begin(&s);

	gone(p, 1200, REQUEST_GONE_LISTENS, 0);
	feed(p, tick(1300));
	expect(p, &s, END_SYN_TIMEOUT, HS_TIMED_OUT, INIT_KERNEL, CS_OTH);
}

/* Late, after SYN-ACKs sent again: only the RST itself tells. */
static void the_client_reset_it(void **st)
{
	struct seen s;
	struct pipeline *p = begin(&s);

	gone(p, 3000, REQUEST_GONE_LISTENS, 1);
	refused(p, 3000, true);
	feed(p, tick(3100));
	expect(p, &s, END_RESET, HS_ABORTED, INIT_PEER, CS_RSTO);
}

/* A RST that the window does not hold ends nothing. */
static void a_blind_rst_is_not_its_end(void **st)
{
	struct seen s;
	struct pipeline *p = begin(&s);

	refused(p, 500, true);
	assert_int_equal(s.ends, 0);
	gone(p, 64000, REQUEST_GONE_LISTENS, 5);
	feed(p, tick(64100));
	expect(p, &s, END_SYN_TIMEOUT, HS_TIMED_OUT, INIT_KERNEL, CS_OTH);
}

/* tcp_abort_on_overflow: our RST, and at once. */
static void we_reset_it(void **st)
{
	struct seen s;
	struct pipeline *p = begin(&s);

	rst_sent(p, 100, true);
	gone(p, 100, REQUEST_GONE_LISTENS, 0);
	refused(p, 100, false);
	feed(p, tick(200));
	expect(p, &s, END_RESET, HS_ABORTED, INIT_LOCAL, CS_RSTR);
}

/* Its listener is no more, and another may listen there by now. A RST answers what comes then; its
 * timer finds it without one. */
static void its_listener_left_it(void **st)
{
	for (int answered = 0; answered < 2; answered++) {
		struct seen s;
		struct pipeline *p = begin(&s);

		listens(p, 50, LISTENER + 1);
		gone(p, 100, REQUEST_GONE_LEFT, 0);
		if (answered)
			rst_sent(p, 100, false);
		feed(p, tick(200));
		expect(p, &s, END_LISTENER_CLOSED, HS_ABORTED, answered ? INIT_LOCAL : INIT_NONE,
		       answered ? CS_RSTR : CS_OTH);
	}
}

/* SO_REUSEPORT: which listener it was is not known; that it listens is. */
static void one_of_two_listeners_did_not_leave(void **st)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){0});

	listens(p, 1, LISTENER);
	listens(p, 2, LISTENER + 1);
	syn_received(p);
	gone(p, 64000, REQUEST_GONE_LISTENS, 5);
	feed(p, tick(64100));
	expect(p, &s, END_SYN_TIMEOUT, HS_TIMED_OUT, INIT_KERNEL, CS_OTH);
}

/* Base mode is told of SYN-ACKs sent again, and of nothing else. */
static void what_base_mode_does_not_see_has_no_reason(void **st)
{
	static const uint64_t again_ms[] = {1000, 3000, 7000, 15000, 31000};

	for (int all = 0; all < 2; all++) {
		struct seen s;
		struct pipeline *p = make(&s, (struct pipeline_config){0});

		listens(p, 1, LISTENER);
		for (int i = 0; i < (all ? 5 : 2); i++)
			feed(p, request(again_ms[i], EV_SYNACK_RETRANSMIT));
		feed(p, tick(100000));
		assert_true(s.conn.evidence & EVIDENCE_ESTIMATE);
		expect(p, &s, all ? END_SYN_TIMEOUT : END_UNKNOWN,
		       all ? HS_TIMED_OUT : HS_ABORTED, all ? INIT_KERNEL : INIT_NONE, CS_OTH);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(its_time_ran_out),
		cmocka_unit_test(its_time_ran_out_and_nothing_was_sent_again),
		cmocka_unit_test(the_client_reset_it),
		cmocka_unit_test(a_blind_rst_is_not_its_end),
		cmocka_unit_test(we_reset_it),
		cmocka_unit_test(its_listener_left_it),
		cmocka_unit_test(one_of_two_listeners_did_not_leave),
		cmocka_unit_test(what_base_mode_does_not_see_has_no_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
