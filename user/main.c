/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of commands, and little else: options.c picks a row, the row runs.
 *
 * Without a command it is the first one. What a row says it takes and prints is
 * what options.c allows and --help lists.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "options.h"
#include "output/views.h"

#define TRACES (TAKES_SOURCE | TAKES_TRACE | TAKES_VIEW)
#define PRINTS (TRACES | TAKES_COUNT)
#define TEXT_JSON (1u << OUT_TEXT | 1u << OUT_JSON)
#define USAGE "[OPTIONS] [FILTER]"

static const struct command commands[] = {
	{
		.name = "watch",
		.summary = "what is open now (counts per state, what is stuck), then each "
			   "connection's timeline as it ends",
		.usage = USAGE,
		.help = cmd_watch_help,
		.formats = TEXT_JSON,
		.takes = PRINTS | TAKES_GATE | TAKES_ENDS | TAKES_TIMES | TAKES_STACK,
		.run = cmd_watch,
	},
	{
		.name = "events",
		.summary = "every state change and retransmit, a line each",
		.usage = USAGE,
		.help = cmd_events_help,
		.formats = TEXT_JSON,
		.takes = PRINTS | TAKES_GATE | TAKES_TIMES,
		.run = cmd_events,
	},
	{
		.name = "conns",
		.summary = "a line per connection when it ends, with its verdict",
		.usage = USAGE,
		.help = cmd_conns_help,
		.formats = TEXT_JSON | 1u << OUT_CSV,
		.takes = PRINTS | TAKES_GATE | TAKES_ENDS | TAKES_TIMES | TAKES_STACK,
		.run = cmd_conns,
	},
	{
		.name = "timeline",
		.summary = "the ladder: each connection's handshake and teardown drawn between "
			   "its two ends",
		.usage = USAGE,
		.help = cmd_timeline_help,
		.formats = TEXT_JSON,
		.takes = PRINTS | TAKES_GATE | TAKES_ENDS | TAKES_TIMES | TAKES_PACKETS |
			 TAKES_STACK,
		.run = cmd_timeline,
	},
	{
		.name = "states",
		.summary = "RFC 9293's state diagram with the present count in each state and "
			   "the rate on each arc",
		.usage = USAGE,
		.help = cmd_states_help,
		.formats = TEXT_JSON,
		.takes = PRINTS | TAKES_INTERVAL | TAKES_TIMES,
		.run = cmd_states,
	},
	{
		.name = "listeners",
		.summary = "each listening socket: owner, queues against their limits, "
			   "overflows, SYN cookies, accept wait",
		.usage = USAGE,
		.help = cmd_listeners_help,
		.formats = TEXT_JSON,
		.takes = PRINTS | TAKES_INTERVAL | TAKES_TIMES,
		.run = cmd_listeners,
	},
	{
		.name = "stuck",
		.summary = "what hangs now, since when, whose it is, why, and what to do "
			   "about it",
		.usage = USAGE,
		.help = cmd_stuck_help,
		.formats = TEXT_JSON | 1u << OUT_CSV,
		.takes = PRINTS | TAKES_INTERVAL | TAKES_TIMES | TAKES_STUCK | TAKES_STACK |
			 TAKES_AGE,
		.run = cmd_stuck,
	},
	{
		.name = "top",
		.summary = "a full screen, live: states, what hangs, connections, their ladders",
		.usage = USAGE,
		.help = cmd_top_help,
		.formats = 1u << OUT_TEXT,
		.takes = TRACES | TAKES_INTERVAL | TAKES_TIMES | TAKES_TOP | TAKES_AGE,
		.run = cmd_top,
	},
	{
		.name = "serve",
		.summary = "HTTP: /metrics, JSON, a live page",
		.usage = USAGE,
		.help = cmd_serve_help,
		.formats = 1u << OUT_TEXT,
		.takes = TAKES_SOURCE | TAKES_TRACE | TAKES_SERVE | TAKES_STACK,
		.run = cmd_serve,
	},
	{
		.name = "record",
		.summary = "the event stream to a file, for any command's --from",
		.usage = "[OPTIONS] FILE|- [FILTER]",
		.help = cmd_record_help,
		.formats = 1u << OUT_TEXT,
		.takes = TAKES_SOURCE | TAKES_TRACE | TAKES_ENDS | TAKES_INTERVAL | TAKES_FILE |
			 TAKES_STACK,
		.run = cmd_record,
	},
	{
		.name = "doctor",
		.summary = "which hooks this kernel has, which privileges are missing, what the "
			   "tracer would cost and lose",
		.usage = "[OPTIONS]",
		.formats = TEXT_JSON,
		.takes = TAKES_SOURCE,
		.run = cmd_doctor,
	},
};

/* A closed standard descriptor would be given to the next thing that is opened, a BPF map
 * perhaps, and our output would go there. */
static int open_standard_descriptors(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
		if (fd < 0)
			return -1;
	} while (fd <= STDERR_FILENO);
	close(fd);
	return 0;
}

/* Help, explanations, the doctor: what is no session's. Held back whole, so that why it could not
 * be written is still known here. */
static int write_stdout(int status)
{
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "tcptrail: stdout: %s\n", strerror(errno ? errno : EIO));
		status = 2;
	}
	setvbuf(stdout, NULL, _IONBF, 0); /* what held it is main()'s */
	return status;
}

int main(int argc, char **argv)
{
	char held[1 << 16];
	struct options o;
	int status;

	if (open_standard_descriptors())
		return 2;
	setvbuf(stdout, held, _IOFBF, sizeof(held));
	status = options_parse(&o, commands, sizeof(commands) / sizeof(commands[0]), &commands[0],
			       argc, argv);
	if (status == 0)
		status = o.command->run(&o);
	else if (status == 1)
		status = 0;
	options_free(&o);
	return write_stdout(status);
}
