/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Facts into words: how the handshake went, who closed first, what ended it.
 *
 * Each word is defined in the interface; each function below is one of these
 * definitions, in its order. Where a fact was not seen the word says so (unseen,
 * unknown, OTH) and the duration is -1: nothing is filled in.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "event.h"
#include "verdict.h"

static bool was_established(const struct conn *c)
{
	return c->seen & SEEN_ESTABLISHED;
}

static bool ended(const struct conn *c)
{
	return c->seen & SEEN_CLOSE;
}

/* It is gone, and no event told when (ending_unseen()). */
static bool end_unseen(const struct conn *c)
{
	return ended(c) && !conn_end(c)->end_ns;
}

static bool reset_sent(const struct conn *c)
{
	return c->seen & SEEN_RST_SENT || c->detail & DETAIL_RST_IMPLIED;
}

static bool reset_received(const struct conn *c)
{
	return c->seen & SEEN_RST_RECEIVED;
}

static bool killed(const struct conn *c)
{
	return c->seen & SEEN_ABORT;
}

/* The kernel gave it up by a timer. */
static bool timed_out(const struct conn *c)
{
	const struct conn_end *end = conn_end(c);

	return end->gave_up || end->err == ETIMEDOUT || c->detail & DETAIL_FW2_EXPIRED ||
	       (end->end_trigger == TRIG_TIMER && ended(c) && !was_established(c));
}

static enum handshake_kind handshake_kind(const struct conn *c)
{
	if (was_established(c)) {
		if (!(c->seen & (SEEN_START | SEEN_EST_TIME)) || c->detail & DETAIL_FOUND)
			return HS_UNSEEN;
		if (c->seen & SEEN_COOKIE)
			return HS_COOKIE;
		if (c->seen & SEEN_FASTOPEN)
			return HS_FAST_OPEN;
		return c->seen & SEEN_SIMULTANEOUS_OPEN ? HS_SIMULTANEOUS : HS_NORMAL;
	}
	if (!ended(c))
		return c->seen & SEEN_START ? HS_PENDING : HS_UNSEEN;
	if (c->role == ROLE_CLIENT && reset_received(c) &&
	    conn_end(c)->end_old_state == ST_SYN_SENT)
		return HS_REFUSED;
	if (end_unseen(c))
		return HS_UNSEEN;
	return timed_out(c) ? HS_TIMED_OUT : HS_ABORTED;
}

static bool half_closed(const struct conn *c)
{
	return c->seen & (SEEN_SHUT_WR_FIRST | SEEN_DATA_AFTER_FIN);
}

static enum teardown_kind teardown_kind(const struct conn *c)
{
	const uint32_t fins = SEEN_FIN_LOCAL | SEEN_FIN_PEER;

	if (!ended(c) && !(c->seen & SEEN_TIME_WAIT))
		return TD_OPEN;
	if (!was_established(c))
		return end_unseen(c) ? TD_UNSEEN : TD_ABORTED;
	if (killed(c))
		return TD_KILLED;
	if (timed_out(c))
		return c->seen & SEEN_ORPHAN ? TD_ORPHANED : TD_TIMED_OUT;
	if (reset_received(c))
		return TD_RESET_RECEIVED;
	if (reset_sent(c))
		return TD_RESET_SENT;
	if (end_unseen(c))
		return TD_UNSEEN;
	if (c->detail & DETAIL_ICMP)
		return TD_TIMED_OUT;
	if (c->seen & SEEN_CLOSING)
		return TD_SIMULTANEOUS;
	if (conn_seen(c, fins))
		return half_closed(c) ? TD_HALF_CLOSED : TD_NORMAL;
	return TD_ORPHANED; /* its minisock went, and the peer's FIN was never seen */
}

static enum initiator initiator(const struct conn *c)
{
	if (c->seen & SEEN_CLOSING)
		return INIT_BOTH;
	if (conn_end(c)->first_fin)
		return conn_end(c)->first_fin == 1 ? INIT_LOCAL : INIT_PEER;
	if (!ended(c))
		return INIT_NONE;
	if (killed(c)) /* SOCK_DESTROY sends a RST, but for a SYN nobody answered */
		return reset_sent(c) || was_established(c) ? INIT_LOCAL : INIT_NONE;
	if (timed_out(c) || c->detail & DETAIL_ICMP)
		return INIT_KERNEL;
	if (reset_received(c))
		return INIT_PEER;
	return reset_sent(c) ? INIT_LOCAL : INIT_NONE;
}

