/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys, and the words of the FILTER, over the panes: what the first screen of
 * --help says, for one who is already here.
 */
#include "top_impl.h"

static const char text[] =
	"arrows, PgUp, PgDn, Home, End   move; what is over the panes scrolls\n"
	"Tab        the other pane: connections, what is stuck\n"
	"Enter      the selected connection's ladder; all that is known of a finding\n"
	"/          filter, live while you type; Enter keeps it, Esc takes the one before\n"
	"s  S       the next column to sort by, the one before   r  reverse\n"
	"p          pause: the picture stands still, tracing goes on (a recording waits)\n"
	"k          close the selected connection: asks first; only with --allow-kill\n"
	"^L         draw all anew     ^Z  suspend\n"
	"Esc        back              q, ^C  quit\n"
	"\n"
	"Above: sockets in each state, how many a second come into it (over 4 s), and\n"
	"the last minute as a curve, as high as its own highest. AGE: time in the state;\n"
	"> at least. SENT, RECVD: payload; RETR: retransmits. Queues, bytes and round\n"
	"trips of quiet connections are as the last look at all sockets had them\n"
	"(--interval).\n"
	"\n"
	"FILTER, as ss has it: conditions, 'and' (or nothing) between, 'or', 'not', ( )\n"
	"  state close-wait           a state, or connected, ...; exclude NAME\n"
	"  dport = :443, sport < 1024 a port, a list 80,443,8000-8010, or a service\n"
	"  dst 10.0.0.0/8             src, dst: an address or a prefix, or with a port\n"
	"  pid = N, uid = N, comm = NAME, cgroup = PATH\n"
	"                             any process that holds it, else its owner\n"
	"  netns = INODE, role = server, age > 5m\n";

void help_draw(struct top *v, const struct box *box)
{
	struct box body = {box->y + 1, box->x, box->h - 1, box->w};

	put_heading(v, box, "HELP", true);
	buf_put(&v->b, text, sizeof(text) - 1);
	put_scrolled(v, &body);
}
