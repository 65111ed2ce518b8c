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
	"Owner, SYN queue, accept queue with its limit, what was dropped and accepted,\n"
	"and how long connections wait for accept(). -w adds, in full mode, how often the\n"
	"accept queue overflowed and SYN cookies sent, and the longest wait. --interval\n"
	"repeats; -c counts sockets.\n";

int cmd_listeners(const struct options *o)
{
	static const struct view *const views[] = {
		[OUT_TEXT] = &view_listeners_text,
		[OUT_JSON] = &view_listeners_json,
	};

	return session_run(o, views[o->format]);
}
