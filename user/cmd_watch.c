/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tcptrail watch`: what is open now, and then the life of each connection as it ends.
 *
 * A session with one view, picked by the format; the table in main.c has already
 * refused the formats that are not here.
 */
#include "commands.h"
#include "output/views.h"
#include "session.h"

const char cmd_watch_help[] =
	"First what is there: the sockets in each state, with those that look stuck by\n"
	"name, age and owner. Then a connection's timeline when it ends. In JSON:\n"
	"tcp.snapshot records, then tcp.connection, then tracer.stats.\n";

int cmd_watch(const struct options *o)
{
	static const struct view *const views[] = {
		[OUT_TEXT] = &view_watch_text,
		[OUT_JSON] = &view_watch_json,
	};

	return session_run(o, views[o->format]);
}
