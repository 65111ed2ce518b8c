/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where finished records go: a bounded queue before a file descriptor that may be
 * slow. A record is whole or counted as lost (LOSS_OUTPUT_SLOW); memory is bounded;
 * a write never blocks the tracer (a signal must still end it).
 */
#ifndef TCPTRAIL_SINK_H
#define TCPTRAIL_SINK_H

#include "../core/write/buf.h"

struct sink;

struct sink *sink_new(int fd, size_t cap); /* cap 0: 16 MiB */
void sink_free(struct sink *s);

/* From now on each record goes through this on its way: what it appends to out is written in its
 * place. Not 0: the record is counted as lost. */
typedef int (*sink_rewrite_fn)(struct buf *out, const char *record, size_t len);
void sink_set_rewrite(struct sink *s, sink_rewrite_fn rewrite);

/* The buffer to format one record into; sink_commit() keeps it whole or drops it whole. */
struct buf *sink_begin(struct sink *s);
void sink_commit(struct sink *s);

/* Writes what the fd takes now. 0, -EPIPE when the reader is gone, other -errno (ENOSPC). */
int sink_flush(struct sink *s);
/* Waits up to timeout_ms for all of it; -ETIMEDOUT when something is left. */
int sink_drain(struct sink *s, int timeout_ms);
/* The same for as long as the reader takes something: it gives up after 2 s without progress, after
 * 30 s of any, and when give_up(arg) says so (NULL: never). */
int sink_drain_patiently(struct sink *s, bool (*give_up)(void *arg), void *arg);
/* Gives up what is queued: those records count as lost. */
void sink_abandon(struct sink *s);
/* From now on a commit is neither written nor counted (-c has been reached). */
void sink_mute(struct sink *s);

uint64_t sink_records(const struct sink *s); /* committed whole */
uint64_t sink_lost(const struct sink *s);    /* records dropped: the reader was slow */
bool sink_pending(const struct sink *s);
size_t sink_queued(const struct sink *s);    /* bytes that wait */
size_t sink_waiting(const struct sink *s);   /* records of which a part or all waits */
bool sink_is_tty(const struct sink *s);
/* To poll: for POLLOUT while something is pending, for POLLERR (the reader is gone) always. */
int sink_fd(const struct sink *s);
/* Files and devices never make a writer wait and are not for poll(). */
bool sink_waits(const struct sink *s);

#endif
