/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Has the kernel still got what we count? The sum of TIME_WAITs is held against
 * sockstat's each second. What the table of connections holds is asked for all the time,
 * a few at a time, so that an end that no event told does not stay for ever.
 *
 * One question is not enough to say no: the event may be on its way, and sock_diag
 * does not find a socket that is bound to a device. So what is not found is a
 * suspect, asked for again after SWEEP_WAIT_S, when the ring was read empty since;
 * if it still is not found, iter/tcp walks every socket of our namespace once, and
 * only what it does not show either is gone.
 */
#ifndef TCPTRAIL_SWEEP_H
#define TCPTRAIL_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "core/table/slots.h"

struct event;
struct live;
struct pipeline;
struct suspect;

struct sweep {
	struct suspect *suspects;    /* oldest first; NULL until the first */
	unsigned nsuspects;
	struct slots walked;         /* while iter/tcp walks: the suspects, by their cookies */
	bool walks;
	uint32_t cursor;
	uint64_t spent_ns;           /* asking, this time round */
	uint64_t step_ns, walk_ns, count_ns; /* not before */
};

/* After the ring was read empty: what is due, if anything is. */
void sweep_turn(struct sweep *s, struct live *l, struct pipeline *p);
/* While it walks: is this a record of the walk, and not for the pipeline? */
bool sweep_takes(struct sweep *s, const struct event *e);
void sweep_free(struct sweep *s);

#endif
