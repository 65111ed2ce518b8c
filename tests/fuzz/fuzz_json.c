/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON writer with members of any kind, values of any bytes, nested anyhow: what
 * comes out is JSON.
 */
#include <stdint.h>
#include <stdlib.h>

#include "json_check.h"
#include "write/jsonw.h"

enum { DEPTH = 32 };

struct input {
	const uint8_t *at, *end;
};

static uint8_t take(struct input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

static uint64_t take_u64(struct input *in)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | take(in);
	return v;
}

static void take_text(struct input *in, char out[64])
{
	size_t n = take(in) % 63;

	memset(out, 0, 64);
	if (n > (size_t)(in->end - in->at))
		n = (size_t)(in->end - in->at);
	memcpy(out, in->at, n);
	in->at += n;
}

static void member(struct jsonw *w, struct input *in, const char *key, unsigned kind)
{
	char text[64];

	switch (kind) {
	case 0:
		json_u64(w, key, take_u64(in));
		break;
	case 1:
		json_i64(w, key, (int64_t)take_u64(in));
		break;
	case 2:
		json_bool(w, key, take(in) & 1);
		break;
	case 3:
		take_text(in, text);
		json_str(w, key, text);
		break;
	case 4:
		take_text(in, text);
		json_strn(w, key, text, take(in) % sizeof(text));
		break;
	case 5:
		json_hex(w, key, take_u64(in));
		break;
	case 6:
		/* It writes times and rates: none has more digits before the point than fit 64 bits. */
		json_double(w, key, (double)(int64_t)take_u64(in) / 1e6, take(in) % 7);
		break;
	default:
		json_word(w, key, "word");
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, data + size};
	bool array[DEPTH] = {false};
	unsigned depth = 0;
	struct buf b = {0};
	struct jsonw w;

	json_begin(&w, &b);
	while (in.at < in.end) {
		const char *key = array[depth] ? NULL : "key";
		unsigned op = take(&in) % 11;

		if (op == 8 && depth + 1 < DEPTH) {
			json_open(&w, key);
			array[++depth] = false;
		} else if (op == 9 && depth + 1 < DEPTH && key) {
			json_array(&w, key);
			array[++depth] = true;
		} else if (op == 10 && depth) {
			if (array[depth--])
				json_array_end(&w);
			else
				json_close(&w);
		} else if (key) {
			member(&w, &in, key, op);
		}
	}
	for (; depth; depth--) {
		if (array[depth])
			json_array_end(&w);
		else
			json_close(&w);
	}
	json_end(&w);
	if (!b.failed && !json_is_line(b.data, b.len))
		abort();
	buf_free(&b);
	return 0;
}
