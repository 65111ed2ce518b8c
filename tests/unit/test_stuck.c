/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The report: sockets of a snapshot as records give it, grouped, counted, worst first;
 * shared sockets told once; the host's limits; any holder for the filter.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "event.h"
#include "connection/facts.h"
#include "filter/filter.h"
#include "pipeline/pipeline.h"
#include "stuck/stuck.h"

enum { NETNS = 7, SERVICE = 5432, NOW_S = 100000 };
static const uint64_t ns = 1000000000;

static void on_snapshot(void *view, const struct conn *c)
{
	if (c->state == ST_TIME_WAIT)
		stuck_time_wait(view, c);
}

static const struct view_ops ops = {.snapshot = on_snapshot};

static struct event sock(unsigned kind, uint64_t cookie, uint8_t state, uint32_t age_s)
{
	struct event e = {
		.ts_ns = NOW_S * ns,
		.cookie = cookie,
		.netns = NETNS,
		.kind = kind,
		.flags = EVF_TCP,
		.old_state = state,
		.new_state = state,
		.lport = (uint16_t)(40000 + cookie % 20000),
		.pport = SERVICE,
	};

	e.local[10] = e.local[11] = e.peer[10] = e.peer[11] = 0xff;
	e.local[12] = e.peer[12] = 10;
	e.peer[15] = 9;
	e.extra.sock.age_ms = age_s * 1000;
	e.tcp.snd_una = e.tcp.snd_nxt = e.tcp.write_seq = 100;
	e.tcp.rcv_nxt = e.tcp.copied_seq = 200;
	e.tcp.snd_wnd = 1000;
	return e;
}

static void feed(struct pipeline *p, struct event e)
{
	assert_int_equal(pipeline_feed(p, &e, sizeof(e)), 0);
}

static void held(struct pipeline *p, struct event e, uint32_t pid, uint32_t fd)
{
	e.kind = EV_HOLDER;
	e.flags |= EVF_TASK;
	e.task.pid = pid;
	memcpy(e.task.comm, "payments", 8);
	e.extra.sock.fd = fd;
	feed(p, e);
}

static void fact(struct pipeline *p, uint32_t id, uint32_t netns, uint32_t pid, uint64_t value)
{
	struct event e = {.ts_ns = NOW_S * ns, .kind = EV_FACT, .netns = netns, .task.pid = pid};

	e.extra.fact.id = id;
	e.extra.fact.value = value;
	feed(p, e);
}

static void mark(struct pipeline *p, unsigned kind)
{
	struct event e = {.ts_ns = NOW_S * ns, .kind = kind};

	e.extra.raw[0] = NETNS;
	feed(p, e);
}

static struct pipeline *begin(struct stuck_report *r)
{
	struct pipeline_config cfg = {0};
	struct pipeline *p;

	memset(r, 0, sizeof(*r));
	p = pipeline_new(&cfg, &ops, r);
	assert_non_null(p);
	mark(p, EV_SNAPSHOT_BEGIN);
	return p;
}

static void collect(struct stuck_report *r, struct pipeline *p, const struct filter *f)
{
	struct stuck_query q = {.filter = f, .min_age_ns = -1};

	mark(p, EV_SNAPSHOT_END);
	assert_int_equal(stuck_collect(r, p, &q), 0);
}

static void end(struct stuck_report *r, struct pipeline *p)
{
	stuck_free(r);
	pipeline_free(p);
}

static void nothing(void **state)
{
	struct stuck_report r;
	struct pipeline *p = begin(&r);

	held(p, sock(EV_SOCK, 1, ST_ESTABLISHED, 86400), 812, 3);
	collect(&r, p, NULL);
	assert_int_equal(r.ngroups, 0);
	assert_int_equal(r.nitems, 0);
	assert_int_equal(r.states[ST_ESTABLISHED], 1);
	end(&r, p);
}

/* 40 leaked by one process to one service, one by another: two groups, the larger first; the
 * ages of the first are 100 .. 139 s. */
static void groups(void **state)
{
	struct stuck_report r;
	struct pipeline *p = begin(&r);

	for (uint32_t i = 0; i < 40; i++) {
		feed(p, sock(EV_SOCK, 1 + i, ST_CLOSE_WAIT, 100 + i));
		held(p, sock(EV_SOCK, 1 + i, ST_CLOSE_WAIT, 100 + i), 812, i);
	}
	held(p, sock(EV_SOCK, 99, ST_CLOSE_WAIT, 3600), 813, 5);
	collect(&r, p, NULL);
	assert_int_equal(r.nitems, 41);
	assert_int_equal(r.ngroups, 2);
	assert_int_equal(r.groups[0].count, 40);
	assert_int_equal(r.groups[0].finding.kind, FIND_CLOSE_WAIT_LEAK);
	assert_int_equal(r.groups[0].oldest_ns, 139 * ns);
	assert_int_equal(r.groups[0].p95_ns, 137 * ns);
	assert_int_equal(r.groups[0].recent, 0);
	assert_int_equal(r.groups[1].count, 1);
	assert_int_equal(r.by_severity[SEV_WARNING], 41);
	assert_int_equal(r.oldest_ns, 3600 * ns);
	assert_int_equal(proc_get(pipeline_procs(p), r.groups[0].proc)->pid, 812);
	end(&r, p);
}

