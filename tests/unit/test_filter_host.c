/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The FILTER language's ends as ss spells them: families before a host or a port, * for
 * any, hosts' names (all of their addresses, asked for once), and the interface that a
 * socket is bound to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <cmocka.h>
#include <string.h>

#include "event.h"
#include "filter/filter.h"

static unsigned asked;

static const uint8_t local_v4[16] = { [10] = 255, 255, 127, 0, 0, 1 };
static const uint8_t local_v6[16] = { [15] = 1 };

static long port_of(const char *service)
{
	return !strcmp(service, "https") ? 443 : -1;
}

static long index_of(const char *interface)
{
	return !strcmp(interface, "lo") ? 1 : -1;
}

/* "localhost" has both; "db-1.example.com" 127.0.0.1 alone; others none. */
static unsigned addrs_of(const char *name, int family, uint8_t (*out)[16], unsigned max)
{
	bool both = !strcmp(name, "localhost");
	unsigned n = 0;

	asked++;
	if (!both && strcmp(name, "db-1.example.com") != 0)
		return 0;
	if (family != 6 && n < max)
		memcpy(out[n++], local_v4, 16);
	if (family != 4 && both && n < max)
		memcpy(out[n++], local_v6, 16);
	return n;
}

static const struct filter_names names = { .port = port_of, .dev = index_of, .host = addrs_of };

static int parse(const char *text, const struct filter_names *with, struct filter **f,
		 struct filter_error *err)
{
	char *words[] = { (char *)text };

	*f = NULL;
	return filter_parse_names(f, 1, words, with, err);
}

/* From this host to itself, port 443, bound to interface 1 if it is IPv6. */
static void subject(struct conn *c, struct conn_end *end, const uint8_t addr[16])
{
	memset(c, 0, sizeof(*c));
	memset(end, 0, sizeof(*end));
	memcpy(c->local, addr, 16);
	memcpy(c->peer, addr, 16);
	c->lport = 40000;
	c->pport = 443;
	c->netns = 7;
	c->state = ST_ESTABLISHED;
	c->end = end;
	end->bound_dev = addr == local_v6;
}

struct match_case {
	const char *filter;
	enum filter_result v4, v6;
};

#define Y FILTER_YES
#define N FILTER_NO

static void check(const struct match_case *cases, size_t n)
{
	struct conn_end e4, e6;
	struct conn c4, c6;
	struct filter_subject s4 = { .conn = &c4 }, s6 = { .conn = &c6 };

	subject(&c4, &e4, local_v4);
	subject(&c6, &e6, local_v6);
	for (size_t i = 0; i < n; i++) {
		struct filter_error err = { 0 };
		struct filter *f;
		int r4, r6;

		if (parse(cases[i].filter, &names, &f, &err))
			fail_msg("'%s': '%s': %s", cases[i].filter, err.token, err.message);
		r4 = filter_match(f, &s4);
		r6 = filter_match(f, &s6);
		if (r4 != (int)cases[i].v4 || r6 != (int)cases[i].v6)
			fail_msg("'%s': v4 %d, v6 %d", cases[i].filter, r4, r6);
		filter_free(f);
	}
}

#define CHECK(cases) check(cases, sizeof(cases) / sizeof((cases)[0]))

static void test_families(void **state)
{
	static const struct match_case cases[] = {
		{ "src inet:*", Y, N },
		{ "src inet6:*", N, Y },
		{ "src != inet6:*", Y, N },
		{ "dst inet6:*:443", N, Y },
		{ "dst inet6::443", N, Y },
		{ "dst inet:*:80", N, N },
		{ "src inet:127.0.0.1", Y, N },
		{ "src inet6:[::1]", N, Y },
		{ "src inet6:[::1]:40000", N, Y },
		{ "src INET6:::1", N, Y },
		{ "src any", Y, Y },
		{ "dst all:443", Y, Y },
		{ "src default", Y, Y },
	};

	CHECK(cases);
}

static void test_ports_with_hosts(void **state)
{
	static const struct match_case cases[] = {
		{ "sport = :*", Y, Y },
		{ "sport = *", Y, Y },
		{ "sport = *:*", Y, Y },
		{ "sport != :*", N, N },
		{ "dport = *:443", Y, Y },
		{ "dport = *:80", N, N },
		{ "dport = inet:443", Y, N },
		{ "dport = inet6:443", N, Y },
		{ "dport = inet6:*:443", N, Y },
		{ "dport = inet6::https", N, Y },
		{ "dport = inet:*", Y, N },
		{ "dport != inet:443", N, N },
		{ "dport != inet:80", Y, N },
		{ "sport >= inet6:1024", N, Y },
	};

	CHECK(cases);
}

