/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decode -> connection table -> timeline -> views. The one path that every event
 * takes, live or from a file. No clock, no files: `now` comes with the events.
 */
#ifndef TCPTRAIL_PIPELINE_H
#define TCPTRAIL_PIPELINE_H

#include "connection/conn.h"
#include "connection/conntab.h"
#include "process/proc.h"
#include "connection/verdict.h"
#include "event.h"

struct filter;
struct holders;
struct pipeline;
struct stacks;
struct sysfacts;

enum change_kind {
	CHANGE_STATE,      /* tcp.state_change */
	CHANGE_RETRANSMIT, /* tcp.retransmit */
	CHANGE_RESET,      /* tcp.reset */
	CHANGE_DROP,       /* tcp.drop */
	CHANGE_KINDS,
};

/* One thing that happened to a connection, already understood. */
struct change {
	enum change_kind kind;
	uint64_t ts_ns;
	uint8_t from, to;         /* enum tcp_state; true states. Equal for a close() of a half-closed socket */
	uint8_t trigger;          /* enum trigger */
	uint8_t retransmit;       /* CHANGE_RETRANSMIT: enum retransmit_kind */
	bool received;            /* CHANGE_RESET: direction */
	bool inferred;            /* not an event of this socket: from its pair, a lookup or a timer */
	bool has_seq;
	uint32_t seq;             /* CHANGE_RETRANSMIT, _RESET, _DROP */
	uint32_t reason;          /* CHANGE_RESET: enum sk_rst_reason; CHANGE_DROP: enum skb_drop_reason; 0 unknown */
	uint32_t actor;           /* proc index; 0: nobody (a packet, a timer) */
	int64_t state_duration_ns;/* CHANGE_STATE: time in `from`; -1 not known */
	bool duration_at_least;
};

/* What a listener is worth, when a snapshot or a full-mode hook tells. Kept beside the table. */
struct listener {
	uint64_t cookie;
	uint64_t ts_ns;           /* of the queues below */
	uint32_t accept_queue, accept_limit, syn_queue, syn_young;
	uint32_t drops;           /* sk_drops now */
	uint32_t drops_first;     /* sk_drops when first seen */
	uint32_t overflows;       /* final ACKs and SYNs refused since attach (full mode) */
	uint32_t cookies_sent;    /* (full mode) */
	uint32_t accepted;        /* connections that reached ESTABLISHED through it, since attach */
	uint64_t accept_waits;    /* how many have an accept wait */
	uint64_t accept_wait_sum_ns, accept_wait_max_ns;
	uint32_t waiting;         /* ESTABLISHED and not accepted, as far as we know */
	bool shared;              /* others listen there too, and which took a connection nobody tells:
				   * accepted, the waits and waiting are not known */
};

/* The ledger and the tracer's own figures (tracer.stats). */
struct stats {
	uint64_t events;            /* records decoded */
	uint64_t bytes;
	uint64_t by_kind[EV_KIND_MAX];
	uint64_t lost[LOSS_REASONS];
	uint64_t changes, connections_opened[ROLE_COUNT], connections_closed, retransmits[RT_COUNT];
	uint64_t transitions[ST_COUNT][ST_COUNT]; /* true states; [ST_NONE][x]: found there already */
	uint64_t resets[2];         /* sent, received */
	uint64_t drops;
	uint32_t now_in_state[ST_COUNT];          /* true states; SYN_RECV counts request socks where seen */
	/* told by the source, 0 if it cannot know */
	uint64_t bpf_ns, bpf_runs, wakeups, user_cpu_ns;
	uint32_t hooks_attached, hooks_missing;
	bool full_mode;
};

/* How a view listens. Any member may be NULL. Arguments are const and valid only
 * during the call; a view never changes the pipeline. */
struct view_ops {
	void (*change)(void *view, const struct conn *c, const struct change *ch);
	void (*conn_end)(void *view, const struct conn *c, const struct verdict *v);
	void (*snapshot)(void *view, const struct conn *c);     /* a socket that was there before; once each, after EV_SNAPSHOT_END */
	void (*snapshot_done)(void *view);
	void (*tick)(void *view, uint64_t now_ns);
};

struct pipeline_config {
	uint32_t max_connections;  /* 0: default 262,144 */
	bool until_reaped;         /* hold tcp.connection until the minisock is gone */
	bool emit_open;            /* at stop, write those still open */
	bool want_steps;           /* remember steps: timelines; off saves the hot path */
	const struct filter *filter; /* may be NULL */
	const struct kernel_filter *kernel_filter; /* what of it the kernel already does; may be NULL */
};

struct pipeline *pipeline_new(const struct pipeline_config *cfg, const struct view_ops *ops,
			      void *view);
void pipeline_free(struct pipeline *p);

/* One record as the ring or a file gave it: hostile until decoded. 0, or -EBADMSG (counted as
 * malformed, nothing changed). */
int pipeline_feed(struct pipeline *p, const void *data, uint32_t size);
/* The stream is over: settle what is pending, write what is open if asked. */
void pipeline_finish(struct pipeline *p, uint64_t now_ns);

