/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hand-made connections through the JSON writers: each record is parsed again and
 * its members are asked by path; what is not known must be absent.
 *
 * `test_json_conn print` writes all of these records to stdout, for the schema's
 * validator.
 */
#include "json_rig.h"

/* ---- connections ----------------------------------------------------------------------- */

static void add_step(struct rig *r, struct conn *c, struct step s)
{
	conntab_step_add(pipeline_conns(r->s.p), c, &s);
}

static void full_life(struct rig *r, struct conn *c)
{
	c->state = ST_TIME_WAIT;
	c->seen = SEEN_START | SEEN_CLOSE | SEEN_ESTABLISHED | SEEN_TIME_WAIT;
	c->end->end_ns = (T0_S + 2) * NS;
	c->end->tw_end = TW_RUNNING;
	c->end->tw_substate = ST_TIME_WAIT;
	c->timer_expires_ms = 60000;
	c->tcp_options = TOPT_SACK | TOPT_TIMESTAMPS | TOPT_WSCALE;
	c->snd_wscale = 7;
	c->rcv_wscale = 9;
	c->mss = 1448;
	c->bytes_sent = 78;
	c->bytes_received = 1ull << 40;
	c->segments_sent = 6;
	c->segments_received = 5;
	c->srtt_us = 250;
	c->min_rtt_us = 90;
	c->end->retransmits[RT_SYN] = 1;
	c->end->retransmits[RT_TIMEOUT] = 2;
	c->syn_retransmits = 1;
	c->evidence = EVIDENCE_PAIR | EVIDENCE_ESTIMATE;
	c->owner = add_proc(r, 812, "curl", "/user.slice/session-3.scope");
	c->end->closer = c->owner;
	add_step(r, c,
		 (struct step){.kind = STEP_STATE,
			       .state = ST_SYN_SENT,
			       .trigger = TRIG_SYSCALL,
			       .aux = c->owner});
	add_step(r, c,
		 (struct step){.at = NS,
			       .kind = STEP_RETRANSMIT,
			       .state = ST_SYN_SENT,
			       .trigger = TRIG_TIMER,
			       .seq = 1000,
			       .aux = RT_SYN});
	add_step(r, c,
		 (struct step){.at = NS + 1,
			       .kind = STEP_STATE,
			       .state = ST_ESTABLISHED,
			       .trigger = TRIG_PACKET});
	add_step(r, c,
		 (struct step){.at = NS + 2,
			       .kind = STEP_DROP,
			       .state = ST_ESTABLISHED,
			       .trigger = TRIG_PACKET,
			       .seq = 5,
			       .aux = 40});
	add_step(r, c,
		 (struct step){.at = NS + 3,
			       .kind = STEP_ERROR,
			       .state = ST_ESTABLISHED,
			       .aux = EHOSTUNREACH});
	add_step(r, c,
		 (struct step){.at = 2 * NS,
			       .kind = STEP_STATE,
			       .state = ST_TIME_WAIT,
			       .trigger = TRIG_PACKET});
}

static const struct verdict full_verdict = {
	.handshake = HS_NORMAL,
	.teardown = TD_HALF_CLOSED,
	.initiator = INIT_LOCAL,
	.end_reason = END_FIN,
	.conn_state = CS_SF,
	.duration_ns = 2000000000,
	.handshake_ns = 1000000001,
	.syn_to_synack_ns = 1,
	.synack_to_ack_ns = -1,
	.accept_wait_ns = -1,
	.half_close_ns = 400,
	.teardown_ns = 500,
	.time_wait_ns = -1,
	.has_client_isn = true,
	.client_isn = 999,
	.has_server_fin = true,
	.server_fin_seq = 0,
};

static void want_timeline(struct rig *r)
{
	want(r, "tcp/timeline/0/offset_ns", "0");
	want(r, "tcp/timeline/0/event", "state");
	want(r, "tcp/timeline/0/state", "syn_sent");
	want(r, "tcp/timeline/0/trigger", "syscall");
	want(r, "tcp/timeline/0/actor/pid", "812");
	absent(r, "tcp/timeline/0/seq");
	want(r, "tcp/timeline/1/event", "retransmit");
	want(r, "tcp/timeline/1/kind", "syn");
	want(r, "tcp/timeline/1/seq", "1000");
	absent(r, "tcp/timeline/2/actor");
	want(r, "tcp/timeline/3/reason", "TCP_OLD_SEQUENCE");
	want(r, "tcp/timeline/4/error", "EHOSTUNREACH");
	absent(r, "tcp/timeline/4/trigger");
	want(r, "tcp/timeline/5/offset_ns", "2000000000");
	absent(r, "tcp/timeline/6");
	absent(r, "tcp/timeline_dropped");
}

