/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ends that random connections (tests/kernel/hunt.py) have shown to be told wrong: the events in
 * the order and with the numbers that the kernel gave them.
 */
#include "pipeline_rig.h"

#include "connection/conntab.h"

enum { OTHER = 2, MS = 1000000 };

/* In `state`, by way of the peer's FIN or ours. */
static void bring_to(struct pipeline *p, uint64_t cookie, enum tcp_state last)
{
	struct event e = state(4, cookie, ST_CLOSE_WAIT, ST_LAST_ACK);

	open_client(p, cookie);
	if (last == ST_CLOSING) {
		feed(p, state(3, cookie, ST_ESTABLISHED, ST_FIN_WAIT_1));
		e = state(4, cookie, ST_FIN_WAIT_1, ST_CLOSING);
		e.tcp.snd_nxt = e.tcp.write_seq = 1002;
	} else {
		feed(p, state(3, cookie, ST_ESTABLISHED, ST_CLOSE_WAIT));
	}
	feed(p, e);
}

/* Its process lets go of it before our FIN was acknowledged; `unread` bytes nobody has read. */
static struct event let_go(enum tcp_state from, uint32_t unread)
{
	struct event e = state(5, 1, from, ST_CLOSED);

	e.flags |= EVF_OWNED | EVF_TASK | EVF_DONE;
	e.tcp.snd_una = 1001;
	e.tcp.snd_nxt = e.tcp.write_seq = 1002;
	e.tcp.bytes_acked = 1;
	e.tcp.rcv_nxt = 5002 + 100;
	e.tcp.bytes_received = 101; /* and the FIN */
	e.tcp.copied_seq = e.tcp.rcv_nxt - 1 - unread;
	return e;
}

static void data_unread_is_reset_even_behind_a_fin(void **st)
{
	static const enum tcp_state from[] = {ST_LAST_ACK, ST_CLOSING};

	for (unsigned i = 0; i < 2; i++) {
		struct seen s;
		struct pipeline *p = make(&s, (struct pipeline_config){0});
		struct event rst = state(5, 1, 0, ST_CLOSED);

		bring_to(p, 1, from[i]);
		feed(p, let_go(from[i], 100));
		assert_int_equal(s.ends, 0);
		rst.kind = EV_RST_SENT;
		feed(p, rst);
		assert_int_equal(s.ends, 1);
		assert_int_equal(s.verdict.teardown, TD_RESET_SENT);
		assert_int_equal(s.verdict.conn_state, CS_RSTO);
		assert_int_equal(s.verdict.end_reason, END_UNREAD_DATA_RESET);
		assert_int_equal(s.verdict.initiator, i ? INIT_BOTH : INIT_PEER);
		assert_int_equal(s.end.end_trigger, TRIG_SYSCALL);
		pipeline_free(p);
	}
}

/* Between FIN_WAIT_2's ->CLOSE and its RST another end may be told of: it is no minisock meanwhile. */
static void data_unread_makes_no_minisock(void **st)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){0});
	struct event e = state(5, 1, ST_FIN_WAIT_2, ST_CLOSED);

	open_client(p, 1);
	feed(p, state(3, 1, ST_ESTABLISHED, ST_FIN_WAIT_1));
	feed(p, state(4, 1, ST_FIN_WAIT_1, ST_FIN_WAIT_2));
	e.flags |= EVF_OWNED | EVF_TASK;
	e.tcp.copied_seq = e.tcp.rcv_nxt - 1;
	feed(p, e);
	feed(p, tick(30));
	assert_int_equal(s.ends, 1);
	assert_int_equal(s.verdict.conn_state, CS_RSTO);
	assert_int_equal(s.verdict.end_reason, END_UNREAD_DATA_RESET);
	pipeline_free(p);
}

/* SO_LINGER 0 sends no RST any more: tcp_disconnect(), tcp_need_reset(). */
static void what_was_read_is_not_reset_behind_a_fin(void **st)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){0});

	bring_to(p, 1, ST_LAST_ACK);
	feed(p, let_go(ST_LAST_ACK, 0));
	assert_int_equal(s.ends, 1);
	assert_int_equal(s.verdict.conn_state, CS_SF);
	assert_int_equal(s.verdict.end_reason, END_FIN);
	pipeline_free(p);
}

