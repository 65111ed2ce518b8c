/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A capture's segments through RFC 9293's state machine, by the RFC's own figures:
 * after each segment, which step it was and what state both its ends are in. A
 * capture shows that a segment was sent. That it came is proven by what its receiver
 * sends next, and only then the receiver's state changes (but for a bare ACK, which
 * nothing answers).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "connection/conn.h"
#include "event.h"
#include "flow/flow.h"
#include "wire/wire.h"

enum { A, B }; /* A opens, where one does */

/* A segment and what is to be said of it. states: the sender's, then the receiver's. */
struct row {
	uint8_t from;
	uint16_t flags;
	uint32_t seq, ack, len;
	uint8_t step;
	uint8_t state, peer_state;
	uint32_t notes; /* these at least */
};

struct told {
	unsigned events, again;
	uint8_t last_state[2]; /* of the ends with port 1000 (A) and 2000 (B) */
	uint32_t states[2];    /* bits of all that were told */
	uint32_t last_una[2], last_rcv_nxt[2];
	uint32_t total_retrans[2];
	uint64_t syn_ns;       /* the newest SYN_SENT's */
};

static void on_event(void *ctx, const struct event *e)
{
	struct told *t = ctx;

	t->events++;
	t->again += e->kind == EV_RETRANSMIT;
	if (e->kind == EV_STATE) {
		unsigned end = e->lport == 2000;

		t->last_state[end] = e->new_state;
		t->states[end] |= 1u << e->new_state;
		t->last_una[end] = e->tcp.snd_una;
		t->total_retrans[end] = e->tcp.total_retrans;
		t->last_rcv_nxt[end] = e->tcp.rcv_nxt;
		if (e->new_state == ST_SYN_SENT)
			t->syn_ns = e->ts_ns;
	}
}

static struct wire_segment segment(const struct row *r)
{
	struct wire_segment s = {
		.sport = r->from == A ? 1000 : 2000,
		.dport = r->from == A ? 2000 : 1000,
		.seq = r->seq,
		.ack = r->ack,
		.len = r->len,
		.flags = r->flags,
		.window = 64000,
	};

	s.src[10] = s.src[11] = s.dst[10] = s.dst[11] = 0xff;
	s.src[12] = s.dst[12] = 10;
	s.src[15] = r->from == A ? 1 : 2;
	s.dst[15] = r->from == A ? 2 : 1;
	return s;
}

static void play(const struct row *rows, unsigned n, struct told *t)
{
	struct flowtab *tab = flowtab_new(16, on_event, t);

	assert_non_null(tab);
	memset(t, 0, sizeof(*t));
	for (unsigned i = 0; i < n; i++) {
		struct wire_segment s = segment(&rows[i]);
		struct flow_mark m = {0};

		s.ip_id = (uint16_t)(i + 1);
		flowtab_segment(tab, &s, 1000000ull * (i + 1), &m);
		if (m.step != rows[i].step || m.state != rows[i].state ||
		    m.peer_state != rows[i].peer_state ||
		    (m.notes & rows[i].notes) != rows[i].notes)
			fail_msg("row %u: step %u, states %u %u, notes %x", i, m.step, m.state,
				 m.peer_state, m.notes);
	}
	flowtab_finish(tab, 1000000ull * (n + 1));
	flowtab_free(tab);
}

#define PLAY(rows, t) play(rows, sizeof(rows) / sizeof((rows)[0]), t)
#define SYN	      WIRE_SYN
#define ACK	      WIRE_ACK
#define FIN	      WIRE_FIN
#define RST	      WIRE_RST

/* The handshake, then figure by figure how it goes on. */
#define OPENED                                                                                     \
	{A, SYN, 100, 0, 0, FLOW_SYN, ST_SYN_SENT, ST_NONE, 0},                                    \
		{B, SYN | ACK, 300, 101, 0, FLOW_SYNACK, ST_SYN_RECV, ST_SYN_SENT, 0},             \
	{                                                                                          \
		A, ACK, 101, 301, 0, FLOW_ACK, ST_ESTABLISHED, ST_ESTABLISHED, 0                   \
	}

