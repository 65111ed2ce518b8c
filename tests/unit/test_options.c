/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line: what each option stores, which commands take it, and that a
 * mistake changes nothing but stderr. options*.c are not of the core's archive, so
 * they are compiled into this program; what they print goes to a pipe that is read
 * back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "../../user/options.c"
#include "../../user/options_help.c"
#include "../../user/options_record.c"
#include "../../user/options_stuck.c"
#include "../../user/options_value.c"
#include "event.h"

enum { MAX_ARGS = 16, SAID = 8192 };

static int run_nothing(const struct options *o)
{
	return 0;
}

static const struct command commands[] = {
	{ .name = "watch", .summary = "w", .usage = "[FILTER]", .formats = 3, .run = run_nothing,
	  .takes = TAKES_SOURCE | TAKES_TRACE | TAKES_COUNT | TAKES_ENDS | TAKES_TIMES },
	{ .name = "conns", .summary = "c", .usage = "[FILTER]", .formats = 7, .run = run_nothing,
	  .takes = TAKES_SOURCE | TAKES_TRACE | TAKES_COUNT | TAKES_ENDS | TAKES_TIMES },
	{ .name = "states", .summary = "s", .usage = "[FILTER]", .formats = 3, .run = run_nothing,
	  .takes = TAKES_SOURCE | TAKES_TRACE | TAKES_COUNT | TAKES_INTERVAL },
	{ .name = "doctor", .summary = "d", .usage = "[FILTER]", .formats = 3, .run = run_nothing,
	  .takes = TAKES_SOURCE },
};

/* Runs options_parse() over a line of words; `fd` is caught into said[]. */
static int parse_line(struct options *o, const char *line, int fd, char said[SAID])
{
	char copy[1024], *argv[MAX_ARGS] = { "tcptrail" }, *save = NULL;
	int argc = 1, rc, saved = dup(fd);
	FILE *out = tmpfile();
	size_t n;

	assert_non_null(out);
	assert_true(strlen(line) < sizeof(copy));
	strcpy(copy, line);
	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		assert_true(argc < MAX_ARGS);
		argv[argc++] = w;
	}
	fflush(NULL);
	dup2(fileno(out), fd);
	rc = options_parse(o, commands, LENGTH(commands), &commands[0], argc, argv);
	fflush(NULL);
	dup2(saved, fd);
	close(saved);
	rewind(out);
	n = fread(said, 1, SAID - 1, out);
	said[n] = '\0';
	fclose(out);
	return rc;
}

static void parsed(struct options *o, const char *line)
{
	char said[SAID];
	int rc = parse_line(o, line, STDERR_FILENO, said);

	if (rc || *said)
		fail_msg("'%s': %d, %s", line, rc, said);
}

static void test_defaults(void **state)
{
	struct options o;

	parsed(&o, "");
	assert_string_equal(o.command->name, "watch");
	assert_int_equal(o.format, OUT_TEXT);
	assert_int_equal(o.mode, MODE_AUTO);
	assert_true(o.duration_s == 0 && o.interval_s == 0 && !o.count && !o.buffer_bytes);
	assert_false(o.wide || o.resolve || o.verbose || o.open || o.until_reaped ||
		     o.accept_wait || o.no_snapshot || o.wall_clock);
	assert_null(o.filter);
	options_free(&o);
}

static void test_every_option(void **state)
{
	struct options o;

	parsed(&o, "conns -o csv -Tw -r -v --open --until reaped --mode base --accept-wait");
	assert_string_equal(o.command->name, "conns");
	assert_int_equal(o.format, OUT_CSV);
	assert_int_equal(o.mode, MODE_BASE);
	assert_true(o.wall_clock && o.wide && o.resolve && o.verbose && o.open &&
		    o.until_reaped && o.accept_wait);
	options_free(&o);
	parsed(&o, "--no-snapshot -ojson --mode=full -d2 -c 7 --max-connections=1000 -rn");
	assert_true(o.no_snapshot && o.duration_s == 2);
	assert_false(o.resolve); /* the last one holds */
	assert_int_equal(o.format, OUT_JSON);
	assert_int_equal(o.mode, MODE_FULL);
	assert_int_equal(o.count, 7);
	assert_int_equal(o.max_connections, 1000);
	options_free(&o);
	parsed(&o, "-o json states --interval .5 -d 1.5m");
	assert_string_equal(o.command->name, "states");
	assert_true(o.interval_s == 0.5 && o.duration_s == 90);
	options_free(&o);
}

