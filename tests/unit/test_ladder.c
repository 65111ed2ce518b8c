/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ladder of hand-made connections, as it is drawn. Each case tells what one
 * end (or both) lived through, step by step; the picture is compared with
 * tests/golden/ladder_NAME.txt. GOLDEN_UPDATE=1 writes those files anew: look at
 * them before keeping them.
 */
#include "ladder_hand.h"

/* --- the cases ----------------------------------------------------------------------- */

static void test_normal(void **state)
{
	struct fixture *f = *state;

	client_opens(f);
	exchange(f, 512, 14200);
	call(&f->client, 1203.041, ST_FIN_WAIT_1, f->curl);
	packet(&f->client, 1203.055, ST_FIN_WAIT_2);
	packet(&f->client, 1203.120, ST_TIME_WAIT);
	check(f, "normal", &f->client, NULL);
}

static void test_server_closes_first(void **state)
{
	struct fixture *f = *state;

	client_opens(f);
	exchange(f, 77, 1200000);
	packet(&f->client, 20, ST_CLOSE_WAIT);
	call(&f->client, 20.3, ST_LAST_ACK, f->curl);
	packet(&f->client, 20.31, ST_CLOSED);
	check(f, "server_closes_first", &f->client, NULL);
}

static void test_server_alone(void **state)
{
	struct fixture *f = *state;

	server_opens(f);
	exchange(f, 512, 14200);
	packet(&f->server, 1203.05, ST_CLOSE_WAIT);
	call(&f->server, 1203.1, ST_LAST_ACK, f->nginx);
	packet(&f->server, 1203.13, ST_CLOSED);
	check(f, "server_alone", &f->server, NULL);
}

static void test_half_close(void **state)
{
	struct fixture *f = *state;

	client_opens(f);
	f->client.conn.seen |= SEEN_SHUT_WR_FIRST | SEEN_DATA_AFTER_FIN;
	f->client.end.at_fin = 100;
	exchange(f, 512, 400);
	call(&f->client, 5, ST_FIN_WAIT_1, f->curl);
	packet(&f->client, 5.02, ST_FIN_WAIT_2);
	packet(&f->client, 2005.5, ST_TIME_WAIT);
	check(f, "half_close", &f->client, NULL);
}

static void test_simultaneous_close(void **state)
{
	struct fixture *f = *state;

	client_opens(f);
	call(&f->client, 7, ST_FIN_WAIT_1, f->curl);
	packet(&f->client, 7.03, ST_CLOSING);
	packet(&f->client, 7.08, ST_TIME_WAIT);
	check(f, "simultaneous_close", &f->client, NULL);
}

static void test_simultaneous_open(void **state)
{
	struct fixture *f = *state;

	call(&f->client, 0, ST_SYN_SENT, f->curl);
	f->client.conn.seen |= SEEN_SIMULTANEOUS_OPEN;
	packet(&f->client, 0.02, ST_SYN_RECV);
	packet(&f->client, 0.05, ST_ESTABLISHED);
	call(&f->client, 9, ST_FIN_WAIT_1, f->curl);
	packet(&f->client, 9.01, ST_FIN_WAIT_2);
	packet(&f->client, 9.2, ST_TIME_WAIT);
	check(f, "simultaneous_open", &f->client, NULL);
}

static void test_dropped(void **state)
{
	struct fixture *f = *state;

	client_opens(f);
	step(&f->client, 3, STEP_DROP, ST_ESTABLISHED, TRIG_PACKET, 0, 41);
	step(&f->client, 4, STEP_DROP, ST_ESTABLISHED, TRIG_PACKET, 0, 5);
	call(&f->client, 7, ST_FIN_WAIT_1, f->curl);
	packet(&f->client, 7.03, ST_FIN_WAIT_2);
	packet(&f->client, 7.08, ST_TIME_WAIT);
	check(f, "dropped", &f->client, NULL);
}

