/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An end's steps, read as TCP: entering a state means that a segment was sent or
 * received. One table says which.
 *
 * Never: a segment that this end neither sent nor received, by its own word. What
 * follows for the other end is ladder_infer.c's.
 */
#include "ladder_impl.h"

#include <errno.h>
#include <stdio.h>

#include "connection/verdict.h"
#include "connection/words.h"

enum { ANY = ST_COUNT, SENT = 0, RECEIVED = 1, REASON_MOST = 48 };

/* The first row that fits tells. */
static const struct rule {
	uint8_t from, to, what, seg;
} rules[] = {
	{ANY, ST_SYN_SENT, SENT, SEG_SYN},
	{ANY, ST_SYN_RECV, RECEIVED, SEG_SYN},
	{ANY, ST_NEW_SYN_RECV, RECEIVED, SEG_SYN},
	{ST_SYN_SENT, ST_ESTABLISHED, RECEIVED, SEG_SYNACK},
	{ANY, ST_ESTABLISHED, RECEIVED, SEG_ACK},
	{ANY, ST_FIN_WAIT_1, SENT, SEG_FIN},
	{ANY, ST_LAST_ACK, SENT, SEG_FIN},
	{ANY, ST_FIN_WAIT_2, RECEIVED, SEG_FINACK},
	{ANY, ST_CLOSE_WAIT, RECEIVED, SEG_FIN},
	{ANY, ST_CLOSING, RECEIVED, SEG_FIN},
	{ST_CLOSING, ST_TIME_WAIT, RECEIVED, SEG_FINACK},
	{ANY, ST_TIME_WAIT, RECEIVED, SEG_FIN},
};

static struct segment *mark(struct build *b, unsigned from, enum seg_kind kind)
{
	struct segment *s = &b->seg[from][kind];

	s->there = true;
	return s;
}

static void mark_sent(struct build *b, unsigned side, enum seg_kind kind, uint64_t ns,
		      uint8_t state)
{
	struct segment *s = mark(b, side, kind);

	if (!s->sent_seen || ns < s->sent_ns)
		s->sent_ns = ns;
	s->sent_seen = true;
	if (state)
		s->sent_state = state;
}

static void mark_received(struct build *b, unsigned side, enum seg_kind kind, uint64_t ns,
			  uint8_t state)
{
	struct segment *s = mark(b, 1 - side, kind);

	if (!s->received_seen || ns < s->received_ns)
		s->received_ns = ns;
	s->received_seen = true;
	s->answered = true;
	if (state)
		s->received_state = state;
}

/* Not an event of this end: a lookup or the other end told. */
static void mark_concluded(struct build *b, unsigned side, enum seg_kind kind, uint64_t ns,
			   uint8_t state)
{
	struct segment *s = mark(b, 1 - side, kind);

	s->answered = true;
	s->guess_ns = ns;
	s->received_state = state;
}

/* What this end called to get into a state. */
static const char *call_of(const struct conn *c, unsigned state)
{
	switch (state) {
	case ST_SYN_SENT:
		return "connect()";
	case ST_FIN_WAIT_1:
		return c->seen & SEEN_SHUT_WR_FIRST ? "shutdown(SHUT_WR)" : "close()";
	case ST_LAST_ACK:
	case ST_CLOSED:
		return "close()";
	default:
		return NULL;
	}
}

static void note_call(struct build *b, unsigned side, const struct step *s, uint64_t ns,
		      unsigned rank)
{
	const struct conn *c = &b->end[side]->conn;
	const char *call = call_of(c, s->state);

	if (s->state == ST_CLOSED && c->seen & SEEN_LISTENER_CLOSED)
		call = "never accepted, listener closed";
	if (call && s->trigger == TRIG_SYSCALL)
		build_note(b, ns, rank - 1, side, call, s->aux);
}

