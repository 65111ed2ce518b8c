/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open addressing against a plain array, where it is hardest: hashes that all want
 * the same few places, runs that go round the end of the table, and keys of the
 * same hash.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "table/slots.h"

enum { KEYS = 600, WALK = 300000 };

/* The owner's items: item i holds the key i - 1 while it is in the table. */
struct owner {
	struct slots slots;
	bool in[KEYS + 1];
	bool crowded; /* all hashes are one of four, at the end of the table */
};

static bool is_key(const void *owner, uint32_t index, const void *key)
{
	(void)owner;
	return index - 1 == *(const uint32_t *)key;
}

static uint32_t hash_of(const struct owner *o, uint32_t key)
{
	return o->crowded ? UINT32_MAX - 3 + key % 4 : (uint32_t)slots_mix(key + 1);
}

static uint32_t place_of(const struct owner *o, uint32_t key)
{
	return slots_find(&o->slots, hash_of(o, key), is_key, o, &key);
}

static void change(struct owner *o, uint32_t key)
{
	uint32_t place = place_of(o, key);

	assert_int_equal(o->slots.at[place].index, o->in[key + 1] ? key + 1 : 0);
	if (o->in[key + 1]) {
		slots_clear(&o->slots, place);
	} else {
		assert_true(slots_room(&o->slots));
		slots_set(&o->slots, place_of(o, key), hash_of(o, key), key + 1);
	}
	o->in[key + 1] = !o->in[key + 1];
}

static void check_all(const struct owner *o)
{
	uint32_t n = 0, held = 0;

	for (uint32_t key = 0; key < KEYS; key++) {
		uint32_t index = o->slots.at[place_of(o, key)].index;

		assert_int_equal(index, o->in[key + 1] ? key + 1 : 0);
		n += o->in[key + 1];
	}
	for (uint32_t i = 0; i <= o->slots.mask; i++)
		held += o->slots.at[i].index != 0;
	assert_int_equal(o->slots.count, n);
	assert_int_equal(held, n);
}

static void walk(bool crowded)
{
	struct owner o = {.crowded = crowded};
	uint64_t x = 88172645463325252u;

	assert_true(slots_init(&o.slots));
	for (unsigned i = 0; i < WALK; i++) {
		x = slots_mix(x + i);
		change(&o, x % KEYS);
		if (i % 10000 == 0)
			check_all(&o);
	}
	check_all(&o);
	for (uint32_t key = 0; key < KEYS; key++)
		if (o.in[key + 1])
			change(&o, key);
	check_all(&o);
	slots_free(&o.slots);
}

static void test_walk(void **state)
{
	(void)state;
	walk(false);
}

static void test_crowded(void **state)
{
	(void)state;
	walk(true);
}

/* It doubles at three quarters, and finds all that it held. */
static void test_growth(void **state)
{
	struct owner o = {0};
	uint32_t first, key = 0;

	(void)state;
	assert_true(slots_init(&o.slots));
	first = o.slots.mask;
	assert_int_equal(slots_bytes(&o.slots), (first + 1) * sizeof(struct slot));
	while (o.slots.mask == first) {
		uint32_t place;

		assert_true(slots_room(&o.slots));
		place = place_of(&o, key);
		assert_int_equal(o.slots.at[place].index, 0);
		slots_set(&o.slots, place, hash_of(&o, key), key + 1);
		key++;
	}
	assert_int_equal(o.slots.mask, first * 2 + 1);
	assert_int_equal(key, first / 4 * 3 + 1);
	for (uint32_t k = 0; k < key; k++)
		assert_int_equal(o.slots.at[place_of(&o, k)].index, k + 1);
	assert_int_equal(o.slots.at[place_of(&o, key)].index, 0);
	slots_free(&o.slots);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_crowded),
		cmocka_unit_test(test_growth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
