/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes appended to memory, fast. Each function asks for its room once and then
 * writes digits directly: a line of output is a dozen of these, and at a hundred
 * thousand lines a second snprintf would cost more than the tracing.
 *
 * Always true: nothing is written past cap; after a failed allocation the content
 * is cut and `failed` stays set until buf_free() or the owner resets it. Higher
 * formats (addresses, times, units) are in format.c.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"

enum { BUF_FIRST = 512 };

/* A buffer that should grow past this is somebody's mistake, not output. */
static const size_t BUF_LIMIT = (size_t)1 << 30;

const char buf_digits[201] = "00010203040506070809101112131415161718192021222324"
			     "25262728293031323334353637383940414243444546474849"
			     "50515253545556575859606162636465666768697071727374"
			     "75767778798081828384858687888990919293949596979899";

void buf_free(struct buf *b)
{
	free(b->data);
	*b = (struct buf){ 0 };
}

static bool grow(struct buf *b, size_t n)
{
	size_t cap = b->cap ? b->cap : BUF_FIRST;
	char *data;

	if (b->failed || n > BUF_LIMIT - b->len)
		goto fail;
	while (cap - b->len < n)
		cap *= 2;
	data = realloc(b->data, cap);
	if (!data)
		goto fail;
	b->data = data;
	b->cap = cap;
	return true;
fail:
	b->failed = true;
	return false;
}

static inline bool room(struct buf *b, size_t n)
{
	return __builtin_expect(b->cap - b->len >= n, 1) || grow(b, n);
}

bool buf_room(struct buf *b, size_t n)
{
	return room(b, n);
}

void buf_put(struct buf *b, const char *s, size_t n)
{
	if (!n || !room(b, n))
		return;
	memcpy(b->data + b->len, s, n);
	b->len += n;
}

void buf_str(struct buf *b, const char *s)
{
	buf_put(b, s, strlen(s));
}

void buf_char(struct buf *b, char c)
{
	if (room(b, 1))
		b->data[b->len++] = c;
}

void buf_fill(struct buf *b, char c, int n)
{
	if (n <= 0 || !room(b, (size_t)n))
		return;
	memset(b->data + b->len, c, (size_t)n);
	b->len += (size_t)n;
}

void buf_u64(struct buf *b, uint64_t v)
{
	char tmp[20], *p = tmp + sizeof(tmp);

	while (v >= 100) {
		p -= 2;
		memcpy(p, buf_digits + v % 100 * 2, 2);
		v /= 100;
	}
	if (v >= 10) {
		p -= 2;
		memcpy(p, buf_digits + v * 2, 2);
	} else {
		*--p = (char)('0' + v);
	}
	buf_put(b, p, (size_t)(tmp + sizeof(tmp) - p));
}

void buf_i64(struct buf *b, int64_t v)
{
	if (v < 0)
		buf_char(b, '-');
	buf_u64(b, v < 0 ? -(uint64_t)v : (uint64_t)v);
}

void buf_hex(struct buf *b, uint64_t v)
{
	char tmp[16], *p = tmp + sizeof(tmp);

	do {
		*--p = "0123456789abcdef"[v & 15];
		v >>= 4;
	} while (v);
	buf_put(b, p, (size_t)(tmp + sizeof(tmp) - p));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (!room(b, 128))
		return;
	va_start(ap, fmt);
	n = vsnprintf(b->data + b->len, b->cap - b->len, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	if ((size_t)n >= b->cap - b->len) {
		if (!room(b, (size_t)n + 1))
			return;
		va_start(ap, fmt);
		vsnprintf(b->data + b->len, b->cap - b->len, fmt, ap);
		va_end(ap);
	}
	b->len += (size_t)n;
}

/* Columns of a piece of UTF-8 on a terminal: characters, without colour sequences. */
static int columns(const char *s, size_t n)
{
	int cols = 0;

	for (size_t i = 0; i < n; i++) {
		if (s[i] == '\033' && i + 1 < n && s[i + 1] == '[') {
			for (i += 2; i < n && !(s[i] >= '@' && s[i] <= '~');)
				i++;
		} else if (((unsigned char)s[i] & 0xc0) != 0x80) {
			cols++;
		}
	}
	return cols;
}

void buf_pad_left(struct buf *b, size_t from, int width)
{
	size_t n = from < b->len ? b->len - from : 0;
	int pad = width - columns(b->data + b->len - n, n);

	if (pad <= 0 || !room(b, (size_t)pad))
		return;
	memmove(b->data + b->len - n + pad, b->data + b->len - n, n);
	memset(b->data + b->len - n, ' ', (size_t)pad);
	b->len += (size_t)pad;
}

void buf_pad_right(struct buf *b, size_t from, int width)
{
	size_t n = from < b->len ? b->len - from : 0;

	buf_fill(b, ' ', width - columns(b->data + b->len - n, n));
}

/* The shortest lead byte's range of second bytes tells surrogates, overlong forms and what is
 * past U+10FFFF (Unicode 15, table 3-7). */
unsigned utf8_length(const char *str, size_t n)
{
	const unsigned char *s = (const unsigned char *)str;
	unsigned char lo = 0x80, hi = 0xbf;
	unsigned len;

	if (!n || (s[0] >= 0x80 && s[0] < 0xc2) || s[0] > 0xf4)
		return 0;
	if (s[0] < 0x80)
		return 1;
	len = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (s[0] == 0xe0)
		lo = 0xa0;
	else if (s[0] == 0xed)
		hi = 0x9f;
	else if (s[0] == 0xf0)
		lo = 0x90;
	else if (s[0] == 0xf4)
		hi = 0x8f;
	if (n < len || s[1] < lo || s[1] > hi)
		return 0;
	for (unsigned i = 2; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

bool utf8_deceives(const char *text, unsigned len)
{
	const unsigned char *s = (const unsigned char *)text;

	if (len == 2)
		return s[0] == 0xc2 && s[1] < 0xa0;
	if (len != 3 || s[0] != 0xe2)
		return false;
	return (s[1] == 0x80 && (s[2] == 0x8e || s[2] == 0x8f || (s[2] >= 0xa8 && s[2] <= 0xae))) ||
	       (s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9);
}

void buf_safe(struct buf *b, const char *s, size_t max)
{
	size_t n = strnlen(s, max);

	for (size_t i = 0; i < n;) {
		unsigned len = utf8_length(s + i, n - i);
		const unsigned char *u = (const unsigned char *)s + i;

		if (len && *u >= ' ' && *u != 0x7f && !utf8_deceives(s + i, len)) {
			buf_put(b, s + i, len);
			i += len;
			continue;
		}
		for (unsigned end = len ? len : 1; end; end--, i++) {
			char esc[4] = { '\\', 'x', "0123456789abcdef"[(unsigned char)s[i] >> 4],
					"0123456789abcdef"[s[i] & 15] };
			buf_put(b, esc, sizeof(esc));
		}
	}
}

void buf_safe_cell(struct buf *b, const char *s, size_t max)
{
	if (max && *s && strchr("=+-@", *s)) {
		buf_printf(b, "\\x%02x", *s);
		s++;
		max--;
	}
	buf_safe(b, s, max);
}
