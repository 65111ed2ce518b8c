/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP's header and the options that tell something of the connection.
 *
 * An option that was cut off or has an impossible length ends the list; those
 * before it count. The payload's length comes from IP, whatever was captured.
 */
#include "wire_impl.h"

enum {
	OPT_END = 0,
	OPT_NOP = 1,
	OPT_MSS = 2,
	OPT_WSCALE = 3,
	OPT_SACK_OK = 4,
	OPT_SACK = 5,
	OPT_TS = 8
};
enum { HEADER = 20, HEADER_READ = 16, WSCALE_MAX = 14 /* RFC 7323, 2.3 */ };

static void take_sacks(struct wire_segment *s, const uint8_t *p, uint32_t len)
{
	s->has |= WIRE_HAS_SACK;
	for (; len >= 8 && s->nsack < WIRE_SACKS; p += 8, len -= 8) {
		s->sack[s->nsack][0] = wire_u32(p);
		s->sack[s->nsack][1] = wire_u32(p + 4);
		s->nsack++;
	}
}

static void take_option(struct wire_segment *s, uint8_t kind, const uint8_t *p, uint32_t len)
{
	if (kind == OPT_MSS && len == 2) {
		s->has |= WIRE_HAS_MSS;
		s->mss = wire_u16(p);
	} else if (kind == OPT_WSCALE && len == 1) {
		s->has |= WIRE_HAS_WSCALE;
		s->wscale = p[0] < WSCALE_MAX ? p[0] : WSCALE_MAX;
	} else if (kind == OPT_SACK_OK && !len) {
		s->has |= WIRE_HAS_SACK_OK;
	} else if (kind == OPT_SACK) {
		take_sacks(s, p, len);
	} else if (kind == OPT_TS && len == 8) {
		s->has |= WIRE_HAS_TS;
		s->tsval = wire_u32(p);
		s->tsecr = wire_u32(p + 4);
	}
}

static void take_options(struct wire_segment *s, const uint8_t *p, uint32_t left)
{
	/* What nearly every segment of a connection carries: NOP, NOP, timestamps. */
	if (left == 12 && p[0] == OPT_NOP && p[1] == OPT_NOP && p[2] == OPT_TS && p[3] == 10) {
		take_option(s, OPT_TS, p + 4, 8);
		return;
	}
	while (left) {
		uint8_t kind = p[0];

		if (kind == OPT_END)
			return;
		if (kind == OPT_NOP) {
			p++;
			left--;
			continue;
		}
		if (left < 2 || p[1] < 2 || p[1] > left)
			return;
		take_option(s, kind, p + 2, p[1] - 2u);
		left -= p[1];
		p += p[1];
	}
}

enum wire_result wire_tcp(struct wire_segment *s, struct wire_bytes *b)
{
	uint32_t header, options;

	if (b->captured < HEADER_READ)
		return b->length < HEADER ? WIRE_BAD : WIRE_CUT;
	header = (b->p[12] >> 4) * 4u;
	if (header < HEADER || header > b->length)
		return WIRE_BAD;
	s->sport = wire_u16(b->p);
	s->dport = wire_u16(b->p + 2);
	s->seq = wire_u32(b->p + 4);
	s->ack = wire_u32(b->p + 8);
	s->flags = (uint16_t)((b->p[12] & 1) << 8 | b->p[13]);
	s->window = wire_u16(b->p + 14);
	s->len = b->length - header;
	options = b->captured < header ? b->captured : header;
	if (options > HEADER)
		take_options(s, b->p + HEADER, options - HEADER);
	return WIRE_TCP;
}
