/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Facts as they come in the stream, kept by what they are of.
 *
 * A few namespaces and a few thousand processes at most, each looked for in a short
 * array; what is past the bound is not kept, and its rules then say nothing. Every
 * number comes from a record that anybody may have written: ids are range-checked.
 */
#include <stdlib.h>

#include "event.h"
#include "facts.h"

enum { NETNS_FACTS = FACT_FIRST_PROC - FACT_FIRST_NETNS };

struct netns_facts {
	uint32_t netns;
	uint64_t value[NETNS_FACTS];
};

struct sysfacts {
	uint64_t host[FACT_FIRST_NETNS], later[FACT_COUNT - FACT_FIRST_LATER];
	struct netns_facts netns[FACTS_NETNS];
	struct proc_fds procs[FACTS_PROCS];
	unsigned nnetns, nprocs;
};

struct sysfacts *facts_new(void)
{
	struct sysfacts *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	for (unsigned i = 0; i < FACT_FIRST_NETNS; i++)
		f->host[i] = FACT_UNKNOWN;
	for (unsigned i = 0; i < FACT_COUNT - FACT_FIRST_LATER; i++)
		f->later[i] = FACT_UNKNOWN;
	return f;
}

void facts_free(struct sysfacts *f)
{
	free(f);
}

static struct netns_facts *netns_of(struct sysfacts *f, uint32_t netns)
{
	struct netns_facts *n;

	for (unsigned i = 0; i < f->nnetns; i++)
		if (f->netns[i].netns == netns)
			return &f->netns[i];
	if (f->nnetns == FACTS_NETNS)
		return NULL;
	n = &f->netns[f->nnetns++];
	n->netns = netns;
	for (unsigned i = 0; i < NETNS_FACTS; i++)
		n->value[i] = FACT_UNKNOWN;
	return n;
}

static struct proc_fds *proc_of(struct sysfacts *f, uint32_t pid)
{
	for (unsigned i = 0; i < f->nprocs; i++)
		if (f->procs[i].pid == pid)
			return &f->procs[i];
	if (f->nprocs == FACTS_PROCS)
		return NULL;
	f->procs[f->nprocs] =
		(struct proc_fds){.pid = pid, .used = FACT_UNKNOWN, .limit = FACT_UNKNOWN};
	return &f->procs[f->nprocs++];
}

void facts_forget_procs(struct sysfacts *f)
{
	f->nprocs = 0;
}

void facts_take(struct sysfacts *f, const struct event *e)
{
	uint32_t id = e->extra.fact.id;
	uint64_t value = e->extra.fact.value;

	if (id == FACT_NONE || id >= FACT_COUNT)
		return;
	if (id < FACT_FIRST_NETNS) {
		f->host[id] = value;
	} else if (id < FACT_FIRST_PROC) {
		struct netns_facts *n = netns_of(f, e->netns);

		if (n)
			n->value[id - FACT_FIRST_NETNS] = value;
	} else if (id >= FACT_FIRST_LATER) {
		f->later[id - FACT_FIRST_LATER] = value;
	} else {
		struct proc_fds *p = proc_of(f, e->task.pid);

		if (p && id == FACT_FD_USED)
			p->used = value;
		else if (p)
			p->limit = value;
	}
}

uint64_t facts_get(const struct sysfacts *f, enum fact id, uint32_t netns)
{
	const struct netns_facts *n = NULL;

	if (id >= FACT_FIRST_LATER && id < FACT_COUNT)
		return f->later[id - FACT_FIRST_LATER];
	if (id == FACT_NONE || id >= FACT_FIRST_PROC)
		return FACT_UNKNOWN;
	if (id < FACT_FIRST_NETNS)
		return f->host[id];
	for (unsigned i = 0; i < f->nnetns && !n; i++)
		if (f->netns[i].netns == netns)
			n = &f->netns[i];
	if (n)
		return n->value[id - FACT_FIRST_NETNS];
	/* A count is of its own namespace alone; a setting is most often the default. */
	if (!f->nnetns || id == FACT_TIME_WAIT)
		return FACT_UNKNOWN;
	return f->netns[0].value[id - FACT_FIRST_NETNS];
}

uint64_t facts_or(const struct sysfacts *f, enum fact id, uint32_t netns, uint64_t otherwise)
{
	uint64_t v = facts_get(f, id, netns);

	return v == FACT_UNKNOWN ? otherwise : v;
}

unsigned facts_netns_count(const struct sysfacts *f)
{
	return f->nnetns;
}

uint32_t facts_netns_at(const struct sysfacts *f, unsigned i)
{
	return i < f->nnetns ? f->netns[i].netns : 0;
}

bool facts_netns_told(const struct sysfacts *f, uint32_t netns)
{
	for (unsigned i = 0; i < f->nnetns; i++)
		if (f->netns[i].netns == netns)
			return true;
	return false;
}

unsigned facts_procs(const struct sysfacts *f)
{
	return f->nprocs;
}

const struct proc_fds *facts_proc_at(const struct sysfacts *f, unsigned i)
{
	return i < f->nprocs ? &f->procs[i] : NULL;
}

const struct proc_fds *facts_proc(const struct sysfacts *f, uint32_t pid)
{
	for (unsigned i = 0; i < f->nprocs; i++)
		if (f->procs[i].pid == pid)
			return &f->procs[i];
	return NULL;
}