/* Two processes share it: one socket, one finding, both of them known; the filter finds either. */
static void shared(void **state)
{
	static char *const words[] = {"pid = 813"}, *const others[] = {"pid = 814"};
	struct filter_error err;
	struct stuck_report r;
	struct pipeline *p = begin(&r);
	struct filter *f = NULL, *g = NULL;
	struct stuck_query none = {.min_age_ns = -1};

	assert_int_equal(filter_parse(&f, 1, words, &err), 0);
	assert_int_equal(filter_parse(&g, 1, others, &err), 0);
	held(p, sock(EV_SOCK, 1, ST_CLOSE_WAIT, 100), 812, 3);
	held(p, sock(EV_SOCK, 1, ST_CLOSE_WAIT, 100), 813, 4);
	collect(&r, p, f);
	assert_int_equal(r.nitems, 1);
	assert_int_equal(r.items[0].nholders, 2);
	assert_int_equal(r.items[0].fd, 3);
	assert_int_equal(r.shared, 1);
	none.filter = g;
	assert_int_equal(stuck_collect(&r, p, &none), 0);
	assert_int_equal(r.nitems, 0);
	filter_free(f);
	filter_free(g);
	end(&r, p);
}

/* The next snapshot's holders replace this one's. */
static void passed_on(void **state)
{
	struct stuck_report r;
	struct pipeline *p = begin(&r);

	held(p, sock(EV_SOCK, 1, ST_CLOSE_WAIT, 100), 812, 3);
	collect(&r, p, NULL);
	mark(p, EV_SNAPSHOT_BEGIN);
	held(p, sock(EV_SOCK, 1, ST_CLOSE_WAIT, 100), 900, 8);
	collect(&r, p, NULL);
	assert_int_equal(r.nitems, 1);
	assert_int_equal(r.items[0].nholders, 1);
	assert_int_equal(r.items[0].fd, 8);
	assert_int_equal(proc_get(pipeline_procs(p), r.items[0].proc)->pid, 900);
	end(&r, p);
}

/* A leak of a process that is short of descriptors is critical, and so are a thousand. */
static void severity(void **state)
{
	struct stuck_report r;
	struct pipeline *p = begin(&r);

	fact(p, FACT_FD_USED, 0, 812, 90);
	fact(p, FACT_FD_LIMIT, 0, 812, 100);
	held(p, sock(EV_SOCK, 1, ST_CLOSE_WAIT, 100), 812, 3);
	held(p, sock(EV_SOCK, 2, ST_CLOSE_WAIT, 100), 813, 3);
	for (uint32_t i = 0; i < 1000; i++)
		held(p, sock(EV_SOCK, 1000 + i, ST_CLOSE_WAIT, 100), 814, i);
	collect(&r, p, NULL);
	assert_int_equal(r.ngroups, 4);
	assert_int_equal(r.groups[0].finding.severity, SEV_CRITICAL);
	assert_int_equal(r.groups[0].count, 1000);
	assert_int_equal(r.groups[1].finding.severity, SEV_CRITICAL);
	assert_int_equal(r.groups[1].finding.kind, FIND_CLOSE_WAIT_LEAK);
	assert_int_equal(r.groups[2].finding.severity, SEV_WARNING);
	assert_true(r.groups[2].of_host != r.groups[3].of_host);
	end(&r, p);
}

static struct event time_wait(uint16_t lport)
{
	struct event e = sock(EV_TW_SOCK, 0, ST_TIME_WAIT, 0);

	e.flags = 0;
	e.cookie = 50000 + lport;
	e.lport = lport;
	e.extra.raw[0] = e.extra.raw[1] = 0;
	e.extra.tw.substate = ST_TIME_WAIT;
	e.extra.tw.expires_ms = 30000;
	return e;
}

