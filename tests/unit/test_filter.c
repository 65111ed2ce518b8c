/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The FILTER language, matched: what each condition means to a connection, and that
 * what is not known stays unknown. Each case is asked of an IPv4 and of an IPv6
 * connection that differ in nothing else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "filter/filter.h"
#include "connection/words.h"

static long port_name(const char *service)
{
	return !strcmp(service, "https") ? 443 : !strcmp(service, "kazaa-lite") ? 1214 : -1;
}

static long uid_name(const char *user)
{
	return !strcmp(user, "www-data") ? 33 : -1;
}

static const struct filter_names names = { .port = port_name, .uid = uid_name };

static struct filter *parse(const char *text)
{
	char *words[] = { (char *)text };
	struct filter_error err = { 0 };
	struct filter *f = NULL;

	if (filter_parse_names(&f, 1, words, &names, &err))
		fail_msg("'%s': word %d '%s': %s", text, err.word, err.token, err.message);
	return f;
}

/* 10.0.0.5:40000 -> 192.168.1.9:443, ESTABLISHED for 10 s, owner proc 1. */
static void subject_v4(struct conn *c)
{
	static const uint8_t local[16] = { [10] = 255, 255, 10, 0, 0, 5 };
	static const uint8_t peer[16] = { [10] = 255, 255, 192, 168, 1, 9 };

	memset(c, 0, sizeof(*c));
	memcpy(c->local, local, 16);
	memcpy(c->peer, peer, 16);
	c->lport = 40000;
	c->pport = 443;
	c->netns = 4026531840u;
	c->state = ST_ESTABLISHED;
	c->role = ROLE_CLIENT;
	c->state_ns = 5000000000ULL;
	c->start_ns = 1000000000ULL;
}

