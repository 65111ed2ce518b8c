/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hand-made changes, sockets and statistics through the JSON writers: each record is parsed again and
 * its members are asked by path; what is not known must be absent.
 *
 * `test_json print` writes all of these records to stdout, for the schema's
 * validator.
 */
#include "json_rig.h"

/* ---- changes ---------------------------------------------------------------------------- */

static void test_state_change(void **state)
{
	struct rig *r = *state;
	struct conn *c = add_conn(r, 0x2bcdef0123456789);
	struct change ch = {.kind = CHANGE_STATE,
			    .ts_ns = T0_S * NS + 123456789,
			    .from = ST_ESTABLISHED,
			    .to = ST_FIN_WAIT_1,
			    .trigger = TRIG_SYSCALL,
			    .has_seq = true,
			    .seq = 4294967295,
			    .state_duration_ns = 1500};

	c->state = ST_FIN_WAIT_1;
	c->owner = add_proc(r, 812, "curl",
			    "/kubepods/besteffort/pod0f2a1b3c-4d5e-6f70-8192-"
			    "a3b4c5d6e7f8/" ID64);
	ch.actor = add_proc(r, 813, "helper", NULL);
	json_change(&r->f, &r->b, c, &ch);
	check(r);
	want(r, "@timestamp", "2023-11-14T22:15:00.123456Z");
	want(r, "event/name", "tcp.state_change");
	want(r, "event/sequence", "7");
	want(r, "network/type", "ipv4");
	want(r, "network/transport", "tcp");
	want(r, "network/local/address", "10.0.0.1");
	want(r, "network/local/port", "40000");
	want(r, "network/peer/address", "10.0.0.2");
	want(r, "network/peer/port", "443");
	want(r, "network/connection/state", "fin_wait_1");
	want(r, "tcp/socket_id", "2bcdef0123456789");
	want(r, "tcp/netns", "4026531");
	want(r, "tcp/role", "client");
	want(r, "tcp/previous_state", "established");
	want(r, "tcp/state_duration_ns", "1500");
	want(r, "tcp/state_duration_bound", "exact");
	want(r, "tcp/trigger", "syscall");
	want(r, "tcp/seq", "4294967295");
	want(r, "tcp/actor/pid", "813");
	want(r, "tcp/actor/name", "helper");
	want(r, "process/pid", "812");
	want(r, "process/name", "curl");
	want(r, "process/user/id", "33");
	want(r, "container/id", ID64);
	want(r, "k8s/pod/uid", "0f2a1b3c-4d5e-6f70-8192-a3b4c5d6e7f8");
	absent(r, "tcp/inferred");
	json_change(&r->f, &r->b, c, &ch);
	check(r);
	want(r, "event/sequence", "8");

	c->cookie |= 1ULL << 63; /* a request sock's key */
	json_change(&r->f, &r->b, c, &ch);
	check(r);
	absent(r, "tcp/socket_id");
}

/* CLOSE to SYN_SENT, as the tracepoint tells it: no port yet, no owner known, no age. */
static void test_unknown_is_absent(void **state)
{
	struct rig *r = *state;
	struct conn *c = add_conn(r, 1);
	struct change ch = {.kind = CHANGE_STATE,
			    .ts_ns = T0_S * NS,
			    .from = ST_NONE,
			    .to = ST_SYN_SENT,
			    .state_duration_ns = -1};

	c->lport = 0;
	json_change(&r->f, &r->b, c, &ch);
	check(r);
	want(r, "network/connection/state", "syn_sent");
	want(r, "network/local/address", "10.0.0.1");
	absent(r, "network/local/port");
	absent(r, "network/community_id");
	absent(r, "tcp/previous_state");
	absent(r, "tcp/state_duration_ns");
	absent(r, "tcp/state_duration_bound");
	absent(r, "tcp/trigger");
	absent(r, "tcp/actor");
	absent(r, "tcp/seq");
	absent(r, "process");
	absent(r, "container");
	absent(r, "k8s");
	memset(c->local, 0, 16);
	json_change(&r->f, &r->b, c, &ch);
	check(r);
	absent(r, "network/local");
	want(r, "network/type", "ipv4");
}

