/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An open connection that the kernel gives up by a timer: which one, and that neither an
 * ICMP message before it nor anything else hides that. Numbers as the kernel had them.
 */
#include "pipeline_rig.h"

/* What tcp_sock held at ->CLOSE; sent and queued: bytes behind snd_una. */
struct death {
	const char *what;
	uint8_t err, retransmits, probes;
	uint32_t sent, queued, window;
	enum end_reason reason;
	enum teardown_kind teardown;
	enum trigger trigger;
	uint16_t window_probes, keepalives;
};

static const struct death deaths[] = {
	{"nobody answered", ETIMEDOUT, 4, 0, 100, 100, 65536, END_RETRANSMIT_TIMEOUT, TD_TIMED_OUT,
	 TRIG_TIMER, 0, 0},
	{"a firewall's REJECT", ECONNREFUSED, 4, 0, 100, 100, 65536, END_RETRANSMIT_TIMEOUT,
	 TD_TIMED_OUT, TRIG_TIMER, 0, 0},
	{"admin prohibited", EHOSTUNREACH, 4, 0, 100, 100, 65536, END_RETRANSMIT_TIMEOUT,
	 TD_TIMED_OUT, TRIG_TIMER, 0, 0},
	{"keepalive", ETIMEDOUT, 0, 3, 0, 0, 65536, END_KEEPALIVE_TIMEOUT, TD_TIMED_OUT, TRIG_TIMER,
	 0, 3},
	{"keepalive, rejected", ECONNREFUSED, 0, 3, 0, 0, 65536, END_KEEPALIVE_TIMEOUT,
	 TD_TIMED_OUT, TRIG_TIMER, 0, 3},
	{"a window probe", ETIMEDOUT, 0, 4, 0, 900, 0, END_ZERO_WINDOW_TIMEOUT, TD_TIMED_OUT,
	 TRIG_TIMER, 4, 0},
	{"a window of less than a segment", ETIMEDOUT, 0, 4, 0, 9000, 1000, END_ZERO_WINDOW_TIMEOUT,
	 TD_TIMED_OUT, TRIG_TIMER, 4, 0},
	{"a window that holds all of it", ETIMEDOUT, 0, 4, 0, 900, 1000, END_RETRANSMIT_TIMEOUT,
	 TD_TIMED_OUT, TRIG_TIMER, 0, 0},
	{"dropped on this host", ETIMEDOUT, 0, 4, 0, 9000, 65536, END_RETRANSMIT_TIMEOUT,
	 TD_TIMED_OUT, TRIG_TIMER, 0, 0},
	{"our address is gone", EHOSTUNREACH, 0, 4, 0, 100, 65536, END_RETRANSMIT_TIMEOUT,
	 TD_TIMED_OUT, TRIG_TIMER, 0, 0},
};

static struct event closing(const struct death *d, uint8_t from)
{
	struct event e = state(9000, 1, from, ST_CLOSED);

	e.tcp.err = d->err;
	e.tcp.retransmits = d->retransmits;
	e.tcp.probes_out = d->probes;
	e.tcp.snd_nxt = e.tcp.snd_una + d->sent;
	e.tcp.write_seq = e.tcp.snd_una + d->queued;
	e.tcp.snd_wnd = d->window;
	e.tcp.mss = 1448;
	return e;
}

static void check(const struct death *d, const struct seen *s, enum teardown_kind teardown)
{
	const uint16_t *again = s->end.retransmits;

	if (s->ends != 1 || s->verdict.end_reason != d->reason || s->last.trigger != d->trigger ||
	    s->verdict.teardown != teardown || again[RT_ZERO_WINDOW_PROBE] != d->window_probes ||
	    again[RT_KEEPALIVE] != d->keepalives || s->end.err != d->err)
		fail_msg("%s: reason %d, teardown %d, trigger %d, %d window probes, %d keepalives",
			 d->what, s->verdict.end_reason, s->verdict.teardown, s->last.trigger,
			 again[RT_ZERO_WINDOW_PROBE], again[RT_KEEPALIVE]);
}

