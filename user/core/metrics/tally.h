/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts by name, for labels that must stay few: the names with the most are told by
 * name, all others together as "other". A name that has a place keeps it while it has
 * anything to count, so that series do not come and go with each scrape.
 */
#ifndef TCPTRAIL_TALLY_H
#define TCPTRAIL_TALLY_H

#include <stdbool.h>
#include <stdint.h>

enum {
	TALLY_PLACES = 20,   /* names that are told */
	TALLY_NAMES = 16384, /* names that are counted apart; what comes after them is "other" */
	TALLY_NAME_LEN = 128, /* namespace/pod/container */
	TALLY_COLUMNS = 13, /* counts of a name: by state */
};

struct tally_entry {
	char name[TALLY_NAME_LEN];
	uint64_t total;
	uint64_t count[TALLY_COLUMNS];
};

struct tally {
	struct tally_entry *entries;
	uint32_t *slots; /* hash -> index + 1 */
	uint32_t len, room, nslots;
	uint64_t other[TALLY_COLUMNS];		   /* for which there was no room */
	char places[TALLY_PLACES][TALLY_NAME_LEN]; /* "" free */
	struct tally_entry top[TALLY_PLACES + 1]; /* tally_settle() fills it; the last is "other" */
	bool has_other;
};

void tally_free(struct tally *t);
/* Counts anew. The places stay. */
void tally_clear(struct tally *t);
/* Never fails: without memory it is counted as "other". */
void tally_add(struct tally *t, const char *name, unsigned column, uint64_t n);
/* Gives out the places and fills top[]; entries without a name are free. */
void tally_settle(struct tally *t);

/* A counter by name: a place once given stays, so that it never runs back. Returns the place, or
 * TALLY_PLACES for "other". */
unsigned tally_place_forever(char places[TALLY_PLACES][TALLY_NAME_LEN], const char *name);

#endif
