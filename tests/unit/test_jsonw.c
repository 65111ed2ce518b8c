/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON writer: commas, nesting, numbers at their limits, and hostile strings,
 * which must come out as valid UTF-8 inside valid JSON whatever they were.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "write/jsonw.h"

static const char *done(struct jsonw *w)
{
	json_end(w);
	buf_char(w->b, '\0');
	w->b->len = 0;
	return w->b->data;
}

static void test_shape(void **state)
{
	struct buf b = {0};
	struct jsonw w;

	json_begin(&w, &b);
	assert_string_equal(done(&w), "{}\n");

	json_begin(&w, &b);
	json_open(&w, "empty");
	json_close(&w);
	json_array(&w, "none");
	json_array_end(&w);
	json_open(&w, "a");
	json_u64(&w, "x", 1);
	json_open(&w, "b");
	json_bool(&w, "t", true);
	json_bool(&w, "f", false);
	json_close(&w);
	json_i64(&w, "y", -2);
	json_close(&w);
	json_array(&w, "list");
	json_u64(&w, NULL, 1);
	json_word(&w, NULL, "two");
	json_open(&w, NULL);
	json_hex(&w, "three", 0x3f);
	json_close(&w);
	json_open(&w, NULL);
	json_close(&w);
	json_array_end(&w);
	json_double(&w, "d", 1.25, 1);
	assert_string_equal(done(&w),
			    "{\"empty\":{},\"none\":[],\"a\":{\"x\":1,\"b\":{\"t\":true,"
			    "\"f\":false},\"y\":-2},\"list\":[1,\"two\",{\"three\":\"3f\"},"
			    "{}],\"d\":1.2}\n");
	buf_free(&b);
}

static void test_limits(void **state)
{
	struct buf b = {0};
	struct jsonw w;

	json_begin(&w, &b);
	json_u64(&w, "u", UINT64_MAX);
	json_i64(&w, "i", INT64_MIN);
	json_hex(&w, "h", UINT64_MAX);
	json_hex(&w, "z", 0);
	json_double(&w, "n", NAN, 2);
	json_double(&w, "inf", INFINITY, 0);
	assert_string_equal(done(&w),
			    "{\"u\":18446744073709551615,\"i\":-9223372036854775808,"
			    "\"h\":\"ffffffffffffffff\",\"z\":\"0\",\"n\":0.00,\"inf\":0}\n");
	buf_free(&b);
}

static void test_strings(void **state)
{
	static const struct {
		const char *in;
		size_t max;
		const char *out;
	} rows[] = {
		{"", 16, ""},
		{"plain", 16, "plain"},
		{"plain", 3, "pla"},
		{"q\"b\\", 16, "q\\\"b\\\\"},
		{"\b\t\n\f\r", 16, "\\b\\t\\n\\f\\r"},
		{"\x01\x1f\x7f", 16, "\\u0001\\u001f\\u007f"},
		/* valid UTF-8, but a terminal would obey it: CSI as a C1 control, a text turner */
		{"\xc2\x9b"
		 "a\xe2\x80\xae\xe2\x81\xa6",
		 16, "\\u009ba\\u202e\\u2066"},
		{"caf\xc3\xa9\xf0\x9f\x90\xa7", 16, "caf\xc3\xa9\xf0\x9f\x90\xa7"},
		{"\xff"
		 "a\xc3",
		 16,
		 "\xef\xbf\xbd"
		 "a\xef\xbf\xbd"},
		{"\xe2\x82\xac", 2, "\xef\xbf\xbd\xef\xbf\xbd"}, /* cut by the length of comm */
		{"\xed\xa0\x80", 16, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
	};
	struct buf b = {0};
	char want[64];
	struct jsonw w;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_begin(&w, &b);
		json_strn(&w, "s", rows[i].in, rows[i].max);
		strcat(strcat(strcpy(want, "{\"s\":\""), rows[i].out), "\"}\n");
		assert_string_equal(done(&w), want);
	}
	buf_free(&b);
}

/* Every pair of bytes: the value is closed, holds no control byte, and is UTF-8. */
static void test_any_bytes(void **state)
{
	struct buf b = {0};
	struct jsonw w;

	for (unsigned v = 0; v < 65536; v++) {
		char s[3] = {(char)(v >> 8), (char)v, 'z'};

		json_begin(&w, &b);
		json_strn(&w, "s", s, sizeof(s));
		json_end(&w);
		assert_memory_equal(b.data, "{\"s\":\"", 6);
		assert_memory_equal(b.data + b.len - 3, "\"}\n", 3);
		for (size_t i = 6; i < b.len - 3;) {
			unsigned n = utf8_length(b.data + i, b.len - i);

			assert_true(n > 0);
			assert_true((unsigned char)b.data[i] >= ' ');
			assert_true(b.data[i] != '"');
			i += b.data[i] != '\\' ? n : b.data[i + 1] == 'u' ? 6 : 2;
		}
		b.len = 0;
	}
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shape),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_any_bytes),
	};

	return cmocka_run_group_tests_name("jsonw", tests, NULL, NULL);
}
