/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process's executable memory, as it is now: which file lies where.
 */
#ifndef TCPTRAIL_MAPS_H
#define TCPTRAIL_MAPS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/write/buf.h"

enum { MAPS = 1024 };

struct map {
	uint64_t start, end, offset;
	uint64_t inode;        /* 0: no file */
	uint32_t path;         /* in maps.paths: as the process sees it; "" where it has none */
	bool deleted;          /* the path is another file's by now, or nobody's */
};

struct maps {
	struct map maps[MAPS];
	unsigned len;
	struct buf paths;
};

/* The process that had this pid and began then (task_struct.start_boottime). 0; -ESRCH when it is
 * gone; -EACCES, -EPERM when it may not be looked at; another -errno. */
int maps_read(struct maps *m, uint32_t pid, uint64_t start_ns);
void maps_free(struct maps *m);

const struct map *maps_find(const struct maps *m, uint64_t address);
static inline const char *maps_path(const struct maps *m, const struct map *map)
{
	return m->paths.data + map->path;
}
/* The file behind it, for reading, as the process sees it: -1 when it is not there, may not be read
 * or is another by now. */
int maps_open(const struct maps *m, uint32_t pid, const struct map *map);

#endif
