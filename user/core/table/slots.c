/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rare half of open addressing: beginning, doubling, the end. What is done for
 * each event is in the header, to be inlined.
 */
#include "slots.h"

#include <stddef.h>
#include <stdlib.h>

enum { FIRST_SLOTS = 1024 };

bool slots_init(struct slots *s)
{
	s->count = 0;
	s->mask = FIRST_SLOTS - 1;
	s->at = calloc(FIRST_SLOTS, sizeof(*s->at));
	return s->at;
}

void slots_free(struct slots *s)
{
	free(s->at);
	s->at = NULL;
}

uint64_t slots_bytes(const struct slots *s)
{
	return (s->mask + 1ull) * sizeof(*s->at);
}

bool slots_grow(struct slots *s)
{
	uint32_t mask = s->mask * 2 + 1;
	struct slot *wide = calloc((size_t)mask + 1, sizeof(*wide));

	if (!wide)
		return false;
	for (uint32_t i = 0; i <= s->mask; i++) {
		uint32_t to = s->at[i].hash & mask;

		if (!s->at[i].index)
			continue;
		while (wide[to].index)
			to = (to + 1) & mask;
		wide[to] = s->at[i];
	}
	free(s->at);
	s->at = wide;
	s->mask = mask;
	return true;
}
