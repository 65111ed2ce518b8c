/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State changes: what each transition of inet_sock_set_state proves about the
 * connection, and its true state.
 *
 * The tracepoint's word is not the truth in three places: FIN_WAIT2 -> CLOSE is
 * the beginning of TIME_WAIT or of an orphan minisock, LISTEN -> SYN_RECV is the
 * final ACK and not the SYN, and a transition onto itself is a close(). An old
 * state that is not our last new state is a gap: marked, and mended by what the
 * old state proves (timeline_imply). Nothing is guessed beyond that.
 */
#include <string.h>

#include "filter/filter.h"
#include "pipeline_impl.h"

void timeline_step(struct pipeline *p, struct conn *c, enum step_kind kind, uint64_t ts_ns,
		   enum trigger trigger, uint32_t seq, uint32_t aux)
{
	const uint64_t longest = (1ULL << 52) - 1;
	uint64_t at = ts_ns > c->start_ns ? ts_ns - c->start_ns : 0;
	struct step s = {
		.at = at < longest ? at : longest,
		.kind = kind,
		.state = c->state,
		.trigger = trigger,
		.seq = seq,
		.aux = aux,
	};

	if (p->cfg.want_steps)
		conntab_step_add(p->conns, c, &s);
}

void timeline_report(struct pipeline *p, const struct conn *c, const struct change *ch)
{
	p->stats.changes++;
	if (!pipeline_passes(p, c, NULL))
		return;
	census_change(p, ch);
	if (p->ops->change)
		p->ops->change(p->view, c, ch);
}

void timeline_count_state(struct pipeline *p, struct conn *c, enum tcp_state state)
{
	if (c->state && p->stats.now_in_state[c->state])
		p->stats.now_in_state[c->state]--;
	if (state && state != ST_CLOSED)
		p->stats.now_in_state[state]++;
	c->state = state;
}

void timeline_move(struct pipeline *p, struct conn *c, const struct move *m)
{
	enum tcp_state from = c->state;
	struct change ch = {
		.kind = CHANGE_STATE,
		.ts_ns = m->ts_ns,
		.from = from		       ? from
			: m->to == ST_SYN_RECV ? ST_LISTEN
					       : ST_CLOSED,
		.to = m->to,
		.trigger = m->trigger,
		.actor = m->actor,
		.inferred = m->inferred,
		.has_seq = m->has_seq,
		.seq = m->seq,
		.state_duration_ns = -1,
	};

	if (from && m->ts_ns >= c->state_ns && !(c->state_age_bound && !c->state_ns)) {
		ch.state_duration_ns = (int64_t)(m->ts_ns - c->state_ns);
		ch.duration_at_least = c->state_age_bound;
	}
	timeline_count_state(p, c, m->to);
	c->state_ns = m->ts_ns;
	c->state_age_bound = 0;
	timeline_step(p, c, STEP_STATE, m->ts_ns, m->trigger, m->seq, m->actor);
	timeline_report(p, c, &ch);
}

/* Payload that went to the wire: acknowledged plus in flight, less the SYN (which only an active
 * opener's bytes_acked counts) and the FIN once it is within snd_nxt. */
static uint64_t payload_sent(const struct conn *c, const struct event_tcp *t)
{
	uint64_t n = t->bytes_acked + (uint32_t)(t->snd_nxt - t->snd_una);
	uint64_t control = c->role == ROLE_SERVER ? 0 : 1;

	if (c->seen & SEEN_FIN_LOCAL && (int32_t)(t->snd_nxt - conn_end(c)->fin_seq_local) > 0)
		control++;
	return n > control ? n - control : 0;
}

static uint64_t payload_received(const struct conn *c, const struct event_tcp *t)
{
	uint64_t fin = c->seen & SEEN_FIN_PEER ? 1 : 0;

	return t->bytes_received > fin ? t->bytes_received - fin : 0;
}

