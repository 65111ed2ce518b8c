/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who: (pid, uid, comm, cgroup) told once and named by a small index since. A host
 * has few processes and many connections, so a connection keeps four bytes.
 *
 * Always true: index 0 is the unknown process; an index names the same process
 * until a sweep finds it unmarked. A process that execs or moves to another
 * cgroup is another entry: what a connection's owner was is not rewritten.
 * The table is bounded; what did not fit is counted and reads as unknown.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proc.h"
#include "event.h"

enum {
	PROCS_DEFAULT = 65536,
	PROCS_MAX = 1 << 24,
	CGROUP_PATH_MAX = 4096, /* PATH_MAX: the kernel shows no longer one */
};

enum { CG_FREE, CG_UNASKED, CG_ASKED, CG_TOLD };

struct proc_slot {
	struct proc proc;
	uint32_t next;  /* in its bucket, or in the free list */
	bool used, marked;
};

struct cgroup_slot {
	struct cgroup cgroup;
	uint32_t next;
	uint8_t phase;  /* CG_* */
	bool marked;
};

struct proctab {
	uint32_t capacity;      /* of procs, and of cgroups; index 0 not counted */
	uint32_t count, fresh, free;
	uint32_t cg_fresh, cg_free;
	uint32_t unasked;       /* cgroups in CG_UNASKED */
	uint32_t ask_at;        /* where to look for the next of them */
	uint32_t mask;          /* of both bucket arrays */
	uint32_t room, cg_room; /* allocated */
	uint64_t refused, sweeps;
	struct proc_slot *procs;
	struct cgroup_slot *cgroups;
	uint32_t *buckets, *cg_buckets;
};

static const struct proc unknown;

static uint32_t mix(uint64_t x)
{
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93;
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93;
	return (uint32_t)(x >> 32);
}

struct proctab *proctab_new(uint32_t capacity)
{
	struct proctab *t = calloc(1, sizeof(*t));
	uint32_t buckets = 64;

	if (!t)
		return NULL;
	t->capacity = capacity ? capacity : PROCS_DEFAULT;
	if (t->capacity > PROCS_MAX)
		t->capacity = PROCS_MAX;
	while (buckets < t->capacity && buckets < 65536)
		buckets *= 2;
	t->mask = buckets - 1;
	t->fresh = t->cg_fresh = 1;
	t->buckets = calloc(buckets, sizeof(*t->buckets));
	t->cg_buckets = calloc(buckets, sizeof(*t->cg_buckets));
	if (!t->buckets || !t->cg_buckets) {
		proctab_free(t);
		return NULL;
	}
	return t;
}

void proctab_free(struct proctab *t)
{
	if (!t)
		return;
	for (uint32_t i = 1; i < t->cg_fresh; i++)
		free(t->cgroups[i].cgroup.path);
	free(t->procs);
	free(t->cgroups);
	free(t->buckets);
	free(t->cg_buckets);
	free(t);
}

/* Room for index `fresh` in an array that doubles up to the capacity. */
static int array_room(void **array, uint32_t *room, uint32_t fresh, uint32_t capacity, size_t size)
{
	uint64_t want = *room ? (uint64_t)*room * 2 : 64;
	void *p;

	if (fresh < *room)
		return 0;
	if (want > (uint64_t)capacity + 1)
		want = (uint64_t)capacity + 1;
	if (fresh >= want)
		return -E2BIG;
	p = realloc(*array, want * size);
	if (!p)
		return -ENOMEM;
	*array = p;
	*room = (uint32_t)want;
	return 0;
}

static uint32_t cgroup_find(const struct proctab *t, uint64_t id)
{
	uint32_t i = t->cg_buckets[mix(id) & t->mask];

	while (i && t->cgroups[i].cgroup.id != id)
		i = t->cgroups[i].next;
	return i;
}

/* 0 when there is no room. */
static uint32_t cgroup_add(struct proctab *t, uint64_t id)
{
	uint32_t *bucket = &t->cg_buckets[mix(id) & t->mask];
	uint32_t i = t->cg_free;

	if (i) {
		t->cg_free = t->cgroups[i].next;
	} else {
		if (array_room((void **)&t->cgroups, &t->cg_room, t->cg_fresh, t->capacity,
			       sizeof(*t->cgroups)))
			return 0;
		i = t->cg_fresh++;
	}
	t->cgroups[i] = (struct cgroup_slot){ .cgroup.id = id, .next = *bucket, .phase = CG_UNASKED };
	t->unasked++;
	*bucket = i;
	return i;
}

static bool same(const struct proc *p, const struct event_task *task, bool kthread)
{
	return p->pid == task->pid && p->uid == task->uid && p->cgroup == task->cgroup &&
	       p->kthread == kthread && !strncmp(p->comm, task->comm, PROC_COMM_LEN);
}

