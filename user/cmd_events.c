/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tcptrail events`: each state change, retransmit and reset as it happens.
 *
 * A session with one view, picked by the format; the table in main.c has already
 * refused the formats that are not here.
 */
#include "commands.h"
#include "output/views.h"
#include "session.h"

const char cmd_events_help[] =
	"A line each: when, whose socket it is (not who happened to run when the packet\n"
	"came), both ends, what happened, how long the old state had lasted, and why it\n"
	"ended: a call (and who made it), a packet, a timer. In JSON: tcp.state_change,\n"
	"tcp.retransmit, tcp.reset and tcp.drop records.\n";

int cmd_events(const struct options *o)
{
	static const struct view *const views[] = {
		[OUT_TEXT] = &view_events_text,
		[OUT_JSON] = &view_events_json,
	};

	return session_run(o, views[o->format]);
}
