/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tcptrail record`: the stream to a file, and nothing on the screen.
 *
 * A session whose view shows nothing and asks for everything: drops, children in
 * SYN_RECV, every namespace's sockets, limits. It looks at the sockets again from
 * time to time, so that a recording that is read from the middle of the night knows
 * what was open, and with --last it may find its own reason to write.
 */
#include <stdio.h>
#include <stdlib.h>

#include "commands.h"
#include "core/stuck/stuck.h"
#include "recorder.h"
#include "session.h"

const char cmd_record_help[] =
	"FILE is read by any command's --from, on any machine; - is stdout, as in\n"
	"ssh HOST tcptrail record - | tcptrail --from -\n"
	"It is compressed, and what is in it when the machine dies can be read up to there.\n"
	"--interval: how often to look at all sockets again (60 s; a quarter of --last).\n"
	"With --last, SIGUSR2 writes FILE; the one that was written before is then FILE.1.\n"
	"--from with --until reaped wants a recording that was made with it.\n";

enum { SNAPSHOT_S = 60 };

struct record_view {
	struct session *s;
	struct stuck_report report;
	bool found;            /* at the last look */
};

static void *record_open(struct session *s)
{
	struct record_view *v = calloc(1, sizeof(*v));

	if (v)
		v->s = s;
	return v;
}

static void record_close(void *view)
{
	struct record_view *v = view;

	stuck_free(&v->report);
	free(v);
}

/* After each snapshot: has something begun to hang? Once for each time that it begins. */
static void record_look(void *view)
{
	struct record_view *v = view;
	const struct stuck_query all = { .min_age_ns = -1 };
	bool found = false;

	if (!v->s->o->trigger || stuck_collect(&v->report, v->s->p, &all))
		return;
	for (unsigned s = v->s->o->trigger; s < SEV_COUNT; s++)
		found |= v->report.by_severity[s] > 0;
	if (found && !v->found)
		session_keep(v->s, "a finding of `stuck`");
	v->found = found;
}

static const struct view_ops ops;

int cmd_record(const struct options *o)
{
	double quarter = o->last_s / 4;
	const struct view view = {
		.ops = &ops,
		.open = record_open,
		.interval = record_look,
		.close = record_close,
		.interval_s = quarter > 0 && quarter < SNAPSHOT_S ? quarter : SNAPSHOT_S,
		.child_syn_recv = true,
		.segments = true,
		.whole_host = true,
		.resnapshot = true,
		.only_records = true,
	};

	return session_run(o, &view);
}