uint32_t proc_intern(struct proctab *t, const struct event_task *task, bool kthread)
{
	uint32_t *bucket = &t->buckets[mix(task->pid ^ task->cgroup << 32) & t->mask];
	struct proc_slot *slot;
	uint32_t i;

	if (!task->pid)
		return 0;
	for (i = *bucket; i; i = t->procs[i].next)
		if (same(&t->procs[i].proc, task, kthread))
			return i;
	if (t->free) {
		i = t->free;
		t->free = t->procs[i].next;
	} else if (!array_room((void **)&t->procs, &t->room, t->fresh, t->capacity,
			       sizeof(*t->procs))) {
		i = t->fresh++;
	} else {
		t->refused++;
		return 0;
	}
	slot = &t->procs[i];
	*slot = (struct proc_slot){ .next = *bucket, .used = true };
	slot->proc = (struct proc){ .cgroup = task->cgroup, .pid = task->pid, .uid = task->uid,
				    .kthread = kthread };
	memcpy(slot->proc.comm, task->comm, strnlen(task->comm, PROC_COMM_LEN));
	*bucket = i;
	t->count++;
	if (task->cgroup && !cgroup_find(t, task->cgroup))
		cgroup_add(t, task->cgroup);
	return i;
}

const struct proc *proc_get(const struct proctab *t, uint32_t index)
{
	if (!t || !index || index >= t->fresh || !t->procs[index].used)
		return &unknown;
	return &t->procs[index].proc;
}

const struct cgroup *cgroup_get(const struct proctab *t, uint64_t id)
{
	uint32_t i = t && id ? cgroup_find(t, id) : 0;

	return i && t->cgroups[i].phase == CG_TOLD ? &t->cgroups[i].cgroup : NULL;
}

int cgroup_set(struct proctab *t, uint64_t id, const char *path)
{
	size_t n = strnlen(path, CGROUP_PATH_MAX);
	struct cgroup_slot *slot;
	char *copy;
	uint32_t i;

	if (n == CGROUP_PATH_MAX || !id)
		return -E2BIG;
	copy = strndup(path, n);
	if (!copy)
		return -ENOMEM;
	i = cgroup_find(t, id);
	if (!i)
		i = cgroup_add(t, id);
	if (!i) {
		free(copy);
		return -ENOMEM;
	}
	slot = &t->cgroups[i];
	if (slot->phase == CG_UNASKED)
		t->unasked--;
	free(slot->cgroup.path);
	cgroup_parse(copy, &slot->cgroup);
	slot->cgroup.id = id;
	slot->cgroup.path = copy;
	slot->phase = CG_TOLD;
	return 0;
}

uint64_t cgroup_wanted(struct proctab *t)
{
	while (t->unasked) {
		if (++t->ask_at >= t->cg_fresh)
			t->ask_at = 1;
		if (t->cgroups[t->ask_at].phase == CG_UNASKED) {
			t->cgroups[t->ask_at].phase = CG_ASKED;
			t->unasked--;
			return t->cgroups[t->ask_at].cgroup.id;
		}
	}
	return 0;
}

bool proctab_full(const struct proctab *t)
{
	return t->count >= t->capacity;
}

uint32_t proctab_count(const struct proctab *t)
{
	return t->count;
}

uint64_t proctab_refused(const struct proctab *t)
{
	return t->refused;
}

void proctab_mark_begin(struct proctab *t)
{
	for (uint32_t i = 1; i < t->fresh; i++)
		t->procs[i].marked = false;
	for (uint32_t i = 1; i < t->cg_fresh; i++)
		t->cgroups[i].marked = false;
}

void proctab_mark(struct proctab *t, uint32_t index)
{
	if (index && index < t->fresh)
		t->procs[index].marked = true;
}

static void sweep_cgroups(struct proctab *t)
{
	for (uint32_t b = 0; b <= t->mask; b++) {
		for (uint32_t *link = &t->cg_buckets[b]; *link;) {
			uint32_t i = *link;
			struct cgroup_slot *slot = &t->cgroups[i];

			if (slot->marked) {
				link = &slot->next;
				continue;
			}
			*link = slot->next;
			if (slot->phase == CG_UNASKED)
				t->unasked--;
			free(slot->cgroup.path);
			*slot = (struct cgroup_slot){ .next = t->cg_free };
			t->cg_free = i;
		}
	}
}

uint32_t proctab_sweep(struct proctab *t)
{
	uint32_t before = t->count, cg;

	t->sweeps++;
	for (uint32_t b = 0; b <= t->mask; b++) {
		for (uint32_t *link = &t->buckets[b]; *link;) {
			uint32_t i = *link;
			struct proc_slot *slot = &t->procs[i];

			if (slot->marked) {
				cg = cgroup_find(t, slot->proc.cgroup);
				if (cg)
					t->cgroups[cg].marked = true;
				link = &slot->next;
				continue;
			}
			*link = slot->next;
			*slot = (struct proc_slot){ .next = t->free };
			t->free = i;
			t->count--;
		}
	}
	sweep_cgroups(t);
	return before - t->count;
}

uint64_t proctab_sweeps(const struct proctab *t)
{
	return t->sweeps;
}
