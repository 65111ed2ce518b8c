/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The textbook's ladder as data: rows between a left end (the client) and a right
 * end (the server), from one connection or from both its ends on this host. Pure;
 * drawn by output/ladder_text.c (and later as SVG).
 */
#ifndef TCPTRAIL_LADDER_H
#define TCPTRAIL_LADDER_H

#include "connection/conn.h"
#include "connection/conntab.h"

enum { LADDER_ROWS = 112, LADDER_LABEL = 64, LADDER_NOTE = 80 };

enum ladder_dir {
	LADDER_TEXT,    /* no segment: a state, a note at one side */
	LADDER_RIGHT,
	LADDER_LEFT,
	LADDER_CROSS,   /* both ends send: label is the left's, note the right's */
	LADDER_CROSSED, /* ... and both receive */
	LADDER_SPAN,    /* time passes: data, a half-close */
};

enum ladder_side { LADDER_AT_LEFT, LADDER_AT_RIGHT, LADDER_AT_MIDDLE };

struct ladder_row {
	uint64_t at_ns;        /* from the ladder's start */
	uint8_t dir;           /* enum ladder_dir */
	uint8_t side;          /* enum ladder_side: whose note this is */
	bool no_time;          /* at_ns is only its place in the order */
	bool dashed;           /* inferred, not observed */
	bool lost;             /* sent, and nothing came of it: a later row sends it again, or gives up */
	uint8_t left_state;    /* entered by the left end in this row, ST_NONE if no change */
	uint8_t right_state;
	bool left_known;       /* the state was observed at that end, not deduced by RFC 9293 */
	bool right_known;
	char label[LADDER_LABEL]; /* "SYN seq=1000", "SYN+ACK seq=7 ack=1001", "FIN seq=…", "RST" */
	char note[LADDER_NOTE];   /* "close() by curl[812]"; LADDER_CROSS: the right's label */
};

/* One end with its steps, in one piece: outlives the table's entry. */
struct ladder_end {
	struct conn conn;
	struct conn_end end; /* conn.end points to it: an end stays where it was copied to */
	struct step steps[STEPS_LARGE];
};

void ladder_end_copy(struct ladder_end *e, const struct conntab *t, const struct conn *c);

struct ladder {
	struct ladder_row rows[LADDER_ROWS];
	unsigned len;
	unsigned dropped;      /* rows for which there was no room */
	uint64_t start_ns;     /* monotonic */
	const struct ladder_end *left, *right; /* NULL: that end is not on this host (or not seen) */
	bool roles_known;      /* left is the client, right the server */
	bool unseen;           /* older than the tracer: no handshake to show */
};

struct proctab;

/* What turns the steps' numbers into names; each part may be NULL. drop_reason: the kernel's name of
 * an enum skb_drop_reason, "" or NULL where it is not known. */
struct ladder_names {
	const struct proctab *procs;
	const char *(*drop_reason)(const void *arg, unsigned reason);
	const void *arg;
};

/* a: an end; b: its pair on this host or NULL. Keeps pointers to a and b. */
void ladder_build(struct ladder *l, const struct ladder_names *names, const struct ladder_end *a,
		  const struct ladder_end *b);

#endif
