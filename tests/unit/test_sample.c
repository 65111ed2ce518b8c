/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which connections --sample keeps: both ends agree, there are as many as were asked for,
 * and they are the same ones tomorrow.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "filter/sample.h"

enum { CLIENTS = 250, PORTS = 400 };

static void v4(uint8_t out[16], uint8_t last)
{
	const uint8_t mapped[16] = { [10] = 0xff, 0xff, 10, 0, 0, last };

	memcpy(out, mapped, 16);
}

static unsigned kept(uint64_t rate)
{
	uint8_t client[16], server[16];
	unsigned n = 0;

	v4(server, 1);
	for (unsigned c = 0; c < CLIENTS; c++)
		for (unsigned p = 0; p < PORTS; p++) {
			bool a, b;

			v4(client, (uint8_t)(2 + c));
			a = sample_keeps(rate, client, (uint16_t)(32768 + p), server, 443);
			b = sample_keeps(rate, server, 443, client, (uint16_t)(32768 + p));
			assert_true(a == b);
			n += a;
		}
	return n;
}

/* Neighbouring ports and addresses are what real ones are: within 5 % of what a coin gives. */
static void test_share(void **state)
{
	const unsigned all = CLIENTS * PORTS;
	const unsigned rates[] = { 2, 3, 10, 16, 100 };

	assert_int_equal(kept(0), all);
	assert_int_equal(kept(1), all);
	for (unsigned i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		unsigned want = all / rates[i], slack = want / 20 + 60;

		assert_in_range(kept(rates[i]), want - slack, want + slack);
	}
}

static void test_same_end_twice(void **state)
{
	uint8_t a[16];

	v4(a, 1); /* a connection to itself is no exception */
	assert_true(sample_keeps(7, a, 5, a, 5) == sample_keeps(7, a, 5, a, 5));
}

/* What is kept today is kept tomorrow, and by every version: fixed points. */
static void test_stable(void **state)
{
	uint8_t a[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 }, b[16] = { 0x20, 0x01, 0x0d, 0xb8 };
	uint16_t first = 0;

	b[15] = 2;
	while (!sample_keeps(1000, a, ++first, b, 443) && first < 65535)
		;
	assert_int_equal(first, 290);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_share),
		cmocka_unit_test(test_same_end_twice),
		cmocka_unit_test(test_stable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
