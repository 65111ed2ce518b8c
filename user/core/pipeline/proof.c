/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What being in a state proves, when how it got there was not seen: a socket older
 * than the tracer, or a gap. A row a state; RFC 9293's diagram has no other way in.
 * Nothing that another way in would contradict is ever concluded.
 */
#include "pipeline_impl.h"

enum proof {
	PROOF_EST = 1,
	PROOF_FIN_LOCAL = 2,
	PROOF_FIN_PEER = 4,
	PROOF_LOCAL_FIRST = 8,
	PROOF_PEER_FIRST = 16,
	PROOF_ACKED = 32,
};

static const uint8_t proofs[ST_COUNT] = {
	[ST_ESTABLISHED] = PROOF_EST,
	[ST_FIN_WAIT_1] = PROOF_EST | PROOF_FIN_LOCAL | PROOF_LOCAL_FIRST,
	[ST_FIN_WAIT_2] = PROOF_EST | PROOF_FIN_LOCAL | PROOF_LOCAL_FIRST | PROOF_ACKED,
	[ST_CLOSING] = PROOF_EST | PROOF_FIN_LOCAL | PROOF_FIN_PEER | PROOF_LOCAL_FIRST,
	[ST_TIME_WAIT] =
		PROOF_EST | PROOF_FIN_LOCAL | PROOF_FIN_PEER | PROOF_LOCAL_FIRST | PROOF_ACKED,
	[ST_CLOSE_WAIT] = PROOF_EST | PROOF_FIN_PEER | PROOF_PEER_FIRST,
	[ST_LAST_ACK] = PROOF_EST | PROOF_FIN_LOCAL | PROOF_FIN_PEER | PROOF_PEER_FIRST,
};

void timeline_imply(struct pipeline *p, struct conn *c, enum tcp_state state,
		    const struct event_tcp *t)
{
	uint8_t proof = proofs[state];
	struct conn_end *end;

	if (proof & PROOF_EST)
		c->seen |= SEEN_ESTABLISHED;
	if (!(proof & (PROOF_FIN_LOCAL | PROOF_FIN_PEER)))
		return;
	end = conntab_end(p->conns, c);
	if (proof & PROOF_FIN_LOCAL && !(c->seen & SEEN_FIN_LOCAL)) {
		c->seen |= SEEN_FIN_LOCAL;
		if (t)
			end->fin_seq_local = t->write_seq - 1; /* the FIN is its last number */
	}
	if (proof & PROOF_FIN_PEER && !(c->seen & SEEN_FIN_PEER)) {
		c->seen |= SEEN_FIN_PEER;
		if (t)
			end->fin_seq_peer = t->rcv_nxt - 1;
	}
	if (proof & PROOF_ACKED)
		c->seen |= SEEN_FIN_LOCAL_ACKED;
	if (!end->first_fin && proof & (PROOF_LOCAL_FIRST | PROOF_PEER_FIRST))
		end->first_fin = proof & PROOF_LOCAL_FIRST ? 1 : 2;
	if (state == ST_CLOSING)
		c->seen |= SEEN_CLOSING;
}
