/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terminal: the only place that knows curses. Cells go in, what has changed since the
 * last picture goes to the session's sink; keys come out.
 */
#ifndef TCPTRAIL_TOP_SCREEN_H
#define TCPTRAIL_TOP_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

#include "../output/sink.h"

struct screen;

/* A cell's looks beside its ink. */
enum { LOOK_PLAIN, LOOK_BOLD = 1, LOOK_REVERSE = 2, LOOK_DIM = 4, LOOK_BAD = 8, LOOK_WARN = 16 };

/* What screen_key() gives: a code point, or one of these. */
enum {
	KEY_IS_NONE = -1,
	KEY_IS_ENTER = '\r',
	KEY_IS_ESC = 27,
	KEY_IS_UP = 0x200000,
	KEY_IS_DOWN,
	KEY_IS_LEFT,
	KEY_IS_RIGHT,
	KEY_IS_PAGE_UP,
	KEY_IS_PAGE_DOWN,
	KEY_IS_HOME,
	KEY_IS_END,
	KEY_IS_BACKSPACE,
	KEY_IS_DELETE,
	KEY_IS_BACKTAB,
	KEY_IS_OTHER,
};

/* Asks whether stdout is a terminal that this can draw on, and finds the keyboard. 0, or -1 with
 * one line in msg; nothing is changed yet. color: where the terminal has it. */
int screen_new(struct screen **out, bool color, char *msg, size_t len);
/* Takes the terminal over. From now on stdout is out's, and nothing else may write there. 0, or
 * -errno. */
int screen_open(struct screen *s, struct sink *out);
/* The last bytes of the screen go to the sink: what was there before is shown again. */
void screen_leave(struct screen *s);
/* The terminal's modes as they were, once the sink is written out. NULL-safe. */
void screen_free(struct screen *s);
/* For stderr: said when the terminal is free again. */
void screen_note(struct screen *s, const char *text, size_t len);
/* For a while somebody else's (the shell's), and back. */
void screen_suspend(struct screen *s);
void screen_resume(struct screen *s);

int screen_fd(const struct screen *s);    /* the keyboard's */
bool screen_gone(const struct screen *s); /* nobody is at the keyboard any more */
bool screen_color(const struct screen *s);
bool screen_utf8(const struct screen *s);
int screen_rows(const struct screen *s);
int screen_cols(const struct screen *s);
/* Did the size change since the last call? */
bool screen_resized(struct screen *s);
/* KEY_IS_NONE when none waits. Never waits. */
int screen_key(struct screen *s);

/* The picture is made anew between begin and end; end sends the difference. Nothing is sent while
 * the terminal has not taken the one before: screen_ready(). */
bool screen_ready(const struct screen *s);
void screen_begin(struct screen *s);
/* cursor at y, x; y < 0: none is shown */
void screen_end(struct screen *s, int y, int x);
/* The next picture is sent whole (^L). */
void screen_repaint(struct screen *s);

/* At most `width` columns of text (UTF-8 with paint's colours, made safe already); what is
 * longer ends in a mark. Other control bytes and what is no UTF-8 come as '?'. The number of
 * columns written. */
int screen_text(struct screen *s, int y, int x, int width, const char *text, size_t len,
		unsigned look);
void screen_fill(struct screen *s, int y, int x, int width, unsigned look);
/* How many columns text would take. */
int screen_columns(const struct screen *s, const char *text, size_t len);

#endif