static void a_timer_is_told_by_what_waits(void **st)
{
	for (size_t i = 0; i < sizeof(deaths) / sizeof(deaths[0]); i++) {
		struct seen s;
		struct pipeline *p = make(&s, (struct pipeline_config){0});

		open_client(p, 1);
		feed(p, closing(&deaths[i], ST_ESTABLISHED));
		check(&deaths[i], &s, deaths[i].teardown);
		pipeline_free(p);
	}
}

/* Its process has closed it: the same timers, told as an orphan's end. */
static void an_orphan_is_given_up_too(void **st)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){0});
	struct event e = closing(&deaths[1], ST_FIN_WAIT_1);

	open_client(p, 1);
	feed(p, state(3, 1, ST_ESTABLISHED, ST_FIN_WAIT_1));
	e.flags |= EVF_DEAD;
	feed(p, e);
	check(&deaths[1], &s, TD_ORPHANED);
	pipeline_free(p);
}

/* Nobody has read what an ICMP message said; the connection ends by its FINs, or by its process. */
static void an_error_left_over_ends_nothing(void **st)
{
	static const struct death tired = {.err = EHOSTUNREACH, .retransmits = 3, .sent = 100,
					   .queued = 100, .window = 65536};
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){0});
	struct event e = state(6, 1, ST_FIN_WAIT_2, ST_CLOSED);

	open_client(p, 1);
	feed(p, state(3, 1, ST_ESTABLISHED, ST_FIN_WAIT_1));
	feed(p, state(4, 1, ST_FIN_WAIT_1, ST_FIN_WAIT_2));
	e.flags |= EVF_DONE;
	e.tcp.err = EHOSTUNREACH;
	feed(p, e);
	assert_int_equal(s.verdict.conn_state, CS_SF);
	assert_int_equal(s.verdict.end_reason, END_FIN);
	assert_int_equal(s.end.tw_end, TW_RUNNING);
	pipeline_free(p);

	p = make(&s, (struct pipeline_config){0});
	open_client(p, 1);
	e = closing(&tired, ST_ESTABLISHED);
	e.flags |= EVF_TASK | EVF_OWNED;
	e.task.pid = 5;
	feed(p, e);
	feed(p, tick(9100));
	assert_int_equal(s.ends, 1);
	assert_int_equal(s.verdict.end_reason, END_LINGER_RESET);
	assert_int_equal(s.verdict.teardown, TD_RESET_SENT);
	assert_int_equal(s.verdict.initiator, INIT_LOCAL);
	assert_int_equal(s.end.err, 0);
	pipeline_free(p);
}

/* In SYN_SENT a port unreachable is the end, and no timer's. */
static void a_syn_that_icmp_refuses_is_no_timeout(void **st)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){0});
	struct event e = state(3, 1, ST_SYN_SENT, ST_CLOSED);

	feed(p, state(1, 1, ST_CLOSED, ST_SYN_SENT));
	e.tcp.err = ECONNREFUSED;
	feed(p, e);
	assert_int_equal(s.ends, 1);
	assert_int_equal(s.last.trigger, TRIG_PACKET);
	assert_int_equal(s.verdict.handshake, HS_ABORTED);
	assert_int_equal(s.verdict.end_reason, END_ICMP);
	pipeline_free(p);
}

/* The socket got a segment, so a RST may have come that nobody told of: then nothing is claimed. */
static void a_refusal_that_was_not_told_is_not_named(void **st)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){0});
	struct event e = state(3, 1, ST_SYN_SENT, ST_CLOSED);

	feed(p, state(1, 1, ST_CLOSED, ST_SYN_SENT));
	e.tcp.err = ECONNREFUSED;
	e.tcp.segs_in = 1;
	feed(p, e);
	assert_int_equal(s.verdict.end_reason, END_UNKNOWN);
	pipeline_free(p);
}

