/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One run, the same for every command that traces: open the sink, the pipeline, the
 * view and the source; go round until a signal, the duration, the count or the end
 * of the stream; then detach, drain what the kernel had still seen, settle, and say
 * what was lost.
 *
 * Always: signals arrive by a descriptor, between two rounds: nothing is cut in the
 * middle. A round waits at most ROUND_MS: the kernel wakes nobody for a lone event.
 *
 * Never: waits for the reader of stdout while tracing; at the end, for a reader that
 * takes nothing, longer than the sink's two seconds.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "confine.h"
#include "core/filter/filter.h"
#include "core/write/otlp.h"
#include "output/gate.h"
#include "recorder.h"
#include "session_impl.h"

enum {
	LOOK_S = 10,          /* --only-findings: how often */
	ROUND_MS = 50,
	SINK_REPLAY = 64 << 20,
	SNAPSHOT_REST = 20,
};

static const uint64_t NS_PER_S = 1000000000;

uint64_t run_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

void session_keep(struct session *s, const char *why)
{
	struct run *r = (struct run *)s; /* its first member */

	if (r->recorder && r->o->last_s > 0)
		recorder_keep(r->recorder, run_now(), why);
}

uint64_t session_started(const struct session *s)
{
	return ((const struct run *)s)->started_ns;
}

uint64_t session_realtime(const struct session *s, uint64_t mono_ns)
{
	return mono_ns + (uint64_t)pipeline_clock_offset(s->p);
}

/* ---- opening ------------------------------------------------------------------- */

static int run_signals(struct run *r)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	if (r->o->last_s > 0)
		sigaddset(&set, SIGUSR2);
	signal(SIGPIPE, SIG_IGN); /* EPIPE says it where it happens */
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return -errno;
	r->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return r->signal_fd < 0 ? -errno : 0;
}

/* What others than the view ask the FILTER for it. */
static const struct filter *run_filter(const struct run *r)
{
	return r->view->own_filter ? NULL : r->o->filter;
}

/* Does (or did, when it was recorded) the kernel leave out what the filter does not want? */
static bool kernel_filters(const struct run *r)
{
	return r->o->filter && (!r->o->nfrom || r->s.source->replay->filtered);
}

/* A view that asks the FILTER itself looks from a socket at its peer, its listener and its holders:
 * for it the kernel leaves out only what no such look needs. */
static void run_kernel_filter(struct run *r)
{
	struct kernel_filter *k = &r->kernel;

	filter_kernel_part(r->o->filter, k);
	if (!r->view->own_filter)
		return;
	k->pid = 0;
	k->cgroup_path = NULL;
	k->nlocal = k->npeer = 0;
}

static int run_open_view(struct run *r)
{
	struct pipeline_config cfg = {
		.max_connections = r->o->max_connections,
		.until_reaped = r->o->until_reaped,
		.emit_open = r->o->open || r->view->open_conns,
		.want_steps = r->view->steps,
		.filter = run_filter(r),
		.kernel_filter = kernel_filters(r) ? &r->kernel : NULL,
	};

	if (run_forward(r))
		return -ENOMEM;
	r->s.out = sink_new(STDOUT_FILENO, r->o->nfrom ? SINK_REPLAY : 0);
	if (!r->s.out)
		return -ENOMEM;
	if (r->o->otlp)
		sink_set_rewrite(r->s.out, otlp_from_json);
	r->s.p = pipeline_new(&cfg, &r->ops, r);
	if (!r->s.p)
		return -ENOMEM;
	r->state = r->view->open(&r->s);
	return r->state ? 0 : -ENOMEM;
}

