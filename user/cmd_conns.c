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
	"END(s)  when it ended\n"
	"PID COMM  its owner: who connected or accepted\n"
	"LOCAL PEER  both ends\n"
	"HS(ms)  the handshake's time\n"
	"DUR     the connection's life\n"
	"TX RX   payload, sent and received\n"
	"END     Zeek's conn_state: SF both said FIN, RSTO/RSTR reset by the client or\n"
	"        the server, REJ refused, S0 no answer, S1 still open, OTH not seen ...\n"
	"BY/WHY  whose FIN or RST came first; or what cut it short: rto, user-to, probes\n"
	"        (keepalive's) or window (shut) timed out, no-fin (in FIN-WAIT-2), linger\n"
	"        (SO_LINGER 0), unread (data at close()), listen (its listener closed),\n"
	"        forgot (by the peer), icmp, killed, netns (deleted); R3: 3 retransmits;\n"
	"        gap: events of it were lost. -w has whole words and addresses\n";

int cmd_conns(const struct options *o)
{
	static const struct view *const views[] = {
		[OUT_TEXT] = &view_conns_text,
		[OUT_JSON] = &view_conns_json,
		[OUT_CSV] = &view_conns_csv,
	};

	return session_run(o, views[o->format]);
}
