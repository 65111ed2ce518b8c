/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The recorder: taps a pipeline, fills frames, packs them, and hands them on.
 *
 * Always: a frame is closed when it is full and, by recorder_round(), when its first
 * record is a second old; each file begins with all that is needed to read it alone.
 * Never: changes the pipeline, or makes it wait.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/pipeline/pipeline.h"
#include "core/stream/recording.h"
#include "output/sink.h"
#include "recorder_impl.h"
#include "source/zframe.h"

static const uint64_t frame_age_ns = 1000000000;

/* ---- frames --------------------------------------------------------------------- */

static const char *name_of(const struct recorder *r)
{
	return strcmp(r->cfg.path, "-") ? r->cfg.path : "stdout";
}

static void recorder_fail(struct recorder *r, int err)
{
	bool reader_gone = err == -EPIPE && !strcmp(r->cfg.path, "-");

	if (!r->error && !reader_gone)
		fprintf(stderr, "tcptrail: %s: %s: the recording ends here\n", name_of(r),
			strerror(-err));
	r->error = err;
}

/* Packs `plain` and hands it to the file or the ring. false: it is not in there. */
static bool put_frame(struct recorder *r, const struct buf *plain, uint32_t events, bool to_ring)
{
	int err;

	r->packed.len = 0;
	err = plain->failed ? -ENOMEM
			    : zframe_pack(r->z, &r->packed, plain->data, (uint32_t)plain->len);
	if (err) {
		recorder_fail(r, err);
		return false;
	}
	if (to_ring)
		return recorder_ring_put(r);
	if (!recorder_file_put(&r->file, &r->packed, events))
		return false;
	r->bytes += r->packed.len;
	return true;
}

static void put_gap(struct recorder *r)
{
	const uint64_t gap[2] = {r->now_ns, r->gap};

	if (r->gap)
		record_put(&r->plain, REC_GAP, gap, sizeof(gap), NULL, 0);
}

static void close_frame(struct recorder *r)
{
	if (!r->in_plain || r->error)
		return;
	put_gap(r);
	if (put_frame(r, &r->plain, r->plain_events, r->cfg.last_ns != 0)) {
		r->gap = 0;
	} else {
		r->gap += r->plain_events;
		r->lost += r->plain_events;
	}
	r->plain.len = 0;
	r->in_plain = r->plain_events = 0;
}

/* Every record passes here. */
static void put(struct recorder *r, enum record_type type, const void *fixed, uint32_t size,
		const char *text)
{
	r->events += type == REC_EVENT;
	if (r->error || r->ended) {
		r->lost += type == REC_EVENT;
		return;
	}
	if (!r->in_plain)
		r->plain_ns = r->now_ns;
	record_put(&r->plain, type, fixed, size, text, text ? (uint32_t)strlen(text) + 1 : 0);
	r->in_plain++;
	r->plain_events += type == REC_EVENT;
	if (r->plain.len >= RECORDING_PLAIN)
		close_frame(r);
}

/* ---- the tap -------------------------------------------------------------------- */

static void on_event(void *arg, const struct event *e)
{
	struct recorder *r = arg;

	if (e->kind == EV_CLOCK)
		r->clock = *e;
	put(r, REC_EVENT, e, sizeof(*e), NULL);
}

static void on_cgroup(void *arg, uint64_t id, const char *path)
{
	struct recorder *r = arg;

	if (strlen(path) >= RECORDING_TEXT - 64)
		return;
	if (r->cgroups.len < RECORDER_CGROUPS_BYTES)
		record_put(&r->cgroups, REC_CGROUP, &id, sizeof(id), path,
			   (uint32_t)strlen(path) + 1);
	put(r, REC_CGROUP, &id, sizeof(id), path);
}

static void on_stack(void *arg, uint64_t id, const char *text)
{
	put(arg, REC_STACK, &id, sizeof(id), text);
}

static void on_asked(void *arg, uint64_t cookie)
{
	put(arg, REC_ASKED, &cookie, sizeof(cookie), NULL);
}

static const struct pipeline_tap tap = {
	.event = on_event,
	.cgroup = on_cgroup,
	.stack = on_stack,
	.asked = on_asked,
};

/* ---- what a file begins with ------------------------------------------------------- */

