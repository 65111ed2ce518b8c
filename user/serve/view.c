/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The view of `serve`: counts what the pipeline tells, keeps what ended lately, passes
 * records on to /events, and looks at the table when somebody asks.
 *
 * Always: the table is walked at most every other second however many clients ask, and the
 * kernel's iterators run again only while somebody asks for what hangs. The textfile is
 * whole or the one before: it is written beside and renamed.
 */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../core/connection/words.h"
#include "../options.h"
#include "../source/pods.h"
#include "server.h"

enum {
	LOOK_MS = 2000,
	STUCK_MS = 10000,
	LARGE = 50000,		 /* a table that is looked at less often */
	SNAPSHOT_S = 15,	 /* while someone asks for findings */
	SNAPSHOT_SCRAPED_S = 60, /* while someone asks for metrics, at the latest */
	SNAPSHOT_REST = 1000,	 /* for them it takes no more than one part in this of the time */
	ASKED_S = 60,
	TEXTFILE_S = 15,
};

/* The session hands its options to open(): ours are the first member of this. */
struct serve_session {
	struct options o;
	struct server *v;
};

uint64_t server_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

/* ---- the gauges ------------------------------------------------------------------------------ */

/* A container of which the node says nothing has no name: its id is never a label. */
static const char *workload_name(void *arg, const struct cgroup *g)
{
	struct server *v = arg;

	if (!g->container[0] && !g->pod_uid[0])
		return g->unit;
	return pods_name(v->pods, g->container, g->pod_uid, v->looked_ns);
}

void server_refresh(struct server *v)
{
	uint64_t now = server_now();
	uint64_t slow = conntab_count(pipeline_conns(v->s->p)) > LARGE ? 5 : 1;
	struct metrics_look look = {
		.p = v->s->p,
		.filter = v->s->o->filter,
		.stuck = &v->stuck.report,
		.workload = workload_name,
		.arg = v,
	};

	v->asked_ns = now;
	if (!v->stuck_ns || now - v->stuck_ns >= slow * STUCK_MS * 1000000ull) {
		v->stuck_ns = now;
		if (stuck_collect(&v->stuck.report, v->s->p, &v->stuck.query))
			v->stuck.report.nitems = v->stuck.report.ngroups = 0;
	}
	if (v->looked_ns && now - v->looked_ns < slow * LOOK_MS * 1000000ull)
		return;
	v->looked_ns = now;
	metrics_look(&v->metrics, &look);
}

static const char *reset_reason(void *arg, unsigned reason)
{
	const struct source *src = ((struct server *)arg)->s->source;

	return src && src->rst_reason ? src->rst_reason(src, reason) : NULL;
}

void server_metrics(struct server *v, struct buf *b)
{
	const struct stats *st = pipeline_stats(v->s->p);
	struct metrics_tracer t = {
		.stats = st,
		.version = TCPTRAIL_VERSION,
		.mode = v->s->source && v->s->source->full_mode ? "full" : "base",
		.reset_reason = reset_reason,
		.arg = v,
	};

	memcpy(t.lost, st->lost, sizeof(t.lost));
	t.lost[LOSS_OUTPUT_SLOW] += v->events_lost;
	metrics_write(&v->metrics, &t, b);
}

/* ---- what the pipeline tells -------------------------------------------------------------------- */

static void on_change(void *view, const struct conn *c, const struct change *ch)
{
	static const char *const names[CHANGE_KINDS] = {
		[CHANGE_STATE] = "tcp.state_change",
		[CHANGE_RETRANSMIT] = "tcp.retransmit",
		[CHANGE_RESET] = "tcp.reset",
		[CHANGE_DROP] = "tcp.drop",
	};
	struct server *v = view;
	struct buf b = {0};

	metrics_change(&v->metrics, c, ch);
	if (ch->kind >= CHANGE_KINDS || !events_wanted(v))
		return;
	json_change(&v->face, &b, c, ch);
	if (!b.failed)
		events_feed(v, c, NULL, names[ch->kind], b.data, b.len);
	buf_free(&b);
}

