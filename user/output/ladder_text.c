/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Draws a ladder (core/ladder.h) in 80 columns: seconds, the left end's state,
 * an upright, the arrows, an upright, the right end's state.
 *
 * Always holds: a solid arrow was observed, a dashed one inferred; a state in
 * parentheses was deduced. In colour these are dim, and what went wrong is red.
 */
#include "ladder_text.h"

#include <string.h>

#include "../core/ladder/ladder.h"
#include "../core/process/proc.h"
#include "../core/connection/verdict.h"
#include "../core/connection/words.h"
#include "event.h"
#include "text.h"

enum {
	TIME_END = 8,
	LEFT_END = 22,   /* left states end here, right-aligned */
	LEFT_BAR = 23,
	SHAFT = LEFT_BAR + 1,
	RIGHT_BAR = 64,
	RIGHT_STATE = 66,
	SHAFT_LEN = RIGHT_BAR - SHAFT,
	SIDE_NOTE = 82,  /* -w: notes stand beside the ladder */
	RULE_LEN = 80,
};

static void put_run(struct line *l, enum glyph g, int n)
{
	l->extra += paint_run(l->paint, l->b, g, n);
}

/* Eight columns: as many decimals as fit, so that microseconds show for the first 100 s. */
static void put_time(struct line *l, uint64_t ns)
{
	uint64_t us = ns / 1000, s = us / 1000000;
	int decimals = s < 10 ? 6 : s < 100 ? 5 : s < 1000 ? 4 : s < 10000 ? 3 : s < 100000 ? 2 : 0;
	uint64_t rest = us % 1000000;
	size_t from = l->b->len;
	char d[6];

	buf_u64(l->b, s);
	if (decimals) {
		for (int i = 6; i-- > 0; rest /= 10)
			d[i] = (char)('0' + rest % 10);
		buf_char(l->b, '.');
		buf_put(l->b, d, (size_t)decimals);
	}
	line_right(l, from, TIME_END);
}

static void put_state_name(struct line *l, unsigned state, bool known)
{
	bool parentheses = !known && !l->paint->color;

	if (parentheses)
		buf_char(l->b, '(');
	line_word(l, known ? INK_NONE : INK_DIM, word_state_rfc(state));
	if (parentheses)
		buf_char(l->b, ')');
}

static void put_left(struct line *l, const struct ladder_row *r)
{
	int len = 0;

	if (!r->no_time || r->dir == LADDER_CROSS)
		put_time(l, r->at_ns);
	if (r->left_state) {
		len = (int)strlen(word_state_rfc(r->left_state)) +
		      (!r->left_known && !l->paint->color ? 2 : 0);
		line_to(l, LEFT_END - len);
		put_state_name(l, r->left_state, r->left_known);
	}
	line_to(l, LEFT_BAR);
}

static void put_right(struct line *l, const struct ladder_row *r)
{
	if (!r->right_state)
		return;
	line_to(l, RIGHT_STATE);
	put_state_name(l, r->right_state, r->right_known);
}

/* --- the middle of a row -------------------------------------------------------- */

static enum ink arrow_ink(const struct ladder_row *r)
{
	if (!strncmp(r->label, "RST", 3))
		return INK_BAD;
	if (r->lost || strstr(r->label, "again") || strstr(r->label, "probe"))
		return INK_WARN;
	return r->dashed ? INK_DIM : INK_NONE;
}

static void put_label(struct line *l, const char *s)
{
	buf_char(l->b, ' ');
	buf_str(l->b, s);
	buf_char(l->b, ' ');
}

static void draw_arrow(struct line *l, const struct ladder_row *r)
{
	bool right = r->dir == LADDER_RIGHT;
	enum glyph shaft = r->dashed ? GL_DASH : GL_H;
	int rest = SHAFT_LEN - 1 - (int)strlen(r->label) - 2;
	int before = rest > 0 ? rest / 2 : 0, after = rest > 0 ? rest - before : 0;
	enum ink ink = arrow_ink(r);

	line_ink(l, ink);
	if (!right) {
		if (r->lost)
			buf_char(l->b, '?');
		else
			line_glyph(l, r->dashed ? GL_WEAK_LEFT : GL_HEAD_LEFT);
	}
	put_run(l, shaft, before);
	put_label(l, r->label);
	put_run(l, shaft, after);
	if (right) {
		if (r->lost)
			buf_char(l->b, '?');
		else
			line_glyph(l, r->dashed ? GL_WEAK_RIGHT : GL_HEAD_RIGHT);
	}
	if (ink)
		line_ink(l, INK_NONE);
}

