/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the pipeline calls: the view's own callbacks, until -c is reached.
 *
 * Always: a member that the view does not have stays NULL, so that the pipeline skips the
 * work. Never: a record after the last one that was asked for.
 */
#include "output/gate.h"
#include "core/ladder/ladder.h"
#include "session_impl.h"

static bool session_enough(const struct session *s)
{
	return s->o->count && s->records >= s->o->count;
}

/* Does the view still want to hear? */
static bool run_takes(struct run *r)
{
	if (session_enough(&r->s))
		return false;
	if (r->o->nfrom)
		replay_make_room(r);
	return true;
}

static void forward_change(void *arg, const struct conn *c, const struct change *ch)
{
	struct run *r = arg;

	if (!run_takes(r))
		return;
	if (r->gate)
		gate_change(r->gate, c, ch);
	else
		r->view->ops->change(r->state, c, ch);
}

static void after_gate(void *arg, const struct conn *c, const struct change *ch)
{
	struct run *r = arg;

	if (run_takes(r))
		r->view->ops->change(r->state, c, ch);
}

static void forward_conn_end(void *arg, const struct conn *c, const struct verdict *v)
{
	struct run *r = arg;

	bool kept;

	if (!run_takes(r))
		return;
	kept = !r->gate || gate_conn_end(r->gate, c);
	if (!r->view->ops->conn_end)
		return;
	if (kept)
		r->view->ops->conn_end(r->state, c, v);
	else
		r->s.left_out.records++;
}

static void forward_snapshot(void *arg, const struct conn *c)
{
	struct run *r = arg;

	bool kept;

	if (!run_takes(r))
		return;
	kept = !r->gate || gate_snapshot(r->gate, c);
	if (!r->view->ops->snapshot)
		return;
	if (kept)
		r->view->ops->snapshot(r->state, c);
	else
		r->s.left_out.records++;
}

static void forward_snapshot_done(void *arg)
{
	struct run *r = arg;

	if (!run_takes(r))
		return;
	if (r->gate)
		gate_snapshot_done(r->gate);
	if (r->view->ops->snapshot_done)
		r->view->ops->snapshot_done(r->state);
}

static void forward_tick(void *arg, uint64_t now_ns)
{
	struct run *r = arg;

	if (run_takes(r))
		r->view->ops->tick(r->state, now_ns);
}

int run_forward(struct run *r)
{
	const struct view_ops *ops = r->view->ops;
	bool finds = r->o->only_findings;

	r->ops = (struct view_ops){
		.change = ops->change ? forward_change : NULL,
		.conn_end = ops->conn_end || finds ? forward_conn_end : NULL,
		.snapshot = ops->snapshot || finds ? forward_snapshot : NULL,
		.snapshot_done = ops->snapshot_done || finds ? forward_snapshot_done : NULL,
		.tick = ops->tick ? forward_tick : NULL,
	};
	return gate_open(&r->gate, &r->s, after_gate, r);
}

void run_interval_view(struct run *r)
{
	if (r->gate)
		gate_look(r->gate);
	if (r->view->interval)
		r->view->interval(r->state);
}

void session_printed(struct session *s)
{
	s->records++;
	if (session_enough(s)) {
		s->stop = true;
		sink_mute(s->out);
	}
}

/* ---- for the ladders ----------------------------------------------------------------- */

static const char *drop_reason(const void *arg, unsigned reason)
{
	const struct source *src = ((const struct session *)arg)->source;

	return src && src->drop_reason ? src->drop_reason(src, reason) : NULL;
}

void session_ladder_names(const struct session *s, struct ladder_names *out)
{
	*out = (struct ladder_names){
		.procs = pipeline_procs(s->p),
		.drop_reason = drop_reason,
		.arg = s,
	};
}
