/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A segment sent again: which kind it is, by the kernel's fields at tcp_retransmit_skb
 * alone.
 */
#include "pipeline_rig.h"

/* What the kernel's fields are at tcp_retransmit_skb in each case: held against its counters and a
 * capture by tests/vm/loss.sh. */
static void a_retransmit_has_its_kind(void **arg)
{
	static const struct {
		uint8_t ca_state, pending, retransmits, flags;
		uint32_t snd_wnd;
		enum retransmit_kind kind;
		enum trigger trigger;
	} cases[] = {
		{0, 0, 1, 2, 0, RT_SYN, TRIG_TIMER},
		{0, 5, 0, 16, 9000, RT_TAIL_LOSS_PROBE, TRIG_TIMER},
		{3, 1, 0, 16, 9000, RT_FAST, TRIG_PACKET},
		{3, 2, 0, 16, 9000, RT_FAST, TRIG_PACKET}, /* RACK's timer */
		{3, 5, 0, 16, 9000, RT_FAST, TRIG_PACKET}, /* a loss probe still armed */
		{4, 0, 1, 16, 9000, RT_TIMEOUT, TRIG_TIMER},
		{4, 0, 1, 16, 0, RT_TIMEOUT, TRIG_TIMER},
		{4, 1, 1, 16, 9000, RT_SLOW_START, TRIG_PACKET},
		{4, 2, 0, 16, 9000, RT_SLOW_START, TRIG_PACKET},
		{4, 0, 0, 16, 0, RT_ZERO_WINDOW_PROBE, TRIG_TIMER},
	};
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){0});

	open_client(p, 1);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct event e = state(10 + i, 1, ST_ESTABLISHED, ST_ESTABLISHED);

		e.kind = EV_RETRANSMIT;
		e.tcp.ca_state = cases[i].ca_state;
		e.tcp.pending = cases[i].pending;
		e.tcp.retransmits = cases[i].retransmits;
		e.tcp.snd_wnd = cases[i].snd_wnd;
		e.extra.seg.tcp_flags = cases[i].flags;
		feed(p, e);
		assert_int_equal(s.last.kind, CHANGE_RETRANSMIT);
		assert_int_equal(s.last.retransmit, cases[i].kind);
		assert_int_equal(s.last.trigger, cases[i].trigger);
	}
	pipeline_free(p);
}

/* An ICMP host unreachable lets the timer do its work at once, the next one still armed. */
static void a_timeout_clocked_by_icmp_is_one(void **arg)
{
	static const struct {
		uint8_t retransmits;
		uint32_t snd_una, seq;
		enum retransmit_kind kind;
	} cases[] = {
		{1, 1001, 1001, RT_TIMEOUT},
		{2, 1001, 1001, RT_TIMEOUT},
		{2, 1001, 2449, RT_SLOW_START}, /* what a SACK made room for */
		{3, 1001, 1001, RT_TIMEOUT},
		{0, 2449, 2449, RT_SLOW_START}, /* an acknowledgement: the count begins anew */
		{0, 2449, 3897, RT_SLOW_START},
		{1, 2449, 2449, RT_TIMEOUT},
		{1, 2449, 2449, RT_SLOW_START}, /* the same lost again, seen by RACK */
	};
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){0});

	open_client(p, 1);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct event e = state(10 + i, 1, ST_ESTABLISHED, ST_ESTABLISHED);

		e.kind = EV_RETRANSMIT;
		e.tcp.ca_state = 4;
		e.tcp.pending = 1;
		e.tcp.snd_wnd = 9000;
		e.tcp.retransmits = cases[i].retransmits;
		e.tcp.snd_una = cases[i].snd_una;
		e.extra.seg.seq = cases[i].seq;
		e.extra.seg.tcp_flags = 16;
		feed(p, e);
		assert_int_equal(s.last.retransmit, cases[i].kind);
	}
	pipeline_free(p);
}

/* A RST that comes while data, sent again, has no answer, or a keepalive probe: the peer has
 * forgotten the connection. One that was sent again and answered long before is no sign of that. */
static void a_rst_that_answers_what_was_unheard(void **st)
{
	enum { RST = 4, ACK = 16 };
	static const struct {
		uint32_t in_flight, unsent;
		uint8_t retransmits, probes, flags;
		enum end_reason want;
	} cases[] = {
		{500, 0, 2, 0, RST | ACK, END_HALF_OPEN}, /* data */
		{500, 0, 0, 0, RST | ACK, END_RESET},
		{500, 0, 0, 0, RST, END_HALF_OPEN},	  /* data that met no socket */
		{0, 0, 0, 1, RST | ACK, END_HALF_OPEN},	  /* a keepalive probe */
		{0, 500, 0, 1, RST | ACK, END_RESET},	  /* a probe of a shut window */
		{0, 500, 0, 1, RST, END_HALF_OPEN},	  /* the same, and it met no socket */
		{0, 0, 0, 0, RST, END_RESET},		  /* a bare ACK: a SYN-ACK's, a challenge */
	};
	struct seen s;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pipeline *p = make(&s, (struct pipeline_config){0});
		struct event again = state(10, 1, 0, ST_ESTABLISHED);
		struct event rst = state(20, 1, 0, ST_ESTABLISHED);
		struct event closed = state(20, 1, ST_ESTABLISHED, ST_CLOSED);
		struct event segment = rst;

		open_client(p, 1);
		again.kind = EV_RETRANSMIT;
		again.tcp.ca_state = 4;
		again.tcp.retransmits = 1;
		feed(p, again);
		segment.kind = EV_RST_SEGMENT;
		segment.extra.seg.tcp_flags = cases[i].flags;
		feed(p, segment);
		rst.kind = EV_RST_RECEIVED;
		rst.tcp.snd_nxt += cases[i].in_flight;
		rst.tcp.write_seq += cases[i].in_flight + cases[i].unsent;
		rst.tcp.retransmits = cases[i].retransmits;
		rst.tcp.probes_out = cases[i].probes;
		feed(p, rst);
		closed.tcp.err = ECONNRESET;
		feed(p, closed);
		assert_int_equal(s.verdict.end_reason, cases[i].want);
		pipeline_free(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_retransmit_has_its_kind),
		cmocka_unit_test(a_timeout_clocked_by_icmp_is_one),
		cmocka_unit_test(a_rst_that_answers_what_was_unheard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
