/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segments to rows, in the order of time, with the labels that a textbook gives
 * them; and what is no segment: data, a half-close, 2MSL.
 *
 * Never: a solid arrow for a segment that neither end's events prove.
 */
#include "write/buf.h"
#include "ladder_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum rank build_rank(const struct build *b, unsigned from, enum seg_kind kind)
{
	static const uint8_t ranks[SEG_KINDS] = {
		[SEG_SYN] = RANK_SYN,
		[SEG_SYNACK] = RANK_SYNACK,
		[SEG_ACK] = RANK_ACK,
		[SEG_RST] = RANK_RST,
	};
	bool first = b->first_fin == SIDES || b->first_fin == from;

	if (kind == SEG_FIN)
		return first ? RANK_FIN_1 : RANK_FIN_2;
	if (kind == SEG_FINACK) /* of the other side's FIN */
		return first && b->first_fin != SIDES ? RANK_ACK_2 : RANK_ACK_1;
	return (enum rank)ranks[kind];
}

static void label_segment(const struct build *b, unsigned from, enum seg_kind kind, char *out,
			  size_t size)
{
	static const struct {
		const char *name;
		bool seq, fin_seq, ack, fin_ack;
	} labels[SEG_KINDS] = {
		[SEG_SYN] = {.name = "SYN", .seq = true},
		[SEG_SYNACK] = {.name = "SYN+ACK", .seq = true, .ack = true},
		[SEG_ACK] = {.name = "ACK", .ack = true},
		[SEG_FIN] = {.name = "FIN", .fin_seq = true},
		[SEG_FINACK] = {.name = "ACK", .fin_ack = true},
		[SEG_RST] = {.name = "RST"},
	};
	const unsigned far = 1 - from;
	size_t n = (size_t)snprintf(out, size, "%s", labels[kind].name);

	if (labels[kind].seq && b->has_isn[from])
		n += (size_t)snprintf(out + n, size - n, " seq=%u", b->isn[from]);
	if (labels[kind].fin_seq && b->has_fin[from])
		n += (size_t)snprintf(out + n, size - n, " seq=%u", b->fin[from]);
	if (labels[kind].ack && b->has_isn[far])
		snprintf(out + n, size - n, " ack=%u", b->isn[far] + 1);
	if (labels[kind].fin_ack && b->has_fin[far])
		snprintf(out + n, size - n, " ack=%u", b->fin[far] + 1);
}

static struct draft *emit_segment(struct build *b, unsigned from, enum seg_kind kind)
{
	const struct segment *s = &b->seg[from][kind];
	struct draft *d;

	if (!s->there)
		return NULL;
	d = build_add(b, seg_ns(s), build_rank(b, from, kind));
	if (!d)
		return NULL;
	d->seg = (uint8_t)kind;
	d->from = (uint8_t)from;
	d->row.dir = from == LEFT ? LADDER_RIGHT : LADDER_LEFT;
	d->row.dashed = !s->sent_seen && !s->received_seen;
	d->row.no_time = !seg_ns(s) || (s->no_time && d->row.dashed);
	d->row.lost = !s->answered && kind != SEG_RST && kind != SEG_ACK && kind != SEG_FINACK;
	label_segment(b, from, kind, d->row.label, sizeof(d->row.label));
	ladder_set_state(&d->row, from, s->sent_state, true);
	ladder_set_state(&d->row, 1 - from, s->received_state, !s->state_deduced);
	return d;
}

/* Two segments of a kind under way at the same time. */
static void emit_crossing(struct build *b, enum seg_kind kind, enum rank rank)
{
	const struct segment *l = &b->seg[LEFT][kind], *r = &b->seg[RIGHT][kind];
	uint64_t sent = UINT64_MAX, received = 0;
	struct draft *d;

	for (unsigned s = 0; s < SIDES; s++) {
		const struct segment *g = &b->seg[s][kind];

		if (g->sent_seen && g->sent_ns < sent)
			sent = g->sent_ns;
		if (g->received_seen && g->received_ns > received)
			received = g->received_ns;
	}
	if (sent == UINT64_MAX)
		sent = received ? received : seg_ns(l);
	d = build_add(b, sent, rank);
	if (d) {
		d->seg = (uint8_t)kind;
		d->row.dir = LADDER_CROSS;
		label_segment(b, LEFT, kind, d->row.label, sizeof(d->row.label));
		label_segment(b, RIGHT, kind, d->row.note, sizeof(d->row.note));
		ladder_set_state(&d->row, LEFT, l->sent_state, true);
		ladder_set_state(&d->row, RIGHT, r->sent_state, true);
	}
	d = build_add(b, received > sent ? received : sent, (enum rank)(rank + 1));
	if (d) {
		d->seg = (uint8_t)kind;
		d->row.dir = LADDER_CROSSED;
		ladder_set_state(&d->row, LEFT, r->received_state, true);
		ladder_set_state(&d->row, RIGHT, l->received_state, true);
	}
}

/* The passive closer's ACK rode on its FIN: proven where the FIN was sent before that ACK was
 * seen. Drawn as the one segment that it was. */