/* RFC 9293, figures 6 and 12: the basic handshake, the normal close. */
static void test_open_and_close(void **state)
{
	static const struct row rows[] = {
		OPENED,
		{A, ACK, 101, 301, 50, FLOW_STEP_NONE, ST_ESTABLISHED, ST_ESTABLISHED, 0},
		{B, ACK, 301, 151, 0, FLOW_STEP_NONE, ST_ESTABLISHED, ST_ESTABLISHED, 0},
		{A, FIN | ACK, 151, 301, 0, FLOW_FIN_1, ST_FIN_WAIT_1, ST_ESTABLISHED, 0},
		{B, ACK, 301, 152, 0, FLOW_FIN_1_ACK, ST_CLOSE_WAIT, ST_FIN_WAIT_2, 0},
		{B, FIN | ACK, 301, 152, 0, FLOW_FIN_2, ST_LAST_ACK, ST_FIN_WAIT_2, 0},
		{A, ACK, 152, 302, 0, FLOW_FIN_2_ACK, ST_TIME_WAIT, ST_CLOSED, 0},
	};
	struct told t;

	PLAY(rows, &t);
	assert_int_equal(t.last_state[B], ST_CLOSED);
}

/* The second FIN carries the ACK of the first: three segments. */
static void test_fin_answers_fin(void **state)
{
	static const struct row rows[] = {
		OPENED,
		{B, FIN | ACK, 301, 101, 0, FLOW_FIN_1, ST_FIN_WAIT_1, ST_ESTABLISHED, 0},
		{A, FIN | ACK, 101, 302, 0, FLOW_FIN_23, ST_LAST_ACK, ST_FIN_WAIT_2, 0},
		{B, ACK, 302, 102, 0, FLOW_FIN_2_ACK, ST_TIME_WAIT, ST_CLOSED, 0},
	};
	struct told t;

	PLAY(rows, &t);
	assert_int_equal(t.last_state[A], ST_CLOSED);
}

/* Data goes on to the end that has closed its direction. */
static void test_half_close(void **state)
{
	static const struct row rows[] = {
		OPENED,
		{A, FIN | ACK, 101, 301, 0, FLOW_FIN_1, ST_FIN_WAIT_1, ST_ESTABLISHED, 0},
		{B, ACK, 301, 102, 0, FLOW_FIN_1_ACK, ST_CLOSE_WAIT, ST_FIN_WAIT_2, 0},
		{B, ACK, 301, 102, 700, FLOW_STEP_NONE, ST_CLOSE_WAIT, ST_FIN_WAIT_2,
		 FLOW_HALF_CLOSED},
		{A, ACK, 102, 1001, 0, FLOW_STEP_NONE, ST_FIN_WAIT_2, ST_CLOSE_WAIT, 0},
		{B, FIN | ACK, 1001, 102, 0, FLOW_FIN_2, ST_LAST_ACK, ST_FIN_WAIT_2, 0},
		{A, ACK, 102, 1002, 0, FLOW_FIN_2_ACK, ST_TIME_WAIT, ST_CLOSED, 0},
	};
	struct told t;

	PLAY(rows, &t);
}

/* RFC 9293, figure 7: both SYNs underway at once. */
static void test_simultaneous_open(void **state)
{
	static const struct row rows[] = {
		{A, SYN, 100, 0, 0, FLOW_SYN, ST_SYN_SENT, ST_NONE, 0},
		{B, SYN, 300, 0, 0, FLOW_SYN_CROSSED, ST_SYN_SENT, ST_SYN_SENT, 0},
		{A, SYN | ACK, 100, 301, 0, FLOW_SYNACK, ST_SYN_RECV, ST_SYN_SENT, 0},
		{ B, SYN | ACK, 300, 101, 0, FLOW_SYNACK, ST_SYN_RECV, ST_ESTABLISHED, 0 },
		{ A, ACK, 101, 301, 3, FLOW_STEP_NONE, ST_ESTABLISHED, ST_ESTABLISHED, 0 },
		{ B, ACK, 301, 104, 0, FLOW_STEP_NONE, ST_ESTABLISHED, ST_ESTABLISHED, 0 },
	};
	struct told t;

	PLAY(rows, &t);
	assert_int_equal(t.last_state[A], ST_ESTABLISHED);
	assert_int_equal(t.last_state[B], ST_ESTABLISHED);
}

