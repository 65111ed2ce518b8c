/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tcptrail timeline`: each connection's ladder when it has ended.
 *
 * Both ends of a connection on this host end within moments of each other and
 * make one ladder: the first to end is kept (a copy: its table entry is reused)
 * until the other ends too, or for 200 ms, whichever is first. The table of those
 * kept is bounded; where it is full, the ladder is drawn without waiting.
 */
#include <stdlib.h>
#include <string.h>

#include "ladder_text.h"
#include "stack.h"
#include "text.h"
#include "views.h"

#include "../core/ladder/ladder.h"
#include "../core/connection/verdict.h"

enum { HELD = 256 };
static const uint64_t HOLD_NS = 200000000;

struct held {
	bool used;
	uint64_t waits_for;    /* the other end's cookie */
	uint64_t until_ns;
	struct ladder_end end;
	char *stack;           /* --stack: a copy; NULL none */
};

struct timeline_view {
	struct text t;
	unsigned nheld;
	struct held held[HELD];
	struct ladder ladder;
	struct ladder_end end, other; /* being drawn */
};

static void *timeline_open(struct session *s)
{
	struct timeline_view *v = calloc(1, sizeof(*v));

	if (v)
		text_init(&v->t, s);
	return v;
}

enum { MADE_INDENT = 12 };

/* --stack: where an end comes from. */
static void put_made(const struct timeline_view *v, struct buf *b, const struct ladder_end *e,
		     const char *kept)
{
	const char *stack = kept || !e ? kept : pipeline_stack(v->t.s->p, e->conn.cookie);
	struct line l;

	if (!stack)
		return;
	line_begin(&l, &v->t, b);
	line_str(&l, e->conn.role == ROLE_SERVER ? "server made " : "client made ");
	text_stack_brief(&l, stack, v->t.width, MADE_INDENT);
	line_end(&l);
}

/* stack: of a, if it is kept. */
static void draw(struct timeline_view *v, const struct ladder_end *a, const char *stack,
		 const struct ladder_end *o)
{
	struct session *s = v->t.s;
	struct buf *b = sink_begin(s->out);
	struct ladder_names names;

	session_ladder_names(s, &names);
	ladder_build(&v->ladder, &names, a, o);
	ladder_text(&v->t, b, &v->ladder);
	put_made(v, b, a, stack);
	put_made(v, b, o, NULL);
	sink_commit(s->out);
	session_printed(s);
}

static struct held *find_partner(struct timeline_view *v, uint64_t cookie)
{
	for (unsigned i = 0; cookie && v->nheld && i < HELD; i++)
		if (v->held[i].used && v->held[i].waits_for == cookie)
			return &v->held[i];
	return NULL;
}

static void release(struct timeline_view *v, struct held *h)
{
	free(h->stack);
	h->stack = NULL;
	h->used = false;
	v->nheld--;
}

/* The other end as it is now, if it is still there. */
static const struct ladder_end *copy_living(struct timeline_view *v, uint64_t cookie)
{
	const struct conn *c = conntab_find(pipeline_conns(v->t.s->p), cookie);

	if (!c)
		return NULL;
	ladder_end_copy(&v->other, pipeline_conns(v->t.s->p), c);
	return &v->other;
}

static bool hold(struct timeline_view *v, const struct conn *c, const struct conn *peer)
{
	const char *stack = pipeline_stack(v->t.s->p, c->cookie);
	struct conntab *conns = pipeline_conns(v->t.s->p);

	for (unsigned i = 0; i < HELD; i++) {
		struct held *h = &v->held[i];

		if (h->used)
			continue;
		h->used = true;
		h->waits_for = peer->cookie;
		h->until_ns = pipeline_now(v->t.s->p) + HOLD_NS;
		ladder_end_copy(&h->end, conns, c);
		h->stack = stack ? strdup(stack) : NULL;
		v->nheld++;
		return true;
	}
	return false;
}

static void timeline_end(void *view, const struct conn *c, const struct verdict *verdict)
{
	struct timeline_view *v = view;
	struct conntab *conns = pipeline_conns(v->t.s->p);
	struct held *h = find_partner(v, c->cookie);
	const struct conn *peer = conntab_at_const(conns, c->peer_conn);

	text_base(&v->t, c->start_ns);
	if (!h && peer && hold(v, c, peer))
		return;
	ladder_end_copy(&v->end, conns, c);
	if (h) {
		draw(v, &h->end, h->stack, &v->end);
		release(v, h);
	} else {
		draw(v, &v->end, NULL, peer ? copy_living(v, peer->cookie) : NULL);
	}
}

static void draw_due(struct timeline_view *v, uint64_t now_ns)
{
	for (unsigned i = 0; v->nheld && i < HELD; i++) {
		struct held *h = &v->held[i];

		if (!h->used || h->until_ns > now_ns)
			continue;
		draw(v, &h->end, h->stack, copy_living(v, h->waits_for));
		release(v, h);
	}
}

static void timeline_tick(void *view, uint64_t now_ns)
{
	struct timeline_view *v = view;

	text_base(&v->t, now_ns);
	draw_due(v, now_ns);
}

static void timeline_finish(void *view)
{
	draw_due(view, UINT64_MAX);
}

static void timeline_close(void *view)
{
	struct timeline_view *v = view;

	for (unsigned i = 0; i < HELD; i++)
		free(v->held[i].stack);
	free(v);
}

static const struct view_ops ops = {.conn_end = timeline_end, .tick = timeline_tick};

const struct view view_timeline_text = {
	.ops = &ops,
	.open = timeline_open,
	.finish = timeline_finish,
	.close = timeline_close,
	.steps = true,
};
