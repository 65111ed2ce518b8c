/* SPDX-License-Identifier: Apache-2.0 */
/* Text to cells: what the text writers made, a character at a time. */
#ifndef TCPTRAIL_TOP_CELLS_H
#define TCPTRAIL_TOP_CELLS_H

#include <stdbool.h>
#include <stddef.h>
#include <wchar.h>

/* The colour sequence that s (of n bytes) begins with: ESC [ number m. Its bytes; 0: it is none. */
size_t cell_ink(const char *s, size_t n, unsigned *ink);
/* The character that s begins with, as it can be shown, and how many columns it takes (0: a mark
 * upon the one before, which is left out). Its bytes, at least 1. */
size_t cell_next(const char *s, size_t n, bool utf8, wchar_t *wc, int *cells);

#endif