static bool merge_fin_ack(struct build *b)
{
	unsigned from = b->first_fin == LEFT ? RIGHT : LEFT;
	const struct segment *fin = &b->seg[from][SEG_FIN];
	struct segment *ack = &b->seg[from][SEG_FINACK];
	struct draft *d;

	if (b->first_fin == SIDES || b->crossing || !fin->there || !fin->sent_seen || !ack->there ||
	    !ack->received_seen || ack->sent_seen || ack->received_ns <= fin->sent_ns)
		return false;
	d = emit_segment(b, from, SEG_FIN);
	if (!d)
		return false;
	d->row.label[0] = '\0';
	snprintf(d->row.label, sizeof(d->row.label), "FIN+ACK seq=%u ack=%u", b->fin[from],
		 b->fin[1 - from] + 1);
	/* its receiver went through FIN_WAIT_2 on the way */
	ladder_set_state(&d->row, 1 - from, ack->received_state, true);
	d = fin->received_state ? build_add(b, ack->received_ns, RANK_ACK_2 - 1) : NULL;
	if (d) {
		d->row.dir = LADDER_TEXT;
		d->row.side = LADDER_AT_MIDDLE;
		ladder_set_state(&d->row, 1 - from, fin->received_state, true);
	}
	return true;
}

static void emit_segments(struct build *b)
{
	bool fin_cross = b->crossing && b->seg[LEFT][SEG_FIN].there && b->seg[RIGHT][SEG_FIN].there;
	unsigned merged = merge_fin_ack(b) ? 1 - b->first_fin : SIDES;

	if (b->simultaneous && b->seg[LEFT][SEG_SYN].there)
		emit_crossing(b, SEG_SYN, RANK_SYN);
	if (fin_cross)
		emit_crossing(b, SEG_FIN, RANK_FIN_1);
	for (unsigned s = 0; s < SIDES; s++) {
		for (unsigned k = 0; k < SEG_KINDS; k++) {
			if ((k == SEG_SYN && b->simultaneous) || (k == SEG_FIN && fin_cross) ||
			    ((k == SEG_FIN || k == SEG_FINACK) && s == merged))
				continue;
			emit_segment(b, s, (enum seg_kind)k);
		}
	}
}

/* --- what is no segment ------------------------------------------------------- */

static const struct conn *any_end(const struct build *b)
{
	return b->end[LEFT] ? &b->end[LEFT]->conn : &b->end[RIGHT]->conn;
}

static size_t put_bytes(char *out, size_t size, uint64_t n)
{
	static const char units[] = "kMGTPE";
	double v = (double)n;
	unsigned i = 0;

	if (n < 1000)
		return (size_t)snprintf(out, size, "%u B", (unsigned)n);
	for (v /= 1000; v >= 999.5 && units[i + 1]; i++)
		v /= 1000;
	return (size_t)snprintf(out, size, v < 100 ? "%.1f %cB" : "%.0f %cB", v, units[i]);
}

/* The first row of the teardown: everything before it is the connection's working life. */
static struct draft *teardown_begins(struct build *b)
{
	struct draft *first = NULL;

	for (unsigned i = 0; i < b->n; i++) {
		struct draft *d = &b->draft[i];

		if (d->rank >= RANK_FIN_1 - 1 && (d->ns || d->rank == RANK_END) &&
		    (!first || d->ns < first->ns))
			first = d;
	}
	return first;
}

static uint64_t bytes_after_first_fin(const struct conn *c)
{
	if (!(c->seen & SEEN_DATA_AFTER_FIN))
		return 0;
	if (conn_end(c)->first_fin == 1)
		return c->bytes_received > conn_end(c)->at_fin
			       ? c->bytes_received - conn_end(c)->at_fin
			       : 0;
	return (uint32_t)(conn_end(c)->fin_seq_local - (uint32_t)conn_end(c)->at_fin);
}

/* What each side sent before the first FIN; what went into the half-closed connection after it is
 * the half-close's. */
static void working_bytes(const struct build *b, uint64_t bytes[SIDES])
{
	uint64_t after = 0;

	bytes[LEFT] = bytes[RIGHT] = 0;
	for (unsigned s = 0; s < SIDES; s++) { /* whichever end has counted more */
		const struct conn *c = b->end[s] ? &b->end[s]->conn : NULL;

		if (c && c->bytes_sent > bytes[s])
			bytes[s] = c->bytes_sent;
		if (c && c->bytes_received > bytes[1 - s])
			bytes[1 - s] = c->bytes_received;
	}
	if (b->first_fin == SIDES)
		return;
	for (unsigned s = 0; s < SIDES; s++)
		if (b->end[s] && bytes_after_first_fin(&b->end[s]->conn) > after)
			after = bytes_after_first_fin(&b->end[s]->conn);
	bytes[1 - b->first_fin] -=
		after < bytes[1 - b->first_fin] ? after : bytes[1 - b->first_fin];
}

