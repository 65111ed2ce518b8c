/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tcptrail conns`: a line per connection when it ends, with its verdict.
 *
 * A session with one view, picked by the format; the table in main.c has already
 * refused the formats that are not here.
 */
#include "commands.h"
#include "output/views.h"
#include "session.h"

const char cmd_conns_help[] =
	"END     when it ended\n"
	"PID COMM  its owner: who connected or accepted\n"
	"LOCAL PEER  both ends\n"
	"END     Zeek's conn_state: SF both said FIN, RSTO/RSTR reset by the client or\n"
	"        the server, REJ refused, S0 no answer, S1 still open, OTH not seen ...\n"
	"BY      whose FIN or RST came first\n"
	"HS(ms)  the handshake's time\n"
	"DUR     the connection's life\n"
	"TX RX   payload, sent and received\n";

int cmd_conns(const struct options *o)
{
	static const struct view *const views[] = {
		[OUT_TEXT] = &view_conns_text,
		[OUT_JSON] = &view_conns_json,
		[OUT_CSV] = &view_conns_csv,
	};

	return session_run(o, views[o->format]);
}