void timeline_counters(struct conn *c, const struct event_tcp *t)
{
	c->rcv_nxt = t->rcv_nxt;
	c->bytes_sent = payload_sent(c, t);
	c->bytes_received = payload_received(c, t);
	c->segments_sent = t->segs_out;
	c->segments_received = t->segs_in;
	if (t->srtt_us)
		c->srtt_us = t->srtt_us;
	if (t->min_rtt_us && t->min_rtt_us != UINT32_MAX)
		c->min_rtt_us = t->min_rtt_us;
	c->probes = t->probes_out;
	if (t->options & TOPT_FASTOPEN) /* a client learns it just after it is ESTABLISHED */
		c->seen |= SEEN_FASTOPEN;
	c->rx_queue = t->rcv_nxt - t->copied_seq;
	c->now = c->rx_queue && c->seen & SEEN_FIN_PEER ? NOW_FIN_UNREAD : 0;
	if (t->snd_una != t->snd_nxt)
		c->now |= NOW_IN_FLIGHT;
	if (!t->snd_wnd && t->write_seq != t->snd_nxt)
		c->now |= NOW_ZERO_WINDOW;
	if (c->rx_queue && c->seen & SEEN_FIN_PEER)
		c->rx_queue--; /* ss does not count the FIN as a byte to read */
	c->tx_queue = t->write_seq - t->snd_una;
}

static void take_options(struct conn *c, const struct event_tcp *t)
{
	c->tcp_options = t->options;
	c->mss = t->mss;
	c->snd_wscale = t->snd_wscale;
	c->rcv_wscale = t->rcv_wscale;
	if (t->options & (TOPT_FASTOPEN | TOPT_FASTOPEN_CHILD))
		c->seen |= SEEN_FASTOPEN;
}

/* --- entering a state ----------------------------------------------------- */

static void enter_syn_sent(struct pipeline *p, struct conn *c, const struct event *e)
{
	c->role = ROLE_CLIENT;
	c->syn_ns = e->ts_ns;
	c->seen |= SEEN_START | SEEN_SYN_TIME;
	c->detail &= ~DETAIL_FOUND;
	identity_own(c, identity_actor(p, e), OWNER_CREATED);
	p->stats.connections_opened[ROLE_CLIENT]++;
}

static void enter_syn_recv(struct pipeline *p, struct conn *c, const struct event *e)
{
	if (e->old_state == ST_SYN_SENT) {
		c->seen |= SEEN_SIMULTANEOUS_OPEN;
		return;
	}
	c->role = ROLE_SERVER;
	c->seen |= SEEN_START;
}

/* A SYN cookie left no request sock that had noted the time: the sample is from the timestamp that
 * the ACK echoes, in whole milliseconds (tcp_rtt_tsopt_us()), up to 63 of them off, for its low bits
 * hold the SYN's options (cookie_init_timestamp()). The other samples are in microseconds: one in a
 * thousand that takes longer than a millisecond is refused with it. */
static bool from_cookie(const struct event_tcp *t)
{
	return t->options & TOPT_TIMESTAMPS && t->srtt_us % 1000 == 0;
}

/* The server's SYN time is the request sock's; without it, the kernel's own round-trip sample
 * from SYN-ACK to ACK says when the SYN came. It holds only for a SYN-ACK sent once. */
static void estimate_syn(struct conn *c, const struct event *e)
{
	uint64_t rtt_ns = e->tcp.srtt_us * 1000ULL;

	if (c->seen & SEEN_SYN_TIME || !rtt_ns || e->tcp.total_retrans || c->synack_retransmits ||
	    rtt_ns > 120 * NSEC_PER_SEC || rtt_ns > e->ts_ns || from_cookie(&e->tcp))
		return;
	c->syn_ns = e->ts_ns - rtt_ns;
	c->seen |= SEEN_SYN_ESTIMATED;
	c->evidence |= EVIDENCE_ESTIMATE;
	/* The one step so far is SYN_RECEIVED, which the tracepoint tells only now. */
	if (c->start_ns > c->syn_ns && c->steps_len <= 1)
		c->start_ns = c->state_ns = c->syn_ns;
}

/* The tracepoint shows a passive handshake only at its last segment. */
static void syn_recv_step(struct pipeline *p, struct conn *c, uint64_t now_ns)
{
	uint64_t at_ns = c->seen & (SEEN_SYN_TIME | SEEN_SYN_ESTIMATED) ? c->syn_ns : now_ns;

	if (!c->steps_len)
		timeline_step(p, c, STEP_STATE, at_ns, TRIG_PACKET, 0, 0);
}

