/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON of /api/v1: the same records that stdout has, in an object with what a
 * page of them needs.
 *
 * Always: an answer has at most PAGE_LIMIT_MAX records, and says where to go on. Never:
 * asks the kernel; what is told is what the pipeline knows.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../core/filter/filter.h"
#include "../core/connection/words.h"
#include "server.h"

static void record_end(struct buf *b)
{
	if (b->len && b->data[b->len - 1] == '\n')
		b->len--;
}

static enum MHD_Result answer(struct MHD_Connection *c, struct buf *b)
{
	return http_answer(c, MHD_HTTP_OK, "application/json", b);
}

enum MHD_Result api_health(struct server *v, struct MHD_Connection *c, const char *rest)
{
	const struct stats *st = pipeline_stats(v->s->p);
	uint64_t lost = v->events_lost;
	unsigned clients = 0;
	struct buf b = {0};
	struct jsonw w;

	for (unsigned i = 0; i < EVENT_CLIENTS; i++)
		clients += v->clients[i].used;
	for (unsigned i = 0; i < LOSS_REASONS; i++)
		lost += st->lost[i];
	json_begin(&w, &b);
	json_word(&w, "status", "ok");
	json_word(&w, "version", TCPTRAIL_VERSION);
	json_word(&w, "mode", v->s->source && v->s->source->full_mode ? "full" : "base");
	json_u64(&w, "events", st->events);
	json_u64(&w, "events_lost", lost);
	json_u64(&w, "requests", v->requests);
	json_u64(&w, "event_clients", clients);
	json_u64(&w, "event_clients_lost", v->events_lost);
	json_u64(&w, "tracked_connections", conntab_count(pipeline_conns(v->s->p)));
	json_end(&w);
	return answer(c, &b);
}

/* ---- /api/v1/connections ------------------------------------------------------------------ */

/* A number in the query, or what it is without one. false: it is no number up to max. */
static bool number_of(struct MHD_Connection *c, const char *key, uint64_t otherwise, uint64_t max,
		      uint64_t *out)
{
	const char *text = MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, key);
	char *end;

	*out = otherwise;
	if (!text)
		return true;
	if (!*text || strspn(text, "0123456789") != strlen(text) || strlen(text) > 18)
		return false;
	*out = strtoull(text, &end, 10);
	return *out <= max;
}

static bool listed(const struct conn *c)
{
	return c->state && c->state != ST_CLOSED && c->role != ROLE_LISTENER;
}

static bool wanted(struct server *v, const struct filter *f, const struct conn *c)
{
	struct filter_subject s = {
		.conn = c,
		.procs = pipeline_procs(v->s->p),
		.now_ns = pipeline_now(v->s->p),
	};

	return pipeline_passes_now(v->s->p, c) && (!f || filter_match(f, &s) == FILTER_YES);
}

/* One walk: the page from `cursor` on, and how many there are in all. */
static void put_page(struct server *v, struct buf *b, const struct filter *f, uint32_t limit,
		     uint32_t cursor)
{
	uint32_t at = 0, total = 0, shown = 0, next = 0;
	struct conn *c;

	buf_str(b, "{\"connections\":[");
	while ((c = conntab_next(pipeline_conns(v->s->p), &at))) {
		uint32_t index = conntab_index(pipeline_conns(v->s->p), c);

		if (!listed(c) || !wanted(v, f, c))
			continue;
		total++;
		if (index < cursor || next)
			continue;
		if (shown == limit) {
			next = index;
			continue;
		}
		if (shown++)
			buf_char(b, ',');
		json_snapshot(&v->face, b, c);
		record_end(b);
	}
	buf_printf(b, "],\"total\":%u,\"count\":%u,\"limit\":%u", total, shown, limit);
	if (next)
		buf_printf(b, ",\"next_cursor\":%u", next);
	buf_str(b, "}\n");
}

enum MHD_Result api_connections(struct server *v, struct MHD_Connection *c, const char *rest)
{
	uint64_t limit, cursor;
	enum MHD_Result result;
	struct buf b = {0};
	struct filter *f;

