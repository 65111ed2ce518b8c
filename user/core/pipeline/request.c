/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's half of a handshake before there is a child socket: the request
 * sock (SYN_RECEIVED). Full mode's hooks tell of its SYN, SYN-ACK and end; base
 * mode only of a SYN-ACK sent again.
 *
 * A request is kept as a connection under a key made from its addresses, as its
 * memory and cookie are reused or unseen; when the child comes it takes over what
 * the request knew. One that ends without a child becomes a record of its own.
 */
#include <string.h>

#include "pipeline_impl.h"

/* No real cookie has the highest bit (they count up from 1). */
static uint64_t request_key(uint32_t netns, const uint8_t *local, uint16_t lport,
			    const uint8_t *peer, uint16_t pport)
{
	uint64_t h = netns * 0x9e3779b97f4a7c15ULL ^ ((uint64_t)lport << 16 | pport), w;

	for (unsigned i = 0; i < 2; i++) {
		memcpy(&w, local + 8 * i, 8);
		h = (h ^ w) * 0xff51afd7ed558ccdULL;
		h ^= h >> 32;
		memcpy(&w, peer + 8 * i, 8);
		h = (h ^ w) * 0xc4ceb9fe1a85ec53ULL;
		h ^= h >> 29;
	}
	return h | 1ULL << 63;
}

static bool same_tuple(const struct conn *c, const struct event *e)
{
	return c->lport == e->lport && c->pport == e->pport && c->netns == e->netns &&
	       !memcmp(c->local, e->local, 16) && !memcmp(c->peer, e->peer, 16);
}

static struct conn *request_find(struct pipeline *p, const struct event *e)
{
	uint64_t key = request_key(e->netns, e->local, e->lport, e->peer, e->pport);
	struct conn *c = conntab_find(p->conns, key);

	return c && same_tuple(c, e) ? c : NULL;
}

static struct conn *request_add(struct pipeline *p, const struct event *e)
{
	struct event keyed = *e;
	struct conn *c;

	keyed.cookie = request_key(e->netns, e->local, e->lport, e->peer, e->pport);
	if (conntab_find(p->conns, keyed.cookie))
		return NULL; /* two tuples, one key: the second is not followed */
	c = identity_add(p, &keyed);
	if (!c)
		return NULL;
	c->role = ROLE_SERVER;
	c->detail |= DETAIL_EMBRYO;
	timeline_count_state(p, c, ST_SYN_RECV);
	identity_own(c, listener_of(p, c).owner, OWNER_LISTENER);
	return c;
}

static struct conn *request_get(struct pipeline *p, const struct event *e)
{
	struct conn *c = request_find(p, e);

	if (!c)
		c = request_add(p, e);
	if (c)
		identity_told(p, c, e->ts_ns);
	return c;
}

static void take_isns(struct conn *c, const struct event *e)
{
	if (e->extra.req.isn_peer) {
		c->isn_peer = e->extra.req.isn_peer;
		c->seen |= SEEN_ISN_PEER;
	}
	if (e->extra.req.isn_local) {
		c->isn_local = e->extra.req.isn_local;
		c->seen |= SEEN_ISN_LOCAL;
	}
}

void request_syn(struct pipeline *p, const struct event *e)
{
	struct conn *c = request_find(p, e);

	p->sees_requests = true;
	listener_queues(p, e);
	if (c) /* the SYN sent again; its first one counts */
		return;
	c = request_add(p, e);
	if (!c)
		return;
	c->syn_ns = e->ts_ns;
	c->seen |= SEEN_START | SEEN_SYN_TIME;
	take_isns(c, e);
	timeline_step(p, c, STEP_SYN_IN, e->ts_ns, TRIG_PACKET, c->isn_peer, 0);
	if (e->flags & EVF_LISTEN && e->listen.accept_queue > e->listen.accept_limit) {
		struct listener *l = listener_get(p, e->cookie, true);

		if (l)
			l->overflows++;
	}
	ending_wait(p, c, WAIT_REQUEST); /* a SYN that was dropped leaves no request sock */
}

/* The request sock is made: a state change in RFC 9293's sense, LISTEN -> SYN_RECEIVED. */
void request_new(struct pipeline *p, const struct event *e)
{
	struct conn *c = request_get(p, e);
	struct change ch = {
		.kind = CHANGE_STATE,
		.ts_ns = e->ts_ns,
		.from = ST_LISTEN,
		.to = ST_SYN_RECV,
		.trigger = TRIG_PACKET,
		.state_duration_ns = -1,
	};

	if (!c)
		return;
	take_isns(c, e);
	c->seen |= SEEN_START;
	timeline_step(p, c, STEP_STATE, e->ts_ns, TRIG_PACKET, 0, 0);
	timeline_report(p, c, &ch);
	c->detail |= DETAIL_SYN_RECV_TOLD;
	if (c->pending)
		ending_wait(p, c, WAIT_NONE); /* request_gone() will tell */
}