/* 17 of 20 ports toward one service, 15 of them in TIME_WAIT; ports of a listener do not count. */
static void ports(void **state)
{
	struct stuck_report r;
	struct pipeline *p = begin(&r);
	struct event listener = sock(EV_SOCK, 77, ST_LISTEN, 0);

	fact(p, FACT_PORT_LO, NETNS, 0, 41000);
	fact(p, FACT_PORT_HI, NETNS, 0, 41019);
	listener.flags = EVF_LISTEN;
	memset(&listener.listen, 0, sizeof(listener.listen));
	listener.lport = 41019;
	listener.pport = 0;
	memset(listener.peer + 12, 0, 4);
	feed(p, listener);
	for (uint16_t i = 0; i < 15; i++)
		feed(p, time_wait((uint16_t)(41000 + i)));
	feed(p, time_wait(41019));
	feed(p, time_wait(39000));
	held(p, sock(EV_SOCK, 1015, ST_ESTABLISHED, 1), 812, 3);
	held(p, sock(EV_SOCK, 1016, ST_ESTABLISHED, 1), 812, 4);
	collect(&r, p, NULL);
	assert_int_equal(r.states[ST_TIME_WAIT], 17);
	assert_int_equal(r.ngroups, 1);
	assert_int_equal(r.groups[0].finding.kind, FIND_PORT_EXHAUSTION);
	assert_int_equal(r.groups[0].finding.value, 17);
	assert_int_equal(r.groups[0].finding.limit, 20);
	assert_int_equal(r.groups[0].time_wait, 15);
	assert_int_equal(r.groups[0].example.pport, SERVICE);
	end(&r, p);
}

static void limits(void **state)
{
	struct stuck_report r;
	struct pipeline *p = begin(&r);

	fact(p, FACT_ORPHANS, 0, 0, 95);
	fact(p, FACT_MAX_ORPHANS, 0, 0, 100);
	fact(p, FACT_TIME_WAIT, NETNS, 0, 85);
	fact(p, FACT_MAX_TW_BUCKETS, NETNS, 0, 100);
	fact(p, FACT_FD_USED, 0, 5555, 99);
	fact(p, FACT_FD_LIMIT, 0, 5555, 100); /* holds no socket: not ours to tell of */
	collect(&r, p, NULL);
	assert_int_equal(r.ngroups, 2);
	assert_int_equal(r.groups[0].finding.kind, FIND_ORPHANS_NEAR_LIMIT);
	assert_int_equal(r.groups[0].finding.severity, SEV_CRITICAL);
	assert_int_equal(r.groups[1].finding.kind, FIND_TIME_WAIT_NEAR_LIMIT);
	assert_int_equal(r.groups[1].finding.severity, SEV_WARNING);
	end(&r, p);
}

/* FIN_WAIT_1 begins with a call: the newest segment's age says nothing of the state's, the timer
 * says for how long nobody has answered: 0.2 + 0.4 + 0.8 and half of 1.6 s. */
static void stall(void **state)
{
	struct stuck_report r;
	struct pipeline *p = begin(&r);
	struct event e = sock(EV_SOCK, 1, ST_FIN_WAIT_1, 9999);

	e.flags |= EVF_DEAD;
	e.tcp.snd_nxt = e.tcp.write_seq = 101;
	e.tcp.rto_us = 1600000;
	e.tcp.backoff = 3;
	e.extra.sock.timer = TIMER_RETRANSMIT;
	e.extra.sock.retries = 3;
	e.extra.sock.expires_ms = 800;
	feed(p, e);
	collect(&r, p, NULL);
	assert_int_equal(r.nitems, 1);
	assert_int_equal(r.items[0].finding.kind, FIND_FIN_WAIT_1_PEER_GONE);
	assert_int_equal(r.items[0].finding.age_ns, 2200 * (ns / 1000));
	assert_true(r.items[0].finding.at_least);
	assert_int_equal(r.orphans, 1);
	end(&r, p);
}

/* A SYN has received nothing: its age is the timer's. Three linear waits of a second, then 1 and
 * 2, and 1 of the 4 that it waits now. */
static void syn_age(void **state)
{
	struct stuck_report r;
	struct pipeline *p = begin(&r);
	struct event e = sock(EV_SOCK, 1, ST_SYN_SENT, 0);

	e.tcp.snd_nxt = e.tcp.write_seq = 101;
	e.tcp.rto_us = 4000000;
	e.tcp.backoff = 2;
	e.extra.sock.timer = TIMER_RETRANSMIT;
	e.extra.sock.retries = 5;
	e.extra.sock.expires_ms = 3000;
	held(p, e, 812, 3);
	collect(&r, p, NULL);
	assert_int_equal(r.nitems, 1);
	assert_int_equal(r.items[0].finding.kind, FIND_SYN_UNANSWERED);
	assert_int_equal(r.items[0].finding.age_ns, 7 * ns);
	end(&r, p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing),   cmocka_unit_test(groups), cmocka_unit_test(shared),
		cmocka_unit_test(passed_on), cmocka_unit_test(severity), cmocka_unit_test(ports),
		cmocka_unit_test(limits),    cmocka_unit_test(stall),  cmocka_unit_test(syn_age),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