static void established_server(struct pipeline *p, struct conn *c, const struct event *e)
{
	uint32_t again = e->tcp.total_retrans < UINT8_MAX ? e->tcp.total_retrans : UINT8_MAX;

	c->role = ROLE_SERVER;
	if (again > c->synack_retransmits)
		c->synack_retransmits = again;
	estimate_syn(c, e);
	syn_recv_step(p, c, e->ts_ns);
	listener_established(p, c);
}

/* Before ESTABLISHED SYNs were sent again; where they crossed, SYN-ACKs too. */
void timeline_syns(struct pipeline *p, struct conn *c, const struct event_tcp *t)
{
	uint32_t synacks = conn_end(c)->retransmits[RT_SYNACK];
	uint32_t again = t->total_retrans > synacks ? t->total_retrans - synacks : 0;

	if (again > c->syn_retransmits)
		c->syn_retransmits = again < UINT8_MAX ? again : UINT8_MAX;
	if (again > conn_end(c)->retransmits[RT_SYN])
		conntab_end(p->conns, c)->retransmits[RT_SYN] = again;
}

static void enter_established(struct pipeline *p, struct conn *c, const struct event *e)
{
	bool passive = e->old_state == ST_SYN_RECV && !(c->seen & SEEN_SIMULTANEOUS_OPEN);

	if (e->old_state == ST_SYN_SENT && c->role == ROLE_UNKNOWN)
		c->role = ROLE_CLIENT; /* its SYN was sent, though we did not see it */
	if (passive)
		established_server(p, c, e);
	else
		timeline_syns(p, c, &e->tcp);
	c->est_ns = e->ts_ns;
	c->seen |= SEEN_ESTABLISHED | SEEN_EST_TIME;
	/* A RST in SYN_SENT answers the ACK of an older, half-open connection of the same ports (RFC
	 * 9293, 3.5.1): it ended that one. */
	c->seen &= ~SEEN_RST_SENT;
	if (e->old_state == ST_SYN_SENT) {
		c->synack_ns = e->ts_ns;
		c->seen |= SEEN_SYNACK_TIME;
	}
	take_options(c, &e->tcp);
	identity_isns(c, &e->tcp);
	identity_pair(p, c);
}

static struct conn_end *fin_local(struct pipeline *p, struct conn *c, const struct event *e)
{
	struct conn_end *end = conntab_end(p->conns, c);

	c->seen |= SEEN_FIN_LOCAL | SEEN_FIN_LOCAL_TIME;
	end->fin_local_ns = e->ts_ns;
	end->fin_seq_local = e->tcp.write_seq; /* not queued yet: the FIN will take this number */
	return end;
}

static struct conn_end *fin_peer(struct pipeline *p, struct conn *c, const struct event *e)
{
	struct conn_end *end = conntab_end(p->conns, c);

	c->seen |= SEEN_FIN_PEER | SEEN_FIN_PEER_TIME;
	end->fin_peer_ns = e->ts_ns;
	end->fin_seq_peer = e->tcp.rcv_nxt - 1;
	return end;
}

static void enter_fin_wait_1(struct pipeline *p, struct conn *c, const struct event *e)
{
	struct conn_end *end = fin_local(p, c, e);

	if (!end->first_fin)
		end->first_fin = 1;
	if (e->tcp.shutdown == 2)
		c->seen |= SEEN_SHUT_WR_FIRST;
	end->at_fin = e->tcp.bytes_received;
	if (e->old_state == ST_SYN_RECV) { /* Fast Open: the server closed before the ACK */
		c->role = c->role ? c->role : ROLE_SERVER;
		c->seen |= SEEN_ESTABLISHED;
		take_options(c, &e->tcp);
	}
}

static void enter_fin_wait_2(struct pipeline *p, struct conn *c, const struct event *e)
{
	c->seen |= SEEN_FIN_LOCAL_ACKED;
}

static void enter_close_wait(struct pipeline *p, struct conn *c, const struct event *e)
{
	const struct conn *o = identity_peer(p, c);
	struct conn_end *end = fin_peer(p, c, e);

	if (!end->first_fin)
		end->first_fin = 2;
	if (o && o->seen & SEEN_SHUT_WR_FIRST) { /* a half-close: only the other end knows */
		c->seen |= SEEN_SHUT_WR_FIRST;
		c->evidence |= EVIDENCE_PAIR;
	}
	/* What we send from now on reaches a peer that has closed its half. */
	end->at_fin = e->tcp.write_seq;
}

