/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ink and glyphs for the text views. Two tables, one lookup each.
 *
 * Always holds: every glyph takes exactly one column (GL_TO and the arrows of the
 * ASCII alphabet included), so that a layout is the same in both alphabets.
 * Never: an escape sequence when colour is off.
 */
#include "paint.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../core/write/buf.h"
#include "../core/connection/conn.h"
#include "../options.h"

struct str {
	const char *s;
	unsigned char len;
};

#define STR(x) {x, sizeof(x) - 1}

static const struct str inks[INK_COUNT] = {
	[INK_NONE] = STR("\033[0m"),  [INK_DIM] = STR("\033[2m"),   [INK_BOLD] = STR("\033[1m"),
	[INK_GOOD] = STR("\033[32m"), [INK_WARN] = STR("\033[33m"), [INK_BAD] = STR("\033[31m"),
};

static const struct str glyphs[GL_COUNT][2] = {
	[GL_OUT] = {STR(">"), STR("→")},
	[GL_IN] = {STR("<"), STR("←")},
	[GL_BETWEEN] = {STR("-"), STR("↔")},
	[GL_TO] = {STR(">"), STR("→")},
	[GL_H] = {STR("-"), STR("─")},
	[GL_V] = {STR("|"), STR("│")},
	[GL_DASH] = {STR("."), STR("╌")},
	[GL_HEAD_RIGHT] = {STR(">"), STR("▶")},
	[GL_HEAD_LEFT] = {STR("<"), STR("◀")},
	[GL_WEAK_RIGHT] = {STR(">"), STR("▷")},
	[GL_WEAK_LEFT] = {STR("<"), STR("◁")},
	[GL_DOWN] = {STR("\\"), STR("╲")},
	[GL_UP] = {STR("/"), STR("╱")},
	[GL_GAP] = {STR(":"), STR("┊")},
	[GL_DOT] = {STR("."), STR("·")},
	[GL_ABOUT] = {STR("~"), STR("≈")},
	[GL_AT_LEAST] = {STR(">"), STR("≥")},
	[GL_ELLIPSIS] = {STR("~"), STR("…")},
	[GL_TIMES] = {STR("x"), STR("×")},
};

static bool locale_is_utf8(void)
{
	static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *v = getenv(names[i]);

		if (v && *v)
			return strcasestr(v, "utf-8") || strcasestr(v, "utf8");
	}
	return false;
}

void paint_init(struct paint *p, const struct options *o)
{
	p->color = o && o->color;
	p->utf8 = locale_is_utf8();
}

size_t paint_ink(const struct paint *p, struct buf *b, enum ink ink)
{
	if (!p->color || ink >= INK_COUNT)
		return 0;
	buf_put(b, inks[ink].s, inks[ink].len);
	return inks[ink].len;
}

size_t paint_glyph(const struct paint *p, struct buf *b, enum glyph g)
{
	const struct str *s = &glyphs[g][p->utf8];

	buf_put(b, s->s, s->len);
	return s->len - 1u;
}

size_t paint_run(const struct paint *p, struct buf *b, enum glyph g, int n)
{
	size_t extra = 0;

	for (int i = 0; i < n; i++)
		extra += paint_glyph(p, b, g);
	return extra;
}

enum ink paint_state(unsigned state)
{
	static const unsigned char ink[ST_COUNT] = {
		[ST_ESTABLISHED] = INK_GOOD, [ST_SYN_SENT] = INK_WARN,   [ST_FIN_WAIT_1] = INK_WARN,
		[ST_FIN_WAIT_2] = INK_WARN,  [ST_CLOSE_WAIT] = INK_WARN, [ST_LAST_ACK] = INK_WARN,
		[ST_CLOSING] = INK_WARN,     [ST_TIME_WAIT] = INK_DIM,   [ST_CLOSED] = INK_DIM,
	};

	return state < ST_COUNT ? (enum ink)ink[state] : INK_NONE;
}
