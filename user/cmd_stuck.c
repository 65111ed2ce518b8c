/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tcptrail stuck`: what hangs now, since when, whose it is, why, and what to do.
 *
 * A session with the view of output/stuck_view.c; --explain needs no session at all.
 * Options that make no sense together are a mistake, one line, exit 2: what closes
 * connections must not guess what was meant.
 */
#include <cap-ng.h>
#include <stdio.h>

#include "commands.h"
#include "core/write/buf.h"
#include "core/stuck/diagnose.h"
#include "output/stuck.h"
#include "session.h"

const char cmd_stuck_help[] =
	"Counts per state, then what hangs, grouped by process, kind and service, worst\n"
	"first: how many, since when (>, at least: an age from the kernel's own stamps of\n"
	"a socket older than the tracer), why, and what to do. --list: a row a socket.\n"
	"-p, -u, --comm, --cgroup ask for any process that holds the socket. -d SECONDS\n"
	"traces so long before it reports. --check exits 1 when something is stuck.\n";

static int mistake(const char *what)
{
	fprintf(stderr, "tcptrail: %s\n", what);
	return 2;
}

static const char *contradiction(const struct options *o)
{
	const struct stuck_options *s = &o->stuck;

	if (s->yes && !s->kill)
		return "--yes: expected together with --kill";
	if (s->max && !s->kill)
		return "--max: expected together with --kill";
	if ((s->warn || s->critical) && !s->check)
		return "--warn, --critical: expected together with --check";
	if (s->check && s->warn && s->critical && s->critical < s->warn)
		return "--critical: expected a number not below --warn";
	if (s->kill && (s->check || s->watch || s->list || s->all))
		return "--kill: expected without --check, --watch, --list and --all";
	if (s->check && (s->watch || s->list || s->all))
		return "--check: expected without --watch, --list and --all";
	if ((s->kill || s->check) && o->wall_clock)
		return "--time: expected without --kill and --check";
	if ((s->kill || s->check) && o->format != OUT_TEXT)
		return "--output: expected text with --kill and --check";
	if (o->stack && !s->watch && o->duration_s <= 0)
		return "--stack: expected together with --watch or --duration: a stack is seen "
		       "when a socket is made";
	if (o->interval_s > 0 && !s->watch)
		return "--interval: expected together with --watch";
	return NULL;
}

static int explain(unsigned kind)
{
	struct buf b = {0};
	unsigned first = kind == FIND_KINDS ? FIND_NONE + 1 : kind;
	unsigned last = kind == FIND_KINDS ? FIND_KINDS - 1 : kind;

	for (unsigned k = first; k <= last; k++) {
		if (k > first)
			buf_char(&b, '\n');
		finding_explain(&b, k);
	}
	if (!b.failed)
		fwrite(b.data, 1, b.len, stdout);
	buf_free(&b);
	return b.failed ? 2 : 0;
}

int cmd_stuck(const struct options *o)
{
	const char *wrong = contradiction(o);
	struct view view;

	if (wrong)
		return mistake(wrong);
	if (o->stuck.explain)
		return explain(o->stuck.explain);
	if (o->stuck.kill && o->stuck.yes) {
		capng_get_caps_process();
		if (!capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_ADMIN))
			return mistake("--kill --yes: needs CAP_NET_ADMIN (run as root)");
	}
	stuck_view_for(o, &view);
	return session_run(o, &view);
}
