/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Life in the timewait minisock: an orphan's FIN_WAIT_2, and TIME_WAIT.
 *
 * inet_sock_set_state is silent here. Full mode's hooks say everything; in base
 * mode an orphan FIN_WAIT_2 is settled by its other end when that is on this host
 * (evidence: pair), else by an exact lookup of that one minisock with back-off
 * (asked.c; evidence: lookup). TIME_WAIT ends the connection for those who wait for its
 * record; with --until reaped the record waits for the minisock.
 */
#include <stddef.h>

#include "connection/facts.h"
#include "pipeline_impl.h"

bool minisock_has(const struct conn *c)
{
	return c->state == ST_FIN_WAIT_2 && c->seen & SEEN_MINISOCK;
}

/* Can the source ask for it? In our own namespace, and in each that it has been in. */
static bool reachable(const struct pipeline *p, const struct conn *c)
{
	return !p->own_netns || c->netns == p->own_netns || facts_netns_told(p->facts, c->netns);
}

void minisock_watch(struct pipeline *p, struct conn *c)
{
	if (conn_end(c)->tw_substate && p->sees_tw_leave)
		return; /* its hooks tell the rest */
	ending_wait(p, c, reachable(p, c) ? WAIT_LOOKUP_1 : WAIT_UNSEEN);
}

/* FIN_WAIT2 -> CLOSE without the peer's FIN: the socket is gone, its minisock goes on waiting. */
void minisock_fin_wait_2(struct pipeline *p, struct conn *c, const struct event *e)
{
	uint32_t actor = identity_actor(p, e);
	struct conn_end *end = conntab_end(p->conns, c);

	c->seen |= SEEN_MINISOCK | SEEN_ORPHAN;
	identity_act(p, c, actor);
	if (actor && !end->closer)
		end->closer = actor;
	end->end_ns = 0;
	minisock_watch(p, c);
}

void minisock_time_wait(struct pipeline *p, struct conn *c, uint64_t ts_ns, bool inferred)
{
	struct move m = {
		.ts_ns = ts_ns,
		.to = ST_TIME_WAIT,
		.trigger = TRIG_PACKET,
		.inferred = inferred,
		.has_seq = conn_fins(c) & SEEN_FIN_PEER,
		.seq = conn_end(c)->fin_seq_peer,
	};
	struct conn_end *end = conntab_end(p->conns, c);
	uint32_t netns = c->netns;
	bool wanted;

	end->tw_ns = ts_ns;
	c->seen |= SEEN_TIME_WAIT;
	end->tw_end = TW_RUNNING;
	end->end_trigger = TRIG_PACKET;
	timeline_move(p, c, &m);
	if (p->cfg.until_reaped) {
		end->end_ns = ts_ns;
		ending_wait(p, c, reachable(p, c) ? WAIT_REAP : WAIT_UNSEEN);
		return;
	}
	wanted = pipeline_passes(p, c, NULL);
	ending_finish(p, c, ts_ns);
	if (wanted)
		census_time_wait(p, netns, ts_ns + TIME_WAIT_S * NSEC_PER_SEC);
}

void minisock_reaped(struct pipeline *p, struct conn *c, uint64_t ts_ns, enum time_wait_end how)
{
	struct move m = {
		.ts_ns = ts_ns,
		.to = ST_CLOSED,
		.trigger = how == TW_EXPIRED  ? TRIG_TIMER
			   : how == TW_REUSED ? TRIG_PACKET
					      : TRIG_ABORT,
		.inferred = !p->sees_tw_leave,
	};

	conntab_end(p->conns, c)->tw_left_ns = ts_ns;
	conntab_end(p->conns, c)->tw_end = how;
	if (!p->sees_tw_leave)
		c->evidence |= reachable(p, c) ? EVIDENCE_LOOKUP : EVIDENCE_ESTIMATE;
	timeline_move(p, c, &m);
	ending_finish(p, c, conn_end(c)->tw_ns);
}

/* --- the other end on this host tells ---------------------------------------- */

