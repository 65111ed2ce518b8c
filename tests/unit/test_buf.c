/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buf and format: the hand-written text against the C library's (printf,
 * inet_ntop, gmtime_r) where that has the same form, and against the interface's
 * own forms where it has not.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "write/buf.h"

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

/* What b holds, as a string; empties b. Valid until the next call on b. */
static const char *take(struct buf *b)
{
	assert_false(b->failed);
	buf_char(b, '\0');
	b->len = 0;
	return b->data;
}

static uint64_t next(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

static void test_numbers(void **state)
{
	static const uint64_t edges[] = { 0, 1, 9, 10, 99, 100, 101, 999, 1000, 4294967295,
					  4294967296, INT64_MAX, 1ull << 63, UINT64_MAX };
	struct buf b = { 0 };
	uint64_t x = 88172645463325252;
	char want[64];

	for (unsigned i = 0; i < 2000; i++) {
		uint64_t v = i < LENGTH(edges) ? edges[i] : next(&x) >> next(&x) % 64;

		snprintf(want, sizeof(want), "%llu", (unsigned long long)v);
		buf_u64(&b, v);
		assert_string_equal(take(&b), want);
		snprintf(want, sizeof(want), "%lld", (long long)v);
		buf_i64(&b, (int64_t)v);
		assert_string_equal(take(&b), want);
		snprintf(want, sizeof(want), "%llx", (unsigned long long)v);
		buf_hex(&b, v);
		assert_string_equal(take(&b), want);
	}
	buf_free(&b);
}

static void test_growth(void **state)
{
	struct buf b = { 0 };
	char big[3000];

	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	for (int i = 0; i < 1000; i++)
		buf_char(&b, 'x');
	assert_int_equal(b.len, 1000);
	buf_printf(&b, "%s|%d", big, 7);
	assert_int_equal(b.len, 1000 + sizeof(big) - 1 + 2);
	assert_memory_equal(b.data + b.len - 3, "a|7", 3);
	buf_fill(&b, '-', -1);
	buf_fill(&b, '-', 0);
	assert_int_equal(b.len, 1000 + sizeof(big) - 1 + 2);
	/* no memory could hold this: it fails, and what is there stays */
	assert_false(buf_room(&b, SIZE_MAX - 10));
	assert_true(b.failed);
	assert_memory_equal(b.data, "xxxx", 4);
	buf_free(&b);
	assert_null(b.data);
	assert_false(b.failed);
}

static void check_addr(struct buf *b, const uint8_t addr[16])
{
	char want[INET6_ADDRSTRLEN], endpoint[80];

	if (addr_is_v4(addr)) {
		inet_ntop(AF_INET, addr + 12, want, sizeof(want));
		snprintf(endpoint, sizeof(endpoint), "%s:65535", want);
	} else {
		inet_ntop(AF_INET6, addr, want, sizeof(want));
		if (strchr(want, '.')) /* the deprecated ::a.b.c.d, which RFC 5952 does not ask for */
			return;
		snprintf(endpoint, sizeof(endpoint), "[%s]:65535", want);
	}
	buf_addr(b, addr);
	assert_string_equal(take(b), want);
	buf_endpoint(b, addr, 65535);
	assert_string_equal(take(b), endpoint);
}

static void test_addresses(void **state)
{
	static const char *const texts[] = {
		"::", "::1", "2001:db8::1", "2001:db8:0:1:1:1:1:1", "2001:0:0:1::1", "1::",
		"2001:db8:0:0:1:0:0:1", "0:1:0:1:0:1:0:1", "1:0:1:0:1:0:1:0", "fe80::1:0:0:1",
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "0:0:1::", "1:2:3:4:5:6:7::", "::ffff:0:1",
		"::ffff:0.0.0.0", "::ffff:255.255.255.255", "::ffff:10.9.100.99", "64:ff9b::102:304",
	};
	struct buf b = { 0 };
	uint64_t x = 123456789;
	uint8_t addr[16];

	for (unsigned i = 0; i < LENGTH(texts); i++) {
		assert_int_equal(inet_pton(AF_INET6, texts[i], addr), 1);
		check_addr(&b, addr);
	}
	for (unsigned i = 0; i < 20000; i++) {
		for (int g = 0; g < 16; g += 2) { /* many zero groups, in all places */
			uint64_t v = next(&x);
			unsigned group = v & 3 ? 0 : (unsigned)(v >> 8 & 0xffff) >> (v >> 32 & 15);

			addr[g] = (uint8_t)(group >> 8);
			addr[g + 1] = (uint8_t)group;
		}
		check_addr(&b, addr);
		memset(addr, 0, 10);
		addr[10] = addr[11] = 0xff;
		memcpy(addr + 12, &x, 4);
		check_addr(&b, addr);
	}
	buf_addr(&b, (const uint8_t[16]){ 0x20, 0x01, 0x0d, 0xb8, [11] = 1, [15] = 1 });
	assert_string_equal(take(&b), "2001:db8::1:0:1"); /* the longest run, not the first */
	buf_free(&b);
}

static void test_durations(void **state)
{
	static const struct {
		uint64_t ns;
		const char *text;
	} rows[] = {
		{ 0, "0ns" }, { 12, "12ns" }, { 999, "999ns" }, { 1000, "1us" }, { 3400, "3.4us" },
		{ 1234, "1.23us" }, { 9994, "9.99us" }, { 9996, "10us" }, { 12345, "12.3us" },
		{ 99960, "100us" }, { 999499, "999us" }, { 999500, "1ms" }, { 1230000, "1.23ms" },
		{ 1001000, "1ms" }, { 1005000, "1.01ms" }, { 1050000, "1.05ms" },
		{ 999499999, "999ms" }, { 999500000, "1s" }, { 5670000000, "5.67s" },
		{ 59900000000, "59.9s" }, { 59960000000, "1m00s" }, { 60000000000, "1m00s" },
		{ 123000000000, "2m03s" }, { 3599400000000, "59m59s" }, { 3599600000000, "1h00m" },
		{ 3720000000000, "1h02m" }, { 86399000000000, "23h59m" }, { 86400000000000, "1d00h" },
		{ 273600000000000, "3d04h" }, { UINT64_MAX, "213503d23h" },
	};
	struct buf b = { 0 };

	for (unsigned i = 0; i < LENGTH(rows); i++) {
		buf_duration(&b, rows[i].ns);
		assert_string_equal(take(&b), rows[i].text);
	}
	buf_free(&b);
}

static void test_bytes(void **state)
{
	static const struct {
		uint64_t n;
		const char *text;
	} rows[] = {
		{ 0, "0 B" }, { 512, "512 B" }, { 999, "999 B" }, { 1000, "1.0 kB" }, { 1400, "1.4 kB" },
		{ 1449, "1.4 kB" }, { 1450, "1.5 kB" }, { 14200, "14.2 kB" }, { 99949, "99.9 kB" },
		{ 99951, "100 kB" }, { 999400, "999 kB" }, { 999999, "1.0 MB" }, { 2300000, "2.3 MB" },
		{ 1000000000, "1.0 GB" }, { UINT64_MAX, "18.4 EB" },
	};
	struct buf b = { 0 };

	for (unsigned i = 0; i < LENGTH(rows); i++) {
		buf_bytes(&b, rows[i].n);
		assert_string_equal(take(&b), rows[i].text);
	}
	buf_free(&b);
}

static void test_times(void **state)
{
	/* leap days of 2000 and 2024, and 2100, which has none */
	static const int64_t edges[] = {
		0,	    951782399,	951782400,  951868799,	951868800,   1709164800,
		1709251199, 4107542399, 4107542400, 4102444799, 18446744072,
	};
	struct buf b = { 0 };
	uint64_t x = 42;
	char want[64], date[32];

	for (unsigned i = 0; i < 20000; i++) {
		time_t t = i < LENGTH(edges) ? edges[i] : (time_t)(next(&x) % 18446744072ull);
		unsigned us = i ? (unsigned)(next(&x) % 1000000) : 999999;
		uint64_t ns = (uint64_t)t * 1000000000 + us * 1000 + 999;
		struct tm tm;

		gmtime_r(&t, &tm);
		strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
		snprintf(want, sizeof(want), "%s.%06uZ", date, us);
		buf_rfc3339(&b, ns);
		assert_string_equal(take(&b), want);
		localtime_r(&t, &tm);
		strftime(date, sizeof(date), "%H:%M:%S", &tm);
		snprintf(want, sizeof(want), "%s.%03u", date, us / 1000);
		buf_clock(&b, ns);
		assert_string_equal(take(&b), want);
	}
	buf_free(&b);
}

static void test_padding(void **state)
{
	struct buf b = { 0 };
	size_t from;

	buf_str(&b, ">");
	from = b.len;
	buf_str(&b, "ab");
	buf_pad_left(&b, from, 5);
	assert_string_equal(take(&b), ">   ab");
	buf_str(&b, "2\xe2\x86\x92");
	buf_pad_right(&b, 0, 4);
	buf_char(&b, '|');
	assert_string_equal(take(&b), "2\xe2\x86\x92  |");
	buf_str(&b, "\033[1;31mred\033[0m");
	buf_pad_left(&b, 0, 4);
	assert_string_equal(take(&b), " \033[1;31mred\033[0m");
	buf_str(&b, "toolong");
	buf_pad_left(&b, 0, 3);
	buf_pad_right(&b, 0, 3);
	assert_string_equal(take(&b), "toolong");
	buf_free(&b);
}

static void test_safe(void **state)
{
	static const struct {
		const char *in;
		size_t max;
		const char *out;
	} rows[] = {
		{ "nginx", 16, "nginx" },
		{ "a\nb\033[2J", 16, "a\\x0ab\\x1b[2J" },
		{ "caf\xc3\xa9", 16, "caf\xc3\xa9" },
		{ "caf\xc3", 16, "caf\\xc3" },
		{ "caf\xc3\xa9", 4, "caf\\xc3" },                       /* cut in the middle */
		{ "\xc0\xaf\xed\xa0\x80", 16, "\\xc0\\xaf\\xed\\xa0\\x80" }, /* overlong, surrogate */
		{ "\xf4\x90\x80\x80", 16, "\\xf4\\x90\\x80\\x80" },      /* past U+10FFFF */
		{ "\xc2\x9b" "31m", 16, "\\xc2\\x9b" "31m" },            /* C1: CSI in one character */
		{ "a\xe2\x80\xae" "cod", 16, "a\\xe2\\x80\\xae" "cod" }, /* right-to-left override */
		{ "\xf0\x9f\x90\xa7", 16, "\xf0\x9f\x90\xa7" },
		{ "\x7f", 16, "\\x7f" },
		{ "12345678901234567", 16, "1234567890123456" },
	};
	struct buf b = { 0 };

	for (unsigned i = 0; i < LENGTH(rows); i++) {
		buf_safe(&b, rows[i].in, rows[i].max);
		assert_string_equal(take(&b), rows[i].out);
	}
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),	  cmocka_unit_test(test_growth),
		cmocka_unit_test(test_addresses), cmocka_unit_test(test_durations),
		cmocka_unit_test(test_bytes),	  cmocka_unit_test(test_times),
		cmocka_unit_test(test_padding),	  cmocka_unit_test(test_safe),
	};

	return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
