/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Items of one size in blocks that never move: an item has an index (never 0) and
 * an address, both stable until it is freed. A block without items is given back
 * to the allocator (one is kept, against thrashing).
 */
#ifndef TCPTRAIL_SLAB_H
#define TCPTRAIL_SLAB_H

#include <stddef.h>
#include <stdint.h>

struct slab_block;

struct slab {
	struct slab_block **blocks;
	uint32_t nblocks, room;   /* of the array */
	uint32_t used;            /* items */
	uint32_t held;            /* blocks allocated */
	uint32_t open_first, open_last; /* blocks with a free item: number + 1, 0 none */
	uint32_t item_size;
	uint32_t block_bytes;     /* a power of two, and the blocks' alignment */
	uint32_t per_block;
	uint32_t first_at; /* the first item's place in a block */
	uint32_t shift;	   /* an index: block number << shift | place, and 1 more */
};

void slab_init(struct slab *s, uint32_t item_size, uint32_t block_bytes);
void slab_free_all(struct slab *s);

/* 0 when memory is out. The item is not cleared. */
uint32_t slab_alloc(struct slab *s);
void slab_free(struct slab *s, uint32_t index);

/* NULL when the index never was an item's (0, past the end, in a block given back). An item
 * that was freed alone is still there, as its last owner left it. */
void *slab_at(const struct slab *s, uint32_t index);
/* The same for an index that is known to be an item's. */
static inline void *slab_item(const struct slab *s, uint32_t index)
{
	uint32_t place = (index - 1) & ((1u << s->shift) - 1);

	return (char *)s->blocks[(index - 1) >> s->shift] + s->first_at +
	       (size_t)place * s->item_size;
}
/* The index of an item that slab_at() gave. */
uint32_t slab_index(const struct slab *s, const void *item);
/* The first index at or after this one that slab_at() may know; 0 past the last. */
uint32_t slab_next(const struct slab *s, uint32_t index);

uint64_t slab_bytes(const struct slab *s);

#endif