static void enter_last_ack(struct pipeline *p, struct conn *c, const struct event *e)
{
	const struct conn_end *end = fin_local(p, c, e);

	if (c->seen & SEEN_FIN_PEER_TIME && (uint32_t)end->at_fin != e->tcp.write_seq)
		c->seen |= SEEN_DATA_AFTER_FIN;
}

static void enter_closing(struct pipeline *p, struct conn *c, const struct event *e)
{
	struct conn_end *end = fin_peer(p, c, e);

	c->seen |= SEEN_CLOSING;
	if ((int32_t)(e->tcp.snd_nxt - end->fin_seq_local) > 0 || !(conn_fins(c) & SEEN_FIN_LOCAL))
		return;
	/* Ours waits behind data and the peer's window: theirs is first, and when ours goes is not told. */
	c->seen &= ~(SEEN_CLOSING | SEEN_FIN_LOCAL_TIME);
	end->first_fin = 2;
}

typedef void (*enter_fn)(struct pipeline *p, struct conn *c, const struct event *e);

static const enter_fn enter[ST_COUNT] = {
	[ST_ESTABLISHED] = enter_established, [ST_SYN_SENT] = enter_syn_sent,
	[ST_SYN_RECV] = enter_syn_recv,	      [ST_FIN_WAIT_1] = enter_fin_wait_1,
	[ST_FIN_WAIT_2] = enter_fin_wait_2,   [ST_CLOSE_WAIT] = enter_close_wait,
	[ST_LAST_ACK] = enter_last_ack,	      [ST_CLOSING] = enter_closing,
};

/* --- one event ------------------------------------------------------------ */

static enum trigger trigger_of(const struct event *e)
{
	switch (e->new_state) {
	case ST_SYN_SENT:
	case ST_LISTEN:
	case ST_FIN_WAIT_1:
	case ST_LAST_ACK:
		return e->netns ? TRIG_SYSCALL : TRIG_UNKNOWN; /* a capture shows no calls */
	default: /* ESTABLISHED, FIN_WAIT_2, CLOSE_WAIT, CLOSING come with a segment, in
		  * whatever context it was processed; ->CLOSE is ending.c's */
		return TRIG_PACKET;
	}
}

static void listen_starts(struct pipeline *p, struct conn *c, const struct event *e)
{
	c->role = ROLE_LISTENER;
	identity_own(c, identity_actor(p, e), OWNER_CREATED);
	listener_index(p, c);
}

/* CLOSE -> LISTEN and LISTEN -> CLOSE; the rest of a listener's events say nothing. */
static void listener_event(struct pipeline *p, const struct event *e)
{
	struct conn *c = conntab_find(p->conns, e->cookie);
	struct move m = {.ts_ns = e->ts_ns, .to = e->new_state, .trigger = TRIG_SYSCALL};

	if (e->old_state == e->new_state)
		return;
	if (!c)
		c = identity_add(p, e);
	if (!c)
		return;
	m.actor = identity_actor(p, e);
	if (e->new_state == ST_LISTEN) {
		timeline_count_state(p, c, ST_NONE);
		listen_starts(p, c, e);
		timeline_move(p, c, &m);
		return;
	}
	if (e->tcp.err)
		m.trigger = TRIG_ABORT;
	c->role = ROLE_LISTENER;
	timeline_move(p, c, &m);
	ending_drop(p, c);
}

/* A transition onto itself: close() of a socket whose FIN is out already. */
static void closed_again(struct pipeline *p, struct conn *c, const struct event *e)
{
	struct change ch = {
		.kind = CHANGE_STATE,
		.ts_ns = e->ts_ns,
		.from = c->state,
		.to = c->state,
		.trigger = TRIG_SYSCALL,
		.actor = identity_actor(p, e),
		.state_duration_ns = (int64_t)(e->ts_ns - c->state_ns),
		.duration_at_least = c->state_age_bound,
	};

	if (e->new_state == ST_CLOSED)
		return;
	identity_act(p, c, ch.actor);
	if (ch.actor)
		conntab_end(p->conns, c)->closer = ch.actor;
	c->seen |= SEEN_ORPHAN;
	timeline_step(p, c, STEP_CLOSE, e->ts_ns, TRIG_SYSCALL, 0, ch.actor);
	timeline_report(p, c, &ch);
}

