/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run over files: the same view, with the stream's time in the place of the clock.
 *
 * Always: what a view is asked to do by time, it is asked at the places of the stream
 * where the live run asked it, if it was the same view, else by the stream's own
 * rounds; stdout is waited for, so nothing is lost; where its disk is full all the rest
 * of the files is read, and counted as lost. Never: the clock is read, but for --speed,
 * which only waits.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "session_impl.h"

enum { STEP_MS = 100, QUEUE_HIGH = 1 << 20 };

/* Has the stream an end that comes soon, whatever becomes of stdout? */
static bool is_finite(const struct options *o)
{
	struct stat st;

	for (unsigned i = 0; i < o->nfrom; i++)
		if (stat(o->from[i], &st) || !S_ISREG(st.st_mode))
			return false;
	return !o->speed;
}

static int stat_from(const char *path, struct stat *st)
{
	return strcmp(path, "-") ? stat(path, st) : fstat(STDIN_FILENO, st);
}

/* Merged with itself a file would be two of everything. Pipes and standard input are read once. */
static int refuse_twice(const struct options *o, char *msg, size_t msg_len)
{
	struct stat st[OPT_FROM_MAX];

	for (unsigned i = 0; i < o->nfrom; i++) {
		if (stat_from(o->from[i], &st[i]))
			st[i].st_mode = 0; /* whoever opens it says why */
		for (unsigned j = 0; S_ISREG(st[i].st_mode) && j < i; j++) {
			if (!S_ISREG(st[j].st_mode) || st[i].st_dev != st[j].st_dev ||
			    st[i].st_ino != st[j].st_ino)
				continue;
			snprintf(msg, msg_len, "--from: '%.80s': the same file as '%.80s'",
				 o->from[i], o->from[j]);
			return -EINVAL;
		}
	}
	return 0;
}

int replay_open(struct run *r, char *msg, size_t msg_len)
{
	const struct options *o = r->o;
	int err;

	if (r->view->destroy) {
		snprintf(msg, msg_len,
			 "--kill: expected without --from: a recording has no sockets");
		return -EINVAL;
	}
	r->counts_on = is_finite(o) && !r->view->fd;
	err = refuse_twice(o, msg, msg_len);
	if (!err)
		err = source_from_open(&r->s.source, o->from, o->nfrom, msg, msg_len);
	if (!err)
		r->s.at_end = strcmp(r->s.source->replay->command, o->command->name) != 0;
	return err;
}

/* A signal ends it; so does a reader that is gone. */
static void replay_wait(struct run *r, int timeout_ms)
{
	struct pollfd fds[3] = {
		{ .fd = r->signal_fd, .events = POLLIN },
		{ .fd = sink_waits(r->s.out) ? sink_fd(r->s.out) : -1,
		  .events = sink_pending(r->s.out) ? POLLOUT : 0 },
		{ .fd = r->view->fd ? r->view->fd(r->state) : -1, .events = POLLIN },
	};

	if (poll(fds, 3, timeout_ms) <= 0)
		return;
	if (fds[0].revents && run_read_signals(r))
		r->s.stop = true;
	if (fds[1].revents & (POLLERR | POLLHUP)) {
		r->reader_gone = true;
		r->s.stop = true;
	}
}

/* Does stdout's queue have to be waited for? */
static bool replay_is_full(const struct run *r)
{
	return sink_queued(r->s.out) > QUEUE_HIGH && !r->s.stop && !r->error;
}

void replay_make_room(struct run *r)
{
	while (replay_is_full(r)) {
		run_flush(r);
		if (replay_is_full(r))
			replay_wait(r, STEP_MS);
	}
}

/* A view with a keyboard has its turn. */
static void replay_turn(struct run *r, int timeout_ms)
{
	replay_wait(r, timeout_ms);
	if (r->view->turn && !r->s.stop)
		r->view->turn(r->state);
	run_flush(r);
}

void replay_stay(struct run *r)
{
	if (!r->view->stays || !r->o->nfrom || r->o->duration_s > 0)
		return;
	r->s.over = true;
	while (!r->s.stop)
		replay_turn(r, STEP_MS);
}

/* While the view asks for it; the time is none of the stream's. */
static void replay_hold(struct run *r, uint64_t *began_ns)
{
	uint64_t from_ns = run_now();

	if (!r->s.hold)
		return;
	while (r->s.hold && !r->s.stop)
		replay_turn(r, STEP_MS);
	*began_ns += run_now() - from_ns;
}

/* With --speed: until the stream's time has come. */
static void replay_pace(struct run *r, uint64_t *began_ns, uint64_t now_ns)
{
	uint64_t ran_ns = now_ns > r->started_ns ? now_ns - r->started_ns : 0;

	while (r->o->speed > 0 && !r->s.stop) {
		uint64_t due_ns = *began_ns + (uint64_t)((double)ran_ns / r->o->speed);
		uint64_t now = run_now(), left_ms = (due_ns - now + 999999) / 1000000;

		if (now >= due_ns)
			return;
		run_flush(r);
		replay_turn(r, left_ms < STEP_MS ? (int)left_ms : STEP_MS);
		replay_hold(r, began_ns);
	}
}

/* Returns true when -d is reached. */
static bool replay_round(struct run *r, uint64_t *began_ns, bool marked)
{
	const struct replay_info *info = r->s.source->replay;
	uint64_t now = info->no_rounds ? pipeline_now(r->s.p) : info->now_ns;

	replay_pace(r, began_ns, now);
	if (!marked)
		run_intervals(r, now);
	return r->ends_ns && now >= r->ends_ns;
}

int replay_loop(struct run *r)
{
	struct source *src = r->s.source;
	const struct replay_info *info = src->replay;
	bool marked = r->interval_ns && r->interval_ns == info->interval_ns, ending = false;
	uint64_t began_ns = run_now();

	while (!r->s.stop) {
		int n = src->ops->poll(src, r->s.p, 0);

		if (n == -ENODATA)
			return 0;
		if (n < 0)
			return n;
		/* After its last round the live run still read what there was. */
		if (ending && info->at == REPLAY_ROUND)
			return 0;
		if (info->at == REPLAY_ROUND || info->no_rounds)
			ending = replay_round(r, &began_ns, marked);
		if (ending && info->no_rounds)
			return 0;
		if (info->at == REPLAY_INTERVAL && marked && !r->s.stop)
			run_interval_view(r);
		run_flush(r);
		replay_turn(r, 0);
		replay_hold(r, &began_ns);
		replay_make_room(r);
	}
	return 0;
}
