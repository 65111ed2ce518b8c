/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine alone on a synthetic stream: decode -> table -> timeline, no kernel
 * and no output. Each connection is both of its ends on one host, nine events.
 *
 *   engine CONNECTIONS OPEN [steps]    speed, with OPEN others standing by
 *   engine hour CONNECTIONS            so many, spread over an hour of its time
 *   engine record CONNECTIONS FILE     the stream as a recording
 *
 * Prints a JSON line. "rss" is what the process holds (bytes), "rss_most" the most it ever held,
 * "bytes_per_open" what the table says of itself.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "pipeline/pipeline.h"
#include "stream/recording.h"
#include "source/zframe.h"
#include "stream.h"

enum { MOST_CONNECTIONS = 4000000, HOUR_S = 3600, MILLION = 1000000 };

static unsigned long ended;

static void on_end(void *view, const struct conn *c, const struct verdict *v)
{
	ended++;
}

static const struct view_ops counts_ends = {.conn_end = on_end};

static struct pipeline *engine_new(bool steps)
{
	struct pipeline_config cfg = {.max_connections = MOST_CONNECTIONS, .want_steps = steps};

	return pipeline_new(&cfg, &counts_ends, NULL);
}

static unsigned long long lost(const struct pipeline *p)
{
	return pipeline_stats(p)->lost[LOSS_TABLE_FULL];
}

/* Processor time: what else the machine does is not counted. */
static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static unsigned long long rss(void)
{
	unsigned long long size, pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (f) {
		if (fscanf(f, "%llu %llu", &size, &pages) != 2)
			pages = 0;
		fclose(f);
	}
	return pages * (unsigned long long)sysconf(_SC_PAGESIZE);
}

static unsigned long long rss_most(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return 1024ull * (unsigned long long)u.ru_maxrss;
}

/* ---- speed ------------------------------------------------------------------------- */

static void event_of(struct event *e, uint64_t n, unsigned i)
{
	stream_event(e, n, i, n * 10000 + i * 1000ull);
}

static void run(struct pipeline *p, uint64_t from, uint64_t to, unsigned events)
{
	struct event e;

	for (uint64_t n = from; n < to; n++)
		for (unsigned i = 0; i < events; i++) {
			event_of(&e, n, i);
			pipeline_feed(p, &e, sizeof(e));
		}
}

/* What making the events costs. */
static void make_only(uint64_t from, uint64_t to)
{
	struct event e;

	for (uint64_t n = from; n < to; n++)
		for (unsigned i = 0; i < STREAM_EVENTS; i++) {
			event_of(&e, n, i);
			__asm__ volatile("" : : "r"(&e) : "memory");
		}
}

static int speed(uint64_t count, uint64_t open, bool steps)
{
	struct pipeline *p = engine_new(steps);
	unsigned long long held;
	double t0, t1, took;

	if (!p)
		return 2;
	run(p, 0, open, STREAM_OPEN);
	held = rss();
	t0 = now_s();
	run(p, open, open + count, STREAM_EVENTS);
	t1 = now_s();
	make_only(open, open + count);
	took = (t1 - t0) - (now_s() - t1);
	printf("{\"events_per_s\":%.0f,\"connections_per_s\":%.0f,\"ns_per_event\":%.1f,"
	       "\"open\":%u,\"bytes_per_open\":%.0f,\"rss\":%llu,\"rss_most\":%llu,"
	       "\"ended\":%lu,\"events_lost\":%llu}\n",
	       STREAM_EVENTS * (double)count / took, (double)count / took,
	       took * 1e9 / (STREAM_EVENTS * (double)count), conntab_count(pipeline_conns(p)),
	       open ? (double)conntab_bytes(pipeline_conns(p)) / (2.0 * (double)open) : 0.0, held,
	       rss_most(), ended, lost(p));
	pipeline_free(p);
	return 0;
}

/* ---- an hour ----------------------------------------------------------------------- */

