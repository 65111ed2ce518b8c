/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tcptrail listeners`: each listening socket with its queues against their limits.
 *
 * A session with one view, picked by the format; the table in main.c has already
 * refused the formats that are not here.
 */
#include "commands.h"
#include "output/views.h"
#include "session.h"

const char cmd_listeners_help[] =
	"Owner, SYN queue and accept queue with their limits, what overflowed, SYN\n"
	"cookies sent, and how long connections wait for accept(). --interval repeats.\n";

int cmd_listeners(const struct options *o)
{
	static const struct view *const views[] = {
		[OUT_TEXT] = &view_listeners_text,
		[OUT_JSON] = &view_listeners_json,
	};

	return session_run(o, views[o->format]);
}
