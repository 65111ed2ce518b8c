/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The FILTER language, read: what a mistake is told and where, that size and depth
 * are bounded, that noise does no harm, and what of a filter goes down to the kernel:
 * never less than the whole filter would let through.
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

enum { MAX_WORDS = 16 };

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

/* ---- mistakes ------------------------------------------------------------------ */

static void test_errors_say_where_and_what(void **state)
{
	static const struct {
		const char *words[MAX_WORDS];
		int word;
		const char *token, *says;
	} cases[] = {
		{ { "dport", "=", "htps" }, 2, "htps", "a port number 0-65535 or a service after 'dport ='" },
		{ { "dport = htps" }, 0, "htps", "after 'dport ='" },
		{ { "dport", "=", ":65536" }, 2, ":65536", "0-65535" },
		{ { "dport", "=" }, -1, "", "after 'dport ='" },
		{ { "dport" }, -1, "", "after 'dport'" },
		{ { "dport", ">", "80,90" }, 2, "80,90", "after 'dport >'" },
		{ { "state", "closewait" }, 1, "closewait", "close-wait" },
		{ { "state" }, -1, "", "expected a state" },
		{ { "exclude", "foo" }, 1, "foo", "after 'exclude'" },
		{ { "foo" }, 0, "foo", "expected a condition" },
		{ { "dport", "=", "80", "and" }, -1, "", "expected a condition" },
		{ { "dport", "=", "80", "or", "or" }, 4, "or", "expected a condition" },
		{ { "(", "dport", "=", "80" }, -1, "", "expected ')'" },
		{ { "dport", "=", "80", ")" }, 3, ")", "no '(' is open" },
		{ { "()" }, 0, ")", "expected a condition" },
		{ { "not" }, -1, "", "expected a condition" },
		{ { "dst", "10.0.0.256" }, 1, "10.0.0.256", "ADDRESS" },
		{ { "dst", "10.0.0.0/33" }, 1, "10.0.0.0/33", "ADDRESS" },
		{ { "dst", "[::1" }, 1, "[::1", "ADDRESS" },
		{ { "dst", "[::1]x" }, 1, "[::1]x", "ADDRESS" },
		{ { "dst", "10.0.0.1:" }, 1, "10.0.0.1:", "ADDRESS" },
		{ { "dst", "10.0.0.1:x" }, 1, "10.0.0.1:x", "ADDRESS" },
		{ { "dst", "10" }, 1, "10", "ADDRESS" },
		{ { "dst", ">", "10.0.0.1" }, 1, ">", "= or !=" },
		{ { "pid", "=", "4294967296" }, 2, "4294967296", "a process id" },
		{ { "pid", "=", "-1" }, 2, "-1", "a process id" },
		{ { "uid", "=", "nobody-such" }, 2, "nobody-such", "user" },
		{ { "comm", "=" }, -1, "", "command" },
		{ { "comm", "=", ")" }, 2, ")", "command" },
		{ { "age", "5m" }, 1, "5m", "<, <=, > or >=" },
		{ { "age", "=", "5m" }, 1, "=", "<, <=, > or >=" },
		{ { "age", ">", "5" }, 2, "5", "duration" },
		{ { "age", ">", "5x" }, 2, "5x", "duration" },
		{ { "age", ">", "1234567890s" }, 2, "1234567890s", "duration" },
		{ { "verdict", "=", "bad" }, 2, "bad", "a verdict" },
		{ { "verdict", ">", "reset" }, 1, ">", "= or !=" },
		{ { "role", "=", "boss" }, 2, "boss", "client, server" },
		{ { "netns", "<", "5" }, 1, "<", "= or !=" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct filter_error err = { 0 };
		struct filter *f = (struct filter *)&err;
		int n = 0, rc;

		while (cases[i].words[n])
			n++;
		rc = filter_parse_names(&f, n, (char *const *)cases[i].words, &names, &err);
		assert_int_equal(rc, -EINVAL);
		assert_ptr_equal(f, &err); /* untouched */
		if (err.word != cases[i].word || strcmp(err.token, cases[i].token) ||
		    !strstr(err.message, cases[i].says))
			fail_msg("case %zu: word %d '%s': %s", i, err.word, err.token, err.message);
	}
}

static void test_numbers_only_without_names(void **state)
{
	struct filter_error err = { 0 };
	struct filter *f = NULL;
	char *words[] = { "dport", "=", "https" };

	assert_int_equal(filter_parse(&f, 3, words, &err), -EINVAL);
	assert_int_equal(err.word, 2);
}

static void test_empty_is_no_filter(void **state)
{
	struct filter_error err = { 0 };
	struct filter *f = (struct filter *)&err;
	char *blank[] = { "  ", "" };

	assert_int_equal(filter_parse(&f, 2, blank, &err), 0);
	assert_null(f);
	assert_int_equal(filter_match(NULL, NULL), FILTER_YES);
}

static void test_size_and_depth_are_bounded(void **state)
{
	struct filter_error err = { 0 };
	struct filter *f = NULL;
	char *text = malloc(100000), *words[] = { text };

	assert_non_null(text);
	memset(text, '(', 99999);
	text[99999] = '\0';
	assert_int_equal(filter_parse(&f, 1, words, &err), -EINVAL);
	assert_non_null(strstr(err.message, "levels"));
	memset(text, '!', 99999);
	assert_int_equal(filter_parse(&f, 1, words, &err), -EINVAL);
	assert_non_null(strstr(err.message, "levels"));
	text[0] = '\0';
	for (size_t i = 0, at = 0; i < 300; i++)
		at += (size_t)sprintf(text + at, "pid %zu ", i + 1);
	assert_int_equal(filter_parse(&f, 1, words, &err), -EINVAL);
	assert_non_null(strstr(err.message, "conditions"));
	memset(text, 'x', 99999); /* a token longer than any buffer */
	assert_int_equal(filter_parse(&f, 1, words, &err), -EINVAL);
	assert_int_equal(strlen(err.token), FILTER_TOKEN_LEN - 1);
	memcpy(text, "dst ", 4);
	assert_int_equal(filter_parse(&f, 1, words, &err), -EINVAL);
	memcpy(text, "dst [", 5);
	text[60000] = ']';
	text[60001] = '/';
	assert_int_equal(filter_parse(&f, 1, words, &err), -EINVAL);
	free(text);
}

/* Bytes at random from the grammar's own alphabet: no crash, and an error always has a word in
 * range and a message. Fixed seed: the same every time. */
static void test_noise(void **state)
{
	static const char alphabet[] = "dport=<>!&|()[]:/*,.0159 -\"'state age pid dst not or and 5m\\\t";
	uint32_t seed = 12345;
	char text[64];
	char *words[] = { text, text };

	for (int round = 0; round < 200000; round++) {
		struct filter_error err = { .word = -99 };
		struct filter *f = NULL;
		unsigned len = 0;

		for (; len < sizeof(text) - 1; len++) {
			seed = seed * 1103515245u + 12345u;
			text[len] = alphabet[(seed >> 16) % (sizeof(alphabet) - 1)];
			if ((seed >> 8) % 40 == 0)
				break;
		}
		text[len] = '\0';
		if (filter_parse_names(&f, 2, words, &names, &err)) {
			assert_in_range(err.word + 1, 0, 2);
			assert_int_not_equal(err.message[0], '\0');
		}
		filter_free(f);
	}
}

static void test_starts(void **state)
{
	assert_true(filter_starts("state"));
	assert_true(filter_starts("dport=443"));
	assert_true(filter_starts("dport = :443 or sport = :443"));
	assert_true(filter_starts("(dport"));
	assert_true(filter_starts("!"));
	assert_true(filter_starts("not"));
	assert_false(filter_starts("states"));
	assert_false(filter_starts("conns"));
	assert_false(filter_starts(""));
}

/* ---- what the kernel gets ------------------------------------------------------ */

static void kernel_part(const char *text, struct kernel_filter *k)
{
	struct filter *f = parse(text);

	filter_kernel_part(f, k);
	filter_free(f);
}

static void test_kernel_conjunction(void **state)
{
	struct kernel_filter k;
	struct filter *f = filter_and(filter_term_family(6), parse("dport = 443 and sport >= 1024 "
								   "pid = 5 netns = 9"));

	filter_kernel_part(f, &k);
	assert_int_equal(k.family, 6);
	assert_int_equal(k.pid, 5);
	assert_int_equal(k.netns, 9);
	assert_int_equal(k.npeer, 1);
	assert_int_equal(k.peer[0].lo, 443);
	assert_int_equal(k.peer[0].hi, 443);
	assert_int_equal(k.nlocal, 1);
	assert_int_equal(k.local[0].lo, 1024);
	assert_int_equal(k.local[0].hi, 65535);
	assert_int_equal(k.neither, 0);
	filter_free(f);
}

static void test_kernel_either(void **state)
{
	struct kernel_filter k;

	kernel_part("( dport = :443 or sport = :443 ) state established", &k);
	assert_int_equal(k.neither, 1);
	assert_int_equal(k.either[0].lo, 443);
	assert_int_equal(k.nlocal + k.npeer, 0);
	kernel_part("dport = 80 or dport = 443 or dport = 8000-8010", &k);
	assert_int_equal(k.npeer, 3);
	assert_int_equal(k.peer[2].hi, 8010);
	kernel_part("dport != 443", &k);
	assert_int_equal(k.npeer, 2);
	assert_int_equal(k.peer[0].hi, 442);
	assert_int_equal(k.peer[1].lo, 444);
}

/* What must not go down: anything that is not certain to hold for every wanted event. */
static void test_kernel_leaves_out_the_uncertain(void **state)
{
	static const char *const cases[] = {
		"dport = 443 or pid = 5",   "dport = 443 or sport = 80", "not pid = 5",
		"not dport = 443",          "pid != 5",                  "pid > 5",
		"uid = 0",                  "netns != 7",                "state established",
		"comm = nginx",             "age > 5m",                  "verdict = reset",
		"not (dport = 1 pid = 4)",  "dst 10.0.0.1",              "dport < 0",
		"cgroup != /system.slice",  "role = server",
	};
	static const struct kernel_filter none;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct kernel_filter k;

		kernel_part(cases[i], &k);
		if (memcmp(&k, &none, sizeof(k)))
			fail_msg("'%s' went down", cases[i]);
	}
}

