/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words of the packet table: a segment's step in the textbook's handshake and
 * teardown, and the notes that Wireshark gives it.
 *
 * A word is a row of a table. What is shown of a packet comes from its mark
 * (core/flow), nothing is judged here.
 */
#include <stdio.h>
#include <string.h>

#include "../core/filter/filter.h"
#include "../core/flow/flow.h"
#include "../core/pipeline/pipeline.h"
#include "../core/wire/wire.h"
#include "packets.h"

bool packets_watch(struct session *s, pcap_packet_fn fn, void *view)
{
	if (source_pcap_watch(s->source, fn, view))
		return true;
	fputs("tcptrail: --packets: expected a capture (pcap, pcapng): "
	      "a recording has no packets\n",
	      stderr);
	s->status = 2;
	return false;
}

static void end_of(const struct pcap_packet *p, bool sender, struct conn *out)
{
	const struct wire_segment *s = p->segment;
	const struct flow_mark *m = p->mark;

	memset(out, 0, sizeof(*out));
	memcpy(out->local, sender ? s->src : s->dst, 16);
	memcpy(out->peer, sender ? s->dst : s->src, 16);
	out->lport = sender ? s->sport : s->dport;
	out->pport = sender ? s->dport : s->sport;
	out->state = sender ? m->state : m->peer_state;
	out->role = m->role;
	if (!sender && m->role)
		out->role = m->role == ROLE_CLIENT ? ROLE_SERVER : ROLE_CLIENT;
	out->start_ns = out->state_ns = p->ts_ns;
}

void packets_sender(const struct pcap_packet *p, struct conn *out)
{
	end_of(p, true, out);
}

static bool end_wanted(const struct session *s, const struct pcap_packet *p, bool sender)
{
	uint64_t cookie = sender ? p->mark->cookie : p->mark->peer_cookie;
	const struct conn *c = cookie ? conntab_find(pipeline_conns(s->p), cookie) : NULL;
	struct filter_subject subject = {
		.conn = c,
		.procs = pipeline_procs(s->p),
		.now_ns = p->ts_ns,
	};
	struct conn gone;

	if (!c) {
		end_of(p, sender, &gone);
		subject.conn = &gone;
	}
	return filter_match(s->o->filter, &subject) == FILTER_YES;
}

bool packets_wanted(const struct session *s, const struct pcap_packet *p)
{
	return !s->o->filter || end_wanted(s, p, true) || end_wanted(s, p, false);
}

static const char *const steps[FLOW_STEPS] = {
	[FLOW_SYN] = "handshake 1/3",	  [FLOW_SYNACK] = "handshake 2/3",
	[FLOW_ACK] = "handshake 3/3",	  [FLOW_SYN_CROSSED] = "SYNs cross",
	[FLOW_FIN_1] = "teardown 1/4",	  [FLOW_FIN_1_ACK] = "teardown 2/4",
	[FLOW_FIN_2] = "teardown 3/4",	  [FLOW_FIN_2_ACK] = "teardown 4/4",
	[FLOW_FIN_23] = "teardown 2+3/4", [FLOW_RESET] = "reset",
	[FLOW_REFUSED] = "refused",
};

/* The first that fits is the packet's step where it is none of those above. */
static const struct {
	uint32_t note;
	const char *step, *title, *word;
} notes[] = {
	{FLOW_CAPTURED_TWICE, "captured twice", "captured twice", "captured_twice"},
	{FLOW_DELAYED_DUPLICATE, "delayed duplicate", "delayed duplicate", "delayed_duplicate"},
	{FLOW_NOT_OURS, "out of window", "out of window", "out_of_window"},
	{FLOW_FAST, "retransmission", "TCP Fast Retransmission", "fast_retransmission"},
	{FLOW_SPURIOUS, "retransmission", "TCP Spurious Retransmission", "spurious_retransmission"},
	{FLOW_RETRANSMISSION, "retransmission", "TCP Retransmission", "retransmission"},
	{FLOW_OUT_OF_ORDER, "out of order", "TCP Out-Of-Order", "out_of_order"},
	{FLOW_ZERO_WINDOW_PROBE, "window probe", "TCP ZeroWindowProbe", "zero_window_probe"},
	{FLOW_ZERO_WINDOW_PROBE_ACK, "window probe ACK", "TCP ZeroWindowProbeAck",
	 "zero_window_probe_ack"},
	{FLOW_KEEPALIVE, "keep-alive", "TCP Keep-Alive", "keep_alive"},
	{FLOW_KEEPALIVE_ACK, "keep-alive ACK", "TCP Keep-Alive ACK", "keep_alive_ack"},
	{FLOW_ZERO_WINDOW, "zero window", "TCP ZeroWindow", "zero_window"},
	{FLOW_WINDOW_UPDATE, "window update", "TCP Window Update", "window_update"},
	{FLOW_DUP_ACK, "duplicate ACK", "TCP Dup ACK", "duplicate_ack"},
	{FLOW_HALF_CLOSED, "half-closed data", NULL, "half_closed"},
	{FLOW_AFTER_END, "after the end", NULL, "after_end"},
	{FLOW_GAP_BEFORE, NULL, "TCP Previous segment not captured", "gap_before"},
	{FLOW_ACKED_UNSEEN, NULL, "TCP ACKed unseen segment", "acked_unseen"},
	{FLOW_PORTS_REUSED, NULL, "TCP Port numbers reused", "ports_reused"},
};

enum { NOTES = sizeof(notes) / sizeof(notes[0]) };

/* One word for a segment that was sent again: the surest. */
static uint32_t shown(const struct flow_mark *m)
{
	uint32_t n = m->notes;

	if (n & (FLOW_FAST | FLOW_SPURIOUS))
		n &= ~(uint32_t)FLOW_RETRANSMISSION;
	if (n & FLOW_FAST)
		n &= ~(uint32_t)FLOW_SPURIOUS;
	return n;
}

const char *packets_step(const struct pcap_packet *p)
{
	const struct flow_mark *m = p->mark;
	const uint32_t copies = FLOW_CAPTURED_TWICE | FLOW_DELAYED_DUPLICATE | FLOW_RETRANSMISSION;

	if (m->step < FLOW_STEPS && steps[m->step] && !(m->notes & copies))
		return steps[m->step];
	for (unsigned i = 0; i < NOTES; i++)
		if (m->notes & notes[i].note && notes[i].step)
			return notes[i].step;
	return p->segment->len ? "data" : "ACK";
}

const char *packets_note(const struct pcap_packet *p, unsigned i, const char **word)
{
	uint32_t set = shown(p->mark);

	for (unsigned n = 0; n < NOTES; n++) {
		if (!(set & notes[n].note) || i--)
			continue;
		*word = notes[n].word;
		return notes[n].title ? notes[n].title : "";
	}
	return NULL;
}