/* In frames of their own: they may be more than one can hold. */
static void put_stacks(struct recorder *r)
{
	struct buf plain = {0};
	uint32_t cursor = 0;
	const char *text;
	uint64_t id;

	while ((text = pipeline_next_stack(r->p, &cursor, &id))) {
		record_put(&plain, REC_STACK, &id, sizeof(id), text, (uint32_t)strlen(text) + 1);
		if (plain.len < RECORDING_PLAIN)
			continue;
		put_frame(r, &plain, 0, false);
		plain.len = 0;
	}
	if (plain.len)
		put_frame(r, &plain, 0, false);
	buf_free(&plain);
}

/* Head, preamble and what was told since: a file can be read alone. */
static void begin_file(struct recorder *r)
{
	struct recording_head head;
	struct buf bytes = {0}, plain = {0};
	int err = recorder_file_empty(&r->file);

	if (err)
		recorder_fail(r, err);
	recording_head_fill(&head);
	buf_put(&bytes, (const char *)&head, sizeof(head));
	if (!recorder_file_put(&r->file, &bytes, 0))
		recorder_fail(r, -EIO);
	buf_put(&plain, r->preamble.data, r->preamble.len);
	if (r->clock.kind)
		record_put(&plain, REC_EVENT, &r->clock, sizeof(r->clock), NULL, 0);
	buf_put(&plain, r->cgroups.data, r->cgroups.len);
	put_frame(r, &plain, 0, false);
	put_stacks(r);
	buf_free(&bytes);
	buf_free(&plain);
	r->file.began_ns = r->now_ns;
	r->files++;
}

void recorder_begin(struct recorder *r, const struct source *src, struct pipeline *p,
		    uint64_t started_ns, uint64_t interval_ns)
{
	r->p = p;
	r->now_ns = started_ns;
	recorder_preamble(r, src, interval_ns);
	if (!r->cfg.last_ns)
		begin_file(r);
	pipeline_set_tap(p, &tap, r);
}

/* ---- going round -------------------------------------------------------------------- */

static void put_closed(struct recorder *r, uint64_t goes_on)
{
	struct buf plain = {0};

	record_put_u64(&plain, REC_CLOSED, goes_on);
	put_frame(r, &plain, 0, false);
	buf_free(&plain);
}

static void rotate_if_due(struct recorder *r)
{
	const struct recorder_config *cfg = &r->cfg;
	bool due = (cfg->rotate_bytes && r->file.bytes >= cfg->rotate_bytes) ||
		   (cfg->rotate_ns && r->now_ns - r->file.began_ns >= cfg->rotate_ns);
	int err;

	if (!due || cfg->last_ns || r->error)
		return;
	close_frame(r);
	put_closed(r, 1);
	err = recorder_file_rotate(&r->file, cfg->keep);
	if (err) {
		recorder_fail(r, err);
		return;
	}
	begin_file(r);
	r->rotated = true;
}

void recorder_round(struct recorder *r, uint64_t now_ns)
{
	int err;

	r->now_ns = now_ns;
	put(r, REC_ROUND, &now_ns, sizeof(now_ns), NULL);
	if (r->in_plain && now_ns - r->plain_ns >= frame_age_ns)
		close_frame(r);
	rotate_if_due(r);
	if (r->error || !r->file.sink)
		return;
	err = sink_flush(r->file.sink);
	if (err)
		recorder_fail(r, err);
}

void recorder_interval(struct recorder *r, uint64_t now_ns)
{
	put(r, REC_INTERVAL, &now_ns, sizeof(now_ns), NULL);
}

void recorder_stats(struct recorder *r, const struct stats *st)
{
	const struct rec_stats rec = {
		.bpf_ns = st->bpf_ns,
		.bpf_runs = st->bpf_runs,
		.wakeups = st->wakeups,
		.user_cpu_ns = st->user_cpu_ns,
		.output_slow = st->lost[LOSS_OUTPUT_SLOW],
		.malformed = st->lost[LOSS_MALFORMED],
		.hooks_attached = st->hooks_attached,
		.hooks_missing = st->hooks_missing,
		.full_mode = st->full_mode,
	};

	put(r, REC_STATS, &rec, sizeof(rec), NULL);
}

void recorder_finish(struct recorder *r, uint64_t now_ns)
{
	r->now_ns = now_ns;
	put(r, REC_FINISH, &now_ns, sizeof(now_ns), NULL);
}