/* Both labels on the way, then the strokes have passed each other. */
static void draw_cross(struct line *l, const struct ladder_row *r)
{
	const int half = SHAFT_LEN / 2 - 1;
	int fill = half - (int)strlen(r->label) - 1;

	buf_char(l->b, ' ');
	buf_str(l->b, r->label);
	put_run(l, GL_H, fill);
	line_glyph(l, GL_DOWN);
	line_glyph(l, GL_UP);
	fill = half - (int)strlen(r->note) - 1;
	put_run(l, GL_H, fill);
	buf_str(l->b, r->note);
	buf_char(l->b, ' ');
}

static void draw_crossed(struct line *l, const struct ladder_row *r)
{
	const int half = SHAFT_LEN / 2 - 1;

	line_glyph(l, GL_HEAD_LEFT);
	put_run(l, GL_H, half - 1);
	line_glyph(l, GL_UP);
	line_glyph(l, GL_DOWN);
	put_run(l, GL_H, half - 1);
	line_glyph(l, GL_HEAD_RIGHT);
}

static void put_directed(struct line *l, const char *s)
{
	for (; *s; s++) {
		if (*s == '>')
			line_glyph(l, GL_OUT);
		else if (*s == '<')
			line_glyph(l, GL_IN);
		else
			buf_char(l->b, *s);
	}
}

static void draw_span(struct line *l, const struct ladder_row *r)
{
	line_to(l, SHAFT + (SHAFT_LEN - (int)strlen(r->label)) / 2);
	put_directed(l, r->label);
}

static void draw_note(struct line *l, const struct ladder_row *r)
{
	int len = (int)strlen(r->note);

	if (!len)
		return;
	if (r->side == LADDER_AT_MIDDLE)
		line_to(l, SHAFT + (SHAFT_LEN - len) / 2);
	else if (r->side == LADDER_AT_RIGHT)
		line_to(l, RIGHT_BAR - 1 - len);
	else
		line_to(l, SHAFT + 1);
	line_str(l, r->note);
}

typedef void (*draw_fn)(struct line *l, const struct ladder_row *r);

static const draw_fn draw[] = {
	[LADDER_TEXT] = draw_note,   [LADDER_RIGHT] = draw_arrow,     [LADDER_LEFT] = draw_arrow,
	[LADDER_CROSS] = draw_cross, [LADDER_CROSSED] = draw_crossed, [LADDER_SPAN] = draw_span,
};

static void put_row(const struct text *t, struct buf *b, const struct ladder_row *r,
		    const char *beside)
{
	enum glyph bar = r->dir == LADDER_SPAN ? GL_GAP : GL_V;
	struct line l;

	line_begin(&l, t, b);
	put_left(&l, r);
	line_glyph(&l, bar);
	draw[r->dir](&l, r);
	if (line_col(&l) < RIGHT_BAR)
		line_to(&l, RIGHT_BAR);
	line_glyph(&l, bar);
	put_right(&l, r);
	if (*beside) {
		line_to(&l, SIDE_NOTE);
		line_str(&l, beside);
	}
	line_end(&l);
}

static void put_side_heading(struct line *l, const struct ladder *la, bool left)
{
	const struct ladder_end *e = left ? la->left : la->right;
	const char *name = left ? "CLIENT" : "SERVER";

	if (!la->roles_known)
		name = e ? "THIS END" : "PEER";
	if (left)
		line_to(l, LEFT_BAR + 1 - (int)strlen(name));
	line_str(l, name);
}

void ladder_text_rows(const struct text *t, struct buf *b, const struct ladder *la)
{
	struct line l;

	line_begin(&l, t, b);
	line_ink(&l, INK_BOLD);
	line_str(&l, " seconds");
	put_side_heading(&l, la, true);
	line_to(&l, RIGHT_BAR);
	put_side_heading(&l, la, false);
	line_ink(&l, INK_NONE);
	line_end(&l);
	for (unsigned i = 0; i < la->len; i++) {
		const struct ladder_row *r = &la->rows[i];
		bool stands_beside = t->wide && r->dir == LADDER_TEXT && *r->note &&
				     !r->left_state && !r->right_state && i + 1 < la->len &&
				     (r + 1)->at_ns == r->at_ns && (r + 1)->dir != LADDER_CROSS;

		if (stands_beside && (r + 1)->dir != LADDER_TEXT) {
			put_row(t, b, r + 1, r->note);
			i++;
		} else {
			put_row(t, b, r, "");
		}
	}
	if (la->dropped)
		buf_printf(b, "%*s... %u rows left out\n", LEFT_BAR + 1, "", la->dropped);
}

/* --- the heading ------------------------------------------------------------------ */

