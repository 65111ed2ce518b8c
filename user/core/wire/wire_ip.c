/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IPv4 and IPv6, down to the TCP header.
 *
 * The header's own length counts, not the frame's (short frames are padded), but
 * a length of 0 is an offloaded segment that was too long for the field: then the
 * frame's. Of a fragmented datagram only the first fragment has the TCP header.
 */
#include "wire_impl.h"

#include <string.h>

enum { PROTO_TCP = 6 };

/* IPv6 extension headers that may stand before TCP. */
enum {
	EXT_HOP = 0,
	EXT_ROUTING = 43,
	EXT_FRAGMENT = 44,
	EXT_AH = 51,
	EXT_DEST = 60,
	EXT_MOBILITY = 135,
	EXT_HIP = 139,
	EXT_SHIM6 = 140,
	EXT_MAX = 16, /* that many are stepped over */
};

static void mapped(uint8_t out[16], const uint8_t *v4)
{
	memset(out, 0, 10);
	out[10] = out[11] = 0xff;
	memcpy(out + 12, v4, 4);
}

static enum wire_result ipv4(struct wire_segment *s, struct wire_bytes *b)
{
	uint32_t header, total;
	uint16_t fragment;

	if (b->captured < 20)
		return WIRE_CUT;
	header = (b->p[0] & 15) * 4u;
	total = wire_u16(b->p + 2);
	fragment = wire_u16(b->p + 6);
	if (!total)
		total = b->length;
	if (header < 20 || total < header)
		return WIRE_BAD;
	if (b->p[9] != PROTO_TCP)
		return WIRE_OTHER;
	if (fragment & 0x1fff)
		return WIRE_FRAGMENT;
	s->ip_id = wire_u16(b->p + 4);
	mapped(s->src, b->p + 12);
	mapped(s->dst, b->p + 16);
	wire_limit(b, total);
	return wire_skip(b, header) ? wire_tcp(s, b) : WIRE_CUT;
}

/* The bytes of an extension header; 0: it is none. */
static uint32_t extension(uint8_t next, const uint8_t *p)
{
	switch (next) {
	case EXT_HOP:
	case EXT_ROUTING:
	case EXT_DEST:
	case EXT_MOBILITY:
	case EXT_HIP:
	case EXT_SHIM6:
		return (p[1] + 1u) * 8;
	case EXT_FRAGMENT:
		return 8;
	case EXT_AH:
		return (p[1] + 2u) * 4;
	default:
		return 0;
	}
}

static enum wire_result ipv6(struct wire_segment *s, struct wire_bytes *b)
{
	uint32_t payload, n;
	uint8_t next;

	if (b->captured < 40)
		return WIRE_CUT;
	payload = wire_u16(b->p + 4);
	next = b->p[6];
	s->v6 = true;
	memcpy(s->src, b->p + 8, 16);
	memcpy(s->dst, b->p + 24, 16);
	wire_skip(b, 40);
	if (payload)
		wire_limit(b, payload);
	for (unsigned i = 0; i < EXT_MAX && next != PROTO_TCP; i++) {
		if (b->captured < 8)
			return WIRE_CUT;
		n = extension(next, b->p);
		if (!n)
			return WIRE_OTHER;
		if (next == EXT_FRAGMENT && wire_u16(b->p + 2) & 0xfff8)
			return WIRE_FRAGMENT;
		if (n > b->length)
			return WIRE_BAD;
		next = b->p[0];
		if (!wire_skip(b, n))
			return WIRE_CUT;
	}
	return next == PROTO_TCP ? wire_tcp(s, b) : WIRE_OTHER;
}

enum wire_result wire_ip(struct wire_segment *s, struct wire_bytes *b)
{
	if (!b->captured)
		return WIRE_CUT;
	switch (b->p[0] >> 4) {
	case 4:
		return ipv4(s, b);
	case 6:
		return ipv6(s, b);
	default:
		return WIRE_OTHER;
	}
}
