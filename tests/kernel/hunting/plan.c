/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is done to one connection, drawn from its seed and number alone: the same numbers give the
 * same plan on every machine. How it then goes (who is faster) is the kernel's.
 */
#include <string.h>

#include "flows.h"

/* splitmix64 */
static uint64_t draw(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static uint32_t below(uint64_t *state, uint32_t n)
{
	return (uint32_t)(draw(state) % n);
}

/* Which of them, by weights that add up to what they do. */
static unsigned weighed(uint64_t *state, const unsigned char *weights, unsigned n)
{
	uint32_t sum = 0, at;
	unsigned i = 0;

	for (unsigned k = 0; k < n; k++)
		sum += weights[k];
	for (at = below(state, sum); at >= weights[i]; i++)
		at -= weights[i];
	return i;
}

static struct todo op_draw(uint64_t *s)
{
	static const unsigned char weights[OPS] = {
		[OP_SEND] = 30, [OP_RECV] = 14, [OP_DRAIN] = 14, [OP_SHUT_RD] = 3,
		[OP_SHUT_WR] = 9, [OP_SHUT_BOTH] = 3, [OP_CLOSE] = 8, [OP_RESET] = 4,
		[OP_LINGER] = 3, [OP_HOLD] = 4, [OP_PASS] = 3, [OP_PAUSE] = 14,
		[OP_MEET] = 7, [OP_KILL] = 3, [OP_EXIT] = 2, [OP_DISCONNECT] = 1,
	};
	static const uint32_t sizes[] = {1, 100, 1448, 5000, 20000, 200000};
	static const uint32_t pauses_us[] = {50, 500, 3000, 20000, 60000, 250000};
	struct todo t = {.op = (enum op)weighed(s, weights, OPS)};

	if (t.op == OP_SEND)
		t.arg = sizes[below(s, 6)];
	else if (t.op == OP_PAUSE || t.op == OP_HOLD)
		t.arg = pauses_us[below(s, 6)];
	return t;
}

static void side_draw(uint64_t *s, struct side_plan *p)
{
	static const int buffers[] = {1, 4608, 16384};

	p->n = 1 + below(s, OPS_MAX);
	for (unsigned i = 0; i < p->n; i++)
		p->ops[i] = op_draw(s);
	p->rcvbuf = below(s, 4) ? 0 : buffers[below(s, 3)];
	p->sndbuf = below(s, 8) ? 0 : buffers[below(s, 3)];
	p->linger2 = below(s, 16) ? 0 : (int)below(s, 3) - 1;
	p->user_timeout_ms = below(s, 24) ? 0 : 1500;
	p->keepalive = !below(s, 24);
}

void plan_make(struct plan *p, uint64_t seed, unsigned number, unsigned slot, uint16_t port)
{
	static const unsigned char ways[WAYS] = {
		[WAY_ACCEPT] = 60, [WAY_LATE] = 12, [WAY_NEVER] = 7,
		[WAY_NOBODY] = 3,  [WAY_BOTH_CONNECT] = 4, [WAY_ABANDON] = 3,
	};
	uint64_t s = seed * 1000003u + number;

	memset(p, 0, sizeof(*p));
	p->way = (enum way)weighed(&s, ways, WAYS);
	p->family = (enum family)below(&s, FAMILIES);
	p->port = (uint16_t)(port + slot);
	p->late_us = 1000 + below(&s, 300000);
	/* few numbers for each listener: tuples are used again while TIME_WAIT has them */
	p->client_port = below(&s, 2) || p->way == WAY_BOTH_CONNECT
				 ? (uint16_t)(port + 100 + slot * 4 + below(&s, 4)) : 0;
	for (int i = 0; i < SIDES; i++)
		side_draw(&s, &p->side[i]);
}

const char *plan_way(enum way w)
{
	static const char *const names[WAYS] = {
		[WAY_ACCEPT] = "accept", [WAY_LATE] = "late", [WAY_NEVER] = "never",
		[WAY_NOBODY] = "nobody", [WAY_BOTH_CONNECT] = "both_connect",
		[WAY_ABANDON] = "abandon",
	};

	return names[w];
}
