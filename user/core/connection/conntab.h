/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of connections: open addressing over the cookie, a second index over
 * the tuple, records and steps in slabs. An index (never 0) is stable for as long
 * as its connection lives. Grows by doubling up to its capacity, then refuses and
 * counts. Nothing here knows TCP.
 */
#ifndef TCPTRAIL_CONNTAB_H
#define TCPTRAIL_CONNTAB_H

#include "conn.h"

struct conntab;

struct conntab *conntab_new(uint32_t capacity);
void conntab_free(struct conntab *t);

uint32_t conntab_count(const struct conntab *t);
uint64_t conntab_refused(const struct conntab *t); /* adds that found the table full */
uint64_t conntab_bytes(const struct conntab *t);   /* memory held */

struct conn *conntab_find(struct conntab *t, uint64_t cookie);
/* NULL when full, or for cookie 0. The conn is zeroed but for the cookie; one that is there
 * already is returned as it is. */
struct conn *conntab_add(struct conntab *t, uint64_t cookie);
void conntab_del(struct conntab *t, struct conn *c);

struct conn_end *conntab_end_make(struct conntab *t, struct conn *c);
/* Its end, to write to: made when there is none. When memory is out the connection is marked
 * incomplete and what is written is forgotten (c->end stays NULL); never NULL. */
static inline struct conn_end *conntab_end(struct conntab *t, struct conn *c)
{
	return c->end ? c->end : conntab_end_make(t, c);
}

uint32_t conntab_index(const struct conntab *t, const struct conn *c);
struct conn *conntab_at(struct conntab *t, uint32_t index);             /* NULL for 0 or a free one */
const struct conn *conntab_at_const(const struct conntab *t, uint32_t index);

/* The cookie of its other end on this host, also when that is gone; 0: none was known. */
uint64_t conntab_peer_cookie(const struct conntab *t, const struct conn *c);

/* The tuple index; call set when local, peer and ports are known, and again should they change. */
void conntab_set_tuple(struct conntab *t, struct conn *c);
/* The newest conn whose local end is (la, lp) and peer (pa, pp), not `except`;
 * netns 0 matches any. NULL when none. */
struct conn *conntab_find_tuple(struct conntab *t, uint32_t netns, const uint8_t *la, uint16_t lp,
				const uint8_t *pa, uint16_t pp, const struct conn *except);

/* Remember a step (first STEPS_KEEP and the latest; the middle is counted). */
void conntab_step_add(struct conntab *t, struct conn *c, const struct step *s);
/* i-th remembered, oldest first; 0 <= i < c->steps_len. */
const struct step *conntab_step(const struct conntab *t, const struct conn *c, unsigned i);

/* Walk all: start with *cursor 0; NULL at the end. Deleting the returned one is allowed. */
struct conn *conntab_next(struct conntab *t, uint32_t *cursor);

#endif
