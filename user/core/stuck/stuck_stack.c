/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the sockets of a group come from: the stack that most of them have.
 *
 * Looked up when it is asked for: a text is not there for ever. Of a group with more
 * than DISTINCT stacks, those that come later are not counted.
 */
#include <stddef.h>

#include "pipeline/pipeline.h"
#include "stuck.h"

enum { DISTINCT = 64 };

struct seen {
	const char *stack;
	uint32_t count;
};

/* Texts are told once: the same stack is the same pointer. */
static void count_in(struct seen *seen, unsigned *n, const char *stack)
{
	unsigned i = 0;

	while (i < *n && seen[i].stack != stack)
		i++;
	if (i == DISTINCT)
		return;
	if (i == *n)
		seen[(*n)++] = (struct seen){.stack = stack};
	seen[i].count++;
}

const char *stuck_stack(const struct stuck_report *r, const struct stuck_group *g,
			const struct pipeline *p, uint32_t *count)
{
	struct seen seen[DISTINCT], best = {0};
	unsigned n = 0;

	for (uint32_t i = g->first; !g->of_host && i < g->first + g->count; i++) {
		const char *stack = pipeline_stack(p, r->items[i].cookie);

		if (stack)
			count_in(seen, &n, stack);
	}
	for (unsigned i = 0; i < n; i++)
		if (seen[i].count > best.count)
			best = seen[i];
	*count = best.count;
	return best.stack;
}
