/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp.packet: a line of the packet table for machines. The sender is the local end.
 *
 * Always true: seq and ack are the numbers on the wire; relative ones count from
 * the initial numbers, or from where the capture began where those are not known.
 */
#include <stdlib.h>

#include "../core/flow/flow.h"
#include "../core/wire/wire.h"
#include "json.h"
#include "packets.h"
#include "views.h"

struct packets_json {
	struct session *s;
	struct json_face face;
	struct community_cache ids;
};

static void put_flags(struct jsonw *w, uint16_t flags)
{
	static const char *const names[] = {"fin", "syn", "rst", "psh", "ack",
					    "urg", "ece", "cwr", "ae"};

	json_array(w, "flags");
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (flags & 1u << i)
			json_word(w, NULL, names[i]);
	json_array_end(w);
}

static void put_numbers(struct jsonw *w, const struct pcap_packet *p)
{
	const struct wire_segment *s = p->segment;
	const struct flow_mark *m = p->mark;
	bool scaled = m->window_shift > 0 && !(s->flags & WIRE_SYN);

	json_u64(w, "seq", s->seq);
	json_u64(w, "relative_seq", m->relative_seq);
	if (s->flags & WIRE_ACK) {
		json_u64(w, "ack", s->ack);
		json_u64(w, "relative_ack", m->relative_ack);
	}
	json_u64(w, "window", (uint64_t)s->window << (scaled ? m->window_shift : 0));
}

static void put_notes(struct jsonw *w, const struct pcap_packet *p)
{
	const char *word;

	json_array(w, "notes");
	for (unsigned i = 0; packets_note(p, i, &word); i++)
		json_word(w, NULL, word);
	json_array_end(w);
}

static void on_packet(void *view, const struct pcap_packet *p)
{
	struct packets_json *v = view;
	struct jsonw w;
	struct conn c;

	if (!packets_wanted(v->s, p))
		return;
	packets_sender(p, &c);
	json_common(&v->face, &w, sink_begin(v->s->out), "tcp.packet", p->ts_ns);
	json_close(&w);
	json_network(&v->face, &w, &c, c.state);
	json_tcp(&v->face, &w, &c);
	json_open(&w, "packet");
	json_u64(&w, "number", p->number);
	if (p->mark->flow)
		json_u64(&w, "connection", p->mark->flow);
	json_u64(&w, "length", p->length);
	json_u64(&w, "payload_length", p->segment->len);
	put_flags(&w, p->segment->flags);
	put_numbers(&w, p);
	json_word(&w, "step", packets_step(p));
	put_notes(&w, p);
	json_close(&w);
	json_close(&w);
	json_end(&w);
	sink_commit(v->s->out);
	session_printed(v->s);
}

static void *packets_open(struct session *s)
{
	struct packets_json *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	v->s = s;
	v->face = (struct json_face){.s = s, .sequence = &s->sequence, .ids = &v->ids};
	return v;
}

static void packets_begin(void *view)
{
	struct packets_json *v = view;

	packets_watch(v->s, on_packet, v);
}

static void packets_finish(void *view)
{
	struct packets_json *v = view;

	json_stats(&v->face, sink_begin(v->s->out));
	sink_commit(v->s->out);
	session_printed(v->s);
}

static const struct view_ops ops;

const struct view view_packets_json = {
	.ops = &ops,
	.open = packets_open,
	.begin = packets_begin,
	.finish = packets_finish,
	.close = free,
};
