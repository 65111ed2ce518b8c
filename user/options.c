/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line: one table of options, one pass over argv.
 *
 * Options and words may come in any order; the first word that is no option's value
 * is the command, if it is one, and the rest is the FILTER. A row of the table is
 * all that makes an option: parsing, checks, messages and --help read it.
 *
 * A mistake is one line on stderr that names the option, the value and what was
 * expected; nothing is traced then, and the exit status is 2.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/write/buf.h"
#include "options_impl.h"

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))
#define AT(field) offsetof(struct options, field)

/* What a build leaves out, --version says. */
#ifdef TCPTRAIL_NO_TLS
#define VERSION_NOTE " (static: serve has no TLS)"
#else
#define VERSION_NOTE ""
#endif

const struct option_row option_rows[] = {
	{ 'p', "pid", "PID", GROUP_SELECT, TAKES_TRACE, 0, option_set_pid,
	  "a process id", "whose owner is this process" },
	{ 'u', "uid", "UID", GROUP_SELECT, TAKES_TRACE, 0, option_set_uid,
	  "a user's number or name", "whose owner runs as this user" },
	{ 0, "comm", "NAME", GROUP_SELECT, TAKES_TRACE, 0, option_set_comm,
	  "a command's name", "whose owner's command is this" },
	{ 0, "cgroup", "PATH", GROUP_SELECT, TAKES_TRACE, 0, option_set_cgroup,
	  "a cgroup's directory below /sys/fs/cgroup", "whose owner is in this cgroup or below it" },
	{ 0, "netns", "PATH|INODE", GROUP_SELECT, TAKES_TRACE, 0, option_set_netns,
	  "a network namespace's inode, or its file such as /proc/PID/ns/net",
	  "in this network namespace" },
	{ '4', "ipv4", NULL, GROUP_SELECT, TAKES_TRACE, 0, option_set_family, NULL,
	  "IPv4 (v4-mapped too)" },
	{ '6', "ipv6", NULL, GROUP_SELECT, TAKES_TRACE, 0, option_set_family, NULL, "IPv6" },
	{ 'L', "local-port", "PORTS", GROUP_SELECT, TAKES_TRACE, 0, option_set_ports,
	  "ports 0-65535 such as 443 or 80,443,8000-8010", "local port, as 443 or 80,443,8000-8010" },
	{ 'D', "remote-port", "PORTS", GROUP_SELECT, TAKES_TRACE, 0, option_set_ports,
	  "ports 0-65535 such as 443 or 80,443,8000-8010", "remote port" },
	{ 'P', "port", "PORTS", GROUP_SELECT, TAKES_TRACE, 0, option_set_ports,
	  "ports 0-65535 such as 443 or 80,443,8000-8010", "either port" },

	{ 'o', "output", "FORMAT", GROUP_SHOW, 0, 0, option_set_format,
	  "text, json, otlp-json or csv", "text (default), json (a record a line), otlp-json (the "
	  "same as OpenTelemetry's logs) or csv (conns, stuck)" },
	{ 'T', "time", NULL, GROUP_SHOW, TAKES_TIMES, AT(wall_clock), NULL, NULL,
	  "the wall clock: in the column of times, or above each picture" },
	{ 'w', "wide", NULL, GROUP_SHOW, TAKES_TRACE, AT(wide), NULL, NULL,
	  "more than 80 columns where there is more to say" },
	{ 'n', "numeric", NULL, GROUP_SHOW, TAKES_TRACE, 0, option_set_numeric, NULL,
	  "addresses and ports as numbers (default)" },
	{ 'r', "resolve", NULL, GROUP_SHOW, TAKES_TRACE, AT(resolve), NULL, NULL,
	  "names for addresses and ports, once they are known; text only" },
	{ 0, "open", NULL, GROUP_SHOW, TAKES_ENDS, AT(open), NULL, NULL,
	  "at the end, also the connections that are still open" },
	{ 0, "until", "reaped", GROUP_SHOW, TAKES_ENDS, 0, option_set_until, "reaped",
	  "hold a connection's record until its TIME-WAIT is over" },
	{ 0, "sample", "N", GROUP_SHOW, TAKES_GATE, AT(sample), option_set_number,
	  "a number of connections, 1 or more",
	  "1 in N connections, whole, the same ones at both ends; counters stay whole" },
	{ 0, "only-findings", NULL, GROUP_SHOW, TAKES_GATE, AT(only_findings), NULL, NULL,
	  "what `stuck` finds, as it begins (looked for every 10 s), and what then becomes of it; "
	  "-o json, otlp-json" },
	{ 0, "packets", NULL, GROUP_SHOW, TAKES_PACKETS, AT(packets), NULL, NULL,
	  "a capture's packets, each with the step that it is (--from FILE)" },
	{ 0, "interval", "SECONDS", GROUP_SHOW, TAKES_INTERVAL, AT(interval_s), option_set_seconds,
	  "seconds such as 2 or 0.5", "draw again every so often" },
	{ 0, "color", "WHEN", GROUP_SHOW, 0, 0, option_set_color, "auto, always or never",
	  "auto (default: on a terminal, unless NO_COLOR is set), always or never" },

	{ 0, "list", NULL, GROUP_SHOW, TAKES_STUCK, AT(stuck.list), NULL, NULL,
	  "a row for each stuck socket" },
	{ 0, "all", NULL, GROUP_SHOW, TAKES_STUCK, AT(stuck.all), NULL, NULL,
	  "a row for every socket, healthy ones too" },
	{ 0, "watch", NULL, GROUP_SHOW, TAKES_STUCK, AT(stuck.watch), NULL, NULL,
	  "again every --interval seconds (2), until stopped" },
	{ 0, "min-age", "TIME", GROUP_SHOW, TAKES_AGE, 0, option_set_min_age,
	  "a time such as 0, 30, 500ms, 5m or 2h",
	  "stuck for so long at least (each state has its own default: --explain KIND)" },
	{ 0, "explain", "KIND", GROUP_SHOW, TAKES_STUCK, 0, option_set_explain,
	  "a kind of finding such as close_wait_leak, or all", "what a kind of finding means; "
	  "or all" },
	{ 0, "check", NULL, GROUP_CHECK, TAKES_STUCK, AT(stuck.check), NULL, NULL,
	  "one line, exit 0 or 1" },
	{ 0, "warn", "N", GROUP_CHECK, TAKES_STUCK, AT(stuck.warn), option_set_number,
	  "a number of sockets, 1 or more", "--check: exit 1 from so many stuck sockets on (1)" },
	{ 0, "critical", "N", GROUP_CHECK, TAKES_STUCK, AT(stuck.critical), option_set_number,
	  "a number of sockets, 1 or more",
	  "--check: say CRITICAL from so many on (or when a finding is)" },
	{ 0, "kill", NULL, GROUP_KILL, TAKES_STUCK, AT(stuck.kill), NULL, NULL,
	  "show what would be closed: the stuck sockets that the FILTER wants" },
	{ 0, "yes", NULL, GROUP_KILL, TAKES_STUCK, AT(stuck.yes), NULL, NULL,
	  "--kill: do it, with a line for each socket (CAP_NET_ADMIN)" },
	{ 0, "max", "N", GROUP_KILL, TAKES_STUCK, AT(stuck.max), option_set_number,
	  "a number of sockets, 1 or more", "--kill: at most so many, the worst first" },

	{ 0, "allow-kill", NULL, GROUP_KILL, TAKES_TOP, AT(allow_kill), NULL, NULL,
	  "let the key k close the selected connection, once confirmed (CAP_NET_ADMIN)" },

	{ 0, "listen", "ADDRESS:PORT", GROUP_SHOW, TAKES_SERVE, AT(serve.listen), option_set_word,
	  "an address, a port or both", "where to listen (127.0.0.1:29293)" },
	{ 0, "auth", "FILE", GROUP_SHOW, TAKES_SERVE, AT(serve.auth), option_set_word,
	  "a file", "whose first line is user:password, or a bearer token: who may ask" },
	{ 0, "tls-cert", "FILE", GROUP_SHOW, TAKES_SERVE, AT(serve.tls_cert), option_set_word,
	  "a file", "the certificate and its chain, PEM" },
	{ 0, "tls-key", "FILE", GROUP_SHOW, TAKES_SERVE, AT(serve.tls_key), option_set_word,
	  "a file", "its key, PEM" },
	{ 0, "textfile", "FILE", GROUP_SHOW, TAKES_SERVE, AT(serve.textfile), option_set_word,
	  "a file", "write /metrics there every 15 s, for node_exporter; listen only with --listen" },

	{ 'd', "duration", "SECONDS", GROUP_STOP, TAKES_TRACE, AT(duration_s), option_set_seconds,
	  "seconds such as 10 or 0.5, or with a unit: 500ms, 5m, 2h", "stop after so long" },
	{ 'c', "count", "N", GROUP_STOP, TAKES_COUNT, 0, option_set_count,
	  "a number of records, 1 or more", "stop after so many records" },

	{ 0, "from", "FILE", GROUP_RECORD, TAKES_VIEW, 0, option_set_from,
	  "a file, or - for stdin; at most 16 of them",
	  "a recording instead of this kernel; - is stdin. Several are merged by time" },
	{ 0, "speed", "N", GROUP_RECORD, TAKES_VIEW, AT(speed), option_set_speed,
	  "a number such as 1 or 0.5", "--from: N times as fast as it was (as fast as it reads)" },
	{ 0, "record", "FILE", GROUP_RECORD, TAKES_VIEW, 0, option_set_record, "a file's name",
	  "also write the stream that is shown to FILE, for --from" },
	{ 0, "rotate-size", "SIZE", GROUP_RECORD, TAKES_FILE, AT(rotate_bytes), option_set_size,
	  "a size from 64K up, such as 100M", "begin a new FILE after so many bytes" },
	{ 0, "rotate-time", "TIME", GROUP_RECORD, TAKES_FILE, AT(rotate_s), option_set_seconds,
	  "seconds such as 60, or with a unit: 5m, 2h", "... or after so long" },
	{ 0, "keep", "N", GROUP_RECORD, TAKES_FILE, AT(keep), option_set_number,
	  "a number of files, 1 or more", "keep so many older ones, FILE.1, FILE.2 ... (all)" },
	{ 0, "last", "TIME", GROUP_RECORD, TAKES_FILE, AT(last_s), option_set_seconds,
	  "seconds such as 60, or with a unit: 5m, 2h",
	  "flight recorder: hold the last TIME in memory, write it on SIGUSR2" },
	{ 0, "trigger-severity", "S", GROUP_RECORD, TAKES_FILE, AT(trigger), option_set_severity,
	  "info, warning or critical", "--last: also when a finding of `stuck` is as severe" },
	{ 0, "no-hostname", NULL, GROUP_RECORD, TAKES_FILE, AT(no_hostname), NULL, NULL,
	  "do not write this host's name into it" },

	{ 0, "mode", "MODE", GROUP_TRACER, TAKES_SOURCE, 0, option_set_mode, "auto, base or full",
	  "auto (default: full where the kernel allows), base or full" },
	{ 0, "accept-wait", NULL, GROUP_TRACER, TAKES_TRACE, AT(accept_wait), NULL, NULL,
	  "in base mode, also time accept(): every system call of the host then costs about "
	  "35 ns more" },
	{ 0, "stack", NULL, GROUP_TRACER, TAKES_STACK, AT(stack), NULL, NULL,
	  "the calls in the program that led to connect() or accept(), of sockets made from now "
	  "on (in base mode as dear as --accept-wait)" },
	{ 0, "no-snapshot", NULL, GROUP_TRACER, TAKES_TRACE, AT(no_snapshot), NULL, NULL,
	  "do not look at the sockets that are there already" },
	{ 0, "max-connections", "N", GROUP_TRACER, TAKES_TRACE, 0, option_set_connections,
	  "a number from 1 to 16777216", "follow at most so many at once (262144)" },
	{ 0, "buffer", "SIZE", GROUP_TRACER, TAKES_SOURCE, 0, option_set_buffer,
	  "a size from 64K to 1G", "the kernel's ring buffer, 64K to 1G" },
	{ 'v', "verbose", NULL, GROUP_TRACER, 0, AT(verbose), NULL, NULL,
	  "each hook, and what the tracer itself cost" },

	{ 'h', "help", NULL, GROUP_HELP, 0, 0, NULL, NULL, "this, or a COMMAND's" },
	{ 'V', "version", NULL, GROUP_HELP, 0, 0, NULL, NULL, "the version" },
};
const unsigned option_count = LENGTH(option_rows);
_Static_assert(LENGTH(option_rows) <= OPTION_ROWS_MAX, "struct parse has a slot for each row");