static void test_other_changes(void **state)
{
	struct rig *r = *state;
	struct conn *c = add_conn(r, 2), stranger = {.netns = NETNS, .lport = 80, .pport = 9};
	struct change ch = {.kind = CHANGE_RETRANSMIT,
			    .ts_ns = T0_S * NS,
			    .to = ST_ESTABLISHED,
			    .from = ST_ESTABLISHED,
			    .retransmit = RT_TAIL_LOSS_PROBE,
			    .trigger = TRIG_TIMER,
			    .has_seq = true,
			    .seq = 0,
			    .inferred = true,
			    .state_duration_ns = -1};

	json_change(&r->f, &r->b, c, &ch);
	check(r);
	want(r, "event/name", "tcp.retransmit");
	want(r, "tcp/retransmit/kind", "tail_loss_probe");
	want(r, "tcp/seq", "0");
	want(r, "tcp/trigger", "timer");
	want(r, "tcp/inferred", "true");
	want(r, "network/connection/state", "established");
	want(r, "network/community_id", "1:UWHKJ/x6OQ1YiVv4rIl0t3yhjg8=");

	ch = (struct change){.kind = CHANGE_RESET, .ts_ns = T0_S * NS, .reason = 5};
	json_change(&r->f, &r->b, c, &ch);
	check(r);
	want(r, "event/name", "tcp.reset");
	want(r, "tcp/reset/direction", "sent");
	want(r, "tcp/reset/reason", "TCP_RFC793_LISTEN");
	ch.reason = 6; /* the kernel has no name for it */
	json_change(&r->f, &r->b, c, &ch);
	check(r);
	absent(r, "tcp/reset/reason");
	ch.received = true;
	ch.reason = 5;
	json_change(&r->f, &r->b, c, &ch);
	check(r);
	want(r, "tcp/reset/direction", "received");
	absent(r, "tcp/reset/reason");

	/* a segment for a socket that nobody follows */
	memset(stranger.local, 0, 15);
	stranger.local[15] = stranger.peer[15] = 1;
	ch = (struct change){.kind = CHANGE_DROP,
			     .ts_ns = T0_S * NS,
			     .reason = 40,
			     .seq = 17,
			     .has_seq = true,
			     .trigger = TRIG_PACKET};
	json_change(&r->f, &r->b, &stranger, &ch);
	check(r);
	want(r, "event/name", "tcp.drop");
	want(r, "tcp/drop/reason", "TCP_OLD_SEQUENCE");
	want(r, "network/type", "ipv6");
	want(r, "network/local/address", "::1");
	want(r, "tcp/role", "unknown");
	want(r, "tcp/seq", "17");
	absent(r, "tcp/socket_id");
	absent(r, "network/connection");
}

/* A process may call itself what it likes, and a directory too. */
static void test_hostile_names(void **state)
{
	struct rig *r = *state;
	struct conn *c = add_conn(r, 3);
	struct change ch = {.kind = CHANGE_STATE, .ts_ns = T0_S * NS, .to = ST_CLOSED};

	c->owner = add_proc(r, 5, "\"},{\\\n\xff\xc3", "/a\"b\x01/\xf0\x9f");
	json_change(&r->f, &r->b, c, &ch);
	check(r);
	want(r, "process/name", "\\\"},{\\\\\\n\xef\xbf\xbd\xef\xbf\xbd");
	want(r, "process/linux/cgroup", "/a\\\"b\\u0001/\xef\xbf\xbd\xef\xbf\xbd");
}

/* ---- sockets, listeners, statistics ---------------------------------------------------------- */

