/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open addressing over the cookie; each slot heads a chain of holders in the order
 * in which they were told. Both arrays double up to their bound and are kept when
 * the table is emptied: the next snapshot has about as many.
 *
 * Always: a slot is in use if its cookie is not 0, and then has a holder. Never:
 * a holder is removed by itself; only holders_clear() forgets.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "holders.h"

enum { FIRST_SLOTS = 64, FIRST_LINKS = 64 };

struct slot {
	uint64_t cookie;
	uint32_t first, last; /* links, index + 1 */
	uint32_t count;
	uint32_t pad;
};

struct link {
	struct holder holder;
	uint32_t next;        /* index + 1 */
};

struct holders {
	struct slot *slots;
	struct link *links;
	uint32_t nslots, used_slots;
	uint32_t nlinks, used_links;
	uint32_t capacity;
	uint64_t refused;
};

struct holders *holders_new(uint32_t capacity)
{
	struct holders *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->capacity = capacity ? capacity : 1;
	return h;
}

void holders_free(struct holders *h)
{
	if (!h)
		return;
	free(h->slots);
	free(h->links);
	free(h);
}

struct holder holders_at(const struct holders *h, uint32_t i)
{
	static const struct holder none;

	return i < h->used_links ? h->links[i].holder : none;
}

void holders_clear(struct holders *h)
{
	if (h->used_slots)
		memset(h->slots, 0, h->nslots * sizeof(*h->slots));
	h->used_slots = h->used_links = 0;
}

/* The cookie's slot, or the free one where it belongs. There always is a free one. */
static struct slot *slot_of(struct slot *slots, uint32_t nslots, uint64_t cookie)
{
	uint64_t i = cookie * 0x9e3779b97f4a7c15ULL >> 32;

	for (;; i++) {
		struct slot *s = &slots[i & (nslots - 1)];

		if (!s->cookie || s->cookie == cookie)
			return s;
	}
}

static int grow_slots(struct holders *h)
{
	uint32_t n = h->nslots ? h->nslots * 2 : FIRST_SLOTS;
	struct slot *slots = calloc(n, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (uint32_t i = 0; i < h->nslots; i++)
		if (h->slots[i].cookie)
			*slot_of(slots, n, h->slots[i].cookie) = h->slots[i];
	free(h->slots);
	h->slots = slots;
	h->nslots = n;
	return 0;
}

static int grow_links(struct holders *h)
{
	uint32_t n = h->nlinks ? h->nlinks * 2 : FIRST_LINKS;
	struct link *links = reallocarray(h->links, n, sizeof(*links));

	if (!links)
		return -ENOMEM;
	h->links = links;
	h->nlinks = n;
	return 0;
}

static int make_room(struct holders *h)
{
	if (h->used_links >= h->capacity)
		return -ENOSPC;
	if (h->used_links == h->nlinks && grow_links(h))
		return -ENOMEM;
	if ((h->used_slots + 1) * 4ULL > h->nslots * 3ULL && grow_slots(h))
		return -ENOMEM;
	return 0;
}

int holders_add(struct holders *h, uint64_t cookie, uint32_t proc, uint32_t fd)
{
	struct slot *s;
	uint32_t link;

	if (!cookie || make_room(h)) {
		h->refused++;
		return -ENOSPC;
	}
	h->links[h->used_links] = (struct link){.holder = {.proc = proc, .fd = fd}};
	link = ++h->used_links;
	s = slot_of(h->slots, h->nslots, cookie);
	if (s->cookie) {
		h->links[s->last - 1].next = link;
	} else {
		s->cookie = cookie;
		s->first = link;
		h->used_slots++;
	}
	s->last = link;
	s->count++;
	return 0;
}

uint32_t holders_get(const struct holders *h, uint64_t cookie, struct holder *out, uint32_t max)
{
	const struct slot *s;
	uint32_t n = 0;

	if (!cookie || !h->used_slots)
		return 0;
	s = slot_of(h->slots, h->nslots, cookie);
	if (!s->cookie)
		return 0;
	for (uint32_t at = s->first; at && n < max; at = h->links[at - 1].next)
		out[n++] = h->links[at - 1].holder;
	return s->count;
}

uint32_t holders_count(const struct holders *h)
{
	return h->used_links;
}

uint64_t holders_refused(const struct holders *h)
{
	return h->refused;
}

uint64_t holders_bytes(const struct holders *h)
{
	return h->nslots * sizeof(*h->slots) + h->nlinks * sizeof(*h->links);
}
