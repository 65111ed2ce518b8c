/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who a connection is: its cookie, its two ends, its other end on this host, and
 * the process it belongs to.
 *
 * The four-tuple arrives late (the local port is 0 when connect() starts), so it
 * is entered once it is whole. A process is named as owner by the surest fact
 * seen: who connected or accepted, else who first acted on the socket in its own
 * name, else a holder, else the listener's owner. Softirq never names anybody.
 */
#include <string.h>

#include "process/holders.h"
#include "pipeline_impl.h"

static void mark_steps(struct pipeline *p, const struct conn *c)
{
	for (unsigned i = 0; i < c->steps_len; i++) {
		const struct step *s = conntab_step(p->conns, c, i);

		if (s->kind == STEP_STATE || s->kind == STEP_ACCEPT || s->kind == STEP_CLOSE ||
		    s->kind == STEP_ABORT)
			proctab_mark(p->procs, s->aux);
	}
}

/* The table of processes is full: forget those that no connection names. Walking all connections
 * is dear, so at most once a second; until then a new process is unknown, and counted. */
static void forget_procs(struct pipeline *p)
{
	uint32_t cursor = 0;
	const struct conn *c;

	if (p->now_ns < p->procs_swept_ns + NSEC_PER_SEC)
		return;
	p->procs_swept_ns = p->now_ns;
	proctab_mark_begin(p->procs);
	while ((c = conntab_next(p->conns, &cursor))) {
		proctab_mark(p->procs, c->owner);
		proctab_mark(p->procs, conn_end(c)->closer);
		mark_steps(p, c);
	}
	for (uint32_t i = 0; i < holders_count(p->holders); i++)
		proctab_mark(p->procs, holders_at(p->holders, i).proc);
	proctab_sweep(p->procs);
}

uint32_t identity_actor(struct pipeline *p, const struct event *e)
{
	if (!(e->flags & EVF_TASK) || !e->task.pid)
		return 0;
	if (proctab_full(p->procs))
		forget_procs(p);
	return proc_intern(p->procs, &e->task, e->flags & EVF_KTHREAD);
}

void identity_own(struct conn *c, uint32_t proc, enum owner_source source)
{
	if (!proc || source <= c->owner_source)
		return;
	c->owner = proc;
	c->owner_source = source;
}

void identity_act(const struct pipeline *p, struct conn *c, uint32_t proc)
{
	if (!proc_get(p->procs, proc)->kthread)
		identity_own(c, proc, OWNER_ACTOR);
}

struct conn *identity_peer(const struct pipeline *p, const struct conn *c)
{
	return conntab_at(p->conns, c->peer_conn);
}

/* Two ends in one namespace need no more proof than the reversed tuple; across
 * namespaces both must also have seen the same two ISNs. */
static bool same_isns(const struct conn *a, const struct conn *b)
{
	const uint32_t both = SEEN_ISN_LOCAL | SEEN_ISN_PEER;

	return conn_seen(a, both) && conn_seen(b, both) && a->isn_local == b->isn_peer &&
	       a->isn_peer == b->isn_local;
}

void identity_pair(struct pipeline *p, struct conn *c)
{
	struct conn *o;

	if (c->peer_conn || !c->lport || c->role == ROLE_LISTENER)
		return;
	o = conntab_find_tuple(p->conns, 0, c->peer, c->pport, c->local, c->lport, c);
	if (o && o->netns != c->netns && !same_isns(o, c))
		o = conntab_find_tuple(p->conns, c->netns, c->peer, c->pport, c->local, c->lport,
				       c);
	if (!o || o->peer_conn || o->role == ROLE_LISTENER || o->seen & SEEN_CLOSE)
		return;
	c->peer_conn = conntab_index(p->conns, o);
	o->peer_conn = conntab_index(p->conns, c);
}

void identity_tuple(struct pipeline *p, struct conn *c, const struct event *e)
{
	bool had = c->lport != 0;

	if (had || !e->lport) {
		if (!had) { /* connect(): the peer is known before the local port */
			memcpy(c->peer, e->peer, sizeof(c->peer));
			memcpy(c->local, e->local, sizeof(c->local));
			c->pport = e->pport;
		}
		return;
	}
	memcpy(c->local, e->local, sizeof(c->local));
	memcpy(c->peer, e->peer, sizeof(c->peer));
	c->lport = e->lport;
	c->pport = e->pport;
	if (c->role == ROLE_LISTENER)
		return;
	minisock_reused(p, c);
	conntab_set_tuple(p->conns, c);
}

void identity_bound(struct pipeline *p, struct conn *c, const struct event *e)
{
	if (e->task.bound_dev != conn_end(c)->bound_dev)
		conntab_end(p->conns, c)->bound_dev = e->task.bound_dev;
}

void identity_isns(struct conn *c, const struct event_tcp *t)
{
	/* An active opener's SYN counts as one acknowledged byte, a passive one's does not. */
	uint32_t passive = c->role == ROLE_SERVER;

	/* A capture that began in mid-life counts from there, not from the ISN. */
	if (!c->netns && c->seen & SEEN_SNAPSHOT)
		return;
	if (!(c->seen & SEEN_ISN_LOCAL) && c->role != ROLE_UNKNOWN) {
		c->isn_local = t->snd_una - (uint32_t)t->bytes_acked - passive;
		c->seen |= SEEN_ISN_LOCAL;
	}
	if (!(c->seen & SEEN_ISN_PEER) && t->rcv_nxt) {
		c->isn_peer = t->rcv_nxt - (uint32_t)t->bytes_received - 1;
		c->seen |= SEEN_ISN_PEER;
	}
}

struct conn *identity_add(struct pipeline *p, const struct event *e)
{
	struct conn *c;

	if (!e->cookie) /* nobody gave it an identity: not ours to invent */
		return NULL;
	c = conntab_add(p->conns, e->cookie);
	if (!c) {
		p->stats.lost[LOSS_TABLE_FULL]++;
		p->lost_at_ns = e->ts_ns;
		return NULL;
	}
	c->netns = e->netns;
	c->start_ns = c->state_ns = e->ts_ns;
	identity_told(p, c, e->ts_ns);
	c->generation = p->generation;
	identity_tuple(p, c, e);
	return c;
}

/* First told of in the middle of its life: what can be said of its beginning. */
static void found_in_mid_life(struct pipeline *p, struct conn *c, const struct event *e)
{
	struct made_by by = listener_of(p, c);

	c->detail |= DETAIL_FOUND;
	c->state_age_bound = 1;
	if (by.count) {
		c->role = ROLE_SERVER;
		identity_own(c, by.owner, OWNER_LISTENER);
	}
	if (e->flags & EVF_TCP) {
		if (e->old_state != ST_SYN_SENT && e->old_state != ST_SYN_RECV)
			identity_isns(c, &e->tcp);
		timeline_imply(p, c, e->old_state, &e->tcp);
	}
	timeline_count_state(p, c, e->old_state);
	identity_pair(p, c);
}

struct conn *identity_conn(struct pipeline *p, const struct event *e)
{
	struct conn *c = conntab_find(p->conns, e->cookie);

	if (c || !e->cookie)
		return c;
	c = identity_add(p, e);
	if (c)
		found_in_mid_life(p, c, e);
	return c;
}
