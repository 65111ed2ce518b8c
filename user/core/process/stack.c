/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two tables: texts by their number, with how many sockets name each, and for each
 * socket which text.
 *
 * Always: a text that is named stays where it is. Never: a text is changed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "table/slab.h"
#include "table/slots.h"
#include "stack.h"

enum { TEXT_BLOCK = 16 * 1024, SOCKET_BLOCK = 64 * 1024 };

struct stack_text {
	uint64_t id;
	char *text; /* NULL: free */
	uint32_t refs;
};

struct stack_socket {
	uint64_t cookie;
	uint32_t text;
};

struct stacks {
	struct slots ids, cookies;
	struct slab texts, sockets;
};

struct stacks *stacks_new(void)
{
	struct stacks *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	slab_init(&s->texts, sizeof(struct stack_text), TEXT_BLOCK);
	slab_init(&s->sockets, sizeof(struct stack_socket), SOCKET_BLOCK);
	if (!slots_init(&s->ids) || !slots_init(&s->cookies)) {
		stacks_free(s);
		return NULL;
	}
	return s;
}

static struct stack_text *text_at(const struct stacks *s, uint32_t index)
{
	return slab_item(&s->texts, index);
}

/* The first one at or after this index; 0: there is none. */
static uint32_t text_from(const struct stacks *s, uint32_t index)
{
	while ((index = slab_next(&s->texts, index)) && !text_at(s, index)->text)
		index++;
	return index;
}

void stacks_free(struct stacks *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; (i = text_from(s, i + 1));)
		free(text_at(s, i)->text);
	slab_free_all(&s->texts);
	slab_free_all(&s->sockets);
	slots_free(&s->ids);
	slots_free(&s->cookies);
	free(s);
}

/* Numbers and cookies may come from a hostile file. */
static uint32_t hash_of(const struct stacks *s, uint64_t key)
{
	return (uint32_t)slots_mix(key ^ slots_mix((uintptr_t)s));
}

/* ---- texts ------------------------------------------------------------------------ */

static inline bool has_id(const void *owner, uint32_t index, const void *key)
{
	return text_at(owner, index)->id == *(const uint64_t *)key;
}

static uint32_t text_place(const struct stacks *s, uint64_t id)
{
	return slots_find(&s->ids, hash_of(s, id), has_id, s, &id);
}

static void forget_unnamed(struct stacks *s)
{
	for (uint32_t i = 0; (i = text_from(s, i + 1));) {
		struct stack_text *t = text_at(s, i);

		if (t->refs)
			continue;
		slots_clear(&s->ids, text_place(s, t->id));
		free(t->text);
		t->text = NULL;
		slab_free(&s->texts, i);
	}
}

bool stacks_known(const struct stacks *s, uint64_t id)
{
	return s->ids.at[text_place(s, id)].index;
}

static int text_add(struct stacks *s, uint64_t id, const char *text, size_t len)
{
	uint32_t index = slots_room(&s->ids) ? slab_alloc(&s->texts) : 0;
	struct stack_text *t;

	if (!index)
		return -ENOMEM;
	t = text_at(s, index);
	*t = (struct stack_text){.id = id, .text = malloc(len + 1)};
	if (!t->text) {
		slab_free(&s->texts, index);
		return -ENOMEM;
	}
	memcpy(t->text, text, len + 1);
	slots_set(&s->ids, text_place(s, id), hash_of(s, id), index);
	return 0;
}

int stacks_tell(struct stacks *s, uint64_t id, const char *text)
{
	size_t len = strnlen(text, STACK_TEXT);

	if (len == STACK_TEXT)
		return -E2BIG;
	if (stacks_known(s, id))
		return 0;
	if (s->ids.count == STACKS)
		forget_unnamed(s);
	return s->ids.count == STACKS ? -ENOSPC : text_add(s, id, text, len);
}

const char *stacks_next(const struct stacks *s, uint32_t *cursor, uint64_t *id)
{
	uint32_t index = text_from(s, *cursor + 1);

	if (!index)
		return NULL;
	*cursor = index;
	*id = text_at(s, index)->id;
	return text_at(s, index)->text;
}

/* ---- sockets ----------------------------------------------------------------------- */

static struct stack_socket *socket_at(const struct stacks *s, uint32_t index)
{
	return slab_item(&s->sockets, index);
}

static inline bool has_cookie(const void *owner, uint32_t index, const void *key)
{
	return socket_at(owner, index)->cookie == *(const uint64_t *)key;
}

static uint32_t socket_place(const struct stacks *s, uint64_t cookie)
{
	return slots_find(&s->cookies, hash_of(s, cookie), has_cookie, s, &cookie);
}

/* NULL: no memory. Made without a text. */
static struct stack_socket *socket_make(struct stacks *s, uint64_t cookie)
{
	uint32_t index = slots_room(&s->cookies) ? slab_alloc(&s->sockets) : 0;

	if (!index)
		return NULL;
	slots_set(&s->cookies, socket_place(s, cookie), hash_of(s, cookie), index);
	*socket_at(s, index) = (struct stack_socket){.cookie = cookie};
	return socket_at(s, index);
}

int stacks_set(struct stacks *s, uint64_t cookie, uint64_t id)
{
	uint32_t text = s->ids.at[text_place(s, id)].index, index;
	struct stack_socket *k;

	if (!text || !cookie)
		return -ENOENT;
	index = s->cookies.at[socket_place(s, cookie)].index;
	k = index ? socket_at(s, index) : socket_make(s, cookie);
	if (!k)
		return -ENOMEM;
	if (k->text)
		text_at(s, k->text)->refs--;
	k->text = text;
	text_at(s, text)->refs++;
	return 0;
}

void stacks_forget(struct stacks *s, uint64_t cookie)
{
	uint32_t place, index;

	if (!s->cookies.count || !cookie)
		return;
	place = socket_place(s, cookie);
	index = s->cookies.at[place].index;
	if (!index)
		return;
	text_at(s, socket_at(s, index)->text)->refs--;
	slots_clear(&s->cookies, place);
	slab_free(&s->sockets, index);
}

static const struct stack_text *text_of(const struct stacks *s, uint64_t cookie)
{
	uint32_t index;

	if (!s->cookies.count || !cookie)
		return NULL;
	index = s->cookies.at[socket_place(s, cookie)].index;
	return index ? text_at(s, socket_at(s, index)->text) : NULL;
}

const char *stacks_of(const struct stacks *s, uint64_t cookie)
{
	const struct stack_text *t = text_of(s, cookie);

	return t ? t->text : NULL;
}

bool stacks_id(const struct stacks *s, uint64_t cookie, uint64_t *id)
{
	const struct stack_text *t = text_of(s, cookie);

	if (t)
		*id = t->id;
	return t;
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
