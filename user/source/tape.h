/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One recording, read from its beginning: records out, one after the other.
 */
#ifndef TCPTRAIL_TAPE_H
#define TCPTRAIL_TAPE_H

#include <stdbool.h>
#include <stdio.h>

#include "core/stream/recording.h"

struct zframe;

struct tape {
	FILE *f;
	const char *name;       /* the caller's; "-" for stdin */
	struct zframe *z;
	uint64_t offset;        /* of the frame that is being read */
	uint64_t next_offset;   /* of the one after it */
	uint8_t *packed, *plain;
	uint32_t packed_cap, plain_cap;
	struct record_reader reader;
	uint32_t in_frame;      /* records, as its head has it */
	uint64_t frames, records;
	bool over;              /* nothing comes any more */
	bool cut;               /* ... because the file ends in the middle of something */
	bool closed;            /* a REC_CLOSED was read */
};

/* Takes f. 0, or -errno with a line in msg (no name of the program, no newline). */
int tape_open(struct tape *t, FILE *f, const char *name, char *msg, size_t msg_len);
void tape_close(struct tape *t);

/* 1 and *out, valid until the next call; 0 at the end (t->cut says how); -EBADMSG or another
 * -errno with a line in msg. */
int tape_next(struct tape *t, struct record *out, char *msg, size_t msg_len);

#endif
