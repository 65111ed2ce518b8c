/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets that were there before the tracer, and what is still there.
 *
 * The iterators' records come through the same ring as the live events, so each
 * stands where it belongs in time: no gap and no double count. A snapshot also
 * mends what losses broke: a connection of our namespace that it did not see and
 * that had no event since is gone.
 */
#include <string.h>

#include "connection/facts.h"
#include "process/holders.h"
#include "pipeline_impl.h"

void snapshot_begin(struct pipeline *p, const struct event *e)
{
	uint32_t cursor = 0;
	struct conn *c;

	p->own_netns = (uint32_t)e->extra.raw[0];
	p->snapshot_begin_ns = e->ts_ns;
	p->generation++;
	p->in_snapshot = true;
	p->snapshot_time_wait = 0;
	holders_clear(p->holders);
	facts_forget_procs(p->facts);
	while ((c = conntab_next(p->conns, &cursor)))
		c->holders = c->told = 0;
}

static void take_timer(struct conn *c, const struct event *e)
{
	c->timer = e->extra.sock.timer;
	c->timer_expires_ms = e->extra.sock.expires_ms;
	c->timer_retries = e->extra.sock.retries;
}

/* The i-th wait of a timer that doubles, up to the longest. */
static uint64_t nth_wait_us(uint64_t first_us, unsigned i)
{
	const uint64_t longest_us = 120 * 1000000ULL; /* TCP_RTO_MAX */
	uint64_t us = i < 32 ? first_us << i : longest_us;

	return us < longest_us ? us : longest_us;
}

/* How long the timer must have run to have fired so often. The retransmission's rto is that of the
 * wait that runs now, the probe's that of the first; keepalive waits as the last segment is old. */
static uint64_t waited_ns(const struct event *e)
{
	unsigned fired = e->tcp.backoff & 63;
	uint64_t first_us = e->tcp.rto_us, us = 0, now_us, left_us;

	if (e->extra.sock.timer == TIMER_KEEPALIVE)
		return e->extra.sock.age_ms * NSEC_PER_MS;
	if (e->extra.sock.timer == TIMER_RETRANSMIT)
		first_us = fired < 32 ? first_us >> fired : 0;
	/* Waits that did not double: a SYN's first ones (tcp_syn_linear_timeouts). */
	if (e->extra.sock.timer == TIMER_RETRANSMIT && e->extra.sock.retries > fired)
		us = (e->extra.sock.retries - fired) * first_us;
	for (unsigned i = 0; i < fired; i++)
		us += nth_wait_us(first_us, i);
	now_us = nth_wait_us(first_us, fired);
	left_us = e->extra.sock.expires_ms * 1000ULL;
	return (us + (left_us < now_us ? now_us - left_us : 0)) * 1000;
}

/* The state's age: exact when we saw it begin, else no more than a lower bound. The newest
 * segment's time is one, but where a call begins the state: it may have come long before that. */
static void bound_age(struct conn *c, const struct event *e)
{
	uint64_t age_ns = (uint64_t)e->extra.sock.age_ms * NSEC_PER_MS;

	c->state_age_bound = 1;
	if (c->state == ST_FIN_WAIT_1 || c->state == ST_LAST_ACK)
		age_ns = 0;
	if (c->state == ST_SYN_SENT && e->extra.sock.timer == TIMER_RETRANSMIT)
		age_ns = waited_ns(e); /* nothing was received yet: the SYN's timer tells */
	c->state_ns = age_ns && age_ns < e->ts_ns ? e->ts_ns - age_ns : e->ts_ns;
}

static void answered(struct conn *c)
{
	if (c->end)
		c->end->stall_ns = 0;
}

/* Does a timer run that an answer would have stopped? Persist's stays while the peer answers that
 * its window is closed. */
static void take_stall(struct pipeline *p, struct conn *c, const struct event *e)
{
	bool stalls = (c->timer == TIMER_RETRANSMIT && c->timer_retries) ||
		      (c->timer == TIMER_PERSIST && (e->tcp.backoff || c->timer_retries)) ||
		      (c->timer == TIMER_KEEPALIVE && c->timer_retries);
	uint64_t waited = waited_ns(e);
	uint64_t since = waited < e->ts_ns ? e->ts_ns - waited : e->ts_ns;

	if (!stalls)
		answered(c);
	else if (!conn_end(c)->stall_ns || since < c->end->stall_ns)
		conntab_end(p->conns, c)->stall_ns = since;
}

