/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parser's files share: the bytes that are left of a frame.
 *
 *   wire.c     link layers, down to an IP header
 *   wire_ip.c  IPv4 and IPv6, down to a TCP header
 *   wire_tcp.c TCP and its options
 */
#ifndef TCPTRAIL_WIRE_IMPL_H
#define TCPTRAIL_WIRE_IMPL_H

#include "wire.h"

struct wire_bytes {
	const uint8_t *p;
	uint32_t captured; /* bytes that may be read */
	uint32_t length;   /* bytes that there were; never less than captured */
};

static inline uint16_t wire_u16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t wire_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Steps over n bytes; false when they were not captured. */
static inline bool wire_skip(struct wire_bytes *b, uint32_t n)
{
	if (n > b->captured)
		return false;
	b->p += n;
	b->captured -= n;
	b->length -= n;
	return true;
}

/* Nothing beyond the next n bytes belongs to it (padding, trailers). */
static inline void wire_limit(struct wire_bytes *b, uint32_t n)
{
	b->length = n;
	if (b->captured > n)
		b->captured = n;
}

enum wire_result wire_ip(struct wire_segment *s, struct wire_bytes *b);
enum wire_result wire_tcp(struct wire_segment *s, struct wire_bytes *b);

#endif