/* connect(AF_UNSPEC) shuts nothing: what is shut, the peer's FIN or a shutdown() had. */
static void a_disconnect_is_no_close(void **st)
{
	for (uint8_t shut = 0; shut <= 3; shut++) {
		struct seen s;
		struct pipeline *p = make(&s, (struct pipeline_config){0});
		struct event e = state(4, 1, ST_CLOSE_WAIT, ST_CLOSED);

		open_client(p, 1);
		feed(p, state(3, 1, ST_ESTABLISHED, ST_CLOSE_WAIT));
		e.flags |= EVF_OWNED | EVF_TASK;
		e.tcp.shutdown = shut;
		feed(p, e);
		feed(p, tick(20));
		assert_int_equal(s.ends, 1);
		assert_int_equal(s.verdict.end_reason, shut == 3 ? END_LINGER_RESET : END_RESET);
		pipeline_free(p);
	}
}

/* An EOF that nobody has read is no data. */
static void an_unread_eof_is_no_unread_data(void **st)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){0});
	struct event wait = state(3, 1, ST_ESTABLISHED, ST_CLOSE_WAIT);
	struct event e = state(4, 1, ST_CLOSE_WAIT, ST_CLOSED);

	open_client(p, 1);
	wait.tcp.rcv_nxt += 101;
	wait.tcp.bytes_received = 101;
	feed(p, wait); /* 100 bytes and the FIN wait to be read */
	e.flags |= EVF_OWNED | EVF_TASK;
	e.tcp.rcv_nxt = wait.tcp.rcv_nxt;
	e.tcp.copied_seq = e.tcp.rcv_nxt - 1;
	feed(p, e);
	feed(p, tick(20));
	assert_int_equal(s.verdict.end_reason, END_LINGER_RESET);
	pipeline_free(p);
}

/* What came while close() had the lock is dealt with in its task: no call reset it. The error is told
 * after the ->CLOSE that is held meanwhile, and is no step before it. */
static void data_after_both_were_shut_is_no_call(void **st)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){.want_steps = true});
	struct event rst = state(10, 1, 0, ST_FIN_WAIT_1), answer = state(12, 1, 0, ST_CLOSED);
	struct event closed = state(10, 1, ST_FIN_WAIT_1, ST_CLOSED), error = rst;
	const struct conn *c;

	open_client(p, 1);
	feed(p, state(3, 1, ST_ESTABLISHED, ST_FIN_WAIT_1));
	rst.kind = EV_RST_RECEIVED;
	rst.tcp.shutdown = 3;
	feed(p, rst);
	closed.flags |= EVF_OWNED | EVF_TASK;
	closed.tcp.err = ECONNRESET;
	feed(p, closed);
	error.kind = EV_ERROR;
	error.ts_ns = 11 * MS;
	error.tcp.err = ECONNRESET;
	feed(p, error);
	c = conntab_find(pipeline_conns(p), 1);
	assert_non_null(c);
	for (unsigned i = 0; i < c->steps_len; i++)
		assert_int_not_equal(conntab_step(pipeline_conns(p), c, i)->kind, STEP_ERROR);
	answer.kind = EV_RST_SENT;
	feed(p, answer);
	assert_int_equal(s.ends, 1);
	assert_int_equal(s.verdict.teardown, TD_RESET_SENT);
	assert_int_equal(s.verdict.end_reason, END_RESET);
	assert_int_equal(s.end.end_trigger, TRIG_PACKET);
	pipeline_free(p);
}

/* Where SYNs crossed, what is sent again is the SYN-ACK. */
static void a_syn_ack_sent_again_is_no_syn(void **st)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){0});
	struct event again = state(3, 1, 0, ST_SYN_RECV);
	struct event open = state(4, 1, ST_SYN_RECV, ST_ESTABLISHED);

	feed(p, state(1, 1, ST_CLOSED, ST_SYN_SENT));
	feed(p, state(2, 1, ST_SYN_SENT, ST_SYN_RECV));
	again.kind = EV_RETRANSMIT;
	again.extra.seg.tcp_flags = 2 | 16;
	feed(p, again);
	open.tcp.total_retrans = 1;
	feed(p, open);
	feed(p, state(6, 1, ST_ESTABLISHED, ST_CLOSED));
	feed(p, tick(30));
	assert_int_equal(s.ends, 1);
	assert_int_equal(s.conn.syn_retransmits, 0);
	assert_int_equal(s.end.retransmits[RT_SYN], 0);
	assert_int_equal(s.end.retransmits[RT_SYNACK], 1);
	pipeline_free(p);
}

