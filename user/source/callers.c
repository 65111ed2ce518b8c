/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses to names. A stack that was named lately is not named again: most sockets
 * of a process come from a few places.
 *
 * Bounded: KNOWN stacks remembered, NAMED_A_SECOND new ones looked at, the rest are
 * counted as lost. What cannot be found out is left out: without the process's map the
 * bare addresses are told, and an address that no call can return to ends the stack.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "callers.h"
#include "core/pipeline/pipeline.h"
#include "core/process/stack.h"
#include "event.h"
#include "maps.h"
#include "symbols.h"
#include "unwind.h"

enum { KNOWN = 4096, WRAPPERS = 256, NAMED_A_SECOND = 500, LONGEST_CALL = 7, FRAME_TEXT = 512 };

static const uint64_t second_ns = 1000000000;

struct known {
	uint64_t key, id;
};

/* A place in a process where it called the kernel: which word of its stack returns to the caller. */
struct wrapper {
	uint64_t key;
	unsigned word;
};

struct callers {
	struct known known[KNOWN];
	struct wrapper wrappers[WRAPPERS];
	struct maps maps;
	struct symbol_files files;
	struct buf text;
	uint64_t seed;
	uint64_t second_began_ns;
	unsigned named;          /* in this second */
	bool told_refused;
};

struct callers *callers_new(void)
{
	struct callers *c = calloc(1, sizeof(*c));

	if (c && getrandom(&c->seed, sizeof(c->seed), GRND_NONBLOCK) < 0)
		c->seed = (uintptr_t)c;
	return c;
}

void callers_free(struct callers *c)
{
	if (!c)
		return;
	symbol_files_close(&c->files);
	maps_free(&c->maps);
	buf_free(&c->text);
	free(c);
}

static uint64_t mix(uint64_t h, uint64_t word)
{
	h = (h ^ word) * 0x9e3779b97f4a7c15ULL;
	return h ^ h >> 29;
}

static uint64_t program_of(const struct callers *c, const struct stack_record *r)
{
	return mix(mix(mix(c->seed, r->pid), r->start_ns), r->execs);
}

/* Nobody who does not know the seed can make two that are taken for one. */
static uint64_t key_of(const struct callers *c, const struct stack_record *r, uint64_t hidden)
{
	uint64_t h = program_of(c, r);

	for (unsigned i = 0; i < r->frames && i < STACK_FRAMES; i++)
		h = mix(h, r->ip[i]);
	return mix(h, hidden);
}

static uint64_t id_of(const struct callers *c, const struct buf *text)
{
	uint64_t h = c->seed;

	for (size_t i = 0; i < text->len; i++)
		h = mix(h, (unsigned char)text->data[i]);
	return h ? h : 1;
}

/* ---- one frame ------------------------------------------------------------------------ */

/* Do these bytes (all before the address) end with a call? Where the instruction set is not known
 * any may. */
static bool ends_with_call(const uint8_t *code, int len)
{
#if defined(__x86_64__)
	const uint8_t *end = code + len;

	if (len >= 5 && end[-5] == 0xe8)
		return true;
	for (int size = 2; size <= LONGEST_CALL && size <= len; size++) {
		uint8_t form = end[-size + 1], mode = form >> 6;
		bool sib = mode != 3 && (form & 7) == 4;
		int wants = 2 + sib + (mode == 1 ? 1 : mode == 2 ? 4 : 0);

		if (mode == 0 && (form & 7) == 5)
			wants = 6;
		if (end[-size] == 0xff && (form >> 3 & 7) == 2 && wants == size)
			return true;
	}
	return false;
#else
	return true;
#endif
}

/* May a call return to this address? What is not in a file cannot be asked. */
static bool returns_to(const struct callers *c, const struct stack_record *r, uint64_t address)
{
	const struct map *map = maps_find(&c->maps, address);
	uint8_t code[LONGEST_CALL];
	ssize_t n;
	int fd;

	if (!map || address - map->start < sizeof(code))
		return false;
	fd = maps_open(&c->maps, r->pid, map);
	if (fd < 0)
		return true;
	n = pread(fd, code, sizeof(code),
		  (off_t)(address - map->start + map->offset - sizeof(code)));
	close(fd);
	return n != sizeof(code) || ends_with_call(code, (int)n);
}

/* A word of the text: nothing in it may look like its end. */
static void put_word(struct buf *text, const char *s)
{
	size_t len = strnlen(s, FRAME_TEXT);

	for (size_t i = 0; i < len; i++)
		buf_char(text, (unsigned char)s[i] < ' ' || s[i] == 0x7f ? '?' : s[i]);
}

static void put_frame(struct buf *text, uint64_t offset, const char *module, const char *function)
{
	if (text->len > STACK_TEXT - 3 * FRAME_TEXT)
		return;
	buf_hex(text, offset);
	buf_char(text, '\t');
	put_word(text, module);
	buf_char(text, '\t');
	put_word(text, function ? function : "");
	buf_char(text, '\n');
}

