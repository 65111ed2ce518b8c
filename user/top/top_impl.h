/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of `top`, shared by user/top/ and nobody else.
 *
 *   view.c      the session's callbacks, when to look and when to draw
 *   keys.c      what each key does
 *   frame.c     where each pane lies; the first two lines and the last one
 *   counts.c    what is open and what moved, now and over the last minute
 *   states.c, findings.c, conns.c, ladder.c, help.c   a pane each
 *   order.c     which connections, in which order: the part that is on the screen
 *   prompt.c    the filter's line
 *   kill.c      closes one connection, when it was asked for twice
 *   screen.c, cells.c, guard.c   the terminal
 */
#ifndef TCPTRAIL_TOP_IMPL_H
#define TCPTRAIL_TOP_IMPL_H

#include "../core/filter/filter.h"
#include "../core/ladder/ladder.h"
#include "../output/stuck.h"
#include "../output/text.h"
#include "screen.h"

enum {
	COLS_MIN = 80,
	ROWS_MIN = 20,
	SAMPLES = 61,		/* one a second */
	TREND_MAX = 30,		/* columns */
	RATE_S = 4,		/* a rate is over the last so many seconds */
	ENDED_KEPT = 256,	/* ladders of connections that are gone */
	FROZEN_MAX = 16384,	/* connections that a pause keeps */
	FILTER_TEXT = 512,
	MESSAGE = 512,
	MESSAGE_S = 10,
	ROWS_KEPT = 512,	/* rows of a very tall screen */
};

enum pane { PANE_CONNS, PANE_FINDINGS, PANES };
enum overlay { OVER_NONE, OVER_LADDER, OVER_FINDING, OVER_HELP };

struct box {
	int y, x, h, w;
};

/* Counted from the callbacks: only what the FILTERs want. */
struct moved {
	uint64_t entered[ST_COUNT];
	uint64_t opened, ended, retransmits, resets;
};

struct sample {
	uint64_t at_ns;
	uint64_t count[ST_COUNT];
	struct moved moved;
};

/* A connection's place: the smaller (hi, lo, tie) stands first. */
struct order_key {
	uint64_t hi, lo, tie;
	uint32_t at; /* where it is: order.c */
};

/* A connection that outlives its place in the table. */
struct copied {
	struct conn c;
	struct conn_end end; /* c.end points to it */
};

struct conn_row {
	struct copied copy;
	uint8_t severity, kind; /* of its finding; SEV_NONE */
};

struct ended {
	uint64_t cookie;
	struct ladder_end end, other;
	bool has_other;
	uint64_t sweeps; /* the table of processes' then */
};

/* What hangs, by cookie. */
struct hung {
	uint64_t cookie;
	uint32_t item; /* of the report */
};

struct conns_pane {
	struct order_key *keys;
	uint32_t nkeys, keys_cap;
	unsigned sort; /* order.c's table */
	bool reverse;
	uint64_t cookie;    /* of the selected one; 0 none */
	uint32_t selected;  /* its place */
	uint32_t offset;    /* of the first row shown */
	bool follows;	    /* the selection stays with its connection, not at the top */
	unsigned page;	    /* rows there is room for */
	struct conn_row rows[ROWS_KEPT];
	unsigned nrows;
};

struct prompt {
	bool open;
	char text[FILTER_TEXT], before[FILTER_TEXT];
	unsigned len, at;
	char error[FILTER_MESSAGE_LEN + FILTER_TOKEN_LEN + 32];
};

/* One connection's ladder, over the panes. */
struct ladder_pane {
	struct ladder ladder;
	struct ladder_end a, other;
	uint64_t cookie, other_cookie;
	bool known, over, has_other;
};

/* What is said on the last line. */
struct message {
	char text[MESSAGE];
	bool bad;
	uint64_t at_ns; /* monotonic */
};

/* When, and what it cost; monotonic ns. */
struct pace {
	uint64_t drawn_ns, draw_cost_ns, looked_ns, look_cost_ns;
	uint64_t drawn_activity; /* events then */
	bool due;
};

struct top {
	struct session *s;
	struct screen *screen;
	struct text text;
	struct buf b; /* a piece of a line in the making */

	enum pane pane;
	enum overlay over;
	unsigned scroll, scroll_max; /* of what is over the panes */
	uint64_t paused_ns;	     /* the stream's time */
	bool paused, killing, in_snapshot, stuck_due;

