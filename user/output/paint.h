/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ink: what colour means in this house, and the two alphabets (UTF-8 and ASCII)
 * that lines and arrows are drawn in. Without colour every ink is no byte at all.
 */
#ifndef TCPTRAIL_PAINT_H
#define TCPTRAIL_PAINT_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct options;

/* A colour is a statement: nothing is coloured to be pretty. */
enum ink {
	INK_NONE,
	INK_DIM,   /* inferred, not observed; or secondary */
	INK_BOLD,  /* headings */
	INK_GOOD,  /* open and well */
	INK_WARN,  /* retransmits, half-done teardowns: look here */
	INK_BAD,   /* resets, failures, losses */
	INK_COUNT,
};

enum glyph {
	GL_OUT,        /* client, to the peer */
	GL_IN,         /* server, from the peer */
	GL_BETWEEN,    /* direction not known */
	GL_TO,         /* from one state to the next */
	GL_H,          /* lines */
	GL_V,
	GL_DASH,       /* an inferred arrow's shaft */
	GL_HEAD_RIGHT,
	GL_HEAD_LEFT,
	GL_WEAK_RIGHT, /* an inferred arrow's head */
	GL_WEAK_LEFT,
	GL_DOWN,       /* crossing arrows: left's and right's strokes */
	GL_UP,
	GL_GAP,        /* a pause in the ladder's uprights */
	GL_DOT,        /* between a phase and its time */
	GL_ABOUT,      /* inferred, before a time */
	GL_AT_LEAST,
	GL_ELLIPSIS,
	GL_TIMES,
	GL_COUNT,
};

struct paint {
	bool color;
	bool utf8;
};

/* Colour as the options decided; UTF-8 if the locale of the environment is. */
void paint_init(struct paint *p, const struct options *o);

/* Both return the bytes written that take no column: what a layout has to discount. */
size_t paint_ink(const struct paint *p, struct buf *b, enum ink ink);
size_t paint_glyph(const struct paint *p, struct buf *b, enum glyph g);
/* n of them */
size_t paint_run(const struct paint *p, struct buf *b, enum glyph g, int n);

/* The ink of a state: red for none, amber for the ones that wait for somebody. */
enum ink paint_state(unsigned state);

#endif
