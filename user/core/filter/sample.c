/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which connections --sample keeps. Never a counter and never a random number: what is kept
 * here must be what is kept at the other end.
 */
#include <string.h>

#include "sample.h"

enum { END_LEN = 18 };

static void end_bytes(uint8_t out[END_LEN], const uint8_t addr[16], uint16_t port)
{
	memcpy(out, addr, 16);
	out[16] = port >> 8;
	out[17] = port & 0xff;
}

static uint64_t fnv(uint64_t h, const uint8_t *s)
{
	for (unsigned i = 0; i < END_LEN; i++)
		h = (h ^ s[i]) * 0x100000001b3ULL;
	return h;
}

bool sample_keeps(uint64_t rate, const uint8_t local[16], uint16_t lport, const uint8_t peer[16],
		  uint16_t pport)
{
	uint8_t a[END_LEN], b[END_LEN];
	bool swap;
	uint64_t h;

	if (rate <= 1)
		return true;
	end_bytes(a, local, lport);
	end_bytes(b, peer, pport);
	swap = memcmp(a, b, END_LEN) > 0;
	h = fnv(fnv(0xcbf29ce484222325ULL, swap ? b : a), swap ? a : b);
	/* FNV's low bits follow the last byte too closely: murmur's finalizer. */
	h = (h ^ h >> 33) * 0xff51afd7ed558ccdULL;
	h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53ULL;
	return (h ^ h >> 33) % rate == 0;
}