void request_synack(struct pipeline *p, const struct event *e)
{
	enum { NORMAL, FAST_OPEN, COOKIE };
	/* In a capture the connection is there before its SYN-ACK goes by. */
	struct conn *child = e->netns ? NULL
				      : conntab_find_tuple(p->conns, 0, e->local, e->lport, e->peer,
							   e->pport, NULL);
	struct conn *c = child ? child : request_get(p, e);
	struct listener *l;

	if (!c)
		return;
	take_isns(c, e);
	if (!(c->seen & SEEN_SYNACK_TIME)) {
		c->synack_ns = e->ts_ns;
		c->seen |= SEEN_SYNACK_TIME;
		timeline_step(p, c, STEP_SYNACK_SENT, e->ts_ns, TRIG_PACKET, c->isn_local, 0);
	}
	c->detail |= DETAIL_SYN_ANSWERED;
	if (e->extra.req.type == FAST_OPEN)
		c->seen |= SEEN_FASTOPEN;
	if (e->extra.req.type != COOKIE)
		return;
	c->seen |= SEEN_COOKIE;
	l = listener_get(p, e->cookie, false);
	if (l)
		l->cookies_sent++;
	ending_wait(p, c, WAIT_REQUEST); /* no request sock is kept for a cookie */
}

void request_synack_again(struct pipeline *p, const struct event *e)
{
	struct conn *child =
		conntab_find_tuple(p->conns, e->netns, e->local, e->lport, e->peer, e->pport, NULL);
	struct conn *c = child && !(child->detail & DETAIL_EMBRYO) ? child : request_get(p, e);
	struct change ch = {
		.kind = CHANGE_RETRANSMIT,
		.ts_ns = e->ts_ns,
		.trigger = TRIG_TIMER,
		.retransmit = RT_SYNACK,
		.state_duration_ns = -1,
	};
	struct conn_end *end;

	if (!c)
		return;
	end = conntab_end(p->conns, c);
	take_isns(c, e);
	c->detail |= DETAIL_SYN_ANSWERED;
	if (c->synack_retransmits < UINT8_MAX)
		c->synack_retransmits++;
	if (end->retransmits[RT_SYNACK] < UINT16_MAX)
		end->retransmits[RT_SYNACK]++;
	ch.from = ch.to = c->state;
	ch.has_seq = c->seen & SEEN_ISN_LOCAL;
	ch.seq = c->isn_local;
	timeline_step(p, c, STEP_RETRANSMIT, e->ts_ns, TRIG_TIMER, ch.seq, RT_SYNACK);
	timeline_report(p, c, &ch);
	if (c->detail & DETAIL_EMBRYO && !p->sees_requests)
		ending_wait(p, c, WAIT_REQUEST);
}

/* tcp_check_req() gave no child for the final ACK, or for a RST: one that ends the request has just
 * done so, one that the window does not hold leaves it. */
void request_refused(struct pipeline *p, const struct event *e)
{
	struct conn *c = request_find(p, e);
	struct listener *l;

	listener_queues(p, e);
	if (e->extra.req.type) {
		if (c && c->pending == WAIT_RESET)
			c->seen |= SEEN_RST_RECEIVED;
		return;
	}
	if (!(e->flags & EVF_LISTEN) || e->listen.accept_queue <= e->listen.accept_limit)
		return;
	l = listener_get(p, e->cookie, true);
	if (l)
		l->overflows++;
	if (c)
		c->detail |= DETAIL_ACK_REFUSED;
}

static void request_end(struct pipeline *p, struct conn *c, uint64_t ts_ns, enum trigger trigger)
{
	struct conn_end *end = conntab_end(p->conns, c);

	end->end_old_state = ST_SYN_RECV;
	end->end_trigger = trigger;
	timeline_move(p, c,
		      &(struct move){.ts_ns = ts_ns,
				     .to = ST_CLOSED,
				     .trigger = end->end_trigger,
				     .inferred = !p->sees_requests});
	ending_finish(p, c, ts_ns);
}

/* Microseconds before its child is ESTABLISHED a request is gone too: wait for the child. */
void request_gone(struct pipeline *p, const struct event *e)
{
	struct conn *c = request_find(p, e);

	if (!c)
		return;
	if (e->extra.req.retries > c->synack_retransmits)
		c->synack_retransmits = e->extra.req.retries;
	if (e->extra.req.type == REQUEST_GONE_LEFT)
		c->seen |= SEEN_LISTENER_CLOSED;
	conntab_end(p->conns, c)->end_ns = e->ts_ns;
	ending_wait(p, c, WAIT_RESET);
}