	if (!number_of(c, "limit", PAGE_LIMIT, PAGE_LIMIT_MAX, &limit) || !limit)
		return http_error(c, MHD_HTTP_BAD_REQUEST,
				  "limit: expected a number from 1 to 1000");
	if (!number_of(c, "cursor", 0, UINT32_MAX, &cursor))
		return http_error(c, MHD_HTTP_BAD_REQUEST,
				  "cursor: expected next_cursor of an answer");
	if (!http_filter(c, &f, &result))
		return result;
	put_page(v, &b, f, (uint32_t)limit, (uint32_t)cursor);
	filter_free(f);
	return answer(c, &b);
}

/* ---- /api/v1/connections/ID ----------------------------------------------------------------- */

static struct ended *ended_find(struct server *v, uint64_t cookie)
{
	uint64_t n = v->nended < ENDED_KEPT ? v->nended : ENDED_KEPT;

	for (uint64_t i = 1; i <= n; i++) {
		struct ended *e = &v->ended[(v->nended - i) % ENDED_KEPT];

		if (e->cookie == cookie)
			return e;
	}
	return NULL;
}

static void put_living(struct server *v, struct buf *b, const struct conn *c)
{
	struct conntab *t = pipeline_conns(v->s->p);
	const struct conn *peer = conntab_at_const(t, c->peer_conn);
	uint64_t other = conntab_peer_cookie(t, c);
	struct ended *gone = peer || !other ? NULL : ended_find(v, other);
	struct jsonw w = {.b = b, .comma = true};
	struct ladder_names names;

	buf_str(b, "{\"connection\":");
	json_snapshot(&v->face, b, c);
	record_end(b);
	json_timeline(&v->face, &w, c);
	ladder_end_copy(&v->a, t, c);
	if (peer)
		ladder_end_copy(&v->b, t, peer);
	session_ladder_names(v->s, &names);
	ladder_build(&v->ladder, &names, &v->a,
		     peer   ? &v->b
		     : gone ? &gone->end
			    : NULL);
}

static void put_ended(struct server *v, struct buf *b, const struct ended *e)
{
	uint64_t cookie = e->end.end.peer_cookie;
	struct ended *peer = cookie ? ended_find(v, cookie) : NULL;
	const struct ladder_end *other = peer ? &peer->end : e->has_other ? &e->other : NULL;
	struct ladder_names names;

	buf_str(b, "{\"connection\":");
	buf_put(b, e->record.data, e->record.len);
	record_end(b);
	session_ladder_names(v->s, &names);
	if (e->sweeps != proctab_sweeps(names.procs))
		names.procs = NULL; /* its numbers may be others' now */
	ladder_build(&v->ladder, &names, &e->end, other);
}

enum MHD_Result api_connection(struct server *v, struct MHD_Connection *c, const char *rest)
{
	size_t n = strlen(rest);
	struct buf b = {0};
	struct jsonw w = {.b = &b, .comma = true};
	const struct conn *conn;
	struct ended *e;
	uint64_t id;

	if (!n || n > 16 || strspn(rest, "0123456789abcdefABCDEF") != n)
		return http_error(
			c, MHD_HTTP_BAD_REQUEST,
			"socket_id: expected up to 16 hexadecimal digits, as in tcp.socket_id");
	id = strtoull(rest, NULL, 16);
	conn = conntab_find(pipeline_conns(v->s->p), id);
	e = ended_find(v, id);
	if (conn && listed(conn) && wanted(v, NULL, conn) && !e)
		put_living(v, &b, conn);
	else if (e)
		put_ended(v, &b, e);
	else
		return http_error(c, MHD_HTTP_NOT_FOUND,
				  "no such connection; those that ended are kept "
				  "until 1024 more have ended");
	ladder_json(&w, &v->ladder);
	json_end(&w);
	return answer(c, &b);
}

/* ---- /api/v1/stuck ---------------------------------------------------------------------------- */