static void test_host_names(void **state)
{
	static const struct match_case cases[] = {
		{ "src localhost", Y, Y },
		{ "src != localhost", N, N },
		{ "src inet:localhost", Y, N },
		{ "src inet6:localhost", N, Y },
		{ "dst localhost:https", Y, Y },
		{ "dst localhost:80", N, N },
		{ "dst db-1.example.com", Y, N },
		{ "not dst db-1.example.com", N, Y },
	};

	asked = 0;
	CHECK(cases);
	assert_int_equal(asked, sizeof(cases) / sizeof(cases[0])); /* and not for a connection */
}

static void test_bound_interface(void **state)
{
	static const struct match_case cases[] = {
		{ "dev = lo", N, Y }, { "dev lo", N, Y },   { "dev != lo", Y, N },
		{ "dev = 1", N, Y },  { "dev = 2", N, N },  { "dev = 0", Y, N },
	};
	struct filter_error err;
	struct filter *f;
	struct conn_end end;
	struct conn c;

	CHECK(cases);
	subject(&c, &end, local_v6);
	c.netns = 0; /* of a capture */
	assert_int_equal(parse("dev != lo", &names, &f, &err), 0);
	assert_int_equal(filter_match(f, &(struct filter_subject){ .conn = &c }), FILTER_UNKNOWN);
	filter_free(f);
}

static void test_mistakes(void **state)
{
	static const struct {
		const char *filter, *says;
		bool asks;
	} cases[] = {
		{ "src inet6:127.0.0.1", "an IPv6 address after 'inet6:'", false },
		{ "src inet:[::1]", "an IPv4 address after 'inet:'", false },
		{ "src inet6:10.0.0.0/8", "an IPv6 address after 'inet6:'", false },
		{ "src nowhere.example", "a host that has one", true },
		{ "src inet6:db-1.example.com", "a host that has an IPv6 one", true },
		{ "src 10", "ADDRESS", false },
		{ "src 10.0.0.256", "ADDRESS", false },
		{ "src 0x7f.1", "ADDRESS", false },
		{ "src 1.0x7f", "ADDRESS", false },
		{ "src localhost/8", "ADDRESS", false },
		{ "src [localhost]", "ADDRESS", false },
		{ "src inet6:", "ADDRESS", false },
		{ "sport = localhost:443", "a port number", false },
		{ "sport > :*", "a port number", false },
		{ "sport = :", "a port number", false },
		{ "sport = inet:", "a port number", false },
		{ "dev = eth7", "an interface's name", false },
		{ "dev > lo", "= or !=", false },
		{ "autobound", "autobound", false },
		{ "fwmark = 1", "fwmark", false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct filter_error err = { 0 };
		struct filter *f;

		asked = 0;
		assert_int_equal(parse(cases[i].filter, &names, &f, &err), -EINVAL);
		if (!strstr(err.message, cases[i].says) || (asked && !cases[i].asks))
			fail_msg("'%s': asked %u, %s", cases[i].filter, asked, err.message);
	}
	assert_true(filter_starts("autobound"));
	assert_true(filter_starts("dev"));
}

/* Where a stranger asks, or nobody may wait. */
static void test_no_names_lent(void **state)
{
	struct filter_error err = { 0 };
	struct filter *f;

	assert_int_equal(parse("src localhost", NULL, &f, &err), -EINVAL);
	assert_non_null(strstr(err.message, "not looked up here"));
	assert_int_equal(parse("dev = lo", NULL, &f, &err), -EINVAL);
	assert_int_equal(parse("dev = 1 src inet6:*", NULL, &f, &err), 0);
	filter_free(f);
}

static void test_kernel_part(void **state)
{
	struct filter_error err = { 0 };
	struct kernel_filter k;
	struct filter *f;

	assert_int_equal(parse("dport = inet6:*:443", &names, &f, &err), 0);
	filter_kernel_part(f, &k);
	assert_int_equal(k.family, 6);
	assert_int_equal(k.npeer, 1);
	assert_int_equal(k.peer[0].lo, 443);
	filter_free(f);
	assert_int_equal(parse("dev = lo sport = :* src != inet6:*", &names, &f, &err), 0);
	filter_kernel_part(f, &k);
	assert_int_equal(k.family + k.nlocal + k.npeer + k.neither, 0);
	filter_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_families),       cmocka_unit_test(test_ports_with_hosts),
		cmocka_unit_test(test_host_names),     cmocka_unit_test(test_bound_interface),
		cmocka_unit_test(test_mistakes),       cmocka_unit_test(test_no_names_lent),
		cmocka_unit_test(test_kernel_part),
	};

	return cmocka_run_group_tests_name("filter_host", tests, NULL, NULL);
}
