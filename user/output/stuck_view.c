/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The view of `stuck`: waits for a snapshot, makes the report, prints it and stops;
 * with --watch prints again after each snapshot, with -d after having traced so long.
 *
 * Always: the report is made of the whole table, so that what the trace told between
 * two snapshots (exact ages, who had an orphan last) is in it. Never: reads a clock.
 */
#include <stdlib.h>
#include <string.h>

#include "stuck.h"

struct buf *stuck_begin_record(struct stuck_view *v)
{
	return sink_begin(v->s->out);
}

void stuck_end_record(struct stuck_view *v)
{
	sink_commit(v->s->out);
	session_printed(v->s);
}

static void *stuck_open(struct session *s)
{
	const struct stuck_options *so = &s->o->stuck;
	struct stuck_view *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	v->s = s;
	v->so = so;
	v->query.filter = s->o->filter;
	v->query.min_age_ns = so->has_min_age ? (int64_t)(so->min_age_s * 1e9) : -1;
	v->face = (struct json_face){.s = s, .sequence = &s->sequence, .ids = &v->ids};
	text_init(&v->text, s);
	v->text.wall_clock |= so->watch; /* one report below the other: each says of when it is */
	return v;
}

static void stuck_close(void *view)
{
	struct stuck_view *v = view;

	stuck_free(&v->report);
	free(v);
}

static void print(struct stuck_view *v)
{
	static void (*const printers[])(struct stuck_view *) = {
		[OUT_TEXT] = stuck_print_text,
		[OUT_JSON] = stuck_print_json,
		[OUT_CSV] = stuck_print_csv,
	};

	if (v->so->kill)
		stuck_kill(v);
	else if (v->so->check)
		stuck_print_check(v);
	else
		printers[v->s->o->format](v);
}

static void report(struct stuck_view *v)
{
	if (stuck_collect(&v->report, v->s->p, &v->query)) {
		v->failed = true;
		v->s->status = 2;
		v->s->stop = true;
		return;
	}
	print(v);
	v->reported = true;
	memcpy(v->last_states, v->report.states, sizeof(v->last_states));
	v->last_ns = v->report.made_ns;
}

/* ---- the pipeline's callbacks ----------------------------------------------------------- */

static void on_snapshot(void *view, const struct conn *c)
{
	struct stuck_view *v = view;

	if (!v->in_snapshot)
		stuck_begin(&v->report);
	v->in_snapshot = true;
	if (c->state == ST_TIME_WAIT)
		stuck_time_wait(&v->report, c);
}

static void on_snapshot_done(void *view)
{
	struct stuck_view *v = view;

	if (!v->in_snapshot)
		stuck_begin(&v->report); /* it saw no socket at all */
	v->in_snapshot = false;
	v->snapshot_done = true;
}

/* The paths of cgroups are told after the snapshot: the report waits for the round's end. */
static void report_once(struct stuck_view *v)
{
	if (v->reported || !v->snapshot_done || v->s->o->duration_s > 0 || v->s->at_end)
		return;
	report(v);
	v->s->stop = v->s->stop || !v->so->watch;
}

static void on_tick(void *view, uint64_t now_ns)
{
	report_once(view);
}

/* On a busy host no round is without an event. */
static void on_interval(void *view)
{
	struct stuck_view *v = view;

	if (v->so->watch && v->snapshot_done)
		report(v);
	else
		report_once(v);
}

/* A recording, or -d: what there is at the end. */
static void on_finish(void *view)
{
	struct stuck_view *v = view;

	if (!v->reported && !v->failed)
		report(v);
}

static const struct view_ops ops = {
	.snapshot = on_snapshot,
	.snapshot_done = on_snapshot_done,
	.tick = on_tick,
};

void stuck_view_for(const struct options *o, struct view *out)
{
	*out = (struct view){
		.ops = &ops,
		.open = stuck_open,
		.interval = on_interval,
		.finish = on_finish,
		.close = stuck_close,
		.interval_s = o->stuck.watch ? 2 : 0.2,
		.resnapshot = o->stuck.watch,
		.quiet = !o->stuck.watch && o->duration_s == 0,
		.snapshot_only = !o->stuck.watch && o->duration_s == 0,
		.whole_host = true,
		.own_filter = true,
		.destroy = o->stuck.kill && o->stuck.yes,
	};
}
