/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the ladder's files share.
 *
 *   ladder.c       which end stands where; ladder_build() from beginning to end
 *   ladder_read.c  an end's own steps -> segments sent and received, notes
 *   ladder_infer.c what nobody saw but must have been; the end that is not here
 *   ladder_rows.c  segments -> rows in the order of time
 */
#ifndef TCPTRAIL_LADDER_IMPL_H
#define TCPTRAIL_LADDER_IMPL_H

#include <stddef.h>

#include "ladder.h"

enum { LEFT, RIGHT, SIDES };

/* The segments that a textbook names. Each side sends each at most once; what is sent again is a
 * row of its own. */
enum seg_kind { SEG_SYN, SEG_SYNACK, SEG_ACK, SEG_FIN, SEG_FINACK, SEG_RST, SEG_KINDS, SEG_NONE };

/* Its place among rows of the same time; notes go before what they cause. */
enum rank {
	RANK_START = 0,
	RANK_SYN = 10,
	RANK_SYNACK = 20,
	RANK_ACK = 30,
	RANK_MIDDLE = 40,
	RANK_DATA = 45,
	RANK_FIN_1 = 50,
	RANK_ACK_1 = 60,
	RANK_HALF = 65,
	RANK_FIN_2 = 70,
	RANK_ACK_2 = 80,
	RANK_RST = 90,
	RANK_END = 100,
};

struct segment {
	bool there;
	bool sent_seen, received_seen; /* by an event of that end */
	bool answered;                 /* somebody acted on it */
	bool no_time;                  /* guess_ns only says where it stands */
	uint64_t sent_ns, received_ns; /* where seen */
	uint64_t guess_ns;             /* where it must be, if nobody saw it; 0 no idea */
	uint8_t sent_state, received_state;
	bool state_deduced;            /* received_state is not that end's own word */
};

/* A row before it is sorted. */
struct draft {
	uint64_t ns;
	uint16_t rank;
	uint8_t seg;   /* enum seg_kind that this row delivers, SEG_NONE */
	uint8_t from;
	struct ladder_row row;
};

struct build {
	struct ladder *l;
	const struct ladder_names *names;
	const struct ladder_end *end[SIDES];
	struct segment seg[SIDES][SEG_KINDS];
	uint32_t isn[SIDES], fin[SIDES];
	bool has_isn[SIDES], has_fin[SIDES];
	bool established, simultaneous, crossing;
	bool fin_again[SIDES];   /* its FIN was retransmitted */
	uint8_t first_fin;       /* LEFT, RIGHT, SIDES: none */
	uint8_t begin[SIDES];    /* the state before the first row; ST_NONE not known */
	struct draft draft[LADDER_ROWS];
	unsigned n;
};

/* A fresh draft, or NULL when there is no room (counted). */
struct draft *build_add(struct build *b, uint64_t ns, enum rank rank);
/* "text" or "text by comm[pid]" at a side. */
void build_note(struct build *b, uint64_t ns, unsigned rank, unsigned side, const char *text,
		uint32_t proc);
/* Hostile bytes as one column each; out holds max + 1. */
void build_safe(char *out, size_t max, const char *name);
enum rank build_rank(const struct build *b, unsigned from, enum seg_kind kind);

static inline uint64_t seg_ns(const struct segment *s)
{
	return s->sent_seen ? s->sent_ns : s->received_seen ? s->received_ns : s->guess_ns;
}

static inline void ladder_set_state(struct ladder_row *r, unsigned side, uint8_t state, bool known)
{
	if (state == ST_NONE)
		return;
	*(side == LEFT ? &r->left_state : &r->right_state) = state;
	*(side == LEFT ? &r->left_known : &r->right_known) = known;
}

void ladder_read_end(struct build *b, unsigned side);
void ladder_complete(struct build *b);
void ladder_emit(struct build *b);
/* Fills in the states of the end that is not here; order: the drafts by time. */
void ladder_deduce(struct build *b, struct draft *const *order, unsigned far);

#endif
