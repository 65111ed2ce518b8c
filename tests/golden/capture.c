/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Captures what the live source feeds as event text, for golden timelines:
 *
 *   capture PORT [SECONDS] > tests/golden/NAME.events
 *
 * Only events of that port are printed, with times from 0 and pids, uids and
 * cgroups as they were; the pipeline behind runs for real, so lookups are asked
 * for and answered as they would be.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/write/buf.h"
#include "core/stream/event_text.h"
#include "core/pipeline/pipeline.h"
#include "source/source.h"

int __real_pipeline_feed(struct pipeline *p, const void *data, uint32_t size);
int __wrap_pipeline_feed(struct pipeline *p, const void *data, uint32_t size);

static uint16_t only_port;
static uint64_t start_ns;

static bool wanted(const struct event *e)
{
	if (e->kind == EV_SNAPSHOT_BEGIN || e->kind == EV_SNAPSHOT_END)
		return true;
	return e->lport == only_port || e->pport == only_port;
}

int __wrap_pipeline_feed(struct pipeline *p, const void *data, uint32_t size)
{
	struct event e;
	struct buf b = {0};

	memcpy(&e, data, sizeof(e));
	if (!start_ns)
		start_ns = e.ts_ns - 1000000000;
	if (wanted(&e)) {
		e.ts_ns -= start_ns;
		event_text_write(&b, &e);
		fwrite(b.data, 1, b.len, stdout);
		fflush(stdout);
		buf_free(&b);
	}
	return __real_pipeline_feed(p, data, size);
}

int main(int argc, char **argv)
{
	static const struct view_ops nothing;
	struct pipeline_config cfg = {.want_steps = true, .until_reaped = argc > 3};
	struct source_config scfg = {.snapshot = true, .child_syn_recv = true, .segments = true};
	struct source *s;
	struct pipeline *p;
	char msg[512];
	time_t end;

	if (argc < 2) {
		fprintf(stderr, "usage: capture PORT [SECONDS [reaped]]\n");
		return 2;
	}
	only_port = (uint16_t)atoi(argv[1]);
	p = pipeline_new(&cfg, &nothing, NULL);
	if (!p || source_live_open(&s, &scfg, msg, sizeof(msg))) {
		fprintf(stderr, "capture: %s\n", p ? msg : "out of memory");
		return 2;
	}
	if (argc > 3)
		printf("#until reaped\n");
	fprintf(stderr, "tcptrail: tracing\n");
	end = time(NULL) + (argc > 2 ? atoi(argv[2]) : 5);
	if (s->ops->snapshot)
		s->ops->snapshot(s, p);
	while (time(NULL) < end)
		s->ops->poll(s, p, 50);
	s->ops->close(s);
	pipeline_free(p);
	return 0;
}
