/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Community ID v1: base64 of SHA-1 over seed, the two addresses, the protocol, a
 * zero byte and the two ports, all in network order, the smaller end first.
 *
 * Always true: both ends of a connection get the same. Never anything but v1 with
 * seed 0: whoever compares records has no means to learn another.
 */
#include <errno.h>
#include <sha1.h>
#include <stdbool.h>
#include <string.h>

#include "buf.h"
#include "community.h"

enum { PROTOCOL_TCP = 6 };

/* RFC 4648, section 4. */
static char *base64(char *out, const uint8_t *in, size_t n)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < n; i += 3) {
		uint32_t v = (uint32_t)in[i] << 16 | (i + 1 < n ? in[i + 1] << 8 : 0) |
			     (i + 2 < n ? in[i + 2] : 0);

		*out++ = digits[v >> 18];
		*out++ = digits[v >> 12 & 63];
		*out++ = i + 1 < n ? digits[v >> 6 & 63] : '=';
		*out++ = i + 2 < n ? digits[v & 63] : '=';
	}
	return out;
}

static uint8_t *put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
	return p + 2;
}

static bool swapped(const uint8_t a[16], uint16_t ap, const uint8_t b[16], uint16_t bp)
{
	int order = memcmp(a, b, 16);

	return order > 0 || (!order && ap > bp);
}

int community_id(char out[32], const uint8_t a[16], uint16_t ap, const uint8_t b[16], uint16_t bp)
{
	bool v4 = addr_is_v4(a);
	size_t skip = v4 ? 12 : 0, n = 16 - skip;
	uint8_t text[2 + 16 + 16 + 2 + 4], *p = text, digest[SHA1_DIGEST_LENGTH];
	SHA1_CTX sha;

	if (v4 != addr_is_v4(b))
		return -EINVAL;
	if (swapped(a, ap, b, bp))
		return community_id(out, b, bp, a, ap);
	p = put16(p, 0);
	memcpy(p, a + skip, n);
	memcpy(p + n, b + skip, n);
	p += 2 * n;
	*p++ = PROTOCOL_TCP;
	*p++ = 0;
	p = put16(p, ap);
	p = put16(p, bp);
	SHA1Init(&sha);
	SHA1Update(&sha, text, (size_t)(p - text));
	SHA1Final(digest, &sha);
	memcpy(out, "1:", 2);
	*base64(out + 2, digest, sizeof(digest)) = '\0';
	return 0;
}

static uint32_t bucket(const uint8_t a[16], uint16_t ap, const uint8_t b[16], uint16_t bp)
{
	uint64_t wa[2], wb[2], h;

	memcpy(wa, a, sizeof(wa));
	memcpy(wb, b, sizeof(wb));
	h = (wa[0] ^ wa[1] << 1) * 0x9e3779b97f4a7c15 + (wb[0] ^ wb[1] << 1);
	h = (h ^ h >> 29 ^ ((uint64_t)ap << 16 | bp)) * 0xbf58476d1ce4e5b9;
	return (uint32_t)(h >> 40) % COMMUNITY_CACHE;
}

const char *community_cached(struct community_cache *cache, const uint8_t a[16], uint16_t ap,
			     const uint8_t b[16], uint16_t bp)
{
	struct community_entry *e;

	if (swapped(a, ap, b, bp))
		return community_cached(cache, b, bp, a, ap);
	e = &cache->entries[bucket(a, ap, b, bp)];
	if (e->id[0] && e->ap == ap && e->bp == bp && !memcmp(e->a, a, 16) && !memcmp(e->b, b, 16))
		return e->id;
	if (community_id(e->id, a, ap, b, bp)) {
		e->id[0] = '\0';
		return NULL;
	}
	memcpy(e->a, a, 16);
	memcpy(e->b, b, 16);
	e->ap = ap;
	e->bp = bp;
	return e->id;
}
