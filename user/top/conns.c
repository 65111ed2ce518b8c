/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connections' pane: the page of the order that is on the screen. A column is
 * where its heading is whatever stands beside it: what is too long is cut with a mark,
 * and Enter shows it whole.
 */
#include <stdlib.h>
#include <string.h>

#include "../core/connection/words.h"
#include "top_impl.h"

enum {
	STATE = 1,
	AGE_END = 19,
	OWNER = 20,
	OWNER_W = 15,
	OWNER_WIDE = 24, /* where there is room: */
	WIDE = 100,
	NUMBERS_W = 23, /* to the right of the ends, which have 21 columns of 80: 127.0.0.1's */
	SENT_END = -19, /* from the right edge */
	RECEIVED_END = -13,
	RTT_END = -6,
	AGAIN_END = -1,
	ENDS_FULL = 44, /* room for both ends in full */
	KIND_W = 25,
};

struct columns {
	int ends, ends_w, kind; /* kind: its column, 0 none */
};

static struct columns columns_of(const struct box *box)
{
	struct columns c = {.ends = OWNER + (box->w >= WIDE ? OWNER_WIDE : OWNER_W)};

	c.ends_w = box->w - c.ends - NUMBERS_W;
	if (c.ends_w > ENDS_FULL + KIND_W) {
		c.ends_w -= KIND_W;
		c.kind = c.ends + c.ends_w;
	}
	return c;
}

static void heading(struct top *v, const struct box *box, const struct columns *c)
{
	const struct {
		const char *name;
		int at, sort; /* at below 0: ends there, from the right edge */
	} names[] = {
		{"STATE", STATE, SORT_STATE},	    {"OWNER", OWNER, SORT_OWNER},
		{"ENDS", c->ends, SORT_PEER},	    {"SENT", SENT_END, SORT_SENT},
		{"RECVD", RECEIVED_END, SORT_RECEIVED}, {"RTT", RTT_END, SORT_RTT},
		{"RETR", AGAIN_END, SORT_RETRANSMITS},
	};
	int y = box->y + 1;

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		unsigned look = LOOK_BOLD |
				((int)v->conns.sort == names[i].sort ? LOOK_REVERSE : 0);

		buf_str(&v->b, names[i].name);
		if (names[i].at < 0)
			put_right(v, y, box->x + box->w + names[i].at, look);
		else
			put(v, y, box->x + names[i].at, 12, look);
	}
	buf_str(&v->b, "AGE");
	put_right(v, y, box->x + AGE_END,
		  LOOK_BOLD | (v->conns.sort == SORT_AGE ? LOOK_REVERSE : 0));
	if (c->kind) {
		buf_str(&v->b, "FINDING");
		put(v, y, box->x + c->kind, KIND_W,
		    LOOK_BOLD | (v->conns.sort == SORT_STUCK ? LOOK_REVERSE : 0));
	}
}

static void put_ends(struct top *v, const struct conn *c, int y, int x, int w, unsigned look)
{
	struct line l;

	line_begin(&l, &v->text, &v->b);
	if (w >= ENDS_FULL)
		text_endpoint(&v->text, &l, c->local, c->lport);
	else
		session_port(v->s, &v->b, c->lport);
	line_glyph(&l, text_role_glyph(c->role));
	text_endpoint(&v->text, &l, c->peer, c->pport);
	put(v, y, x, w - 1, look);
}

static void put_numbers(struct top *v, const struct conn *c, int y, int right, unsigned look)
{
	text_size_short(&v->b, c->bytes_sent);
	put_right(v, y, right + SENT_END, look);
	text_size_short(&v->b, c->bytes_received);
	put_right(v, y, right + RECEIVED_END, look);
	if (c->srtt_us)
		buf_duration(&v->b, (uint64_t)c->srtt_us * 1000);
	else
		buf_char(&v->b, '-');
	put_right(v, y, right + RTT_END, look);
	buf_u64(&v->b, text_retransmits(c));
	put_right(v, y, right + AGAIN_END, look);
}

static unsigned row_look(const struct conn_row *r)
{
	if (r->severity == SEV_CRITICAL)
		return LOOK_BAD;
	if (r->severity == SEV_WARNING)
		return LOOK_WARN;
	return r->copy.c.state == ST_TIME_WAIT ? LOOK_DIM : LOOK_PLAIN;
}