/* RFC 9293, figure 13: the FINs cross, both go through CLOSING. */
static void test_simultaneous_close(void **state)
{
	static const struct row rows[] = {
		OPENED,
		{A, FIN | ACK, 101, 301, 0, FLOW_FIN_1, ST_FIN_WAIT_1, ST_ESTABLISHED, 0},
		{B, FIN | ACK, 301, 101, 0, FLOW_FIN_2, ST_FIN_WAIT_1, ST_FIN_WAIT_1, 0},
		{A, ACK, 102, 302, 0, FLOW_FIN_2_ACK, ST_CLOSING, ST_TIME_WAIT, 0},
		{B, ACK, 302, 102, 0, FLOW_FIN_1_ACK, ST_TIME_WAIT, ST_TIME_WAIT, 0},
	};
	struct told t;

	PLAY(rows, &t);
}

static void test_resets(void **state)
{
	static const struct row refused[] = {
		{A, SYN, 100, 0, 0, FLOW_SYN, ST_SYN_SENT, ST_NONE, 0},
		{B, RST | ACK, 0, 101, 0, FLOW_REFUSED, ST_NONE, ST_CLOSED, 0},
	};
	static const struct row open[] = {
		OPENED,
		{B, RST | ACK, 301, 101, 0, FLOW_RESET, ST_CLOSED, ST_CLOSED, 0},
	};
	static const struct row blind[] = {
		OPENED,
		{B, RST, 301 + 5000000, 0, 0, FLOW_RESET, ST_ESTABLISHED, ST_ESTABLISHED,
		 FLOW_NOT_OURS},
		{A, ACK, 101, 301, 5, FLOW_STEP_NONE, ST_ESTABLISHED, ST_ESTABLISHED, 0},
	};
	struct told t;

	PLAY(refused, &t);
	PLAY(open, &t);
	assert_int_equal(t.last_state[A], ST_CLOSED);
	PLAY(blind, &t); /* outside of the window: RFC 9293, 3.5.3 */
}

static void test_sent_again(void **state)
{
	static const struct row rows[] = {
		{A, SYN, 100, 0, 0, FLOW_SYN, ST_SYN_SENT, ST_NONE, 0},
		{A, SYN, 100, 0, 0, FLOW_SYN, ST_SYN_SENT, ST_NONE, FLOW_RETRANSMISSION},
		{B, SYN | ACK, 300, 101, 0, FLOW_SYNACK, ST_SYN_RECV, ST_SYN_SENT, 0},
		{A, ACK, 101, 301, 0, FLOW_ACK, ST_ESTABLISHED, ST_ESTABLISHED, 0},
		{A, ACK, 101, 301, 10, FLOW_STEP_NONE, ST_ESTABLISHED, ST_ESTABLISHED, 0},
		{A, ACK, 101, 301, 10, FLOW_STEP_NONE, ST_ESTABLISHED, ST_ESTABLISHED,
		 FLOW_RETRANSMISSION},
		{A, FIN | ACK, 111, 301, 0, FLOW_FIN_1, ST_FIN_WAIT_1, ST_ESTABLISHED, 0},
		{A, FIN | ACK, 111, 301, 0, FLOW_STEP_NONE, ST_FIN_WAIT_1, ST_ESTABLISHED,
		 FLOW_RETRANSMISSION},
	};
	struct told t;

	PLAY(rows, &t);
}

