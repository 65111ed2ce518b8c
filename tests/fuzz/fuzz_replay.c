/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream of records through everything that a replay runs: decode, table, timeline,
 * and one of all views. The first byte picks the view, the second a second file's
 * share; the rest is the plain content of a frame, packed here, so that what lies
 * behind the checksum is reached.
 *
 * What must hold whatever comes: no more connections than allowed, the count of each
 * state is the table's, both halves of a pair name each other, every JSON record is
 * JSON.
 */

/*
 * What it is linked with, for run.sh:
 *
 * links: user/source/tape.c user/source/zframe.c user/source/replay.c
 * links: user/source/replay_open.c user/source/replay_hosts.c
 * links: user/source/replay_clock.c
 * links: user/output/csv.c user/output/json.c user/output/json_change.c
 * links: user/output/json_common.c user/output/json_conn.c user/output/json_sock.c
 * links: user/output/json_stats.c user/output/json_timeline.c user/output/ladder_text.c
 * links: user/output/paint.c user/output/stuck_act.c user/output/stuck_csv.c
 * links: user/output/stuck_json.c user/output/stuck_list.c user/output/stuck_text.c
 * links: user/output/stuck_view.c user/output/text_common.c user/output/text_conns.c
 * links: user/output/text_events.c user/output/text_listeners.c user/output/text_open.c
 * links: user/output/text_sentence.c user/output/text_states.c user/output/text_timeline.c
 * links: user/output/text_stack.c user/output/text_watch.c user/output/json_stack.c
 * links: user/output/json_holders.c
 * libs: -lzstd
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/ladder/ladder.h"
#include "json_check.h"
#include "output/stuck.h"
#include "output/views.h"
#include "session.h"
#include "source/replay.h"
#include "source/zframe.h"

enum { MAX_CONNECTIONS = 64, MAX_PLAIN = 1 << 20 };

/* ---- the sink: one record, looked at and forgotten ------------------------------------- */

struct sink {
	struct buf b;
	bool json;
};

struct buf *sink_begin(struct sink *s)
{
	s->b.len = 0;
	return &s->b;
}

void sink_commit(struct sink *s)
{
	if (s->json && !s->b.failed && s->b.len && !json_is_line(s->b.data, s->b.len))
		abort();
}

uint64_t sink_lost(const struct sink *s)
{
	return 0;
}

bool sink_is_tty(const struct sink *s)
{
	return false;
}

int sink_fd(const struct sink *s)
{
	return -1;
}

/* ---- the session ------------------------------------------------------------------------ */

void session_printed(struct session *s)
{
	s->records++;
}

uint64_t session_started(const struct session *s)
{
	return 0; /* times count from the first one told */
}

static const char *drop_reason(const void *arg, unsigned reason)
{
	const struct source *src = ((const struct session *)arg)->source;

	return src && src->drop_reason ? src->drop_reason(src, reason) : NULL;
}

void session_ladder_names(const struct session *s, struct ladder_names *out)
{
	*out = (struct ladder_names){pipeline_procs(s->p), drop_reason, s};
}

uint64_t session_realtime(const struct session *s, uint64_t mono_ns)
{
	return mono_ns + (uint64_t)pipeline_clock_offset(s->p);
}

void session_endpoint(const struct session *s, struct buf *b, const uint8_t addr[16],
		      uint16_t port)
{
	buf_endpoint(b, addr, port);
}

void session_addr(const struct session *s, struct buf *b, const uint8_t addr[16])
{
	buf_addr(b, addr);
}

void session_port(const struct session *s, struct buf *b, uint16_t port)
{
	buf_u64(b, port);
}

/* ---- what must hold ------------------------------------------------------------------------ */

static void must_hold(struct pipeline *p)
{
	const struct stats *st = pipeline_stats(p);
	uint32_t in_state[ST_COUNT] = {0}, cursor = 0;
	struct conntab *t = pipeline_conns(p);
	const struct conn *c, *o;

	if (conntab_count(t) > MAX_CONNECTIONS)
		abort();
	while ((c = conntab_next(t, &cursor))) {
		if (c->state >= ST_COUNT || c->steps_len > STEPS_LARGE)
			abort();
		in_state[c->state]++;
		o = pipeline_peer(p, c);
		if (c->peer_conn && (!o || pipeline_peer(p, o) != c))
			abort();
	}
	for (unsigned s = 0; s < ST_COUNT; s++)
		if (s != ST_TIME_WAIT && s != ST_CLOSED && s != ST_NONE &&
		    st->now_in_state[s] > MAX_CONNECTIONS)
			abort();
}

/* ---- a run ------------------------------------------------------------------------------------ */

/* A file in memory: the head, a preamble, the frame. Freed by the caller. */
static char *make_file(const void *plain, uint32_t size, size_t *len)
{
	struct rec_begin begin = {.started_ns = 1000, .clock_offset_ns = 1700000000000000000};
	struct recording_head head;
	struct buf file = {0}, preamble = {0};
	struct zframe *z = zframe_new();

	recording_head_fill(&head);
	buf_put(&file, (const char *)&head, sizeof(head));
	record_put(&preamble, REC_META, NULL, 0, "command=record\n", 16);
	record_put(&preamble, REC_BEGIN, &begin, sizeof(begin), NULL, 0);
	if (!z || zframe_pack(z, &file, preamble.data, (uint32_t)preamble.len) ||
	    (size && zframe_pack(z, &file, plain, size)))
		abort();
	zframe_free(z);
	buf_free(&preamble);
	*len = file.len;
	return file.data;
}

