/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An output buffer: grows by doubling up to a cap, is written out in large
 * pieces. The formatting functions below are the hot path: snprintf costs about
 * a microsecond a line, these about a tenth.
 */
#ifndef TCPTRAIL_BUF_H
#define TCPTRAIL_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	char *data;
	size_t len, cap;
	bool failed;      /* out of memory: content is cut, nothing is written past it */
};

void buf_free(struct buf *b);
/* Room for n more bytes; false and b->failed when memory is out. */
bool buf_room(struct buf *b, size_t n);

void buf_put(struct buf *b, const char *s, size_t n);
void buf_str(struct buf *b, const char *s);
void buf_char(struct buf *b, char c);
void buf_fill(struct buf *b, char c, int n);           /* n copies, none if n <= 0 */
void buf_u64(struct buf *b, uint64_t v);
void buf_i64(struct buf *b, int64_t v);
void buf_hex(struct buf *b, uint64_t v);                /* no leading zeros, no 0x */
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Pads with spaces what was written since `from` (a value of b->len) to `width` columns:
 * characters of UTF-8, colour sequences not counted. */
void buf_pad_left(struct buf *b, size_t from, int width);  /* text moves right */
void buf_pad_right(struct buf *b, size_t from, int width);

/* 16-byte address, v4-mapped as dotted quad, IPv6 by RFC 5952. */
void buf_addr(struct buf *b, const uint8_t addr[16]);
/* a.b.c.d:port, [v6]:port */
void buf_endpoint(struct buf *b, const uint8_t addr[16], uint16_t port);
/* 12ns 3.4us 1.23ms 5.67s 2m03s 1h02m 3d04h: three significant figures at most (3.40 is 3.4),
 * unit always. */
void buf_duration(struct buf *b, uint64_t ns);
/* 0 B, 512 B, 1.4 kB, 2.3 MB */
void buf_bytes(struct buf *b, uint64_t n);
/* RFC 3339 UTC with nanoseconds cut to microseconds: 2026-01-02T03:04:05.123456Z */
void buf_rfc3339(struct buf *b, uint64_t realtime_ns);
/* Local HH:MM:SS.mmm */
void buf_clock(struct buf *b, uint64_t realtime_ns);
/* Hostile bytes (comm, cgroup paths) made safe for a terminal: control bytes, invalid UTF-8
 * and marks that turn the direction of text as \xNN. Ends at a NUL or after max bytes. */
void buf_safe(struct buf *b, const char *s, size_t max);
/* ... and for CSV: what a spreadsheet would take for a formula is none. */
void buf_safe_cell(struct buf *b, const char *s, size_t max);

/* Bytes of the UTF-8 character that s (of n bytes) begins with; 0: not valid UTF-8. */
unsigned utf8_length(const char *s, size_t n);
/* C1 controls, and the marks that turn the direction of text (a file name that reads
 * backwards): valid UTF-8, but not for a terminal. */
bool utf8_deceives(const char *text, unsigned len);

/* "00" "01" .. "99": two digits at a time. */
extern const char buf_digits[201];

bool addr_is_v4(const uint8_t addr[16]);
bool addr_is_loopback(const uint8_t addr[16]); /* 127.0.0.0/8, ::1 */

#endif
