/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Link layers: what stands before the IP header, and how to step over it.
 *
 * Always: a step is checked against what was captured before it is taken; the
 * number of tags that are stepped over is bounded. The IP version is read from
 * the IP header itself where the link layer's word for it depends on the machine.
 */
#include "wire_impl.h"

#include <stddef.h>
#include <string.h>

enum {
	TYPE_IPV4 = 0x0800,
	TYPE_IPV6 = 0x86dd,
	TYPE_VLAN = 0x8100,
	TYPE_QINQ = 0x88a8,
	TYPE_QINQ_OLD = 0x9100,
	TYPE_PPPOE = 0x8864,
	PPP_IPV4 = 0x0021,
	PPP_IPV6 = 0x0057,
	TAGS_MAX = 4,
};

static enum wire_result pppoe(struct wire_segment *s, struct wire_bytes *b)
{
	uint16_t proto;

	if (b->captured < 8)
		return WIRE_CUT;
	proto = wire_u16(b->p + 6);
	wire_skip(b, 8);
	return proto == PPP_IPV4 || proto == PPP_IPV6 ? wire_ip(s, b) : WIRE_OTHER;
}

static enum wire_result by_type(struct wire_segment *s, struct wire_bytes *b, uint16_t type)
{
	for (unsigned tags = 0; tags <= TAGS_MAX; tags++) {
		if (type == TYPE_IPV4 || type == TYPE_IPV6)
			return wire_ip(s, b);
		if (type == TYPE_PPPOE)
			return pppoe(s, b);
		if (type != TYPE_VLAN && type != TYPE_QINQ && type != TYPE_QINQ_OLD)
			return WIRE_OTHER;
		if (b->captured < 4)
			return WIRE_CUT;
		type = wire_u16(b->p + 2);
		wire_skip(b, 4);
	}
	return WIRE_OTHER;
}

static enum wire_result ethernet(struct wire_segment *s, struct wire_bytes *b)
{
	uint16_t type;

	if (b->captured < 14)
		return WIRE_CUT;
	type = wire_u16(b->p + 12);
	wire_skip(b, 14);
	return by_type(s, b, type);
}

/* Packet type (to us, from us, …), ARPHRD, address length, address, protocol. */
static enum wire_result sll(struct wire_segment *s, struct wire_bytes *b)
{
	uint16_t type;

	if (b->captured < 16)
		return WIRE_CUT;
	s->seen_at = 1u << 31 | wire_u16(b->p);
	type = wire_u16(b->p + 14);
	wire_skip(b, 16);
	return by_type(s, b, type);
}

/* Protocol, 0, interface index, ARPHRD, packet type, address length, address. */
static enum wire_result sll2(struct wire_segment *s, struct wire_bytes *b)
{
	uint16_t type;

	if (b->captured < 20)
		return WIRE_CUT;
	type = wire_u16(b->p);
	s->seen_at = 1u << 31 | (wire_u32(b->p + 4) & 0x7fffff) << 8 | b->p[10];
	wire_skip(b, 20);
	return by_type(s, b, type);
}

static enum wire_result null(struct wire_segment *s, struct wire_bytes *b)
{
	return wire_skip(b, 4) ? wire_ip(s, b) : WIRE_CUT;
}

static enum wire_result none(struct wire_segment *s, struct wire_bytes *b)
{
	return WIRE_OTHER;
}

static enum wire_result (*const links[LINK_KINDS])(struct wire_segment *s, struct wire_bytes *b) = {
	[LINK_NONE] = none, [LINK_ETHERNET] = ethernet, [LINK_SLL] = sll,
	[LINK_SLL2] = sll2, [LINK_RAW] = wire_ip,	[LINK_NULL] = null,
};

enum wire_result wire_parse(struct wire_segment *out, enum wire_link link, const uint8_t *data,
			    uint32_t captured, uint32_t length)
{
	struct wire_bytes b = {
		.p = data,
		.captured = captured,
		.length = length < captured ? captured : length,
	};

	if ((unsigned)link >= LINK_KINDS)
		return WIRE_OTHER;
	memset(out, 0, offsetof(struct wire_segment, sack));
	out->seen_at = 0;
	return links[link](out, &b);
}
