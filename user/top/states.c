/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The states' pane: ten states in two columns, each with how many are in it, how many
 * a second come into it, and its last minute as a small curve, as high as its own
 * highest. Before anything was counted the curve is empty, and a zero is a low line.
 */
#include <stddef.h>

#include "../core/connection/words.h"
#include "top_impl.h"

enum { NAME = 1, COUNT_END = 20, RATE_END = 29, TREND = 31, LEVELS = 8 };

static const uint8_t order[2][5] = {
	{ST_LISTEN, ST_SYN_SENT, ST_SYN_RECV, ST_ESTABLISHED, ST_FIN_WAIT_1},
	{ST_FIN_WAIT_2, ST_CLOSE_WAIT, ST_LAST_ACK, ST_CLOSING, ST_TIME_WAIT},
};

static unsigned look_of(unsigned state, uint64_t count)
{
	if (!count)
		return LOOK_DIM;
	return paint_state(state) == INK_WARN ? LOOK_WARN : LOOK_PLAIN;
}

static void draw_trend(struct top *v, int y, int x, int w, unsigned state)
{
	static const char *const levels[2][LEVELS] = {
		{"_", ".", ",", "-", "~", "=", "*", "#"},
		{"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"},
	};
	unsigned columns = w > TREND_MAX ? TREND_MAX : (unsigned)w;
	uint32_t trend[TREND_MAX];

	counts_trend(v, state, columns, trend);
	for (unsigned i = 0; i < columns; i++) {
		unsigned level = trend[i] * (LEVELS - 1) / 1000;

		buf_str(&v->b, trend[i] == UINT32_MAX ? " " : levels[v->text.paint.utf8][level]);
	}
	put(v, y, x, (int)columns, LOOK_PLAIN);
}

static void draw_state(struct top *v, int y, int x, int w, unsigned state)
{
	uint64_t count = v->shown.count[state];
	unsigned look = look_of(state, count);

	buf_str(&v->b, word_state_ss(state));
	put(v, y, x + NAME, COUNT_END - NAME - 8, look);
	if (v->filter && state == ST_TIME_WAIT)
		buf_char(&v->b, '-'); /* only counted: a FILTER that came later cannot be asked of it */
	else
		buf_u64(&v->b, count);
	put_right(v, y, x + COUNT_END, look);
	counts_put_rate(&v->b, counts_rate(v, offsetof(struct moved, entered) +
						      state * sizeof(uint64_t)));
	put_right(v, y, x + RATE_END, look);
	draw_trend(v, y, x + TREND, w - TREND - 1, state);
}

void states_draw(struct top *v, const struct box *box)
{
	int half = box->w / 2;

	for (int column = 0; column < 2; column++) {
		int x = box->x + column * half;

		buf_str(&v->b, "STATE");
		put(v, box->y, x + NAME, half, LOOK_BOLD);
		buf_str(&v->b, "SOCKETS");
		put_right(v, box->y, x + COUNT_END, LOOK_BOLD);
		buf_str(&v->b, "IN/S");
		put_right(v, box->y, x + RATE_END, LOOK_BOLD);
		buf_str(&v->b, "A MINUTE");
		put(v, box->y, x + TREND, half - TREND, LOOK_BOLD);
		for (int i = 0; i < 5; i++)
			draw_state(v, box->y + 1 + i, x, half, order[column][i]);
	}
}