static enum end_reason timer_reason(const struct conn *c)
{
	if (c->detail & DETAIL_FW2_EXPIRED)
		return END_FIN_WAIT_2_TIMEOUT;
	if (c->detail & DETAIL_USER_TIMEOUT)
		return END_USER_TIMEOUT;
	if (!was_established(c))
		return END_SYN_TIMEOUT;
	if (conn_end(c)->gave_up == TIMER_PERSIST)
		return END_ZERO_WINDOW_TIMEOUT;
	return conn_end(c)->gave_up == TIMER_KEEPALIVE ? END_KEEPALIVE_TIMEOUT
						       : END_RETRANSMIT_TIMEOUT;
}

/* A RST that answers our data or probe although the peer had said nothing: it has forgotten us. */
static bool half_open(const struct conn *c)
{
	const struct conn_end *end = conn_end(c);

	if (c->seen & SEEN_FIN_PEER || !was_established(c))
		return false;
	if (c->detail & (DETAIL_RST_NO_ACK | DETAIL_UNHEARD))
		return true;
	/* A capture has no timers: what it saw sent again is all that it knows. */
	return !c->netns &&
	       (c->probes || end->retransmits[RT_KEEPALIVE] || end->retransmits[RT_TIMEOUT]);
}

static enum end_reason end_reason(const struct conn *c)
{
	if (!ended(c) && !(c->seen & SEEN_TIME_WAIT))
		return END_UNKNOWN;
	if (killed(c))
		return END_KILLED;
	if (timed_out(c))
		return timer_reason(c);
	if (c->detail & DETAIL_ICMP)
		return END_ICMP;
	if (reset_received(c)) {
		if (!was_established(c) && c->role == ROLE_CLIENT)
			return END_REFUSED;
		return half_open(c) ? END_HALF_OPEN : END_RESET;
	}
	if (c->seen & SEEN_LISTENER_CLOSED)
		return END_LISTENER_CLOSED;
	if (c->detail & DETAIL_RST_IMPLIED && conn_end(c)->end_trigger == TRIG_SYSCALL)
		return c->detail & DETAIL_DISCONNECTED	? END_RESET
		       : c->seen & SEEN_UNREAD_AT_CLOSE ? END_UNREAD_DATA_RESET
							: END_LINGER_RESET;
	if (reset_sent(c))
		return END_RESET;
	if (c->detail & DETAIL_NETNS_PURGE)
		return END_NETNS_DESTROYED;
	if (!end_unseen(c) && conn_seen(c, SEEN_FIN_LOCAL | SEEN_FIN_PEER))
		return END_FIN;
	return END_UNKNOWN;
}

/* --- Zeek's conn_state ------------------------------------------------------- */

static enum conn_state reset_state(const struct conn *c)
{
	bool by_client = (c->role == ROLE_CLIENT) == !reset_received(c);
	bool answered = c->detail & DETAIL_SYN_ANSWERED;

	if (c->role == ROLE_UNKNOWN)
		return CS_OTH;
	if (was_established(c))
		return by_client ? CS_RSTO : CS_RSTR;
	if (!by_client)
		return answered ? CS_RSTR : CS_REJ;
	return answered ? CS_RSTO : CS_RSTOS0;
}

static enum conn_state conn_state(const struct conn *c)
{
	uint32_t fins = c->seen & (SEEN_FIN_LOCAL | SEEN_FIN_PEER);
	bool fin_by_client = (c->role == ROLE_CLIENT) == (fins == SEEN_FIN_LOCAL);

	if (reset_received(c) || reset_sent(c))
		return reset_state(c);
	if (fins == (SEEN_FIN_LOCAL | SEEN_FIN_PEER))
		return CS_SF;
	if (!was_established(c))
		return c->role == ROLE_CLIENT && !end_unseen(c) ? CS_S0 : CS_OTH;
	if (fins && c->role != ROLE_UNKNOWN && !end_unseen(c))
		return fin_by_client ? CS_S2 : CS_S3;
	if (!fins && (c->seen & SEEN_START || ended(c)))
		return CS_S1;
	return CS_OTH;
}

/* --- durations ---------------------------------------------------------------- */