/* A state that no segment goes with. */
static void state_note(struct build *b, unsigned side, unsigned state, uint64_t ns, const char *why,
		       uint32_t who)
{
	unsigned n = b->n;

	build_note(b, ns, state == ST_CLOSED ? RANK_END : RANK_MIDDLE, side, why, who);
	if (b->n > n)
		ladder_set_state(&b->draft[n].row, side, state, true);
}

static void close_note(struct build *b, unsigned side, uint64_t ns, const char *why, uint32_t who)
{
	state_note(b, side, ST_CLOSED, ns, why, who);
}

static const char *const time_wait_over[TW_ENDS] = {
	[TW_NONE] = "", [TW_RUNNING] = "", [TW_EXPIRED] = "2MSL over",
	[TW_REUSED] = "a new connection took the ports", [TW_KILLED] = "TIME_WAIT cut short",
};

/* CLOSED comes with the ACK of our FIN, with a RST in either direction, or because the kernel
 * gave up: then there is no segment to draw, only a reason. */
static void read_closed(struct build *b, unsigned side, unsigned prev, const struct step *s,
			uint64_t ns)
{
	const struct conn *c = &b->end[side]->conn;
	const struct conn_end *end = conn_end(c);
	struct verdict v;

	if (prev == ST_LAST_ACK && !end->err && s->trigger == TRIG_PACKET &&
	    !(c->seen & SEEN_RST_RECEIVED)) {
		mark_received(b, side, SEG_FINACK, ns, ST_CLOSED);
		return;
	}
	if (c->seen & SEEN_RST_RECEIVED || (prev == ST_SYN_SENT && end->err == ECONNREFUSED)) {
		mark_received(b, side, SEG_RST, ns, ST_CLOSED);
		return;
	}
	verdict_of(c, &v);
	if (c->seen & SEEN_RST_SENT) {
		mark_sent(b, side, SEG_RST, ns, ST_CLOSED);
		note_call(b, side, s, ns, RANK_RST);
		if (s->trigger == TRIG_TIMER)
			build_note(b, ns, RANK_RST - 1, side, word_end_reason(v.end_reason), 0);
		return;
	}
	if (prev == ST_TIME_WAIT)
		close_note(b, side, ns, time_wait_over[end->tw_end < TW_ENDS ? end->tw_end : 0], 0);
	else if (s->trigger == TRIG_SYSCALL)
		close_note(b, side, ns, "close()", s->aux);
	else
		close_note(b, side, ns, word_end_reason(v.end_reason), 0);
}

static void read_state(struct build *b, unsigned side, unsigned prev, const struct step *s,
		       uint64_t ns)
{
	const struct conn *c = &b->end[side]->conn;

	if (s->state == ST_CLOSED) {
		read_closed(b, side, prev, s, ns);
		return;
	}
	if (s->state == ST_TIME_WAIT && c->seen & SEEN_MINISOCK &&
	    c->evidence & (EVIDENCE_PAIR | EVIDENCE_LOOKUP)) {
		mark_concluded(b, side, SEG_FIN, ns, s->state);
		return;
	}
	if ((s->state == ST_FIN_WAIT_1 || s->state == ST_LAST_ACK) && !(c->seen & SEEN_FIN_LOCAL)) {
		state_note(b, side, s->state, ns, "FIN never sent: close()", s->aux);
		return;
	}
	for (unsigned i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		const struct rule *r = &rules[i];

		if (r->to != s->state || (r->from != ANY && r->from != prev))
			continue;
		/* Two SYNs crossed: what makes ESTABLISHED carries the other's SYN too. */
		if (r->seg == SEG_ACK && b->simultaneous)
			mark_received(b, side, SEG_SYNACK, ns, s->state);
		else if (r->what == RECEIVED)
			mark_received(b, side, (enum seg_kind)r->seg, ns, s->state);
		else
			mark_sent(b, side, (enum seg_kind)r->seg, ns, s->state);
		if (r->what == SENT)
			note_call(b, side, s, ns,
				  build_rank(b, side, (enum seg_kind)r->seg));
		return;
	}
}

/* --- what is not a state --------------------------------------------------- */