/* It began at 1 ms. */
static void a_user_timeout_ends_a_syn_too(void **st)
{
	static const struct {
		uint64_t end_ms;
		uint32_t limit_ms;
		enum end_reason reason;
	} cases[] = {
		{1501, 1500, END_USER_TIMEOUT},
		{3001, 20000, END_SYN_TIMEOUT}, /* its tries were over before */
		{3001, 0, END_SYN_TIMEOUT},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct seen s;
		struct pipeline *p = make(&s, (struct pipeline_config){0});
		struct event e = state(cases[i].end_ms, 1, ST_SYN_SENT, ST_CLOSED);

		feed(p, state(1, 1, ST_CLOSED, ST_SYN_SENT));
		e.tcp.err = ETIMEDOUT;
		e.extra.state.user_timeout_ms = cases[i].limit_ms;
		feed(p, e);
		assert_int_equal(s.verdict.end_reason, cases[i].reason);
		assert_int_equal(s.verdict.handshake, HS_TIMED_OUT);
		assert_int_equal(s.verdict.teardown, TD_ABORTED);
		pipeline_free(p);
	}
}

/* Full mode tells each run of the persist timer; into an open window it probes nothing. */
static void only_a_shut_window_is_probed(void **st)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){0});
	struct event e = state(3, 1, ST_ESTABLISHED, ST_ESTABLISHED);

	open_client(p, 1);
	e.kind = EV_PROBE;
	e.extra.seg.mib = 2;
	e.tcp.write_seq += 100;
	e.tcp.mss = 1448;
	e.tcp.snd_wnd = 65536;
	s.changes = 0;
	feed(p, e);
	assert_int_equal(s.changes, 0);
	e.tcp.snd_wnd = 0;
	feed(p, e);
	assert_int_equal(s.changes, 1);
	assert_int_equal(s.last.retransmit, RT_ZERO_WINDOW_PROBE);
	pipeline_free(p);
}

/* Each lived for 30 s, with an rto of 208 ms, and was told no sysctl: tcp_retries2 is 15. */
static void a_user_timeout_is_told_from_a_count(void **st)
{
	static const struct {
		const char *what;
		uint32_t sent, queued, window, limit_ms;
		uint8_t retransmits, probes, flags;
		enum end_reason reason;
	} cases[] = {
		{"in flight", 100, 100, 65536, 2000, 3, 0, 0, END_USER_TIMEOUT},
		{"idle, keepalive runs", 0, 0, 65536, 4000, 0, 3, 0, END_USER_TIMEOUT},
		{"window shut, each probe answered", 0, 900, 0, 3000, 0, 0, 0, END_USER_TIMEOUT},
		{"window shut, no probe answered", 0, 900, 0, 3000, 0, 3, 0, END_USER_TIMEOUT},
		{"window shut, the last ones unanswered", 0, 900, 0, 9000, 0, 2, 0,
		 END_USER_TIMEOUT},
		{"it has not lived so long", 0, 900, 0, 60000, 0, 4, 0, END_ZERO_WINDOW_TIMEOUT},
		{"an orphan's time", 0, 900, 0, 3000, 0, 1, EVF_DEAD, END_USER_TIMEOUT},
		{"never left this host", 0, 100, 65536, 2000, 0, 3, 0, END_USER_TIMEOUT},
		{"the same, its count", 0, 100, 65536, 60000, 0, 4, 0, END_RETRANSMIT_TIMEOUT},
		{"none is set", 0, 900, 0, 0, 0, 15, 0, END_ZERO_WINDOW_TIMEOUT},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct death d = {.err = ETIMEDOUT,
				  .sent = cases[i].sent,
				  .queued = cases[i].queued,
				  .window = cases[i].window,
				  .retransmits = cases[i].retransmits,
				  .probes = cases[i].probes};
		struct event e = closing(&d, ST_ESTABLISHED);
		struct seen s;
		struct pipeline *p = make(&s, (struct pipeline_config){0});

		e.flags |= cases[i].flags;
		e.ts_ns = 30000000000;
		e.tcp.rto_us = 208000;
		e.extra.state.user_timeout_ms = cases[i].limit_ms;
		open_client(p, 1);
		feed(p, e);
		if (s.ends != 1 || s.verdict.end_reason != cases[i].reason)
			fail_msg("%s: reason %d", cases[i].what, s.verdict.end_reason);
		pipeline_free(p);
	}
}

