/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The replay's own state, shared by replay*.c and nobody else.
 */
#ifndef TCPTRAIL_REPLAY_H
#define TCPTRAIL_REPLAY_H

#include "event.h"
#include "source.h"
#include "tape.h"

enum { REPLAY_HOOKS = 64, REPLAY_REASONS = 256, REPLAY_FILES = 16 };

/* One file that is being merged. */
struct deck {
	struct tape tape;
	struct record next;     /* what comes, if has_next */
	bool has_next, has_begin;
	bool in_snapshot;       /* between its EV_SNAPSHOT_BEGIN and _END: nothing comes between */
	bool past_preamble;
	uint64_t ts_ns;         /* of what comes, on the first host's clock */
	int64_t shift_ns;       /* what is added to its times */
	unsigned host;          /* 0: the first file's; others' numbers are kept apart */
	char boot[40];          /* which boot of which host; "" not told */
	char host_name[72];     /* "" not told */
	char kernel[80];
	char command[24];
	struct rec_begin begin;
};

struct replay {
	struct source source;   /* first: ops get this pointer */
	struct replay_info info;
	struct deck *decks;
	unsigned ndecks;
	bool finished;          /* REC_FINISH of the only file was read */
	bool told_stats;        /* ... and the first REC_STATS behind it */
	uint64_t gaps;          /* events that are in none of the files */
	uint64_t last_ns;       /* newest time that was fed */
	struct hook_info hooks[REPLAY_HOOKS];
	char *hook_words[REPLAY_HOOKS];  /* what they point into */
	char *reasons[REASON_SETS][REPLAY_REASONS];
};

/* replay_open.c: the preamble of a deck. 0 or -errno with a line in msg. */
int replay_preamble(struct replay *r, struct deck *d, char *msg, size_t msg_len);
void replay_forget(struct replay *r);
/* The next record of a deck into d->next. As tape_next(). */
int deck_next(struct deck *d, char *msg, size_t msg_len);

/* replay_clock.c: how far each host's clock is ahead of the first's, by the connections that both
 * recorded; said on stderr and taken off d->shift_ns. 0 or -errno with a line in msg. */
int replay_clocks(struct replay *r, unsigned hosts, char *msg, size_t msg_len);

/* replay_hosts.c: which decks are of one host, and how far apart the clocks are. */
int replay_align(struct replay *r, char *msg, size_t msg_len);
/* The same event as one of the first host's clock and of a host of its own. */
void replay_translate(const struct deck *d, struct event *e);

/* replay.c. Takes the files. */
int source_replay_open(struct source **out, FILE *const *files, const char *const *names,
		       unsigned n, char *msg, size_t msg_len);

#endif
