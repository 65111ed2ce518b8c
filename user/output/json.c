/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The views that print JSON. A view is which of the pipeline's callbacks it
 * listens to; the records themselves are in json_*.c.
 *
 * Always true: one record is one line, committed whole; tracer.stats is the last.
 * Never a total kept here: what a record says comes from the pipeline, so that a
 * recording gives the same bytes.
 */
#include <stdlib.h>

#include "json.h"
#include "views.h"

struct json_view {
	struct session *s;
	struct json_face face;
	struct json_states states;
	uint64_t listed_ns;          /* when the listeners or the states were last printed */
	struct community_cache ids;
};

static void *json_view_open(struct session *s)
{
	struct json_view *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	v->s = s;
	v->face = (struct json_face){ .s = s, .sequence = &s->sequence, .ids = &v->ids };
	return v;
}

static struct buf *record(struct json_view *v)
{
	return sink_begin(v->s->out);
}

static void printed(struct json_view *v)
{
	sink_commit(v->s->out);
	session_printed(v->s);
}

static void on_change(void *view, const struct conn *c, const struct change *ch)
{
	struct json_view *v = view;

	json_change(&v->face, record(v), c, ch);
	printed(v);
}

static void on_conn_end(void *view, const struct conn *c, const struct verdict *verdict)
{
	struct json_view *v = view;

	json_connection(&v->face, record(v), c, verdict);
	printed(v);
}

static void print_listener(struct json_view *v, const struct conn *c)
{
	json_listener(&v->face, record(v), c, pipeline_listener(v->s->p, c));
	printed(v);
}

static void on_snapshot(void *view, const struct conn *c)
{
	struct json_view *v = view;

	if (c->role == ROLE_LISTENER)
		return print_listener(v, c);
	json_snapshot(&v->face, record(v), c);
	printed(v);
}

static void json_view_finish(void *view)
{
	struct json_view *v = view;

	json_stats(&v->face, record(v));
	printed(v);
}

static void list_states(void *view)
{
	struct json_view *v = view;

	v->listed_ns = pipeline_now(v->s->p);
	json_states(&v->face, record(v), &v->states);
	printed(v);
}

static void list_listeners(void *view)
{
	struct json_view *v = view;
	struct conntab *t = pipeline_conns(v->s->p);
	uint32_t cursor = 0;
	struct conn *c;

	v->listed_ns = pipeline_now(v->s->p);
	while ((c = conntab_next(t, &cursor)))
		if (c->role == ROLE_LISTENER && c->state == ST_LISTEN)
			print_listener(v, c);
}

/* The first list as soon as there is one; what came after the last one is not lost. */
static void first_states(void *view)
{
	if (!((struct json_view *)view)->listed_ns)
		list_states(view);
}

/* As the text has it: one report and the end, unless an interval or a duration asks for more. */
static bool lists_again(const struct json_view *v)
{
	return v->s->o->interval_s > 0 || v->s->o->duration_s > 0;
}

static void first_listeners(void *view)
{
	struct json_view *v = view;

	if (v->listed_ns)
		return;
	list_listeners(view);
	v->s->stop |= !lists_again(v);
}

static void listeners_interval(void *view)
{
	if (lists_again(view))
		list_listeners(view);
}

static void states_finish(void *view)
{
	struct json_view *v = view;

	if (v->listed_ns != pipeline_now(v->s->p))
		list_states(view);
	json_view_finish(view);
}

static void listeners_finish(void *view)
{
	struct json_view *v = view;

	if (!v->listed_ns || (lists_again(v) && v->listed_ns != pipeline_now(v->s->p)))
		list_listeners(view);
	json_view_finish(view);
}

static const struct view_ops events_ops = { .change = on_change, .snapshot = on_snapshot };
static const struct view_ops conns_ops = { .conn_end = on_conn_end };
static const struct view_ops watch_ops = { .conn_end = on_conn_end, .snapshot = on_snapshot };
static const struct view_ops states_ops = { .snapshot_done = first_states };
static const struct view_ops listeners_ops = { .snapshot_done = first_listeners };

const struct view view_events_json = {
	.ops = &events_ops,
	.open = json_view_open,
	.finish = json_view_finish,
	.close = free,
	.child_syn_recv = true,
	.segments = true,
};

const struct view view_conns_json = {
	.ops = &conns_ops,
	.open = json_view_open,
	.finish = json_view_finish,
	.close = free,
	.steps = true,
};

const struct view view_timeline_json = {
	.ops = &conns_ops,
	.open = json_view_open,
	.finish = json_view_finish,
	.close = free,
	.child_syn_recv = true,
	.steps = true,
	.segments = true,
};

const struct view view_watch_json = {
	.ops = &watch_ops,
	.open = json_view_open,
	.finish = json_view_finish,
	.close = free,
	.steps = true,
};

const struct view view_states_json = {
	.ops = &states_ops,
	.open = json_view_open,
	.interval = list_states,
	.finish = states_finish,
	.close = free,
	.interval_s = 1,
	.child_syn_recv = true,
};

const struct view view_listeners_json = {
	.ops = &listeners_ops,
	.open = json_view_open,
	.interval = listeners_interval,
	.finish = listeners_finish,
	.close = free,
	.interval_s = 1,
	.resnapshot = true,
};
