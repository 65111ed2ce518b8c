/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The views of `stuck`, and what their formats share: one report, printed as text,
 * JSON or CSV.
 */
#ifndef TCPTRAIL_OUTPUT_STUCK_H
#define TCPTRAIL_OUTPUT_STUCK_H

#include "../core/stuck/stuck.h"
#include "../session.h"
#include "json.h"
#include "text.h"

/* The view's state, which the printers read. */
struct stuck_view {
	struct session *s;
	const struct stuck_options *so;
	struct stuck_query query;
	struct stuck_report report;
	struct text text;
	struct json_face face;
	struct community_cache ids;
	uint32_t last_states[ST_COUNT];  /* --watch: of the report before */
	uint64_t last_ns;                /* 0: none */
	bool in_snapshot, snapshot_done, reported, failed;
};

/* Each prints the report once, in its own format. */
void stuck_print_text(struct stuck_view *v);
void stuck_print_json(struct stuck_view *v);
/* One socket's record, printed; item NULL: of a healthy one. */
void stuck_json_item(struct stuck_view *v, const struct conn *c, const struct stuck_item *item);
/* One group's record, a line, into b. */
void stuck_json_group(struct stuck_view *v, struct buf *b, const struct stuck_group *g);
/* One group for people: headline, ages, why, what to do. Several lines. */
void stuck_text_group(const struct stuck_view *v, struct buf *b, const struct stuck_group *g);
void stuck_print_csv(struct stuck_view *v);
void stuck_print_check(struct stuck_view *v);
/* --kill: what would be closed, and with --yes closes it. */
void stuck_kill(struct stuck_view *v);
/* A socket, its owner and, where item is not NULL, its finding, in a line. */
void stuck_put_socket(const struct text *t, struct line *l, const struct conn *c,
		      const struct stuck_item *item);
/* One line, with its newline, for what was, or would be, done to it. item may be NULL. */
void stuck_audit(const struct text *t, struct buf *b, const struct conn *c,
		 const struct stuck_item *item, const char *what);
/* What source_ops.destroy() answered, in words. */
const char *stuck_outcome(int err);

/* stuck_list.c: the rows of --list and --all. */
void stuck_list_text(struct stuck_view *v);

/* The conn of an item; NULL when it is gone. */
static inline const struct conn *stuck_conn(const struct stuck_view *v, const struct stuck_item *i)
{
	return conntab_find(pipeline_conns(v->s->p), i->cookie);
}

/* How long it has been in its state. */
static inline uint64_t stuck_age(const struct stuck_view *v, const struct conn *c, bool *at_least)
{
	struct subject s = {
		.conn = c,
		.facts = pipeline_facts(v->s->p),
		.now_ns = v->report.made_ns,
	};

	return diagnose_age(&s, at_least);
}

/* Runs f on every socket that the query wants, healthy or not: item is NULL for a healthy one. */
void stuck_each(struct stuck_view *v, void (*f)(struct stuck_view *v, const struct conn *c,
						const struct stuck_item *item));

/* A record is formatted between the two. */
struct buf *stuck_begin_record(struct stuck_view *v);
void stuck_end_record(struct stuck_view *v);

/* The view for these options: once, with --watch again and again, with --kill. */
struct view;
void stuck_view_for(const struct options *o, struct view *out);

#endif
