/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What nobody saw but must have been: segments that the known ones force, and the
 * states of an end that is not on this host, by RFC 9293's own transitions.
 *
 * Never: a state at an unseen end that the segments do not force.
 */
#include "ladder_impl.h"

#include <stddef.h>

/* --- what must have been ---------------------------------------------------- */

static void imply(struct build *b, unsigned from, enum seg_kind kind, uint64_t guess_ns)
{
	struct segment *s = &b->seg[from][kind];

	s->there = true;
	s->answered = true;
	if (!s->guess_ns)
		s->guess_ns = guess_ns;
}

/* When the server must have got the SYN, by its own events or the kernel's round-trip sample. */
static uint64_t syn_guess(const struct build *b)
{
	const struct ladder_end *server = b->end[RIGHT];

	if (b->seg[RIGHT][SEG_SYNACK].sent_seen)
		return b->seg[RIGHT][SEG_SYNACK].sent_ns;
	if (server && server->conn.seen & (SEEN_SYN_TIME | SEEN_SYN_ESTIMATED))
		return server->conn.syn_ns;
	if (b->seg[RIGHT][SEG_SYNACK].received_seen)
		return b->seg[RIGHT][SEG_SYNACK].received_ns;
	return seg_ns(&b->seg[LEFT][SEG_ACK]);
}

static void complete_handshake(struct build *b)
{
	if (b->l->unseen)
		return;
	if (b->simultaneous) {
		for (unsigned s = 0; s < SIDES; s++) {
			imply(b, s, SEG_SYN, seg_ns(&b->seg[1 - s][SEG_SYN]));
			imply(b, s, SEG_SYNACK, seg_ns(&b->seg[1 - s][SEG_SYNACK]));
		}
		return;
	}
	/* In base mode a child's SYN_RECEIVED emits nothing when it happens. */
	if (b->end[RIGHT] && b->end[RIGHT]->conn.role == ROLE_SERVER &&
	    !b->seg[LEFT][SEG_SYN].received_state) {
		b->seg[LEFT][SEG_SYN].received_state = ST_SYN_RECV;
		b->seg[LEFT][SEG_SYN].state_deduced = true;
	}
	if (b->established) {
		if (b->seg[RIGHT][SEG_SYNACK].received_seen)
			imply(b, LEFT, SEG_ACK, b->seg[RIGHT][SEG_SYNACK].received_ns);
		imply(b, LEFT, SEG_SYN, syn_guess(b));
		imply(b, RIGHT, SEG_SYNACK, syn_guess(b));
		imply(b, LEFT, SEG_ACK, b->seg[LEFT][SEG_ACK].received_ns);
	} else if (b->end[RIGHT] && b->end[RIGHT]->conn.role == ROLE_SERVER) {
		imply(b, LEFT, SEG_SYN, b->end[RIGHT]->conn.start_ns);
		b->seg[RIGHT][SEG_SYNACK].there = true; /* a request sock answers at once */
		b->seg[RIGHT][SEG_SYNACK].guess_ns = b->end[RIGHT]->conn.start_ns;
	}
}

/* A FIN that nobody saw go by. If it was the first, of a connection found in mid-life, it went by
 * before the tracer was there; else it came no later than the end. */
static void imply_fin(struct build *b, unsigned from, const struct conn *c, uint64_t ns)
{
	struct segment *fin = &b->seg[from][SEG_FIN];
	bool before = !ns && !(c->seen & SEEN_START) && b->first_fin == from;

	fin->there = true;
	if (fin->guess_ns || fin->sent_seen || fin->received_seen)
		return;
	fin->guess_ns = ns ? ns : before ? c->start_ns : conn_end(c)->end_ns;
	fin->no_time = !ns;
}

static void imply_fin_ack(struct build *b, unsigned from)
{
	const struct segment *fin = &b->seg[1 - from][SEG_FIN];

	imply(b, from, SEG_FINACK, fin->received_seen ? fin->received_ns : seg_ns(fin));
	b->seg[from][SEG_FINACK].no_time = fin->no_time;
}

static void complete_teardown(struct build *b)
{
	for (unsigned s = 0; s < SIDES; s++) {
		const struct conn *c = b->end[s] ? &b->end[s]->conn : NULL;

		if (!c)
			continue;
		if (c->seen & SEEN_FIN_LOCAL)
			imply_fin(b, s, c,
				  c->seen & SEEN_FIN_LOCAL_TIME ? conn_end(c)->fin_local_ns : 0);
		if (c->seen & SEEN_FIN_PEER) {
			imply_fin(b, 1 - s, c,
				  c->seen & SEEN_FIN_PEER_TIME ? conn_end(c)->fin_peer_ns : 0);
			b->seg[1 - s][SEG_FIN].answered = true;
		}
		if (conn_seen(c, SEEN_FIN_LOCAL | SEEN_FIN_LOCAL_ACKED))
			imply_fin_ack(b, 1 - s);
	}
	/* A FIN that arrived was acknowledged, unless a RST came first. */
	for (unsigned s = 0; s < SIDES; s++) {
		struct segment *fin = &b->seg[s][SEG_FIN];
		bool reset = b->seg[LEFT][SEG_RST].there || b->seg[RIGHT][SEG_RST].there;

		if (fin->there && fin->answered && !b->seg[1 - s][SEG_RST].there)
			imply_fin_ack(b, 1 - s);
		if (fin->there && (b->seg[1 - s][SEG_FINACK].there || reset))
			fin->answered = true;
	}
}