static void label_handshake_again(const struct build *b, unsigned side, const char *what, char *out,
				  size_t size)
{
	if (b->has_isn[side])
		snprintf(out, size, "%s again seq=%u", what, b->isn[side]);
	else
		snprintf(out, size, "%s again", what);
}

static void label_again(const struct build *b, unsigned side, const struct step *s, char *out,
			size_t size)
{
	const struct conn *c = &b->end[side]->conn;
	static const char *const probes[RT_COUNT] = {
		[RT_KEEPALIVE] = "keepalive probe",
		[RT_ZERO_WINDOW_PROBE] = "zero-window probe",
	};

	if (s->aux == RT_SYN || s->aux == RT_SYNACK)
		label_handshake_again(b, side, s->aux == RT_SYN ? "SYN" : "SYN+ACK", out, size);
	else if (s->aux < RT_COUNT && probes[s->aux])
		snprintf(out, size, "%s", probes[s->aux]);
	else if (c->seen & SEEN_FIN_LOCAL && s->seq == conn_end(c)->fin_seq_local)
		snprintf(out, size, "FIN again seq=%u", s->seq);
	else
		snprintf(out, size, "again seq=%u (%s)", s->seq,
			 s->aux == RT_TAIL_LOSS_PROBE ? "probe" : word_retransmit(s->aux));
}

static void read_retransmit(struct build *b, unsigned side, const struct step *s, uint64_t ns)
{
	struct draft *d = build_add(b, ns, RANK_MIDDLE);

	if (!d)
		return;
	d->row.dir = side == LEFT ? LADDER_RIGHT : LADDER_LEFT;
	label_again(b, side, s, d->row.label, sizeof(d->row.label));
	/* Whether it arrived is known only of what the other end then answers. */
	d->row.lost = conn_end(&b->end[side]->conn)->end_trigger == TRIG_TIMER;
	if (s->aux < RT_KEEPALIVE && s->aux != RT_ZERO_WINDOW_PROBE &&
	    b->end[side]->conn.seen & SEEN_FIN_LOCAL &&
	    s->seq == conn_end(&b->end[side]->conn)->fin_seq_local)
		b->fin_again[side] = true;
	if (s->aux == RT_SYN || s->aux == RT_SYNACK) {
		d->seg = SEG_SYN;
		d->from = (uint8_t)side;
		d->row.lost = !b->established;
	}
}

static void read_accept(struct build *b, unsigned side, const struct step *s, uint64_t ns)
{
	build_note(b, ns, RANK_MIDDLE, side, "accept()", s->aux);
}

static void read_close(struct build *b, unsigned side, const struct step *s, uint64_t ns)
{
	build_note(b, ns, RANK_MIDDLE, side, "close()", s->aux);
}

static void read_abort(struct build *b, unsigned side, const struct step *s, uint64_t ns)
{
	build_note(b, ns, RANK_RST - 1, side, "SOCK_DESTROY", s->aux);
}

static void read_drop(struct build *b, unsigned side, const struct step *s, uint64_t ns)
{
	const struct ladder_names *names = b->names;
	const char *name = names->drop_reason ? names->drop_reason(names->arg, s->aux) : NULL;
	char safe[REASON_MOST + 1], text[LADDER_NOTE];

	if (name && *name) {
		build_safe(safe, REASON_MOST, name);
		snprintf(text, sizeof(text), "segment dropped: %s", safe);
	} else {
		snprintf(text, sizeof(text), "segment dropped (reason %u)", s->aux);
	}
	build_note(b, ns, RANK_MIDDLE, side, text, 0);
}

static void read_error(struct build *b, unsigned side, const struct step *s, uint64_t ns)
{
	const char *name = word_errno(s->aux);
	char text[LADDER_NOTE];

	if (!*name)
		return;
	snprintf(text, sizeof(text), "error %s", name);
	build_note(b, ns, RANK_END - 1, side, text, 0);
}