static void draw_row(struct top *v, const struct box *box, const struct columns *cols, int y,
		     const struct conn_row *r, bool selected)
{
	unsigned look = row_look(r) | (selected ? LOOK_REVERSE : 0);
	uint64_t now = top_now(v);
	const struct conn *c = &r->copy.c;
	struct line l;

	if (selected)
		screen_fill(v->screen, y, box->x, box->w, look);
	buf_str(&v->b, word_state_ss(c->state));
	put(v, y, box->x + STATE, AGE_END - STATE - 8, look);
	if (c->state_age_bound)
		buf_char(&v->b, '>');
	buf_duration(&v->b, now > c->state_ns ? now - c->state_ns : 0);
	put_right(v, y, box->x + AGE_END, look);
	line_begin(&l, &v->text, &v->b);
	text_proc(&v->text, &l, c->owner);
	put(v, y, box->x + OWNER, cols->ends - OWNER - 1, look);
	put_ends(v, c, y, box->x + cols->ends, cols->ends_w, look);
	put_numbers(v, c, y, box->x + box->w, look);
	if (cols->kind && r->kind) {
		buf_str(&v->b, word_finding(r->kind));
		put(v, y, box->x + cols->kind, KIND_W - 1, look);
	}
}

static void title(const struct top *v, char *out, size_t len)
{
	const struct conns_pane *p = &v->conns;
	uint32_t first = p->nrows ? p->offset + 1 : 0;
	int n = snprintf(out, len, "CONNECTIONS  %u-%u of %u, by %s%s", first, p->offset + p->nrows,
			 p->nkeys, order_name(p->sort), p->reverse ? ", reversed" : "");

	if (v->frozen_of > v->nfrozen && n > 0 && (size_t)n < len)
		snprintf(out + n, len - (size_t)n, " (of %u)", v->frozen_of);
}

void conns_draw(struct top *v, const struct box *box)
{
	struct conns_pane *p = &v->conns;
	struct columns cols = columns_of(box);
	char line[120];

	p->page = box->h > 2 ? (unsigned)box->h - 2 : 0;
	order_page(v);
	title(v, line, sizeof(line));
	put_heading(v, box, line, v->pane == PANE_CONNS);
	heading(v, box, &cols);
	for (unsigned i = 0; i < p->nrows; i++)
		draw_row(v, box, &cols, box->y + 2 + (int)i, &p->rows[i],
			 v->pane == PANE_CONNS && p->offset + i == p->selected);
	if (!p->nrows) {
		buf_str(&v->b, v->filter || v->s->o->filter ? "no connection that matches"
							    : "no connection");
		put(v, box->y + 2, box->x + 1, box->w - 1, LOOK_DIM);
	}
}

const struct conn *conns_selected(struct top *v)
{
	struct conns_pane *p = &v->conns;
	uint32_t i;

	if (!p->cookie) /* it was moved since the last picture */
		order_page(v);
	i = p->selected - p->offset;
	return i < p->nrows ? &p->rows[i].copy.c : NULL;
}

static void move_by(struct conns_pane *p, int64_t by)
{
	int64_t last = p->nkeys ? (int64_t)p->nkeys - 1 : 0, to = (int64_t)p->selected + by;

	to = to < 0 ? 0 : to > last ? last : to;
	p->selected = (uint32_t)to;
	p->cookie = 0; /* the new place's; found by the next picture */
	p->follows = to > 0;
}

void conns_key(struct top *v, int key)
{
	struct conns_pane *p = &v->conns;
	const struct conn *c;

	switch (key) {
	case KEY_IS_UP:
		move_by(p, -1);
		break;
	case KEY_IS_DOWN:
		move_by(p, 1);
		break;
	case KEY_IS_PAGE_UP:
		move_by(p, -(int64_t)p->page);
		break;
	case KEY_IS_PAGE_DOWN:
		move_by(p, p->page);
		break;
	case KEY_IS_HOME:
		move_by(p, INT32_MIN);
		break;
	case KEY_IS_END:
		move_by(p, INT32_MAX);
		break;
	case KEY_IS_ENTER:
		c = conns_selected(v);
		if (c)
			ladder_open(v, c);
		break;
	default:
		break;
	}
}