static void test_connection(void **state)
{
	struct rig *r = *state;
	struct conn *c = add_conn(r, 0x10), *o = add_conn(r, 0x11);

	full_life(r, c);
	c->end->peer_cookie = o->cookie;
	json_connection(&r->f, &r->b, c, &full_verdict);
	check(r);
	want(r, "event/name", "tcp.connection");
	absent(r, "tcp/stack");
	want(r, "@timestamp", "2023-11-14T22:15:02.000000Z");
	want(r, "event/start", "2023-11-14T22:15:00.000000Z");
	want(r, "event/end", "2023-11-14T22:15:02.000000Z");
	want(r, "event/duration", "2000000000");
	want(r, "network/connection/state", "time_wait");
	want(r, "tcp/pair_socket_id", "11");
	want(r, "tcp/conn_state", "SF");
	want(r, "tcp/end_reason", "fin");
	absent(r, "tcp/first_seen");
	want(r, "tcp/handshake/kind", "normal");
	want(r, "tcp/handshake/duration_ns", "1000000001");
	want(r, "tcp/handshake/syn_retransmits", "1");
	absent(r, "tcp/handshake/synack_retransmits");
	want(r, "tcp/handshake/client_isn", "999");
	absent(r, "tcp/handshake/server_isn");
	want(r, "tcp/handshake/syn_to_synack_ns", "1");
	absent(r, "tcp/handshake/synack_to_ack_ns");
	absent(r, "tcp/handshake/accept_wait_ns");
	want(r, "tcp/teardown/kind", "half_closed");
	want(r, "tcp/teardown/initiator", "local");
	want(r, "tcp/teardown/time_wait", "running");
	want(r, "tcp/teardown/duration_ns", "500");
	want(r, "tcp/teardown/half_close_ns", "400");
	absent(r, "tcp/teardown/time_wait_ns");
	absent(r, "tcp/teardown/client_fin_seq");
	want(r, "tcp/teardown/server_fin_seq", "0");
	want(r, "tcp/teardown/actor/name", "curl");
	absent(r, "tcp/reset");
	want(r, "tcp/bytes_sent", "78");
	want(r, "tcp/bytes_received", "1099511627776");
	want(r, "tcp/segments_sent", "6");
	want(r, "tcp/segments_received", "5");
	want(r, "tcp/srtt_us", "250");
	want(r, "tcp/min_rtt_us", "90");
	want(r, "tcp/options/mss", "1448");
	want(r, "tcp/options/window_scale/send", "7");
	want(r, "tcp/options/window_scale/receive", "9");
	want(r, "tcp/options/sack", "true");
	want(r, "tcp/options/timestamps", "true");
	want(r, "tcp/options/ecn", "false");
	absent(r, "tcp/options/fast_open");
	want_timeline(r);
	want(r, "tcp/evidence", "[\"pair\",\"estimate\"]");
	want(r, "tcp/incomplete", "false");
	absent(r, "tcp/incomplete_reasons");
	absent(r, "error");
	want(r, "process/linux/cgroup", "/user.slice/session-3.scope");
	absent(r, "container");
}

static void test_stack(void **state)
{
	struct event e = {.kind = EV_STACK, .cookie = 0x10, .ts_ns = T0_S * NS};
	struct rig *r = *state;
	struct conn *c = add_conn(r, 0x10);

	full_life(r, c);
	e.extra.stack.id = 77;
	pipeline_tell_stack(r->s.p, 77, "11d5\t/bin/a\"pp\tleak_\xff\x1b\n7f00\t\t\n");
	assert_int_equal(pipeline_feed(r->s.p, &e, sizeof(e)), 0);
	json_connection(&r->f, &r->b, c, &full_verdict);
	check(r);
	want(r, "tcp/stack/0/function", "leak_\xef\xbf\xbd\\u001b");
	want(r, "tcp/stack/0/module", "/bin/a\\\"pp");
	want(r, "tcp/stack/0/offset", "0x11d5");
	absent(r, "tcp/stack/1/function");
	absent(r, "tcp/stack/1/module");
	want(r, "tcp/stack/1/offset", "0x7f00");
	absent(r, "tcp/stack/2");
	/* Of one that nobody told, nothing is said, and it is counted. */
	e.extra.stack.id = 78;
	assert_int_equal(pipeline_feed(r->s.p, &e, sizeof(e)), 0);
	assert_int_equal(pipeline_stats(r->s.p)->lost[LOSS_STACK_LIMIT], 1);
	json_stats(&r->f, &r->b);
	check(r);
	want(r, "tracer/lost/stack_limit", "1");
}