/* The ports serve again: another connection, not a broken old one. */
static void test_ports_reused(void **state)
{
	static const struct row rows[] = {
		OPENED,
		{B, FIN | ACK, 301, 101, 0, FLOW_FIN_1, ST_FIN_WAIT_1, ST_ESTABLISHED, 0},
		{A, FIN | ACK, 101, 302, 0, FLOW_FIN_23, ST_LAST_ACK, ST_FIN_WAIT_2, 0},
		{B, ACK, 302, 102, 0, FLOW_FIN_2_ACK, ST_TIME_WAIT, ST_CLOSED, 0},
		{A, SYN, 90000, 0, 0, FLOW_SYN, ST_SYN_SENT, ST_NONE, FLOW_PORTS_REUSED},
	};
	struct told t;

	PLAY(rows, &t);
	assert_int_equal(t.last_state[A], ST_SYN_SENT);
}

/* A capture that begins in the middle proves what it shows, and no more. */
static void test_begins_in_the_middle(void **state)
{
	static const struct row rows[] = {
		{A, ACK, 5000, 9000, 10, FLOW_STEP_NONE, ST_ESTABLISHED, ST_NONE, 0},
		{A, FIN | ACK, 5010, 9000, 0, FLOW_FIN_1, ST_FIN_WAIT_1, ST_NONE, 0},
		{B, ACK, 9000, 5011, 0, FLOW_FIN_1_ACK, ST_CLOSE_WAIT, ST_FIN_WAIT_2, 0},
	};
	struct told t;

	PLAY(rows, &t);
}

/* Sequence numbers wrap (RFC 9293, 3.4). */
static void test_wraps(void **state)
{
	static const struct row rows[] = {
		{A, SYN, 0xffffffff, 0, 0, FLOW_SYN, ST_SYN_SENT, ST_NONE, 0},
		{B, SYN | ACK, 0xfffffffe, 0, 0, FLOW_SYNACK, ST_SYN_RECV, ST_SYN_SENT, 0},
		{A, ACK, 0, 0xffffffff, 0, FLOW_ACK, ST_ESTABLISHED, ST_ESTABLISHED, 0},
		{B, ACK, 0xffffffff, 0, 4, FLOW_STEP_NONE, ST_ESTABLISHED, ST_ESTABLISHED, 0},
		{A, FIN | ACK, 0, 3, 0, FLOW_FIN_1, ST_FIN_WAIT_1, ST_ESTABLISHED, 0},
		{B, FIN | ACK, 3, 1, 0, FLOW_FIN_23, ST_LAST_ACK, ST_FIN_WAIT_2, 0},
		{A, ACK, 1, 4, 0, FLOW_FIN_2_ACK, ST_TIME_WAIT, ST_CLOSED, 0},
	};
	struct told t;

	PLAY(rows, &t);
}

/* A RST says what had come before it: data that nobody had acknowledged, and the FIN. */
static void test_a_reset_acknowledges(void **state)
{
	static const struct row rows[] = {
		OPENED,
		{A, ACK, 101, 301, 50, FLOW_STEP_NONE, ST_ESTABLISHED, ST_ESTABLISHED, 0},
		{A, FIN | ACK, 151, 301, 0, FLOW_FIN_1, ST_FIN_WAIT_1, ST_ESTABLISHED, 0},
		{B, RST | ACK, 301, 152, 0, FLOW_RESET, ST_CLOSED, ST_CLOSED, 0},
	};
	struct told t;

	PLAY(rows, &t);
	assert_true(t.states[B] & 1u << ST_CLOSE_WAIT);
	assert_int_equal(t.last_rcv_nxt[B], 152);
}

