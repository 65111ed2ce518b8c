/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON without a tree: the writer holds nothing but whether a comma is due, so a
 * record costs what its bytes cost.
 *
 * Always true: what comes out is valid UTF-8 and valid JSON whatever bytes came
 * in, as long as opens and closes match. Never: a number that JSON has not (NaN).
 */
#include <string.h>

#include "jsonw.h"

/* A comma if due, the key if any, then room for `more` bytes of value. False: out of memory. */
static inline bool member(struct jsonw *w, const char *key, size_t more)
{
	size_t n = key ? strlen(key) : 0;
	struct buf *b = w->b;
	char *p;

	if (!buf_room(b, n + 4 + more))
		return false;
	p = b->data + b->len;
	if (w->comma)
		*p++ = ',';
	w->comma = true;
	if (key) {
		*p++ = '"';
		memcpy(p, key, n);
		p += n;
		*p++ = '"';
		*p++ = ':';
	}
	b->len = (size_t)(p - b->data);
	return true;
}

static inline void opener(struct jsonw *w, const char *key, char c)
{
	if (member(w, key, 1))
		buf_char(w->b, c);
	w->comma = false;
}

static inline void closer(struct jsonw *w, char c)
{
	buf_char(w->b, c);
	w->comma = true;
}

void json_begin(struct jsonw *w, struct buf *b)
{
	*w = (struct jsonw){ .b = b };
	buf_char(b, '{');
}

void json_end(struct jsonw *w)
{
	buf_put(w->b, "}\n", 2);
	w->comma = false;
}

void json_open(struct jsonw *w, const char *key)
{
	opener(w, key, '{');
}

void json_close(struct jsonw *w)
{
	closer(w, '}');
}

void json_array(struct jsonw *w, const char *key)
{
	opener(w, key, '[');
}

void json_array_end(struct jsonw *w)
{
	closer(w, ']');
}

void json_u64(struct jsonw *w, const char *key, uint64_t v)
{
	if (member(w, key, 20))
		buf_u64(w->b, v);
}

void json_i64(struct jsonw *w, const char *key, int64_t v)
{
	if (member(w, key, 20))
		buf_i64(w->b, v);
}

void json_bool(struct jsonw *w, const char *key, bool v)
{
	if (member(w, key, 5))
		buf_str(w->b, v ? "true" : "false");
}

void json_word(struct jsonw *w, const char *key, const char *s)
{
	size_t n = strlen(s);
	struct buf *b = w->b;
	char *p;

	if (!member(w, key, n + 2))
		return;
	p = b->data + b->len;
	*p++ = '"';
	memcpy(p, s, n);
	p += n;
	*p++ = '"';
	b->len = (size_t)(p - b->data);
}

void json_quote(struct jsonw *w, const char *key)
{
	if (member(w, key, 1))
		buf_char(w->b, '"');
}

void json_unquote(struct jsonw *w)
{
	buf_char(w->b, '"');
}

void json_hex(struct jsonw *w, const char *key, uint64_t v)
{
	json_quote(w, key);
	buf_hex(w->b, v);
	json_unquote(w);
}

/* RFC 8259, section 7: what must not stand bare in a string. */
static void escape(struct buf *b, unsigned char c)
{
	static const char shorts[0x20] = {
		['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r',
	};
	char out[6] = { '\\', 'u', '0', '0', "01"[c >> 4 & 1], "0123456789abcdef"[c & 15] };

	if (c == 0x7f)
		return buf_str(b, "\\u007f");
	if (c >= 0x20)
		out[1] = (char)c;
	else if (shorts[c])
		out[1] = shorts[c];
	else
		return buf_put(b, out, 6);
	buf_put(b, out, 2);
}

static inline bool plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* Two or three bytes of UTF-8, by number: the reader of a terminal shall not obey them. */
static void escape_wide(struct buf *b, const char *s, unsigned len)
{
	unsigned c = len == 2 ? s[0] & 0x1f : (s[0] & 0x0f) << 6 | (s[1] & 0x3f);

	c = c << 6 | (s[len - 1] & 0x3f);
	buf_printf(b, "\\u%04x", c);
}

void json_strn(struct jsonw *w, const char *key, const char *s, size_t max)
{
	size_t n = strnlen(s, max);
	struct buf *b = w->b;

	if (!member(w, key, n + 2))
		return;
	buf_char(b, '"');
	for (size_t i = 0; i < n;) {
		size_t run = i;
		unsigned len;

		while (run < n && plain((unsigned char)s[run]))
			run++;
		buf_put(b, s + i, run - i);
		i = run;
		if (i == n)
			break;
		len = utf8_length(s + i, n - i);
		if (len > 1 && utf8_deceives(s + i, len))
			escape_wide(b, s + i, len);
		else if (len > 1)
			buf_put(b, s + i, len);
		else if (len)
			escape(b, (unsigned char)s[i]);
		else
			buf_put(b, "\xef\xbf\xbd", 3); /* U+FFFD */
		i += len ? len : 1;
	}
	buf_char(b, '"');
}

void json_str(struct jsonw *w, const char *key, const char *s)
{
	json_strn(w, key, s, SIZE_MAX);
}

void json_double(struct jsonw *w, const char *key, double v, int decimals)
{
	if (!(v > -1e18 && v < 1e18)) /* NaN too */
		v = 0;
	if (member(w, key, 40))
		buf_printf(w->b, "%.*f", decimals, v);
}
