/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who holds a socket: cookie -> the processes and descriptors that a snapshot saw.
 *
 * Bounded: what finds no room is counted. Emptied when the next snapshot begins, so
 * what it says is of one moment.
 */
#ifndef TCPTRAIL_HOLDERS_H
#define TCPTRAIL_HOLDERS_H

#include <stdint.h>

struct holder {
	uint32_t proc;    /* index, proc.h */
	uint32_t fd;
};

struct holders;

struct holders *holders_new(uint32_t capacity); /* holders in all */
void holders_free(struct holders *h);
void holders_clear(struct holders *h);

/* 0, -ENOSPC (counted) when it is full or memory is out. */
int holders_add(struct holders *h, uint64_t cookie, uint32_t proc, uint32_t fd);

/* How many hold it; the first `max` of them, in the order in which they were told, into out. */
uint32_t holders_get(const struct holders *h, uint64_t cookie, struct holder *out, uint32_t max);

/* Every holder in turn, for marking what is in use: i from 0 to holders_count() - 1. */
struct holder holders_at(const struct holders *h, uint32_t i);

uint32_t holders_count(const struct holders *h);   /* holders now */
uint64_t holders_refused(const struct holders *h); /* that found no room, ever */
uint64_t holders_bytes(const struct holders *h);

#endif
