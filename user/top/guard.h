/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who gives the terminal back when this program cannot: killed, crashed. A process of its own
 * that waits for our end, and does nothing else.
 */
#ifndef TCPTRAIL_TOP_GUARD_H
#define TCPTRAIL_TOP_GUARD_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct guard;

/* Before anything else is opened; the terminal is as it should be again, terminfo is set up.
 * What is written to stderr from now on waits, if that is a terminal (guard_stderr()). 0, or -1
 * with errno. */
int guard_start(struct guard **out, int tty_fd);
/* The screen is ours now (true), or given back. */
void guard_screen(struct guard *g, bool on);
/* All is given back: what waited for stderr is written there, then more; it has nothing left to
 * do. NULL-safe. */
void guard_end(struct guard *g);
/* A line for stderr, when the terminal is free again; at once where stderr is no terminal. */
void guard_say(struct guard *g, const char *line, size_t len);

#endif
