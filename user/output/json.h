/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every record of the interface as JSON, one line each. The views of json.c write
 * them to stdout; whoever serves HTTP writes the same lines to its clients.
 */
#ifndef TCPTRAIL_JSON_H
#define TCPTRAIL_JSON_H

#include "../core/write/community.h"
#include "../core/write/jsonw.h"
#include "../core/pipeline/pipeline.h"
#include "../session.h"

/* What a writer needs beside its record. `sequence` becomes event.sequence and counts up; it is
 * the session's own for stdout. */
struct json_face {
	const struct session *s;
	uint64_t *sequence;
	struct community_cache *ids; /* NULL: no network.community_id */
};

/* Each appends one whole line to b. */
void json_change(struct json_face *f, struct buf *b, const struct conn *c, const struct change *ch);
void json_connection(struct json_face *f, struct buf *b, const struct conn *c,
		     const struct verdict *v);
/* tcp.timer, where one is armed. */
void json_armed_timer(struct jsonw *w, const struct conn *c);
void json_snapshot(struct json_face *f, struct buf *b, const struct conn *c);
/* l may be NULL: a listener whose queues nobody has told. */
void json_listener(struct json_face *f, struct buf *b, const struct conn *c,
		   const struct listener *l);
void json_stats(struct json_face *f, struct buf *b);

/* What tcp.states compares with: the last one's counts. */
struct json_states {
	uint64_t ts_ns; /* 0: none yet */
	uint64_t transitions[ST_COUNT][ST_COUNT];
};
void json_states(struct json_face *f, struct buf *b, struct json_states *last);

/* --- pieces of a record (json_common.c) --- */

/* Opens the record up to and with event.sequence; "event" is still open, for what more belongs
 * there. */
void json_common(struct json_face *f, struct jsonw *w, struct buf *b, const char *name,
		 uint64_t ts_ns);
/* "network": both ends, and the state unless ST_NONE. */
void json_network(struct json_face *f, struct jsonw *w, const struct conn *c, unsigned state);
/* Opens "tcp" with socket_id, netns, role and, under --sample, how many it stands for. */
void json_tcp(struct json_face *f, struct jsonw *w, const struct conn *c);
/* After "tcp" was closed: "process", "container", "k8s" of the owner; closes the record. */
void json_owner(struct json_face *f, struct jsonw *w, const struct conn *c);
/* key: {pid, name}, absent when unknown. */
void json_proc(struct json_face *f, struct jsonw *w, const char *key, uint32_t proc);
void json_time(struct json_face *f, struct jsonw *w, const char *key, uint64_t mono_ns);
/* Absent when negative. */
void json_ns(struct jsonw *w, const char *key, int64_t ns);
/* Payload and segments, round trips: absent where no hook told. */
void json_counters(struct jsonw *w, const struct conn *c);
/* The kernel's name of a reason, absent when it has none. */
void json_rst_reason(struct json_face *f, struct jsonw *w, const char *key, unsigned reason);
void json_drop_reason(struct json_face *f, struct jsonw *w, const char *key, unsigned reason);
/* "holders": the first of them, absent where nobody holds it. How many there are. */
uint32_t json_holders(struct json_face *f, struct jsonw *w, const struct conn *c);
/* "timeline": the remembered steps (json_timeline.c). */
void json_timeline(struct json_face *f, struct jsonw *w, const struct conn *c);

#endif
