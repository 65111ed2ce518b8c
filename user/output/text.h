/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the text views share: a line laid out in columns that shift and recover
 * instead of truncating, and the small words (time, owner, endpoint, size) that
 * all of them speak. Nothing here calls printf: these are on the hot path.
 */
#ifndef TCPTRAIL_TEXT_H
#define TCPTRAIL_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../core/write/buf.h"
#include "../core/connection/conn.h"
#include "../session.h"
#include "paint.h"

struct text {
	struct session *s;
	const struct proctab *procs;
	struct paint paint;
	bool wide, wall_clock;
	bool has_base;
	int width;            /* what a line may take: 80, or the terminal's; without end for -w */
	uint64_t base_ns;     /* what "seconds since start" counts from */
};

void text_init(struct text *t, struct session *s);
/* The run's start (a recording's, a capture's first packet); where nobody knows it, the first time
 * that the stream told. Call it from every callback. */
void text_set_base(struct text *t, uint64_t ts_ns);
static inline void text_base(struct text *t, uint64_t ts_ns)
{
	if (!t->has_base && ts_ns)
		text_set_base(t, ts_ns);
}

/* One line in the making. Columns are counted, not bytes. A text that is longer than its
 * column moves what follows to the right; the next column that has room again is in place. */
struct line {
	const struct paint *paint;
	struct buf *b;
	size_t start;   /* in b */
	size_t extra;   /* bytes so far that take no column */
	bool brief;     /* the sentence in it does not name the owner */
};

void line_begin(struct line *l, const struct text *t, struct buf *b);
static inline int line_col(const struct line *l)
{
	return (int)(l->b->len - l->start - l->extra);
}
/* Blanks up to column `col`; at least one if the line is already there, none at column 0. */
void line_to(struct line *l, int col);
/* What was written since byte `from` (with `extra` of its bytes taking no column) moves right
 * so that it ends before column `end`; at least one blank before it, none at column 0. */
void line_right(struct line *l, size_t from, int end);
static inline void line_ink(struct line *l, enum ink ink)
{
	l->extra += paint_ink(l->paint, l->b, ink);
}
static inline void line_glyph(struct line *l, enum glyph g)
{
	l->extra += paint_glyph(l->paint, l->b, g);
}
static inline void line_str(struct line *l, const char *s)
{
	buf_str(l->b, s);
}
/* Our own words in ink, and back. */
void line_word(struct line *l, enum ink ink, const char *s);
/* Hostile text (a comm): made safe, its columns counted. */
void line_safe(struct line *l, const char *s, size_t max);
/* What passes column `end` goes, and one column says so. `from`: where the text began, of which
 * one column stays. */
void line_cut(struct line *l, int from, int end);
void line_end(struct line *l);

/* A blank that becomes the end of the line, if what follows it is too long. */
struct mark {
	size_t at, extra;
};

/* A blank, where the line may be folded. */
struct mark line_mark(struct line *l);
/* Folds at the mark if the line is wider than `width`; it goes on at column `indent`. */
void line_fold(struct line *l, struct mark at, int width, int indent);
/* Takes back what was written since the mark if it passes `width`. */
void line_unless_wider(struct line *l, struct mark at, int width);

enum { TEXT_WIDTH = 80, TEXT_TIME_WIDTH = 7, TEXT_CLOCK_WIDTH = 12, TEXT_PORT_WIDTH = 5 };
static inline int text_time_width(const struct text *t)
{
	return t->wall_clock ? TEXT_CLOCK_WIDTH : TEXT_TIME_WIDTH;
}
/* What a row of a table may take: a wall clock moves all of it, not what ends it away. */
static inline int text_row_width(const struct text *t)
{
	int least = TEXT_WIDTH + text_time_width(t) - TEXT_TIME_WIDTH;

	return t->width > least ? t->width : least;
}
/* Seconds since start in 7 columns (123.456, 1234.56, ...; -0.123: seen while the hooks were being
 * attached) or HH:MM:SS.mmm in 12. */
void text_time(const struct text *t, struct line *l, uint64_t ts_ns);
/* With -T: the wall clock in a line of its own, above a picture of that moment. */
void text_clock_line(const struct text *t, struct buf *b, uint64_t ts_ns);
/* pid right-aligned to end before `pid_end`, a blank, comm: "-" and "-" when unknown. What is
 * longer than its column is cut before `comm_end`: a long pid leaves less of comm. */
void text_owner(const struct text *t, struct line *l, uint32_t proc, int pid_end, int comm_end);
/* curl[812]; "-" when unknown */
void text_proc(const struct text *t, struct line *l, uint32_t proc);
/* Who is short of something that no process owns: "the host", or the network namespace (elsewhere). */
void text_host(struct line *l, uint32_t netns, bool elsewhere);
/* The local port, an arrow for the role, the peer's endpoint: "40412→10.0.0.7:443", the port
 * ending at column `port_end`. Wide: the local endpoint in full. A listener: its endpoint. */
void text_ends(const struct text *t, struct line *l, const struct conn *c, int port_end);
enum glyph text_role_glyph(unsigned role);
/* Our own words, right-aligned to end before column `end`. */
void line_put_right(struct line *l, const char *s, int end);
/* At most 5 columns: 0 999 9999 14.2k 1.23M */
void text_size(struct buf *b, uint64_t n);
/* At most 4: 0 999 9999 14k 1.2M */
void text_size_short(struct buf *b, uint64_t n);
/* Milliseconds, no unit, three figures: 0.041 12.3 1003; "-" for a negative one */
void text_ms(struct buf *b, int64_t ns);
void text_duration(struct buf *b, int64_t ns); /* "-" for a negative one */
/* A verdict for people: "SF normal, client closed first (curl[812] close())". Without the
 * duration. Ink where it went wrong. brief: does not name the owner again. */
void text_sentence(const struct text *t, struct line *l, const struct conn *c,
		   const struct verdict *v, bool brief);
/* An endpoint: by name with -r */
void text_endpoint(const struct text *t, struct line *l, const uint8_t addr[16], uint16_t port);
unsigned text_retransmits(const struct conn *c);

#endif