static int run_open_source(struct run *r, char *msg, size_t msg_len)
{
	const struct options *o = r->o;
	struct source_config cfg = {
		.ring_bytes = o->buffer_bytes,
		.mode = o->mode,
		.child_syn_recv = r->view->child_syn_recv,
		.snapshot = !o->no_snapshot && !r->view->no_snapshot,
		.segments = r->view->segments,
		.accept_wait = o->accept_wait,
		.stack = o->stack,
		.snapshot_only = r->view->snapshot_only,
		.whole_host = r->view->whole_host || o->only_findings,
		.destroy = r->view->destroy,
		.meter = o->verbose,
		.verbose = o->verbose,
		.filter = r->o->filter ? &r->kernel : NULL,
	};

	return source_live_open(&r->s.source, &cfg, msg, msg_len);
}

/* Before the source is, which gives the privileges away. */
static int run_open_recorder(struct run *r, char *msg, size_t msg_len)
{
	const struct options *o = r->o;
	struct recorder_config cfg = {
		.path = o->record,
		.command = o->command->name,
		.no_hostname = o->no_hostname,
		.filtered = r->o->filter != NULL,
		.rotate_bytes = o->rotate_bytes,
		.rotate_ns = (uint64_t)(o->rotate_s * 1e9),
		.keep = (unsigned)o->keep,
		.last_ns = (uint64_t)(o->last_s * 1e9),
	};

	return o->record ? recorder_open(&r->recorder, &cfg, msg, msg_len) : 0;
}

/* A recording says what its filter was before the pipeline is made; the live source wants to be
 * the last. */
static int run_open(struct run *r, char *msg, size_t msg_len)
{
	int err;

	r->s.o = r->o;
	run_kernel_filter(r);
	err = r->o->nfrom ? replay_open(r, msg, msg_len) : run_open_recorder(r, msg, msg_len);
	if (!err)
		err = run_open_view(r);
	if (!err && !r->o->nfrom)
		err = run_open_source(r, msg, msg_len);
	if (!err)
		err = confine_enter(r->o->record || r->o->serve.textfile, msg, msg_len);
	return err;
}

static void run_begin(struct run *r)
{
	double interval = r->o->interval_s > 0 ? r->o->interval_s : r->view->interval_s;
	const struct replay_info *replay = r->s.source->replay;

	r->started_ns = replay ? replay->started_ns : run_now();
	if (r->o->duration_s > 0)
		r->ends_ns = r->started_ns + (uint64_t)(r->o->duration_s * 1e9);
	if (r->o->only_findings && interval <= 0)
		interval = LOOK_S;
	if ((r->view->interval || r->o->only_findings) && interval > 0) {
		r->interval_ns = (uint64_t)(interval * 1e9);
		r->next_interval_ns = r->started_ns + r->interval_ns;
	}
	if (r->o->resolve && r->o->format == OUT_TEXT)
		r->s.names = resolver_new();
	if (!r->view->quiet && !replay)
		notice_hooks(&r->s);
	if (r->recorder)
		recorder_begin(r->recorder, r->s.source, r->s.p, r->started_ns, r->interval_ns);
	if (r->view->begin)
		r->view->begin(r->state);
	if (!r->view->quiet && !replay)
		notice_tracing();
}

/* ---- going round --------------------------------------------------------------- */

void run_refresh_stats(struct run *r)
{
	struct stats *st = pipeline_stats_mut(r->s.p);
	struct rusage ru;

	if (r->s.source && r->s.source->ops->stats)
		r->s.source->ops->stats(r->s.source, r->s.p);
	if (r->o->nfrom)
		return; /* what the recording says of itself, not what reading it cost */
	st->lost[LOSS_OUTPUT_SLOW] = sink_lost(r->s.out);
	if (!getrusage(RUSAGE_SELF, &ru))
		st->user_cpu_ns = (uint64_t)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * NS_PER_S +
				  (uint64_t)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) * 1000;
	if (r->recorder)
		recorder_stats(r->recorder, st);
}

/* A reader that is gone ends the run; anything else that stdout says is a failure. */
void run_flush(struct run *r)
{
	int err = sink_flush(r->s.out);

	if (!err)
		return;
	if (err == -EPIPE)
		r->reader_gone = true;
	else
		r->error = err;
	r->s.stop |= r->reader_gone || !r->counts_on;
}

