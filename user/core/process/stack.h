/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --stack: the calls in user space that made a socket. Each distinct one is a text,
 * told once; a socket names it by a number. Beside the table of connections, which
 * has no room for what most runs do not ask for.
 *
 * The text: a line a frame, innermost first, "OFFSET\tMODULE\tFUNCTION\n", the
 * offset in hex, each word empty where it is not known. Bounded: STACKS texts of
 * STACK_TEXT bytes; when full, those that no socket names are forgotten.
 */
#ifndef TCPTRAIL_STACK_H
#define TCPTRAIL_STACK_H

#include <stdbool.h>
#include <stdint.h>

enum { STACKS = 8192, STACK_TEXT = 16 << 10 };

struct stacks;

struct stacks *stacks_new(void);
void stacks_free(struct stacks *s);

bool stacks_known(const struct stacks *s, uint64_t id);
/* A number that is known already keeps its text. 0, -E2BIG, -ENOSPC, -ENOMEM. */
int stacks_tell(struct stacks *s, uint64_t id, const char *text);
/* This socket's is that one, in the place of what it had. 0, -ENOENT (not told), -ENOMEM. */
int stacks_set(struct stacks *s, uint64_t cookie, uint64_t id);
void stacks_forget(struct stacks *s, uint64_t cookie);
/* NULL: none. The same text is the same pointer. */
const char *stacks_of(const struct stacks *s, uint64_t cookie);
/* Its number. false: none. */
bool stacks_id(const struct stacks *s, uint64_t cookie, uint64_t *id);
/* Walk all texts: start with *cursor 0; NULL at the end. */
const char *stacks_next(const struct stacks *s, uint32_t *cursor, uint64_t *id);

/* One call. Words are not terminated and may be hostile; NULL where not known. */
struct stack_frame {
	uint64_t offset;       /* in the module, as addr2line takes it; without one the bare address */
	const char *module, *function;
	int module_len, function_len;
};

/* The frame at *at, which moves on. false: there is none. */
bool stack_frame(const char **at, struct stack_frame *out);

#endif