/* A connection begins every `gap` ns and does something every tenth of a second. */
static int hour(uint64_t count)
{
	const uint64_t gap_ns = HOUR_S * 1000000000ull / count;
	const uint64_t apart = 100000000 / gap_ns + 1, last = count + apart * STREAM_EVENTS;
	struct pipeline *p = engine_new(true);
	uint32_t most_open = 0;
	double t0 = now_s();
	struct event e;

	if (!p)
		return 2;
	printf("{\"rss\":[");
	for (uint64_t n = 0; n < last; n++) {
		for (unsigned i = 0; i < STREAM_EVENTS; i++) {
			uint64_t which = n - i * apart;

			if (n < i * apart || which >= count)
				continue;
			stream_event(&e, which, i, n * gap_ns + i);
			pipeline_feed(p, &e, sizeof(e));
		}
		if (conntab_count(pipeline_conns(p)) > most_open)
			most_open = conntab_count(pipeline_conns(p));
		if (n % MILLION == MILLION - 1 && n < count)
			printf("%s%llu", n > MILLION ? "," : "", rss());
	}
	printf("],\"rss_most\":%llu,\"connections\":%llu,\"most_open\":%u,\"left_open\":%u,"
	       "\"cpu_s\":%.1f,\"virtual_s\":%.0f,\"ended\":%lu,\"events_lost\":%llu}\n",
	       rss_most(), (unsigned long long)count, most_open,
	       conntab_count(pipeline_conns(p)), now_s() - t0, (double)(last * gap_ns) / 1e9,
	       ended, lost(p));
	pipeline_free(p);
	return 0;
}

/* ---- a recording ------------------------------------------------------------------- */

static int put_frame(FILE *f, struct zframe *z, struct buf *plain)
{
	struct buf packed = {0};
	int err = plain->failed ? -ENOMEM
				: zframe_pack(z, &packed, plain->data, (uint32_t)plain->len);

	if (!err && fwrite(packed.data, 1, packed.len, f) != packed.len)
		err = -EIO;
	buf_free(&packed);
	plain->len = 0;
	return err;
}

static int put_stream(FILE *f, struct zframe *z, uint64_t count)
{
	const struct rec_begin begin = {.clock_offset_ns = 1700000000000000000};
	struct event e = {.kind = EV_CLOCK};
	struct recording_head head;
	struct buf plain = {0};
	int err = 0;

	recording_head_fill(&head);
	if (fwrite(&head, sizeof(head), 1, f) != 1)
		return -EIO;
	e.extra.clock.offset_ns = (uint64_t)begin.clock_offset_ns;
	record_put(&plain, REC_META, NULL, 0, "command=record\n", sizeof("command=record\n"));
	record_put(&plain, REC_BEGIN, &begin, sizeof(begin), NULL, 0);
	record_put(&plain, REC_EVENT, &e, sizeof(e), NULL, 0);
	for (uint64_t n = 0; n < count && !err; n++) {
		for (unsigned i = 0; i < STREAM_EVENTS; i++) {
			event_of(&e, n, i);
			record_put(&plain, REC_EVENT, &e, sizeof(e), NULL, 0);
		}
		if (plain.len >= RECORDING_PLAIN)
			err = put_frame(f, z, &plain);
	}
	record_put_u64(&plain, REC_FINISH, count * 10000);
	record_put_u64(&plain, REC_CLOSED, 0);
	if (!err)
		err = put_frame(f, z, &plain);
	buf_free(&plain);
	return err;
}

static int record(const char *path, uint64_t count)
{
	FILE *f = fopen(path, "wb");
	struct zframe *z = zframe_new();
	int err = f && z ? put_stream(f, z, count) : -ENOMEM;

	zframe_free(z);
	if (f && fclose(f))
		err = -EIO;
	printf("{\"events\":%llu,\"error\":%d}\n", (unsigned long long)(count * STREAM_EVENTS),
	       err);
	return err ? 2 : 0;
}

int main(int argc, char **argv)
{
	uint64_t n = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;

	if (argc == 3 && !strcmp(argv[1], "hour") && n >= MILLION)
		return hour(n);
	if (argc == 4 && !strcmp(argv[1], "record"))
		return record(argv[3], n);
	if (argc == 3 || (argc == 4 && !strcmp(argv[3], "steps")))
		return speed(strtoull(argv[1], NULL, 10), n, argc > 3);
	fprintf(stderr, "usage: engine CONNECTIONS OPEN [steps] | hour CONNECTIONS (a million or "
			"more) | record CONNECTIONS FILE\n");
	return 2;
}
