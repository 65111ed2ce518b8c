/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's inside, shared by user/serve/ and nobody else.
 *
 *   view.c    the session's callbacks: counts, remembers what ended, feeds /events
 *   http.c    the daemon: connections and their deadlines, who may ask, what is answered
 *   api.c     /api/v1/... and /healthz
 *   ladder_json.c  a connection's ladder as JSON
 *   events.c  /events: a bounded queue for each client
 *   page.c    the page, as it lies in the program
 *   listen.c  the options, and the files that they name
 */
#ifndef TCPTRAIL_SERVER_H
#define TCPTRAIL_SERVER_H

#include <microhttpd.h>

#include "../core/ladder/ladder.h"
#include "../core/metrics/metrics.h"
#include "../core/stuck/stuck.h"
#include "../output/json.h"
#include "../output/stuck.h"
#include "serve.h"

enum {
	HTTP_CONNECTIONS = 128,
	HTTP_DEADLINE_MS = 10000, /* for a whole request, however busily it trickles in */
	HTTP_CROWDED_MS = 1000,	  /* the same when places run out */
	HTTP_BODY_MAX = 65536,
	HTTP_STEPS = 32, /* at most, before the ring is looked at again */
	FILTER_MAX = 4096,
	PAGE_LIMIT = 100,
	PAGE_LIMIT_MAX = 1000,
	EVENT_CLIENTS = 32,
	EVENT_QUEUE = 256 << 10,
	EVENT_IDLE_MS = 10000, /* then a comment, so that a client cut off without a word is noticed */
	EVENT_LOOK_MS = 100,   /* who hung up */
	ENDED_KEPT = 1024,
	HISTORY = 60,
	HISTORY_STEP_S = 5,
};

/* An ended connection, until ENDED_KEPT more have ended: its record as it was written, and what
 * its ladder is drawn from. */
struct ended {
	uint64_t cookie;
	struct ladder_end end, other;
	bool has_other;
	uint64_t sweeps; /* the table of processes' then: its numbers may be others' now */
	struct buf record;
};

struct history {
	uint64_t at_ns;
	uint64_t count[ST_COUNT];
};

struct http_conn {
	struct MHD_Connection *c;
	int fd;
	uint64_t since_ns; /* accepted, or the last answer was complete */
	bool idle;	   /* no request has begun since */
	bool answering;	   /* /events, or an answer on its way: not under the deadline */
	bool has_nul;	   /* the target of its request has a %00 */
	bool head;	   /* its request is a HEAD */
};

struct event_client {
	bool used, suspended, gone;
	bool asked; /* it will send no more: a comment asks whether it still reads */
	int fd;
	struct MHD_Connection *c;
	struct filter *filter;
	struct buf ring; /* [head, len): what waits */
	size_t head;
	uint64_t lost;	 /* since the client was last told */
	uint64_t fed_ns; /* monotonic, when something was last queued */
};

struct server {
	struct session *s;
	const struct serve_config *cfg;
	struct MHD_Daemon *daemon;
	int epoll_fd;
	struct http_conn conns[HTTP_CONNECTIONS];
	struct event_client clients[EVENT_CLIENTS];
	uint64_t events_lost; /* over all clients */
	uint64_t hangups_ns;  /* when they were last looked at */
	uint64_t requests;

	struct metrics metrics;
	struct pods *pods; /* what the node calls its containers */
	struct stuck_view stuck; /* of the whole table, for the gauges and /api/v1/stuck */
	uint64_t looked_ns;	 /* when the gauges were made; 0 never */
	uint64_t stuck_ns, snapshot_ns, snapshot_took_ns;
	uint64_t asked_ns, findings_ns; /* when a client last wanted metrics, findings */

	struct ended *ended; /* ENDED_KEPT, a ring */
	uint64_t nended;
	struct history history[HISTORY];
	uint64_t nhistory;
	uint64_t history_due_ns; /* the pipeline's time */
	struct ladder ladder;
	struct ladder_end a, b;
	struct community_cache ids;
	struct json_face face;
	uint64_t sequence;
	bool in_snapshot, textfile_failed;
	uint64_t textfile_ns;
};

/* --- view.c --- */
uint64_t server_now(void); /* CLOCK_MONOTONIC */
/* Gauges not older than two seconds, findings than ten; five times that when the table is large. */
void server_refresh(struct server *v);
void server_metrics(struct server *v, struct buf *b);

/* --- http.c --- */
int http_start(struct server *v, char *msg, size_t len);
void http_stop(struct server *v);
void http_turn(struct server *v);
/* A JSON error; status and a sentence. */
enum MHD_Result http_error(struct MHD_Connection *c, unsigned status, const char *message);
/* Takes b's memory. */
enum MHD_Result http_answer(struct MHD_Connection *c, unsigned status, const char *type,
			    struct buf *b);
/* The query's FILTER; *out NULL when there is none. false: an error was answered with *result. */
bool http_filter(struct MHD_Connection *c, struct filter **out, enum MHD_Result *result);
/* Does it ask for the head of an answer alone? The library leaves the body out; where an answer has
 * no length it does not. */
bool http_is_head(struct MHD_Connection *c);
/* The marks of every answer: no sniffing, no framing, no caching. */
void http_headers(struct MHD_Response *r);

/* --- api.c --- */
enum MHD_Result api_health(struct server *v, struct MHD_Connection *c, const char *rest);
enum MHD_Result api_connections(struct server *v, struct MHD_Connection *c, const char *rest);
enum MHD_Result api_connection(struct server *v, struct MHD_Connection *c, const char *rest);
enum MHD_Result api_stuck(struct server *v, struct MHD_Connection *c, const char *rest);
enum MHD_Result api_states(struct server *v, struct MHD_Connection *c, const char *rest);

/* --- ladder_json.c --- */
void ladder_json(struct jsonw *w, const struct ladder *l);

/* --- events.c --- */
enum MHD_Result events_open(struct server *v, struct MHD_Connection *c, const char *rest);
/* One record to all that want it. line: with its newline. verdict may be NULL. */
void events_feed(struct server *v, const struct conn *c, const struct verdict *verdict,
		 const char *name, const char *line, size_t len);
bool events_wanted(const struct server *v);
void events_turn(struct server *v, uint64_t now_ns);
void events_close(struct server *v);

/* --- page.c --- */
/* A file of the page, or 404. */
enum MHD_Result page_answer(struct server *v, struct MHD_Connection *c, const char *path);

#endif
