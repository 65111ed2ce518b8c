/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames and segments of anybody's: the parser reads nothing beyond what was captured,
 * and whatever goes by, the flows tell a story without a gap that the core accepts.
 *
 * The first byte picks: frames (a link type, then each with its lengths), or segments
 * of a few connections whose numbers stay close, so that states are reached.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "connection/decode.h"
#include "event.h"
#include "flow/flow.h"
#include "pipeline/pipeline.h"
#include "wire/wire.h"

enum { COOKIES = 512 };

struct world {
	struct pipeline *p;    /* NULL: only the events themselves are looked at */
	uint8_t told[COOKIES]; /* the state that each end was last told to be in */
	struct flowtab *flows;
	uint64_t now_ns;
};

static void take(void *ctx, const struct event *e)
{
	struct world *w = ctx;
	const struct event *same;
	uint8_t *told = &w->told[(e->cookie & ~EVENT_OWN_ID) % COOKIES];

	if (w->p ? pipeline_feed(w->p, e, sizeof(*e)) : event_decode(e, sizeof(*e), &same))
		abort();
	if ((e->cookie & ~EVENT_OWN_ID) >= COOKIES || !e->cookie)
		return;
	/* Each change begins where the one before it ended; nothing is told of what is over. */
	if (e->kind == EV_STATE && *told && *told != e->old_state)
		abort();
	if (*told == ST_CLOSED && e->kind != EV_TW_LEAVE)
		abort();
	if (e->kind == EV_STATE || e->kind == EV_SOCK)
		*told = e->new_state;
}

static void on_end(void *view, const struct conn *c, const struct verdict *v)
{
	if (c->incomplete & INCOMPLETE_GAP || v->conn_state >= CS_COUNT)
		abort();
}

static const struct view_ops ops = {.conn_end = on_end};

static void go_by(struct world *w, const struct wire_segment *s)
{
	struct flow_mark m;

	flowtab_segment(w->flows, s, w->now_ns, &m);
	if (m.step >= FLOW_STEPS || m.state >= ST_COUNT || flowtab_count(w->flows) > 8)
		abort();
}

/* Each frame: how long it was, how much of it is here, how much later it came. */
static void frames(struct world *w, const uint8_t *d, size_t n)
{
	enum wire_link link = n ? d[0] % (LINK_KINDS + 1) : 0;

	for (d++, n -= !!n; n > 4;) {
		uint32_t captured = d[0] | (d[1] & 1) << 8, length = captured + (d[1] >> 1) * 16;
		struct wire_segment s;
		uint8_t *frame;

		w->now_ns += (uint64_t)d[2] * d[2] * 50000;
		d += 3;
		n -= 3;
		if (captured > n)
			captured = (uint32_t)n;
		frame = malloc(captured); /* so that one byte too many is noticed */
		memcpy(frame, d, captured);
		if (wire_parse(&s, link, frame, captured, length) == WIRE_TCP)
			go_by(w, &s);
		free(frame);
		d += captured;
		n -= captured;
	}
}

/* Twelve bytes a segment. */
static void segments(struct world *w, const uint8_t *d, size_t n)
{
	for (; n >= 12; d += 12, n -= 12) {
		bool back = d[0] & 1;
		struct wire_segment s = {
			.sport = (uint16_t)(back ? 80 : 1000 + (d[0] >> 1 & 3)),
			.dport = (uint16_t)(back ? 1000 + (d[0] >> 1 & 3) : 80),
			.flags = d[1],
			.seq = 0xfffffff0u + (back ? 1000 : 0) + (uint32_t)(int8_t)d[2],
			.ack = 0xfffffff0u + (back ? 0 : 1000) + (uint32_t)(int8_t)d[3],
			.len = d[4] & 0x80 ? (uint32_t)(d[4] & 0x7f) << 20 : d[4] & 3,
			.window = d[5],
			.ip_id = d[6],
			.has = d[7],
			.wscale = d[8] & 15,
			.nsack = d[7] & WIRE_HAS_SACK ? 1 : 0,
			.seen_at = d[9] & 1,
			.tsval = d[9],
		};

		s.src[15] = s.dst[15] = 1;
		if (d[0] & 8) /* a socket that is connected to itself */
			s.dport = s.sport;
		s.sack[0][0] = s.ack + d[10];
		s.sack[0][1] = s.ack + d[10] + d[11];
		w->now_ns += (uint64_t)d[11] * d[11] * d[11] * 10000;
		go_by(w, &s);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pipeline_config cfg = {.max_connections = 64, .want_steps = true, .emit_open = true};
	struct world w = {.now_ns = 1000};

	if (!size)
		return 0;
	cfg.until_reaped = data[0] & 2;
	if (data[0] & 4) /* a pipeline costs more than the rest together */
		w.p = pipeline_new(&cfg, &ops, NULL);
	w.flows = flowtab_new(8, take, &w);
	if (data[0] & 1)
		segments(&w, data + 1, size - 1);
	else
		frames(&w, data + 1, size - 1);
	flowtab_finish(w.flows, w.now_ns);
	if (w.p)
		pipeline_finish(w.p, w.now_ns);
	flowtab_free(w.flows);
	pipeline_free(w.p);
	return 0;
}
