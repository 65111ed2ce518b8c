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
	"END(s)  when it ended, since the start; with -T the time of day\n"
	"PID COMM  its owner: who connected or accepted\n"
	"LOCAL PEER  both ends\n"
	"END     how, in Zeek's words: SF both said FIN, RSTO/RSTR reset by the client\n"
	"        or the server, REJ refused, S0 no answer, S1 open, OTH not seen ...\n"
	"BY      whose FIN or RST came first\n"
	"HS(ms)  the handshake's time\n"
	"DUR     the connection's life\n"
	"TX RX   payload, sent and received\n"
	"Behind them, where there is something to say (-w: RETX WHY):\n"
	"R2      so many segments were sent again\n"
	"a word  why it ended, if not by FIN: refused, reset, syn_timeout,\n"
	"        retransmit_timeout, half_open, killed ... (tcp.end_reason in JSON)\n"
	"incomplete  something of it was not seen: events were lost, or had no room\n";

int cmd_conns(const struct options *o)
{
	static const struct view *const views[] = {
		[OUT_TEXT] = &view_conns_text,
		[OUT_JSON] = &view_conns_json,
		[OUT_CSV] = &view_conns_csv,
	};

	return session_run(o, views[o->format]);
}