static void emit_data(struct build *b)
{
	const struct draft *first = teardown_begins(b);
	uint64_t bytes[SIDES];
	struct draft *d;
	char *out;
	size_t n = 0, size = LADDER_LABEL;

	if (!b->established)
		return;
	working_bytes(b, bytes);
	d = build_add(b, first ? first->ns : UINT64_MAX, RANK_DATA);
	if (!d)
		return;
	d->row.dir = LADDER_SPAN;
	d->row.no_time = true;
	out = d->row.label;
	if (!bytes[LEFT] && !bytes[RIGHT]) {
		snprintf(out, size, "no data");
		return;
	}
	/* '>' and '<' are drawn as arrows */
	n += (size_t)snprintf(out, size, "data ");
	n += put_bytes(out + n, size - n, bytes[LEFT]);
	n += (size_t)snprintf(out + n, size - n, " >  < ");
	put_bytes(out + n, size - n, bytes[RIGHT]);
}

/* "half-closed 17.5us", and its length. */
static size_t put_span(char label[LADDER_LABEL], uint64_t ns)
{
	struct buf b = {0};
	size_t n;

	buf_duration(&b, ns);
	n = (size_t)snprintf(label, LADDER_LABEL, "half-closed %.*s", (int)b.len,
			     b.data ? b.data : "");
	buf_free(&b);
	return n;
}

static void emit_half_close(struct build *b)
{
	unsigned second = 1 - b->first_fin;
	uint64_t from, to, bytes = 0;
	bool half = false;
	struct draft *d;
	size_t n;

	if (b->first_fin == SIDES || b->crossing || !b->seg[second][SEG_FIN].there)
		return;
	from = seg_ns(&b->seg[b->first_fin][SEG_FIN]);
	to = seg_ns(&b->seg[second][SEG_FIN]);
	for (unsigned s = 0; s < SIDES; s++) {
		const struct conn *c = b->end[s] ? &b->end[s]->conn : NULL;

		if (!c)
			continue;
		half |= !!(c->seen & (SEEN_SHUT_WR_FIRST | SEEN_DATA_AFTER_FIN));
		if (bytes_after_first_fin(c) > bytes)
			bytes = bytes_after_first_fin(c);
	}
	if (!half || to <= from)
		return;
	d = build_add(b, to, RANK_HALF);
	if (!d)
		return;
	d->row.dir = LADDER_SPAN;
	d->row.no_time = true;
	n = put_span(d->row.label, to - from);
	if (bytes) {
		n += (size_t)snprintf(d->row.label + n, LADDER_LABEL - n, "  %s",
				      second == LEFT ? "" : "< ");
		n += put_bytes(d->row.label + n, LADDER_LABEL - n, bytes);
		if (second == LEFT)
			snprintf(d->row.label + n, LADDER_LABEL - n, " >");
	}
}

static void emit_time_wait(struct build *b)
{
	for (unsigned s = 0; s < SIDES; s++) {
		const struct conn *c = b->end[s] ? &b->end[s]->conn : NULL;

		if (c && c->seen & SEEN_TIME_WAIT && conn_end(c)->tw_end == TW_RUNNING)
			build_note(b, conn_end(c)->tw_ns, RANK_END, s, "2MSL runs: 60 s", 0);
	}
}

static void emit_beginning(struct build *b)
{
	struct draft *d = build_add(b, 0, RANK_START);

	if (!d)
		return;
	d->row.dir = LADDER_TEXT;
	d->row.side = LADDER_AT_MIDDLE;
	d->row.no_time = true;
	if (b->l->unseen)
		snprintf(d->row.note, sizeof(d->row.note),
			 "handshake unseen: older than the tracer");
	for (unsigned s = 0; s < SIDES; s++)
		if (b->end[s])
			ladder_set_state(&d->row, s, b->begin[s], true);
}

static bool self_connected(const struct build *b)
{
	const struct conn *c = any_end(b);

	return c->lport == c->pport && !memcmp(c->local, c->peer, sizeof(c->local));
}

static int in_order(const void *pa, const void *pb)
{
	const struct draft *a = *(struct draft *const *)pa, *c = *(struct draft *const *)pb;

	if (a->ns != c->ns)
		return a->ns < c->ns ? -1 : 1;
	if (a->rank != c->rank)
		return a->rank < c->rank ? -1 : 1;
	return a < c ? -1 : a > c; /* as they were added */
}

void ladder_emit(struct build *b)
{
	struct draft *order[LADDER_ROWS];
	struct ladder *l = b->l;

	emit_beginning(b);
	if (!b->l->unseen && self_connected(b))
		build_note(b, 0, RANK_START + 1, LADDER_AT_MIDDLE, "both ends are the same socket",
			   0);
	emit_segments(b);
	emit_half_close(b);
	emit_time_wait(b);
	emit_data(b);
	for (unsigned i = 0; i < b->n; i++)
		order[i] = &b->draft[i];
	qsort(order, b->n, sizeof(order[0]), in_order);
	for (unsigned s = 0; s < SIDES; s++)
		if (!b->end[s] && b->n)
			ladder_deduce(b, order, s);
	for (unsigned i = 0; i < b->n; i++) {
		struct ladder_row *r = &l->rows[l->len++];

		*r = order[i]->row;
		r->at_ns = order[i]->ns > l->start_ns ? order[i]->ns - l->start_ns : 0;
	}
}
