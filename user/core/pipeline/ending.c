/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a connection: what the kernel's ->CLOSE means, what must be waited
 * for, and the one record.
 *
 * ->CLOSE is an end only when both directions are closed. A close() that resets
 * announces its RST after the CLOSE, so such a record waits for it a moment; an
 * orphan FIN_WAIT_2 has not ended at all (minisock.c). Waiting costs nothing but
 * a place in a FIFO whose members all wait the same time.
 */
#include <errno.h>
#include <string.h>

#include "pipeline_impl.h"
#include "process/stack.h"

static const uint64_t wait_ns[WAITS] = {
	[WAIT_RESET] = 10 * NSEC_PER_MS,
	[WAIT_LOOKUP_1] = 100 * NSEC_PER_MS,
	[WAIT_LOOKUP_2] = 300 * NSEC_PER_MS,
	[WAIT_LOOKUP_3] = NSEC_PER_SEC,
	[WAIT_LOOKUP_4] = 3 * NSEC_PER_SEC,
	[WAIT_LOOKUP_5] = 10 * NSEC_PER_SEC,
	[WAIT_UNSEEN] = TIME_WAIT_S * NSEC_PER_SEC,
	[WAIT_REAP] = (TIME_WAIT_S * 1000ULL + 50) * NSEC_PER_MS,
	[WAIT_REUSE] = NSEC_PER_SEC,
	[WAIT_REQUEST] = 64 * NSEC_PER_SEC, /* one more than the last of five SYN-ACK time-outs */
};

static void wait_unlink(struct pipeline *p, struct conn *c)
{
	struct wait_queue *q = &p->waits[c->pending];
	struct conn_end *end = c->end;
	struct conn *prev = conntab_at(p->conns, end->wait_prev);
	struct conn *next = conntab_at(p->conns, end->wait_next);

	if (prev)
		prev->end->wait_next = end->wait_next;
	else
		q->head = end->wait_next;
	if (next)
		next->end->wait_prev = end->wait_prev;
	else
		q->tail = end->wait_prev;
	end->wait_next = end->wait_prev = 0;
	c->pending = WAIT_NONE;
}

void ending_wait(struct pipeline *p, struct conn *c, enum wait w)
{
	struct wait_queue *q = &p->waits[w];
	struct conn_end *end;
	struct conn *tail;

	if (c->pending)
		wait_unlink(p, c);
	if (w == WAIT_NONE)
		return;
	end = conntab_end(p->conns, c);
	if (!c->end)
		return; /* memory is out: it is marked, and the next snapshot misses it */
	c->pending = w;
	end->due_ns = p->now_ns + wait_ns[w];
	end->wait_prev = q->tail;
	tail = conntab_at(p->conns, q->tail);
	q->tail = conntab_index(p->conns, c);
	if (tail)
		tail->end->wait_next = q->tail;
	else
		q->head = q->tail;
	if (end->due_ns < p->next_due_ns)
		p->next_due_ns = end->due_ns;
}

/* What was waited for has not come. */
void ending_awaited(struct pipeline *p, struct conn *c)
{
	if (c->detail & DETAIL_EMBRYO)
		request_childless(p, c);
	else if (minisock_awaits_reset(c))
		minisock_did_reset(p, c);
	else if (conn_end(c)->rst_doubt)
		doubt_received(p, c);
	else
		ending_finish(p, c, conn_end(c)->end_ns);
}

static void settle_one(struct pipeline *p, struct conn *c)
{
	switch (c->pending) {
	case WAIT_RESET:
		ending_awaited(p, c);
		break;
	case WAIT_UNSEEN: /* TIME_WAIT or FIN_WAIT_2 in a namespace that we cannot ask */
		if (c->state == ST_TIME_WAIT)
			minisock_reaped(p, c, conn_end(c)->tw_ns + TIME_WAIT_S * NSEC_PER_SEC,
					TW_EXPIRED);
		else
			gone_unasked(p, c);
		break;
	case WAIT_REUSE:
		minisock_reaped(p, c, conn_end(c)->tw_left_ns, TW_KILLED);
		break;
	case WAIT_REQUEST:
		request_expired(p, c);
		break;
	default:
		ending_wait(p, c, WAIT_NONE);
		break;
	}
}