static void on_conn_end(void *view, const struct conn *c, const struct verdict *verdict)
{
	struct server *v = view;
	struct conntab *t = pipeline_conns(v->s->p);
	const struct conn *peer = conntab_at_const(t, c->peer_conn);
	struct ended *e = &v->ended[v->nended++ % ENDED_KEPT];

	metrics_conn_end(&v->metrics, c, verdict);
	e->cookie = c->cookie;
	e->sweeps = proctab_sweeps(pipeline_procs(v->s->p));
	ladder_end_copy(&e->end, t, c);
	e->has_other = peer != NULL;
	if (peer)
		ladder_end_copy(&e->other, t, peer);
	e->record.len = 0;
	json_connection(&v->face, &e->record, c, verdict);
	if (e->record.failed)
		e->cookie = 0;
	else if (events_wanted(v))
		events_feed(v, c, verdict, "tcp.connection", e->record.data, e->record.len);
}

static void on_snapshot(void *view, const struct conn *c)
{
	struct server *v = view;

	if (!v->in_snapshot)
		stuck_begin(&v->stuck.report);
	v->in_snapshot = true;
	if (c->state == ST_TIME_WAIT)
		stuck_time_wait(&v->stuck.report, c);
}

static void on_snapshot_done(void *view)
{
	struct server *v = view;

	if (!v->in_snapshot)
		stuck_begin(&v->stuck.report);
	v->in_snapshot = false;
}

/* ---- every second --------------------------------------------------------------------------------- */

/* Asked every second, a little sooner or later: the nearest one to the due time is meant, and what
 * it was off is not carried along. */
static void remember_states(struct server *v)
{
	uint64_t now_ns = pipeline_now(v->s->p), step_ns = HISTORY_STEP_S * 1000000000ull;
	struct history *h;

	if (!now_ns || now_ns + 500000000ull < v->history_due_ns)
		return;
	v->history_due_ns += step_ns;
	if (v->history_due_ns <= now_ns)
		v->history_due_ns = now_ns + step_ns;
	h = &v->history[v->nhistory++ % HISTORY];
	h->at_ns = now_ns;
	pipeline_count_states(v->s->p, NULL, h->count);
}

/* In its own directory, so that the rename is of one file system. */
static int write_textfile(struct server *v, const char *path)
{
	char beside[4096];
	struct buf b = {0};
	FILE *f;
	int err = 0;

	if ((size_t)snprintf(beside, sizeof(beside), "%s.%d.tmp", path, (int)getpid()) >=
	    sizeof(beside))
		return -ENAMETOOLONG;
	server_refresh(v);
	server_metrics(v, &b);
	f = b.failed ? NULL : fopen(beside, "we");
	if (!f) {
		err = b.failed ? -ENOMEM : -errno;
		buf_free(&b);
		return err;
	}
	errno = EIO;
	if (fwrite(b.data, 1, b.len, f) != b.len)
		err = -errno;
	if (fclose(f) && !err)
		err = -errno;
	if (!err && rename(beside, path))
		err = -errno;
	if (err)
		unlink(beside);
	buf_free(&b);
	return err;
}

static void textfile(struct server *v)
{
	int err = write_textfile(v, v->cfg->textfile);

	v->textfile_ns = server_now();
	if (err && !v->textfile_failed)
		fprintf(stderr,
			"tcptrail: --textfile: '%s': %s: the one before stays; tried again every "
			"%d s\n",
			v->cfg->textfile, strerror(-err), TEXTFILE_S);
	v->textfile_failed = err != 0;
}

/* The iterators again: soon for one who looks at findings, as often as it costs next to nothing for
 * scrapes (in base mode only a snapshot tells what a listener threw away; but each fills a
 * recording), else never. */
static bool snapshot_due(const struct server *v, uint64_t now)
{
	uint64_t window = ASKED_S * 1000000000ull, age = now - v->snapshot_ns;
	uint64_t soon = SNAPSHOT_S * 1000000000ull, late = SNAPSHOT_SCRAPED_S * 1000000000ull;
	uint64_t rest = v->s->o->record ? late : v->snapshot_took_ns * SNAPSHOT_REST;

	if (now - v->findings_ns < window)
		return age > soon;
	rest = rest < soon ? soon : rest > late ? late : rest;
	return now - v->asked_ns < window && age > rest;
}

