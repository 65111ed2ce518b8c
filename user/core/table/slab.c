/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks aligned to their own size, so that an item's address leads to its block
 * without a field in the item. Each block keeps its own free list as a side array
 * of 16-bit links: a freed item is not written to, and a block that nobody uses
 * can go as a whole.
 *
 * Always true: an index is (block number << shift | place) + 1, so that finding an
 * item takes no division; places at or past `fresh` were never handed out and are
 * not looked at.
 */
#include <stdlib.h>
#include <string.h>

#include "slab.h"

enum { NO_LINK = 0xffff, ITEM_ALIGN = 64 };

struct slab_block {
	uint32_t number;
	uint32_t next, prev;  /* among the open ones: number + 1 */
	uint16_t used, fresh;
	uint16_t free_head;   /* NO_LINK: none */
	uint16_t links[];     /* per_block of them, then the items */
};

static size_t items_at(uint32_t per_block)
{
	size_t n = sizeof(struct slab_block) + per_block * sizeof(uint16_t);

	return (n + ITEM_ALIGN - 1) & ~(size_t)(ITEM_ALIGN - 1);
}

void slab_init(struct slab *s, uint32_t item_size, uint32_t block_bytes)
{
	uint32_t n = block_bytes / item_size;

	while (n && (items_at(n) + (size_t)n * item_size > block_bytes || n >= NO_LINK))
		n--;
	*s = (struct slab){.item_size = item_size,
			   .block_bytes = block_bytes,
			   .per_block = n,
			   .first_at = (uint32_t)items_at(n)};
	while (n > 1u << s->shift)
		s->shift++;
}

void slab_free_all(struct slab *s)
{
	for (uint32_t i = 0; i < s->nblocks; i++)
		free(s->blocks[i]);
	free(s->blocks);
	slab_init(s, s->item_size, s->block_bytes);
}

static inline char *items(const struct slab *s, const struct slab_block *b)
{
	return (char *)b + s->first_at;
}

static inline uint32_t place_of(const struct slab *s, uint32_t index)
{
	return (index - 1) & ((1u << s->shift) - 1);
}

static void open_unlink(struct slab *s, struct slab_block *b)
{
	if (b->prev)
		s->blocks[b->prev - 1]->next = b->next;
	else
		s->open_first = b->next;
	if (b->next)
		s->blocks[b->next - 1]->prev = b->prev;
	else
		s->open_last = b->prev;
	b->next = b->prev = 0;
}

static void open_append(struct slab *s, struct slab_block *b)
{
	b->next = 0;
	b->prev = s->open_last;
	if (s->open_last)
		s->blocks[s->open_last - 1]->next = b->number + 1;
	else
		s->open_first = b->number + 1;
	s->open_last = b->number + 1;
}

/* A number for a new block: one whose block was given back, else the next. */
static uint32_t free_number(struct slab *s)
{
	uint32_t n = s->nblocks;

	if (s->held < s->nblocks)
		for (n = 0; s->blocks[n]; n++)
			;
	return n;
}

static struct slab_block *block_new(struct slab *s)
{
	uint32_t n = free_number(s);
	struct slab_block *b;

	if (n == s->room) {
		uint32_t room = s->room ? s->room * 2 : 16;
		struct slab_block **blocks;

		if ((uint64_t)room << s->shift > UINT32_MAX - 1)
			return NULL;
		blocks = realloc(s->blocks, room * sizeof(*blocks));
		if (!blocks)
			return NULL;
		s->blocks = blocks;
		s->room = room;
	}
	b = aligned_alloc(s->block_bytes, s->block_bytes);
	if (!b)
		return NULL;
	*b = (struct slab_block){ .number = n, .free_head = NO_LINK };
	s->blocks[n] = b;
	if (n == s->nblocks)
		s->nblocks++;
	s->held++;
	open_append(s, b);
	return b;
}

uint32_t slab_alloc(struct slab *s)
{
	struct slab_block *b = s->open_first ? s->blocks[s->open_first - 1] : block_new(s);
	uint32_t place;

	if (!b)
		return 0;
	if (b->free_head != NO_LINK) {
		place = b->free_head;
		b->free_head = b->links[place];
	} else {
		place = b->fresh++;
	}
	s->used++;
	if (++b->used == s->per_block)
		open_unlink(s, b);
	return (b->number << s->shift | place) + 1;
}

void slab_free(struct slab *s, uint32_t index)
{
	struct slab_block *b;
	uint16_t place;

	if (!index)
		return;
	b = s->blocks[(index - 1) >> s->shift];
	place = (uint16_t)place_of(s, index);
	s->used--;
	if (b->used-- == s->per_block)
		open_append(s, b);
	b->links[place] = b->free_head;
	b->free_head = place;
	if (b->used || s->open_first == s->open_last)
		return;
	open_unlink(s, b);
	s->blocks[b->number] = NULL;
	s->held--;
	free(b);
}

void *slab_at(const struct slab *s, uint32_t index)
{
	uint32_t n = (index - 1) >> s->shift, place = place_of(s, index);

	if (!index || n >= s->nblocks || !s->blocks[n] || place >= s->blocks[n]->fresh)
		return NULL;
	return items(s, s->blocks[n]) + (size_t)place * s->item_size;
}

uint32_t slab_index(const struct slab *s, const void *item)
{
	const struct slab_block *b =
		(const struct slab_block *)((uintptr_t)item & ~((uintptr_t)s->block_bytes - 1));
	size_t offset = (size_t)((const char *)item - items(s, b));

	return (b->number << s->shift | (uint32_t)(offset / s->item_size)) + 1;
}

uint32_t slab_next(const struct slab *s, uint32_t index)
{
	uint32_t n = (index ? index - 1 : 0) >> s->shift;
	uint32_t place = index ? place_of(s, index) : 0;

	for (; n < s->nblocks; n++, place = 0)
		if (s->blocks[n] && place < s->blocks[n]->fresh)
			return (n << s->shift | place) + 1;
	return 0;
}

uint64_t slab_bytes(const struct slab *s)
{
	return (uint64_t)s->held * s->block_bytes + s->room * sizeof(*s->blocks);
}
