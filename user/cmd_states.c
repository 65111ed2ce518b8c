/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tcptrail states`: RFC 9293's state diagram with the sockets in each state.
 *
 * A session with one view, picked by the format; the table in main.c has already
 * refused the formats that are not here.
 */
#include "commands.h"
#include "output/views.h"
#include "session.h"

const char cmd_states_help[] =
	"The present count in each state, and how often each arc was taken since the\n"
	"last picture. --interval draws it again.\n";

int cmd_states(const struct options *o)
{
	static const struct view *const views[] = {
		[OUT_TEXT] = &view_states_text,
		[OUT_JSON] = &view_states_json,
	};

	return session_run(o, views[o->format]);
}
