/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the rules of `stuck` need beside the sockets: limits and counts of the host,
 * of a network namespace, of a process. They come as EV_FACT through the stream, so
 * a recording has them too. A fact that nobody told is FACT_UNKNOWN.
 */
#ifndef TCPTRAIL_FACTS_H
#define TCPTRAIL_FACTS_H

#include <stdbool.h>
#include <stdint.h>

#include "event.h"

#define FACT_UNKNOWN UINT64_MAX

struct proc_fds {
	uint32_t pid;
	uint64_t used, limit;
};

enum { FACTS_NETNS = 256, FACTS_PROCS = 4096 };

struct sysfacts;

struct sysfacts *facts_new(void);
void facts_free(struct sysfacts *f);
/* A walk of all processes begins: it tells of each that is near its limit. */
void facts_forget_procs(struct sysfacts *f);
void facts_take(struct sysfacts *f, const struct event *e);

/* netns matters to a namespace's facts; one that was not told gives the first namespace's own,
 * as namespaces start with the same defaults. */
uint64_t facts_get(const struct sysfacts *f, enum fact id, uint32_t netns);
/* The same, with what the kernel's default is where nobody told. */
uint64_t facts_or(const struct sysfacts *f, enum fact id, uint32_t netns, uint64_t otherwise);

unsigned facts_netns_count(const struct sysfacts *f);
uint32_t facts_netns_at(const struct sysfacts *f, unsigned i);
unsigned facts_procs(const struct sysfacts *f);
bool facts_netns_told(const struct sysfacts *f, uint32_t netns);
const struct proc_fds *facts_proc_at(const struct sysfacts *f, unsigned i);
/* NULL when not told. */
const struct proc_fds *facts_proc(const struct sysfacts *f, uint32_t pid);

#endif
