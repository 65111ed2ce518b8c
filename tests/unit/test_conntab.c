/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table against a plain array that does the same slowly: a long random walk of
 * adds, deletes and look-ups by cookie, index and tuple, through several growths;
 * then its bounds, its steps, and that it gives memory back.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "connection/conntab.h"

enum { KEYS = 4096, WALK = 400000 };

struct model {
	struct conn *conn;   /* NULL: not in the table */
	uint32_t index;
	uint64_t born;       /* order of conntab_set_tuple */
};

static uint64_t next(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

static uint64_t cookie_of(unsigned key)
{
	return (uint64_t)key * 0x1000 + 1;
}

/* 64 tuples in 2 namespaces, so that chains hold many. */
static void tuple_of(struct conn *c, unsigned key)
{
	memset(c->local, 0, 16);
	memset(c->peer, 0, 16);
	c->local[15] = key & 7;
	c->peer[0] = key >> 3 & 3;
	c->lport = key >> 5 & 1;
	c->pport = 443;
	c->netns = 1 + (key >> 6 & 1);
}

static struct conn *model_tuple(const struct model *m, const struct conn *like, uint32_t netns,
				const struct conn *except)
{
	const struct model *best = NULL;

	for (unsigned k = 0; k < KEYS; k++) {
		const struct conn *c = m[k].conn;

		if (!c || c == except || (netns && c->netns != netns) || c->lport != like->lport ||
		    c->pport != like->pport || memcmp(c->local, like->local, 16) ||
		    memcmp(c->peer, like->peer, 16))
			continue;
		if (!best || m[k].born > best->born)
			best = &m[k];
	}
	return best ? best->conn : NULL;
}

static void check_tuple(struct conntab *t, const struct model *m, unsigned key, uint64_t r)
{
	struct conn like = { 0 };
	uint32_t netns = (uint32_t)(r % 3);
	const struct conn *except = r & 1 ? m[key].conn : NULL;

	tuple_of(&like, key);
	assert_ptr_equal(conntab_find_tuple(t, netns, like.local, like.lport, like.peer, like.pport,
					    except),
			 model_tuple(m, &like, netns, except));
}

static void check_walk(struct conntab *t, const struct model *m)
{
	uint32_t cursor = 0, seen = 0, last = 0;
	struct conn *c;

	while ((c = conntab_next(t, &cursor))) {
		unsigned key = (unsigned)(c->cookie / 0x1000);

		assert_true(key < KEYS);
		assert_ptr_equal(m[key].conn, c);
		assert_true(conntab_index(t, c) > last);
		last = conntab_index(t, c);
		seen++;
	}
	assert_int_equal(seen, conntab_count(t));
}

static void test_against_model(void **state)
{
	struct model *m = calloc(KEYS, sizeof(*m));
	struct conntab *t = conntab_new(KEYS);
	uint64_t x = 88172645463325252;
	uint32_t count = 0;

	for (unsigned i = 0; i < WALK; i++) {
		/* the table fills, then drains, then fills */
		bool filling = i / (WALK / 4) % 2 == 0;
		unsigned key = (unsigned)(next(&x) % KEYS);
		struct model *k = &m[key];

		assert_ptr_equal(conntab_find(t, cookie_of(key)), k->conn);
		if (!k->conn && (filling || next(&x) % 4 == 0)) {
			k->conn = conntab_add(t, cookie_of(key));
			assert_non_null(k->conn);
			assert_int_equal(k->conn->seen | k->conn->tuple_hash, 0);
			tuple_of(k->conn, key);
			conntab_set_tuple(t, k->conn);
			k->born = i;
			k->index = conntab_index(t, k->conn);
			assert_true(k->index > 0);
			count++;
		} else if (k->conn && (!filling || next(&x) % 4 == 0)) {
			conntab_del(t, k->conn);
			assert_null(conntab_at(t, k->index));
			k->conn = NULL;
			count--;
		}
		assert_int_equal(conntab_count(t), count);
		if (k->conn)
			assert_ptr_equal(conntab_at_const(t, k->index), k->conn);
		if (i % 64 == 0)
			check_tuple(t, m, key, next(&x));
		if (i % 20000 == 0)
			check_walk(t, m);
	}
	assert_int_equal(conntab_refused(t), 0);
	conntab_free(t);
	free(m);
}

static void test_bounds(void **state)
{
	struct conntab *t = conntab_new(2000);
	struct conn *c;

	assert_null(conntab_add(t, 0));
	for (uint64_t i = 1; i <= 2000; i++)
		assert_non_null(conntab_add(t, i));
	assert_null(conntab_add(t, 5000));
	assert_null(conntab_add(t, 5001));
	assert_int_equal(conntab_refused(t), 2);
	c = conntab_find(t, 77);
	assert_ptr_equal(conntab_add(t, 77), c); /* there already */
	assert_int_equal(conntab_count(t), 2000);
	conntab_del(t, c);
	assert_non_null(conntab_add(t, 5000));
	assert_int_equal(conntab_count(t), 2000);
	assert_null(conntab_at(t, 0));
	assert_null(conntab_at(t, UINT32_MAX));
	assert_int_equal(conntab_index(t, NULL), 0);
	conntab_free(t);
	conntab_free(NULL);
}

static void test_tuple_again(void **state)
{
	struct conntab *t = conntab_new(100);
	struct conn *a = conntab_add(t, 1), *b = conntab_add(t, 2);
	uint8_t zero[16] = { 0 };

	conntab_set_tuple(t, a);
	conntab_set_tuple(t, b);
	assert_ptr_equal(conntab_find_tuple(t, 0, zero, 0, zero, 0, NULL), b);
	assert_ptr_equal(conntab_find_tuple(t, 0, zero, 0, zero, 0, b), a);
	b->lport = 80; /* the source port came late */
	assert_ptr_equal(conntab_find_tuple(t, 0, zero, 0, zero, 0, NULL), a);
	conntab_set_tuple(t, b);
	assert_ptr_equal(conntab_find_tuple(t, 0, zero, 80, zero, 0, NULL), b);
	b->lport = 81; /* changed and never told: it must leave cleanly all the same */
	conntab_del(t, b);
	assert_null(conntab_find_tuple(t, 0, zero, 80, zero, 0, NULL));
	conntab_del(t, a);
	assert_null(conntab_find_tuple(t, 0, zero, 0, zero, 0, NULL));
	conntab_free(t);
}

static void test_delete_while_walking(void **state)
{
	struct conntab *t = conntab_new(10000);
	uint32_t cursor = 0, seen = 0;
	struct conn *c;

	for (uint64_t i = 1; i <= 5000; i++)
		conntab_add(t, i);
	while ((c = conntab_next(t, &cursor))) {
		seen++;
		conntab_del(t, c);
	}
	assert_int_equal(seen, 5000);
	assert_int_equal(conntab_count(t), 0);
	conntab_free(t);
}

static void add_steps(struct conntab *t, struct conn *c, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++) {
		struct step s = { .at = i, .kind = STEP_RETRANSMIT, .seq = i };

		conntab_step_add(t, c, &s);
	}
}