static void test_counts_need_a_hook(void **state)
{
	struct rig *r = *state;
	struct conn *c = add_conn(r, 0x12);

	full_life(r, c);
	json_connection(&r->f, &r->b, c, &full_verdict);
	check(r);
	want(r, "tcp/retransmits/syn", "1");
	want(r, "tcp/retransmits/timeout", "2");
	want(r, "tcp/retransmits/fast", "0");
	want(r, "tcp/retransmits/total", "3");
	absent(r, "tcp/retransmits/keepalive");
	absent(r, "tcp/retransmits/zero_window_probe");
	want(r, "tcp/timers/retransmit/fired", "3");
	absent(r, "tcp/timers/keepalive");
	absent(r, "tcp/timers/persist");
	absent(r, "tcp/timers/synack");
	want(r, "tcp/timers/time_wait/armed", "true");
	want(r, "tcp/timers/time_wait/fired", "0");
	want(r, "tcp/timers/time_wait/expires_in_ns", "60000000000");

	pipeline_stats_mut(r->s.p)->full_mode = true;
	c->role = ROLE_SERVER;
	c->end->tw_end = TW_EXPIRED;
	json_connection(&r->f, &r->b, c, &full_verdict);
	check(r);
	want(r, "tcp/retransmits/keepalive", "0");
	want(r, "tcp/retransmits/zero_window_probe", "0");
	want(r, "tcp/timers/keepalive/fired", "0");
	want(r, "tcp/timers/persist/fired", "0");
	want(r, "tcp/timers/synack/fired", "0");
	want(r, "tcp/timers/time_wait/armed", "false");
	want(r, "tcp/timers/time_wait/fired", "1");
	absent(r, "tcp/timers/time_wait/expires_in_ns");
}

/* Found in the middle of its life, still open, with a gap: all that is not known stays out. */
static void test_older_than_the_tracer(void **state)
{
	struct rig *r = *state;
	struct conn *c = add_conn(r, 0x13);
	struct verdict v;

	c->seen = SEEN_SNAPSHOT | SEEN_ESTABLISHED;
	c->role = ROLE_UNKNOWN;
	c->incomplete = INCOMPLETE_GAP | INCOMPLETE_STEPS;
	for (unsigned i = 0; i < STEPS_LARGE + 3; i++)
		add_step(r, c, (struct step){.at = i, .kind = STEP_CLOSE, .seq = i});
	verdict_of(c, &v);
	json_connection(&r->f, &r->b, c, &v);
	check(r);
	want(r, "@timestamp", "2023-11-14T22:15:10.000000Z");
	want(r, "tcp/first_seen", "2023-11-14T22:15:00.000000Z");
	absent(r, "event/start");
	absent(r, "event/end");
	absent(r, "event/duration");
	want(r, "tcp/handshake/kind", "unseen");
	absent(r, "tcp/handshake/syn_retransmits");
	absent(r, "tcp/handshake/duration_ns");
	want(r, "tcp/teardown/kind", "open");
	want(r, "tcp/teardown/time_wait", "none");
	want(r, "tcp/conn_state", "OTH");
	absent(r, "tcp/bytes_sent");
	absent(r, "tcp/segments_sent");
	absent(r, "tcp/srtt_us");
	absent(r, "tcp/options");
	absent(r, "tcp/timers/time_wait");
	absent(r, "tcp/pair_socket_id");
	want(r, "tcp/timeline_dropped", "3");
	want(r, "tcp/incomplete", "true");
	want(r, "tcp/incomplete_reasons", "[\"gap\",\"steps\"]");
	want(r, "tcp/evidence", "[]");
}