static void test_refused(void **state)
{
	struct fixture *f = *state;

	call(&f->client, 0, ST_SYN_SENT, f->curl);
	f->client.conn.seen |= SEEN_ISN_LOCAL | SEEN_RST_RECEIVED;
	f->client.end.err = ECONNREFUSED;
	step(&f->client, 0.03, STEP_RST_RECEIVED, ST_SYN_SENT, TRIG_PACKET, 0, 0);
	packet(&f->client, 0.031, ST_CLOSED);
	check(f, "refused", &f->client, NULL);
}

static void test_syn_timeout(void **state)
{
	struct fixture *f = *state;

	call(&f->client, 0, ST_SYN_SENT, f->curl);
	f->client.conn.seen |= SEEN_ISN_LOCAL;
	f->client.conn.syn_retransmits = 2;
	f->client.end.retransmits[RT_SYN] = 2;
	step(&f->client, 1024, STEP_RETRANSMIT, ST_SYN_SENT, TRIG_TIMER, CLIENT_ISN, RT_SYN);
	step(&f->client, 3072, STEP_RETRANSMIT, ST_SYN_SENT, TRIG_TIMER, CLIENT_ISN, RT_SYN);
	timer(&f->client, 7168, ETIMEDOUT);
	check(f, "syn_timeout", &f->client, NULL);
}

static void test_syn_retransmitted(void **state)
{
	struct fixture *f = *state;

	call(&f->client, 0, ST_SYN_SENT, f->curl);
	f->client.conn.syn_retransmits = 1;
	f->client.end.retransmits[RT_SYN] = 1;
	step(&f->client, 1024, STEP_RETRANSMIT, ST_SYN_SENT, TRIG_TIMER, CLIENT_ISN, RT_SYN);
	packet(&f->client, 1024.5, ST_ESTABLISHED);
	packet(&f->client, 1100, ST_CLOSE_WAIT);
	call(&f->client, 1101, ST_LAST_ACK, f->curl);
	packet(&f->client, 1101.3, ST_CLOSED);
	check(f, "syn_retransmitted", &f->client, NULL);
}

static void test_reset_received(void **state)
{
	struct fixture *f = *state;

	client_opens(f);
	exchange(f, 512, 0);
	f->client.conn.seen |= SEEN_RST_RECEIVED;
	f->client.end.err = ECONNRESET;
	step(&f->client, 50, STEP_RST_RECEIVED, ST_ESTABLISHED, TRIG_PACKET, 0, 0);
	packet(&f->client, 50.001, ST_CLOSED);
	check(f, "reset_received", &f->client, NULL);
}

static void test_linger_reset(void **state)
{
	struct fixture *f = *state;

	client_opens(f);
	exchange(f, 512, 0);
	f->client.conn.seen |= SEEN_RST_SENT;
	f->client.conn.detail |= DETAIL_RST_IMPLIED;
	call(&f->client, 50, ST_CLOSED, f->curl);
	step(&f->client, 50.002, STEP_RST_SENT, ST_CLOSED, TRIG_UNKNOWN, 0, 0);
	check(f, "linger_reset", &f->client, NULL);
}

static void test_unread_data_reset(void **state)
{
	struct fixture *f = *state;

	server_opens(f);
	exchange(f, 512, 0);
	f->server.conn.seen |= SEEN_RST_SENT | SEEN_UNREAD_AT_CLOSE;
	f->server.conn.detail |= DETAIL_RST_IMPLIED;
	call(&f->server, 12, ST_CLOSED, f->nginx);
	step(&f->server, 12.002, STEP_RST_SENT, ST_CLOSED, TRIG_UNKNOWN, 0, 0);
	check(f, "unread_data_reset", &f->server, NULL);
}

static void test_keepalive_death(void **state)
{
	struct fixture *f = *state;

	client_opens(f);
	exchange(f, 512, 14200);
	f->client.end.gave_up = TIMER_KEEPALIVE;
	f->client.conn.probes = 3;
	f->client.end.retransmits[RT_KEEPALIVE] = 2;
	step(&f->client, 60000, STEP_RETRANSMIT, ST_ESTABLISHED, TRIG_TIMER, 0, RT_KEEPALIVE);
	step(&f->client, 61000, STEP_RETRANSMIT, ST_ESTABLISHED, TRIG_TIMER, 0, RT_KEEPALIVE);
	timer(&f->client, 62000, ETIMEDOUT);
	check(f, "keepalive_death", &f->client, NULL);
}