static void subject_v6(struct conn *c)
{
	subject_v4(c);
	memset(c->local, 0, 16);
	c->local[15] = 1;
	memcpy(c->peer, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07", 16);
}

static struct proctab *procs_new(void)
{
	struct proctab *t = proctab_new(16);
	struct event_task task = { .pid = 812, .tid = 812, .uid = 33, .cgroup = 77, .comm = "nginx" };

	assert_non_null(t);
	assert_int_equal(proc_intern(t, &task, false), 1);
	assert_int_equal(cgroup_set(t, 77, "/system.slice/nginx.service"), 0);
	return t;
}

struct match_case {
	const char *filter;
	enum filter_result v4, v6;
};

static void check_cases(const struct match_case *cases, size_t n, uint32_t owner,
			const struct verdict *v)
{
	struct proctab *procs = procs_new();
	struct conn c4, c6;
	struct filter_subject s4 = { &c4, procs, v, 15000000000ULL, NULL };
	struct filter_subject s6 = { &c6, procs, v, 15000000000ULL, NULL };

	subject_v4(&c4);
	subject_v6(&c6);
	c4.owner = c6.owner = owner;
	for (size_t i = 0; i < n; i++) {
		struct filter *f = parse(cases[i].filter);
		int r4 = filter_match(f, &s4), r6 = filter_match(f, &s6);

		if (r4 != (int)cases[i].v4 || r6 != (int)cases[i].v6)
			fail_msg("'%s': v4 %d, expected %d; v6 %d, expected %d", cases[i].filter,
				 r4, cases[i].v4, r6, cases[i].v6);
		filter_free(f);
	}
	proctab_free(procs);
}

#define Y FILTER_YES
#define N FILTER_NO
#define U FILTER_UNKNOWN
#define CHECK(cases, owner, v) check_cases(cases, sizeof(cases) / sizeof((cases)[0]), owner, v)

static void test_ports(void **state)
{
	static const struct match_case cases[] = {
		{ "dport = :443", Y, Y },       { "dport :443", Y, Y },        { "dport 443", Y, Y },
		{ "dport=443", Y, Y },          { "dport == 443", Y, Y },      { "dport eq 443", Y, Y },
		{ "dport = :https", Y, Y },     { "dport = https", Y, Y },     { "sport = 443", N, N },
		{ "dport != 443", N, N },       { "dport ne 443", N, N },      { "dport neq 80", Y, Y },
		{ "dport > 443", N, N },        { "dport >= 443", Y, Y },      { "dport gt 442", Y, Y },
		{ "dport geq 444", N, N },      { "dport < 443", N, N },       { "dport <= 443", Y, Y },
		{ "dport le 443", Y, Y },       { "dport lt 0", N, N },        { "dport > 65535", N, N },
		{ "dport = 80,443", Y, Y },     { "dport = 400-500", Y, Y },   { "dport != 400-500", N, N },
		{ "dport = 0-65535", Y, Y },    { "dport != 0-65535", N, N },  { "sport = 40000", Y, Y },
		{ "dport = kazaa-lite", N, N }, { "dport = 80-https", Y, Y },
	};

	CHECK(cases, 1, NULL);
}

static void test_hosts(void **state)
{
	static const struct match_case cases[] = {
		{ "dst 192.168.1.9", Y, N },
		{ "dst = 192.168.1.9:443", Y, N },
		{ "dst 192.168.1.9:80", N, N },
		{ "dst 192.168.1.9:*", Y, N },
		{ "dst 192.168.0.0/16", Y, N },
		{ "dst 192.168/16", Y, N },
		{ "dst 192.168.0.0/24", N, N },
		{ "dst 192.168.1.8/31", Y, N },
		{ "dst 192.168.1.10/31", N, N },
		{ "src 10/8", Y, N },
		{ "src 0.0.0.0/0", Y, N },
		{ "src ::/0", N, Y },
		{ "src ::1", N, Y },
		{ "src [::1]", N, Y },
		{ "src [::1]:40000", N, Y },
		{ "src [::1]:40001", N, N },
		{ "dst 2001:db8::/32", N, Y },
		{ "dst [2001:db8::]/32", N, Y },
		{ "dst [2001:db8::/32]:443", N, Y },
		{ "dst [2001:db8::]/32:443", N, Y },
		{ "dst 2001:db9::/32", N, N },
		{ "dst ::ffff:192.168.1.9", Y, N },
		{ "dst [::ffff:192.168.1.9]:443", Y, N },
		{ "dst ::ffff:0:0/96", Y, N },
		{ "dst :443", Y, Y },
		{ "dst *:443", Y, Y },
		{ "dst *:80", N, N },
		{ "dst *", Y, Y },
		{ "dst != *", N, N },
		{ "dst != 192.168.1.9", N, Y },
		{ "dst inet:192.168.1.9:https", Y, N },
	};

	CHECK(cases, 1, NULL);
}

static void test_owner(void **state)
{
	static const struct match_case cases[] = {
		{ "pid = 812", Y, Y },
		{ "pid 812", Y, Y },
		{ "pid != 812", N, N },
		{ "pid > 800 pid < 900", Y, Y },
		{ "uid = 33", Y, Y },
		{ "uid = www-data", Y, Y },
		{ "uid >= 1000", N, N },
		{ "comm = nginx", Y, Y },
		{ "comm = ngin", N, N },
		{ "comm = nginxx", N, N },
		{ "comm != nginx", N, N },
		{ "comm = \"nginx\"", Y, Y },
		{ "cgroup = /system.slice", Y, Y },
		{ "cgroup = /system.slice/", Y, Y },
		{ "cgroup = system.slice/nginx.service", Y, Y },
		{ "cgroup = /sys/fs/cgroup/system.slice", Y, Y },
		{ "cgroup = /", Y, Y },
		{ "cgroup = /system.slice/nginx", N, N },
		{ "cgroup = /user.slice", N, N },
		{ "cgroup != /user.slice", Y, Y },
		{ "netns = 4026531840", Y, Y },
		{ "netns != 4026531840", N, N },
		{ "role = client", Y, Y },
		{ "role = server", N, N },
		{ "role != listener", Y, Y },
	};

	CHECK(cases, 1, NULL);
}

static void test_owner_unknown_stays_unknown(void **state)
{
	static const struct match_case cases[] = {
		{ "pid = 812", U, U },
		{ "not pid = 812", U, U },
		{ "pid != 812", U, U },
		{ "uid = 33", U, U },
		{ "comm = nginx", U, U },
		{ "cgroup = /system.slice", U, U },
		{ "pid = 812 and dport = 443", U, U },
		{ "pid = 812 and dport = 80", N, N },
		{ "dport = 80 and pid = 812", N, N },
		{ "pid = 812 or dport = 443", Y, Y },
		{ "dport = 443 or pid = 812", Y, Y },
		{ "pid = 812 or dport = 80", U, U },
		{ "verdict = reset", U, U },
		{ "! verdict = reset", U, U },
	};

	CHECK(cases, 0, NULL);
}

static void test_states_and_groups(void **state)
{
	static const struct match_case cases[] = {
		{ "state established", Y, Y },
		{ "state ESTAB", Y, Y },
		{ "state = established", Y, Y },
		{ "state close-wait", N, N },
		{ "state close_wait", N, N },
		{ "state all", Y, Y },
		{ "state connected", Y, Y },
		{ "state synchronized", Y, Y },
		{ "state bucket", N, N },
		{ "state big", Y, Y },
		{ "state close-wait state established", Y, Y }, /* ss: one set */
		{ "state close-wait and state established", N, N },
		{ "exclude established", N, N },
		{ "exclude close-wait", Y, Y },
		{ "state connected exclude established", N, N },
		{ "state connected exclude syn-sent dport = 443", Y, Y },
	};

	CHECK(cases, 1, NULL);
}

/* Every state in all three spellings selects itself, and only itself. */
static void test_state_spellings(void **state)
{
	const char *(*const spellings[])(unsigned) = { word_state_ss, word_state_otel,
						       word_state_prom, word_state_rfc };
	char text[64];
	struct conn c;

	subject_v4(&c);
	for (unsigned sp = 0; sp < 4; sp++) {
		for (unsigned st = ST_NONE + 1; st < ST_COUNT; st++) {
			snprintf(text, sizeof(text), "state %s", spellings[sp](st));
			struct filter *f = parse(text);

			for (unsigned other = ST_NONE + 1; other < ST_COUNT; other++) {
				struct filter_subject s = { &c, NULL, NULL, 0, NULL };
				bool same = !strcmp(spellings[sp](st), spellings[sp](other));

				c.state = other;
				assert_int_equal(filter_match(f, &s), same ? Y : N);
			}
			filter_free(f);
		}
	}
}

static void test_groups_are_ss_s(void **state)
{
	static const struct {
		const char *group;
		uint32_t in; /* 1 << state */
	} groups[] = {
		{ "state bucket", 1 << ST_SYN_RECV | 1 << ST_NEW_SYN_RECV | 1 << ST_TIME_WAIT },
		{ "exclude connected", 1 << ST_LISTEN | 1 << ST_CLOSED },
		{ "exclude synchronized", 1 << ST_LISTEN | 1 << ST_CLOSED | 1 << ST_SYN_SENT },
		{ "exclude big", 1 << ST_SYN_RECV | 1 << ST_NEW_SYN_RECV | 1 << ST_TIME_WAIT },
		{ "exclude all", 0 },
		{ "state listening state unconnected", 1 << ST_LISTEN | 1 << ST_CLOSED },
	};
	struct conn c;

	subject_v4(&c);
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		struct filter *f = parse(groups[i].group);

		for (unsigned st = ST_NONE + 1; st < ST_COUNT; st++) {
			struct filter_subject s = { &c, NULL, NULL, 0, NULL };

			c.state = st;
			if (filter_match(f, &s) != (groups[i].in & 1u << st ? Y : N))
				fail_msg("%s: state %u", groups[i].group, st);
		}
		filter_free(f);
	}
}

