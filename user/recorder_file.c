/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file of a recording: a descriptor behind a bounded queue, so that a slow pipe
 * costs frames and never events; and its rotation, FILE being the newest and FILE.1,
 * FILE.2 ... older ones in the order in which they were written.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/stream/recording.h"
#include "output/sink.h"
#include "recorder_impl.h"

enum { QUEUE = 64 << 20, NUMBERS = 1000000 };

static int file_begin(struct recorder_file *f)
{
	bool is_stdout = !strcmp(f->path, "-");

	f->fd = is_stdout ? STDOUT_FILENO
			  : open(f->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (f->fd < 0)
		return -errno;
	f->sink = sink_new(f->fd, QUEUE);
	f->bytes = 0;
	f->began_ns = 0;
	return f->sink ? 0 : -ENOMEM;
}

int recorder_file_open(struct recorder_file *f, const char *path, char *msg, size_t msg_len)
{
	int err = -ENAMETOOLONG;

	f->fd = -1;
	f->next_number = 1;
	if (strlen(path) < sizeof(f->path) - 16) {
		memcpy(f->path, path, strlen(path) + 1);
		err = file_begin(f);
	}
	if (err) {
		snprintf(msg, msg_len, "%.180s: %s", path, strerror(-err));
		recorder_file_close(f, NULL, NULL);
	} else if (sink_is_tty(f->sink)) {
		snprintf(msg, msg_len, "a recording is not for a terminal: give a file, or a pipe");
		recorder_file_close(f, NULL, NULL);
		err = -EINVAL;
	}
	return err;
}

/* What the queue holds is a frame's or several frames': those that came last. */
static void forget_written(struct recorder_file *f)
{
	size_t waiting = sink_waiting(f->sink), written;

	written = f->nevents > waiting ? f->nevents - waiting : 0;
	if (!written)
		return;
	f->nevents -= written;
	memmove(f->events, f->events + written, f->nevents * sizeof(*f->events));
}

int recorder_file_close(struct recorder_file *f, bool (*give_up)(void *arg), void *arg)
{
	int err = 0;

	if (f->sink) {
		err = sink_drain_patiently(f->sink, give_up, arg);
		forget_written(f);
		f->lost_bytes += sink_queued(f->sink);
	}
	while (f->nevents)
		f->lost_events += f->events[--f->nevents];
	sink_free(f->sink);
	f->sink = NULL;
	free(f->events);
	f->events = NULL;
	f->room = 0;
	/* A file system over a network says only here that it has no room. */
	if (f->fd > STDERR_FILENO && close(f->fd) && !err)
		err = -errno;
	f->fd = -1;
	return err;
}

static void numbered(const struct recorder_file *f, unsigned number, char *out, size_t size)
{
	snprintf(out, size, "%s.%u", f->path, number);
}

int recorder_file_rotate(struct recorder_file *f, unsigned keep)
{
	char away[sizeof(f->path) + 16];
	int err;

	numbered(f, f->next_number, away, sizeof(away));
	while (!access(away, F_OK) && f->next_number < NUMBERS)
		numbered(f, ++f->next_number, away, sizeof(away));
	err = recorder_file_close(f, NULL, NULL);
	if (err && err != -ETIMEDOUT)
		return err;
	if (rename(f->path, away) && errno != ENOENT) /* somebody may have taken it away */
		return -errno;
	if (keep && f->next_number > keep) {
		numbered(f, f->next_number - keep, away, sizeof(away));
		unlink(away); /* it may be gone already */
	}
	f->next_number++;
	return file_begin(f);
}

int recorder_file_empty(struct recorder_file *f)
{
	struct stat st;

	if (fstat(f->fd, &st) || !S_ISREG(st.st_mode) || f->fd <= STDERR_FILENO)
		return 0;
	return ftruncate(f->fd, 0) ? -errno : 0;
}

static bool make_room(struct recorder_file *f)
{
	size_t room = f->room ? f->room * 2 : 64;
	uint32_t *more;

	forget_written(f);
	if (f->nevents < f->room)
		return true;
	more = realloc(f->events, room * sizeof(*more));
	if (!more)
		return false;
	f->events = more;
	f->room = room;
	return true;
}

bool recorder_file_put(struct recorder_file *f, const struct buf *bytes, uint32_t events)
{
	uint64_t lost = sink_lost(f->sink);

	if (!make_room(f))
		return false;
	buf_put(sink_begin(f->sink), bytes->data, bytes->len);
	sink_commit(f->sink);
	f->bytes += bytes->len;
	if (sink_lost(f->sink) != lost)
		return false;
	f->events[f->nevents++] = events;
	return true;
}