static void take_listener(struct pipeline *p, struct conn *c, const struct event *e)
{
	c->role = ROLE_LISTENER;
	c->rx_queue = e->listen.accept_queue;
	c->tx_queue = e->listen.accept_limit;
	listener_index(p, c);
	listener_queues(p, e);
}

static struct conn *add_old(struct pipeline *p, const struct event *e)
{
	struct conn *c = identity_add(p, e);

	if (!c)
		return NULL;
	c->seen |= SEEN_SNAPSHOT;
	if (e->flags & EVF_LISTEN)
		c->role = ROLE_LISTENER;
	timeline_count_state(p, c, e->new_state == ST_NEW_SYN_RECV ? ST_SYN_RECV : e->new_state);
	bound_age(c, e);
	return c;
}

static void refresh(struct pipeline *p, struct conn *c, const struct event *e)
{
	c->generation = p->generation;
	c->detail |= DETAIL_IN_SNAPSHOT;
	identity_told(p, c, e->ts_ns);
	identity_bound(p, c, e);
	if (e->flags & EVF_DEAD)
		c->seen |= SEEN_ORPHAN;
	if (e->flags & EVF_LISTEN) {
		take_listener(p, c, e);
		return;
	}
	if (!(e->flags & EVF_TCP))
		return;
	if (e->extra.sock.retries < c->timer_retries)
		answered(c); /* since then */
	take_timer(c, e);
	take_stall(p, c, e);
	if (c->state == e->new_state)
		timeline_counters(c, &e->tcp);
	if (e->flags & EVF_NO_SOCKET && !(e->flags & EVF_DEAD))
		c->now |= NOW_UNACCEPTED;
}

/* sock_diag's word on one that no iterator reached. Since when the peer is silent it does not say. */
void snapshot_lookup(struct pipeline *p, struct conn *c, const struct event *e)
{
	c->generation = p->generation;
	if (!e->extra.lookup.retries || e->extra.lookup.retries < c->timer_retries)
		answered(c);
	c->timer = e->extra.lookup.timer;
	c->timer_expires_ms = e->extra.lookup.expires_ms;
	c->timer_retries = e->extra.lookup.retries;
	if (c->timer_retries && !conn_end(c)->stall_ns)
		conntab_end(p->conns, c)->stall_ns = e->ts_ns;
}

static struct conn *sock_record(struct pipeline *p, const struct event *e)
{
	struct conn *c = conntab_find(p->conns, e->cookie);

	if (!e->cookie || e->new_state == ST_CLOSED || !e->new_state)
		return c;
	if (!c) {
		c = add_old(p, e);
		if (!c)
			return NULL;
		if (e->flags & EVF_TCP) {
			timeline_imply(p, c, e->new_state, &e->tcp);
			c->tcp_options = e->tcp.options;
			c->mss = e->tcp.mss;
			c->snd_wscale = e->tcp.snd_wscale;
			c->rcv_wscale = e->tcp.rcv_wscale;
		}
		if (!e->netns) /* found in a capture: no end of a snapshot will look for it */
			identity_pair(p, c);
	}
	refresh(p, c, e);
	return c;
}

void snapshot_sock(struct pipeline *p, const struct event *e)
{
	sock_record(p, e);
}

void snapshot_holder(struct pipeline *p, const struct event *e)
{
	struct conn *c = sock_record(p, e);
	uint32_t proc = identity_actor(p, e);

	if (!c)
		return;
	if (c->holders < UINT8_MAX && proc != c->owner)
		c->holders++;
	else if (!c->holders)
		c->holders = 1;
	holders_add(p->holders, c->cookie, proc, e->extra.sock.fd);
	identity_own(c, proc, OWNER_HOLDER);
}