void minisock_fin(struct pipeline *p, struct conn *c, uint64_t ts_ns, uint8_t evidence)
{
	struct conn_end *end = conntab_end(p->conns, c);

	if (c->seen & SEEN_FIN_PEER)
		return;
	c->seen |= SEEN_FIN_PEER | SEEN_FIN_PEER_TIME;
	end->fin_peer_ns = ts_ns;
	end->fin_seq_peer = c->rcv_nxt; /* a minisock takes only the next number */
	c->evidence |= evidence;
}

void minisock_peer_sent_fin(struct pipeline *p, struct conn *peer, uint64_t ts_ns)
{
	struct conn *c = identity_peer(p, peer);

	if (c && minisock_has(c))
		/* on its way; it counts once it is acknowledged */
		conntab_end(p->conns, c)->fin_peer_ns = ts_ns;
}

/* The shortest that a tcp_fin_timeout or a TCP_LINGER2 can be, less the timer's grain. */
enum { FIN_WAIT_2_LEAST_MS = 980 };

/* The peer got a RST while this minisock still had time to live: who else could have answered?
 * Kernels before 6.12 do not trace the RST of a minisock; that of a close() is told next. */
static bool answered_by_reset(const struct conn *c, const struct conn *peer)
{
	uint64_t rst_ns = conn_end(peer)->rst_ns;
	uint64_t least_ms =
		c->timer_expires_ms > 20 ? c->timer_expires_ms - 20 : FIN_WAIT_2_LEAST_MS;

	return peer->seen & SEEN_RST_RECEIVED && peer->netns == c->netns &&
	       !conn_end(c)->tw_substate && rst_ns >= c->state_ns &&
	       (rst_ns - c->state_ns) / NSEC_PER_MS < least_ms;
}

bool minisock_awaits_reset(const struct conn *c)
{
	return minisock_has(c) && c->pending == WAIT_RESET;
}

/* By a RST that the other end on this host tells of. */
static void ended_by_reset(struct pipeline *p, struct conn *c, uint64_t ts_ns)
{
	struct conn_end *end = conntab_end(p->conns, c);

	c->evidence |= EVIDENCE_PAIR;
	end->end_old_state = ST_FIN_WAIT_2;
	end->end_trigger = TRIG_PACKET;
	timeline_move(p, c,
		      &(struct move){.ts_ns = ts_ns,
				     .to = ST_CLOSED,
				     .trigger = TRIG_PACKET,
				     .inferred = true});
	ending_finish(p, c, ts_ns);
}

void minisock_did_reset(struct pipeline *p, struct conn *c)
{
	struct conn_end *end = conntab_end(p->conns, c);
	uint64_t ts_ns = end->end_ns;

	c->seen |= SEEN_RST_SENT;
	end->rst_ns = ts_ns;
	ended_by_reset(p, c, ts_ns);
}

/* Did the other end's FIN come to this minisock? It was acknowledged, which only that can have done;
 * or its process did not wait for that, and reset: within a namespace the FIN went ahead, and what is
 * sent arrives in its order. */
static bool fin_came_from(const struct conn *c, const struct conn *peer)
{
	const struct conn_end *end = conn_end(peer);

	return end->end_old_state == ST_LAST_ACK && !end->err && peer->seen & SEEN_FIN_LOCAL &&
	       !(peer->seen & SEEN_RST_RECEIVED) &&
	       (end->end_trigger == TRIG_PACKET || peer->netns == c->netns);
}

