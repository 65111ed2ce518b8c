/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Closes one connection, as `stuck --kill --yes` does: it is named first and must be
 * confirmed; its cookie and its state are compared again right before; what was done
 * is said on the screen, and on stderr when the terminal is free.
 *
 * Never: without --allow-kill, of a listener, of another connection than the one that
 * was named, however the list moved meanwhile.
 */
#include <errno.h>

#include "../core/connection/words.h"
#include "top_impl.h"

void kill_ask(struct top *v)
{
	const struct conn *c = NULL;

	if (!v->s->o->allow_kill) {
		say(v, true, v->s->o->nfrom ? "a recording has no sockets to close"
					    : "k closes a connection only when started with "
					      "--allow-kill (as root)");
		return;
	}
	if (v->over == OVER_LADDER && v->ladder.known)
		c = &v->ladder.a.conn;
	else if (v->pane == PANE_CONNS && !v->over)
		c = conns_selected(v);
	if (!c) {
		say(v, true, "k closes one connection: select it in the list of connections");
		return;
	}
	v->victim = *c;
	v->victim.end = NULL; /* the table's: it may go */
	v->killing = true;
}

/* The line that stays, on stderr; on the screen what came of it stands first. */
static void audit(struct top *v, int err)
{
	const struct stuck_item *item = findings_of(v, v->victim.cookie);
	struct buf b = {0};
	struct line l;

	stuck_audit(&v->text, &b, &v->victim, item, stuck_outcome(err));
	if (!b.failed)
		screen_note(v->screen, b.data, b.len);
	b.len = 0;
	line_begin(&l, &v->text, &b);
	line_str(&l, stuck_outcome(err));
	line_str(&l, ": ");
	stuck_put_socket(&v->text, &l, &v->victim, item);
	buf_char(&b, '\0');
	say(v, err != 0, b.failed ? stuck_outcome(err) : b.data);
	buf_free(&b);
}

void kill_answer(struct top *v, int key)
{
	struct source *src = v->s->source;
	int err;

	v->killing = false;
	if (key != 'y' && key != 'Y') {
		say(v, false, "nothing was closed");
		return;
	}
	err = src->ops->destroy ? src->ops->destroy(src, &v->victim) : -EOPNOTSUPP;
	audit(v, err);
}