/* A FIN that its receiver has not acknowledged in what it said since did not come; else it went ahead. */
static void test_a_reset_behind_a_fin(void **state)
{
	static const struct row lost[] = {
		OPENED,
		{A, FIN | ACK, 151, 301, 0, FLOW_FIN_1, ST_FIN_WAIT_1, ST_ESTABLISHED, 0},
		{B, ACK, 301, 101, 9, FLOW_STEP_NONE, ST_ESTABLISHED, ST_FIN_WAIT_1, 0},
		{A, RST, 152, 0, 0, FLOW_RESET, ST_CLOSED, ST_CLOSED, 0},
	};
	static const struct row came[] = {
		OPENED,
		{A, FIN | ACK, 101, 301, 0, FLOW_FIN_1, ST_FIN_WAIT_1, ST_ESTABLISHED, 0},
		{A, RST, 102, 0, 0, FLOW_RESET, ST_CLOSED, ST_CLOSED, 0},
	};
	struct told t;

	PLAY(lost, &t);
	assert_false(t.states[B] & 1u << ST_CLOSE_WAIT);
	assert_int_equal(t.last_rcv_nxt[B], 101);
	PLAY(came, &t);
	assert_true(t.states[B] & 1u << ST_CLOSE_WAIT);
}

/* What is left of an older connection answers the SYN of a new one, and is reset by it (RFC 9293,
 * figure 9): neither is of the new one. */
static void test_an_older_one_answers(void **state)
{
	static const struct row rows[] = {
		{A, SYN, 90000, 0, 0, FLOW_SYN, ST_SYN_SENT, ST_NONE, 0},
		{B, ACK, 5000, 24000, 0, FLOW_STEP_NONE, ST_NONE, ST_SYN_SENT, FLOW_NOT_OURS},
		{A, RST, 24000, 0, 0, FLOW_RESET, ST_SYN_SENT, ST_NONE, FLOW_NOT_OURS},
		{A, SYN, 90000, 0, 0, FLOW_SYN, ST_SYN_SENT, ST_NONE, FLOW_RETRANSMISSION},
		{B, SYN | ACK, 70000, 90001, 0, FLOW_SYNACK, ST_SYN_RECV, ST_SYN_SENT, 0},
	};
	struct told t;

	PLAY(rows, &t);
}

/* The first of a SYN's sendings met the old connection, and the RST of that ended it. */
static void test_a_syn_that_had_to_wait_was_sent_twice(void **state)
{
	static const struct row rows[] = {
		OPENED,
		{A, SYN, 90000, 0, 0, FLOW_SYN, ST_ESTABLISHED, ST_ESTABLISHED, 0},
		{B, ACK, 301, 101, 0, FLOW_STEP_NONE, ST_ESTABLISHED, ST_ESTABLISHED, 0},
		{A, RST, 101, 0, 0, FLOW_RESET, ST_CLOSED, ST_CLOSED, 0},
		{A, SYN, 90000, 0, 0, FLOW_SYN, ST_SYN_SENT, ST_NONE, FLOW_RETRANSMISSION},
	};
	struct told t;

	PLAY(rows, &t);
	assert_int_equal(t.again, 1);
	assert_int_equal(t.syn_ns, 4 * 1000000);
}

/* Whoever refuses a SYN has given up the one that it sent itself. */
static void test_who_refuses_does_not_connect(void **state)
{
	static const struct row rows[] = {
		{A, SYN, 100, 0, 0, FLOW_SYN, ST_SYN_SENT, ST_NONE, 0},
		{B, SYN, 300, 0, 0, FLOW_SYN_CROSSED, ST_SYN_SENT, ST_SYN_SENT, 0},
		{A, RST | ACK, 0, 301, 0, FLOW_REFUSED, ST_CLOSED, ST_CLOSED, 0},
		{A, SYN, 90000, 0, 0, FLOW_SYN, ST_SYN_SENT, ST_NONE, FLOW_PORTS_REUSED},
		{B, RST | ACK, 0, 90001, 0, FLOW_REFUSED, ST_NONE, ST_CLOSED, 0},
	};
	struct told t;

	PLAY(rows, &t);
}