const struct stats *pipeline_stats(const struct pipeline *p);
struct stats *pipeline_stats_mut(struct pipeline *p); /* for the source's own figures */
struct conntab *pipeline_conns(const struct pipeline *p);
struct proctab *pipeline_procs(const struct pipeline *p);
const struct holders *pipeline_holders(const struct pipeline *p); /* of the newest snapshot */
const struct sysfacts *pipeline_facts(const struct pipeline *p);
/* The same connection's other end on this host; NULL if none. */
const struct conn *pipeline_peer(const struct pipeline *p, const struct conn *c);
/* The listeners that could have made this child: how many, the one if there is no other, and the
 * owner if all have the same (0: not known). */
struct made_by {
	struct conn *one;
	uint32_t owner, count;
};
struct made_by pipeline_listener_of(const struct pipeline *p, const struct conn *c);
/* Does the user want to hear of this one, which lives? */
bool pipeline_passes_now(const struct pipeline *p, const struct conn *c);
/* How many sockets are in each state now, of those that the FILTER wants and that this one does
 * (NULL: all of them). A connection whose TIME_WAIT no record waits for is counted if the FILTER
 * wanted it when that began; `also` cannot be asked of it any more, so with it they are left out. */
void pipeline_count_states(const struct pipeline *p, const struct filter *also,
			   uint64_t count[ST_COUNT]);
uint64_t pipeline_now(const struct pipeline *p);          /* newest event's time, monotonic ns */
int64_t pipeline_clock_offset(const struct pipeline *p);  /* realtime - monotonic, ns */
/* Listener data of this conn (role ROLE_LISTENER); NULL if none. */
const struct listener *pipeline_listener(const struct pipeline *p, const struct conn *c);

/* Pending minisocks of which base mode needs an exact lookup. The source asks for due ones,
 * looks them up (sock_diag) and feeds EV_TW_LOOKUP. false: none due. */
struct lookup_request {
	uint64_t cookie;
	uint32_t netns;
	uint8_t local[16], peer[16];
	uint16_t lport, pport;
	uint32_t bound_dev;  /* the kernel finds a bound socket by its interface only */
};
bool pipeline_next_lookup(struct pipeline *p, uint64_t now_ns, struct lookup_request *out);
/* Within a snapshot: the orphans of other namespaces, which no iterator of ours walks again. The
 * source looks each up. cursor: 0 at first. false: no more. */
bool pipeline_next_orphan(struct pipeline *p, uint32_t *cursor, struct lookup_request *out);
/* Connections of this namespace that nothing waits for and that have been in their state since
 * before_ns: has the kernel still got them? Start with *cursor 0; looks at *looks entries of the
 * table at most and counts them off. false: none among these, and when looks are left, the end. */
bool pipeline_next_settled(const struct pipeline *p, uint32_t *cursor, unsigned *looks,
			   uint32_t netns, uint64_t before_ns, struct lookup_request *out);
/* How many TIME_WAIT that the FILTER wants are only counted, no record waiting for them. */
uint32_t pipeline_time_wait_counted(const struct pipeline *p);
/* How many TIME_WAIT of our own namespace are only counted: FACT_TIME_WAIT corrects it. */
uint32_t pipeline_time_wait_here(const struct pipeline *p);
/* Is it still one of them? */
bool pipeline_settled(const struct pipeline *p, uint64_t cookie, uint32_t netns,
		      uint64_t before_ns, struct lookup_request *out);
/* A replay's: this connection was asked for, as pipeline_next_lookup() did then. */
void pipeline_lookup_asked(struct pipeline *p, uint64_t cookie);
/* A cgroup's path, through the stream. 0 or -ENOMEM/-E2BIG. */
int pipeline_tell_cgroup(struct pipeline *p, uint64_t id, const char *path);

/* --stack: the calls that made this socket, as core/process/stack.h reads them; NULL: not told. Valid until
 * the next record is fed. */
const char *pipeline_stack(const struct pipeline *p, uint64_t cookie);
bool pipeline_knows_stack(const struct pipeline *p, uint64_t id);
/* All texts that are known, for a recording's next file. Start with *cursor 0; NULL at the end. */
const char *pipeline_next_stack(const struct pipeline *p, uint32_t *cursor, uint64_t *id);
/* The EV_STACK of each connection that has one, to be told again: kind, cookie, namespace and
 * number. Start with *cursor 0; false at the end. Feeding the pipeline meanwhile is allowed. */
bool pipeline_next_stacked(struct pipeline *p, uint32_t *cursor, struct event *out);
/* What stands behind a number that EV_STACK will name, through the stream. 0, -E2BIG, -ENOSPC when
 * as many are in use as there may be, or -ENOMEM. */
int pipeline_tell_stack(struct pipeline *p, uint64_t id, const char *text);

/* All that changes a pipeline beside its configuration, told in order and before it is acted on:
 * a second pipeline that is fed the same says the same. */
struct pipeline_tap {
	void (*event)(void *arg, const struct event *e);
	void (*cgroup)(void *arg, uint64_t id, const char *path);
	void (*stack)(void *arg, uint64_t id, const char *text);
	void (*asked)(void *arg, uint64_t cookie); /* pipeline_next_lookup() gave this one out */
};
/* tap: NULL for none; stays the caller's. */
void pipeline_set_tap(struct pipeline *p, const struct pipeline_tap *tap, void *arg);

#endif