/* ---- messages ------------------------------------------------------------------ */

/* One line on stderr, hostile bytes made safe for a terminal. Returns the exit status. */
static __attribute__((format(printf, 1, 2))) int mistake(const char *fmt, ...)
{
	struct buf b = { 0 };
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	buf_str(&b, "tcptrail: ");
	buf_safe(&b, line, sizeof(line));
	buf_char(&b, '\n');
	fwrite(b.data, 1, b.len, stderr);
	buf_free(&b);
	return 2;
}

static const char *command_name_at(const void *ctx, unsigned i)
{
	const struct parse *p = ctx;

	return i < p->ncommands ? p->commands[i].name : NULL;
}

static const char *option_name_at(const void *ctx, unsigned i)
{
	return i < option_count ? option_rows[i].name : NULL;
}

static int mistake_command(const struct parse *p, const char *word)
{
	const char *near = options_nearest(word, command_name_at, p);
	char list[256];
	size_t at = 0;

	if (near)
		return mistake("unknown command '%s': did you mean '%s'?", word, near);
	for (unsigned i = 0; i < p->ncommands && at < sizeof(list); i++)
		at += (size_t)snprintf(list + at, sizeof(list) - at, "%s%s", i ? ", " : "",
				       p->commands[i].name);
	return mistake("unknown command '%s': expected one of %s, or a FILTER", word, list);
}