/* The server's end, 10.0.0.2:443, in a namespace. */
static struct event at_server(uint64_t ms, uint8_t from, uint8_t to, uint32_t netns)
{
	struct event e = state(ms, OTHER, from, to);

	e.netns = netns;
	e.lport = SERVER_PORT;
	e.pport = CLIENT_PORT;
	set_v4(e.local, 2);
	set_v4(e.peer, 1);
	e.tcp.snd_una = e.tcp.snd_nxt = e.tcp.write_seq = 5001;
	e.tcp.bytes_acked = 0;
	e.tcp.rcv_nxt = e.tcp.copied_seq = to == ST_ESTABLISHED ? 1001 : 1002;
	e.tcp.bytes_received = to == ST_ESTABLISHED ? 0 : 1;
	return e;
}

/* The server sends its FIN and, before that is acknowledged, lets go of its socket. On one host what was
 * sent first came first; between two a FIN that nobody acknowledged may have been lost. */
static void a_fin_is_known_to_come_only_within_a_namespace(void **st)
{
	for (unsigned apart = 0; apart <= 1; apart++) {
		struct seen s;
		struct pipeline *p = make(&s, (struct pipeline_config){0});
		uint32_t netns = NETNS + apart;
		struct event gone = at_server(7, ST_LAST_ACK, ST_CLOSED, netns);

		open_client(p, 1);
		feed(p, at_server(2, ST_LISTEN, ST_SYN_RECV, netns));
		feed(p, at_server(2, ST_SYN_RECV, ST_ESTABLISHED, netns));
		feed(p, state(3, 1, ST_ESTABLISHED, ST_FIN_WAIT_1));
		feed(p, at_server(4, ST_ESTABLISHED, ST_CLOSE_WAIT, netns));
		feed(p, state(4, 1, ST_FIN_WAIT_1, ST_FIN_WAIT_2));
		feed(p, state(5, 1, ST_FIN_WAIT_2, ST_CLOSED));
		feed(p, at_server(6, ST_CLOSE_WAIT, ST_LAST_ACK, netns));
		gone.flags |= EVF_OWNED | EVF_TASK;
		gone.tcp.snd_nxt = gone.tcp.write_seq = 5002;
		feed(p, gone);
		assert_int_equal(s.ends, apart ? 1 : 2);
		if (!apart)
			assert_int_equal(s.verdict.conn_state, CS_SF);
		assert_int_equal(conntab_count(pipeline_conns(p)), apart);
		pipeline_free(p);
	}
}

/* In SYN_SENT it resets what is left of an older connection on its ports, never its own. */
static void a_reset_in_syn_sent_is_of_another(void **st)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){0});
	struct event rst = state(2, 1, 0, ST_SYN_SENT), over = state(9, 1, ST_SYN_SENT, ST_CLOSED);

	feed(p, state(1, 1, ST_CLOSED, ST_SYN_SENT));
	rst.kind = EV_RST_SENT;
	rst.extra.reset.has_skb = 1;
	feed(p, rst);
	over.tcp.err = ETIMEDOUT;
	feed(p, over);
	assert_int_equal(s.ends, 1);
	assert_int_equal(s.verdict.conn_state, CS_S0);
	assert_int_equal(s.verdict.end_reason, END_SYN_TIMEOUT);
	pipeline_free(p);
}

static struct event not_found(uint64_t ms)
{
	struct event e = tick(ms);

	e.kind = EV_TW_LOOKUP;
	e.cookie = 1;
	return e;
}

static struct event rst_of_minisock_is_traced(void)
{
	return (struct event){.kind = EV_FACT,
			      .extra.fact = {.id = FACT_RST_OF_MINISOCK, .value = 1}};
}

static void connects_on_its_tuple(struct pipeline *p, uint64_t ms)
{
	struct event e = state(ms, OTHER, ST_CLOSED, ST_SYN_SENT);

	e.lport = CLIENT_PORT; /* it was bound to it */
	feed(p, e);
}

/* A bound connect() takes over an orphan's FIN_WAIT_2: that is gone, and nobody reset it. */
static void a_minisock_taken_over_was_not_reset(void **st)
{
	for (unsigned taken = 0; taken <= 1; taken++) {
		struct seen s;
		struct pipeline *p = make(&s, (struct pipeline_config){0});
		struct event found = not_found(110);

		feed(p, rst_of_minisock_is_traced());
		orphan(p, 1);
		found.extra.lookup.found = 1;
		found.extra.lookup.state = ST_FIN_WAIT_2;
		found.extra.lookup.expires_ms = 3900;
		feed(p, found);
		if (taken)
			connects_on_its_tuple(p, 200);
		feed(p, not_found(420));
		assert_int_equal(s.ends, 1);
		assert_int_equal(s.verdict.teardown, taken ? TD_UNSEEN : TD_RESET_RECEIVED);
		pipeline_free(p);
	}
}

