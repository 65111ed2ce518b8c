/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --help, made from the tables of commands and options, in 80 columns; and the
 * nearest name to a mistyped one.
 *
 * Goes to stdout: it was asked for.
 */
#include <stdio.h>
#include <string.h>

#include "options_impl.h"

enum { HELP_WIDTH = 79, HELP_COLUMN = 29, NAME_MAX_LEN = 32 };

/* Words from `column` to HELP_WIDTH; the first line is at `at` already. */
static void help_wrap(const char *text, int at, int column)
{
	bool blank = false; /* owed before the next word of this line */

	while (*text) {
		int word = (int)strcspn(text, " ");

		if (at + blank + word > HELP_WIDTH && at > column) {
			printf("\n%*s", column, "");
			at = column;
			blank = false;
		}
		at += printf("%s%.*s", blank ? " " : "", word, text);
		blank = true;
		text += word;
		while (*text == ' ')
			text++;
	}
	putchar('\n');
}

static const char *const group_titles[] = {
	[GROUP_SELECT] = "Which connections (a letter given twice: either; with a FILTER: both)",
	[GROUP_SHOW] = "What to show",
	[GROUP_STOP] = "When to stop (SIGINT and SIGTERM do too, and lose nothing)",
	[GROUP_CHECK] = "For monitoring",
	[GROUP_KILL] = "What to close",
	[GROUP_RECORD] = "Recordings",
	[GROUP_TRACER] = "The tracer",
	[GROUP_HELP] = "Help",
};
_Static_assert(sizeof(group_titles) / sizeof(group_titles[0]) == GROUP_COUNT, "a title each");

static void help_option(const struct option_row *row)
{
	char head[64];
	int n;

	n = snprintf(head, sizeof(head), row->letter ? "  -%c, --%s" : "  %c   --%s",
		     row->letter ? row->letter : ' ', row->name);
	if (row->arg)
		n += snprintf(head + n, sizeof(head) - (size_t)n, " %s", row->arg);
	printf("%-*s", HELP_COLUMN, head);
	if (n >= HELP_COLUMN)
		printf("\n%*s", HELP_COLUMN, "");
	help_wrap(row->help, HELP_COLUMN, HELP_COLUMN);
}

/* Those that a command takes; all of them when there is no command. */
static void help_options(const struct command *c)
{
	for (unsigned g = 0; g < GROUP_COUNT; g++) {
		bool titled = false;

		for (unsigned i = 0; i < option_count; i++) {
			const struct option_row *row = &option_rows[i];

			if (row->group != g || (c && (c->takes & row->needs) != row->needs))
				continue;
			if (!titled)
				printf("\n%s:\n", group_titles[g]);
			titled = true;
			help_option(row);
		}
	}
}

static const char filter_help[] =
	"\n"
	"FILTER, as ss has it: conditions, 'and' (or nothing) between them, 'or', 'not',\n"
	"parentheses; operators = != < <= > >= (and eq ne lt le gt ge):\n"
	"  state close-wait           a state in any spelling, or all, connected,\n"
	"                             synchronized, bucket, big; exclude NAME\n"
	"  dport = :443, sport < 1024 a port, a list 80,443,8000-8010, or a service\n"
	"  dst 10.0.0.0/8, src [::1]:80, dst inet6:*\n"
	"                             an address, a prefix, a host's name, a family, with\n"
	"                             or without a port\n"
	"  dev = eth0                 bound to this interface (SO_BINDTODEVICE)\n"
	"  pid = N, uid = N, comm = NAME, cgroup = PATH\n"
	"                             the owner; a cgroup and what is below it\n"
	"  netns = INODE, role = server\n"
	"  age > 5m                   in the present state for longer than that (ms s m h\n"
	"                             d); of an ended connection, its whole life\n"
	"  verdict = reset            how it went: normal, reset, refused, timeout,\n"
	"                             half_closed, SF, RSTO ...\n";

void options_help(const struct command *commands, unsigned ncommands)
{
	printf("tcptrail: the whole life of every TCP connection of this host\n\n"
	       "Usage: tcptrail [COMMAND] [OPTIONS] [FILTER]\n\nCommands (without one: %s):\n",
	       commands[0].name);
	for (unsigned i = 0; i < ncommands; i++) {
		printf("  %-11s", commands[i].name);
		help_wrap(commands[i].summary, 13, 13);
	}
	help_options(NULL);
	fputs(filter_help, stdout);
	puts("\nExit status: 0 done, 2 usage or failure. 'tcptrail COMMAND --help' says more.");
}

void options_help_command(const struct command *c)
{
	char formats[40];

	printf("Usage: tcptrail %s %s\n\n", c->name, c->usage);
	help_wrap(c->summary, 0, 0);
	if (c->help)
		printf("\n%s", c->help);
	option_formats(c, formats, sizeof(formats));
	printf("\nFormats (-o): %s.\n", formats);
	help_options(c);
	if (c->takes & TAKES_TRACE)
		fputs(filter_help, stdout);
}

/* ---- the nearest name ---------------------------------------------------------- */

/* Optimal string alignment: insert, delete, change, swap two neighbours. */
static unsigned edit_distance(const char *a, const char *b)
{
	unsigned d[NAME_MAX_LEN + 1][NAME_MAX_LEN + 1], na = strlen(a), nb = strlen(b);

	for (unsigned i = 0; i <= na; i++)
		d[i][0] = i;
	for (unsigned j = 0; j <= nb; j++)
		d[0][j] = j;
	for (unsigned i = 1; i <= na; i++) {
		for (unsigned j = 1; j <= nb; j++) {
			unsigned best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);

			best = d[i - 1][j] + 1 < best ? d[i - 1][j] + 1 : best;
			best = d[i][j - 1] + 1 < best ? d[i][j - 1] + 1 : best;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    d[i - 2][j - 2] + 1 < best)
				best = d[i - 2][j - 2] + 1;
			d[i][j] = best;
		}
	}
	return d[na][nb];
}

const char *options_nearest(const char *typed, const char *(*next)(const void *ctx, unsigned i),
			    const void *ctx)
{
	const char *name, *near = NULL;
	unsigned best = 3, len = strlen(typed); /* further off is another word */

	if (!len || len > NAME_MAX_LEN)
		return NULL;
	for (unsigned i = 0; (name = next(ctx, i)); i++) {
		unsigned d = strlen(name) <= NAME_MAX_LEN ? edit_distance(typed, name) : best;

		/* An abbreviation is as good as one slip. */
		if (len >= 2 && d > 1 && !strncmp(name, typed, len))
			d = 1;
		if (d < best && d < len) {
			best = d;
			near = name;
		}
	}
	return near;
}
