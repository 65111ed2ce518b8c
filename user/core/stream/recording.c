/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layout of a recording, read and written.
 *
 * A recording is anybody's: every size is checked against what is there before it is
 * used, and every record against a row of its type, so that behind record_next()
 * a fixed part is whole and a string ends. What an event says is checked where it is
 * decoded.
 */
#include <errno.h>
#include <string.h>

#include "event.h"
#include "recording.h"

enum { ORDER = 0x01020304, RECORD_HEAD = 8 };

#define BAD(text, field_at)                \
	do {                               \
		*what = (text);            \
		*at = (unsigned)(field_at); \
		return -EBADMSG;           \
	} while (0)

int recording_head_check(const struct recording_head *h, const char **what, unsigned *at)
{
	if (memcmp(h->magic, RECORDING_MAGIC, sizeof(h->magic)))
		BAD("not a recording", 0);
	if (h->order != ORDER)
		BAD("recorded on a host of the other byte order",
		    offsetof(struct recording_head, order));
	if (h->version != RECORDING_VERSION)
		BAD("a version of the format that this program does not know",
		    offsetof(struct recording_head, version));
	if (h->head_size != sizeof(*h))
		BAD("a head of another size", offsetof(struct recording_head, head_size));
	if (h->event_abi != EVENT_ABI || h->event_size != sizeof(struct event))
		BAD("events of another layout", offsetof(struct recording_head, event_abi));
	return 0;
}

int recording_frame_check(const struct recording_frame *f, const char **what, unsigned *at)
{
	if (f->magic != RECORDING_FRAME)
		BAD("no frame begins here", 0);
	if (!f->plain || f->plain > RECORDING_PLAIN_MAX || f->plain % 8)
		BAD("a frame of impossible size", offsetof(struct recording_frame, plain));
	/* zstd adds some bytes to what it cannot compress. */
	if (!f->packed || f->packed > f->plain + 1024)
		BAD("a frame of impossible size", offsetof(struct recording_frame, packed));
	return 0;
}

/* What a type must have: the size of its fixed part, and how many strings follow it. */
static const struct {
	uint32_t fixed;
	uint8_t strings;
} rows[REC_TYPES] = {
	[REC_EVENT] = {sizeof(struct event), 0},
	[REC_CGROUP] = {8, 1},
	[REC_META] = {0, 1},
	[REC_HOOK] = {sizeof(struct rec_hook), 3},
	[REC_REASON] = {sizeof(struct rec_reason), 1},
	[REC_BEGIN] = {sizeof(struct rec_begin), 0},
	[REC_ROUND] = {8, 0},
	[REC_INTERVAL] = {8, 0},
	[REC_STATS] = {sizeof(struct rec_stats), 0},
	[REC_ASKED] = {8, 0},
	[REC_FINISH] = {8, 0},
	[REC_GAP] = {16, 0},
	[REC_CLOSED] = {8, 0},
	[REC_STACK] = {8, 1},
};

static uint32_t strings_in(const uint8_t *s, uint32_t n)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < n; i++)
		count += !s[i];
	return count;
}

static const char *wrong_with(uint32_t type, const uint8_t *data, uint32_t size)
{
	uint32_t fixed = rows[type].fixed;

	if (size < fixed)
		return "a record that is too short for its type";
	if (type == REC_EVENT)
		return size == fixed ? NULL : "an event of another size";
	if (size > RECORDING_TEXT)
		return "a record that is too long";
	if (rows[type].strings && strings_in(data + fixed, size - fixed) != rows[type].strings)
		return "a text that does not end";
	if (rows[type].strings && data[size - 1])
		return "a text that does not end";
	if (type == REC_REASON && ((const struct rec_reason *)data)->which >= REASON_SETS)
		return "a reason of no kind";
	return NULL;
}

int record_next(struct record_reader *r, struct record *out)
{
	for (;;) {
		uint32_t left = r->size - r->at, head[2], need;
		const uint8_t *data;

		if (!left)
			return 0;
		r->what = "a record that its frame does not hold";
		if (left < RECORD_HEAD)
			return -EBADMSG;
		data = r->data + r->at + RECORD_HEAD;
		memcpy(head, r->data + r->at, sizeof(head));
		if (head[1] > left - RECORD_HEAD)
			return -EBADMSG;
		need = (head[1] + 7) & ~7u;
		if (need > left - RECORD_HEAD)
			return -EBADMSG;
		if (head[0] != REC_NONE && head[0] < REC_TYPES) {
			r->what = wrong_with(head[0], data, head[1]);
			if (r->what)
				return -EBADMSG;
			*out = (struct record){.type = head[0], .size = head[1], .data = data};
		}
		r->at += RECORD_HEAD + need;
		r->count++;
		if (head[0] != REC_NONE && head[0] < REC_TYPES)
			return 1;
	}
}

int record_meta(const char *text, const char *key, const char **value)
{
	size_t n = strlen(key);

	for (const char *line = text; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, key, n) && line[n] == '=') {
			*value = line + n + 1;
			return (int)strcspn(*value, "\n");
		}
	}
	return -1;
}

const char *record_string(const struct record *rec, uint32_t from, unsigned i)
{
	const char *s = (const char *)rec->data + from, *end = (const char *)rec->data + rec->size;

	for (; i && s < end; i--)
		s += strlen(s) + 1;
	return s < end ? s : "";
}

void recording_head_fill(struct recording_head *h)
{
	memset(h, 0, sizeof(*h));
	memcpy(h->magic, RECORDING_MAGIC, sizeof(h->magic));
	h->order = ORDER;
	h->version = RECORDING_VERSION;
	h->head_size = sizeof(*h);
	h->event_abi = EVENT_ABI;
	h->event_size = sizeof(struct event);
}

void recording_frame_fill(struct recording_frame *f, uint32_t packed, uint32_t plain,
			  uint32_t records)
{
	f->magic = RECORDING_FRAME;
	f->packed = packed;
	f->plain = plain;
	f->records = records;
}

void record_put(struct buf *frame, enum record_type type, const void *fixed, uint32_t fixed_size,
		const void *text, uint32_t text_size)
{
	uint32_t head[2] = {type, fixed_size + text_size};

	buf_put(frame, (const char *)head, sizeof(head));
	if (fixed_size)
		buf_put(frame, fixed, fixed_size);
	if (text_size)
		buf_put(frame, text, text_size);
	buf_fill(frame, '\0', (int)(-head[1] & 7));
}

uint32_t record_count(const void *plain, uint32_t size)
{
	struct record_reader r = {.data = plain, .size = size};
	struct record rec;

	while (record_next(&r, &rec) > 0)
		;
	return r.count;
}

void record_put_u64(struct buf *frame, enum record_type type, uint64_t value)
{
	record_put(frame, type, &value, sizeof(value), NULL, 0);
}