/* Those that wait for a lookup are left to pipeline_next_lookup(). */
static bool settles_by_itself(enum wait w)
{
	return w == WAIT_RESET || w == WAIT_UNSEEN || w == WAIT_REUSE || w == WAIT_REQUEST;
}

void ending_settle(struct pipeline *p, uint64_t now_ns)
{
	uint64_t next = UINT64_MAX;

	census_expire(p, now_ns);
	for (unsigned w = WAIT_RESET; w < WAITS; w++) {
		struct conn *c;

		if (!settles_by_itself(w))
			continue;
		while ((c = conntab_at(p->conns, p->waits[w].head)) &&
		       conn_end(c)->due_ns <= now_ns)
			settle_one(p, c);
		if (c && conn_end(c)->due_ns < next)
			next = conn_end(c)->due_ns;
	}
	if (p->stats.now_in_state[ST_TIME_WAIT] && next > now_ns + NSEC_PER_SEC)
		next = now_ns + NSEC_PER_SEC;
	p->next_due_ns = next;
}

/* What those that wait for an answer wait for when the question has been put. */
static const uint8_t after_lookup[WAITS] = {
	[WAIT_LOOKUP_1] = WAIT_LOOKUP_2, [WAIT_LOOKUP_2] = WAIT_LOOKUP_3,
	[WAIT_LOOKUP_3] = WAIT_LOOKUP_4, [WAIT_LOOKUP_4] = WAIT_LOOKUP_5,
	[WAIT_LOOKUP_5] = WAIT_LOOKUP_5, [WAIT_REAP] = WAIT_LOOKUP_3,
};

/* The longest wait of the back-off that is over before this time has passed; else the shortest. */
enum wait ending_wait_within(uint64_t ns)
{
	enum wait w = WAIT_LOOKUP_5;

	while (w > WAIT_LOOKUP_1 && wait_ns[w] >= ns)
		w--;
	return w;
}

void pipeline_lookup_asked(struct pipeline *p, uint64_t cookie)
{
	struct conn *c = cookie ? conntab_find(p->conns, cookie) : NULL;

	if (c && after_lookup[c->pending])
		ending_wait(p, c, after_lookup[c->pending]);
}

void ending_lookup_of(struct lookup_request *out, const struct conn *c)
{
	out->cookie = c->cookie;
	out->netns = c->netns;
	out->lport = c->lport;
	out->pport = c->pport;
	out->bound_dev = conn_end(c)->bound_dev;
	memcpy(out->local, c->local, sizeof(out->local));
	memcpy(out->peer, c->peer, sizeof(out->peer));
}

bool pipeline_next_orphan(struct pipeline *p, uint32_t *cursor, struct lookup_request *out)
{
	const uint32_t closing = 1u << ST_FIN_WAIT_1 | 1u << ST_CLOSING | 1u << ST_LAST_ACK;
	struct conn *c;

	while ((c = conntab_next(p->conns, cursor))) {
		if (!(closing >> c->state & 1) || c->netns == p->own_netns ||
		    c->generation == p->generation || c->seen & SEEN_MINISOCK)
			continue;
		ending_lookup_of(out, c);
		return true;
	}
	return false;
}

bool pipeline_next_lookup(struct pipeline *p, uint64_t now_ns, struct lookup_request *out)
{
	for (unsigned w = WAIT_RESET; w < WAITS; w++) {
		struct conn *c = after_lookup[w] ? conntab_at(p->conns, p->waits[w].head) : NULL;

		if (!c || conn_end(c)->due_ns > now_ns)
			continue;
		ending_lookup_of(out, c);
		if (p->tap)
			p->tap->asked(p->tap_arg, c->cookie);
		ending_wait(p, c, after_lookup[w]);
		return true;
	}
	return false;
}

/* --- the record ------------------------------------------------------------ */

