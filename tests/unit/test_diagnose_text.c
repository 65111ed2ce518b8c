/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a finding says: that no sentence has a hole in it, that it is true of the socket,
 * and commands that can be run as they stand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "write/buf.h"
#include "connection/conn.h"
#include "connection/facts.h"
#include "event.h"
#include "process/proc.h"
#include "stuck/diagnose.h"

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))
enum { NETNS = 7 };

/* 10.0.0.0:40000 to 10.0.0.2:443. */
static struct conn conn_in(enum tcp_state state)
{
	struct conn c = {.cookie = 1, .netns = NETNS, .lport = 40000, .pport = 443,
			 .role = ROLE_CLIENT, .state = state};

	c.local[10] = c.local[11] = c.peer[10] = c.peer[11] = 0xff;
	c.local[12] = c.peer[12] = 10;
	c.peer[15] = 2;
	return c;
}

static void tell(struct sysfacts *f, uint32_t id, uint32_t netns, uint32_t pid, uint64_t value)
{
	struct event e = {.kind = EV_FACT, .netns = netns, .task.pid = pid};

	e.extra.fact.id = id;
	e.extra.fact.value = value;
	facts_take(f, &e);
}

/* Every kind, with all that can be known and with nothing: whole sentences. */
static void test_sentences(void **state)
{
	struct proc who = {.pid = 812, .comm = "pay{ments}"};
	struct sysfacts *facts = facts_new();
	struct conn c = conn_in(ST_CLOSE_WAIT);
	struct buf b = {0};

	for (uint32_t id = FACT_FIRST_NETNS; id < FACT_FIRST_PROC; id++)
		tell(facts, id, NETNS, 0, id);
	for (unsigned kind = FIND_NONE + 1; kind < FIND_KINDS; kind++) {
		struct finding f = {.kind = kind, .value = 5, .limit = 9, .retries = 3,
				    .next_ns = 1, .ends_ns = 1, .blocked = true};
		struct finding bare = {.kind = kind, .next_ns = -1, .ends_ns = -1};
		struct told full = {.finding = &f, .conn = &c, .facts = facts, .who = &who, .fd = 4,
				    .count = 1};
		struct told none = {.finding = &bare, .fd = -1, .count = 2};

		b.len = 0;
		told_explanation(&b, &full);
		told_advice(&b, &full);
		told_explanation(&b, &none);
		told_advice(&b, &none);
		buf_char(&b, '\0');
		assert_false(b.failed);
		assert_null(strstr(b.data, "{}"));
		for (char *at = b.data; (at = strchr(at, '{')); at++)
			assert_memory_equal(at, "{ments}", 7); /* the process's own name */
		assert_int_equal(word_to_finding(word_finding(kind)), kind);
		b.len = 0;
		finding_explain(&b, kind);
		buf_char(&b, '\0');
		assert_non_null(strstr(b.data, word_finding(kind)));
		assert_non_null(strstr(b.data, "found by: "));
		assert_non_null(strstr(b.data, "  * "));
	}
	assert_int_equal(word_to_finding("nonsense"), FIND_NONE);
	assert_string_equal(word_finding(FIND_KINDS), word_finding(FIND_NONE));
	buf_free(&b);
	facts_free(facts);
}

/* What stands in a sentence is true of this socket. */
static void test_truth(void **state)
{
	struct finding f = {.kind = FIND_PEER_SILENT, .retries = 4, .value = 5, .ends_ns = -1};
	struct conn c = conn_in(ST_ESTABLISHED);
	struct told t = {.finding = &f, .conn = &c, .fd = -1, .count = 1};
	struct buf b = {0};

	c.timer = TIMER_PERSIST;
	c.now = NOW_ZERO_WINDOW;
	told_explanation(&b, &t);
	buf_char(&b, '\0');
	assert_string_equal(b.data, "its window was closed and 4 probes of it were not answered: "
				    "the peer is gone or a firewall drops it");
	b.len = 0;
	c.timer = TIMER_RETRANSMIT;
	told_explanation(&b, &t);
	buf_char(&b, '\0');
	assert_string_equal(b.data, "what was sent (5 B wait) was sent 4 times again without an "
				    "answer: the peer is gone or a firewall drops it");
	for (unsigned kind = 0; kind < 2; kind++) {
		f.kind = kind ? FIND_ZERO_WINDOW : FIND_FIN_WAIT_1_PEER_GONE;
		for (int orphan = 0; orphan < 2; orphan++) {
			c.seen = orphan ? SEEN_ORPHAN : 0;
			b.len = 0;
			told_remedy(&b, &t);
			buf_char(&b, '\0');
			assert_int_equal(!strstr(b.data, "TCP_USER_TIMEOUT"), orphan);
		}
	}
	buf_free(&b);
}