/* The byte before the address is looked up: a call may be the last thing that a function does. */
static void name_frame(struct callers *c, const struct stack_record *r, uint64_t address)
{
	const struct map *map = maps_find(&c->maps, address);
	const struct symbols *symbols = NULL;
	const char *function = NULL, *module;
	uint64_t offset;
	int fd;

	if (!map) {
		put_frame(&c->text, address, "", NULL);
		return;
	}
	module = maps_path(&c->maps, map);
	offset = address - map->start + map->offset;
	fd = maps_open(&c->maps, r->pid, map);
	if (fd >= 0)
		symbols = symbols_of(&c->files, fd);
	if (symbols && symbols_address(symbols, offset, &offset))
		function = symbols_name(symbols, offset - 1);
	if (fd >= 0)
		close(fd);
	put_frame(&c->text, offset, module[0] ? module : "[anonymous]", function);
}

/* ---- one stack ------------------------------------------------------------------------- */

static unsigned frames_of(const struct stack_record *r)
{
	return r->frames < STACK_FRAMES ? r->frames : STACK_FRAMES;
}

/* By the wrapper's own unwind table; without one (an assembler's leaf function) the top of the
 * stack, which is believed only if a call stands before it. */
static unsigned find_caller(struct callers *c, const struct stack_record *r)
{
	const struct map *map = maps_find(&c->maps, r->ip[0]);
	int fd = map ? maps_open(&c->maps, r->pid, map) : -1, at = -1;
	const struct symbols *symbols = fd >= 0 ? symbols_of(&c->files, fd) : NULL;
	uint64_t address;

	if (symbols && symbols_address(symbols, r->ip[0] - map->start + map->offset, &address))
		at = unwind_return_at(fd, address - 1);
	if (fd >= 0)
		close(fd);
	return at > 0 ? (unsigned)at / 8 : 0;
}

/* The wrapper's caller, which is not in the chain of frame pointers; 0: not told. */
static uint64_t hidden_caller(struct callers *c, const struct stack_record *r)
{
#if defined(__x86_64__)
	uint64_t key = mix(program_of(c, r), r->ip[0]), found;
	struct wrapper *w = &c->wrappers[key % WRAPPERS];

	if (!r->words || !r->frames)
		return 0;
	if (w->key != key) {
		if (maps_read(&c->maps, r->pid, r->start_ns))
			return 0;
		*w = (struct wrapper){.key = key, .word = find_caller(c, r)};
	}
	found = w->word < r->words && w->word < STACK_WORDS ? r->word[w->word] : 0;
	return r->frames > 1 && r->ip[1] == found ? 0 : found;
#else
	return 0; /* return addresses are in a register */
#endif
}

static void name_all(struct callers *c, const struct stack_record *r, uint64_t hidden)
{
	for (unsigned i = 0; i < frames_of(r); i++) {
		if (i && !returns_to(c, r, r->ip[i]))
			break;
		name_frame(c, r, r->ip[i]);
		if (!i && hidden && returns_to(c, r, hidden))
			name_frame(c, r, hidden);
	}
}

static void name_none(struct callers *c, const struct stack_record *r)
{
	for (unsigned i = 0; i < frames_of(r); i++)
		put_frame(&c->text, r->ip[i], "", NULL);
}

static void tell_refused(struct callers *c, const struct stack_record *r, int err)
{
	if (c->told_refused)
		return;
	c->told_refused = true;
	fprintf(stderr, "tcptrail: --stack: not permitted to read process %u (user %u): %s: its "
		"calls stay addresses (run as root, or with CAP_SYS_PTRACE)\n",
		r->pid, r->uid, strerror(-err));
}

static void make_text(struct callers *c, const struct stack_record *r, uint64_t hidden)
{
	int err = maps_read(&c->maps, r->pid, r->start_ns);

	c->text.len = 0;
	if (err == -EACCES || err == -EPERM)
		tell_refused(c, r, err);
	if (err)
		name_none(c, r);
	else
		name_all(c, r, hidden);
	buf_char(&c->text, '\0');
}

static bool may_name(struct callers *c, uint64_t now_ns)
{
	if (now_ns - c->second_began_ns >= second_ns) {
		c->second_began_ns = now_ns;
		c->named = 0;
	}
	return c->named++ < NAMED_A_SECOND;
}

static void tell_lost(struct pipeline *p, const struct stack_record *r)
{
	struct event e = {.kind = EV_LOST, .ts_ns = r->ts_ns};

	e.extra.lost.reason = LOSS_STACK_LIMIT;
	e.extra.lost.count = 1;
	pipeline_feed(p, &e, sizeof(e));
}

void callers_take(struct callers *c, struct pipeline *p, const struct stack_record *r)
{
	uint64_t hidden = hidden_caller(c, r), key = key_of(c, r, hidden);
	struct known *known = &c->known[key % KNOWN];
	struct event e = {.kind = EV_STACK, .ts_ns = r->ts_ns, .cookie = r->cookie,
			  .netns = r->netns};

	if (known->key != key || !pipeline_knows_stack(p, known->id)) {
		if (!may_name(c, r->ts_ns)) {
			tell_lost(p, r);
			return;
		}
		make_text(c, r, hidden);
		if (c->text.failed)
			return;
		*known = (struct known){.key = key, .id = id_of(c, &c->text)};
		if (!pipeline_knows_stack(p, known->id))
			pipeline_tell_stack(p, known->id, c->text.data);
	}
	e.extra.stack.id = known->id;
	pipeline_feed(p, &e, sizeof(e));
}