static void test_precedence(void **state)
{
	static const struct match_case cases[] = {
		/* T = dport = 443, F = dport = 80 */
		{ "dport = 443 or dport = 80 and dport = 80", Y, Y },
		{ "(dport = 443 or dport = 80) and dport = 80", N, N },
		{ "dport = 443 || dport = 80 dport = 80", Y, Y },
		{ "dport = 443 | dport = 80 & dport = 80", Y, Y },
		{ "not dport = 80 and dport = 80", N, N },
		{ "not (dport = 80 and dport = 80)", Y, Y },
		{ "! dport = 80 || dport = 80", Y, Y },
		{ "!(dport=80)&&!(dport=81)", Y, Y },
		{ "not not dport = 443", Y, Y },
		{ "( ( dport = 443 ) )", Y, Y },
		{ "( dport = :https or sport = :https ) src 10/8", Y, N },
	};

	CHECK(cases, 1, NULL);
}

static void test_age_of_the_present_state(void **state)
{
	static const struct match_case exact[] = {
		{ "age > 5s", Y, Y },   { "age > 10s", N, N },   { "age >= 10s", Y, Y },
		{ "age < 10.5s", Y, Y }, { "age < 500ms", N, N }, { "age > 0.1m", Y, Y },
		{ "age lt 1h", Y, Y },  { "age <= 1d", Y, Y },   { "age > 10000000us", N, N },
	};

	CHECK(exact, 1, NULL);
}

static void test_age_at_least(void **state)
{
	struct conn c;
	struct filter_subject s = { &c, NULL, NULL, 15000000000ULL, NULL };
	static const struct {
		const char *filter;
		enum filter_result r;
	} cases[] = {
		{ "age > 5s", Y }, { "age > 60s", U }, { "age < 60s", U }, { "age < 5s", N },
	};

	subject_v4(&c);
	c.state_age_bound = 1;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct filter *f = parse(cases[i].filter);

		assert_int_equal(filter_match(f, &s), cases[i].r);
		filter_free(f);
	}
}

