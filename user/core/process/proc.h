/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes and cgroups, interned: a connection and its steps name them by a
 * small index. Bounded; when full, the oldest that nothing names are forgotten,
 * else index 0 (unknown) is given and counted.
 */
#ifndef TCPTRAIL_PROC_H
#define TCPTRAIL_PROC_H

#include <stdbool.h>
#include <stdint.h>

struct event_task;

enum { PROC_COMM_LEN = 16 };

struct proc {
	uint64_t cgroup;  /* cgroup v2 id, 0 unknown */
	uint32_t pid;     /* tgid; 0 only for index 0 */
	uint32_t uid;
	bool kthread;
	char comm[PROC_COMM_LEN + 1]; /* always terminated; raw bytes, escape before showing */
};

/* A cgroup id with what its path says. Strings are "" when not known. A container's own scope
 * (docker-<id>.scope) is its container, not a unit; a unit keeps systemd's escapes (\x2d), as
 * systemctl takes it. */
struct cgroup {
	uint64_t id;
	char *path;          /* below the cgroup2 mount, "/system.slice/nginx.service" */
	char container[65];  /* 64 hex digits, from the path alone */
	char pod_uid[37];    /* Kubernetes, dashes restored */
	char unit[64];       /* systemd unit, the last *.service or *.scope */
};

struct proctab;

struct proctab *proctab_new(uint32_t capacity);
void proctab_free(struct proctab *t);

/* The index of this (pid, uid, comm, cgroup); 0 when the task is empty or the table is full. */
uint32_t proc_intern(struct proctab *t, const struct event_task *task, bool kthread);
/* Never NULL; index 0 and anything out of range is the unknown process (pid 0, comm ""). */
const struct proc *proc_get(const struct proctab *t, uint32_t index);

/* NULL when the id has not been told. */
const struct cgroup *cgroup_get(const struct proctab *t, uint64_t id);
/* Tell (or replace) a path. path is copied; 0 or -ENOMEM/-E2BIG. */
int cgroup_set(struct proctab *t, uint64_t id, const char *path);
/* The next cgroup id that a process named and nobody has told yet; 0 when none. Each is given
 * once. The source looks its path up and tells it with cgroup_set() through the stream. */
uint64_t cgroup_wanted(struct proctab *t);

/* Forgetting. Only the caller knows who still names a process: when proctab_full(), it begins,
 * marks every index that connections and steps name, and sweeps; the rest are free again (an
 * index is then reused) and so are the cgroups that nobody names. Returns how many were freed. */
bool proctab_full(const struct proctab *t);
void proctab_mark_begin(struct proctab *t);
void proctab_mark(struct proctab *t, uint32_t index);
uint32_t proctab_sweep(struct proctab *t);

/* How often that was: an index kept from before the newest may be another's. */
uint64_t proctab_sweeps(const struct proctab *t);

uint32_t proctab_count(const struct proctab *t);
uint64_t proctab_refused(const struct proctab *t); /* interns that found the table full */

/* Pure: what a cgroup path tells of container, pod and unit. */
void cgroup_parse(const char *path, struct cgroup *out);

#endif
