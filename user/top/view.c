/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The view of `top`: counts what the pipeline tells, keeps what ended lately, and
 * decides when to look at the sockets and when to draw.
 *
 * Always: a picture for a key or another size at once, else at most four a second, and
 * fewer when making one is dear: looking costs at most a fortieth of the time, drawing
 * a twentieth. Only what is on the screen is formatted.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../core/connection/facts.h"
#include "../core/pipeline/pipeline.h"
#include "top.h"
#include "top_impl.h"

enum { DRAW_MS = 250, IDLE_MS = 1000, DRAW_SHARE = 20, LOOK_SHARE = 40 };

/* The session hands its options to open(): ours are the first member of this. */
struct top_session {
	struct options o;
	struct top *v;
};

uint64_t top_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

uint64_t top_now(const struct top *v)
{
	return v->paused ? v->paused_ns : pipeline_now(v->s->p);
}

/* ---- what the pipeline tells ------------------------------------------------------------------ */

static void on_change(void *view, const struct conn *c, const struct change *ch)
{
	counts_change(view, c, ch);
}

static void on_conn_end(void *view, const struct conn *c, const struct verdict *verdict)
{
	struct top *v = view;
	struct conntab *t = pipeline_conns(v->s->p);
	const struct conn *peer = conntab_at_const(t, c->peer_conn);
	struct ended *e = &v->ended[v->nended++ % ENDED_KEPT];

	if (!v->filter || stuck_wanted(v->s->p, &v->stuck.query, c))
		v->moved.ended++;
	e->cookie = c->cookie;
	e->sweeps = proctab_sweeps(pipeline_procs(v->s->p));
	ladder_end_copy(&e->end, t, c);
	e->has_other = peer != NULL;
	if (peer)
		ladder_end_copy(&e->other, t, peer);
}

const struct ended *top_ended(const struct top *v, uint64_t cookie)
{
	uint64_t n = v->nended < ENDED_KEPT ? v->nended : ENDED_KEPT;

	for (uint64_t i = 1; i <= n && cookie; i++) {
		const struct ended *e = &v->ended[(v->nended - i) % ENDED_KEPT];

		if (e->cookie == cookie)
			return e;
	}
	return NULL;
}

/* A snapshot begins. Other namespaces are walked by the first one only: what that saw of their
 * TIME_WAIT holds until it expires. */
static void forget_time_waits(struct top *v)
{
	uint32_t own = facts_netns_at(pipeline_facts(v->s->p), 0), n = 0;
	struct stuck_report *r = &v->stuck.report;

	for (uint32_t i = 0; i < r->ntime_waits; i++)
		if (own && r->time_waits[i].netns != own && !order_expired(v, i))
			r->time_waits[n++] = r->time_waits[i];
	r->ntime_waits = n;
}

static void on_snapshot(void *view, const struct conn *c)
{
	struct top *v = view;

	if (!v->in_snapshot)
		forget_time_waits(v);
	v->in_snapshot = true;
	if (c->state == ST_TIME_WAIT)
		stuck_time_wait(&v->stuck.report, c);
}

static void on_snapshot_done(void *view)
{
	struct top *v = view;

	if (!v->in_snapshot)
		forget_time_waits(v);
	v->in_snapshot = false;
	v->stuck_due = v->pace.due = true;
}

/* ---- when ---------------------------------------------------------------------------------------- */

void top_draw(struct top *v)
{
	const struct stats *st = pipeline_stats(v->s->p);
	uint64_t began = top_clock();

	if (v->stuck_due)
		findings_collect(v);
	counts_now(v);
	frame_draw(v);
	v->pace.due = false;
	v->pace.drawn_ns = top_clock();
	v->pace.draw_cost_ns = v->pace.drawn_ns - began;
	v->pace.drawn_activity = st->events - st->by_kind[EV_TICK];
}

static uint64_t draw_step_ns(const struct top *v)
{
	uint64_t step = DRAW_MS * 1000000ull, dear = v->pace.draw_cost_ns * DRAW_SHARE;
	uint64_t asked = (uint64_t)(v->s->o->interval_s * 1e9);

	step = dear > step ? dear : step;
	return asked > step ? asked : step;
}

/* Ages go on even when nothing happens. */
static bool draw_due(const struct top *v, uint64_t now)
{
	const struct stats *st = pipeline_stats(v->s->p);
	uint64_t since = now - v->pace.drawn_ns;
	bool moved = v->pace.due || st->events - st->by_kind[EV_TICK] != v->pace.drawn_activity;

	if (v->paused)
		return v->message.text[0] && since > MESSAGE_S * 1000000000ull;
	return since >= draw_step_ns(v) && (moved || since >= IDLE_MS * 1000000ull);
}

