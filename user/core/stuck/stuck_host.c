/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the host is short of: local ports toward one service, orphans, timewait
 * buckets, a process's descriptors. Counts against limits, no single socket.
 *
 * Ports are counted by destination: one that a listener of ours has, or that stands
 * outside ip_local_port_range, was not taken by connect() and is not counted.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "connection/facts.h"
#include "pipeline/pipeline.h"
#include "stuck.h"

enum { PROCS_LOOKED_AT = 65536 };

/* A local port in use; sorted, equal destinations stand together. */
struct port_use {
	struct destination {
		uint32_t netns;
		uint16_t pport, pad; /* it is compared as it lies */
		uint8_t local[16], peer[16];
	} to;
	uint16_t lport;
	bool time_wait;
};

static int by_destination(const void *a, const void *b)
{
	return memcmp(&((const struct port_use *)a)->to, &((const struct port_use *)b)->to,
		      sizeof(struct destination));
}

static bool is_ephemeral(const struct pipeline *p, const struct conn *c)
{
	const struct sysfacts *f = pipeline_facts(p);
	uint64_t lo = facts_or(f, FACT_PORT_LO, c->netns, 32768);
	uint64_t hi = facts_or(f, FACT_PORT_HI, c->netns, 60999);

	return c->lport >= lo && c->lport <= hi && c->pport && c->role != ROLE_SERVER &&
	       c->role != ROLE_LISTENER && !pipeline_listener_of(p, c).count;
}

static uint32_t take_use(struct port_use *u, const struct pipeline *p, const struct conn *c)
{
	if (!is_ephemeral(p, c))
		return 0;
	memset(u, 0, sizeof(*u));
	u->to.netns = c->netns;
	u->to.pport = c->pport;
	memcpy(u->to.local, c->local, sizeof(u->to.local));
	memcpy(u->to.peer, c->peer, sizeof(u->to.peer));
	u->lport = c->lport;
	u->time_wait = c->state == ST_TIME_WAIT;
	return 1;
}

static int tell_ports(struct stuck_report *r, const struct pipeline *p, const struct port_use *u,
		      uint32_t n)
{
	const struct sysfacts *f = pipeline_facts(p);
	uint64_t lo = facts_or(f, FACT_PORT_LO, u->to.netns, 32768);
	uint64_t hi = facts_or(f, FACT_PORT_HI, u->to.netns, 60999);
	struct stuck_group *g;
	struct finding found;

	if (hi < lo || !diagnose_limit(FIND_PORT_EXHAUSTION, n, hi - lo + 1, &found))
		return 0;
	g = stuck_group_add(r);
	if (!g)
		return -ENOMEM;
	g->finding = found;
	g->of_host = true;
	g->count = 1;
	g->example.netns = u->to.netns;
	g->example.pport = u->to.pport;
	memcpy(g->example.local, u->to.local, 16);
	memcpy(g->example.peer, u->to.peer, 16);
	for (uint32_t i = 0; i < n; i++)
		g->time_wait += u[i].time_wait;
	return 0;
}

static int ports(struct stuck_report *r, struct pipeline *p)
{
	struct conntab *t = pipeline_conns(p);
	struct port_use *u = calloc((size_t)conntab_count(t) + r->ntime_waits + 1, sizeof(*u));
	uint32_t n = 0, cursor = 0, first = 0;
	struct conn *c, tw;
	int err = 0;

	if (!u)
		return -ENOMEM;
	while ((c = conntab_next(t, &cursor)))
		if (c->state != ST_CLOSED && c->state != ST_LISTEN && c->state != ST_TIME_WAIT)
			n += take_use(&u[n], p, c);
	for (uint32_t i = 0; i < r->ntime_waits; i++) {
		stuck_time_wait_conn(&r->time_waits[i], &tw);
		n += take_use(&u[n], p, &tw);
	}
	qsort(u, n, sizeof(*u), by_destination);
	for (uint32_t i = 1; i <= n && !err; i++) {
		if (i < n && !by_destination(&u[i], &u[first]))
			continue;
		err = tell_ports(r, p, &u[first], i - first);
		first = i;
	}
	free(u);
	return err;
}

static int tell_limit(struct stuck_report *r, enum finding_kind kind, uint64_t value,
		      uint64_t limit, uint32_t netns, uint32_t proc)
{
	struct stuck_group *g;
	struct finding found;

	if (!diagnose_limit(kind, value, limit, &found))
		return 0;
	g = stuck_group_add(r);
	if (!g)
		return -ENOMEM;
	g->finding = found;
	g->of_host = true;
	g->count = 1;
	g->example.netns = netns;
	g->proc = proc;
	return 0;
}

/* The process of this pid that holds a socket; 0 if none does. */
static uint32_t proc_of_pid(const struct pipeline *p, uint32_t pid)
{
	for (uint32_t i = 1; i < PROCS_LOOKED_AT; i++)
		if (proc_get(pipeline_procs(p), i)->pid == pid)
			return i;
	return 0;
}

static int descriptors(struct stuck_report *r, const struct pipeline *p)
{
	const struct sysfacts *f = pipeline_facts(p);
	int err = 0;

	for (unsigned i = 0; i < facts_procs(f) && !err; i++) {
		const struct proc_fds *fds = facts_proc_at(f, i);
		struct finding near;
		uint32_t proc;

		if (!diagnose_limit(FIND_FD_LIMIT_NEAR, fds->used, fds->limit, &near))
			continue;
		proc = proc_of_pid(p, fds->pid);
		if (proc)
			err = tell_limit(r, FIND_FD_LIMIT_NEAR, fds->used, fds->limit, 0, proc);
	}
	return err;
}

int stuck_host(struct stuck_report *r, struct pipeline *p, const struct stuck_query *q)
{
	const struct sysfacts *f = pipeline_facts(p);
	int err = 0;

	if (q->filter)
		return 0; /* the host is short of something, not those that were asked for */
	err = tell_limit(r, FIND_ORPHANS_NEAR_LIMIT, facts_get(f, FACT_ORPHANS, 0),
			 facts_get(f, FACT_MAX_ORPHANS, 0), 0, 0);
	for (unsigned i = 0; i < facts_netns_count(f) && !err; i++) {
		uint32_t netns = facts_netns_at(f, i);

		err = tell_limit(r, FIND_TIME_WAIT_NEAR_LIMIT, facts_get(f, FACT_TIME_WAIT, netns),
				 facts_get(f, FACT_MAX_TW_BUCKETS, netns), netns, 0);
	}
	if (!err)
		err = descriptors(r, p);
	if (!err)
		err = ports(r, p);
	return err;
}