static int mistake_option(const char *typed, const char *name)
{
	const char *near = *name ? options_nearest(name, option_name_at, NULL) : NULL;

	if (near)
		return mistake("unknown option '%s': did you mean '--%s'?", typed, near);
	return mistake("unknown option '%s': 'tcptrail --help' lists them", typed);
}

/* ---- argv ---------------------------------------------------------------------- */

static const struct option_row *option_by_letter(char letter)
{
	for (unsigned i = 0; i < option_count; i++)
		if (option_rows[i].letter == letter && letter)
			return &option_rows[i];
	return NULL;
}

static const struct option_row *option_by_name(const char *name, size_t len)
{
	for (unsigned i = 0; i < option_count; i++)
		if (strlen(option_rows[i].name) == len && !strncmp(option_rows[i].name, name, len))
			return &option_rows[i];
	return NULL;
}

static int option_apply(struct parse *p, const struct option_row *row, const char *typed,
			const char *value)
{
	int err;

	if (row->letter == 'h') {
		p->help = true;
	} else if (row->letter == 'V') {
		p->version = true;
	} else if (!row->set) {
		*(bool *)((char *)p->o + row->offset) = true;
	} else {
		p->reason[0] = '\0';
		err = row->set(p, row, value);
		if (err == -ENOMEM)
			return mistake("out of memory");
		if (err)
			return mistake("%s: '%s'%s: expected %s", typed, value ? value : "",
				       p->reason, row->expected);
	}
	return 0;
}

