/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits and counts of the host, read from /proc and told through the stream as
 * EV_FACT (core/connection/facts.h says what each is).
 */
#ifndef TCPTRAIL_SOURCE_FACTS_H
#define TCPTRAIL_SOURCE_FACTS_H

#include <stdint.h>

struct pipeline;

struct fact_row {
	uint64_t value;
	uint32_t id;       /* enum fact */
	uint32_t netns;    /* 0: of the host or a process */
	uint32_t pid;      /* 0: of no process */
};

/* Open files of /proc in one network namespace: they tell of it wherever the reader is, and
 * without a privilege. */
enum { FACT_FILES = 4 };

struct fact_files {
	int fds[FACT_FILES];   /* -1: not to be had; all 0: none was opened */
};

struct fact_rows {
	struct fact_row *rows;
	unsigned len, cap;
};

void fact_rows_free(struct fact_rows *f);

/* Each replaces what was read of the same before; what cannot be read stays as it was. */
void fact_rows_host(struct fact_rows *f);
/* Of the namespace that this thread is in. */
void fact_rows_netns(struct fact_rows *f, uint32_t inode);
/* What may change while we look. Always usable afterwards. */
void fact_files_open(struct fact_files *files);
void fact_files_close(struct fact_files *files);
void fact_rows_again(struct fact_rows *f, const struct fact_files *files, uint32_t inode);
void fact_rows_set(struct fact_rows *f, uint32_t id, uint32_t netns, uint32_t pid, uint64_t value);

/* How many timewait minisocks there are in the namespace that this thread is in. 0 or -errno. */
int fact_time_wait(uint64_t *out);

void fact_rows_tell(const struct fact_rows *f, struct pipeline *p);

#endif