void ending_write(struct pipeline *p, struct conn *c)
{
	struct verdict v;

	verdict_of(c, &v);
	if (c->detail & DETAIL_WRITTEN)
		return;
	c->detail |= DETAIL_WRITTEN;
	if (p->ops->conn_end && pipeline_passes(p, c, &v))
		p->ops->conn_end(p->view, c, &v);
}

static void release(struct pipeline *p, struct conn *c)
{
	struct conn *o = identity_peer(p, c);

	if (c->pending)
		wait_unlink(p, c);
	timeline_count_state(p, c, ST_NONE);
	if (c->role == ROLE_LISTENER)
		listener_unindex(p, c);
	stacks_forget(p->stacks, c->cookie);
	if (o) {
		conntab_end(p->conns, o)->peer_cookie = c->cookie;
		o->peer_conn = 0;
	}
	conntab_del(p->conns, c);
}

void ending_drop(struct pipeline *p, struct conn *c)
{
	release(p, c);
}

void ending_finish(struct pipeline *p, struct conn *c, uint64_t ts_ns)
{
	conntab_end(p->conns, c)->end_ns = ts_ns;
	c->seen |= SEEN_CLOSE;
	if (c->incomplete & INCOMPLETE_GAP && p->lost_at_ns)
		c->incomplete |= INCOMPLETE_LOST;
	if (ts_ns)
		minisock_peer_ended(p, c, ts_ns);
	p->stats.connections_closed++;
	ending_write(p, c);
	release(p, c);
}

/* --- what ->CLOSE means ---------------------------------------------------- */

/* Only an ICMP message brings these. ECONNREFUSED (a port unreachable, a firewall's REJECT) is also a
 * RST's, where it answers a SYN: if no hook told of that one, then the socket did not get it either,
 * for it counts each segment. Of an open connection it stays behind as a soft error. */
static bool is_icmp(const struct conn *c, const struct event_tcp *t, enum tcp_state state)
{
	uint8_t err = t->err;

	if (err == ECONNREFUSED)
		return (state != ST_SYN_SENT || !t->segs_in) && !(c->seen & SEEN_RST_RECEIVED);
	return err == EHOSTUNREACH || err == ENETUNREACH || err == ENOPROTOOPT ||
	       err == EHOSTDOWN || err == EPROTO || err == EACCES || err == EMSGSIZE ||
	       err == ENONET;
}

/* LAST_ACK and CLOSING end gently by the acknowledgement of our FIN alone. Where that has not come and
 * there is no error, its process let go of it with data unread, which sends a RST, or with SO_LINGER 0:
 * that sends none once the FIN is out (tcp_disconnect()). */
static bool fin_unanswered(const struct event *e)
{
	return (e->old_state == ST_LAST_ACK || e->old_state == ST_CLOSING) && e->flags & EVF_TCP &&
	       !e->tcp.err && e->tcp.snd_una != e->tcp.write_seq;
}

/* A close by err 0 of a socket that had not said FIN and got none is a reset by its own process
 * (SO_LINGER 0, unread data, disconnect) or by its listener's end; the RST is announced next. */
static bool implies_rst(const struct conn *c, const struct event *e)
{
	if (c->detail & DETAIL_RST_IMPLIED)
		return true; /* doubt_answered() */
	if (e->tcp.err || c->seen & (SEEN_RST_RECEIVED | SEEN_RST_SENT))
		return false;
	if (e->old_state == ST_LAST_ACK || e->old_state == ST_CLOSING)
		return fin_unanswered(e) && (c->seen & SEEN_UNREAD_AT_CLOSE ||
					     e->tcp.snd_nxt != e->tcp.write_seq);
	return e->old_state != ST_SYN_SENT && e->old_state != ST_TIME_WAIT;
}