static void test_buffer_is_a_power_of_two(void **state)
{
	static const struct {
		const char *line;
		uint64_t bytes;
	} cases[] = {
		{ "--buffer 64K", 64 << 10 },  { "--buffer 65536", 64 << 10 },
		{ "--buffer 65537", 128 << 10 }, { "--buffer 3m", 4 << 20 },
		{ "--buffer 16MiB", 16 << 20 }, { "--buffer 1G", 1 << 30 },
		{ "--buffer 1023M", 1 << 30 },
	};
	struct options o;

	for (size_t i = 0; i < LENGTH(cases); i++) {
		parsed(&o, cases[i].line);
		assert_int_equal(o.buffer_bytes, cases[i].bytes);
		options_free(&o);
	}
}

static void test_color(void **state)
{
	struct options o;

	unsetenv("NO_COLOR");
	parsed(&o, "--color always");
	assert_true(o.color);
	setenv("NO_COLOR", "1", 1);
	parsed(&o, "--color always"); /* what is typed is stronger */
	assert_true(o.color);
	parsed(&o, "--color auto");
	assert_false(o.color);
	parsed(&o, "--color never");
	assert_false(o.color);
	unsetenv("NO_COLOR");
}

/* Does the filter of this command line let a connection through? */
static bool lets_through(const char *line, uint32_t pid, uint16_t lport, uint16_t pport, bool v6)
{
	struct event_task task = { .pid = pid, .tid = pid, .uid = 1000, .comm = "curl" };
	struct proctab *procs = proctab_new(4);
	struct conn c = { .lport = lport, .pport = pport, .netns = 5, .state = ST_ESTABLISHED };
	struct filter_subject s = { &c, procs, NULL, 0, NULL };
	struct options o;
	bool yes;

	if (!v6)
		c.local[10] = c.local[11] = c.peer[10] = c.peer[11] = 255;
	c.owner = proc_intern(procs, &task, false);
	parsed(&o, line);
	yes = filter_match(o.filter, &s) == FILTER_YES;
	options_free(&o);
	proctab_free(procs);
	return yes;
}

static void test_letters_make_the_filter(void **state)
{
	assert_true(lets_through("-p 812", 812, 1, 2, false));
	assert_false(lets_through("-p 813", 812, 1, 2, false));
	assert_true(lets_through("-p 1 -p 812", 812, 1, 2, false)); /* either */
	assert_true(lets_through("-u 1000 --comm curl", 812, 1, 2, false));
	assert_false(lets_through("-u 0", 812, 1, 2, false));
	assert_false(lets_through("-u root", 812, 1, 2, false));
	assert_true(lets_through("-4", 812, 1, 2, false));
	assert_false(lets_through("-6", 812, 1, 2, false));
	assert_true(lets_through("-46", 812, 1, 2, true));
	assert_true(lets_through("-L 80,443,8000-8010", 812, 8005, 2, false));
	assert_false(lets_through("-D 80,443,8000-8010", 812, 8005, 2, false));
	assert_true(lets_through("-P 80,443,8000-8010", 812, 8005, 2, false));
	assert_false(lets_through("-L 80 -D 81", 812, 80, 2, false)); /* both */
	assert_true(lets_through("--netns 5", 812, 1, 2, false));
	assert_false(lets_through("--netns /proc/self/ns/net", 812, 1, 2, false));
	assert_true(lets_through("conns -p 812 dport = 443 or dport = 80", 812, 1, 80, false));
	assert_false(lets_through("conns -p 1 dport = 443 or dport = 80", 812, 1, 80, false));
	assert_true(lets_through("dport = 443 -o json or dport = 80", 812, 1, 80, false));
	assert_true(lets_through("dport=80", 812, 1, 80, false)); /* no command */
	assert_true(lets_through("-- dport = 80", 812, 1, 80, false));
}

