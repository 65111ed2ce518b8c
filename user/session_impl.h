/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run's inside, shared by session*.c and nobody else.
 */
#ifndef TCPTRAIL_SESSION_IMPL_H
#define TCPTRAIL_SESSION_IMPL_H

#include "core/filter/filter.h"
#include "session.h"

struct gate;
struct recorder;

struct run {
	struct session s;
	const struct options *o;
	const struct view *view;
	void *state;            /* the view's own */
	struct view_ops ops;    /* what the pipeline calls: the view's, until -c is reached */
	struct kernel_filter kernel; /* what of the filter the kernel does, or did */
	struct gate *gate;           /* NULL: everything passes */
	struct recorder *recorder;   /* NULL: nothing is recorded */
	int signal_fd;
	bool reader_gone;       /* EPIPE: end without a word */
	int error;              /* negative errno of stdout */
	bool counts_on;         /* ... and yet all is read: what is lost of files is known whole */
	uint64_t started_ns, ends_ns, interval_ns, next_interval_ns;
	bool snapshot_due;           /* the recording's file knows no socket yet */
	uint64_t snapshot_from_ns;   /* ... but not before this */
};

/* session.c */
uint64_t run_now(void);
/* The signals that have come. True when one of them ends the run. */
bool run_read_signals(struct run *r);
void run_refresh_stats(struct run *r);
/* The view's interval() if it is due at this time. */
void run_intervals(struct run *r, uint64_t now);
void run_flush(struct run *r);

/* session_view.c: fills r->ops from r->view, with the gate before it. 0 or -ENOMEM. */
int run_forward(struct run *r);
/* What is done at an interval: the view's, and the gate's. */
void run_interval_view(struct run *r);

/* session_replay.c: from files. */
int replay_open(struct run *r, char *msg, size_t msg_len);
int replay_loop(struct run *r);
/* Waits until stdout has taken most of what is queued: a replay loses nothing. */
void replay_make_room(struct run *r);
/* A view that stays goes on over what there was at the end, until it stops. */
void replay_stay(struct run *r);

/* session_notice.c: what stderr is told. */
void notice_hooks(const struct session *s);
void notice_tracing(void);
void notice_states(const struct session *s);
void notice_summary(const struct session *s, uint64_t ran_ns);
void notice_error(const char *what, int err);

/* session_names.c: names for -r, looked up by a thread of its own. */
struct resolver *resolver_new(void);
/* Never waits: a look-up that hangs in the network is left to the end of the process. */
void resolver_free(struct resolver *r);
/* The name, or NULL while (or when) there is none; asks for it in the background. */
const char *resolver_addr(struct resolver *r, const uint8_t addr[16]);
const char *resolver_port(struct resolver *r, uint16_t port);

#endif
