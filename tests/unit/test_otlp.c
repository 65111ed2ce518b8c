/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A record as OTLP: every kind of value in its place, and nothing but a refusal for what is
 * cut or damaged. Real records are held against the proto's field list in tests/fleet.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "write/otlp.h"

static const char record[] =
	"{\"schema_version\":\"1.0\",\"@timestamp\":\"2026-11-20T18:59:32.849645Z\",\"event\":{"
	"\"name\":\"tcp.finding\"},\"tcp\":{\"n\":18446744073709551615,\"rate\":0.5,\"yes\":true,"
	"\"words\":[\"a\",\"b\\\"]}\"],\"holders\":[{\"pid\":1,\"in\":{\"fd\":3}}],\"none\":[],"
	"\"empty\":{},\"finding\":{\"severity\":\"critical\",\"explanation\":\"why \\u00e9\"}}}\n";

static int convert(struct buf *out, const char *json)
{
	return otlp_from_json(out, json, strlen(json));
}

static void has(const struct buf *b, const char *what)
{
	if (!memmem(b->data, b->len, what, strlen(what)))
		fail_msg("%s\nis not in\n%.*s", what, (int)b->len, b->data);
}

static void test_values(void **state)
{
	struct buf b = { 0 };

	assert_int_equal(convert(&b, record), 0);
	assert_false(b.failed);
	has(&b, "{\"key\":\"tcp.n\",\"value\":{\"intValue\":\"18446744073709551615\"}}");
	has(&b, "{\"key\":\"tcp.rate\",\"value\":{\"doubleValue\":0.5}}");
	has(&b, "{\"key\":\"tcp.yes\",\"value\":{\"boolValue\":true}}");
	has(&b, "{\"key\":\"tcp.words\",\"value\":{\"arrayValue\":{\"values\":["
		"{\"stringValue\":\"a\"},{\"stringValue\":\"b\\\"]}\"}]}}}");
	has(&b, "{\"key\":\"tcp.holders\",\"value\":{\"arrayValue\":{\"values\":[{\"kvlistValue\":{"
		"\"values\":[{\"key\":\"pid\",\"value\":{\"intValue\":\"1\"}},{\"key\":\"in\","
		"\"value\":{\"kvlistValue\":{\"values\":[{\"key\":\"fd\",\"value\":{"
		"\"intValue\":\"3\"}}]}}}]}}]}}}");
	has(&b, "{\"key\":\"tcp.none\",\"value\":{\"arrayValue\":{\"values\":[]}}}");
	buf_free(&b);
}

static void test_own_places(void **state)
{
	struct buf b = { 0 };

	assert_int_equal(convert(&b, record), 0);
	has(&b, "\"timeUnixNano\":\"1795201172849645000\"");
	has(&b, "\"severityNumber\":17,\"severityText\":\"ERROR\"");
	has(&b, "\"eventName\":\"tcp.finding\"");
	has(&b, "\"body\":{\"stringValue\":\"why \\u00e9\"}");
	assert_null(memmem(b.data, b.len, "@timestamp", 10));
	assert_int_equal(b.data[b.len - 1], '\n');
	buf_free(&b);
}

/* Each in memory of its own length, so that a byte past it would be seen. */
static void test_cut(void **state)
{
	size_t whole = strlen(record) - 1; /* without the newline */

	for (size_t n = 0; n < whole; n++) {
		char *cut = malloc(n ? n : 1);
		struct buf b = { 0 };

		memcpy(cut, record, n);
		assert_int_equal(otlp_from_json(&b, cut, n), -EBADMSG);
		buf_free(&b);
		free(cut);
	}
}

static void test_refused(void **state)
{
	char deep[4096] = "{\"@timestamp\":\"2026-11-20T18:59:32.849645Z\",\"event\":{\"name\":"
			  "\"x\"},\"a\":";
	char wide[1024];
	const char *const wrong[] = {
		"", "[]", "null", "{}", "{\"event\":{\"name\":\"x\"}}",
		"{\"@timestamp\":\"2026-11-20T18:59:32.849645Z\"}",
		"{\"@timestamp\":\"yesterday\",\"event\":{\"name\":\"x\"}}",
		"{\"@timestamp\":7,\"event\":{\"name\":\"x\"}}", deep, wide,
	};
	size_t at = strlen(deep);

	memset(deep + at, '[', 2000);
	snprintf(wide, sizeof(wide), "{\"%0600d\":1}", 7);
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct buf b = { 0 };

		assert_int_equal(convert(&b, wrong[i]), -EBADMSG);
		buf_free(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_own_places),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
