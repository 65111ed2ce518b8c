/* SPDX-License-Identifier: Apache-2.0 */
/* What is open now, from a snapshot: counts, the oldest that wait, who holds how many, who listens. */
#ifndef TCPTRAIL_TEXT_OPEN_H
#define TCPTRAIL_TEXT_OPEN_H

#include "text.h"

enum { OPEN_OLDEST = 6, OPEN_PROCS = 256, OPEN_LISTENERS = 256 };

struct open_now {
	uint32_t count[ST_COUNT];
	uint64_t oldest_ns[ST_COUNT];      /* the earliest state_ns; 0 none */
	bool at_least[ST_COUNT];
	unsigned noldest, nprocs, nlisteners;
	uint32_t other_open;               /* ESTABLISHED of processes that the table had no room for */
	uint32_t more_listeners;
	struct conn oldest[OPEN_OLDEST];   /* that wait for somebody, oldest first */
	struct {
		uint32_t proc, count;
	} procs[OPEN_PROCS];
	struct conn listeners[OPEN_LISTENERS];
};

void open_now_add(struct open_now *o, const struct conn *c);
void open_now_put(struct open_now *o, const struct text *t, struct buf *b);

#endif