/* SIGUSR1 prints the table, SIGUSR2 writes what --last holds; the others end the run: true. */
bool run_read_signals(struct run *r)
{
	struct signalfd_siginfo info;
	bool end = false;

	while (read(r->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo != SIGUSR1 && info.ssi_signo != SIGUSR2) {
			end = true;
			continue;
		}
		if (!r->s.source->replay) /* what has happened by now */
			r->s.source->ops->poll(r->s.source, r->s.p, 0);
		if (info.ssi_signo == SIGUSR2) {
			session_keep(&r->s, "SIGUSR2");
			continue;
		}
		run_refresh_stats(r);
		if (r->view->status)
			r->view->status(r->state);
		else
			notice_states(&r->s);
	}
	return end;
}

static int run_wait_ms(const struct run *r)
{
	uint64_t now = run_now(), until = now + ROUND_MS * 1000000ULL;

	if (r->ends_ns && r->ends_ns < until)
		until = r->ends_ns;
	if (r->next_interval_ns && r->next_interval_ns < until)
		until = r->next_interval_ns;
	return until > now ? (int)((until - now + 999999) / 1000000) : 0;
}

static void run_wait(struct run *r)
{
	struct source *src = r->s.source;
	struct pollfd fds[4] = {
		{ .fd = r->signal_fd, .events = POLLIN },
		{ .fd = src->ops->fd ? src->ops->fd(src) : -1, .events = POLLIN },
		{ .fd = sink_waits(r->s.out) ? sink_fd(r->s.out) : -1,
		  .events = sink_pending(r->s.out) ? POLLOUT : 0 },
		{ .fd = r->view->fd ? r->view->fd(r->state) : -1, .events = POLLIN },
	};

	if (poll(fds, 4, run_wait_ms(r)) <= 0)
		return;
	if (fds[0].revents && run_read_signals(r))
		r->s.stop = true;
	if (fds[2].revents & (POLLERR | POLLHUP)) {
		r->reader_gone = true;
		r->s.stop = true;
	}
}

static void run_snapshot(struct run *r)
{
	struct source *src = r->s.source;
	uint64_t began = run_now();

	src->ops->snapshot(src, r->s.p);
	r->snapshot_due = false;
	r->snapshot_from_ns = run_now() + (run_now() - began) * SNAPSHOT_REST;
}

/* Each file of a rotated recording can be read alone, however often it rotates: but if the sockets
 * fill it by themselves, snapshots take no more than one part in SNAPSHOT_REST of the time. */
static void run_rotated(struct run *r, uint64_t now)
{
	if (recorder_rotated(r->recorder))
		r->snapshot_due = r->view->resnapshot && r->s.source->ops->snapshot;
	if (r->snapshot_due && now >= r->snapshot_from_ns)
		run_snapshot(r);
}

void run_intervals(struct run *r, uint64_t now)
{
	struct source *src = r->s.source;

	if (!r->next_interval_ns || now < r->next_interval_ns || r->s.stop)
		return;
	/* Late rounds are not caught up with. */
	r->next_interval_ns += r->interval_ns;
	if (r->next_interval_ns <= now)
		r->next_interval_ns = now + r->interval_ns;
	if ((r->view->resnapshot || r->o->only_findings) && src->ops->snapshot)
		run_snapshot(r);
	run_refresh_stats(r);
	if (r->recorder)
		recorder_interval(r->recorder, now);
	run_interval_view(r);
}

/* Where the recording is all there is, there is nothing to go on for without it. */
static void run_heed_recorder(struct run *r)
{
	int err = r->recorder ? recorder_error(r->recorder) : 0;

	r->s.stop |= err && r->view->only_records;
	r->reader_gone |= err == -EPIPE && r->view->only_records;
}

static bool run_failed(const struct run *r)
{
	int err = r->recorder ? recorder_error(r->recorder) : 0;

	return r->error || (err && !(err == -EPIPE && r->reader_gone)) ||
	       (r->recorder && recorder_owes(r->recorder));
}

