/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits and counts of the host, read from /proc and told through the stream as
 * EV_FACT (core/facts.h says what each is).
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

struct fact_rows {
	struct fact_row *rows;
	unsigned len, cap;
};

void fact_rows_free(struct fact_rows *f);

/* Each replaces what was read of the same before; what cannot be read stays as it was. */
void fact_rows_host(struct fact_rows *f);
/* Of the namespace that this thread is in. */
void fact_rows_netns(struct fact_rows *f, uint32_t inode);
/* Processes that use half of their descriptors or more, as far as we may look. */
void fact_rows_procs(struct fact_rows *f);
void fact_rows_set(struct fact_rows *f, uint32_t id, uint32_t netns, uint32_t pid, uint64_t value);

void fact_rows_tell(const struct fact_rows *f, struct pipeline *p);

#endif
