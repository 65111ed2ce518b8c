/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flight recorder: packed frames of the last while in memory, bounded by time, by
 * bytes and by number; the oldest leave. Nothing is written until it is asked for.
 *
 * Each file that it keeps is whole by itself: the preamble, the clock, the cgroups'
 * paths, then the frames. A snapshot is among them if one was taken often enough.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output/sink.h"
#include "recorder_impl.h"

int recorder_ring_new(struct recorder *r)
{
	r->frames = calloc(RECORDER_FRAMES, sizeof(*r->frames));
	return r->frames ? 0 : -ENOMEM;
}

static void drop_oldest(struct recorder *r)
{
	struct kept_frame *k = &r->frames[r->first];

	r->ring_bytes -= k->size;
	free(k->data);
	k->data = NULL;
	r->first = (r->first + 1) % RECORDER_FRAMES;
	r->nframes--;
}

void recorder_ring_free(struct recorder *r)
{
	while (r->frames && r->nframes)
		drop_oldest(r);
	free(r->frames);
	r->frames = NULL;
}

bool recorder_ring_put(struct recorder *r)
{
	struct kept_frame *k;

	while (r->nframes && (r->nframes == RECORDER_FRAMES ||
			      r->ring_bytes + r->packed.len > RECORDER_RING_BYTES ||
			      r->frames[r->first].ts_ns + r->cfg.last_ns < r->now_ns))
		drop_oldest(r);
	k = &r->frames[(r->first + r->nframes) % RECORDER_FRAMES];
	k->data = malloc(r->packed.len);
	if (!k->data)
		return false;
	memcpy(k->data, r->packed.data, r->packed.len);
	k->size = (uint32_t)r->packed.len;
	k->ts_ns = r->now_ns;
	r->ring_bytes += k->size;
	r->nframes++;
	return true;
}
