/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp.stack: the calls that made a socket. Their names are a binary's, and the binary
 * is anybody's: no byte of them is written as it is.
 */
#include "../core/write/jsonw.h"
#include "../core/process/stack.h"
#include "event.h"
#include "stack.h"

/* Hex, as addr2line takes it and as no JSON reader rounds it. */
static void put_offset(struct jsonw *w, uint64_t offset)
{
	json_quote(w, "offset");
	buf_str(w->b, "0x");
	buf_hex(w->b, offset);
	json_unquote(w);
}

void json_stack(struct jsonw *w, const char *stack)
{
	struct stack_frame f;

	if (!stack)
		return;
	json_array(w, "stack");
	for (unsigned i = 0; i < STACK_FRAMES && stack_frame(&stack, &f); i++) {
		json_open(w, NULL);
		if (f.function)
			json_strn(w, "function", f.function, (size_t)f.function_len);
		if (f.module)
			json_strn(w, "module", f.module, (size_t)f.module_len);
		put_offset(w, f.offset);
		json_close(w);
	}
	json_array_end(w);
}
