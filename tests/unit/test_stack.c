/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stacks beside the table of connections: told once, named by sockets, forgotten when
 * nobody names them, bounded; and the lines of a text, hostile ones too.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "process/stack.h"

static void the_same_text_is_the_same_pointer(void **state)
{
	struct stacks *s = stacks_new();

	assert_null(stacks_of(s, 5));
	assert_int_equal(stacks_set(s, 5, 1), -ENOENT);
	assert_int_equal(stacks_tell(s, 1, "a"), 0);
	assert_int_equal(stacks_tell(s, 2, "b"), 0);
	assert_int_equal(stacks_tell(s, 1, "another"), 0); /* the first one stays */
	assert_true(stacks_known(s, 1) && stacks_known(s, 2) && !stacks_known(s, 3));
	assert_int_equal(stacks_set(s, 0, 1), -ENOENT);
	assert_int_equal(stacks_set(s, 5, 1), 0);
	assert_int_equal(stacks_set(s, 6, 1), 0);
	assert_string_equal(stacks_of(s, 5), "a");
	assert_ptr_equal(stacks_of(s, 5), stacks_of(s, 6));
	assert_int_equal(stacks_set(s, 5, 2), 0);
	assert_string_equal(stacks_of(s, 5), "b");
	stacks_forget(s, 5);
	stacks_forget(s, 5);
	stacks_forget(s, 99);
	assert_null(stacks_of(s, 5));
	assert_string_equal(stacks_of(s, 6), "a");
	stacks_free(s);
}

/* Against a plain array, with numbers that collide. */
static void sockets_come_and_go(void **state)
{
	enum { SOCKETS = 3000, ROUNDS = 60000 };
	static uint8_t has[SOCKETS + 1];
	struct stacks *s = stacks_new();
	uint32_t random = 1;
	char text[2] = "a";

	memset(has, 0, sizeof(has));
	for (unsigned i = 0; i < 8; i++, text[0]++)
		assert_int_equal(stacks_tell(s, i + 1, text), 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t cookie, id;

		random = random * 1664525 + 1013904223;
		cookie = 1 + (random >> 8) % SOCKETS;
		id = random >> 29;
		has[cookie] = (uint8_t)(random & 128 ? id + 1 : 0);
		if (has[cookie])
			assert_int_equal(stacks_set(s, cookie, id + 1), 0);
		else
			stacks_forget(s, cookie);
	}
	for (uint64_t cookie = 1; cookie <= SOCKETS; cookie++) {
		const char *is = stacks_of(s, cookie);

		assert_true(has[cookie] ? is && *is == 'a' + has[cookie] - 1 : !is);
	}
	stacks_free(s);
}

static void texts_are_bounded(void **state)
{
	struct stacks *s = stacks_new();
	static char huge[STACK_TEXT + 1];

	memset(huge, 'x', STACK_TEXT);
	assert_int_equal(stacks_tell(s, 1, huge), -E2BIG);
	for (uint64_t id = 1; id <= STACKS; id++) {
		assert_int_equal(stacks_tell(s, id * 0x10001, "x"), 0);
		assert_int_equal(stacks_set(s, id, id * 0x10001), 0);
	}
	assert_int_equal(stacks_tell(s, 7, "one more"), -ENOSPC);
	assert_int_equal(stacks_set(s, STACKS + 1, 7), -ENOENT);
	for (uint64_t id = 1; id <= STACKS; id += 2)
		stacks_forget(s, id);
	assert_int_equal(stacks_tell(s, 7, "one more"), 0);
	assert_true(stacks_known(s, 7));
	for (uint64_t id = 1; id <= STACKS; id++)
		assert_int_equal(stacks_known(s, id * 0x10001), id % 2 == 0);
	for (uint64_t id = 2; id <= STACKS; id += 2)
		assert_string_equal(stacks_of(s, id), "x");
	stacks_free(s);
}

/* What a recording's next file begins with. */
static void all_can_be_told_again(void **state)
{
	struct stacks *s = stacks_new();
	uint32_t cursor = 0;
	uint64_t id = 0, seen = 0;
	const char *text;

	assert_null(stacks_next(s, &cursor, &id));
	assert_false(stacks_id(s, 5, &id));
	assert_int_equal(stacks_tell(s, 1, "a"), 0);
	assert_int_equal(stacks_tell(s, 2, "b"), 0);
	assert_int_equal(stacks_tell(s, 3, "c"), 0);
	assert_int_equal(stacks_set(s, 5, 2), 0);
	assert_true(stacks_id(s, 5, &id));
	assert_int_equal(id, 2);
	for (cursor = 0; (text = stacks_next(s, &cursor, &id)); seen |= 1u << id)
		assert_int_equal(*text, 'a' + id - 1);
	assert_int_equal(seen, 1 << 1 | 1 << 2 | 1 << 3);
	stacks_forget(s, 5);
	assert_false(stacks_id(s, 5, &id));
	stacks_free(s);
}

static void want(const char **at, uint64_t offset, const char *module, const char *function)
{
	struct stack_frame f;

	assert_true(stack_frame(at, &f));
	assert_int_equal(f.offset, offset);
	assert_int_equal(f.module_len, (int)strlen(module));
	assert_int_equal(f.function_len, (int)strlen(function));
	assert_true(!*module == !f.module);
	assert_true(!*function == !f.function);
	assert_true(!f.module || !memcmp(f.module, module, strlen(module)));
	assert_true(!f.function || !memcmp(f.function, function, strlen(function)));
}

static void frames_are_lines(void **state)
{
	const char *at = "11d5\t/bin/app\tleak_here\nffffffffff600000\t\t\n0\t/lib/x\t\n";
	const char *odd = "\n\t\nzz\ta\n12345678123456789\t\tf\tg\nab";
	struct stack_frame f;

	want(&at, 0x11d5, "/bin/app", "leak_here");
	want(&at, 0xffffffffff600000, "", "");
	want(&at, 0, "/lib/x", "");
	assert_false(stack_frame(&at, &f));
	want(&odd, 0, "", "");
	want(&odd, 0, "", "");
	want(&odd, 0, "a", "");
	want(&odd, 0x1234567812345678, "", "f");
	want(&odd, 0xab, "", "");
	assert_false(stack_frame(&odd, &f));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_text_is_the_same_pointer),
		cmocka_unit_test(sockets_come_and_go),
		cmocka_unit_test(texts_are_bounded),
		cmocka_unit_test(all_can_be_told_again),
		cmocka_unit_test(frames_are_lines),
	};

	return cmocka_run_group_tests_name("stack", tests, NULL, NULL);
}
