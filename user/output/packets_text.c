/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tcptrail timeline --packets`: the textbook's table of a capture, a line a packet.
 *
 * Number, time, addresses and length, then which step of the handshake or of the
 * teardown it is, then the line that Wireshark would show (numbers relative to the
 * initial ones), then the numbers as they were on the wire.
 */
#include <stdlib.h>

#include "../core/connection/conntab.h"
#include "../core/flow/flow.h"
#include "../core/wire/wire.h"
#include "packets.h"
#include "text.h"
#include "views.h"

enum { COL_TIME = 7, COL_ENDS = 19, COL_LENGTH = 7, COL_STEP = 18 };

struct packets_view {
	struct text t;
};

static const struct {
	uint16_t flag;
	const char *name;
} flag_names[] = {
	{WIRE_FIN, "FIN"}, {WIRE_SYN, "SYN"}, {WIRE_RST, "RST"},
	{WIRE_PSH, "PSH"}, {WIRE_ACK, "ACK"}, {WIRE_URG, "URG"},
	{WIRE_ECE, "ECE"}, {WIRE_CWR, "CWR"}, {WIRE_AE, "AE"},
};

static void put_flags(struct buf *b, uint16_t flags)
{
	const char *between = "";

	buf_char(b, '[');
	for (unsigned i = 0; i < sizeof(flag_names) / sizeof(flag_names[0]); i++) {
		if (!(flags & flag_names[i].flag))
			continue;
		buf_str(b, between);
		buf_str(b, flag_names[i].name);
		between = ", ";
	}
	buf_str(b, between[0] ? "]" : "<None>]");
}

static void put_number(struct buf *b, const char *name, uint64_t n)
{
	buf_str(b, name);
	buf_u64(b, n);
}

static void put_options(struct buf *b, const struct wire_segment *s)
{
	if (s->has & WIRE_HAS_MSS)
		put_number(b, " MSS=", s->mss);
	if (s->has & WIRE_HAS_WSCALE)
		put_number(b, " WS=", 1u << s->wscale);
	if (s->has & WIRE_HAS_SACK_OK)
		buf_str(b, " SACK_PERM");
	if (s->has & WIRE_HAS_TS) {
		put_number(b, " TSval=", s->tsval);
		put_number(b, " TSecr=", s->tsecr);
	}
}

static void put_notes(struct buf *b, const struct pcap_packet *p)
{
	const char *title, *word;

	for (unsigned i = 0; (title = packets_note(p, i, &word)); i++) {
		if (!title[0])
			continue;
		buf_char(b, '[');
		buf_str(b, title);
		if (p->mark->notes & FLOW_DUP_ACK && word[0] == 'd' && word[1] == 'u')
			put_number(b, " #", p->mark->dup_acks);
		buf_str(b, "] ");
	}
}

static void put_sacks(struct buf *b, const struct pcap_packet *p)
{
	uint32_t base = p->segment->ack - p->mark->relative_ack;

	for (unsigned i = 0; i < p->segment->nsack; i++) {
		put_number(b, " SLE=", (uint32_t)(p->segment->sack[i][0] - base));
		put_number(b, " SRE=", (uint32_t)(p->segment->sack[i][1] - base));
	}
}

/* As Wireshark's Info column has it. */
static void put_info(struct line *l, const struct pcap_packet *p)
{
	const struct wire_segment *s = p->segment;
	const struct flow_mark *m = p->mark;
	bool scaled = m->window_shift > 0 && !(s->flags & WIRE_SYN);

	put_notes(l->b, p);
	buf_u64(l->b, s->sport);
	buf_char(l->b, ' ');
	line_glyph(l, GL_OUT);
	put_number(l->b, " ", s->dport);
	buf_char(l->b, ' ');
	put_flags(l->b, s->flags);
	put_number(l->b, " Seq=", m->relative_seq);
	if (s->flags & WIRE_ACK)
		put_number(l->b, " Ack=", m->relative_ack);
	put_number(l->b, " Win=", (uint32_t)s->window << (scaled ? m->window_shift : 0));
	put_number(l->b, " Len=", s->len);
	put_options(l->b, s);
	put_sacks(l->b, p);
}

static void put_absolute(struct line *l, const struct wire_segment *s)
{
	line_ink(l, INK_DIM);
	put_number(l->b, "  seq=", s->seq);
	if (s->flags & WIRE_ACK)
		put_number(l->b, " ack=", s->ack);
	line_ink(l, INK_NONE);
}

static enum ink ink_of(const struct flow_mark *m)
{
	const uint32_t look = FLOW_RETRANSMISSION | FLOW_OUT_OF_ORDER | FLOW_ZERO_WINDOW |
			      FLOW_ZERO_WINDOW_PROBE | FLOW_DELAYED_DUPLICATE | FLOW_NOT_OURS;

	if (m->step == FLOW_RESET || m->step == FLOW_REFUSED)
		return INK_BAD;
	if (m->notes & look)
		return INK_WARN;
	return m->step ? INK_BOLD : INK_NONE;
}

/* Seconds since the first packet, six digits as a capture has them; -T: the clock. */
static void put_time(const struct packets_view *v, struct line *l, uint64_t ts_ns)
{
	uint64_t at = ts_ns > v->t.base_ns ? ts_ns - v->t.base_ns : 0;

	if (v->t.wall_clock)
		buf_clock(l->b, session_realtime(v->t.s, ts_ns));
	else
		buf_printf(l->b, "%llu.%06llu", (unsigned long long)(at / 1000000000),
			   (unsigned long long)(at % 1000000000 / 1000));
}

static void on_packet(void *view, const struct pcap_packet *p)
{
	struct packets_view *v = view;
	struct session *s = v->t.s;
	struct line l;
	size_t from;
	int col = COL_TIME;

	text_base(&v->t, p->ts_ns);
	if (!packets_wanted(s, p))
		return;
	line_begin(&l, &v->t, sink_begin(s->out));
	from = l.b->len;
	buf_u64(l.b, p->number);
	buf_pad_left(l.b, from, COL_TIME - 2);
	line_to(&l, col);
	from = l.b->len;
	put_time(v, &l, p->ts_ns);
	buf_pad_left(l.b, from, 12);
	line_to(&l, col += 14);
	session_addr(s, l.b, p->segment->src);
	line_to(&l, col += COL_ENDS);
	session_addr(s, l.b, p->segment->dst);
	line_to(&l, col += COL_ENDS);
	from = l.b->len;
	buf_u64(l.b, p->length);
	buf_pad_left(l.b, from, COL_LENGTH - 1);
	line_to(&l, col += COL_LENGTH + 1);
	line_word(&l, ink_of(p->mark), packets_step(p));
	line_to(&l, col + COL_STEP);
	put_info(&l, p);
	put_absolute(&l, p->segment);
	line_end(&l);
	sink_commit(s->out);
	session_printed(s);
}

static void *packets_open(struct session *s)
{
	struct packets_view *v = calloc(1, sizeof(*v));

	if (v)
		text_init(&v->t, s);
	return v;
}

static void packets_begin(void *view)
{
	struct packets_view *v = view;
	struct session *s = v->t.s;
	struct line l;

	if (!packets_watch(s, on_packet, v))
		return;
	line_begin(&l, &v->t, sink_begin(s->out));
	line_ink(&l, INK_BOLD);
	line_str(&l, "  No.          Time  Source             Destination        Length  Step"
		     "              Info");
	line_ink(&l, INK_NONE);
	line_end(&l);
	sink_commit(s->out);
}

static const struct view_ops ops;

const struct view view_packets_text = {
	.ops = &ops,
	.open = packets_open,
	.begin = packets_begin,
	.close = free,
};