static void read_rst_sent(struct build *b, unsigned side, const struct step *s, uint64_t ns)
{
	mark_sent(b, side, SEG_RST, ns, ST_NONE);
}

static void read_rst_received(struct build *b, unsigned side, const struct step *s, uint64_t ns)
{
	mark_received(b, side, SEG_RST, ns, ST_NONE);
}

static void read_syn_in(struct build *b, unsigned side, const struct step *s, uint64_t ns)
{
	mark_received(b, side, SEG_SYN, ns, ST_SYN_RECV);
}

static void read_synack_sent(struct build *b, unsigned side, const struct step *s, uint64_t ns)
{
	mark_sent(b, side, SEG_SYNACK, ns, ST_NONE);
}

static void read_fin_in(struct build *b, unsigned side, const struct step *s, uint64_t ns)
{
	mark_received(b, side, SEG_FIN, ns, ST_NONE);
}

typedef void (*read_fn)(struct build *b, unsigned side, const struct step *s, uint64_t ns);

static const read_fn readers[STEP_KINDS] = {
	[STEP_RETRANSMIT] = read_retransmit,
	[STEP_RST_SENT] = read_rst_sent,
	[STEP_RST_RECEIVED] = read_rst_received,
	[STEP_ACCEPT] = read_accept,
	[STEP_CLOSE] = read_close,
	[STEP_DROP] = read_drop,
	[STEP_ERROR] = read_error,
	[STEP_SYN_IN] = read_syn_in,
	[STEP_SYNACK_SENT] = read_synack_sent,
	[STEP_FIN_IN] = read_fin_in,
	[STEP_ABORT] = read_abort,
};

/* The state that this end was in before the first thing we know of it. */
static uint8_t state_before(const struct ladder_end *e)
{
	static const uint8_t before[ST_COUNT] = {
		[ST_FIN_WAIT_1] = ST_ESTABLISHED, [ST_FIN_WAIT_2] = ST_FIN_WAIT_1,
		[ST_CLOSING] = ST_FIN_WAIT_1,	  [ST_CLOSE_WAIT] = ST_ESTABLISHED,
		[ST_LAST_ACK] = ST_CLOSE_WAIT,
	};

	if (e->conn.seen & SEEN_START)
		return e->conn.role == ROLE_SERVER ? ST_LISTEN : ST_CLOSED;
	for (unsigned i = 0; i < e->conn.steps_len; i++) {
		if (e->steps[i].kind != STEP_STATE)
			continue;
		if (e->steps[i].state == ST_CLOSED)
			return conn_end(&e->conn)->end_old_state;
		if (e->steps[i].state == ST_TIME_WAIT)
			return e->conn.seen & SEEN_CLOSING ? ST_CLOSING : ST_FIN_WAIT_2;
		return before[e->steps[i].state];
	}
	return e->conn.steps_len ? ST_NONE : e->conn.state;
}

static void note_gap(struct build *b, unsigned side, uint64_t ns)
{
	char text[LADDER_NOTE];

	snprintf(text, sizeof(text), "... %u more steps, not kept",
		 conn_end(&b->end[side]->conn)->steps_dropped);
	build_note(b, ns, RANK_MIDDLE, LADDER_AT_MIDDLE, text, 0);
}

void ladder_read_end(struct build *b, unsigned side)
{
	const struct ladder_end *e = b->end[side];
	unsigned prev = state_before(e);

	b->begin[side] = (uint8_t)prev;
	for (unsigned i = 0; i < e->conn.steps_len; i++) {
		const struct step *s = &e->steps[i];
		uint64_t ns = e->conn.start_ns + s->at;

		if (i == STEPS_KEEP && conn_end(&e->conn)->steps_dropped)
			note_gap(b, side, ns);
		if (s->kind == STEP_STATE) {
			read_state(b, side, prev, s, ns);
			prev = s->state;
		} else if (s->kind < STEP_KINDS && readers[s->kind]) {
			readers[s->kind](b, side, s, ns);
		}
	}
}
