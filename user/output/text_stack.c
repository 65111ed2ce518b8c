/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls that made a socket, for people: one a line, or all of them in one. Names
 * are made safe, for the binary that they come from is anybody's.
 */
#include <string.h>

#include "../core/process/stack.h"
#include "event.h"
#include "stack.h"
#include "text.h"

enum { BRIEF = 8 };

/* The file's name without its directory. */
static void put_module(struct buf *b, const struct stack_frame *f)
{
	const char *slash = memrchr(f->module, '/', (size_t)f->module_len);
	const char *name = slash ? slash + 1 : f->module;

	buf_safe(b, name, (size_t)(f->module + f->module_len - name));
}

static void put_place(struct buf *b, const struct stack_frame *f)
{
	if (f->module) {
		put_module(b, f);
		buf_char(b, '+');
	}
	buf_str(b, "0x");
	buf_hex(b, f->offset);
}

void text_stack(struct buf *b, const char *head, int indent, const char *stack)
{
	struct stack_frame f;

	for (unsigned i = 0; stack && i < STACK_FRAMES && stack_frame(&stack, &f); i++) {
		if (!i)
			buf_str(b, head);
		buf_fill(b, ' ', i ? indent : indent - (int)strlen(head));
		if (f.function) {
			buf_safe(b, f.function, (size_t)f.function_len);
			buf_str(b, " (");
		}
		put_place(b, &f);
		buf_str(b, f.function ? ")\n" : "\n");
	}
}

void text_stack_brief(struct line *l, const char *stack, int width, int indent)
{
	struct mark m = {SIZE_MAX, 0};
	struct stack_frame f;

	for (unsigned i = 0; stack && i < BRIEF && stack_frame(&stack, &f); i++) {
		if (i) {
			m = line_mark(l);
			line_str(l, "< ");
		}
		if (f.function)
			line_safe(l, f.function, (size_t)f.function_len);
		else
			put_place(l->b, &f);
		line_fold(l, m, width, indent);
	}
}
