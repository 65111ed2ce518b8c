/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each key does: the question that is open takes it first, then the filter's
 * line, then what lies over the panes, then the pane.
 */
#include <signal.h>

#include "../core/pipeline/pipeline.h"
#include "top_impl.h"

enum { KEYS_A_TURN = 64 };

static void back(struct top *v)
{
	if (v->over)
		v->over = OVER_NONE;
}

static void other_pane(struct top *v)
{
	if (!v->over)
		v->pane = (v->pane + 1) % PANES;
}

static void toggle_help(struct top *v)
{
	v->over = v->over == OVER_HELP ? OVER_NONE : OVER_HELP;
	v->scroll = 0;
}

static void toggle_pause(struct top *v)
{
	top_pause(v, !v->paused);
}

static void quit(struct top *v)
{
	v->s->stop = true;
}

static void sort_by(struct top *v, unsigned sort)
{
	v->conns.sort = sort;
	v->conns.cookie = 0;
	v->conns.selected = v->conns.offset = 0;
	v->conns.follows = false;
}

static void sort_next(struct top *v)
{
	sort_by(v, order_next(v->conns.sort));
}

static void sort_before(struct top *v)
{
	sort_by(v, (v->conns.sort + SORTS - 1) % SORTS);
}

static void reverse(struct top *v)
{
	v->conns.reverse = !v->conns.reverse;
	sort_by(v, v->conns.sort);
}

static void repaint(struct top *v)
{
	screen_repaint(v->screen);
}

/* The shell gets its terminal; what happened meanwhile the next look at all sockets mends. */
static void suspend(struct top *v)
{
	screen_suspend(v->screen);
	raise(SIGSTOP);
	screen_resume(v->screen);
}

static const struct {
	int key;
	void (*does)(struct top *v);
} table[] = {
	{'q', quit},	       {'Q', quit},	      {'C' & 31, quit},
	{'?', toggle_help},    {'h', toggle_help},    {'p', toggle_pause},
	{'/', prompt_open},    {'s', sort_next},      {'S', sort_before},
	{'r', reverse},	       {'k', kill_ask},	      {'L' & 31, repaint},
	{'Z' & 31, suspend},   {'\t', other_pane},    {KEY_IS_BACKTAB, other_pane},
	{KEY_IS_ESC, back},
};

static void scroll(struct top *v, int key)
{
	unsigned page = screen_rows(v->screen) > 6 ? (unsigned)screen_rows(v->screen) - 6 : 1;
	unsigned most = v->scroll_max;

	switch (key) {
	case KEY_IS_UP:
		v->scroll -= v->scroll > 0;
		break;
	case KEY_IS_DOWN:
		v->scroll += v->scroll < most;
		break;
	case KEY_IS_PAGE_UP:
		v->scroll -= v->scroll > page ? page : v->scroll;
		break;
	case KEY_IS_PAGE_DOWN:
		v->scroll = v->scroll + page < most ? v->scroll + page : most;
		break;
	case KEY_IS_HOME:
		v->scroll = 0;
		break;
	case KEY_IS_END:
		v->scroll = most;
		break;
	case KEY_IS_ENTER:
		back(v);
		break;
	default:
		break;
	}
}

static void key_pressed(struct top *v, int key)
{
	v->message.text[0] = '\0';
	if (v->killing) {
		kill_answer(v, key);
		return;
	}
	if (v->prompt.open) {
		prompt_key(v, key);
		return;
	}
	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (table[i].key == key) {
			table[i].does(v);
			return;
		}
	}
	if (v->over)
		scroll(v, key);
	else if (v->pane == PANE_FINDINGS)
		findings_key(v, key);
	else
		conns_key(v, key);
}

void keys_turn(struct top *v, bool *any)
{
	*any = false;
	for (unsigned i = 0; i < KEYS_A_TURN && !v->s->stop; i++) {
		int key = screen_key(v->screen);

		if (key == KEY_IS_NONE)
			return;
		if (key == KEY_IS_OTHER)
			continue;
		*any = true;
		key_pressed(v, key);
	}
}
