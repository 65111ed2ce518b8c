/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file of a recording: a descriptor behind a bounded queue, so that a slow pipe
 * costs frames and never events; and its rotation, FILE being the newest and FILE.1,
 * FILE.2 ... older ones in the order in which they were written.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/recording.h"
#include "output/sink.h"
#include "recorder_impl.h"

enum { QUEUE = 64 << 20, DRAIN_MS = 2000, NUMBERS = 1000000 };

static int file_begin(struct recorder_file *f)
{
	bool is_stdout = !strcmp(f->path, "-");

	f->fd = is_stdout ? STDOUT_FILENO
			  : open(f->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
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
		recorder_file_close(f);
	} else if (sink_is_tty(f->sink)) {
		snprintf(msg, msg_len, "a recording is not for a terminal: give a file, or a pipe");
		recorder_file_close(f);
		err = -EINVAL;
	}
	return err;
}

void recorder_file_close(struct recorder_file *f)
{
	if (f->sink)
		sink_drain(f->sink, DRAIN_MS);
	sink_free(f->sink);
	f->sink = NULL;
	if (f->fd > STDERR_FILENO)
		close(f->fd);
	f->fd = -1;
}

static void numbered(const struct recorder_file *f, unsigned number, char *out, size_t size)
{
	snprintf(out, size, "%s.%u", f->path, number);
}

int recorder_file_rotate(struct recorder_file *f, unsigned keep)
{
	char away[sizeof(f->path) + 16];

	numbered(f, f->next_number, away, sizeof(away));
	while (!access(away, F_OK) && f->next_number < NUMBERS)
		numbered(f, ++f->next_number, away, sizeof(away));
	recorder_file_close(f);
	if (rename(f->path, away) && errno != ENOENT) /* somebody may have taken it away */
		return -errno;
	if (keep && f->next_number > keep) {
		numbered(f, f->next_number - keep, away, sizeof(away));
		unlink(away); /* it may be gone already */
	}
	f->next_number++;
	return file_begin(f);
}

bool recorder_file_put(struct recorder_file *f, const struct buf *bytes)
{
	uint64_t lost = sink_lost(f->sink);

	buf_put(sink_begin(f->sink), bytes->data, bytes->len);
	sink_commit(f->sink);
	f->bytes += bytes->len;
	return sink_lost(f->sink) == lost;
}
