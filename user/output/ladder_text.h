/* SPDX-License-Identifier: Apache-2.0 */
/* A ladder on a terminal or in a file: 80 columns, two uprights, one row a segment. */
#ifndef TCPTRAIL_LADDER_TEXT_H
#define TCPTRAIL_LADDER_TEXT_H

struct buf;
struct ladder;
struct text;

/* The rows alone, with their heading. */
void ladder_text_rows(const struct text *t, struct buf *b, const struct ladder *l);
/* All of it: whose, how it ended, the rows. */
void ladder_text(const struct text *t, struct buf *b, const struct ladder *l);

#endif