/* A value stands behind '=' or in the next word. */
static int option_long(struct parse *p, char **argv, int argc, int *i, uint64_t *used)
{
	const char *name = argv[*i] + 2, *eq = strchr(name, '=');
	size_t len = eq ? (size_t)(eq - name) : strlen(name);
	const struct option_row *row = option_by_name(name, len);
	char typed[80];

	snprintf(typed, sizeof(typed), "--%.*s", (int)(len < 70 ? len : 70), name);
	if (!row)
		return mistake_option(typed, typed + 2);
	*used |= 1ULL << (row - option_rows);
	if (!row->arg && eq)
		return mistake("%s: '%s': expected no value", typed, eq + 1);
	if (row->arg && !eq && *i + 1 >= argc)
		return mistake("%s: expected %s", typed, row->expected);
	return option_apply(p, row, typed, !row->arg ? NULL : eq ? eq + 1 : argv[++*i]);
}

/* -Tw, -o json, -ojson */
static int option_short(struct parse *p, char **argv, int argc, int *i, uint64_t *used)
{
	const char *s = argv[*i] + 1;
	int err;

	for (; *s; s++) {
		const struct option_row *row = option_by_letter(*s);
		char typed[] = { '-', *s, '\0' };

		if (!row)
			return mistake_option(typed, "");
		*used |= 1ULL << (row - option_rows);
		if (!row->arg) {
			err = option_apply(p, row, typed, NULL);
			if (err)
				return err;
			continue;
		}
		if (!s[1] && *i + 1 >= argc)
			return mistake("%s: expected %s", typed, row->expected);
		return option_apply(p, row, typed, s[1] ? s + 1 : argv[++*i]);
	}
	return 0;
}

static const struct command *command_find(const struct parse *p, const char *name)
{
	for (unsigned i = 0; i < p->ncommands; i++)
		if (!strcmp(p->commands[i].name, name))
			return &p->commands[i];
	return NULL;
}

/* Sorts argv into options (applied) and FILTER words (kept in order in words[]). */
static int parse_argv(struct parse *p, int argc, char **argv, char **words, int *nwords,
		      uint64_t *used)
{
	bool first = true, only_words = false;
	int err = 0;

	for (int i = 1; i < argc && !err; i++) {
		char *arg = argv[i];

		if (!only_words && !strcmp(arg, "--")) {
			only_words = true;
		} else if (!only_words && arg[0] == '-' && arg[1] == '-') {
			err = option_long(p, argv, argc, &i, used);
		} else if (!only_words && arg[0] == '-' && arg[1]) {
			err = option_short(p, argv, argc, &i, used);
		} else {
			p->command = first ? command_find(p, arg) : p->command;
			if (first && !p->command && !filter_starts(arg))
				err = mistake_command(p, arg);
			if (!first || !p->command)
				words[(*nwords)++] = arg;
			first = false;
		}
	}
	return err;
}

