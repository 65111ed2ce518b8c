/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The recorder's inside, shared by recorder*.c and nobody else.
 */
#ifndef TCPTRAIL_RECORDER_IMPL_H
#define TCPTRAIL_RECORDER_IMPL_H

#include "core/write/buf.h"
#include "event.h"
#include "recorder.h"

struct sink;
struct zframe;

enum {
	RECORDER_FRAMES = 16384,           /* of the flight recorder's ring */
	RECORDER_RING_BYTES = 256 << 20,
	RECORDER_CGROUPS_BYTES = 1 << 20,  /* of paths that are told again in each file */
};

/* Where frames go (recorder_file.c). */
struct recorder_file {
	char path[4096];
	int fd;
	struct sink *sink;
	uint64_t bytes;       /* handed to it */
	uint64_t began_ns;    /* 0: nothing in it yet */
	unsigned next_number; /* of the next one that is rotated away */
	uint32_t *events;     /* in each frame that was handed to it: the last are in its queue */
	size_t nevents, room;
	uint64_t lost_events, lost_bytes; /* that were in the queue when it was closed */
};

/* A frame of the flight recorder's ring. */
struct kept_frame {
	char *data;
	uint32_t size;
	uint64_t ts_ns;
};

struct recorder {
	struct recorder_config cfg;
	const struct pipeline *p; /* that it taps */
	struct recorder_file file;
	struct zframe *z;
	struct buf preamble;     /* plain records: what each file begins with */
	struct buf cgroups;      /* ... and the paths told so far */
	struct event clock;      /* ... and the newest EV_CLOCK */
	struct buf plain;        /* the frame that is being filled */
	uint32_t in_plain;       /* records in it */
	uint32_t plain_events;   /* ... of them events */
	uint64_t plain_ns;       /* when its first record came */
	struct buf packed;
	uint64_t now_ns, gap;    /* events that are to be told as a gap */
	uint64_t events, lost;   /* offered, and of them not written */
	uint64_t bytes, files;
	int error, keep_error;
	bool rotated;            /* since this was asked */
	bool ended;
	/* the ring: frames[(first + i) % RECORDER_FRAMES] */
	struct kept_frame *frames;
	unsigned first, nframes;
	uint64_t ring_bytes;
	unsigned kept;
};

/* recorder_file.c */
int recorder_file_open(struct recorder_file *f, const char *path, char *msg, size_t msg_len);
/* A recording that was there goes, once it is certain that another one begins. */
int recorder_file_empty(struct recorder_file *f);
/* Moves the file to the next free number and begins it anew; forgets those beyond keep. */
int recorder_file_rotate(struct recorder_file *f, unsigned keep);
/* 0, or why something in the queue is lost: -ETIMEDOUT the reader is slow, else dead. */
int recorder_file_close(struct recorder_file *f, bool (*give_up)(void *arg), void *arg);
/* A frame with so many events. false: it had to be dropped (the reader is slow). */
bool recorder_file_put(struct recorder_file *f, const struct buf *bytes, uint32_t events);

/* recorder_preamble.c: fills r->preamble, which begins at r->now_ns. */
void recorder_preamble(struct recorder *r, const struct source *src, uint64_t interval_ns);

/* recorder_ring.c */
int recorder_ring_new(struct recorder *r);
void recorder_ring_free(struct recorder *r);
/* false: no memory. */
bool recorder_ring_put(struct recorder *r);

#endif