static void put_rule(const struct text *t, struct buf *b, uint64_t start_ns)
{
	struct line l;

	line_begin(&l, t, b);
	line_ink(&l, INK_DIM);
	put_run(&l, GL_H, 2);
	buf_char(b, ' ');
	buf_clock(b, session_realtime(t->s, start_ns));
	buf_char(b, ' ');
	put_run(&l, GL_H, RULE_LEN - line_col(&l));
	line_ink(&l, INK_NONE);
	line_end(&l);
}

static void put_end(const struct text *t, struct line *l, const struct ladder_end *e,
		    const struct ladder_end *other)
{
	line_ink(l, INK_BOLD);
	if (e)
		text_endpoint(t, l, e->conn.local, e->conn.lport);
	else
		text_endpoint(t, l, other->conn.peer, other->conn.pport);
	line_ink(l, INK_NONE);
	if (!e)
		return;
	buf_char(l->b, ' ');
	text_proc(t, l, e->conn.owner);
}

/* Which end's verdict says more: one that knows a reason, then the one that closed first, since
 * it names the call. */
static unsigned tells(const struct verdict *v)
{
	bool reason = v->end_reason != END_FIN && v->end_reason != END_RESET &&
		      v->end_reason != END_UNKNOWN;

	return 2 * reason + (v->initiator == INIT_LOCAL);
}

static const struct ladder_end *telling_end(const struct ladder *la, struct verdict *v)
{
	const struct ladder_end *ends[] = {la->left, la->right};
	const struct ladder_end *best = NULL;

	for (unsigned i = 0; i < 2; i++) {
		struct verdict mine;

		if (!ends[i])
			continue;
		verdict_of(&ends[i]->conn, &mine);
		if (best && tells(&mine) <= tells(v))
			continue;
		best = ends[i];
		*v = mine;
	}
	return best;
}

static void put_options(struct line *l, const struct conn *c)
{
	static const struct {
		uint8_t flag;
		const char *name;
	} options[] = {
		{TOPT_SACK, " sack"}, {TOPT_TIMESTAMPS, " timestamps"}, {TOPT_ECN, " ecn"},
		{TOPT_FASTOPEN | TOPT_FASTOPEN_CHILD, " fast-open"},
	};

	if (!c->mss)
		return;
	line_str(l, "  mss ");
	buf_u64(l->b, c->mss);
	if (c->tcp_options & TOPT_WSCALE) {
		line_str(l, " wscale ");
		buf_u64(l->b, c->snd_wscale);
		buf_char(l->b, ',');
		buf_u64(l->b, c->rcv_wscale);
	}
	for (unsigned i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (c->tcp_options & options[i].flag)
			line_str(l, options[i].name);
}

static void put_figures(const struct text *t, struct line *l, const struct conn *c,
			const struct verdict *v)
{
	unsigned again = text_retransmits(c);
	bool open = v->teardown == TD_OPEN && t->s, unseen = !open && !conn_end(c)->end_ns;
	uint64_t end = open ? pipeline_now(t->s->p) : unseen ? c->state_ns : conn_end(c)->end_ns;

	line_ink(l, INK_DIM);
	if (!(c->seen & SEEN_START) || unseen)
		line_glyph(l, GL_AT_LEAST);
	buf_duration(l->b, end > c->start_ns ? end - c->start_ns : 0);
	if (v->handshake_ns >= 0) {
		line_str(l, "  handshake ");
		buf_duration(l->b, (uint64_t)v->handshake_ns);
	}
	if (again) {
		line_str(l, "  retransmits ");
		buf_u64(l->b, again);
	}
	put_options(l, c);
	line_ink(l, INK_NONE);
	if (c->incomplete)
		line_word(l, INK_BAD, "  incomplete: events were lost");
	line_end(l);
}

void ladder_text(const struct text *t, struct buf *b, const struct ladder *la)
{
	struct verdict v;
	const struct ladder_end *e = telling_end(la, &v);
	struct line l;

	put_rule(t, b, la->start_ns);
	line_begin(&l, t, b);
	put_end(t, &l, la->left, la->right);
	buf_char(b, ' ');
	line_glyph(&l, la->roles_known ? GL_OUT : GL_BETWEEN);
	buf_char(b, ' ');
	put_end(t, &l, la->right, la->left);
	line_end(&l);
	line_begin(&l, t, b);
	text_sentence(t, &l, &e->conn, &v, false);
	line_end(&l);
	line_begin(&l, t, b);
	put_figures(t, &l, &e->conn, &v);
	ladder_text_rows(t, b, la);
	buf_char(b, '\n');
}