/* The command names exactly the socket, or what a group shares. */
static void test_commands(void **state)
{
	struct finding f = {.kind = FIND_CLOSE_WAIT_LEAK};
	struct conn c = conn_in(ST_CLOSE_WAIT);
	struct told t = {.finding = &f, .conn = &c, .fd = 4, .count = 1};
	static const struct {
		uint32_t count;
		uint8_t role;
		bool spread;
		const char *want;
	} cases[] = {
		{1, ROLE_CLIENT, false,
		 "ss -K state close-wait src 10.0.0.0 sport = :40000 dst 10.0.0.2 dport = :443"},
		{9, ROLE_CLIENT, false, "ss -K state close-wait dst 10.0.0.2 dport = :443"},
		{9, ROLE_SERVER, false, "ss -K state close-wait dst 10.0.0.2 sport = :40000"},
		{9, ROLE_SERVER, true, "ss -K state close-wait sport = :40000"},
	};
	struct buf b = {0};

	for (size_t i = 0; i < LENGTH(cases); i++) {
		t.count = cases[i].count;
		c.role = cases[i].role;
		t.spread_peers = cases[i].spread;
		b.len = 0;
		told_commands(&b, &t);
		buf_char(&b, '\0');
		assert_string_equal(b.data, cases[i].want);
	}
	buf_free(&b);
}

/* Others in ESTABLISHED with the same service work: only ours are closed. */
static void test_a_group_that_is_established(void **state)
{
	struct proc who = {.pid = 812, .comm = "nginx"};
	struct finding f = {.kind = FIND_ZERO_WINDOW};
	struct conn c = conn_in(ST_ESTABLISHED);
	struct told t = {.finding = &f, .conn = &c, .who = &who, .fd = 4, .count = 2};
	struct buf b = {0};

	c.role = ROLE_CLIENT;
	told_commands(&b, &t);
	buf_char(&b, '\0');
	assert_string_equal(b.data, "tcptrail stuck --kill --yes -p 812 state established dst "
				    "10.0.0.2 dport = :443");
	t.count = 1;
	b.len = 0;
	told_commands(&b, &t);
	buf_char(&b, '\0');
	assert_string_equal(b.data, "ss -K state established src 10.0.0.0 sport = :40000 dst "
				    "10.0.0.2 dport = :443");
	buf_free(&b);
}

/* In another namespace, and with no process to name: what can be run as it stands, or nothing. */
static void test_commands_without_a_process(void **state)
{
	struct proc who = {.pid = 812, .comm = "nginx"};
	struct finding f = {.kind = FIND_CLOSE_WAIT_UNREAD};
	struct conn c = conn_in(ST_CLOSE_WAIT);
	struct told t = {.finding = &f, .conn = &c, .fd = 4, .count = 9, .other_netns = true};
	static const struct {
		bool known;
		uint32_t seen;
		enum finding_kind kind;
		const char *want;
	} cases[] = {
		{true, 0, FIND_CLOSE_WAIT_UNREAD,
		 "gdb -p 812 -batch -ex 'thread apply all bt'\n"
		 "nsenter -n -t 812 ss -K state close-wait dst 10.0.0.2 dport = :443"},
		{false, 0, FIND_CLOSE_WAIT_UNREAD,
		 "tcptrail stuck --kill --yes netns = 7 state close-wait dst 10.0.0.2 dport = :443"},
		{true, SEEN_ORPHAN, FIND_LAST_ACK_PEER_GONE,
		 "tcptrail stuck --kill --yes netns = 7 state close-wait dst 10.0.0.2 dport = :443"},
		{false, 0, FIND_NEVER_ACCEPTED, ""},
		{false, 0, FIND_SYN_QUEUE_PILING, ""},
	};
	struct buf b = {0};

	for (size_t i = 0; i < LENGTH(cases); i++) {
		f.kind = cases[i].kind;
		c.seen = cases[i].seen;
		t.who = cases[i].known ? &who : NULL;
		b.len = 0;
		told_commands(&b, &t);
		buf_char(&b, '\0');
		assert_string_equal(b.data, cases[i].want);
	}
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sentences),
		cmocka_unit_test(test_truth),
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_a_group_that_is_established),
		cmocka_unit_test(test_commands_without_a_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