static struct conn *conn_of(struct pipeline *p, const struct event *e)
{
	struct conn *c = conntab_find(p->conns, e->cookie);
	bool birth = e->new_state == ST_SYN_SENT ||
		     (e->new_state == ST_SYN_RECV && e->old_state == ST_LISTEN) ||
		     (e->new_state == ST_ESTABLISHED && e->old_state == ST_SYN_RECV);

	if (c || !e->cookie)
		return c;
	if (!birth)
		return identity_conn(p, e);
	c = identity_add(p, e);
	if (!c || e->new_state == ST_SYN_SENT)
		return c;
	c->role = ROLE_SERVER;
	c->seen |= SEEN_START;
	identity_own(c, listener_of(p, c).owner, OWNER_LISTENER);
	if (e->new_state == ST_ESTABLISHED)
		timeline_count_state(p, c, ST_SYN_RECV);
	request_adopt(p, c);
	p->stats.connections_opened[ROLE_SERVER]++;
	return c;
}

/* A connection that the tracer lost sight of: what it must have passed through. */
static void mend_gap(struct pipeline *p, struct conn *c, const struct event *e)
{
	if (e->old_state == c->state || e->old_state == ST_CLOSED || !c->state)
		return;
	if (c->state == ST_SYN_RECV && e->old_state == ST_NEW_SYN_RECV)
		return;
	c->incomplete |= INCOMPLETE_GAP;
	timeline_imply(p, c, e->old_state, e->flags & EVF_TCP ? &e->tcp : NULL);
	timeline_count_state(p, c, e->old_state);
}

void timeline_state(struct pipeline *p, const struct event *e)
{
	struct conn *c;
	struct move m = {.ts_ns = e->ts_ns, .to = e->new_state, .trigger = trigger_of(e)};

	if (e->new_state == ST_LISTEN || (e->old_state == ST_LISTEN && e->new_state == ST_CLOSED)) {
		listener_event(p, e);
		return;
	}
	c = conn_of(p, e);
	if (!c || c->seen & SEEN_CLOSE)
		return;
	identity_tuple(p, c, e);
	identity_bound(p, c, e);
	if (e->old_state == ST_SYN_SENT && p->cfg.kernel_filter &&
	    filter_kernel_drops(p->cfg.kernel_filter, c)) {
		p->stats.connections_opened[ROLE_CLIENT]--; /* its port turned out to be another */
		ending_drop(p, c);
		return;
	}
	mend_gap(p, c, e);
	identity_told(p, c, e->ts_ns);
	if (e->new_state == ST_SYN_RECV && c->detail & DETAIL_SYN_RECV_TOLD) {
		timeline_count_state(p, c, ST_SYN_RECV); /* the tracepoint says it once more */
		return;
	}
	if (e->old_state == e->new_state) {
		closed_again(p, c, e);
		return;
	}
	if (e->new_state == ST_CLOSED) {
		ending_closed(p, c, e);
		return;
	}
	if (enter[e->new_state])
		enter[e->new_state](p, c, e);
	if (e->flags & EVF_TCP && e->new_state != ST_SYN_SENT &&
	    !(e->new_state == ST_SYN_RECV && e->old_state == ST_LISTEN))
		timeline_counters(c, &e->tcp);
	m.actor = identity_actor(p, e);
	if (m.trigger == TRIG_SYSCALL && m.actor) {
		identity_act(p, c, m.actor);
		if (e->new_state != ST_SYN_SENT)
			conntab_end(p->conns, c)->closer = m.actor;
	}
	if (e->new_state == ST_FIN_WAIT_1 || e->new_state == ST_LAST_ACK) {
		m.seq = conn_end(c)->fin_seq_local;
		m.has_seq = true;
	} else if (e->new_state == ST_CLOSE_WAIT || e->new_state == ST_CLOSING) {
		m.seq = conn_end(c)->fin_seq_peer;
		m.has_seq = true;
	}
	timeline_move(p, c, &m);
	if (e->new_state == ST_LAST_ACK)
		minisock_peer_sent_fin(p, c, e->ts_ns);
}
