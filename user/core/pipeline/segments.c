/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events about single segments and calls: sent again, reset, dropped, probed,
 * an error, an abort, an accept. They change facts of a connection and are shown;
 * they never change its state.
 */
#include <errno.h>
#include <string.h>

#include "pipeline_impl.h"

enum { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_ACK = 16 };
enum { PENDING_LOSS_PROBE = 5 }; /* icsk_pending, inet_connection_sock.h */
enum { CA_RECOVERY = 3, CA_LOSS = 4 };		     /* enum tcp_ca_state */

static void count_retransmit(struct pipeline *p, struct conn *c, enum retransmit_kind k)
{
	struct conn_end *end = conntab_end(p->conns, c);

	if (end->retransmits[k] < UINT16_MAX)
		end->retransmits[k]++;
	if (k == RT_SYN && c->syn_retransmits < UINT8_MAX)
		c->syn_retransmits++;
	if (k == RT_SYNACK && c->synack_retransmits < UINT8_MAX)
		c->synack_retransmits++;
}

/* tcp_ld_RTO_revert(): an ICMP message says that the host is unreachable, and the timer's work is
 * done then and there, with the timer still armed. One more time-out was counted, of the oldest
 * segment: nothing was acknowledged, or the count would begin anew. */
static bool timer_ran_early(const struct conn *c, const struct event *e)
{
	return e->tcp.retransmits > conn_end(c)->rto_fired && e->extra.seg.seq == e->tcp.snd_una;
}

/* After a timeout the timer sends one segment, with itself no longer pending (tcp_write_timer_handler
 * clears it first); the rest is sent as acknowledgements come, with the next timer armed. */
static enum retransmit_kind in_loss(const struct conn *c, const struct event *e)
{
	if (e->tcp.pending)
		return timer_ran_early(c, e) ? RT_TIMEOUT : RT_SLOW_START;
	/* tcp_retransmit_timer() counts no retry of a probe into a window that was taken back */
	return !e->tcp.retransmits && !e->tcp.snd_wnd ? RT_ZERO_WINDOW_PROBE : RT_TIMEOUT;
}

/* From the tracepoint alone. Each kind but the zero-window probe is one that the kernel counts:
 * TCPSynRetrans (syn, synack), TCPFastRetrans, TCPSlowStartRetrans; of TCPLossProbes those that
 * send nothing new. */
static enum retransmit_kind retransmit_kind(const struct conn *c, const struct event *e)
{
	uint16_t flags = e->extra.seg.tcp_flags;

	if (flags & TCP_SYN)
		return flags & TCP_ACK ? RT_SYNACK : RT_SYN;
	if (e->new_state == ST_SYN_SENT)
		return RT_SYN;
	if (e->tcp.ca_state == CA_LOSS || !e->tcp.pending)
		return in_loss(c, e);
	if (e->tcp.ca_state != CA_RECOVERY && e->tcp.pending == PENDING_LOSS_PROBE)
		return RT_TAIL_LOSS_PROBE;
	return RT_FAST; /* in Recovery a loss probe may be armed meanwhile */
}

void segments_retransmit(struct pipeline *p, const struct event *e)
{
	struct conn *c = identity_conn(p, e);
	struct change ch = {.kind = CHANGE_RETRANSMIT, .ts_ns = e->ts_ns, .trigger = TRIG_TIMER};

	if (!c)
		return;
	identity_told(p, c, e->ts_ns);
	identity_tuple(p, c, e);
	ch.retransmit = retransmit_kind(c, e);
	ch.from = ch.to = c->state;
	ch.seq = e->extra.seg.seq;
	ch.has_seq = true;
	ch.state_duration_ns = -1;
	if (ch.retransmit == RT_FAST || ch.retransmit == RT_SLOW_START)
		ch.trigger = TRIG_PACKET;
	count_retransmit(p, c, ch.retransmit);
	conntab_end(p->conns, c)->rto_fired = e->tcp.retransmits;
	timeline_step(p, c, STEP_RETRANSMIT, e->ts_ns, ch.trigger, ch.seq, ch.retransmit);
	timeline_report(p, c, &ch);
}