static void look_again(struct server *v, struct source *src, uint64_t now)
{
	v->snapshot_ns = now;
	src->ops->snapshot(src, v->s->p);
	v->snapshot_took_ns = server_now() - now;
}

static void on_interval(void *view)
{
	struct server *v = view;
	struct source *src = v->s->source;
	uint64_t now = server_now();

	remember_states(v);
	if (src && src->ops->snapshot && snapshot_due(v, now))
		look_again(v, src, now);
	if (v->cfg->textfile && now - v->textfile_ns >= TEXTFILE_S * 1000000000ull)
		textfile(v);
}

static void on_finish(void *view)
{
	struct server *v = view;

	if (v->cfg->textfile)
		textfile(v);
	if (v->textfile_failed)
		v->s->status = 2;
}

/* ---- life ------------------------------------------------------------------------------------------- */

static void *view_open(struct session *s)
{
	struct server *v = ((const struct serve_session *)s->o)->v;

	v->s = s;
	v->face = (struct json_face){.s = s, .sequence = &v->sequence, .ids = &v->ids};
	v->stuck.s = s;
	v->stuck.so = &s->o->stuck;
	v->stuck.query = (struct stuck_query){.filter = s->o->filter, .min_age_ns = -1};
	v->stuck.face = (struct json_face){.s = s, .sequence = &v->sequence, .ids = &v->stuck.ids};
	text_init(&v->stuck.text, s);
	return v;
}

static void view_begin(void *view)
{
	struct server *v = view;
	char host[NI_MAXHOST], port[NI_MAXSERV];
	bool v6 = v->cfg->addr.ss_family == AF_INET6;

	v->snapshot_ns = server_now();
	if (!v->daemon ||
	    getnameinfo((const struct sockaddr *)&v->cfg->addr, v->cfg->addr_len, host,
			sizeof(host), port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV))
		return;
	fprintf(stderr, "tcptrail: serving %s://%s%s%s:%s/\n", v->cfg->cert.len ? "https" : "http",
		v6 ? "[" : "", host, v6 ? "]" : "", port);
}

static int view_fd(void *view)
{
	struct server *v = view;

	return v->daemon ? v->epoll_fd : -1;
}

static void view_turn(void *view)
{
	http_turn(view);
}

static const struct view_ops ops = {
	.change = on_change,
	.conn_end = on_conn_end,
	.snapshot = on_snapshot,
	.snapshot_done = on_snapshot_done,
};

static const struct view view_serve = {
	.ops = &ops,
	.open = view_open,
	.begin = view_begin,
	.interval = on_interval,
	.finish = on_finish,
	.fd = view_fd,
	.turn = view_turn,
	.interval_s = 1,
	.child_syn_recv = true,
	.steps = true,
	.whole_host = true,
};

static void server_free(struct server *v)
{
	if (!v)
		return;
	for (unsigned i = 0; v->ended && i < ENDED_KEPT; i++)
		buf_free(&v->ended[i].record);
	free(v->ended);
	pods_free(v->pods);
	stuck_free(&v->stuck.report);
	metrics_free(&v->metrics);
	free(v);
}

/* The socket is bound before the tracer gives its privileges up. */
int serve_run(const struct options *o, struct serve_config *c)
{
	struct serve_session x = {.o = *o, .v = calloc(1, sizeof(*x.v))};
	char msg[512];
	int status = 2;

	if (x.v)
		x.v->ended = calloc(ENDED_KEPT, sizeof(*x.v->ended));
	if (x.v)
		x.v->pods = pods_new("/var/log");
	if (!x.v || !x.v->ended || !x.v->pods || metrics_init(&x.v->metrics)) {
		fprintf(stderr, "tcptrail: start: out of memory\n");
		goto out;
	}
	x.v->cfg = c;
	if (c->listens && http_start(x.v, msg, sizeof(msg))) {
		fprintf(stderr, "tcptrail: %s\n", msg);
		goto out;
	}
	status = session_run(&x.o, &view_serve);
	http_stop(x.v);
out:
	server_free(x.v);
	return status;
}
