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

struct cgroup_paths {
	char mount[256];       /* "" where no cgroup2 is mounted */
	bool whole;            /* the mount shows the hierarchy's root */
	struct cgroup_path *known;
	unsigned len, cap;
	uint64_t walked_ns;
};

void cgroup_open(struct cgroup_paths *c);
void cgroup_close(struct cgroup_paths *c);

/* Below the mount, "/" for the root; "" if no such cgroup is (any more). Walks the tree when
 * the id is new, at most ten times a second: NULL means ask again later. */
const char *cgroup_path_of(struct cgroup_paths *c, uint64_t id, uint64_t now_ns);

/* The id and depth (root 0) of a path below the mount, or with the mount before it. 0, -ENOENT,
 * or -EOPNOTSUPP where depths cannot be told. */
int cgroup_resolve(const struct cgroup_paths *c, const char *path, uint64_t *id, uint32_t *level);

#endif