static int run_loop(struct run *r)
{
	struct source *src = r->s.source;

	while (!r->s.stop) {
		uint64_t now;
		int n;

		run_wait(r);
		n = src->ops->poll(src, r->s.p, 0);
		if (n == -ENODATA)
			break;
		if (n < 0 && n != -EINTR && n != -EAGAIN)
			return n;
		now = run_now();
		if (r->recorder) {
			recorder_round(r->recorder, now);
			run_rotated(r, now);
			run_heed_recorder(r);
		}
		run_intervals(r, now);
		if (r->view->turn)
			r->view->turn(r->state);
		run_flush(r);
		if (r->ends_ns && now >= r->ends_ns)
			break;
	}
	return 0;
}

/* ---- the end ------------------------------------------------------------------- */

static bool run_gives_up(void *run)
{
	return run_read_signals(run);
}

/* A reader that is only slow gets all; one that is stuck, or a second signal, ends it. What a
 * full disk did not take is lost as well. */
static void run_drain_stdout(struct run *r)
{
	int err = 0;

	if (!r->reader_gone && !r->error)
		err = sink_drain_patiently(r->s.out, run_gives_up, r);
	if (err == -EPIPE)
		r->reader_gone = true;
	else if (err && err != -ETIMEDOUT)
		r->error = err;
	sink_abandon(r->s.out);
}

static void run_finish(struct run *r)
{
	struct source *src = r->s.source;
	uint64_t now, ran_ns;

	if (src->ops->drain && !r->reader_gone && !(src->replay && r->s.stop))
		src->ops->drain(src, r->s.p);
	now = !src->replay ? run_now() : src->replay->end_ns ? src->replay->end_ns :
							       pipeline_now(r->s.p);
	ran_ns = now > r->started_ns ? now - r->started_ns : 0;
	if (r->recorder)
		recorder_finish(r->recorder, now);
	if (r->gate)
		gate_finish(r->gate);
	pipeline_finish(r->s.p, now);
	run_refresh_stats(r);
	replay_stay(r);
	if (r->view->finish)
		r->view->finish(r->state);
	run_drain_stdout(r);
	run_refresh_stats(r);
	if (r->recorder)
		recorder_end(r->recorder, run_gives_up, r);
	run_heed_recorder(r);
	if (r->error)
		notice_error("stdout", r->error);
	if (!r->reader_gone && !r->view->quiet)
		notice_summary(&r->s, ran_ns);
	if (r->recorder && !r->view->quiet && !(r->reader_gone && r->view->only_records))
		recorder_notice(r->recorder);
}

static void run_close(struct run *r)
{
	recorder_close(r->recorder);
	if (r->s.source)
		r->s.source->ops->close(r->s.source);
	if (r->state && r->view->close)
		r->view->close(r->state);
	gate_close(r->gate);
	resolver_free(r->s.names);
	pipeline_free(r->s.p);
	sink_free(r->s.out);
	if (r->signal_fd >= 0)
		close(r->signal_fd);
}

int session_run(const struct options *o, const struct view *view)
{
	struct run r = { .o = o, .view = view, .signal_fd = -1 };
	char msg[256] = "";
	int status = 2, err;

	err = run_signals(&r);
	if (!err)
		err = run_open(&r, msg, sizeof(msg));
	if (err) {
		notice_error(msg[0] ? msg : "start", msg[0] ? 0 : err);
		goto out;
	}
	run_begin(&r);
	if (r.s.status) /* it has said why it will not */
		goto out;
	err = o->nfrom ? replay_loop(&r) : run_loop(&r);
	if (err && !o->nfrom)
		notice_error("tracer", err);
	run_finish(&r);
	if (o->nfrom && r.s.source->replay->error[0]) {
		notice_error(r.s.source->replay->error, 0);
		err = -EBADMSG;
	}
	status = err || run_failed(&r) ? 2 : r.s.status;
out:
	run_close(&r);
	return status;
}
