/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The format of a recording: a head, then frames, each of them records. This is the
 * layout alone: bytes in, records out; compressing and files are others'.
 *
 *   head    32 bytes: magic, byte order, version, EVENT_ABI, sizeof(struct event)
 *   frame   16 bytes: magic, packed and plain size, records; then packed bytes, a
 *           zstd frame with a content checksum. Frames need nothing of each other.
 *   record  8 bytes: type, size; then so many bytes, filled up to a multiple of 8
 *
 * Integers are in the writer's byte order: that of struct event. A type that a reader
 * does not know is passed over; a known one that is too short, is not terminated or
 * holds what cannot be is refused.
 */
#ifndef TCPTRAIL_RECORDING_H
#define TCPTRAIL_RECORDING_H

#include <stddef.h>
#include <stdint.h>

#include "write/buf.h"

struct event;

#define RECORDING_MAGIC "\x89" "TTR\r\n\x1a\n" /* what a text-mode copy would break */

enum {
	RECORDING_VERSION = 1,
	RECORDING_PLAIN_MAX = 4 << 20,  /* of a frame: what a reader must be ready to hold */
	RECORDING_PLAIN = 256 << 10,    /* a writer closes a frame from here on */
	RECORDING_TEXT = 64 << 10,      /* of a record that is not an event */
};

/* Numbers are part of the format: add, never change. */
enum record_type {
	REC_NONE,
	REC_EVENT,     /* struct event, as pipeline_feed() took it */
	REC_CGROUP,    /* u64 id, path */
	REC_META,      /* text: "key=value\n" ... */
	REC_HOOK,      /* struct rec_hook, name, attach, shows */
	REC_REASON,    /* struct rec_reason, name */
	REC_BEGIN,     /* struct rec_begin: what comes before it is the preamble */
	REC_ROUND,     /* u64 now_ns: the live run had read all there was and looked at the clock */
	REC_INTERVAL,  /* u64 now_ns: the view that recorded printed again */
	REC_STATS,     /* struct rec_stats: what the source knows of itself */
	REC_ASKED,     /* u64 cookie: pipeline_next_lookup() gave it out */
	REC_FINISH,    /* u64 now_ns: pipeline_finish() */
	REC_GAP,       /* u64 now_ns, u64 count: so many events before this could not be written */
	REC_CLOSED,    /* u64: 0 the end, 1 another file goes on: nothing follows in this one */
	REC_STACK,     /* u64 id, text as core/process/stack.h has it: what an EV_STACK names */
	REC_TYPES,
};

struct recording_head {
	char magic[8];
	uint32_t order;        /* 0x01020304 */
	uint16_t version;
	uint16_t head_size;
	uint32_t event_abi;
	uint32_t event_size;
	uint64_t reserved;
};

struct recording_frame {
	uint32_t magic;        /* RECORDING_FRAME */
	uint32_t packed;       /* bytes that follow */
	uint32_t plain;        /* ... and what they unpack to */
	uint32_t records;
};

#define RECORDING_FRAME 0x46525454u /* TTRF */

struct rec_hook {
	int32_t error;
	uint8_t status;        /* enum hook_status */
	uint8_t full;
	uint8_t pad[2];
};

struct rec_reason {
	uint32_t which;        /* enum rec_reasons */
	uint32_t number;
};

enum rec_reasons { REASON_RST, REASON_DROP, REASON_SETS };

enum { BEGIN_FULL_MODE = 1, BEGIN_FILTERED = 2 };

struct rec_begin {
	uint64_t started_ns;   /* monotonic */
	uint64_t interval_ns;  /* of the view that recorded; 0: none */
	int64_t clock_offset_ns; /* realtime - monotonic */
	uint32_t flags;        /* BEGIN_*; FILTERED: the kernel left out what a filter did not want */
	uint32_t pad;
};

struct rec_stats {
	uint64_t bpf_ns, bpf_runs, wakeups, user_cpu_ns;
	uint64_t output_slow, malformed;
	uint32_t hooks_attached, hooks_missing;
	uint32_t full_mode, pad;
};

_Static_assert(sizeof(struct recording_head) == 32, "part of the format");
_Static_assert(sizeof(struct recording_frame) == 16, "part of the format");
_Static_assert(sizeof(struct rec_stats) == 64, "part of the format");

/* One record. data: aligned to 8, size bytes. Of a type with text, the text follows the fixed
 * part, and every string in it is terminated. */
struct record {
	enum record_type type;
	uint32_t size;
	const void *data;
};

/* --- reading --- */

/* 0, or -EBADMSG with what is wrong in *what (static text) and its byte in *at. */
int recording_head_check(const struct recording_head *h, const char **what, unsigned *at);
int recording_frame_check(const struct recording_frame *f, const char **what, unsigned *at);

struct record_reader {
	const uint8_t *data;   /* a frame's plain bytes, aligned to 8 */
	uint32_t size, at;
	uint32_t count;        /* passed, those that are not known too */
	const char *what;      /* of the last -EBADMSG */
};

/* 1 and *out; 0 at the end; -EBADMSG: r->what at r->at. Types that are not known are passed over. */
int record_next(struct record_reader *r, struct record *out);

/* The value of a key of REC_META's text, not terminated: its length, or -1. */
int record_meta(const char *text, const char *key, const char **value);
/* The i-th of a record's strings, counted from `from` bytes on; "" where there is none. */
const char *record_string(const struct record *rec, uint32_t from, unsigned i);

/* --- writing --- */

void recording_head_fill(struct recording_head *h);
void recording_frame_fill(struct recording_frame *f, uint32_t packed, uint32_t plain,
			  uint32_t records);
/* Appends a record to a frame's plain bytes: two parts, the second may be empty. */
void record_put(struct buf *frame, enum record_type type, const void *fixed, uint32_t fixed_size,
		const void *text, uint32_t text_size);
/* How many records these plain bytes are. */
uint32_t record_count(const void *plain, uint32_t size);
void record_put_u64(struct buf *frame, enum record_type type, uint64_t value);

#endif