static void test_snapshot(void **state)
{
	struct rig *r = *state;
	struct conn *c = add_conn(r, 0x20);

	c->state = ST_CLOSE_WAIT;
	c->state_ns = T0_S * NS;
	c->state_age_bound = 1;
	c->rx_queue = 1;
	c->holders = 2;
	c->seen = SEEN_SNAPSHOT | SEEN_ESTABLISHED;
	c->segments_sent = 3;
	c->timer = TIMER_KEEPALIVE;
	c->timer_expires_ms = 7100000;
	c->timer_retries = 1;
	json_snapshot(&r->f, &r->b, c);
	check(r);
	want(r, "event/name", "tcp.snapshot");
	want(r, "network/connection/state", "close_wait");
	want(r, "tcp/state_age_ns", "10000000000");
	want(r, "tcp/state_age_bound", "at_least");
	want(r, "tcp/queue/receive_bytes", "1");
	want(r, "tcp/queue/send_bytes", "0");
	want(r, "tcp/holder_count", "2");
	absent(r, "tcp/holders"); /* counted, but there was no room to keep who */
	want(r, "tcp/timer/kind", "keepalive");
	want(r, "tcp/timer/expires_in_ns", "7100000000000");
	want(r, "tcp/timer/retries", "1");
	want(r, "tcp/segments_sent", "3");

	c->state = ST_TIME_WAIT; /* a minisock has no queues, no counters, no holder */
	c->state_ns = 0;
	c->holders = 0;
	c->timer = TIMER_NONE;
	json_snapshot(&r->f, &r->b, c);
	check(r);
	absent(r, "tcp/state_age_ns");
	absent(r, "tcp/queue");
	absent(r, "tcp/segments_sent");
	absent(r, "tcp/holder_count");
	absent(r, "tcp/timer");
}

/* A socket that more than a few hold: the first ones are told, and how many there are. */
static void test_holders(void **state)
{
	struct rig *r = *state;
	struct conn *c = add_conn(r, 0x22);
	struct holders *h = (struct holders *)pipeline_holders(r->s.p); /* a snapshot's to fill */
	struct listener l = {.ts_ns = 1};

	for (uint32_t i = 0; i < 20; i++) {
		const char *cgroup = i ? NULL : "/system.slice/web.service";
		uint32_t proc = add_proc(r, 900 + i, "worker", cgroup);

		assert_int_equal(holders_add(h, c->cookie, proc, i), 0);
	}
	c->holders = 20;
	c->seen = SEEN_SNAPSHOT | SEEN_ESTABLISHED;
	json_snapshot(&r->f, &r->b, c);
	check(r);
	want(r, "tcp/holders/0/pid", "900");
	want(r, "tcp/holders/0/name", "worker");
	want(r, "tcp/holders/0/fd", "0");
	want(r, "tcp/holders/0/cgroup", "/system.slice/web.service");
	want(r, "tcp/holders/15/fd", "15");
	absent(r, "tcp/holders/1/cgroup");
	absent(r, "tcp/holders/16");
	want(r, "tcp/holder_count", "20");

	c->role = ROLE_LISTENER;
	json_listener(&r->f, &r->b, c, &l);
	check(r);
	want(r, "tcp/holders/15/pid", "915");
	want(r, "tcp/holder_count", "20");
}

static void test_listener(void **state)
{
	struct rig *r = *state;
	struct conn *c = add_conn(r, 0x21);
	struct listener l = {.ts_ns = 1,
			     .accept_queue = 3,
			     .accept_limit = 128,
			     .syn_queue = 1,
			     .drops = 5,
			     .drops_first = 4294967295,
			     .accepted = 9,
			     .accept_waits = 2,
			     .accept_wait_sum_ns = 10,
			     .accept_wait_max_ns = 7};

	c->role = ROLE_LISTENER;
	c->state = ST_LISTEN;
	c->pport = 0;
	c->lport = 443;
	memset(c->peer, 0, 16);
	memset(c->local, 0, 16);
	json_listener(&r->f, &r->b, c, &l);
	check(r);
	want(r, "event/name", "tcp.listener");
	want(r, "network/type", "ipv6");
	want(r, "network/local/address", "::");
	absent(r, "network/peer");
	absent(r, "network/community_id");
	want(r, "tcp/listener/accept_queue", "3");
	want(r, "tcp/listener/accept_limit", "128");
	want(r, "tcp/listener/drops", "5");
	want(r, "tcp/listener/drops_since_start", "6"); /* the kernel's counter went round */
	want(r, "tcp/listener/accepted", "9");
	want(r, "tcp/listener/accept_wait/mean_ns", "5");
	absent(r, "tcp/listener/overflows");
	absent(r, "tcp/listener/cookies_sent");
	pipeline_stats_mut(r->s.p)->full_mode = true;
	l.accept_waits = 0;
	json_listener(&r->f, &r->b, c, &l);
	check(r);
	want(r, "tcp/listener/overflows", "0");
	want(r, "tcp/listener/cookies_sent", "0");
	absent(r, "tcp/listener/accept_wait");
	json_listener(&r->f, &r->b, c, NULL);
	check(r);
	want(r, "tcp/listener", "{}");
}