void segments_probe(struct pipeline *p, const struct event *e)
{
	struct conn *c = identity_conn(p, e);
	struct change ch = {.kind = CHANGE_RETRANSMIT, .ts_ns = e->ts_ns, .trigger = TRIG_TIMER};

	if (!c || !e->extra.seg.mib)
		return;
	/* Into an open window the persist timer sends what this host threw away before: no probe. (A
	 * capture's probe was on the wire.) */
	if (e->netns && e->extra.seg.mib == 2 && !ending_window_shut(&e->tcp))
		return;
	identity_told(p, c, e->ts_ns);
	ch.retransmit = e->extra.seg.mib == 1 ? RT_KEEPALIVE : RT_ZERO_WINDOW_PROBE;
	ch.from = ch.to = c->state;
	ch.seq = e->tcp.snd_una - 1; /* a probe repeats a number that was acknowledged */
	ch.has_seq = true;
	ch.state_duration_ns = -1;
	count_retransmit(p, c, ch.retransmit);
	timeline_step(p, c, STEP_RETRANSMIT, e->ts_ns, TRIG_TIMER, ch.seq, ch.retransmit);
	timeline_report(p, c, &ch);
}

/* A reset or a dropped segment that no socket of ours stands behind: a conn for the view alone. */
static void stranger(struct conn *c, const struct event *e)
{
	memset(c, 0, sizeof(*c));
	c->cookie = e->cookie;
	c->netns = e->netns;
	memcpy(c->local, e->local, sizeof(c->local));
	memcpy(c->peer, e->peer, sizeof(c->peer));
	c->lport = e->lport;
	c->pport = e->pport;
	c->start_ns = c->state_ns = e->ts_ns;
}

static struct conn *by_tuple(struct pipeline *p, const struct event *e)
{
	return conntab_find_tuple(p->conns, e->netns, e->local, e->lport, e->peer, e->pport, NULL);
}

static void report_reset(struct pipeline *p, const struct conn *c, const struct event *e,
			 bool received)
{
	struct change ch = {
		.kind = CHANGE_RESET,
		.ts_ns = e->ts_ns,
		.from = c->state,
		.to = c->state,
		.trigger = received ? TRIG_PACKET : TRIG_UNKNOWN,
		.received = received,
		.reason = received ? 0 : e->extra.reset.reason,
		.has_seq = e->extra.reset.has_skb,
		.seq = e->extra.reset.seq,
		.state_duration_ns = -1,
	};

	timeline_report(p, c, &ch);
}

/* From 6.11 on one RST is traced twice: once where it is decided, once where it is sent. */
static bool traced_twice(const struct conn *c, const struct event *e)
{
	return c->seen & SEEN_RST_SENT && e->ts_ns - conn_end(c)->rst_ns < 100000;
}

static bool is_loopback(const uint8_t addr[16])
{
	static const uint8_t v6[16] = {[15] = 1};

	return (addr[10] == 0xff && addr[11] == 0xff && addr[12] == 127) || !memcmp(addr, v6, 16);
}

/* A RST without a socket behind it: whoever was on our end of the tuple is gone, and whoever gets
 * it on this host was half-open. */
static void no_socket(struct pipeline *p, const struct event *e)
{
	struct conn *dead = by_tuple(p, e);
	uint32_t netns = is_loopback(e->peer) ? e->netns : 0;
	struct conn *c;

	if (dead)
		minisock_no_socket(p, dead, e->ts_ns);
	c = conntab_find_tuple(p->conns, netns, e->peer, e->pport, e->local, e->lport, NULL);
	if (c)
		c->detail |= DETAIL_RST_NO_ACK;
}

void segments_rst_sent(struct pipeline *p, const struct event *e)
{
	struct conn *c = e->cookie ? conntab_find(p->conns, e->cookie) : NULL, other;
	struct conn_end *end;

	if (!e->cookie && !e->new_state) {
		no_socket(p, e);
		c = by_tuple(p, e);
		c = c && c->detail & DETAIL_EMBRYO ? c : NULL;
	} else if (!c || c->role == ROLE_LISTENER) {
		c = by_tuple(p, e);
	}
	if (!c) {
		stranger(&other, e);
		report_reset(p, &other, e, false);
		return;
	}
	if (conn_end(c)->rst_doubt)
		doubt_answered(p, c);
	end = conntab_end(p->conns, c);
	if (traced_twice(c, e)) {
		if (!end->rst_reason)
			end->rst_reason = e->extra.reset.reason;
		return;
	}
	c->seen |= SEEN_RST_SENT;
	end->rst_ns = e->ts_ns;
	identity_told(p, c, e->ts_ns);
	end->rst_reason = e->extra.reset.reason;
	timeline_step(p, c, STEP_RST_SENT, e->ts_ns, TRIG_UNKNOWN, 0, e->extra.reset.reason);
	report_reset(p, c, e, false);
	if (c->pending == WAIT_RESET && !minisock_awaits_reset(c))
		ending_awaited(p, c);
	else
		minisock_reset_sent(p, c, e);
}

void segments_rst_came(struct pipeline *p, struct conn *c, uint64_t ts_ns)
{
	const struct event rst = {.ts_ns = ts_ns, .kind = EV_RST_RECEIVED};

	c->seen |= SEEN_RST_RECEIVED;
	timeline_step(p, c, STEP_RST_RECEIVED, ts_ns, TRIG_PACKET, 0, 0);
	report_reset(p, c, &rst, true);
}