static void test_steps(void **state)
{
	struct conntab *t = conntab_new(100);
	struct conn *c = conntab_add(t, 1), *other = conntab_add(t, 2);

	assert_int_equal(c->steps_len, 0);
	for (unsigned n = 0; n < STEPS_LARGE; n++) {
		add_steps(t, c, n, n + 1);
		add_steps(t, other, n, n + 1);
		assert_int_equal(c->steps_len, n + 1);
		for (unsigned i = 0; i <= n; i++)
			assert_int_equal(conntab_step(t, c, i)->seq, i);
	}
	assert_null(c->end);
	add_steps(t, c, STEPS_LARGE, 1000);
	assert_int_equal(c->steps_len, STEPS_LARGE);
	assert_int_equal(conn_end(c)->steps_dropped, 1000 - STEPS_LARGE);
	for (unsigned i = 0; i < STEPS_LARGE; i++)
		assert_int_equal(conntab_step(t, c, i)->seq,
				 i < STEPS_KEEP ? i : 1000 - STEPS_LARGE + i);
	add_steps(t, c, 1000, 70000);
	assert_int_equal(conn_end(c)->steps_dropped, UINT16_MAX); /* counted as far as it can */
	assert_int_equal(other->steps_len, STEPS_LARGE);
	assert_int_equal(conntab_step(t, other, STEPS_LARGE - 1)->seq, STEPS_LARGE - 1);
	conntab_free(t);
}

