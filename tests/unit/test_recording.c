/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layout of a recording: what is put is what is read, and each thing that can be
 * wrong is refused where it stands.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "event.h"
#include "stream/recording.h"

static void head_tells_what_is_wrong(void **state)
{
	static const struct {
		size_t at;
		unsigned told;
	} bytes[] = {
		{0, 0}, {7, 0}, {8, 8}, {11, 8}, {12, 12}, {13, 12}, {14, 14}, {16, 16}, {20, 16},
	};
	struct recording_head head;
	const char *what = NULL;
	unsigned at = 99;

	recording_head_fill(&head);
	assert_int_equal(recording_head_check(&head, &what, &at), 0);
	for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
		recording_head_fill(&head);
		((uint8_t *)&head)[bytes[i].at] ^= 0x40;
		assert_int_equal(recording_head_check(&head, &what, &at), -EBADMSG);
		assert_int_equal(at, bytes[i].told);
		assert_non_null(what);
	}
}

static void frame_sizes_are_bounded(void **state)
{
	static const struct {
		uint32_t packed, plain;
		bool good;
	} rows[] = {
		{100, 208, true}, {0, 208, false}, {100, 0, false}, {100, 207, false},
		{100, RECORDING_PLAIN_MAX, true}, {100, RECORDING_PLAIN_MAX + 8, false},
		{208 + 1024, 208, true}, {208 + 1025, 208, false}, {UINT32_MAX, 208, false},
		{100, UINT32_MAX - 7, false},
	};
	struct recording_frame f;
	const char *what;
	unsigned at;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		recording_frame_fill(&f, rows[i].packed, rows[i].plain, 1);
		assert_int_equal(recording_frame_check(&f, &what, &at),
				 rows[i].good ? 0 : -EBADMSG);
	}
	recording_frame_fill(&f, 100, 208, 1);
	f.magic++;
	assert_int_equal(recording_frame_check(&f, &what, &at), -EBADMSG);
}

static struct record_reader reader_of(const struct buf *b)
{
	return (struct record_reader){.data = (const uint8_t *)b->data, .size = (uint32_t)b->len};
}

static void what_is_put_is_read(void **state)
{
	struct event e = {.ts_ns = 7, .kind = EV_STATE, .cookie = 9};
	struct rec_reason reason = {.which = REASON_DROP, .number = 3};
	uint64_t id = 42;
	struct buf b = {0};
	struct record_reader r;
	struct record rec;

	record_put(&b, REC_EVENT, &e, sizeof(e), NULL, 0);
	record_put(&b, REC_CGROUP, &id, sizeof(id), "/a/b", 5);
	record_put(&b, REC_TYPES + 5, "unknown", 8, NULL, 0);
	record_put(&b, REC_REASON, &reason, sizeof(reason), "OLD", 4);
	record_put_u64(&b, REC_ROUND, 77);
	assert_int_equal(b.len % 8, 0);
	assert_int_equal(record_count(b.data, (uint32_t)b.len), 5);
	r = reader_of(&b);
	assert_int_equal(record_next(&r, &rec), 1);
	assert_int_equal(rec.type, REC_EVENT);
	assert_memory_equal(rec.data, &e, sizeof(e));
	assert_int_equal(record_next(&r, &rec), 1);
	assert_string_equal(record_string(&rec, 8, 0), "/a/b");
	assert_string_equal(record_string(&rec, 8, 1), "");
	assert_int_equal(record_next(&r, &rec), 1); /* the unknown one was passed over */
	assert_int_equal(rec.type, REC_REASON);
	assert_string_equal(record_string(&rec, sizeof(reason), 0), "OLD");
	assert_int_equal(record_next(&r, &rec), 1);
	assert_int_equal(*(const uint64_t *)rec.data, 77);
	assert_int_equal(record_next(&r, &rec), 0);
	assert_int_equal(r.count, 5);
	buf_free(&b);
}

/* Each is one record that a frame holds and a reader must not take. */
static void bad_records_are_refused(void **state)
{
	static const struct {
		struct rec_reason head;
		char name[4];
	} no_kind = {.head.which = REASON_SETS, .name = "abc"};
	static const char big[RECORDING_TEXT + 8];
	static const struct {
		uint32_t type, size;
		const void *data;
	} rows[] = {
		{REC_EVENT, 199, big},	    {REC_EVENT, 208, big},
		{REC_CGROUP, 7, big},	    {REC_CGROUP, 8, big},	/* no text at all */
		{REC_CGROUP, 12, "12345678abcd"},	/* a text that does not end */
		{REC_CGROUP, 12, "12345678a\0b"},	/* two of them */
		{REC_HOOK, 12, big},	    {REC_META, 0, big},
		{REC_REASON, 12, &no_kind}, {REC_BEGIN, 16, big},
		{REC_STATS, 8, big},	    {REC_ROUND, 4, big},
		{REC_STACK, 8, big},	    {REC_STACK, 12, "12345678abcd"},
		{REC_GAP, 8, big},	    {REC_META, RECORDING_TEXT + 1, big},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char copy[RECORDING_TEXT + 8] = {0};
		struct buf b = {0};
		struct record_reader r;
		struct record rec;

		memcpy(copy, rows[i].data, rows[i].data == big ? rows[i].size : 12);
		record_put(&b, rows[i].type, copy, rows[i].size, NULL, 0);
		r = reader_of(&b);
		assert_int_equal(record_next(&r, &rec), -EBADMSG);
		assert_non_null(r.what);
		buf_free(&b);
	}
}

/* A record that says it is longer than what is left, by any amount. */
static void sizes_do_not_leave_the_frame(void **state)
{
	struct buf b = {0};
	struct record rec;

	record_put_u64(&b, REC_ROUND, 1);
	for (uint64_t size = 9; size <= UINT32_MAX; size = size * 3 + 1) {
		struct record_reader r = reader_of(&b);
		uint32_t s = (uint32_t)size;

		memcpy(b.data + 4, &s, sizeof(s));
		assert_int_equal(record_next(&r, &rec), -EBADMSG);
	}
	for (uint32_t len = 1; len < 16; len++) {
		struct record_reader r = {.data = (const uint8_t *)b.data, .size = len};

		assert_int_equal(record_next(&r, &rec), -EBADMSG);
	}
	buf_free(&b);
}

static void meta_is_found_by_key(void **state)
{
	static const char text[] = "host=a b\nhostage=no\nempty=\nlast=z";
	const char *value;

	assert_int_equal(record_meta(text, "host", &value), 3);
	assert_memory_equal(value, "a b", 3);
	assert_int_equal(record_meta(text, "hostage", &value), 2);
	assert_int_equal(record_meta(text, "empty", &value), 0);
	assert_int_equal(record_meta(text, "last", &value), 1);
	assert_int_equal(record_meta(text, "las", &value), -1);
	assert_int_equal(record_meta("", "host", &value), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(head_tells_what_is_wrong),
		cmocka_unit_test(frame_sizes_are_bounded),
		cmocka_unit_test(what_is_put_is_read),
		cmocka_unit_test(bad_records_are_refused),
		cmocka_unit_test(sizes_do_not_leave_the_frame),
		cmocka_unit_test(meta_is_found_by_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