static int64_t span(const struct conn *c, uint32_t seen, uint64_t from, uint64_t to)
{
	return conn_seen(c, seen) && to >= from ? (int64_t)(to - from) : -1;
}

static bool syn_known(const struct conn *c)
{
	return c->seen & (SEEN_SYN_TIME | SEEN_SYN_ESTIMATED);
}

static void handshake_times(const struct conn *c, struct verdict *v)
{
	v->handshake_ns = syn_known(c) ? span(c, SEEN_EST_TIME, c->syn_ns, c->est_ns) : -1;
	v->syn_to_synack_ns =
		c->seen & SEEN_SYN_TIME ? span(c, SEEN_SYNACK_TIME, c->syn_ns, c->synack_ns) : -1;
	v->synack_to_ack_ns = -1;
	if (c->role == ROLE_SERVER && c->seen & SEEN_SYNACK_TIME)
		v->synack_to_ack_ns = span(c, SEEN_EST_TIME, c->synack_ns, c->est_ns);
	else if (c->role == ROLE_SERVER && c->seen & SEEN_SYN_ESTIMATED)
		v->synack_to_ack_ns = v->handshake_ns; /* that sample is all that was measured */
	v->accept_wait_ns = span(c, SEEN_ACCEPT | SEEN_EST_TIME, c->est_ns, c->accept_ns);
}

static void teardown_times(const struct conn *c, struct verdict *v)
{
	uint64_t first = 0;
	const struct conn_end *end = conn_end(c);

	v->half_close_ns = -1;
	if (conn_seen(c, SEEN_FIN_LOCAL_TIME | SEEN_FIN_PEER_TIME))
		v->half_close_ns = end->fin_local_ns < end->fin_peer_ns
					   ? (int64_t)(end->fin_peer_ns - end->fin_local_ns)
					   : (int64_t)(end->fin_local_ns - end->fin_peer_ns);
	if (c->seen & SEEN_FIN_LOCAL_TIME)
		first = end->fin_local_ns;
	if (c->seen & SEEN_FIN_PEER_TIME && (!first || end->fin_peer_ns < first))
		first = end->fin_peer_ns;
	if (!first && was_established(c) && c->seen & (SEEN_RST_SENT | SEEN_RST_RECEIVED))
		first = end->rst_ns;
	v->teardown_ns = -1;
	if (first && ended(c) && end->end_ns)
		v->teardown_ns = end->end_ns > first ? (int64_t)(end->end_ns - first) : 0;
	v->time_wait_ns = end->tw_left_ns && end->tw_end != TW_RUNNING
				  ? span(c, SEEN_TIME_WAIT, end->tw_ns, end->tw_left_ns)
				  : -1;
}

static void sides(const struct conn *c, struct verdict *v)
{
	bool client = c->role == ROLE_CLIENT;
	const struct conn_end *end = conn_end(c);
	bool isn_l = c->seen & SEEN_ISN_LOCAL, isn_p = c->seen & SEEN_ISN_PEER;
	bool fin_l = conn_fins(c) & SEEN_FIN_LOCAL, fin_p = conn_fins(c) & SEEN_FIN_PEER;

	if (c->role != ROLE_CLIENT && c->role != ROLE_SERVER)
		return;
	v->has_client_isn = client ? isn_l : isn_p;
	v->client_isn = client ? c->isn_local : c->isn_peer;
	v->has_server_isn = client ? isn_p : isn_l;
	v->server_isn = client ? c->isn_peer : c->isn_local;
	v->has_client_fin = client ? fin_l : fin_p;
	v->client_fin_seq = client ? end->fin_seq_local : end->fin_seq_peer;
	v->has_server_fin = client ? fin_p : fin_l;
	v->server_fin_seq = client ? end->fin_seq_peer : end->fin_seq_local;
}

void verdict_of(const struct conn *c, struct verdict *v)
{
	memset(v, 0, sizeof(*v));
	v->handshake = handshake_kind(c);
	v->teardown = teardown_kind(c);
	v->initiator = initiator(c);
	v->end_reason = end_reason(c);
	v->conn_state = conn_state(c);
	v->duration_ns = -1;
	if (ended(c) && conn_end(c)->end_ns >= c->start_ns)
		v->duration_ns = (int64_t)(conn_end(c)->end_ns - c->start_ns);
	handshake_times(c, v);
	teardown_times(c, v);
	sides(c, v);
}
