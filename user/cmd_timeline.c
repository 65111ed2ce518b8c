/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tcptrail timeline`: each connection's handshake and teardown drawn between its two ends;
 * with --packets, a capture's packets with the step that each is.
 *
 * A session with one view, picked by the format; the table in main.c has already
 * refused the formats that are not here.
 */
#include <stdio.h>

#include "commands.h"
#include "output/views.h"
#include "session.h"

const char cmd_timeline_help[] =
	"Drawn when the connection has ended: the client on the left, the server on the\n"
	"right, their states beside, time down the side. Arrows that were not observed\n"
	"but follow from what was are dashed. Where both ends are on this host they are\n"
	"one ladder.\n"
	"\n"
	"--packets --from FILE prints a capture's packets instead, a line each: number,\n"
	"time, addresses, length, the step of the handshake or the teardown that it is\n"
	"(1/3 ... 4/4, 2+3/4 where a FIN carries the ACK), then what Wireshark would say,\n"
	"with relative numbers, and the numbers on the wire.\n";

int cmd_timeline(const struct options *o)
{
	static const struct view *const views[2][2] = {
		{[OUT_TEXT] = &view_timeline_text, [OUT_JSON] = &view_timeline_json},
		{[OUT_TEXT] = &view_packets_text, [OUT_JSON] = &view_packets_json},
	};

	if (o->packets && !o->nfrom) {
		fputs("tcptrail: --packets: expected a capture: --from FILE\n", stderr);
		return 2;
	}
	return session_run(o, views[o->packets][o->format]);
}