static const struct view *pick(unsigned n, struct options *o, struct view *stuck)
{
	static const struct {
		const struct view *view;
		enum output_format format;
	} views[] = {
		{&view_events_json, OUT_JSON},	  {&view_conns_json, OUT_JSON},
		{&view_watch_json, OUT_JSON},	  {&view_timeline_json, OUT_JSON},
		{&view_states_json, OUT_JSON},	  {&view_listeners_json, OUT_JSON},
		{&view_events_text, OUT_TEXT},	  {&view_conns_text, OUT_TEXT},
		{&view_watch_text, OUT_TEXT},	  {&view_timeline_text, OUT_TEXT},
		{&view_states_text, OUT_TEXT},	  {&view_listeners_text, OUT_TEXT},
		{&view_conns_csv, OUT_CSV},
	};
	const unsigned n_views = sizeof(views) / sizeof(views[0]);

	o->until_reaped = n & 0x80;
	o->wide = n & 0x40;
	o->wall_clock = n & 0x20;
	n %= n_views + 3;
	if (n < n_views) {
		o->format = views[n].format;
		return views[n].view;
	}
	o->format = n - n_views == 0 ? OUT_TEXT : n - n_views == 1 ? OUT_JSON : OUT_CSV;
	o->stuck.all = o->stuck.list = o->wide;
	stuck_view_for(o, stuck);
	return stuck;
}

/* The pipeline is made before the view, so it calls by way of this. */
struct rig {
	struct session s;
	const struct view *view;
	void *state;
};

static void on_change(void *arg, const struct conn *c, const struct change *ch)
{
	struct rig *r = arg;

	r->view->ops->change(r->state, c, ch);
}

static void on_conn_end(void *arg, const struct conn *c, const struct verdict *v)
{
	struct rig *r = arg;

	r->view->ops->conn_end(r->state, c, v);
}

static void on_snapshot(void *arg, const struct conn *c)
{
	struct rig *r = arg;

	r->view->ops->snapshot(r->state, c);
}

static void on_snapshot_done(void *arg)
{
	struct rig *r = arg;

	r->view->ops->snapshot_done(r->state);
}

static void on_tick(void *arg, uint64_t now_ns)
{
	struct rig *r = arg;

	r->view->ops->tick(r->state, now_ns);
}

static void go(struct rig *r)
{
	struct source *src = r->s.source;
	int n = 0;

	while (!r->s.stop && n != -ENODATA) {
		n = src->ops->poll(src, r->s.p, 0);
		if (n < 0 && n != -ENODATA) {
			if (!strstr(src->replay->error, "offset"))
				abort();
			break;
		}
		must_hold(r->s.p);
		if (src->replay->at == REPLAY_ROUND && r->view->interval)
			r->view->interval(r->state);
	}
	pipeline_finish(r->s.p, src->replay->end_ns);
	must_hold(r->s.p);
	src->ops->stats(src, r->s.p);
	if (r->view->finish)
		r->view->finish(r->state);
}

static void run(struct source *src, unsigned which)
{
	struct options o = {.open = true, .nfrom = 1, .max_connections = MAX_CONNECTIONS};
	struct view stuck;
	struct rig r = {.view = pick(which, &o, &stuck)};
	const struct view_ops *has = r.view->ops;
	struct view_ops ops = {
		.change = has->change ? on_change : NULL,
		.conn_end = has->conn_end ? on_conn_end : NULL,
		.snapshot = has->snapshot ? on_snapshot : NULL,
		.snapshot_done = has->snapshot_done ? on_snapshot_done : NULL,
		.tick = has->tick ? on_tick : NULL,
	};
	struct pipeline_config cfg = {.max_connections = MAX_CONNECTIONS, .emit_open = true,
				      .until_reaped = o.until_reaped,
				      .want_steps = r.view->steps};
	struct sink sink = {.json = o.format == OUT_JSON};

	r.s = (struct session){.o = &o, .source = src, .out = &sink, .at_end = true};
	r.s.p = pipeline_new(&cfg, &ops, &r);
	r.state = r.view->open(&r.s);
	if (!r.s.p || !r.state)
		abort();
	if (r.view->begin)
		r.view->begin(r.state);
	go(&r);
	r.view->close(r.state);
	pipeline_free(r.s.p);
	buf_free(&sink.b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {"one", "two"};
	FILE *files[2] = {NULL};
	char *bytes[2] = {NULL}, msg[256] = "";
	size_t len[2], share;
	struct source *src;
	unsigned n = 1;

	if (size < 8 || size > MAX_PLAIN)
		return 0;
	/* The second byte: so many 256ths go to a second file. 0: there is none. */
	share = ((size - 8) * data[1] / 256) & ~(size_t)7;
	n += data[1] != 0;
	bytes[0] = make_file(data + 8, (uint32_t)((size - 8 - share) & ~(size_t)7), &len[0]);
	bytes[1] = n > 1 ? make_file(data + size - share, (uint32_t)share, &len[1]) : NULL;
	for (unsigned i = 0; i < n; i++)
		files[i] = fmemopen(bytes[i], len[i], "r");
	if (!source_replay_open(&src, files, names, n, msg, sizeof(msg))) {
		run(src, data[0]);
		src->ops->close(src);
	} else if (!strstr(msg, "offset")) {
		abort();
	}
	for (unsigned i = 0; i < n; i++)
		free(bytes[i]);
	return 0;
}