	struct filter *filter; /* typed; NULL: all */
	char filter_text[FILTER_TEXT];
	struct prompt prompt;

	struct moved moved;
	struct sample samples[SAMPLES], shown; /* shown: the newest, or the pause's */
	uint64_t nsamples;

	struct stuck_view stuck;
	struct hung *hung;
	uint32_t nhung, hung_cap;
	uint32_t finding; /* selected */
	uint32_t nfrozen, frozen_of;
	struct copied *frozen;
	struct conns_pane conns;

	struct ended *ended; /* ENDED_KEPT, a ring */
	uint64_t nended;
	struct ladder_pane ladder;

	struct conn victim; /* as it was when it was asked for */
	struct message message;
	struct pace pace;
};

/* --- view.c --- */
uint64_t top_clock(void); /* CLOCK_MONOTONIC */
/* The stream's time that is on the screen. */
uint64_t top_now(const struct top *v);
void top_draw(struct top *v);
void top_pause(struct top *v, bool on);
const struct ended *top_ended(const struct top *v, uint64_t cookie);

/* --- counts.c --- */
void counts_change(struct top *v, const struct conn *c, const struct change *ch);
/* A second has passed? Then a sample. */
void counts_sample(struct top *v);
void counts_forget(struct top *v); /* another filter */
/* Fills v->shown with now. */
void counts_now(struct top *v);
double counts_rate(const struct top *v, size_t offset); /* of a member of struct moved */
/* One column for each part of the last minute, the newest last, 0 to 1000 of the highest. */
void counts_trend(const struct top *v, unsigned state, unsigned columns, uint32_t *out);
void counts_put_rate(struct buf *b, double rate);

/* --- frame.c --- */
/* What is in v->b, clipped; v->b is empty again. */
void put(struct top *v, int y, int x, int w, unsigned look);
void put_right(struct top *v, int y, int end, unsigned look);
/* Words of v->b over lines from (box->y + line) on, `indent` from the second on. The next line. */
int put_wrapped(struct top *v, const struct box *box, int line, int indent);
/* The lines of v->b from v->scroll on; sets v->scroll_max. */
void put_scrolled(struct top *v, const struct box *box);
void put_heading(struct top *v, const struct box *box, const char *title, bool active);
void frame_draw(struct top *v);
void say(struct top *v, bool bad, const char *what);

/* --- a pane each --- */
void states_draw(struct top *v, const struct box *box);
void findings_collect(struct top *v);
void findings_draw(struct top *v, const struct box *box);
void findings_open(struct top *v);
void findings_detail(struct top *v, const struct box *box);
void findings_key(struct top *v, int key);
const struct stuck_item *findings_of(const struct top *v, uint64_t cookie); /* NULL: none */
void conns_draw(struct top *v, const struct box *box);
void conns_key(struct top *v, int key);
const struct conn *conns_selected(struct top *v); /* NULL: none */
void ladder_open(struct top *v, const struct conn *c);
void ladder_draw(struct top *v, const struct box *box);
void help_draw(struct top *v, const struct box *box);

/* --- order.c --- */
/* The rows of the page are found, and the selection with it. */
void order_page(struct top *v);
const char *order_name(unsigned sort);
unsigned order_next(unsigned sort);
enum {
	SORT_STUCK,
	SORT_STATE,
	SORT_AGE,
	SORT_OWNER,
	SORT_PEER,
	SORT_SENT,
	SORT_RECEIVED,
	SORT_RTT,
	SORT_RETRANSMITS,
	SORTS,
};
/* Runs f on every connection that the FILTERs want, TIME_WAIT's minisocks too. */
void order_each(struct top *v, void (*f)(struct top *v, const struct conn *c, uint32_t at,
					 void *arg), void *arg);
void order_copy(struct copied *into, const struct conn *c);
/* The report's i-th TIME_WAIT is over by now. */
bool order_expired(const struct top *v, uint32_t i);
/* All that are wanted, as they are now: v->frozen. */
void order_freeze(struct top *v);
void order_thaw(struct top *v);

/* --- prompt.c --- */
void prompt_open(struct top *v);
void prompt_key(struct top *v, int key);
void prompt_draw(struct top *v, int y, int *cursor);

/* --- kill.c --- */
void kill_ask(struct top *v);
void kill_answer(struct top *v, int key);

/* --- keys.c --- */
void keys_turn(struct top *v, bool *any);

#endif