static void view_turn(void *view)
{
	struct top *v = view;
	bool keys, resized;

	if (screen_gone(v->screen)) {
		v->s->stop = true;
		return;
	}
	counts_sample(v);
	resized = screen_resized(v->screen);
	keys = false;
	if (screen_ready(v->screen))
		keys_turn(v, &keys);
	if (v->s->stop)
		return;
	if (keys || resized)
		v->pace.drawn_ns = 0; /* now, or as soon as the terminal has taken the last picture */
	if (screen_ready(v->screen) && (!v->pace.drawn_ns || draw_due(v, top_clock())))
		top_draw(v);
}

/* The iterators again, unless they are so dear that they would be felt. */
static void on_interval(void *view)
{
	struct top *v = view;
	struct source *src = v->s->source;
	uint64_t began = top_clock();

	if (!src->ops->snapshot || began - v->pace.looked_ns < v->pace.look_cost_ns * LOOK_SHARE)
		return;
	src->ops->snapshot(src, v->s->p);
	v->pace.looked_ns = top_clock();
	v->pace.look_cost_ns = v->pace.looked_ns - began;
}

void top_pause(struct top *v, bool on)
{
	if (on) {
		counts_now(v);
		v->paused_ns = pipeline_now(v->s->p);
		order_freeze(v);
	} else {
		order_thaw(v);
		counts_forget(v); /* a curve with a hole would lie */
		v->stuck_due = true;
	}
	v->paused = on;
	v->s->hold = on;
}

/* ---- life ------------------------------------------------------------------------------------------ */

static void *view_open(struct session *s)
{
	struct top *v = ((const struct top_session *)s->o)->v;

	v->s = s;
	v->stuck.s = s;
	v->stuck.so = &s->o->stuck;
	v->stuck.query = (struct stuck_query){.also = s->o->filter, .min_age_ns = -1};
	if (s->o->stuck.has_min_age)
		v->stuck.query.min_age_ns = (int64_t)(s->o->stuck.min_age_s * 1e9);
	text_init(&v->text, s);
	v->text.paint.color = screen_color(v->screen);
	v->text.paint.utf8 = screen_utf8(v->screen);
	return v;
}

static void view_begin(void *view)
{
	struct top *v = view;

	if (screen_open(v->screen, v->s->out)) {
		fputs("tcptrail: top: the screen: out of memory\n", stderr);
		v->s->status = 2;
		v->s->stop = true;
		return;
	}
	v->text.paint.color = screen_color(v->screen);
	v->stuck.text = v->text;
	v->pace.due = true;
}

static int view_fd(void *view)
{
	struct top *v = view;

	return screen_fd(v->screen);
}

static void view_finish(void *view)
{
	struct top *v = view;

	screen_leave(v->screen);
}

static void view_status(void *view)
{
	struct top *v = view;

	screen_repaint(v->screen);
	v->pace.drawn_ns = 0;
}

/* After the last word was said: stderr is the terminal's again. */
static void view_close(void *view)
{
	struct top *v = view;

	screen_free(v->screen);
	v->screen = NULL;
}

static const struct view_ops ops = {
	.change = on_change,
	.conn_end = on_conn_end,
	.snapshot = on_snapshot,
	.snapshot_done = on_snapshot_done,
};

static void top_free(struct top *v)
{
	if (!v)
		return;
	screen_free(v->screen);
	filter_free(v->filter);
	stuck_free(&v->stuck.report);
	buf_free(&v->b);
	order_thaw(v);
	free(v->conns.keys);
	free(v->hung);
	free(v->ended);
	free(v);
}

int top_run(const struct options *o)
{
	const struct view view = {
		.ops = &ops,
		.open = view_open,
		.begin = view_begin,
		.interval = on_interval,
		.finish = view_finish,
		.status = view_status,
		.close = view_close,
		.fd = view_fd,
		.turn = view_turn,
		.interval_s = 2,
		.child_syn_recv = true,
		.steps = true,
		.whole_host = true,
		.destroy = o->allow_kill,
		.stays = true,
	};
	struct top_session x = {.o = *o, .v = calloc(1, sizeof(*x.v))};
	char msg[256] = "top: out of memory";
	int status = 2;

	if (x.v)
		x.v->ended = calloc(ENDED_KEPT, sizeof(*x.v->ended));
	if (!x.v || !x.v->ended || screen_new(&x.v->screen, o->color, msg, sizeof(msg)))
		fprintf(stderr, "tcptrail: %s\n", msg);
	else
		status = session_run(&x.o, &view);
	top_free(x.v);
	return status;
}