static void put_groups(struct server *v, struct buf *b)
{
	const struct stuck_report *r = &v->stuck.report;

	buf_str(b, "{\"findings\":[");
	for (uint32_t i = 0; i < r->ngroups && i < PAGE_LIMIT_MAX; i++) {
		if (i)
			buf_char(b, ',');
		stuck_json_group(&v->stuck, b, &r->groups[i]);
		record_end(b);
	}
	buf_printf(b, "],\"total\":%u,\"sockets\":{", r->ngroups);
	for (unsigned s = SEV_INFO; s < SEV_COUNT; s++)
		buf_printf(b, "%s\"%s\":%u", s > SEV_INFO ? "," : "", word_severity(s),
			   r->by_severity[s]);
	buf_str(b, "}}\n");
}

enum MHD_Result api_stuck(struct server *v, struct MHD_Connection *c, const char *rest)
{
	struct stuck_report all;
	struct stuck_query query = {.min_age_ns = -1};
	enum MHD_Result result;
	struct buf b = {0};
	struct filter *f;
	uint64_t min_age;

	if (!number_of(c, "min_age", UINT64_MAX, 1000000000, &min_age))
		return http_error(c, MHD_HTTP_BAD_REQUEST, "min_age: expected seconds");
	if (!http_filter(c, &f, &result))
		return result;
	server_refresh(v);
	v->findings_ns = server_now();
	all = v->stuck.report;
	query.filter = f;
	if (min_age != UINT64_MAX)
		query.min_age_ns = (int64_t)min_age * 1000000000;
	if (f || query.min_age_ns >= 0) {
		v->stuck.report = (struct stuck_report){0};
		b.failed = stuck_collect(&v->stuck.report, v->s->p, &query) != 0;
	}
	put_groups(v, &b);
	if (f || query.min_age_ns >= 0) {
		stuck_free(&v->stuck.report);
		v->stuck.report = all;
	}
	filter_free(f);
	return answer(c, &b);
}

/* ---- /api/v1/states --------------------------------------------------------------------------- */

/* Most TIME_WAIT are only counted, for the command line's FILTER: of another nothing is said. */
static void put_states(struct jsonw *w, const uint64_t *count, bool time_wait)
{
	json_open(w, "states");
	for (unsigned s = 1; s < ST_COUNT; s++)
		if (s != ST_NEW_SYN_RECV && s != ST_CLOSED && (s != ST_TIME_WAIT || time_wait))
			json_u64(w, word_state_otel(s), count[s]);
	json_close(w);
}

static void put_transitions(struct server *v, struct jsonw *w)
{
	const struct stats *st = pipeline_stats(v->s->p);

	json_array(w, "transitions");
	for (unsigned from = 1; from < ST_COUNT; from++)
		for (unsigned to = 1; to < ST_COUNT; to++) {
			if (!st->transitions[from][to] || from == ST_NEW_SYN_RECV ||
			    to == ST_NEW_SYN_RECV || from == to)
				continue;
			json_open(w, NULL);
			json_word(w, "from", word_state_otel(from));
			json_word(w, "to", word_state_otel(to));
			json_u64(w, "count", st->transitions[from][to]);
			json_close(w);
		}
	json_array_end(w);
}

static void put_history(struct server *v, struct jsonw *w)
{
	uint64_t n = v->nhistory < HISTORY ? v->nhistory : HISTORY;

	json_array(w, "history");
	for (uint64_t i = v->nhistory - n; i < v->nhistory; i++) {
		const struct history *h = &v->history[i % HISTORY];
		json_open(w, NULL);
		json_time(&v->face, w, "@timestamp", h->at_ns);
		put_states(w, h->count, true);
		json_close(w);
	}
	json_array_end(w);
}

enum MHD_Result api_states(struct server *v, struct MHD_Connection *c, const char *rest)
{
	uint64_t count[ST_COUNT];
	enum MHD_Result result;
	struct buf b = {0};
	struct jsonw w;
	struct filter *f;

	if (!http_filter(c, &f, &result))
		return result;
	pipeline_count_states(v->s->p, f, count);
	json_begin(&w, &b);
	json_time(&v->face, &w, "@timestamp", pipeline_now(v->s->p));
	json_u64(&w, "monotonic_ns", pipeline_now(v->s->p));
	put_states(&w, count, !f);
	if (!f) {
		/* What moved is counted for all together, not for a FILTER. */
		put_transitions(v, &w);
		put_history(v, &w);
	}
	json_end(&w);
	filter_free(f);
	return answer(c, &b);
}