/* A RST without a socket behind it says that the minisock is gone: as much as a look-up does, and the
 * kernel gave nothing up. */
static void no_socket_on_the_tuple_is_an_answer(void **st)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){0});
	struct event found = not_found(110), rst = state(130, 0, 0, 0);

	feed(p, rst_of_minisock_is_traced());
	orphan(p, 1);
	found.extra.lookup.found = 1;
	found.extra.lookup.state = ST_FIN_WAIT_2;
	found.extra.lookup.expires_ms = 3900;
	feed(p, found);
	rst.kind = EV_RST_SENT;
	rst.lport = CLIENT_PORT;
	feed(p, rst);
	assert_int_equal(s.ends, 1);
	assert_int_equal(s.verdict.teardown, TD_RESET_RECEIVED);
	assert_int_equal(s.verdict.conn_state, CS_RSTR);
	pipeline_free(p);
}

/* A FIN behind data that the peer's window holds back is not sent: the peer's does not cross it. */
static void a_fin_that_waits_crosses_nothing(void **st)
{
	for (unsigned sent = 0; sent <= 1; sent++) {
		struct seen s;
		struct pipeline *p = make(&s, (struct pipeline_config){0});
		struct event closing = state(4, 1, ST_FIN_WAIT_1, ST_CLOSING);
		struct event fin = state(3, 1, ST_ESTABLISHED, ST_FIN_WAIT_1);
		struct event over = state(5, 1, ST_CLOSING, ST_CLOSED);

		open_client(p, 1);
		fin.tcp.write_seq = 3001;
		feed(p, fin);
		closing.tcp.write_seq = 3002;
		closing.tcp.snd_nxt = sent ? 3002 : 2001;
		feed(p, closing);
		over.flags |= EVF_DONE;
		over.tcp.snd_una = over.tcp.snd_nxt = over.tcp.write_seq = 3002;
		feed(p, over);
		assert_int_equal(s.ends, 1);
		assert_int_equal(s.verdict.conn_state, CS_SF);
		assert_int_equal(s.verdict.teardown, sent ? TD_SIMULTANEOUS : TD_NORMAL);
		assert_int_equal(s.verdict.initiator, sent ? INIT_BOTH : INIT_PEER);
		assert_int_equal(s.verdict.half_close_ns >= 0, sent);
		pipeline_free(p);
	}
}

static void full_mode_sees_it_taken_over(void **st)
{
	for (unsigned taken = 0; taken <= 1; taken++) {
		struct seen s;
		struct pipeline *p = make(&s, (struct pipeline_config){0});
		struct event e = state(4, 1, 0, ST_FIN_WAIT_2);

		e.kind = EV_TW_ENTER;
		e.extra.tw.substate = ST_FIN_WAIT_2;
		e.extra.tw.timeo_ms = 60000;
		orphan(p, 1);
		feed(p, e);
		if (taken)
			connects_on_its_tuple(p, 200);
		e.kind = EV_TW_LEAVE;
		e.ts_ns = 200 * MS;
		feed(p, e);
		assert_int_equal(s.ends, 1);
		assert_int_equal(s.verdict.conn_state, taken ? CS_S2 : CS_RSTO);
		pipeline_free(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(data_unread_is_reset_even_behind_a_fin),
		cmocka_unit_test(data_unread_makes_no_minisock),
		cmocka_unit_test(what_was_read_is_not_reset_behind_a_fin),
		cmocka_unit_test(a_disconnect_is_no_close),
		cmocka_unit_test(an_unread_eof_is_no_unread_data),
		cmocka_unit_test(data_after_both_were_shut_is_no_call),
		cmocka_unit_test(a_syn_ack_sent_again_is_no_syn),
		cmocka_unit_test(a_reset_in_syn_sent_is_of_another),
		cmocka_unit_test(a_fin_is_known_to_come_only_within_a_namespace),
		cmocka_unit_test(a_minisock_taken_over_was_not_reset),
		cmocka_unit_test(no_socket_on_the_tuple_is_an_answer),
		cmocka_unit_test(a_fin_that_waits_crosses_nothing),
		cmocka_unit_test(full_mode_sees_it_taken_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
