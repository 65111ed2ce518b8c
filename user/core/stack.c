/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two tables: texts by their number, with how many sockets name each, and for each
 * socket which text. Both by open addressing; removing moves what follows back, so
 * that no slot is ever dead.
 *
 * Always: a text that is named stays where it is. Never: a text is changed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stack.h"

enum { TEXT_SLOTS = STACKS * 2, FIRST_SLOTS = 256 };

struct stack_text {
	uint64_t id;
	uint32_t refs;
	char text[];
};

struct stack_slot {
	uint64_t cookie;       /* 0: free */
	struct stack_text *text;
};

struct stacks {
	struct stack_text **texts; /* TEXT_SLOTS; NULL until the first is told */
	uint32_t ntexts;
	struct stack_slot *slots;
	uint32_t nslots, used;
};

static uint32_t place(uint64_t key, uint32_t slots)
{
	return (uint32_t)(key * 0x9e3779b97f4a7c15ULL >> 32) & (slots - 1);
}

/* May what stands at `at` and belongs at `home` move back to `hole`? */
static bool may_move(uint32_t hole, uint32_t at, uint32_t home, uint32_t slots)
{
	return ((at - home) & (slots - 1)) >= ((at - hole) & (slots - 1));
}

struct stacks *stacks_new(void)
{
	return calloc(1, sizeof(struct stacks));
}

void stacks_free(struct stacks *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; s->texts && i < TEXT_SLOTS; i++)
		free(s->texts[i]);
	free(s->texts);
	free(s->slots);
	free(s);
}

/* ---- texts ------------------------------------------------------------------------ */

/* The slot of this number, or the free one where it belongs. */
static uint32_t text_slot(const struct stacks *s, uint64_t id)
{
	uint32_t i = place(id, TEXT_SLOTS);

	while (s->texts[i] && s->texts[i]->id != id)
		i = (i + 1) & (TEXT_SLOTS - 1);
	return i;
}

static void text_remove(struct stacks *s, uint32_t hole)
{
	free(s->texts[hole]);
	s->texts[hole] = NULL;
	s->ntexts--;
	for (uint32_t i = (hole + 1) & (TEXT_SLOTS - 1); s->texts[i];
	     i = (i + 1) & (TEXT_SLOTS - 1)) {
		if (!may_move(hole, i, place(s->texts[i]->id, TEXT_SLOTS), TEXT_SLOTS))
			continue;
		s->texts[hole] = s->texts[i];
		s->texts[i] = NULL;
		hole = i;
	}
}

/* A slot is looked at again when another has moved into it. */
static void forget_unnamed(struct stacks *s)
{
	for (uint32_t i = 0; i < TEXT_SLOTS; i++)
		while (s->texts[i] && !s->texts[i]->refs)
			text_remove(s, i);
}

bool stacks_known(const struct stacks *s, uint64_t id)
{
	return s->texts && s->texts[text_slot(s, id)];
}

int stacks_tell(struct stacks *s, uint64_t id, const char *text)
{
	size_t len = strnlen(text, STACK_TEXT);
	struct stack_text *t;

	if (len == STACK_TEXT)
		return -E2BIG;
	if (!s->texts)
		s->texts = calloc(TEXT_SLOTS, sizeof(struct stack_text *));
	if (!s->texts)
		return -ENOMEM;
	if (s->texts[text_slot(s, id)])
		return 0;
	if (s->ntexts == STACKS)
		forget_unnamed(s);
	if (s->ntexts == STACKS)
		return -ENOSPC;
	t = malloc(sizeof(*t) + len + 1);
	if (!t)
		return -ENOMEM;
	t->id = id;
	t->refs = 0;
	memcpy(t->text, text, len + 1);
	s->texts[text_slot(s, id)] = t;
	s->ntexts++;
	return 0;
}

/* ---- sockets ----------------------------------------------------------------------- */

static uint32_t socket_slot(const struct stack_slot *slots, uint32_t nslots, uint64_t cookie)
{
	uint32_t i = place(cookie, nslots);

	while (slots[i].cookie && slots[i].cookie != cookie)
		i = (i + 1) & (nslots - 1);
	return i;
}

static int grow(struct stacks *s)
{
	uint32_t n = s->nslots ? s->nslots * 2 : FIRST_SLOTS;
	struct stack_slot *slots;

	if (s->used * 2 < s->nslots)
		return 0;
	slots = n ? calloc(n, sizeof(*slots)) : NULL;
	if (!slots)
		return -ENOMEM;
	for (uint32_t i = 0; i < s->nslots; i++)
		if (s->slots[i].cookie)
			slots[socket_slot(slots, n, s->slots[i].cookie)] = s->slots[i];
	free(s->slots);
	s->slots = slots;
	s->nslots = n;
	return 0;
}

int stacks_set(struct stacks *s, uint64_t cookie, uint64_t id)
{
	struct stack_text *t = s->texts ? s->texts[text_slot(s, id)] : NULL;
	struct stack_slot *slot;
	int err;

	if (!t || !cookie)
		return -ENOENT;
	err = grow(s);
	if (err)
		return err;
	slot = &s->slots[socket_slot(s->slots, s->nslots, cookie)];
	if (slot->cookie)
		slot->text->refs--;
	else
		s->used++;
	slot->cookie = cookie;
	slot->text = t;
	t->refs++;
	return 0;
}

void stacks_forget(struct stacks *s, uint64_t cookie)
{
	uint32_t hole, last = s->nslots - 1;

	if (!s->used || !cookie)
		return;
	hole = socket_slot(s->slots, s->nslots, cookie);
	if (!s->slots[hole].cookie)
		return;
	s->slots[hole].text->refs--;
	s->slots[hole].cookie = 0;
	s->used--;
	for (uint32_t i = (hole + 1) & last; s->slots[i].cookie; i = (i + 1) & last) {
		if (!may_move(hole, i, place(s->slots[i].cookie, s->nslots), s->nslots))
			continue;
		s->slots[hole] = s->slots[i];
		s->slots[i].cookie = 0;
		hole = i;
	}
}

const char *stacks_of(const struct stacks *s, uint64_t cookie)
{
	const struct stack_slot *slot;

	if (!s->used || !cookie)
		return NULL;
	slot = &s->slots[socket_slot(s->slots, s->nslots, cookie)];
	return slot->cookie ? slot->text->text : NULL;
}

/* ---- frames ------------------------------------------------------------------------ */

static const char *word(const char *from, const char *end, const char **out, int *len)
{
	const char *stop = memchr(from, '\t', (size_t)(end - from));

	if (!stop)
		stop = end;
	*out = stop > from ? from : NULL;
	*len = (int)(stop - from);
	return stop < end ? stop + 1 : end;
}

bool stack_frame(const char **at, struct stack_frame *out)
{
	static const char digits[] = "0123456789abcdef";
	const char *end = strchrnul(*at, '\n'), *hex;
	int len;

	if (!**at)
		return false;
	*out = (struct stack_frame){0};
	*at = word(*at, end, &hex, &len);
	for (int i = 0; i < len && i < 16; i++) {
		const char *digit = strchr(digits, hex[i]);

		if (!digit)
			break;
		out->offset = out->offset << 4 | (uint64_t)(digit - digits);
	}
	*at = word(*at, end, &out->module, &out->module_len);
	word(*at, end, &out->function, &out->function_len);
	*at = *end ? end + 1 : end;
	return true;
}