/* The same numbers under another tcp_retries2: five probes without an answer in a long life. */
static void a_count_is_told_where_the_sysctl_is_known(void **st)
{
	static const struct death d = {.err = ETIMEDOUT, .queued = 900, .probes = 5};
	struct event e = closing(&d, ST_ESTABLISHED);
	struct event fact = {.ts_ns = 1,
			     .kind = EV_FACT,
			     .netns = NETNS,
			     .extra.fact = {.id = FACT_RETRIES2, .value = 5}};

	e.ts_ns = 300000000000;
	e.tcp.rto_us = 208000;
	e.extra.state.user_timeout_ms = 60000;
	for (int known = 0; known < 2; known++) {
		struct seen s;
		struct pipeline *p = make(&s, (struct pipeline_config){0});

		if (known)
			feed(p, fact);
		open_client(p, 1);
		feed(p, e);
		assert_int_equal(s.verdict.end_reason,
				 known ? END_ZERO_WINDOW_TIMEOUT : END_USER_TIMEOUT);
		pipeline_free(p);
	}
}

/* An uploader's close() behind a closed window: then the peer resets, or goes away. */
static void a_fin_that_was_never_sent_is_none(void **st)
{
	static const struct {
		uint32_t sent;
		enum initiator initiator;
		bool reset, has_fin;
	} cases[] = {
		{400, INIT_PEER, true, false},
		{400, INIT_KERNEL, false, false},
		{901, INIT_LOCAL, true, true}, /* data and the FIN behind it */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct death d = {.err = cases[i].reset ? ECONNRESET : ETIMEDOUT, .probes = 1,
				  .sent = cases[i].sent, .queued = 901};
		struct event fin = state(3, 1, ST_ESTABLISHED, ST_FIN_WAIT_1);
		struct event rst = state(8, 1, ST_FIN_WAIT_1, ST_FIN_WAIT_1);
		struct event end = closing(&d, ST_FIN_WAIT_1);
		struct seen s;
		struct pipeline *p = make(&s, (struct pipeline_config){0});

		open_client(p, 1);
		fin.tcp.write_seq += 900;
		feed(p, fin);
		rst.kind = EV_RST_RECEIVED;
		if (cases[i].reset)
			feed(p, rst);
		end.flags |= EVF_DEAD;
		feed(p, end);
		assert_int_equal(s.ends, 1);
		assert_int_equal(s.verdict.initiator, cases[i].initiator);
		assert_int_equal(s.verdict.has_client_fin, cases[i].has_fin);
		assert_int_equal(s.conn.bytes_sent, cases[i].has_fin ? 900 : 400);
		pipeline_free(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_timer_is_told_by_what_waits),
		cmocka_unit_test(an_orphan_is_given_up_too),
		cmocka_unit_test(an_error_left_over_ends_nothing),
		cmocka_unit_test(a_syn_that_icmp_refuses_is_no_timeout),
		cmocka_unit_test(a_refusal_that_was_not_told_is_not_named),
		cmocka_unit_test(a_user_timeout_ends_a_syn_too),
		cmocka_unit_test(only_a_shut_window_is_probed),
		cmocka_unit_test(a_user_timeout_is_told_from_a_count),
		cmocka_unit_test(a_count_is_told_where_the_sysctl_is_known),
		cmocka_unit_test(a_fin_that_was_never_sent_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
