/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Turns bytes into a struct event that the rest may trust.
 *
 * The kernel side is ours, but a recording is anybody's: every value that later
 * indexes a table is range-checked here, and nowhere else. Addresses, counters
 * and names stay as they are; they index nothing.
 */
#include <errno.h>
#include <stddef.h>

#include "conn.h"
#include "decode.h"

int event_decode(const void *data, uint32_t size, const struct event **out)
{
	const struct event *e = data;

	if (size < sizeof(*e) || (uintptr_t)data % 8)
		return -EBADMSG;
	if (e->kind == EV_NONE || e->kind >= EV_KIND_MAX)
		return -EBADMSG;
	if (e->old_state >= ST_COUNT || e->new_state >= ST_COUNT)
		return -EBADMSG;
	if ((e->kind == EV_SOCK || e->kind == EV_HOLDER) && e->extra.sock.timer >= TIMER_MAX)
		return -EBADMSG;
	if ((e->kind == EV_TW_ENTER || e->kind == EV_TW_SOCK) && e->extra.tw.substate >= ST_COUNT)
		return -EBADMSG;
	if (e->kind == EV_TW_LOOKUP &&
	    (e->extra.lookup.state >= ST_COUNT || e->extra.lookup.timer >= TIMER_MAX))
		return -EBADMSG;
	if (e->kind == EV_LOST && e->extra.lost.reason >= LOSS_REASONS)
		return -EBADMSG;
	*out = e;
	return 0;
}