/* ---- what only makes sense together -------------------------------------------- */

static int check_options(struct parse *p, uint64_t used)
{
	const struct command *c = p->command;
	char formats[40];
	const char *wrong;

	for (unsigned i = 0; i < option_count; i++) {
		unsigned needs = option_rows[i].needs;

		if (!(used & 1ULL << i) || (c->takes & needs) == needs)
			continue;
		return mistake("--%s: not an option of '%s': 'tcptrail %s --help' lists them",
			       option_rows[i].name, c->name, c->name);
	}
	wrong = option_check_record(p, used);
	if (wrong)
		return mistake("%s", wrong);
	if (!option_check_format(p) && p->o->only_findings && p->o->format != OUT_JSON)
		return mistake("--only-findings: expected with -o json or otlp-json");
	if (option_check_format(p)) {
		option_formats(c, formats, sizeof(formats));
		return mistake("--output: '%s': expected %s for '%s'", p->format, formats, c->name);
	}
	return 0;
}

static int parse_filter(struct parse *p, int nwords, char **words)
{
	struct filter_error err = { 0 };
	struct filter *f = NULL;
	int rc;

	if (nwords && !(p->command->takes & TAKES_TRACE))
		return mistake("%s: '%s': expected no FILTER", p->command->name, words[0]);
	rc = filter_parse_names(&f, nwords, words, &option_names, &err);
	if (rc && err.word >= 0)
		return mistake("filter word %d '%s': %s", err.word + 1, err.token, err.message);
	if (rc)
		return mistake("filter: %s, but it ends there", err.message);
	for (unsigned i = 0; i < option_count; i++) {
		struct filter *letter = p->letters[i];

		p->letters[i] = NULL;
		if (letter && !(f = filter_and(letter, f)))
			return mistake("out of memory");
	}
	p->o->filter = f;
	if (!(p->command->takes & (TAKES_ENDS | TAKES_SERVE)) && filter_asks_verdict(f))
		return mistake("filter: a verdict is known at a connection's end: expected with "
			       "watch, conns or timeline");
	return 0;
}

static int take_file(struct parse *p, const char *word)
{
	const char *wrong;

	p->o->record = word;
	if (!word)
		return mistake("%s: expected a FILE, or - for stdout", p->command->name);
	wrong = option_check_file(p);
	return wrong ? mistake("%s", wrong) : 0;
}

static bool decide_color(enum color_mode mode)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	if (mode != COLOR_AUTO)
		return mode == COLOR_ALWAYS;
	if ((no_color && *no_color) || (term && !strcmp(term, "dumb")))
		return false;
	return isatty(STDOUT_FILENO);
}

int options_parse(struct options *o, const struct command *commands, unsigned ncommands,
		  const struct command *fallback, int argc, char **argv)
{
	struct parse p = { .o = o, .commands = commands, .ncommands = ncommands };
	char **words = calloc((size_t)argc + 1, sizeof(*words));
	uint64_t used = 0;
	int nwords = 0, file, rc;

	memset(o, 0, sizeof(*o));
	if (!words)
		return mistake("out of memory");
	rc = parse_argv(&p, argc, argv, words, &nwords, &used);
	if (rc)
		goto out;
	if (p.version || (p.help && !p.command)) {
		if (p.version)
			puts("tcptrail " TCPTRAIL_VERSION VERSION_NOTE);
		else
			options_help(commands, ncommands);
		rc = 1;
		goto out;
	}
	if (p.help) {
		options_help_command(p.command);
		rc = 1;
		goto out;
	}
	if (!p.command)
		p.command = fallback;
	o->command = p.command;
	o->color = decide_color(p.color);
	rc = check_options(&p, used);
	file = !rc && nwords && p.command->takes & TAKES_FILE;
	if (!rc && p.command->takes & TAKES_FILE)
		rc = take_file(&p, file ? words[0] : NULL);
	if (!rc)
		rc = parse_filter(&p, nwords - file, words + file);
out:
	for (unsigned i = 0; i < option_count; i++)
		filter_free(p.letters[i]);
	free(words);
	return rc;
}

void options_free(struct options *o)
{
	filter_free(o->filter);
	o->filter = NULL;
}