static void test_resets(void **state)
{
	struct rig *r = *state;
	struct conn *c = add_conn(r, 0x14);
	struct verdict v = full_verdict;

	full_life(r, c);
	c->end->err = ECONNRESET;
	c->seen |= SEEN_RST_RECEIVED;
	v.teardown = TD_RESET_RECEIVED;
	json_connection(&r->f, &r->b, c, &v);
	check(r);
	want(r, "tcp/reset/direction", "received");
	want(r, "error/type", "ECONNRESET");
	c->seen ^= SEEN_RST_RECEIVED | SEEN_RST_SENT;
	c->end->rst_reason = 5;
	v.teardown = TD_RESET_SENT;
	json_connection(&r->f, &r->b, c, &v);
	check(r);
	want(r, "tcp/reset/direction", "sent");
	want(r, "tcp/reset/reason", "TCP_RFC793_LISTEN");
}

/* A capture has no sockets and no namespaces; refused: no payload, and that is known. */
static void test_from_capture(void **state)
{
	struct rig *r = *state;
	struct conn *c = add_conn(r, 0x15);
	struct verdict v;

	c->netns = 0;
	c->state = ST_CLOSED;
	c->seen = SEEN_START | SEEN_CLOSE | SEEN_RST_RECEIVED;
	c->end->end_ns = c->start_ns + 77;
	c->end->end_old_state = ST_SYN_SENT;
	c->end->err = ECONNREFUSED;
	verdict_of(c, &v);
	json_connection(&r->f, &r->b, c, &v);
	check(r);
	absent(r, "tcp/socket_id");
	absent(r, "tcp/netns");
	want(r, "tcp/conn_state", "REJ");
	want(r, "tcp/end_reason", "refused");
	want(r, "tcp/bytes_sent", "0");
	absent(r, "tcp/segments_sent");
	absent(r, "tcp/options");
	want(r, "tcp/handshake/syn_retransmits", "0");
	want(r, "event/duration", "77");
	want(r, "tcp/timeline", "[]");
}

/* Every word that can stand in a record, for the schema: each state, role, kind and reason. */
static void test_all_words(void **state)
{
	struct rig *r = *state;
	struct conn *c = add_conn(r, 0x16);

	full_life(r, c);
	c->end->err = ETIMEDOUT;
	c->tcp_options = 0xff;
	c->evidence = c->incomplete = 7;
	for (unsigned i = 0; i < 20; i++) {
		struct verdict v = full_verdict;
		struct change ch = {.kind = i % CHANGE_KINDS,
				    .ts_ns = T0_S * NS,
				    .from = i % ST_COUNT,
				    .to = 1 + i % (ST_COUNT - 1),
				    .trigger = i % TRIG_COUNT,
				    .retransmit = i % RT_COUNT,
				    .duration_at_least = true};

		v.handshake = i % HS_KINDS;
		v.teardown = i % TD_KINDS;
		v.initiator = i % INIT_COUNT;
		v.end_reason = i % END_REASONS;
		v.conn_state = i % CS_COUNT;
		v.has_client_fin = v.has_server_isn = true;
		v.time_wait_ns = v.accept_wait_ns = v.synack_to_ack_ns = 1;
		c->state = 1 + i % (ST_COUNT - 1);
		c->role = i % ROLE_LISTENER; /* a listener never makes one */
		c->end->tw_end = i % TW_ENDS;
		c->timer = i % TIMER_MAX;
		c->steps_len = 0;
		add_step(r, c,
			 (struct step){.kind = i % STEP_KINDS,
				       .state = c->state,
				       .seq = 1,
				       .trigger = i % TRIG_COUNT,
				       .aux = 5});
		json_connection(&r->f, &r->b, c, &v);
		check(r);
		json_change(&r->f, &r->b, c, &ch);
		check(r);
		json_snapshot(&r->f, &r->b, c);
		check(r);
	}
}

int main(int argc, char **argv)
{
	void *print = argc > 1 && !strcmp(argv[1], "print") ? argv : NULL;
	const struct CMUnitTest tests[] = {
		RIG(test_connection, print),
		RIG(test_stack, print),
		RIG(test_counts_need_a_hook, print),
		RIG(test_older_than_the_tracer, print),
		RIG(test_resets, print),
		RIG(test_from_capture, print),
		RIG(test_all_words, print),
	};

	return cmocka_run_group_tests_name("json_conn", tests, NULL, NULL);
}