void minisock_peer_ended(struct pipeline *p, struct conn *peer, uint64_t ts_ns)
{
	struct conn *c = identity_peer(p, peer);
	struct conn_end *end;

	if (!c || !minisock_has(c))
		return;
	end = conntab_end(p->conns, c);
	if (fin_came_from(c, peer)) {
		minisock_fin(p, c, end->fin_peer_ns ? end->fin_peer_ns : ts_ns, EVIDENCE_PAIR);
		minisock_time_wait(p, c, ts_ns, true);
		return;
	}
	if (answered_by_reset(c, peer)) {
		end->end_ns = conn_end(peer)->rst_ns;
		ending_wait(p, c, WAIT_RESET);
		return;
	}
	/* Within a namespace the RST arrives; between two it may meet nobody. */
	if (peer->netns == c->netns && !end->tw_substate && /* full mode sees it arrive */
	    (peer->seen & SEEN_RST_SENT || peer->detail & DETAIL_RST_IMPLIED)) {
		c->seen |= SEEN_RST_RECEIVED;
		ended_by_reset(p, c, ts_ns);
	}
}

/* A new connection took the tuple of one that was held in TIME_WAIT, or of an orphan's FIN_WAIT_2: a
 * port that was bound to is taken at once, whatever tcp_tw_reuse says. */
void minisock_reused(struct pipeline *p, const struct conn *fresh)
{
	struct conn *old = conntab_find_tuple(p->conns, fresh->netns, fresh->local, fresh->lport,
					      fresh->peer, fresh->pport, fresh);

	if (old && minisock_has(old))
		old->detail |= DETAIL_TAKEN_OVER;
	if (p->cfg.until_reaped && old && old->state == ST_TIME_WAIT)
		minisock_reaped(p, old,
				conn_end(old)->tw_left_ns ? conn_end(old)->tw_left_ns
							  : fresh->start_ns,
				TW_REUSED);
}

/* --- full mode's hooks -------------------------------------------------------- */

/* tcp_time_wait() runs before the ->CLOSE that it causes. */
void minisock_enter(struct pipeline *p, const struct event *e)
{
	struct conn *c = conntab_find(p->conns, e->cookie);

	p->sees_tw_enter = true;
	if (!c)
		return;
	conntab_end(p->conns, c)->tw_substate = e->extra.tw.substate;
	c->timer_expires_ms = e->extra.tw.timeo_ms > 0 ? e->extra.tw.timeo_ms : 0;
}

void minisock_gone(struct pipeline *p, struct conn *c, uint64_t ts_ns, bool purge)
{
	/* The kernel's timer wheel rounds up; 1/8 is its coarsest granularity. */
	uint64_t lived_ms = (ts_ns - c->state_ns) / NSEC_PER_MS;
	bool timer = c->timer_expires_ms && lived_ms + 20 >= c->timer_expires_ms;
	struct conn_end *end = conntab_end(p->conns, c);

	if (c->seen & SEEN_RST_RECEIVED)
		end->end_trigger = TRIG_PACKET;
	else if (purge)
		c->detail |= DETAIL_NETNS_PURGE;
	else if (timer)
		c->detail |= DETAIL_FW2_EXPIRED;
	if (timer && !(c->seen & SEEN_RST_RECEIVED))
		end->end_trigger = TRIG_TIMER;
	end->end_old_state = ST_FIN_WAIT_2;
	timeline_move(p, c,
		      &(struct move){.ts_ns = ts_ns,
				     .to = ST_CLOSED,
				     .trigger = end->end_trigger,
				     .inferred = !p->sees_tw_leave});
	ending_finish(p, c, ts_ns);
}

/* What was taken for an orphan FIN_WAIT_2 reset instead: close() itself did (SO_LINGER 0, linger2
 * < 0: no segment behind it), or its minisock answered data, and that ended it. */
void minisock_reset_sent(struct pipeline *p, struct conn *c, const struct event *e)
{
	struct conn_end *end;

	if (!minisock_has(c))
		return;
	end = conntab_end(p->conns, c);
	end->end_old_state = ST_FIN_WAIT_2;
	end->end_trigger = TRIG_PACKET;
	if (!e->extra.reset.has_skb) {
		c->detail |= DETAIL_RST_IMPLIED;
		end->end_trigger = TRIG_SYSCALL;
		c->seen &= ~SEEN_MINISOCK;
	}
	timeline_move(p, c,
		      &(struct move){.ts_ns = e->ts_ns,
				     .to = ST_CLOSED,
				     .trigger = end->end_trigger,
				     .actor = end->end_trigger == TRIG_SYSCALL ? end->closer : 0});
	ending_finish(p, c, e->ts_ns);
}

