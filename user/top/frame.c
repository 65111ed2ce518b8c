/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where everything lies: a title, what moves, the states, what hangs, the connections,
 * and a last line for keys, messages, questions and the filter.
 *
 * Always: a screen that is too small says what it needs, and its keys still work.
 */
#include <stddef.h>
#include <string.h>

#include "../core/pipeline/pipeline.h"
#include "../core/connection/words.h"
#include "top_impl.h"

enum { STATES_H = 6, ABOVE = 2, STUCK_MIN = 4, STUCK_MAX = 14 };

/* ---- pieces --------------------------------------------------------------------------------- */

void put(struct top *v, int y, int x, int w, unsigned look)
{
	if (v->b.len && w > 0)
		screen_text(v->screen, y, x, w, v->b.data, v->b.len, look);
	v->b.len = 0;
	v->b.failed = false;
}

void put_right(struct top *v, int y, int end, unsigned look)
{
	int w = screen_columns(v->screen, v->b.data, v->b.len);

	put(v, y, end - w, w, look);
}

int put_wrapped(struct top *v, const struct box *box, int line, int indent)
{
	size_t at = 0, len = v->b.len;
	int x = 0;

	for (size_t i = 0; i <= len && line < box->h; i++) {
		int w;

		if (i < len && v->b.data[i] != ' ')
			continue;
		w = screen_columns(v->screen, v->b.data + at, i - at);
		if (x && x + 1 + w > box->w) {
			line++;
			x = indent;
		} else if (x) {
			x++;
		}
		if (line < box->h)
			x += screen_text(v->screen, box->y + line, box->x + x, box->w - x,
					 v->b.data + at, i - at, LOOK_PLAIN);
		at = i + 1;
	}
	v->b.len = 0;
	return line + 1;
}

void put_scrolled(struct top *v, const struct box *box)
{
	unsigned lines = 0;
	size_t at = 0;

	for (size_t i = 0; i < v->b.len; i++)
		lines += v->b.data[i] == '\n';
	v->scroll_max = lines > (unsigned)box->h ? lines - (unsigned)box->h : 0;
	if (v->scroll > v->scroll_max)
		v->scroll = v->scroll_max;
	for (unsigned n = 0; at < v->b.len; n++) {
		const char *end = memchr(v->b.data + at, '\n', v->b.len - at);
		size_t len = end ? (size_t)(end - v->b.data) - at : v->b.len - at;

		if (n >= v->scroll && n - v->scroll < (unsigned)box->h)
			screen_text(v->screen, box->y + (int)(n - v->scroll), box->x, box->w,
				    v->b.data + at, len, LOOK_PLAIN);
		at += len + 1;
	}
	v->b.len = 0;
}

void put_heading(struct top *v, const struct box *box, const char *title, bool active)
{
	unsigned look = active ? LOOK_BOLD : LOOK_PLAIN;
	int x;

	paint_run(&v->text.paint, &v->b, GL_H, 1);
	buf_char(&v->b, ' ');
	buf_str(&v->b, title);
	buf_char(&v->b, ' ');
	x = screen_columns(v->screen, v->b.data, v->b.len);
	put(v, box->y, box->x, box->w, look);
	paint_run(&v->text.paint, &v->b, GL_H, box->w - x);
	put(v, box->y, box->x + x, box->w - x, look);
}

void say(struct top *v, bool bad, const char *what)
{
	snprintf(v->message.text, sizeof(v->message.text), "%s", what);
	v->message.bad = bad;
	v->message.at_ns = top_clock();
}

/* ---- the first two lines ----------------------------------------------------------------------- */

static const char *mode_of(const struct top *v)
{
	const struct source *src = v->s->source;

	if (v->s->over)
		return "recording, at its end";
	if (src->replay)
		return "recording";
	return src->full_mode ? "live, full mode" : "live, base mode";
}

static void draw_title(struct top *v, int w)
{
	screen_fill(v->screen, 0, 0, w, LOOK_REVERSE);
	buf_str(&v->b, " tcptrail top  ");
	buf_str(&v->b, mode_of(v));
	if (v->paused)
		buf_str(&v->b, "  PAUSED");
	if (v->s->o->filter)
		buf_str(&v->b, "  as asked for on the command line");
	if (v->filter_text[0] && !v->prompt.open) {
		buf_str(&v->b, "  filter: ");
		buf_safe(&v->b, v->filter_text, sizeof(v->filter_text));
	}
	put(v, 0, 0, w - 10, LOOK_REVERSE);
	buf_clock(&v->b, session_realtime(v->s, top_now(v)));
	if (v->b.len > 4)
		v->b.len -= 4; /* no milliseconds */
	put_right(v, 0, w - 1, LOOK_REVERSE);
}

static void put_moved(struct top *v, const char *name, size_t offset)
{
	buf_str(&v->b, name);
	counts_put_rate(&v->b, counts_rate(v, offset));
	buf_str(&v->b, "/s  ");
}