/* A port that two terms ask for: the kernel may take one, user space does the rest. */
static void test_kernel_twice_the_same_side(void **state)
{
	struct kernel_filter k;

	kernel_part("dport > 100 dport < 200", &k);
	assert_int_equal(k.npeer, 1);
	assert_true((k.peer[0].lo == 101 && k.peer[0].hi == 65535) ||
		    (k.peer[0].lo == 0 && k.peer[0].hi == 199));
	kernel_part("dst 10.0.0.1:443", &k);
	assert_int_equal(k.npeer, 1);
	assert_int_equal(k.peer[0].lo, 443);
}

static void test_kernel_cgroup(void **state)
{
	struct kernel_filter k;
	struct filter *f = parse("cgroup = /system.slice dport = 1");

	filter_kernel_part(f, &k);
	assert_string_equal(k.cgroup_path, "/system.slice");
	filter_free(f);
	filter_kernel_part(NULL, &k);
	assert_null(k.cgroup_path);
}

/* A connect() that came through with no port yet: is it one that the kernel says no more of? */
static void test_kernel_drops(void **state)
{
	static const struct {
		const char *filter;
		bool drops;
	} cases[] = {
		{ "sport = 80", true },
		{ "sport = 40000", false },
		{ "dport = 443", false },
		{ "dport = 444", true },
		{ "( sport = 443 or dport = 443 )", false },
		{ "( sport = 80 or dport = 80 )", true },
		{ "netns = 5", false },
		{ "netns = 6", true },
		{ "pid = 7", false },
		{ "not dport = 443", false }, /* not the kernel's */
		{ "dport = 444 or pid = 1", false },
	};
	struct conn c = { .lport = 40000, .pport = 443, .netns = 5, .state = ST_ESTABLISHED };
	struct kernel_filter k;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		kernel_part(cases[i].filter, &k);
		if (filter_kernel_drops(&k, &c) != cases[i].drops)
			fail_msg("%s", cases[i].filter);
		c.lport = 0;
		assert_false(filter_kernel_drops(&k, &c));
		c.lport = 40000;
	}
}