/* Ten rounds of fifty thousand connections with long timelines must not hold ten times the
 * memory of one, and an empty table must hold next to none. */
static void test_memory_comes_back(void **state)
{
	struct conntab *t = conntab_new(100000);
	uint64_t empty = conntab_bytes(t), peak = 0;

	for (unsigned round = 0; round < 10; round++) {
		for (uint64_t i = 1; i <= 50000; i++)
			add_steps(t, conntab_add(t, i + round), 0, STEPS_MEDIUM + 1);
		if (!round)
			peak = conntab_bytes(t);
		assert_int_equal(conntab_bytes(t), peak);
		for (uint64_t i = 1; i <= 50000; i++)
			conntab_del(t, conntab_find(t, i + round));
	}
	assert_true(peak > 50000ull * (sizeof(struct conn) + STEPS_LARGE * sizeof(struct step)));
	assert_true(conntab_bytes(t) < peak / 10);
	assert_true(empty < 100000);
	conntab_free(t);
}

/* Zeros to read as long as there is none; one and the same from then on; gone with its conn. */
static void test_end(void **state)
{
	struct conntab *t = conntab_new(10);
	struct conn *c = conntab_add(t, 1), *o = conntab_add(t, 2);
	struct conn_end *end;

	assert_null(c->end);
	assert_memory_equal(conn_end(c), &conn_end_none, sizeof(conn_end_none));
	end = conntab_end(t, c);
	assert_memory_equal(end, &conn_end_none, sizeof(conn_end_none));
	end->end_ns = 5;
	assert_ptr_equal(conntab_end(t, c), end);
	assert_ptr_equal(conn_end(c), end);
	assert_ptr_not_equal(conntab_end(t, o), end);
	conntab_del(t, c);
	c = conntab_add(t, 3);
	assert_null(c->end);
	assert_int_equal(conntab_end(t, c)->end_ns, 0);
	conntab_free(t);
}

/* The other end's cookie is told while that lives and, once it was kept, afterwards. */
static void test_peer_cookie(void **state)
{
	struct conntab *t = conntab_new(10);
	struct conn *c = conntab_add(t, 1), *o = conntab_add(t, 2);

	assert_int_equal(conntab_peer_cookie(t, c), 0);
	c->peer_conn = conntab_index(t, o);
	assert_int_equal(conntab_peer_cookie(t, c), 2);
	conntab_end(t, c)->peer_cookie = 2;
	c->peer_conn = 0;
	conntab_del(t, o);
	assert_int_equal(conntab_peer_cookie(t, c), 2);
	conntab_free(t);
}

/* A million that live, each with the two steps that made it ESTABLISHED. */
static void test_memory_of_a_million(void **state)
{
	const uint64_t million = 1000000, most = 300 * million;
	struct conntab *t = conntab_new(million);

	for (uint64_t i = 1; i <= million; i++) {
		struct conn *c = conntab_add(t, i);

		assert_non_null(c);
		add_steps(t, c, 0, STEPS_SMALL);
	}
	assert_true(conntab_bytes(t) < most);
	conntab_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_model),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_tuple_again),
		cmocka_unit_test(test_delete_while_walking),
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_memory_comes_back),
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_peer_cookie),
		cmocka_unit_test(test_memory_of_a_million),
	};

	return cmocka_run_group_tests_name("conntab", tests, NULL, NULL);
}