static void draw_moved(struct top *v, int w)
{
	const struct stats *st = pipeline_stats(v->s->p);
	uint64_t lost = 0;
	struct line l;

	line_begin(&l, &v->text, &v->b);
	put_moved(v, " opened ", offsetof(struct moved, opened));
	put_moved(v, "ended ", offsetof(struct moved, ended));
	put_moved(v, "retransmits ", offsetof(struct moved, retransmits));
	put_moved(v, "resets ", offsetof(struct moved, resets));
	text_size(&v->b, st->events - st->by_kind[EV_TICK]);
	line_str(&l, " events");
	for (unsigned i = 0; i < LOSS_REASONS; i++)
		lost += i == LOSS_OUTPUT_SLOW ? 0 : st->lost[i];
	if (lost) {
		line_ink(&l, INK_BAD);
		line_str(&l, ", lost ");
		text_size(&v->b, lost);
		line_ink(&l, INK_NONE);
	} else {
		line_str(&l, ", nothing lost");
	}
	put(v, 1, 0, w, LOOK_PLAIN);
}

/* ---- the last line -------------------------------------------------------------------------------- */

static void put_question(struct top *v)
{
	struct line l;

	line_begin(&l, &v->text, &v->b);
	line_str(&l, "close ");
	stuck_put_socket(&v->text, &l, &v->victim, findings_of(v, v->victim.cookie));
	line_str(&l, "? ");
}

static void draw_question(struct top *v, int y, int w, int *cursor)
{
	static const char answers[] = " y closes, any other key does not";

	screen_fill(v->screen, y, 0, w, LOOK_REVERSE | LOOK_WARN);
	put_question(v);
	put(v, y, 0, w - (int)sizeof(answers), LOOK_REVERSE | LOOK_WARN);
	buf_str(&v->b, answers);
	*cursor = w - 1;
	put_right(v, y, w - 1, LOOK_REVERSE | LOOK_WARN);
}

/* The keys, those first that lead to the others and out, as many as there is room for. */
static void draw_keys(struct top *v, int y, int w)
{
	static const char *const panes[] = {"? help",	 "q quit",   "Enter ladder",
					    "Tab pane",	 "/ filter", "s sort",
					    "r reverse", "p pause",  NULL};
	static const char *const over[] = {"? help",	     "q quit",	"Esc back",
					   "up/down scroll", "p pause", NULL};

	for (const char *const *key = v->over ? over : panes; *key; key++) {
		if ((int)(v->b.len + strlen(*key)) > w)
			break;
		buf_str(&v->b, *key);
		buf_str(&v->b, "  ");
	}
	if (v->s->o->allow_kill && (int)(v->b.len + strlen("k close")) <= w)
		buf_str(&v->b, "k close");
	put(v, y, 0, w, LOOK_DIM);
}

static void draw_last(struct top *v, int *cursor_y, int *cursor_x)
{
	int y = screen_rows(v->screen) - 1, w = screen_cols(v->screen);
	bool fresh = top_clock() - v->message.at_ns < MESSAGE_S * 1000000000ull;

	*cursor_y = -1;
	if (v->killing) {
		draw_question(v, y, w, cursor_x);
		*cursor_y = y;
		return;
	}
	if (v->prompt.open) {
		prompt_draw(v, y, cursor_x);
		*cursor_y = y;
		return;
	}
	if (v->message.text[0] && fresh) {
		buf_str(&v->b, v->message.text);
		put(v, y, 0, w, v->message.bad ? LOOK_BAD : LOOK_BOLD);
		return;
	}
	draw_keys(v, y, w);
}

/* ---- the picture ------------------------------------------------------------------------------------ */

static void draw_panes(struct top *v, int w, int h)
{
	struct box states = {ABOVE, 0, STATES_H, w}, stuck = {ABOVE + STATES_H, 0, 2, w}, conns;
	int rest = h - ABOVE - STATES_H - 1;

	if (v->stuck.report.ngroups) {
		stuck.h = rest / 3;
		stuck.h = stuck.h < STUCK_MIN ? STUCK_MIN : stuck.h;
		stuck.h = stuck.h > STUCK_MAX ? STUCK_MAX : stuck.h;
	}
	conns = (struct box){stuck.y + stuck.h, 0, rest - stuck.h, w};
	states_draw(v, &states);
	findings_draw(v, &stuck);
	conns_draw(v, &conns);
}

static void draw_small(struct top *v, int w)
{
	buf_printf(&v->b, "tcptrail top needs %dx%d, this is %dx%d", COLS_MIN, ROWS_MIN, w,
		   screen_rows(v->screen));
	put(v, 0, 0, w, LOOK_PLAIN);
	buf_str(&v->b, "q quit");
	put(v, 1, 0, w, LOOK_DIM);
}

static void (*const overlays[])(struct top *v, const struct box *box) = {
	[OVER_LADDER] = ladder_draw,
	[OVER_FINDING] = findings_detail,
	[OVER_HELP] = help_draw,
};

void frame_draw(struct top *v)
{
	int w = screen_cols(v->screen), h = screen_rows(v->screen), cursor_y = -1, cursor_x = 0;
	struct box all = {ABOVE, 0, h - ABOVE - 1, w};

	screen_begin(v->screen);
	if (w < COLS_MIN || h < ROWS_MIN) {
		draw_small(v, w);
	} else {
		draw_title(v, w);
		draw_moved(v, w);
		if (v->over)
			overlays[v->over](v, &all);
		else
			draw_panes(v, w, h);
		draw_last(v, &cursor_y, &cursor_x);
	}
	screen_end(v->screen, cursor_y, cursor_x);
}
