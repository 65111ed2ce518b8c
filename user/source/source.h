/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where events come from. A source opens, says what it has, and then feeds the
 * pipeline from poll(); live, replay and pcap are the same to everyone behind it.
 */
#ifndef TCPTRAIL_SOURCE_H
#define TCPTRAIL_SOURCE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct conn;
struct pipeline;
struct kernel_filter;

enum hook_status {
	HOOK_ATTACHED,
	HOOK_OFF,        /* not asked for */
	HOOK_ABSENT,     /* this kernel has no such function or tracepoint */
	HOOK_REFUSED,    /* the kernel said no: error tells */
};

struct hook_info {
	const char *name;     /* "on_set_state" */
	const char *attach;   /* "tp_btf/inet_sock_set_state" */
	const char *shows;    /* what it is for, in a few words */
	bool full;            /* full mode only */
	enum hook_status status;
	int error;            /* negative errno for HOOK_REFUSED */
	uint64_t run_count, run_ns, misses; /* 0 where not metered */
	uint32_t insns;          /* of the loaded program; 0 not told */
	uint32_t insns_verified; /* that the verifier walked; 0 not told (before 5.16) */
};

enum source_mode { MODE_AUTO, MODE_BASE, MODE_FULL };

struct source_config {
	uint64_t ring_bytes;          /* 0: default */
	enum source_mode mode;        /* AUTO: full where the kernel allows, else base */
	bool child_syn_recv;          /* also LISTEN->SYN_RECV (events wants it, conns does not) */
	bool snapshot;                /* run the iterators at start */
	bool snapshot_only;           /* no hook but the iterators: nothing is traced */
	bool segments;                /* drops (kfree_skb) too */
	bool accept_wait;             /* --accept-wait */
	bool stack;                   /* --stack: the calls that made a socket (implies accept_wait) */
	bool meter;                   /* ask for run_ns (BPF_ENABLE_STATS where allowed, else sampling) */
	bool keep_caps;               /* do not drop capabilities after attaching (tests) */
	bool whole_host;              /* limits and counts (EV_FACT) are told with each snapshot, orphans asked for */
	bool destroy;                 /* source_ops.destroy will be asked for: keeps CAP_NET_ADMIN */
	bool verbose;
	const struct kernel_filter *filter; /* may be NULL */
};

struct source;

struct source_ops {
	const char *name;
	/* Waits up to timeout_ms for events and feeds them. Number fed, 0 on time-out, -EINTR,
	 * -ENODATA when a finite source is over, other -errno. */
	int (*poll)(struct source *s, struct pipeline *p, int timeout_ms);
	/* Drains what is left after hooks were detached. */
	int (*drain)(struct source *s, struct pipeline *p);
	/* An fd to epoll on, -1 if none. */
	int (*fd)(const struct source *s);
	/* Run the snapshot iterators again (listeners, states, stuck --watch). 0 or -errno. */
	int (*snapshot)(struct source *s, struct pipeline *p);
	/* Refresh pipeline_stats_mut()'s bpf_ns, lost, recursion, hooks. */
	void (*stats)(struct source *s, struct pipeline *p);
	/* Closes this very socket (SOCK_DESTROY) if it still is what conn says: -ESTALE when its cookie
	 * or its state is another now, -ENOENT when it is gone, -EPERM, -EOPNOTSUPP where its
	 * namespace cannot be asked. May be NULL. */
	int (*destroy)(struct source *s, const struct conn *c);
	void (*close)(struct source *s);
};

/* Why a replay's poll() came back. */
enum replay_at {
	REPLAY_MORE,     /* it was fed enough for once */
	REPLAY_ROUND,    /* the live run looked at the clock here: .now_ns */
	REPLAY_INTERVAL, /* the view that recorded printed again here */
};

/* What a source that is no live kernel says of itself. */
struct replay_info {
	enum replay_at at;
	uint64_t now_ns;       /* of the stream: the newest round's */
	uint64_t started_ns;   /* of the stream */
	uint64_t end_ns;       /* pipeline_finish() was at; 0: not told */
	uint64_t interval_ns;  /* of the view that recorded; 0 none */
	const char *command;   /* that recorded; "" not told */
	bool filtered;         /* the kernel left out what the filter then did not want */
	bool no_rounds;        /* it has none: time is the newest event's */
	char error[256];       /* the line for a poll() that failed */
};

struct source {
	const struct source_ops *ops;
	struct replay_info *replay; /* NULL: live */
	const struct hook_info *hooks;
	unsigned nhooks;
	bool full_mode;
	bool locked_down; /* the kernel is, at confidentiality: hooks may be refused for that */
	bool ftrace_off;  /* by sysctl: no fentry, whatever the kernel says */
	/* names of the kernel's reasons, from its BTF; NULL or "" when it has none */
	const char *(*rst_reason)(const struct source *s, unsigned reason);
	const char *(*drop_reason)(const struct source *s, unsigned reason);
};

/* 0 and *out, or -errno with a one-line reason and remedy in msg. */
int source_live_open(struct source **out, const struct source_config *cfg, char *msg,
		     size_t msg_len);

/* Files, merged by time; "-" is stdin. Notices (a file that was cut, clocks) go to stderr, a line
 * each. 0 and *out, or -errno with a line in msg. */
int source_from_open(struct source **out, const char *const *paths, unsigned n, char *msg,
		     size_t msg_len);

#endif
