/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cgroup2 id and its path: the id is the inode number of the directory.
 */
#ifndef TCPTRAIL_SOURCE_CGROUP_H
#define TCPTRAIL_SOURCE_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

struct cgroup_path {
	uint64_t id;
	char *path;
};

struct cgroup_walk {
	struct cgroup_path *known;
	unsigned len, cap;
};

enum { CGROUP_WALKS = 2 }; /* the last and the one before: a record may be that old */

struct cgroup_paths {
	char mount[256];       /* "" where no cgroup2 is mounted */
	bool whole;            /* the mount shows the hierarchy's root */
	bool stale;            /* a cgroup was made since the last walk */
	int watch_fd;          /* readable when one is; -1: none */
	struct cgroup_walk walks[CGROUP_WALKS];
	unsigned last;         /* of them */
	uint64_t walked_ns;
};

void cgroup_open(struct cgroup_paths *c);
void cgroup_close(struct cgroup_paths *c);

/* Learns what was made since, at most ten times a second. To be called often. */
void cgroup_look(struct cgroup_paths *c, uint64_t now_ns);

/* Below the mount, "/" for the root; "" if no such cgroup is (any more). Walks the tree when
 * the id is new, at most ten times a second: NULL means ask again later. */
const char *cgroup_path_of(struct cgroup_paths *c, uint64_t id, uint64_t now_ns);

/* The id and depth (root 0) of a path below the mount, or with the mount before it. 0, -ENOENT,
 * or -EOPNOTSUPP where depths cannot be told. */
int cgroup_resolve(const struct cgroup_paths *c, const char *path, uint64_t *id, uint32_t *level);

#endif
