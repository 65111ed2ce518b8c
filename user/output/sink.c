/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records on their way to a file descriptor that may be slow.
 *
 * Always: the queue holds whole records, at most `cap` bytes of them; what does not
 * fit is dropped whole and counted; once a record was begun on the wire the rest of
 * it follows before anything else.
 *
 * Never: O_NONBLOCK on the descriptor itself. It is shared with whoever started us
 * (the shell's terminal, the other end of `2>&1`), and the flag would be theirs too.
 * So each kind of descriptor has its own way of not blocking:
 *   file, device  written at once: the kernel takes it or says why not
 *   pipe          POLLOUT promises room for PIPE_BUF; an empty pipe takes its size
 *   socket        MSG_DONTWAIT is per call
 *   terminal      opened again, for an open file description of our own
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "sink.h"

enum {
	SINK_CAP = 16 << 20,  /* a second of everything at churn; touched only when a reader lags */
	SINK_PIPE_BYTES = 1 << 20,  /* a pipe made this large needs its reader less often */
	SINK_EAGER = 64 << 10, /* this much pending: write before the round is over */
	SINK_TTY_CHUNK = 256,  /* a terminal that we could not open again */
	DRAIN_STEP_MS = 100,
	DRAIN_IDLE_MS = 2000,  /* without progress */
	DRAIN_ALL_MS = 30000,  /* with it */
};

enum sink_kind { SINK_FILE, SINK_PIPE, SINK_SOCKET, SINK_TTY };

struct sink {
	int fd;
	int own_fd;        /* the terminal opened again; -1 if not */
	enum sink_kind kind;
	bool is_tty, muted;
	size_t cap;
	struct buf queue;  /* [head, len) waits */
	size_t head;
	size_t mark;       /* where the record being formatted begins */
	size_t eager_at;   /* pending bytes at which a commit tries to write */
	uint32_t *lens;    /* lengths of the queued records, oldest at lens_head */
	size_t lens_head, lens_len, lens_cap;
	size_t partial;    /* bytes of the oldest record that are written */
	uint64_t records, lost;
	sink_rewrite_fn rewrite; /* NULL: as they are */
	struct buf scratch;
	int error;         /* sticky: the descriptor is dead */
};

static enum sink_kind sink_kind_of(int fd)
{
	struct stat st;

	if (isatty(fd))
		return SINK_TTY;
	if (fstat(fd, &st))
		return SINK_FILE;
	return S_ISFIFO(st.st_mode) ? SINK_PIPE : S_ISSOCK(st.st_mode) ? SINK_SOCKET : SINK_FILE;
}

struct sink *sink_new(int fd, size_t cap)
{
	struct sink *s = calloc(1, sizeof(*s));
	char path[40];

	if (!s)
		return NULL;
	s->fd = fd;
	s->own_fd = -1;
	s->cap = cap ? cap : SINK_CAP;
	s->eager_at = SINK_EAGER;
	s->kind = sink_kind_of(fd);
	s->is_tty = s->kind == SINK_TTY;
	if (s->kind == SINK_PIPE)
		(void)fcntl(fd, F_SETPIPE_SZ, SINK_PIPE_BYTES); /* refused past the user's limit: as it was */
	if (s->is_tty) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		s->own_fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	}
	return s;
}

void sink_free(struct sink *s)
{
	if (!s)
		return;
	if (s->own_fd >= 0)
		close(s->own_fd);
	buf_free(&s->queue);
	buf_free(&s->scratch);
	free(s->lens);
	free(s);
}

size_t sink_queued(const struct sink *s)
{
	return s->queue.len - s->head;
}

size_t sink_waiting(const struct sink *s)
{
	return s->lens_len - s->lens_head;
}

/* ---- records in ---------------------------------------------------------------- */

struct buf *sink_begin(struct sink *s)
{
	if (s->head == s->queue.len) {
		s->head = s->queue.len = 0;
	} else if (s->head > s->cap / 2) {
		memmove(s->queue.data, s->queue.data + s->head, sink_queued(s));
		s->queue.len -= s->head;
		s->head = 0;
	}
	s->mark = s->queue.len;
	return &s->queue;
}

static bool sink_remember(struct sink *s, size_t len)
{
	size_t cap;
	uint32_t *lens;

	if (s->lens_head == s->lens_len) {
		s->lens_head = s->lens_len = 0;
	} else if (s->lens_len == s->lens_cap && s->lens_head) {
		s->lens_len -= s->lens_head;
		memmove(s->lens, s->lens + s->lens_head, s->lens_len * sizeof(*s->lens));
		s->lens_head = 0;
	}
	if (s->lens_len == s->lens_cap) {
		cap = s->lens_cap ? s->lens_cap * 2 : 256;
		lens = realloc(s->lens, cap * sizeof(*lens));
		if (!lens)
			return false;
		s->lens = lens;
		s->lens_cap = cap;
	}
	s->lens[s->lens_len++] = (uint32_t)len;
	return true;
}

void sink_set_rewrite(struct sink *s, sink_rewrite_fn rewrite)
{
	s->rewrite = rewrite;
}

/* The record in its other form, where it was; without memory or sense the queue counts as
 * failed, so that the record is lost and not half. */
