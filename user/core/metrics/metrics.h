/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metrics of the interface: what counts is fed as the pipeline tells it, what is
 * gauged is looked at in the table now and then; the text is Prometheus 0.0.4. Pure.
 * No address, port, pid, cookie or container id is ever a label.
 */
#ifndef TCPTRAIL_METRICS_H
#define TCPTRAIL_METRICS_H

#include "pipeline/pipeline.h"
#include "tally.h"

struct buf;
struct stuck_report;

enum { HISTOGRAM_BUCKETS = 13, METRIC_REASONS = 64, METRIC_LISTENERS = 4096 };

struct histogram {
	uint64_t at_most[HISTOGRAM_BUCKETS]; /* not cumulative */
	uint64_t count;
	uint64_t sum_ns;
};

/* A listener's drops when last looked at, so that the counter only grows. */
struct metric_listener {
	uint64_t cookie;
	uint32_t drops;
	uint32_t look; /* the last look that saw it */
};

struct metrics {
	uint64_t closed[ROLE_COUNT][CS_COUNT];
	uint64_t failures[END_REASONS];
	uint64_t resets[2][METRIC_REASONS + 1]; /* by the kernel's number; the last: any greater */
	struct histogram handshake[ROLE_COUNT];
	struct histogram state[ST_COUNT];

	uint64_t connections[ST_COUNT][ROLE_COUNT];
	uint64_t stuck_oldest_ns[ST_COUNT];
	struct tally stuck, workload, accept_queue;
	char overflow_places[TALLY_PLACES][TALLY_NAME_LEN];
	uint64_t overflows[TALLY_PLACES + 1];
	struct metric_listener *listeners; /* METRIC_LISTENERS */
	uint32_t looks, tracked;
};

int metrics_init(struct metrics *m); /* 0 or -ENOMEM */
void metrics_free(struct metrics *m);

/* From the view's callbacks of these names. */
void metrics_change(struct metrics *m, const struct conn *c, const struct change *ch);
void metrics_conn_end(struct metrics *m, const struct conn *c, const struct verdict *v);

/* The gauges: one pass over the table. stuck: made of the same table just now. filter may be
 * NULL. workload: what a cgroup is called, "" for none (the caller knows pods). */
struct metrics_look {
	struct pipeline *p;
	const struct filter *filter;
	const struct stuck_report *stuck;
	const char *(*workload)(void *arg, const struct cgroup *g);
	void *arg;
};
void metrics_look(struct metrics *m, const struct metrics_look *look);

/* What the metrics do not know themselves. */
struct metrics_tracer {
	const struct stats *stats;
	uint64_t lost[LOSS_REASONS];
	const char *version, *mode;
	/* The kernel's name of a reset reason; NULL or "": none. */
	const char *(*reset_reason)(void *arg, unsigned reason);
	void *arg;
};
void metrics_write(const struct metrics *m, const struct metrics_tracer *t, struct buf *b);

/* Upper bounds in seconds (metrics_text.c). */
extern const double handshake_buckets[HISTOGRAM_BUCKETS], state_buckets[HISTOGRAM_BUCKETS];

/* The states that state_duration_seconds tells of. */
bool metrics_teardown_state(unsigned state);

#endif