static void test_verdict(void **state)
{
	struct verdict v = {
		.handshake = HS_NORMAL, .teardown = TD_RESET_RECEIVED, .end_reason = END_HALF_OPEN,
		.conn_state = CS_RSTR, .duration_ns = 14000000000LL,
	};
	static const struct match_case cases[] = {
		{ "verdict = reset", Y, Y },          { "verdict = reset_received", Y, Y },
		{ "verdict = reset-received", Y, Y }, { "verdict = RSTR", Y, Y },
		{ "verdict = rstr", Y, Y },           { "verdict = half_open", Y, Y },
		{ "verdict = reset_sent", N, N },     { "verdict = normal", N, N },
		{ "verdict != reset", N, N },         { "verdict = timeout", N, N },
		{ "verdict = refused", N, N },        { "verdict = SF", N, N },
		{ "age > 13s", Y, Y },                { "age > 14s", N, N }, /* the whole life */
	};

	CHECK(cases, 1, &v);
	v.teardown = TD_ABORTED;
	v.handshake = HS_TIMED_OUT;
	v.end_reason = END_SYN_TIMEOUT;
	v.conn_state = CS_S0;
	static const struct match_case timed_out[] = {
		{ "verdict = timeout", Y, Y }, { "verdict = timed_out", Y, Y },
		{ "verdict = S0", Y, Y },      { "verdict = aborted", Y, Y },
		{ "verdict = reset", N, N },
	};

	CHECK(timed_out, 1, &v);
}

/* Every word of the interface's verdict enums is a verdict. */
static void test_verdict_words(void **state)
{
	const struct {
		const char *(*word)(unsigned);
		unsigned n;
	} lists[] = { { word_handshake, HS_KINDS }, { word_teardown, TD_KINDS },
		      { word_end_reason, END_REASONS }, { word_conn_state, CS_COUNT } };
	char text[64];

	for (size_t l = 0; l < 4; l++) {
		for (unsigned i = 0; i < lists[l].n; i++) {
			snprintf(text, sizeof(text), "verdict = %s", lists[l].word(i));
			filter_free(parse(text));
		}
	}
}

static void test_late_ports_are_unknown(void **state)
{
	struct conn c;
	struct filter_subject s = { &c, NULL, NULL, 0, NULL };
	struct filter *local = parse("sport = 80"), *peer = parse("dport = 80");

	subject_v4(&c);
	c.lport = 0; /* CLOSE -> SYN_SENT: not bound yet */
	assert_int_equal(filter_match(local, &s), U);
	c.lport = 80;
	assert_int_equal(filter_match(local, &s), Y);
	c.pport = 0;
	assert_int_equal(filter_match(peer, &s), U);
	c.role = ROLE_LISTENER;
	c.state = ST_LISTEN;
	assert_int_equal(filter_match(peer, &s), N);
	filter_free(local);
	filter_free(peer);
}

static void test_options_terms(void **state)
{
	struct filter_error err = { 0 };
	struct filter *f = NULL, *ports = NULL;
	struct conn c;
	struct filter_subject s = { &c, NULL, NULL, 0, NULL };

	subject_v4(&c);
	assert_int_equal(filter_term_ports(&ports, 3, "80,443,8000-8010", &err), 0);
	f = filter_and(filter_term_family(4), ports);
	f = filter_and(f, NULL);
	assert_int_equal(filter_match(f, &s), Y);
	c.pport = 8010;
	assert_int_equal(filter_match(f, &s), Y);
	c.pport = 8011;
	assert_int_equal(filter_match(f, &s), N);
	c.lport = 80;
	assert_int_equal(filter_match(f, &s), Y);
	filter_free(f);

	static const char *const bad[] = {
		"", "65536", "80,", ",80", "80-", "90-80", "a", "-1", "8 0",
		"1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31,33",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ports = (struct filter *)&c;
		assert_int_equal(filter_term_ports(&ports, 1, bad[i], &err), -EINVAL);
		assert_ptr_equal(ports, &c); /* untouched */
		assert_string_equal(err.token, bad[i]);
		assert_non_null(strstr(err.message, "0-65535"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_owner),
		cmocka_unit_test(test_owner_unknown_stays_unknown),
		cmocka_unit_test(test_states_and_groups),
		cmocka_unit_test(test_state_spellings),
		cmocka_unit_test(test_groups_are_ss_s),
		cmocka_unit_test(test_precedence),
		cmocka_unit_test(test_age_of_the_present_state),
		cmocka_unit_test(test_age_at_least),
		cmocka_unit_test(test_verdict),
		cmocka_unit_test(test_verdict_words),
		cmocka_unit_test(test_late_ports_are_unknown),
		cmocka_unit_test(test_options_terms),
	};

	return cmocka_run_group_tests_name("filter", tests, NULL, NULL);
}
