/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tcptrail top`: a full screen, live.
 *
 * What is wrong with the options or the terminal is one line and exit 2, before
 * anything is traced.
 */
#include <cap-ng.h>
#include <stdio.h>

#include "commands.h"
#include "options.h"
#include "top/top.h"

const char cmd_top_help[] =
	"Above, the sockets in each state, how many a second come into it and its last\n"
	"minute; then what hangs, as 'stuck' has it, with advice for the selected finding;\n"
	"then the connections, sorted (s, r) and filtered (/). Enter draws the selected\n"
	"one's ladder, k closes it (--allow-kill), p pauses, ? lists the keys, q quits.\n"
	"--interval: how often to look at all sockets again (2 s), and not to draw sooner.\n"
	"--from FILE shows a recording; its end stays on the screen until q, unless -d.\n"
	"Needs a terminal of 80x20.\n";

static int mistake(const char *what)
{
	fprintf(stderr, "tcptrail: %s\n", what);
	return 2;
}

int cmd_top(const struct options *o)
{
	if (o->allow_kill && o->nfrom)
		return mistake("--allow-kill: expected without --from: a recording has no sockets");
	if (o->allow_kill) {
		capng_get_caps_process();
		if (!capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_ADMIN))
			return mistake("--allow-kill: needs CAP_NET_ADMIN (run as root)");
	}
	return top_run(o);
}
