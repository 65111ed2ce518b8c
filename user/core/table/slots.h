/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open addressing with linear probing: finds the index of what somebody else keeps
 * (in a slab) by its hash. A slot is the hash and the index, so that a probe
 * touches eight bytes, and growing or deleting touches none of the items. Deleting
 * shifts the run back: no tombstones, and a table that lived long is as fast as a
 * new one.
 *
 * What is looked for is known by its hash and by a question put to the owner's
 * item. Always: an index is never 0, and one slot at least is empty. Seed the
 * hash: keys may come from a hostile file.
 */
#ifndef TCPTRAIL_SLOTS_H
#define TCPTRAIL_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

struct slot {
	uint32_t hash;
	uint32_t index; /* 0: empty */
};

struct slots {
	struct slot *at;
	uint32_t mask; /* how many there are, less one */
	uint32_t count;
};

/* False when memory is out. */
bool slots_init(struct slots *s);
void slots_free(struct slots *s);
/* To twice as many. False when memory is out. */
bool slots_grow(struct slots *s);
uint64_t slots_bytes(const struct slots *s);

/* Room for one more? At most three quarters full; without memory to grow, until one slot is left. */
static inline bool slots_room(struct slots *s)
{
	return s->count < s->mask / 4 * 3 || slots_grow(s) || s->count < s->mask;
}

/* The finalizer of MurmurHash3's kind: every bit of the key reaches every bit of the result. */
static inline uint64_t slots_mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccd;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53;
	return x ^ x >> 33;
}

/* Is the owner's item of this index the one that has this key? */
typedef bool (*slots_same_fn)(const void *owner, uint32_t index, const void *key);

/* The place of this key, or the empty one where it would go. Inlined, so that the question is no
 * call. */
static inline __attribute__((always_inline)) uint32_t
slots_find(const struct slots *s, uint32_t hash, slots_same_fn same, const void *owner,
	   const void *key)
{
	uint32_t i = hash & s->mask;

	while (s->at[i].index && (s->at[i].hash != hash || !same(owner, s->at[i].index, key)))
		i = (i + 1) & s->mask;
	return i;
}

/* Into the empty place that slots_find() gave after the last slots_room(). */
static inline void slots_set(struct slots *s, uint32_t place, uint32_t hash, uint32_t index)
{
	s->at[place] = (struct slot){.hash = hash, .index = index};
	s->count++;
}

/* Knuth's algorithm R: moves back into the hole whatever may stand there. */
static inline void slots_clear(struct slots *s, uint32_t hole)
{
	for (uint32_t i = (hole + 1) & s->mask; s->at[i].index; i = (i + 1) & s->mask) {
		uint32_t home = s->at[i].hash & s->mask;

		if (((i - home) & s->mask) >= ((i - hole) & s->mask)) {
			s->at[hole] = s->at[i];
			hole = i;
		}
	}
	s->at[hole] = (struct slot){0};
	s->count--;
}

#endif
