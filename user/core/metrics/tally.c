/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts by name with a bounded number of names told.
 *
 * Always: the sum over the places and "other" is the sum of what was added. Never: more
 * than TALLY_PLACES + 1 names out, however many come in; nor memory past TALLY_NAMES.
 */
#include <stdlib.h>
#include <string.h>

#include "write/buf.h"
#include "tally.h"

enum { FIRST_SLOTS = 64 };

void tally_free(struct tally *t)
{
	free(t->entries);
	free(t->slots);
	memset(t, 0, sizeof(*t));
}

void tally_clear(struct tally *t)
{
	t->len = 0;
	memset(t->other, 0, sizeof(t->other));
	if (t->slots)
		memset(t->slots, 0, t->nslots * sizeof(*t->slots));
}

static uint32_t hash_of(const char *name)
{
	uint32_t h = 2166136261u;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	return h;
}

static uint32_t *slot_of(const struct tally *t, const char *name)
{
	uint32_t i = hash_of(name) & (t->nslots - 1);

	while (t->slots[i] && strcmp(t->entries[t->slots[i] - 1].name, name))
		i = (i + 1) & (t->nslots - 1);
	return &t->slots[i];
}

/* At most half full. */
static bool grow(struct tally *t)
{
	uint32_t n = t->nslots ? t->nslots * 2 : FIRST_SLOTS;
	struct tally_entry *entries;
	uint32_t *slots;

	if (n > TALLY_NAMES * 2)
		return false;
	slots = calloc(n, sizeof(*slots));
	entries = reallocarray(t->entries, n / 2, sizeof(*entries));
	if (entries)
		t->entries = entries;
	if (!slots || !entries) {
		free(slots);
		return false;
	}
	free(t->slots);
	t->slots = slots;
	t->nslots = n;
	t->room = n / 2;
	for (uint32_t i = 0; i < t->len; i++)
		*slot_of(t, t->entries[i].name) = i + 1;
	return true;
}

static struct tally_entry *entry_of(struct tally *t, const char *name)
{
	uint32_t *slot = t->slots ? slot_of(t, name) : NULL;
	struct tally_entry *e;

	if (slot && *slot)
		return &t->entries[*slot - 1];
	if (t->len == t->room) {
		if (!grow(t))
			return NULL;
		slot = slot_of(t, name);
	}
	if (!slot) /* room without slots: never, they grow together */
		return NULL;
	e = &t->entries[t->len++];
	memset(e, 0, sizeof(*e));
	memcpy(e->name, name, strnlen(name, sizeof(e->name) - 1));
	*slot = t->len;
	return e;
}

/* Cut to what has room, made valid UTF-8: two names that would read the same are one. */
static void take_name(char out[TALLY_NAME_LEN], const char *name)
{
	size_t left = strnlen(name, TALLY_NAME_LEN), n = 0;

	while (left) {
		unsigned len = utf8_length(name, left);
		const char *from = len ? name : "\xef\xbf\xbd"; /* U+FFFD */
		unsigned size = len ? len : 3;

		if (n + size > TALLY_NAME_LEN - 1)
			break;
		memcpy(out + n, from, size);
		n += size;
		name += len ? len : 1;
		left -= len ? len : 1;
	}
	out[n] = '\0';
}

/* Of a process that calls itself what the rest is called. */
static bool is_other(const char *name)
{
	return !strcmp(name, "other");
}

void tally_add(struct tally *t, const char *name, unsigned column, uint64_t n)
{
	char cut[TALLY_NAME_LEN];
	struct tally_entry *e;

	if (column >= TALLY_COLUMNS || !n)
		return;
	take_name(cut, name);
	e = is_other(cut) ? NULL : entry_of(t, cut);
	if (!e) {
		t->other[column] += n;
		return;
	}
	e->count[column] += n;
	e->total += n;
}

static const struct tally_entry *find(const struct tally *t, const char *name)
{
	uint32_t slot = t->slots && name[0] ? *slot_of(t, name) : 0;

	return slot ? &t->entries[slot - 1] : NULL;
}

static int most_first(const void *a, const void *b)
{
	const struct tally_entry *x = a, *y = b;

	if (x->total != y->total)
		return x->total < y->total ? 1 : -1;
	return strcmp(x->name, y->name);
}

/* A newcomer takes the place of one that has less than half of its own. */
static char *place_for(struct tally *t, const struct tally_entry *e)
{
	char *least = NULL;
	uint64_t least_total = UINT64_MAX;

	for (unsigned i = 0; i < TALLY_PLACES; i++) {
		const struct tally_entry *there = find(t, t->places[i]);
		uint64_t total = there ? there->total : 0;

		if (!strcmp(t->places[i], e->name))
			return NULL;
		if (total < least_total) {
			least_total = total;
			least = t->places[i];
		}
	}
	return least_total < (e->total + 1) / 2 ? least : NULL;
}

void tally_settle(struct tally *t)
{
	struct tally_entry *other = &t->top[TALLY_PLACES];

	if (t->len)
		qsort(t->entries, t->len, sizeof(*t->entries), most_first);
	if (t->slots) {
		memset(t->slots, 0, t->nslots * sizeof(*t->slots));
		for (uint32_t i = 0; i < t->len; i++)
			*slot_of(t, t->entries[i].name) = i + 1;
	}
	for (uint32_t i = 0; i < t->len && i < TALLY_PLACES; i++) {
		char *place = t->entries[i].name[0] ? place_for(t, &t->entries[i]) : NULL;

		if (place)
			memcpy(place, t->entries[i].name, TALLY_NAME_LEN);
	}
	memset(t->top, 0, sizeof(t->top));
	memcpy(other->count, t->other, sizeof(other->count));
	for (uint32_t i = 0; i < t->len; i++)
		for (unsigned c = 0; c < TALLY_COLUMNS; c++)
			other->count[c] += t->entries[i].count[c];
	for (unsigned i = 0; i < TALLY_PLACES; i++) {
		const struct tally_entry *e = find(t, t->places[i]);

		if (!e) {
			t->places[i][0] = '\0';
			continue;
		}
		t->top[i] = *e;
		for (unsigned c = 0; c < TALLY_COLUMNS; c++)
			other->count[c] -= e->count[c];
	}
	for (unsigned c = 0; c < TALLY_COLUMNS; c++)
		other->total += other->count[c];
	strcpy(other->name, "other");
	t->has_other |= other->total > 0;
}

unsigned tally_place_forever(char places[TALLY_PLACES][TALLY_NAME_LEN], const char *name)
{
	char cut[TALLY_NAME_LEN];

	take_name(cut, name);
	for (unsigned i = 0; i < TALLY_PLACES && cut[0] && !is_other(cut); i++) {
		if (!places[i][0])
			memcpy(places[i], cut, sizeof(cut));
		if (!strcmp(places[i], cut))
			return i;
	}
	return TALLY_PLACES;
}
