/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The report of `stuck`: every socket of the table held against the rules, those that
 * hang grouped by process, kind and peer service, worst first; counts per state; and
 * what the host is short of. Pure; made anew each time.
 */
#ifndef TCPTRAIL_STUCK_H
#define TCPTRAIL_STUCK_H

#include "connection/conn.h"
#include "diagnose.h"
#include "process/holders.h"

struct filter;
struct pipeline;

enum { STUCK_UNSEEN = 64 };

/* A socket that hangs. */
struct stuck_item {
	struct finding finding;
	uint64_t cookie;      /* of its conn in the table */
	uint32_t proc;        /* index: a holder, else the last owner, else the listener's; 0 unknown */
	uint32_t nholders;
	uint32_t group;       /* index into report.groups */
	int64_t fd;           /* of that holder, -1 unknown */
};

/* What looks alike. */
struct stuck_group {
	struct finding finding;  /* the oldest's; severity: the group's */
	struct conn example;     /* the oldest's, as it was; of the host's own: .netns only */
	bool of_host;            /* no sockets: a limit of the host or a process */
	bool spread_peers;
	uint32_t proc;
	int64_t fd;              /* the oldest's */
	uint32_t first, count;   /* of report.items: oldest first */
	uint32_t recent;         /* came in the last minute */
	uint64_t oldest_ns, p95_ns;
	uint64_t time_wait;      /* FIND_PORT_EXHAUSTION */
};

/* A TIME_WAIT minisock: it is in no table. */
struct stuck_time_wait {
	uint64_t cookie, state_ns;
	uint32_t netns, expires_ms;
	uint8_t local[16], peer[16];
	uint16_t lport, pport;
};

struct stuck_report {
	struct stuck_item *items;
	struct stuck_group *groups;
	struct stuck_time_wait *time_waits; /* of the newest snapshot */
	uint32_t nitems, items_cap, ngroups, groups_cap, ntime_waits, time_waits_cap;
	uint32_t states[ST_COUNT];
	uint32_t recent[ST_COUNT];      /* entered in the last minute, as far as is known */
	uint32_t by_severity[SEV_COUNT];/* sockets */
	uint32_t unseen[STUCK_UNSEEN];  /* namespaces of held sockets that were not walked */
	uint32_t nunseen;
	uint32_t orphans, shared;       /* sockets without a process; with several */
	uint64_t oldest_ns;             /* of warning and worse */
	uint64_t dropped;               /* what found no room: memory */
	uint64_t made_ns;
};

struct stuck_query {
	const struct filter *filter;    /* NULL: all */
	const struct filter *also;      /* ... and this one too, if it is not NULL */
	int64_t min_age_ns;             /* negative: each rule's own */
};

void stuck_free(struct stuck_report *r);

/* A snapshot begins: forget its TIME_WAIT. Then each one that it tells. */
void stuck_begin(struct stuck_report *r);
void stuck_time_wait(struct stuck_report *r, const struct conn *c);

/* Fills r from the table. 0 or -ENOMEM. */
int stuck_collect(struct stuck_report *r, struct pipeline *p, const struct stuck_query *q);

/* Does the query's filter want it? By any holder. */
bool stuck_wanted(const struct pipeline *p, const struct stuck_query *q, const struct conn *c);
/* The conn that a TIME_WAIT stands for. */
void stuck_time_wait_conn(const struct stuck_time_wait *t, struct conn *out);
/* Is the newest segment's time the time when it entered this state? Not where data may have come
 * since, or where a call begins it. */
bool stuck_tells_entry(unsigned state);
/* A network namespace that is not the user's own? (ss needs nsenter to speak of it.) */
bool stuck_elsewhere(const struct pipeline *p, uint32_t netns);
/* What the sentences are made of. The second is of one socket, whose conn c is. */
void stuck_told_group(struct told *t, const struct stuck_group *g, const struct pipeline *p);
void stuck_told_item(struct told *t, const struct stuck_item *i, const struct conn *c,
		     const struct pipeline *p);

/* The stack (--stack) that most of a group's sockets have, as pipeline_stack() gives it, and how many
 * they are; NULL: none has one. */
const char *stuck_stack(const struct stuck_report *r, const struct stuck_group *g,
			const struct pipeline *p, uint32_t *count);

/* stuck_host.c: the host's own findings, appended as groups. 0 or -ENOMEM. */
int stuck_host(struct stuck_report *r, struct pipeline *p, const struct stuck_query *q);
struct stuck_group *stuck_group_add(struct stuck_report *r);

#endif