/* All that is held, into the file that is open; closes it. */
static int put_ring(struct recorder *r)
{
	bool whole = true;
	int err;

	begin_file(r);
	for (unsigned i = 0; i < r->nframes; i++) {
		const struct kept_frame *k =
			&r->frames[(r->first + i) % RECORDER_FRAMES];
		const struct buf frame = {.data = k->data, .len = k->size};

		whole &= recorder_file_put(&r->file, &frame, 0);
	}
	put_closed(r, 0);
	err = recorder_file_close(&r->file, NULL, NULL);
	return err || whole ? err : -ETIMEDOUT;
}

int recorder_keep(struct recorder *r, uint64_t now_ns, const char *why)
{
	char msg[256];
	double held_s;
	int err;

	r->now_ns = now_ns;
	close_frame(r);
	held_s = r->nframes ? (double)(now_ns - r->frames[r->first].ts_ns) / 1e9 : 0;
	/* A file that is not whole is none: it is written over. */
	err = r->kept && !r->keep_error
		      ? recorder_file_rotate(&r->file, r->cfg.keep)
		      : recorder_file_open(&r->file, r->cfg.path, msg, sizeof(msg));
	if (!err)
		err = put_ring(r);
	r->keep_error = err;
	if (err) {
		fprintf(stderr, "tcptrail: %s: %s: not kept; the last %.1f s are still held (%s)\n",
			r->cfg.path, err == -ETIMEDOUT ? "its reader is too slow" : strerror(-err),
			held_s, why);
		return err;
	}
	r->kept++;
	fprintf(stderr, "tcptrail: %s: kept the last %.1f s (%s)\n", r->cfg.path, held_s, why);
	return 0;
}

/* ---- opening and closing -------------------------------------------------------------- */

int recorder_open(struct recorder **out, const struct recorder_config *cfg, char *msg,
		  size_t msg_len)
{
	struct recorder *r = calloc(1, sizeof(*r));
	int err = -ENOMEM;

	if (!r)
		return err;
	r->cfg = *cfg;
	r->file.fd = -1;
	r->z = zframe_new();
	if (r->z)
		err = cfg->last_ns ? recorder_ring_new(r)
				   : recorder_file_open(&r->file, cfg->path, msg, msg_len);
	if (err)
		recorder_close(r);
	else
		*out = r;
	return err;
}

void recorder_end(struct recorder *r, bool (*give_up)(void *arg), void *arg)
{
	int err;

	if (r->ended)
		return;
	if (r->file.sink && r->files) {
		close_frame(r);
		put_closed(r, 0);
	}
	r->ended = true;
	err = recorder_file_close(&r->file, give_up, arg);
	if (err && err != -ETIMEDOUT)
		recorder_fail(r, err);
	r->lost += r->file.lost_events + r->plain_events;
	r->bytes -= r->file.lost_bytes < r->bytes ? r->file.lost_bytes : r->bytes;
}

void recorder_close(struct recorder *r)
{
	if (!r)
		return;
	recorder_end(r, NULL, NULL);
	recorder_ring_free(r);
	zframe_free(r->z);
	buf_free(&r->preamble);
	buf_free(&r->cgroups);
	buf_free(&r->plain);
	buf_free(&r->packed);
	free(r);
}

bool recorder_rotated(struct recorder *r)
{
	bool rotated = r->rotated;

	r->rotated = false;
	return rotated;
}

int recorder_error(const struct recorder *r)
{
	return r->error;
}

bool recorder_owes(const struct recorder *r)
{
	return r->keep_error;
}

static void put_written(struct buf *b, const struct recorder *r)
{
	buf_u64(b, r->events - r->lost);
	buf_str(b, " events, ");
	buf_bytes(b, r->bytes);
	if (r->lost) {
		buf_str(b, "; lost: ");
		buf_printf(b, "%llu events (%s)", (unsigned long long)r->lost,
			   r->error ? strerror(-r->error) : "its reader is too slow");
	}
}

void recorder_notice(const struct recorder *r)
{
	struct buf b = {0};

	if (r->kept || r->keep_error)
		return; /* told when it was asked for */
	buf_str(&b, "tcptrail: ");
	buf_safe(&b, name_of(r), 512);
	buf_str(&b, ": ");
	if (r->cfg.last_ns)
		buf_str(&b, "nothing was kept: no SIGUSR2 and no --trigger-severity asked for it");
	else
		put_written(&b, r);
	buf_char(&b, '\n');
	fwrite(b.data, 1, b.len, stderr);
	buf_free(&b);
}
