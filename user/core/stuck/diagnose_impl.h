/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What diagnose_*.c share: the pieces that a template may name.
 */
#ifndef TCPTRAIL_DIAGNOSE_IMPL_H
#define TCPTRAIL_DIAGNOSE_IMPL_H

#include "diagnose.h"

struct told_piece {
	const char *name;
	/* Appends it; false when it is not known (what was appended is then of no account in an
	 * optional part, and a word of its own elsewhere). */
	bool (*put)(struct buf *b, const struct told *t);
};

extern const struct told_piece told_pieces[];
extern const unsigned told_piece_count;

#endif