static enum trigger end_trigger(const struct conn *c, const struct event *e)
{
	if (e->tcp.err == ECONNABORTED || c->seen & SEEN_ABORT)
		return TRIG_ABORT;
	if (conn_end(c)->gave_up || e->tcp.err == ETIMEDOUT)
		return TRIG_TIMER;
	if (c->seen & SEEN_RST_RECEIVED || is_icmp(c, &e->tcp, e->old_state))
		return TRIG_PACKET;
	if ((e->old_state == ST_LAST_ACK || e->old_state == ST_CLOSING) && !fin_unanswered(e))
		return TRIG_PACKET;
	if (e->tcp.err == ECONNRESET) /* tcp_reset(), perhaps of what came while a call had the lock */
		return TRIG_PACKET;
	if (e->flags & EVF_OWNED || e->flags & EVF_TASK)
		return TRIG_SYSCALL;
	return e->tcp.err ? TRIG_PACKET : TRIG_UNKNOWN;
}

static bool was_open(enum tcp_state state)
{
	return state != ST_SYN_SENT && state != ST_SYN_RECV;
}

/* close() and shutdown() queue the FIN behind the data. If the peer's window never opened for it, it
 * was never on the wire, and nobody's FIN came first or crossed it. */
static void unsent_fin(struct conn *c, struct conn_end *end, const struct event_tcp *t)
{
	if (!(conn_fins(c) & SEEN_FIN_LOCAL) || c->seen & SEEN_FIN_LOCAL_ACKED ||
	    (int32_t)(t->snd_nxt - end->fin_seq_local) > 0)
		return;
	c->seen &= ~(SEEN_FIN_LOCAL | SEEN_FIN_LOCAL_TIME | SEEN_CLOSING);
	end->first_fin = c->seen & SEEN_FIN_PEER ? 2 : 0;
}

static void end_facts(struct pipeline *p, struct conn *c, const struct event *e)
{
	enum { SHUT_BOTH = 3 };
	const struct event_tcp *t = &e->tcp;
	struct conn_end *end = conntab_end(p->conns, c);
	bool icmp = is_icmp(c, t, e->old_state);

	end->end_old_state = e->old_state;
	end->err = t->err;
	end->end_ns = e->ts_ns;
	if (e->flags & EVF_DEAD)
		c->seen |= SEEN_ORPHAN;
	if (e->old_state != ST_SYN_SENT)
		identity_isns(c, t);
	else if (t->snd_una) { /* never answered: snd_una still is the ISN */
		c->isn_local = t->snd_una;
		c->seen |= SEEN_ISN_LOCAL;
	}
	if (was_open(e->old_state))
		ending_gave_up(p, c, e, icmp);
	else
		ending_syn_gave_up(c, e);
	if (t->rcv_nxt - t->copied_seq > !!(c->seen & SEEN_FIN_PEER)) /* an EOF is no data */
		c->seen |= SEEN_UNREAD_AT_CLOSE;
	if (t->shutdown != SHUT_BOTH) /* tcp_close() has set it by then, tcp_disconnect() sets none */
		c->detail |= DETAIL_DISCONNECTED;
	if (icmp && !end->gave_up)
		c->detail |= DETAIL_ICMP;
	if (e->old_state == ST_SYN_SENT) {
		if (c->netns) /* as enter_established(): a socket in SYN_SENT resets others only */
			c->seen &= ~SEEN_RST_SENT;
		timeline_syns(p, c, t);
		return;
	}
	timeline_counters(c, t);
	unsent_fin(c, end, t);
	if (end->first_fin == 1 && c->seen & SEEN_FIN_LOCAL_TIME &&
	    t->bytes_received > end->at_fin + (e->flags & EVF_DONE ? 1 : 0))
		c->seen |= SEEN_DATA_AFTER_FIN;
}

/* A queued child that its listener takes along: in process context, nobody holds its lock. */
static bool listener_closed(const struct conn *c, const struct event *e)
{
	return c->role == ROLE_SERVER && !(e->flags & EVF_OWNED) && !(e->flags & EVF_DEAD) &&
	       e->flags & EVF_NO_SOCKET && !e->tcp.err && !(c->seen & SEEN_ACCEPT) &&
	       !(c->seen & SEEN_FIN_LOCAL);
}