/* Does a timer of ours wait for an answer to what it has sent again, or to a keepalive probe? Probes of
 * a shut window are answered at the peer's leisure. */
static bool is_unheard(const struct event *e)
{
	const struct event_tcp *t = &e->tcp;

	if (!(e->flags & EVF_TCP))
		return false;
	if (t->snd_una != t->snd_nxt)
		return t->retransmits;
	return t->probes_out && t->write_seq == t->snd_nxt;
}

void segments_rst_received(struct pipeline *p, const struct event *e)
{
	struct conn *c = identity_conn(p, e);

	if (!c)
		return;
	identity_tuple(p, c, e);
	if (is_unheard(e))
		c->detail |= DETAIL_UNHEARD;
	if (e->flags & EVF_TCP && e->tcp.snd_una == e->tcp.snd_nxt && !e->tcp.probes_out)
		c->detail &= ~DETAIL_RST_NO_ACK; /* it answers a bare ACK: no data, no probe */
	conntab_end(p->conns, c)->rst_ns = e->ts_ns;
	identity_told(p, c, e->ts_ns);
	if (doubt_begins(c, e))
		conntab_end(p->conns, c)->rst_doubt = 1;
	else
		segments_rst_came(p, c, e->ts_ns);
}

/* Comes before EV_RST_RECEIVED: a RST without ACK answers a segment that no socket wanted. */
void segments_rst_segment(struct pipeline *p, const struct event *e)
{
	struct conn *c = conntab_find(p->conns, e->cookie);

	if (c && e->extra.seg.tcp_flags & TCP_RST && !(e->extra.seg.tcp_flags & TCP_ACK))
		c->detail |= DETAIL_RST_NO_ACK;
}

void segments_drop(struct pipeline *p, const struct event *e)
{
	struct conn *c = by_tuple(p, e), other;
	struct change ch = {
		.kind = CHANGE_DROP,
		.ts_ns = e->ts_ns,
		.trigger = TRIG_PACKET,
		.has_seq = e->extra.reset.has_skb,
		.seq = e->extra.reset.seq,
		.reason = e->extra.reset.reason,
		.state_duration_ns = -1,
	};

	if (!c) {
		stranger(&other, e);
		c = &other;
	} else {
		timeline_step(p, c, STEP_DROP, e->ts_ns, TRIG_PACKET, ch.seq, ch.reason);
	}
	ch.from = ch.to = c->state;
	p->stats.drops++;
	timeline_report(p, c, &ch);
}

void segments_error(struct pipeline *p, const struct event *e)
{
	struct conn *c = conntab_find(p->conns, e->cookie);

	if (!c || !e->tcp.err || !(e->flags & EVF_TCP))
		return;
	if (conn_end(c)->rst_doubt)
		return; /* it was told after the ->CLOSE that is held: as late as any behind an end */
	timeline_step(p, c, STEP_ERROR, e->ts_ns, TRIG_PACKET, 0, e->tcp.err);
}

void segments_abort(struct pipeline *p, const struct event *e)
{
	struct conn *c = identity_conn(p, e);
	uint32_t actor = identity_actor(p, e);

	if (!c)
		return;
	c->seen |= SEEN_ABORT;
	conntab_end(p->conns, c)->closer = actor;
	timeline_step(p, c, STEP_ABORT, e->ts_ns, TRIG_ABORT, 0, actor);
}

static void listener_accepted(struct pipeline *p, const struct conn *c)
{
	struct conn *lc = listener_of(p, c).one;
	struct listener *l = lc ? listener_get(p, lc->cookie, false) : NULL;
	uint64_t wait_ns = c->accept_ns - c->est_ns;

	if (!l)
		return;
	if (l->waiting)
		l->waiting--;
	if (!(c->seen & SEEN_EST_TIME) || c->accept_ns < c->est_ns)
		return;
	l->accept_waits++;
	l->accept_wait_sum_ns += wait_ns;
	if (wait_ns > l->accept_wait_max_ns)
		l->accept_wait_max_ns = wait_ns;
}

void segments_accept(struct pipeline *p, const struct event *e)
{
	struct conn *c = identity_conn(p, e);
	uint32_t proc = identity_actor(p, e);

	if (!c)
		return;
	c->accept_ns = e->ts_ns;
	c->seen |= SEEN_ACCEPT;
	identity_own(c, proc, OWNER_CREATED);
	listener_accepted(p, c);
	timeline_step(p, c, STEP_ACCEPT, e->ts_ns, TRIG_SYSCALL, 0, proc);
}
