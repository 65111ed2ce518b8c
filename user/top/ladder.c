/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection's ladder over the panes, drawn anew as it lives; with its other end
 * where that is on this host. When it ends the ladder stays, whole.
 */
#include <string.h>

#include "../core/pipeline/pipeline.h"
#include "../core/process/proc.h"
#include "../core/connection/words.h"
#include "../output/ladder_text.h"
#include "top_impl.h"

void ladder_open(struct top *v, const struct conn *c)
{
	v->over = OVER_LADDER;
	v->scroll = 0;
	v->ladder.cookie = c->cookie;
	v->ladder.other_cookie = conn_end(c)->peer_cookie;
	v->ladder.known = v->ladder.over = v->ladder.has_other = false;
}

static void copy_end(struct ladder_end *into, const struct ladder_end *e)
{
	*into = *e;
	into->conn.end = &into->end;
}

/* The other end: living, or kept since it ended; else as it was when it was last seen. */
static void take_other(struct top *v)
{
	struct conntab *t = pipeline_conns(v->s->p);
	const struct conn *c;
	const struct ended *e;

	if (v->ladder.a.end.peer_cookie)
		v->ladder.other_cookie = v->ladder.a.end.peer_cookie;
	if (!v->ladder.other_cookie)
		return;
	c = conntab_find(t, v->ladder.other_cookie);
	e = top_ended(v, v->ladder.other_cookie);
	if (e)
		copy_end(&v->ladder.other, &e->end);
	else if (c)
		ladder_end_copy(&v->ladder.other, t, c);
	v->ladder.has_other |= c || e;
}

static void refresh(struct top *v)
{
	struct conntab *t = pipeline_conns(v->s->p);
	const struct ended *e = top_ended(v, v->ladder.cookie);
	const struct conn *c = conntab_find(t, v->ladder.cookie);
	struct ladder_names names;

	if (v->ladder.known && (v->paused || v->ladder.over))
		return;
	session_ladder_names(v->s, &names);
	if (e) {
		copy_end(&v->ladder.a, &e->end);
		if (e->has_other) {
			copy_end(&v->ladder.other, &e->other);
			v->ladder.has_other = true;
		}
		if (e->sweeps != proctab_sweeps(names.procs))
			names.procs = NULL; /* its numbers may be others' now */
	} else if (c) {
		ladder_end_copy(&v->ladder.a, t, c);
	} else {
		v->ladder.over = v->ladder.known;
		return;
	}
	take_other(v);
	ladder_build(&v->ladder.ladder, &names, &v->ladder.a,
		     v->ladder.has_other ? &v->ladder.other : NULL);
	v->ladder.known = true;
}

void ladder_draw(struct top *v, const struct box *box)
{
	struct box body = {box->y + 1, box->x, box->h - 1, box->w};
	struct line l;

	refresh(v);
	put_heading(v, box, "CONNECTION", true);
	if (!v->ladder.known) {
		buf_str(&v->b, "nothing but its minisock is known: it is older than the tracer, "
			       "or ended long ago");
		put(v, body.y, body.x + 1, body.w - 1, LOOK_DIM);
		return;
	}
	line_begin(&l, &v->text, &v->b);
	line_str(&l, "sk:");
	buf_hex(&v->b, v->ladder.a.conn.cookie);
	line_str(&l, "  ");
	line_str(&l, word_state_ss(v->ladder.a.conn.state));
	if (v->ladder.a.conn.netns)
		buf_printf(&v->b, "  network namespace %u", v->ladder.a.conn.netns);
	line_end(&l);
	ladder_text(&v->text, &v->b, &v->ladder.ladder);
	put_scrolled(v, &body);
}