static void really_closed(struct pipeline *p, struct conn *c, const struct event *e)
{
	struct conn_end *end = conntab_end(p->conns, c);
	struct move m = {
		.ts_ns = e->ts_ns,
		.to = ST_CLOSED,
		.trigger = end_trigger(c, e),
		.actor = identity_actor(p, e),
	};

	if (listener_closed(c, e)) {
		c->seen |= SEEN_LISTENER_CLOSED;
		m.trigger = TRIG_SYSCALL;
	}
	if (m.trigger == TRIG_ABORT)
		c->seen |= SEEN_ABORT;
	if (m.trigger == TRIG_SYSCALL || m.trigger == TRIG_ABORT)
		end->closer = m.actor ? m.actor : end->closer;
	else
		m.actor = 0;
	if (m.trigger == TRIG_SYSCALL)
		identity_act(p, c, m.actor);
	end->end_trigger = m.trigger;
	timeline_move(p, c, &m);
	if (implies_rst(c, e)) {
		c->detail |= DETAIL_RST_IMPLIED;
		ending_wait(p, c, WAIT_RESET);
		return;
	}
	ending_finish(p, c, e->ts_ns);
}

/* Told only of a socket whose timer had fired. If its ->CLOSE was told, it is known as closed. */
void ending_destroyed(struct pipeline *p, const struct event *e)
{
	struct conn *c = conntab_find(p->conns, e->cookie);
	struct event closed = *e;

	if (!c || !(e->flags & EVF_TCP) || c->seen & (SEEN_CLOSE | SEEN_MINISOCK) || c->pending ||
	    c->state == ST_CLOSED || c->state == ST_TIME_WAIT || c->role == ROLE_LISTENER)
		return;
	closed.old_state = c->state;
	closed.new_state = ST_CLOSED;
	closed.flags &= ~(EVF_TASK | EVF_OWNED); /* whoever frees it did not end it */
	if (!closed.tcp.err)
		closed.tcp.err = ETIMEDOUT; /* its reader has fetched the error */
	c->incomplete |= INCOMPLETE_GAP;
	c->evidence |= EVIDENCE_ESTIMATE;
	ending_closed(p, c, &closed);
}

/* What an ICMP message had said and nobody has read is still there at ->CLOSE, whatever ends the
 * connection: a FIN's acknowledgement, or its own process, which may be tired of retransmissions (a
 * task is named only where no timer has made the soft error the socket's). */
static bool is_leftover(const struct conn *c, const struct event *e)
{
	return e->kind == EV_STATE && was_open(e->old_state) &&
	       is_icmp(c, &e->tcp, e->old_state) &&
	       (e->flags & EVF_TASK || !ending_tried(&e->tcp));
}

void ending_closed(struct pipeline *p, struct conn *c, const struct event *e)
{
	struct event calm;
	bool gentle;

	if (doubt_holds(p, c, e))
		return;
	if (is_leftover(c, e)) {
		calm = *e;
		calm.tcp.err = 0;
		e = &calm;
	}
	gentle = !e->tcp.err && !(c->seen & (SEEN_RST_RECEIVED | SEEN_RST_SENT));
	end_facts(p, c, e);
	if (gentle && (e->old_state == ST_FIN_WAIT_2 || e->old_state == ST_CLOSING) &&
	    !fin_unanswered(e) &&
	    (e->flags & EVF_DONE || conn_end(c)->tw_substate == ST_TIME_WAIT)) {
		if (!(c->seen & SEEN_FIN_PEER)) {
			struct conn_end *end = conntab_end(p->conns, c);

			c->seen |= SEEN_FIN_PEER | SEEN_FIN_PEER_TIME;
			end->fin_peer_ns = e->ts_ns;
			end->fin_seq_peer = e->tcp.rcv_nxt - 1;
			timeline_counters(c, &e->tcp);
		}
		minisock_time_wait(p, c, e->ts_ns, false);
		return;
	}
	/* With data unread close() resets, and there is no minisock. */
	if (gentle && e->old_state == ST_FIN_WAIT_2 && !(c->seen & SEEN_UNREAD_AT_CLOSE) &&
	    (conn_end(c)->tw_substate || !p->sees_tw_enter)) {
		minisock_fin_wait_2(p, c, e);
		return;
	}
	really_closed(p, c, e);
}