/* The answer to a SYN that had to wait: how often it was sent is known by then. */
static void test_a_syn_that_had_to_wait_is_answered(void **state)
{
	static const struct row rows[] = {
		OPENED,
		{A, FIN | ACK, 101, 301, 0, FLOW_FIN_1, ST_FIN_WAIT_1, ST_ESTABLISHED, 0},
		{A, SYN, 90000, 0, 0, FLOW_SYN, ST_FIN_WAIT_1, ST_ESTABLISHED, FLOW_PORTS_REUSED},
		{A, SYN, 90000, 0, 0, FLOW_SYN, ST_FIN_WAIT_1, ST_ESTABLISHED, FLOW_PORTS_REUSED},
		{B, SYN | ACK, 70000, 90001, 0, FLOW_SYNACK, ST_SYN_RECV, ST_SYN_SENT, 0},
		{A, ACK, 90001, 70001, 0, FLOW_ACK, ST_ESTABLISHED, ST_ESTABLISHED, 0},
	};
	struct told t;

	PLAY(rows, &t);
	assert_int_equal(t.total_retrans[A], 1);
	assert_int_equal(t.syn_ns, 5 * 1000000);
}

/* The SYN-ACK came too late: the socket was gone, and its SYN's number is what it was. */
static void test_a_late_syn_ack_is_reset(void **state)
{
	static const struct row rows[] = {
		{A, SYN, 100, 0, 0, FLOW_SYN, ST_SYN_SENT, ST_NONE, 0},
		{B, SYN | ACK, 300, 101, 0, FLOW_SYNACK, ST_SYN_RECV, ST_SYN_SENT, 0},
		{A, RST, 101, 0, 0, FLOW_RESET, ST_CLOSED, ST_CLOSED, 0},
	};
	struct told t;

	PLAY(rows, &t);
	assert_int_equal(t.last_una[A], 100);
}

/* Where SYNs cross and the SYN-ACK is lost, a bare ACK opens nothing: the SYN is sent again. */
static void test_a_bare_ack_opens_nothing(void **state)
{
	static const struct row rows[] = {
		{A, SYN, 100, 0, 0, FLOW_SYN, ST_SYN_SENT, ST_NONE, 0},
		{B, ACK, 301, 101, 0, FLOW_STEP_NONE, ST_ESTABLISHED, ST_SYN_SENT, 0},
		{A, SYN, 100, 0, 0, FLOW_SYN, ST_SYN_SENT, ST_ESTABLISHED, 0},
	};
	struct told t;

	PLAY(rows, &t);
	assert_false(t.states[A] & 1u << ST_ESTABLISHED);
}

/* Whoever has taken the FIN takes a RST with its number as well (tcp_reset_check()). */
static void test_a_reset_with_the_fins_number(void **state)
{
	static const struct row rows[] = {
		OPENED,
		{B, FIN | ACK, 301, 101, 0, FLOW_FIN_1, ST_FIN_WAIT_1, ST_ESTABLISHED, 0},
		{A, ACK, 101, 302, 9, FLOW_FIN_1_ACK, ST_CLOSE_WAIT, ST_FIN_WAIT_2, 0},
		{B, RST, 301, 0, 0, FLOW_RESET, ST_CLOSED, ST_CLOSED, 0},
	};
	struct told t;

	PLAY(rows, &t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open_and_close),
		cmocka_unit_test(test_fin_answers_fin),
		cmocka_unit_test(test_half_close),
		cmocka_unit_test(test_simultaneous_open),
		cmocka_unit_test(test_simultaneous_close),
		cmocka_unit_test(test_resets),
		cmocka_unit_test(test_sent_again),
		cmocka_unit_test(test_ports_reused),
		cmocka_unit_test(test_begins_in_the_middle),
		cmocka_unit_test(test_wraps),
		cmocka_unit_test(test_a_reset_acknowledges),
		cmocka_unit_test(test_a_reset_behind_a_fin),
		cmocka_unit_test(test_an_older_one_answers),
		cmocka_unit_test(test_a_syn_that_had_to_wait_was_sent_twice),
		cmocka_unit_test(test_a_syn_that_had_to_wait_is_answered),
		cmocka_unit_test(test_who_refuses_does_not_connect),
		cmocka_unit_test(test_a_late_syn_ack_is_reset),
		cmocka_unit_test(test_a_bare_ack_opens_nothing),
		cmocka_unit_test(test_a_reset_with_the_fins_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