/* TIME_WAIT needs no place in the table: shown, and counted until it expires. */
static void found_time_wait(struct pipeline *p, const struct event *e)
{
	struct conn c = census_minisock(e);
	uint64_t left_ns = e->extra.tw.expires_ms * NSEC_PER_MS;

	c.seen = SEEN_SNAPSHOT | SEEN_MINISOCK;
	c.state_age_bound = 1;
	c.timer = TIMER_TIME_WAIT;
	c.timer_expires_ms = e->extra.tw.expires_ms;
	c.start_ns = c.state_ns = e->ts_ns;
	if (left_ns < TIME_WAIT_S * NSEC_PER_SEC) { /* it began 60 s before it ends */
		c.state_ns = e->ts_ns + left_ns - TIME_WAIT_S * NSEC_PER_SEC;
		c.state_age_bound = 0;
	}
	if (!pipeline_passes(p, &c, NULL))
		return;
	if (p->ops->snapshot)
		p->ops->snapshot(p->view, &c);
	if (p->generation == 1)
		census_time_wait(p, e->netns, e->ts_ns + left_ns);
}

void snapshot_tw(struct pipeline *p, const struct event *e)
{
	struct conn *c = conntab_find(p->conns, e->cookie);

	if (c) {
		c->generation = p->generation;
		c->detail |= DETAIL_IN_SNAPSHOT;
		return;
	}
	if (e->extra.tw.substate == ST_TIME_WAIT) {
		p->snapshot_time_wait++;
		found_time_wait(p, e);
		return;
	}
	c = identity_add(p, e);
	if (!c)
		return;
	c->seen |= SEEN_SNAPSHOT | SEEN_MINISOCK | SEEN_ORPHAN;
	c->detail |= DETAIL_IN_SNAPSHOT;
	timeline_imply(p, c, ST_FIN_WAIT_2, NULL);
	timeline_count_state(p, c, ST_FIN_WAIT_2);
	c->state_age_bound = 1;
	c->timer = TIMER_FIN_WAIT_2;
	c->timer_expires_ms = e->extra.tw.expires_ms;
	c->rcv_nxt = e->tcp.rcv_nxt;
	identity_bound(p, c, e);
	if (e->tcp.snd_nxt)
		conntab_end(p->conns, c)->fin_seq_local = e->tcp.snd_nxt - 1;
	identity_pair(p, c);
	minisock_watch(p, c);
}

/* --- the end of a snapshot ---------------------------------------------------- */

/* Which side it was is known when a listener or the other end tells. */
static void find_role(struct pipeline *p, struct conn *c)
{
	struct made_by by;
	struct conn *o;

	if (c->role != ROLE_UNKNOWN)
		return;
	identity_pair(p, c);
	by = listener_of(p, c);
	o = identity_peer(p, c);
	if (by.count) {
		c->role = ROLE_SERVER;
		identity_own(c, by.owner, OWNER_LISTENER);
	} else if (o && listener_of(p, o).count) {
		c->role = ROLE_CLIENT;
	}
}

static bool vanished(const struct pipeline *p, const struct conn *c)
{
	return c->generation != p->generation && c->netns == p->own_netns && !c->told &&
	       !c->pending && c->role != ROLE_LISTENER && !(c->seen & SEEN_CLOSE) && c->lport &&
	       !(c->detail & DETAIL_EMBRYO);
}

void snapshot_end(struct pipeline *p, const struct event *e)
{
	bool whole = !e->extra.raw[0];
	uint32_t cursor = 0;
	struct conn *c;

	p->in_snapshot = false;
	while ((c = conntab_next(p->conns, &cursor)))
		find_role(p, c);
	cursor = 0;
	while ((c = conntab_next(p->conns, &cursor))) {
		if (whole && vanished(p, c)) {
			gone_unseen(p, c);
			continue;
		}
		if (!(c->detail & DETAIL_IN_SNAPSHOT))
			continue;
		c->detail &= ~DETAIL_IN_SNAPSHOT;
		if (p->ops->snapshot && pipeline_passes(p, c, NULL))
			p->ops->snapshot(p->view, c);
	}
	if (p->ops->snapshot_done)
		p->ops->snapshot_done(p->view);
}