/* An arrow that came to nothing: the segment was sent again, or its sender gave up. */
static void complete_answers(struct build *b)
{
	for (unsigned s = 0; s < SIDES; s++) {
		struct segment *syn = &b->seg[s][SEG_SYN];
		struct segment *synack = &b->seg[s][SEG_SYNACK];
		const struct ladder_end *e = b->end[s];
		bool again =
			e && (e->conn.syn_retransmits || conn_end(&e->conn)->retransmits[RT_SYN]);
		bool synack_again = e && (e->conn.synack_retransmits ||
					  conn_end(&e->conn)->retransmits[RT_SYNACK]);

		if (b->seg[1 - s][SEG_RST].there && !b->established)
			syn->answered = true;
		if (again)
			syn->answered = false;
		if (synack_again)
			synack->answered = false;
		if (b->fin_again[s])
			b->seg[s][SEG_FIN].answered = false;
	}
}

void ladder_complete(struct build *b)
{
	complete_handshake(b);
	complete_teardown(b);
	complete_answers(b);
}

/* --- the end that is not here --------------------------------------------------- */

/* RFC 9293, figure 5, as seen from one end: what sending or receiving a segment does. */
static const struct deduction {
	uint8_t seg, received, from, to;
} deductions[] = {
	{SEG_SYN, 0, ST_CLOSED, ST_SYN_SENT},
	{SEG_SYN, 1, ST_LISTEN, ST_SYN_RECV},
	{SEG_SYN, 1, ST_SYN_SENT, ST_SYN_RECV},
	{SEG_SYNACK, 1, ST_SYN_SENT, ST_ESTABLISHED},
	{SEG_SYNACK, 1, ST_SYN_RECV, ST_ESTABLISHED},
	{SEG_ACK, 1, ST_SYN_RECV, ST_ESTABLISHED},
	{SEG_FIN, 0, ST_ESTABLISHED, ST_FIN_WAIT_1},
	{SEG_FIN, 0, ST_SYN_RECV, ST_FIN_WAIT_1},
	{SEG_FIN, 0, ST_CLOSE_WAIT, ST_LAST_ACK},
	{SEG_FIN, 1, ST_ESTABLISHED, ST_CLOSE_WAIT},
	{SEG_FIN, 1, ST_FIN_WAIT_1, ST_CLOSING},
	{SEG_FIN, 1, ST_FIN_WAIT_2, ST_TIME_WAIT},
	{SEG_FINACK, 1, ST_FIN_WAIT_1, ST_FIN_WAIT_2},
	{SEG_FINACK, 1, ST_CLOSING, ST_TIME_WAIT},
	{SEG_FINACK, 1, ST_LAST_ACK, ST_CLOSED},
	{SEG_RST, 0, ST_SYN_RECV, ST_CLOSED},
	{SEG_RST, 0, ST_ESTABLISHED, ST_CLOSED},
	{SEG_RST, 0, ST_FIN_WAIT_1, ST_CLOSED},
	{SEG_RST, 0, ST_FIN_WAIT_2, ST_CLOSED},
	{SEG_RST, 0, ST_CLOSE_WAIT, ST_CLOSED},
	{SEG_RST, 1, ST_SYN_SENT, ST_CLOSED},
	{SEG_RST, 1, ST_SYN_RECV, ST_CLOSED},
	{SEG_RST, 1, ST_ESTABLISHED, ST_CLOSED},
	{SEG_RST, 1, ST_FIN_WAIT_1, ST_CLOSED},
	{SEG_RST, 1, ST_FIN_WAIT_2, ST_CLOSED},
	{SEG_RST, 1, ST_CLOSE_WAIT, ST_CLOSED},
	{SEG_RST, 1, ST_CLOSING, ST_CLOSED},
	{SEG_RST, 1, ST_LAST_ACK, ST_CLOSED},
};

static uint8_t deduce(uint8_t state, unsigned seg, bool received)
{
	for (unsigned i = 0; i < sizeof(deductions) / sizeof(deductions[0]); i++) {
		const struct deduction *d = &deductions[i];

		if (d->seg == seg && d->received == received && d->from == state)
			return d->to;
	}
	return ST_NONE;
}

/* The state that the far end must have been in before the first row. */
static uint8_t far_begin(const struct build *b, unsigned far)
{
	bool answered = b->seg[far][SEG_SYNACK].there;

	if (b->l->unseen)
		return b->begin[1 - far] == ST_ESTABLISHED ? ST_ESTABLISHED : ST_NONE;
	if (far == LEFT || b->simultaneous)
		return ST_CLOSED;
	if (answered)
		return ST_LISTEN;
	return b->seg[far][SEG_RST].there && !b->established ? ST_CLOSED : ST_NONE;
}

void ladder_deduce(struct build *b, struct draft *const *order, unsigned far)
{
	uint8_t state = far_begin(b, far);

	ladder_set_state(&order[0]->row, far, state, false);
	for (unsigned i = 1; i < b->n; i++) {
		struct ladder_row *r = &order[i]->row;
		bool cross = r->dir == LADDER_CROSS, crossed = r->dir == LADDER_CROSSED;
		bool receives = crossed || (!cross && order[i]->from != far);
		uint8_t next;

		if (order[i]->seg == SEG_NONE || r->dir == LADDER_TEXT || (receives && r->lost))
			continue;
		next = deduce(state, order[i]->seg, receives);
		if (!next)
			continue;
		state = next;
		ladder_set_state(r, far, state, false);
	}
}
