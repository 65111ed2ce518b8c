/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The ring: reserve, submit, count what did not fit.
 *
 * A record that wakes user space costs ten times one that does not, so user
 * space comes by itself every so often, and is woken only while the ring fills:
 * each time that another quarter of it waits.
 */
#ifndef TCPTRAIL_EMIT_BPF_H
#define TCPTRAIL_EMIT_BPF_H

#include "common.bpf.h"

enum {
	/* Several processors may step over the mark together: those that land in this
	 * many bytes behind it all wake. */
	WAKE_WINDOW = 1024,
};

static __always_inline struct event *emit_begin(enum event_kind kind)
{
	struct event *e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);

	if (!e)
		__sync_fetch_and_add(&counters.lost[kind], 1);
	return e;
}

static __always_inline void emit_end(struct event *e)
{
	__u64 waiting = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA);
	__u64 flags = BPF_RB_NO_WAKEUP;

	if (waiting >= cfg.ring_wake && (waiting & (cfg.ring_wake - 1)) < WAKE_WINDOW)
		flags = BPF_RB_FORCE_WAKEUP;
	bpf_ringbuf_submit(e, flags);
}

/* Head of a record: everything before the addresses. */
static __always_inline void emit_head(struct event *e, enum event_kind kind, __u8 old_state,
				      __u8 new_state)
{
	e->ts_ns = bpf_ktime_get_ns();
	e->kind = kind;
	e->flags = 0;
	e->old_state = old_state;
	e->new_state = new_state;
}

/* The ring's memory holds what was there before: what is not filled is cleared. */
static __always_inline void emit_clear(void *to, unsigned int bytes)
{
	__u64 *word = to;

#pragma unroll
	for (unsigned int i = 0; i < bytes / 8; i++)
		word[i] = 0;
}

#endif