/* Gone, and no child has come: its time ran out, its listener closed, the client reset it, or we did
 * (tcp_abort_on_overflow, a segment for a listener that is no more). */
void request_childless(struct pipeline *p, struct conn *c)
{
	const uint32_t told = SEEN_LISTENER_CLOSED | SEEN_RST_RECEIVED | SEEN_RST_SENT;
	uint64_t end_ns = conn_end(c)->end_ns;
	enum trigger trigger = TRIG_TIMER;

	/* TCP_TIMEOUT_INIT: before any time-out only a RST does that */
	if (!(c->seen & told) && listener_of(p, c).count && !c->synack_retransmits &&
	    end_ns - c->start_ns < NSEC_PER_SEC)
		c->seen |= SEEN_RST_RECEIVED;
	if (c->seen & (SEEN_RST_RECEIVED | SEEN_RST_SENT))
		trigger = TRIG_PACKET;
	else if (c->seen & SEEN_LISTENER_CLOSED) /* found so by a segment, or by its timer */
		trigger = TRIG_UNKNOWN;
	request_end(p, c, end_ns, trigger);
}

/* Base mode: no SYN-ACK has come again for so long that there is no request any more. If that was the
 * last of them, its time ran out; else a RST or its listener's end took it, and nobody told. */
void request_expired(struct pipeline *p, struct conn *c)
{
	enum { SYNACK_RETRIES = 5 }; /* net.ipv4.tcp_synack_retries, as it comes */

	if (c->seen & SEEN_COOKIE || !(c->detail & DETAIL_SYN_ANSWERED)) {
		ending_drop(p, c); /* no ACK came for the cookie; a dropped SYN: no connection */
		return;
	}
	c->evidence |= EVIDENCE_ESTIMATE;
	request_end(p, c, p->now_ns,
		    c->synack_retransmits < SYNACK_RETRIES ? TRIG_UNKNOWN : TRIG_TIMER);
}

/* iter/tcp: a request sock that is there now. */
void request_sock(struct pipeline *p, const struct event *e)
{
	struct conn *c = request_get(p, e);

	if (!c)
		return;
	take_isns(c, e);
	c->generation = p->generation;
	c->seen |= SEEN_SNAPSHOT;
	c->detail |= DETAIL_SYN_ANSWERED | DETAIL_IN_SNAPSHOT;
	c->timer = TIMER_SYNACK;
	c->timer_expires_ms = e->extra.req.expires_ms;
	c->timer_retries = e->extra.req.retries;
	if (e->extra.req.retries > c->synack_retransmits)
		c->synack_retransmits = e->extra.req.retries;
	if (!p->sees_requests)
		ending_wait(p, c, WAIT_REQUEST);
}

void request_adopt(struct pipeline *p, struct conn *child)
{
	uint64_t key =
		request_key(child->netns, child->local, child->lport, child->peer, child->pport);
	struct conn *r = child->lport ? conntab_find(p->conns, key) : NULL;
	const uint32_t keep = SEEN_START | SEEN_SYN_TIME | SEEN_ISN_LOCAL | SEEN_ISN_PEER |
			      SEEN_SYNACK_TIME | SEEN_FASTOPEN | SEEN_COOKIE;

	if (!r || !(r->detail & DETAIL_EMBRYO) || r->lport != child->lport ||
	    memcmp(r->peer, child->peer, 16))
		return;
	child->seen |= r->seen & keep;
	child->detail |= r->detail & (DETAIL_ACK_REFUSED | DETAIL_SYN_RECV_TOLD);
	child->start_ns = r->start_ns;
	child->state_ns = r->seen & SEEN_SYN_TIME ? r->syn_ns : r->start_ns;
	child->syn_ns = r->syn_ns;
	child->synack_ns = r->synack_ns;
	child->isn_local = r->isn_local;
	child->isn_peer = r->isn_peer;
	child->synack_retransmits = r->synack_retransmits;
	if (r->end)
		conntab_end(p->conns, child)->retransmits[RT_SYNACK] =
			r->end->retransmits[RT_SYNACK];
	if (!(r->seen & SEEN_SYN_TIME))
		child->start_ns = r->start_ns;
	for (unsigned i = 0; i < r->steps_len; i++)
		conntab_step_add(p->conns, child, conntab_step(p->conns, r, i));
	ending_drop(p, r);
}