/* The kernel answered a segment on this tuple as one that has no socket: its minisock was gone. */
void minisock_no_socket(struct pipeline *p, struct conn *c, uint64_t ts_ns)
{
	if (!minisock_has(c))
		return;
	c->evidence |= EVIDENCE_ESTIMATE;
	if (p->sees_tw_leave)
		minisock_gone(p, c, ts_ns, false);
	else
		asked_gone(p, c, ts_ns); /* as good an answer as a look-up's */
}

/* An orphan FIN_WAIT_2 leaves before its time by a RST from the peer, by its namespace's end, or by
 * the RST with which it answers data, or for a new connection: what is none of the others is that
 * RST, which kernels before 6.12 do not trace. */
static void left_early(struct pipeline *p, struct conn *c, uint64_t ts_ns, bool purge)
{
	uint64_t lived_ms = (ts_ns - c->state_ns) / NSEC_PER_MS;
	struct conn_end *end = conntab_end(p->conns, c);

	if (purge || c->seen & SEEN_RST_RECEIVED || !c->timer_expires_ms ||
	    c->detail & DETAIL_TAKEN_OVER ||
	    lived_ms + 20 >= c->timer_expires_ms)
		return;
	c->seen |= SEEN_RST_SENT;
	end->rst_ns = ts_ns;
	end->end_trigger = TRIG_PACKET;
	c->evidence |= EVIDENCE_ESTIMATE;
}

void minisock_leave(struct pipeline *p, const struct event *e)
{
	struct conn *c = conntab_find(p->conns, e->cookie);
	bool purge = e->flags & EVF_KTHREAD;

	census_leaving_is_told(p);
	if (!c) {
		if (e->extra.tw.substate != ST_FIN_WAIT_2)
			census_left(p, e);
		return;
	}
	if (minisock_has(c)) {
		left_early(p, c, e->ts_ns, purge);
		minisock_gone(p, c, e->ts_ns, purge);
	} else if (c->state == ST_TIME_WAIT) {
		conntab_end(p->conns, c)->tw_left_ns = e->ts_ns;
		if (e->ts_ns - conn_end(c)->tw_ns + 100 * NSEC_PER_MS >= TIME_WAIT_S * NSEC_PER_SEC)
			minisock_reaped(p, c, e->ts_ns, TW_EXPIRED);
		else if (purge)
			minisock_reaped(p, c, e->ts_ns, TW_KILLED);
		else
			ending_wait(p, c, WAIT_REUSE);
	}
}

void minisock_segment(struct pipeline *p, const struct event *e)
{
	enum { FIN = 1, RST = 4 };
	struct conn *c = conntab_find(p->conns, e->cookie);
	uint16_t flags = e->extra.seg.tcp_flags;

	if (!c || !minisock_has(c))
		return;
	if (flags & RST) {
		struct change ch = {
			.kind = CHANGE_RESET,
			.ts_ns = e->ts_ns,
			.from = c->state,
			.to = c->state,
			.trigger = TRIG_PACKET,
			.received = true,
			.has_seq = true,
			.seq = e->extra.seg.seq,
			.state_duration_ns = -1,
		};

		c->seen |= SEEN_RST_RECEIVED;
		conntab_end(p->conns, c)->rst_ns = e->ts_ns;
		timeline_report(p, c, &ch);
		timeline_step(p, c, STEP_RST_RECEIVED, e->ts_ns, TRIG_PACKET, e->extra.seg.seq, 0);
		return;
	}
	/* Data before the FIN makes the minisock reset; only the bare next FIN is taken. */
	if (!(flags & FIN) || e->extra.seg.seq != c->rcv_nxt)
		return;
	minisock_fin(p, c, e->ts_ns, 0);
	minisock_time_wait(p, c, e->ts_ns, false);
}