static void test_stats(void **state)
{
	struct rig *r = *state;
	struct stats *st = pipeline_stats_mut(r->s.p);

	json_stats(&r->f, &r->b);
	check(r);
	want(r, "event/name", "tracer.stats");
	want(r, "tracer/lost/ring_full", "0");
	want(r, "tracer/lost/total", "0");
	absent(r, "tracer/bpf");
	absent(r, "tracer/mode");
	absent(r, "tracer/user_cpu_ns");

	for (unsigned k = 0; k < EV_KIND_MAX; k++)
		st->by_kind[k] = k;
	for (unsigned k = 0; k < RT_COUNT; k++)
		st->retransmits[k] = k + 1;
	st->events = 1000;
	st->bpf_ns = 469000;
	st->bpf_runs = 2000;
	st->user_cpu_ns = 5;
	st->hooks_attached = 6;
	st->lost[LOSS_RING_FULL] = 3;
	st->lost[LOSS_OUTPUT_SLOW] = 2;
	r->lost = 40; /* the sink knows better */
	r->s.out = (struct sink *)(void *)&r->lost;
	json_stats(&r->f, &r->b);
	check(r);
	want(r, "tracer/events", "1000");
	want(r, "tracer/events_by_kind/state", "1");
	absent(r, "tracer/events_by_kind/none");
	want(r, "tracer/lost/ring_full", "3");
	want(r, "tracer/lost/output_slow", "40");
	want(r, "tracer/lost/total", "43");
	want(r, "tracer/bpf/ns_per_event", "469");
	want(r, "tracer/bpf/ns_per_run", "234");
	want(r, "tracer/mode", "base");
	want(r, "tracer/hooks/attached", "6");
}

static void test_states(void **state)
{
	struct rig *r = *state;
	struct stats *st = pipeline_stats_mut(r->s.p);
	struct json_states last = {0};
	struct event tick = {.kind = EV_TICK, .ts_ns = (T0_S + 14) * NS};

	st->now_in_state[ST_ESTABLISHED] = 12;
	st->now_in_state[ST_SYN_RECV] = 1;
	st->now_in_state[ST_NEW_SYN_RECV] = 2;
	st->transitions[ST_NONE][ST_ESTABLISHED] = 12; /* found there: nobody crossed an arc */
	st->transitions[ST_SYN_SENT][ST_ESTABLISHED] = 3;
	json_states(&r->f, &r->b, &last);
	check(r);
	want(r, "tcp/states/established", "12");
	want(r, "tcp/states/syn_received", "3");
	want(r, "tcp/states/closing", "0");
	want(r, "tcp/transitions/0/from", "syn_sent");
	want(r, "tcp/transitions/0/to", "established");
	want(r, "tcp/transitions/0/count", "3");
	absent(r, "tcp/transitions/0/rate_per_s");
	absent(r, "tcp/transitions/1");
	absent(r, "tcp/interval_ns");

	assert_int_equal(pipeline_feed(r->s.p, &tick, sizeof(tick)), 0);
	st->transitions[ST_SYN_SENT][ST_ESTABLISHED] = 13;
	st->transitions[ST_ESTABLISHED][ST_CLOSE_WAIT] = 1;
	json_states(&r->f, &r->b, &last);
	check(r);
	want(r, "tcp/interval_ns", "4000000000");
	want(r, "tcp/transitions/0/from", "established");
	want(r, "tcp/transitions/0/rate_per_s", "0.250");
	want(r, "tcp/transitions/1/count", "13");
	want(r, "tcp/transitions/1/rate_per_s", "2.500");
}

int main(int argc, char **argv)
{
	void *print = argc > 1 && !strcmp(argv[1], "print") ? argv : NULL;
	const struct CMUnitTest tests[] = {
		RIG(test_state_change, print),	RIG(test_unknown_is_absent, print),
		RIG(test_other_changes, print), RIG(test_hostile_names, print),
		RIG(test_snapshot, print),	RIG(test_listener, print),
		RIG(test_holders, print),
		RIG(test_stats, print),		RIG(test_states, print),
	};

	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
