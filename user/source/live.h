/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The live source's own state, shared by its files: loading, reading the ring,
 * snapshots, lookups.
 */
#ifndef TCPTRAIL_LIVE_H
#define TCPTRAIL_LIVE_H

#include "btf.h"
#include "callers.h"
#include "cgroup.h"
#include "facts.h"
#include "hooks.h"
#include "lookup.h"
#include "netns.h"
#include "source.h"
#include "sweep.h"

struct bpf_link;
struct bpf_program;
struct event;
struct pipeline;
struct ring_buffer;
struct tracer;

enum {
	LIVE_HOOKS = 32,
	LIVE_RING_DEFAULT = 8 << 20,
	LIVE_RING_MAX = 512 << 20,   /* it is memory that cannot be swapped */
	LIVE_ROUND_MS = 50,          /* nothing waits longer than this in the ring */
	LIVE_REASONS = 256,
	LIVE_CGROUPS = 64,           /* that wait for the next walk of the cgroup tree */
};

struct live {
	struct source source;        /* first: ops get this pointer */
	struct source_config cfg;
	struct tracer *skel;
	struct hook_info infos[LIVE_HOOKS];
	struct bpf_program *progs[LIVE_HOOKS];
	struct bpf_link *links[LIVE_HOOKS];
	struct btf_names rst_reasons;
	struct btf_names drop_reasons;
	struct ring_buffer *ring;
	uint64_t ring_bytes;
	int epoll_fd;                /* of the ring, edge-triggered */
	int stats_fd;                /* while open, the kernel meters programs */
	bool sampled;                /* ... or on_set_state meters itself, one run in 1,024 */
	bool has_cookie, has_task_btf, has_task_regs;
	bool started;                /* the first poll has fed the clock and the snapshot */
	struct pipeline *into;       /* valid during a consume only */
	unsigned batch;              /* ... how many records it may still take */
	struct lookup lookup;
	struct cgroup_paths cgroups;
	uint64_t cgroups_wait[LIVE_CGROUPS];
	unsigned ncgroups_wait;
	uint64_t cgroup_last;        /* of the last record that named one */
	struct netns_set netns;      /* the others that could be entered */
	struct fact_rows facts;
	struct callers *callers;     /* cfg.stack; else NULL */
	struct sweep sweep;          /* of connections whose end may have gone untold */
	int64_t clock_offset_ns;
	uint64_t wakeups;
	uint64_t lost_told, misses_told;
	uint64_t misses_next_ns;     /* when to ask for the recursion misses again */
};

/* load.c: from configuration to attached hooks. 0, or -errno with a line in msg. */
int live_load(struct live *l, char *msg, size_t msg_len);
void live_unload(struct live *l);
/* Detaches all; the programs and what they counted stay until live_unload(). */
void live_detach(struct live *l);

/* Run times and recursion misses into infos; the sum of the misses. */
uint64_t live_meter(struct live *l);

/* Reads what the ring holds now into p, at most so many records. How many, or -errno. */
int live_consume(struct live *l, struct pipeline *p, unsigned most);
/* All that it holds now: what comes meanwhile may be left. -errno, else not negative. */
int live_consume_all(struct live *l, struct pipeline *p);
uint64_t live_now(void); /* monotonic */
/* Records that found no room in the ring, since it was opened. */
uint64_t live_ring_lost(const struct live *l);
/* A record of user space's own: kind and time are set, the rest is clear. */
void live_event(struct event *e, unsigned kind);
/* Who answers for sockets of this namespace. */
struct lookup *live_lookup_of(struct live *l, uint32_t netns);
/* An answer, through the stream. */
void live_tell_lookup(struct pipeline *p, const struct lookup_request *r,
		      const struct lookup_answer *a);

/* whole.c. Before the capabilities go: what needs them is opened. */
int live_whole_open(struct live *l);
void live_whole_close(struct live *l);
void live_whole_tell(struct live *l, struct pipeline *p);
int live_destroy(struct source *s, const struct conn *c);

/* snapshot.c */
int live_snapshot(struct live *l, struct pipeline *p);
/* Every socket of our namespace through the ring, to on_record(). 0 or -errno. */
int live_iterate_tcp(struct live *l, struct pipeline *p);

#endif
