/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other network namespaces of the host: for each that can be entered, an iterator
 * over its sockets and a way to ask for one. Opened while there are privileges to
 * enter; used after they were dropped.
 */
#ifndef TCPTRAIL_SOURCE_NETNS_H
#define TCPTRAIL_SOURCE_NETNS_H

#include <stdbool.h>
#include <stdint.h>

#include "facts.h"
#include "lookup.h"

enum {
	NETNS_MAX = 256,
	NETNS_FACTS = 64, /* of so many the limits are read again; each costs descriptors */
};

struct netns {
	uint32_t inode;
	int iter_fd;           /* on_iter_tcp there; -1 once it was read: it walks once */
	struct lookup lookup;
	struct fact_files facts;
};

struct netns_set {
	struct netns *list;
	unsigned len;
	unsigned unseen;       /* that could not be entered, or past NETNS_MAX */
	unsigned hidden;       /* processes whose namespace we may not look up */
};

/* Enters each namespace but ours and comes back. iter_link: on_iter_tcp's, -1 none. rows: where
 * each one's facts go; may be NULL. 0, or -errno if there was no way back: then nothing else may be
 * done. */
int netns_open(struct netns_set *set, int iter_link, struct fact_rows *rows);
void netns_close(struct netns_set *set);
/* NULL when it is not there. */
struct netns *netns_find(struct netns_set *set, uint32_t inode);

#endif