/* Is a TIME_WAIT minisock, which has no owner, enough to answer it? */
static void test_asks_tuple(void **state)
{
	static const struct {
		const char *filter;
		bool tuple;
	} cases[] = {
		{ "netns = 5", true },
		{ "netns = 5 dport = 443 sport >= 1024", true },
		{ "not ( sport = 443 or dst 10.0.0.0/8 )", true },
		{ "state time-wait dst 10.0.0.1", true },
		{ "pid = 7", false },
		{ "netns = 5 pid = 7", false },
		{ "cgroup = /system.slice", false },
		{ "not comm = sshd", false },
		{ "dport = 443 or uid = 0", false },
		{ "age > 5s", false },
		{ "verdict = reset", false },
		{ "role = client", false },
	};

	assert_true(filter_asks_tuple(NULL));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct filter *f = parse(cases[i].filter);

		if (filter_asks_tuple(f) != cases[i].tuple)
			fail_msg("%s", cases[i].filter);
		filter_free(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_errors_say_where_and_what),
		cmocka_unit_test(test_numbers_only_without_names),
		cmocka_unit_test(test_empty_is_no_filter),
		cmocka_unit_test(test_size_and_depth_are_bounded),
		cmocka_unit_test(test_noise),
		cmocka_unit_test(test_starts),
		cmocka_unit_test(test_kernel_conjunction),
		cmocka_unit_test(test_kernel_either),
		cmocka_unit_test(test_kernel_leaves_out_the_uncertain),
		cmocka_unit_test(test_kernel_twice_the_same_side),
		cmocka_unit_test(test_kernel_cgroup),
		cmocka_unit_test(test_kernel_drops),
		cmocka_unit_test(test_asks_tuple),
	};

	return cmocka_run_group_tests_name("filter_parse", tests, NULL, NULL);
}