static void test_netns_path_is_an_inode(void **state)
{
	struct kernel_filter k;
	struct options o;
	struct stat st;

	assert_int_equal(stat("/proc/self/ns/net", &st), 0);
	parsed(&o, "--netns /proc/self/ns/net");
	filter_kernel_part(o.filter, &k);
	assert_int_equal(k.netns, st.st_ino);
	options_free(&o);
}

static const struct {
	const char *line, *says;
} mistakes[] = {
	{ "--colour always", "unknown option '--colour': did you mean '--color'?" },
	{ "--outptu json", "did you mean '--output'?" },
	{ "--xyzzy", "unknown option '--xyzzy': 'tcptrail --help'" },
	{ "-Z", "unknown option '-Z'" },
	{ "-TZ", "unknown option '-Z'" },
	{ "conn", "unknown command 'conn': did you mean 'conns'?" },
	{ "stats", "unknown command 'stats': did you mean 'states'?" },
	{ "xyzzy", "unknown command 'xyzzy': expected one of watch, conns" },
	{ "-o", "-o: expected text, json, otlp-json or csv" },
	{ "-o xml", "--output: 'xml': expected text, json or otlp-json for 'watch'" },
	{ "-o csv", "--output: 'csv': expected text, json or otlp-json for 'watch'" },
	{ "conns -o yaml", "'yaml': expected text, json, otlp-json or csv for 'conns'" },
	{ "-p 0", "-p: '0': expected a process id" },
	{ "-p -5", "-p: '-5': expected" },
	{ "-p 12x", "-p: '12x': expected" },
	{ "-p 99999999999999999999", "expected a process id" },
	{ "-u nosuchuser", "-u: 'nosuchuser': expected a user" },
	{ "-P 65536", "-P: '65536': expected ports 0-65535" },
	{ "--port=1-", "--port: '1-': expected ports" },
	{ "-L 9-1", "-L: '9-1': expected ports" },
	{ "-D ,", "-D: ',': expected ports" },
	{ "-d 0", "-d: '0': expected seconds" },
	{ "-d -1", "-d: '-1': expected seconds" },
	{ "-d 5x", "-d: '5x': expected seconds" },
	{ "-d 0x10", "expected seconds" },
	{ "-d nan", "expected seconds" },
	{ "-d inf", "expected seconds" },
	{ "-d 1e99", "expected seconds" },
	{ "-d", "-d: expected seconds" },
	{ "-c 0", "-c: '0': expected a number of records" },
	{ "-c 1.5", "-c: '1.5'" },
	{ "--buffer 63K", "--buffer: '63K': expected a size from 64K to 1G" },
	{ "--buffer 2G", "--buffer: '2G'" },
	{ "--buffer 64Q", "--buffer: '64Q'" },
	{ "--buffer 18446744073709551616G", "expected a size" },
	{ "--max-connections 0", "expected a number from 1" },
	{ "--max-connections 16777217", "expected a number from 1" },
	{ "--mode fast", "--mode: 'fast': expected auto, base or full" },
	{ "--color maybe", "--color: 'maybe': expected auto, always or never" },
	{ "--until closed", "--until: 'closed': expected reaped" },
	{ "--open=1", "--open: '1': expected no value" },
	{ "--netns /nonexistent", "--netns: '/nonexistent' (No such file or directory)" },
	{ "--netns /etc/passwd", "--netns: '/etc/passwd': expected a network namespace" },
	{ "--netns 0", "--netns: '0'" },
	{ "--cgroup /no/such/cgroup", "--cgroup: '/no/such/cgroup': expected a cgroup" },
	{ "states --until reaped", "--until: not an option of 'states'" },
	{ "--interval 1", "--interval: not an option of 'watch'" },
	{ "doctor -p 1", "--pid: not an option of 'doctor'" },
	{ "doctor dport = 80", "doctor: 'dport': expected no FILTER" },
	{ "conns dport = htps", "filter word 3 'htps': expected a port number 0-65535" },
	{ "conns state closewait", "filter word 2 'closewait': expected a state" },
	{ "conns dport =", "filter: expected a port number 0-65535 or a service after 'dport ='" },
	{ "conns conns", "filter word 1 'conns': expected a condition" },
	{ "state", "filter: expected a state after 'state'" },
};