static void test_already_open(void **state)
{
	struct fixture *f = *state;
	struct conn *c = &f->client.conn;

	c->role = ROLE_UNKNOWN;
	c->seen = SEEN_SNAPSHOT | SEEN_ESTABLISHED | SEEN_ISN_PEER;
	exchange(f, 0, 90000);
	packet(&f->client, 10, ST_CLOSE_WAIT);
	call(&f->client, 11, ST_LAST_ACK, f->curl);
	packet(&f->client, 11.2, ST_CLOSED);
	check(f, "already_open", &f->client, NULL);
}

/* Its own FIN went out before the tracer was there. */
static void test_found_half_closed(void **state)
{
	struct fixture *f = *state;
	struct conn *c = &f->client.conn;

	c->seen = SEEN_SNAPSHOT | SEEN_ESTABLISHED | SEEN_ISN_PEER | SEEN_FIN_LOCAL |
		  SEEN_FIN_LOCAL_ACKED;
	c->end->fin_seq_local = 7777;
	c->end->first_fin = 1;
	packet(&f->client, 1847.5, ST_TIME_WAIT);
	check(f, "found_half_closed", &f->client, NULL);
}

/* The peer went away without a word: the FIN is sent again until the kernel gives up. */
static void test_fin_unanswered(void **state)
{
	struct fixture *f = *state;

	client_opens(f);
	call(&f->client, 10, ST_FIN_WAIT_1, f->curl);
	f->client.end.retransmits[RT_TIMEOUT] = 2;
	f->client.end.gave_up = TIMER_RETRANSMIT;
	f->client.conn.seen |= SEEN_ORPHAN;
	step(&f->client, 220, STEP_RETRANSMIT, ST_FIN_WAIT_1, TRIG_TIMER,
	     f->client.end.fin_seq_local, RT_TIMEOUT);
	step(&f->client, 640, STEP_RETRANSMIT, ST_FIN_WAIT_1, TRIG_TIMER,
	     f->client.end.fin_seq_local, RT_TIMEOUT);
	timer(&f->client, 1480, ETIMEDOUT);
	check(f, "fin_unanswered", &f->client, NULL);
}

static void both_ends(struct fixture *f)
{
	client_opens(f);
	server_opens(f);
	exchange(f, 512, 14200);
	call(&f->client, 1203.041, ST_FIN_WAIT_1, f->curl);
	packet(&f->server, 1203.050, ST_CLOSE_WAIT);
	packet(&f->client, 1203.055, ST_FIN_WAIT_2);
	call(&f->server, 1203.100, ST_LAST_ACK, f->nginx);
	packet(&f->client, 1203.110, ST_TIME_WAIT);
	packet(&f->server, 1203.112, ST_CLOSED);
}

static void test_pair(void **state)
{
	struct fixture *f = *state;

	both_ends(f);
	check(f, "pair", &f->client, &f->server);
}

/* Which end came first out of the table must not matter. */
static void test_pair_other_way_round(void **state)
{
	struct fixture *f = *state;

	both_ends(f);
	check(f, "pair", &f->server, &f->client);
}

static void test_pair_fin_ack(void **state)
{
	struct fixture *f = *state;

	client_opens(f);
	server_opens(f);
	call(&f->client, 3.0, ST_FIN_WAIT_1, f->curl);
	packet(&f->server, 3.01, ST_CLOSE_WAIT);
	call(&f->server, 3.05, ST_LAST_ACK, f->nginx);
	packet(&f->client, 3.06, ST_FIN_WAIT_2);
	packet(&f->client, 3.061, ST_TIME_WAIT);
	packet(&f->server, 3.07, ST_CLOSED);
	check(f, "pair_fin_ack", &f->client, &f->server);
}