static void sink_rewritten(struct sink *s)
{
	struct buf *q = &s->queue;

	s->scratch.len = 0;
	s->scratch.failed = false;
	if (s->rewrite(&s->scratch, q->data + s->mark, q->len - s->mark))
		q->failed = true;
	q->failed |= s->scratch.failed;
	q->len = s->mark;
	buf_put(q, s->scratch.data, s->scratch.len);
}

void sink_commit(struct sink *s)
{
	size_t len = s->queue.len - s->mark;

	if (s->muted || !len) {
		s->queue.len = s->mark;
		return;
	}
	if (s->rewrite && !s->queue.failed) {
		sink_rewritten(s);
		len = s->queue.len - s->mark;
	}
	if (s->queue.failed || s->error || sink_queued(s) > s->cap || !sink_remember(s, len)) {
		s->queue.failed = false;
		s->queue.len = s->mark;
		s->lost++;
		return;
	}
	s->records++;
	if (sink_queued(s) >= s->eager_at) {
		sink_flush(s);
		/* A reader that took nothing is not asked again for every record. */
		s->eager_at = sink_queued(s) + SINK_EAGER;
	}
}

/* ---- bytes out ----------------------------------------------------------------- */

static void sink_written(struct sink *s, size_t n)
{
	s->head += n;
	s->partial += n;
	while (s->lens_head < s->lens_len && s->partial >= s->lens[s->lens_head])
		s->partial -= s->lens[s->lens_head++];
}

/* How much a write may offer now without being made to wait; 0: nothing, -errno: dead. */
static ssize_t sink_room(const struct sink *s)
{
	struct pollfd p = { .fd = s->fd, .events = POLLOUT };
	int inside, size;

	if (s->kind == SINK_FILE || s->kind == SINK_SOCKET || s->own_fd >= 0)
		return SSIZE_MAX;
	if (poll(&p, 1, 0) < 0)
		return errno == EINTR ? 0 : -errno;
	if (p.revents & (POLLERR | POLLNVAL))
		return p.revents & POLLNVAL ? -EBADF : -EPIPE;
	if (!(p.revents & POLLOUT))
		return 0;
	if (s->kind == SINK_TTY)
		return SINK_TTY_CHUNK;
	if (ioctl(s->fd, FIONREAD, &inside) || inside)
		return PIPE_BUF;
	size = fcntl(s->fd, F_GETPIPE_SZ);
	return size > PIPE_BUF ? size : PIPE_BUF;
}

static ssize_t sink_write(const struct sink *s, const char *data, size_t len)
{
	ssize_t n;

	if (s->kind == SINK_SOCKET)
		n = send(s->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	else
		n = write(s->own_fd >= 0 ? s->own_fd : s->fd, data, len);
	if (n >= 0)
		return n;
	if (errno == EAGAIN || errno == EINTR)
		return 0;
	return errno == ECONNRESET ? -EPIPE : -errno;
}

int sink_flush(struct sink *s)
{
	while (!s->error && sink_queued(s)) {
		ssize_t n = sink_room(s);

		if (n > 0) {
			size_t len = sink_queued(s);

			len = len < (size_t)n ? len : (size_t)n;
			n = sink_write(s, s->queue.data + s->head, len);
		}
		if (n < 0)
			s->error = (int)n;
		if (n <= 0)
			break;
		sink_written(s, (size_t)n);
	}
	if (!sink_queued(s))
		s->eager_at = SINK_EAGER;
	return s->error;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int sink_drain(struct sink *s, int timeout_ms)
{
	int64_t until = now_ms() + timeout_ms;

	for (;;) {
		struct pollfd p = { .fd = sink_fd(s), .events = POLLOUT };
		int64_t left = until - now_ms();
		int err = sink_flush(s);

		if (err || !sink_queued(s))
			return err;
		if (left <= 0)
			return -ETIMEDOUT;
		/* A pipe that is polled writable but has no whole page left is asked again. */
		if (poll(&p, 1, left < 100 ? (int)left : 100) < 0 && errno != EINTR)
			return -errno;
	}
}

int sink_drain_patiently(struct sink *s, bool (*give_up)(void *arg), void *arg)
{
	size_t left = sink_queued(s);
	int idle_ms = 0, err = -ETIMEDOUT;

	for (int ms = 0; ms < DRAIN_ALL_MS && idle_ms < DRAIN_IDLE_MS; ms += DRAIN_STEP_MS) {
		err = sink_drain(s, DRAIN_STEP_MS);
		if (err != -ETIMEDOUT || (give_up && give_up(arg)))
			break;
		idle_ms = sink_queued(s) < left ? 0 : idle_ms + DRAIN_STEP_MS;
		left = sink_queued(s);
	}
	return err;
}

void sink_abandon(struct sink *s)
{
	uint64_t n = sink_waiting(s);

	s->lost += n;
	s->records -= n;
	s->lens_head = s->lens_len = 0;
	s->head = s->queue.len = 0;
	s->partial = 0;
}

void sink_mute(struct sink *s)
{
	s->muted = true;
}

uint64_t sink_records(const struct sink *s)
{
	return s->records;
}

uint64_t sink_lost(const struct sink *s)
{
	return s->lost;
}

bool sink_pending(const struct sink *s)
{
	return sink_queued(s) > 0;
}

bool sink_is_tty(const struct sink *s)
{
	return s->is_tty;
}

int sink_fd(const struct sink *s)
{
	return s->own_fd >= 0 ? s->own_fd : s->fd;
}

bool sink_waits(const struct sink *s)
{
	return s->kind != SINK_FILE;
}