static void test_mistakes(void **state)
{
	struct options o;
	char said[SAID];

	for (size_t i = 0; i < LENGTH(mistakes); i++) {
		int rc = parse_line(&o, mistakes[i].line, STDERR_FILENO, said);

		if (rc != 2 || strncmp(said, "tcptrail: ", 10) || !strstr(said, mistakes[i].says) ||
		    strchr(said, '\n') != said + strlen(said) - 1)
			fail_msg("'%s': %d, %s", mistakes[i].line, rc, said);
		assert_null(o.filter);
		options_free(&o);
	}
}

/* A terminal must not obey what somebody typed or pasted. */
static void test_mistakes_are_safe_for_a_terminal(void **state)
{
	struct options o;
	char said[SAID];

	assert_int_equal(parse_line(&o, "\x1b[31mred\n\x07", STDERR_FILENO, said), 2);
	assert_null(strchr(said, '\x1b'));
	assert_non_null(strstr(said, "\\x1b[31mred"));
	assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
}

static void check_help(const char *line)
{
	struct options o;
	char said[SAID], *save = NULL;

	assert_int_equal(parse_line(&o, line, STDOUT_FILENO, said), 1);
	assert_in_range(strlen(said), 100, SAID - 2);
	for (char *l = strtok_r(said, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		if (strlen(l) > 80 || l[strlen(l) - 1] == ' ')
			fail_msg("%s: '%s'", line, l);
}

static void test_help_fits_80_columns(void **state)
{
	check_help("--help");
	check_help("-h");
	check_help("conns --help");
	check_help("--help states");
	check_help("doctor -h");
}

/* --help of a command lists what it takes and nothing else; the whole one lists all. */
/* A whole option, not the beginning of a longer one. */
static bool says_option(const char *said, const char *name)
{
	size_t n = strlen(name);

	while ((said = strstr(said, name))) {
		if (!strchr("abcdefghijklmnopqrstuvwxyz-0123456789", said[n]) || !said[n])
			return true;
		said += n;
	}
	return false;
}

static void test_help_tells_what_is_taken(void **state)
{
	char said[SAID], name[40];
	struct options o;

	for (unsigned c = 0; c <= LENGTH(commands); c++) {
		const struct command *cmd = c < LENGTH(commands) ? &commands[c] : NULL;
		char line[40];

		snprintf(line, sizeof(line), "%s --help", cmd ? cmd->name : "");
		assert_int_equal(parse_line(&o, line, STDOUT_FILENO, said), 1);
		for (unsigned i = 0; i < option_count; i++) {
			unsigned needs = option_rows[i].needs;
			bool takes = !cmd || (cmd->takes & needs) == needs;

			snprintf(name, sizeof(name), " --%s", option_rows[i].name);
			if (says_option(said, name) != takes)
				fail_msg("%s: %s", line, name);
		}
	}
}

static void test_version(void **state)
{
	struct options o;
	char said[SAID];

	assert_int_equal(parse_line(&o, "--version", STDOUT_FILENO, said), 1);
	assert_string_equal(said, "tcptrail " TCPTRAIL_VERSION "\n");
	assert_int_equal(parse_line(&o, "-V", STDOUT_FILENO, said), 1);
}

/* No two rows share a letter or a name, and each fits its messages. */
static void test_rows_are_distinct(void **state)
{
	for (unsigned i = 0; i < option_count; i++) {
		const struct option_row *a = &option_rows[i];

		assert_true(!a->arg || (a->set && a->expected));
		for (unsigned j = i + 1; j < option_count; j++) {
			assert_string_not_equal(a->name, option_rows[j].name);
			assert_true(!a->letter || a->letter != option_rows[j].letter);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_every_option),
		cmocka_unit_test(test_buffer_is_a_power_of_two),
		cmocka_unit_test(test_color),
		cmocka_unit_test(test_letters_make_the_filter),
		cmocka_unit_test(test_netns_path_is_an_inode),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_mistakes_are_safe_for_a_terminal),
		cmocka_unit_test(test_help_fits_80_columns),
		cmocka_unit_test(test_help_tells_what_is_taken),
		cmocka_unit_test(test_version),
		cmocka_unit_test(test_rows_are_distinct),
	};

	return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