static void test_ascii(void **state)
{
	struct fixture *f = *state;
	struct buf b = {0};

	both_ends(f);
	draw_as(f, &b, &f->client, &f->server, false);
	for (size_t i = 0; i + 1 < b.len; i++)
		assert_true((b.data[i] >= ' ' && b.data[i] < 0x7f) || b.data[i] == '\n');
	compare("ascii", b.data);
	buf_free(&b);
}

/* Numbers near 2^32 make the longest labels: still 80 columns, and ack wraps. */
static void test_longest(void **state)
{
	struct fixture *f = *state;
	struct buf b = {0};
	size_t column = 0;

	f->client.conn.isn_local = f->server.conn.isn_peer = UINT32_MAX;
	f->client.conn.isn_peer = f->server.conn.isn_local = UINT32_MAX - 1;
	client_opens(f);
	call(&f->client, 3.0, ST_FIN_WAIT_1, f->curl);
	packet(&f->client, 3.01, ST_CLOSING);
	packet(&f->client, 3.06, ST_TIME_WAIT);
	draw_as(f, &b, &f->client, NULL, false);
	assert_non_null(strstr(b.data, "seq=4294967294 ack=0 "));
	assert_non_null(strstr(b.data, "ack=4294967295 "));
	for (size_t i = 0; i + 1 < b.len; i++) {
		column = b.data[i] == '\n' ? 0 : column + 1;
		assert_true(column <= 80);
	}
	buf_free(&b);
}

/* Steps as a hostile file may tell them: any order, any kind, any number. */
static void test_hostile(void **state)
{
	struct fixture *f = *state;
	const struct ladder_names names = {.procs = f->procs, .drop_reason = hand_reason};
	struct ladder l;
	struct text t = {.procs = f->procs, .paint = {.utf8 = true}, .width = TEXT_WIDTH};
	uint64_t seed = 88172645463325252ULL;

	for (unsigned round = 0; round < 3000; round++) {
		struct ladder_end *ends[] = {&f->client, &f->server};
		struct buf b = {0};

		for (unsigned e = 0; e < 2; e++) {
			make_end(ends[e], round % ROLE_COUNT, f->curl);
			for (unsigned i = 0; i < STEPS_LARGE; i++) {
				seed ^= seed << 13;
				seed ^= seed >> 7;
				seed ^= seed << 17;
				step(ends[e], (double)(seed % 1000), (unsigned)(seed >> 20) & 31,
				     (unsigned)(seed >> 30) % ST_COUNT,
				     (unsigned)(seed >> 40) & 7, (uint32_t)seed,
				     (uint32_t)(seed >> 50));
			}
			ends[e]->conn.seen = (uint32_t)seed;
			ends[e]->end.first_fin = seed % 3;
			ends[e]->end.steps_dropped = 7;
		}
		ladder_build(&l, &names, &f->client, round & 1 ? &f->server : NULL);
		assert_true(l.len <= LADDER_ROWS);
		ladder_text(&t, &b, &l);
		assert_false(b.failed);
		for (unsigned i = 1; i < l.len; i++)
			assert_true(l.rows[i - 1].at_ns <= l.rows[i].at_ns);
		buf_free(&b);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_normal),
		TEST(test_server_closes_first),
		TEST(test_server_alone),
		TEST(test_half_close),
		TEST(test_simultaneous_close),
		TEST(test_simultaneous_open),
		TEST(test_dropped),
		TEST(test_refused),
		TEST(test_syn_timeout),
		TEST(test_syn_retransmitted),
		TEST(test_reset_received),
		TEST(test_linger_reset),
		TEST(test_unread_data_reset),
		TEST(test_keepalive_death),
		TEST(test_already_open),
		TEST(test_found_half_closed),
		TEST(test_fin_unanswered),
		TEST(test_pair),
		TEST(test_pair_other_way_round),
		TEST(test_pair_fin_ack),
		TEST(test_ascii),
		TEST(test_longest),
		TEST(test_hostile),
	};

	setenv("TZ", "UTC", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
