/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /var/log/containers and /var/log/pods, as the kubelet keeps them: names of entries alone are
 * read, no file is opened and no link followed.
 *
 * Always: at most PODS_MAX names are kept and ENTRIES_MAX entries looked at; what a name may
 * hold is core/process/podname.h's to say. Never: more than one look in AGAIN_NS.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/process/podname.h"
#include "pods.h"

enum { PODS_MAX = 4096, ENTRIES_MAX = 65536 };
static const uint64_t AGAIN_NS = 10000000000ULL;

struct pod {
	char key[PODNAME_ID_LEN + 1]; /* a container's id, or a pod's uid */
	char name[PODNAME_LEN];
};

struct pods {
	char containers[256], pods[256];
	struct pod *known; /* by key */
	uint32_t len;
	uint64_t looked_ns;
};

struct pods *pods_new(const char *logs)
{
	struct pods *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	snprintf(p->containers, sizeof(p->containers), "%s/containers", logs);
	snprintf(p->pods, sizeof(p->pods), "%s/pods", logs);
	return p;
}

void pods_free(struct pods *p)
{
	if (!p)
		return;
	free(p->known);
	free(p);
}

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct pod *)a)->key, ((const struct pod *)b)->key);
}

static void read_names(struct pods *p, const char *path,
		       bool (*parse)(const char *entry, char *key, char *name))
{
	DIR *dir = opendir(path);
	struct dirent *d;

	for (unsigned i = 0; dir && i < ENTRIES_MAX && p->len < PODS_MAX; i++) {
		d = readdir(dir);
		if (!d)
			break;
		p->len += parse(d->d_name, p->known[p->len].key, p->known[p->len].name);
	}
	if (dir)
		closedir(dir);
}

static void look(struct pods *p)
{
	if (!p->known)
		p->known = calloc(PODS_MAX, sizeof(*p->known));
	p->len = 0;
	if (!p->known)
		return;
	read_names(p, p->containers, podname_of_log);
	read_names(p, p->pods, podname_of_dir);
	qsort(p->known, p->len, sizeof(*p->known), by_key);
}

static const char *find(const struct pods *p, const char *key)
{
	struct pod wanted = { 0 };
	const struct pod *found;

	if (!key[0] || !p->len)
		return "";
	memcpy(wanted.key, key, strnlen(key, PODNAME_ID_LEN));
	found = bsearch(&wanted, p->known, p->len, sizeof(*p->known), by_key);
	return found ? found->name : "";
}

const char *pods_name(struct pods *p, const char *container, const char *pod_uid, uint64_t now_ns)
{
	const char *name = find(p, container);

	if (!name[0] && (!p->looked_ns || now_ns - p->looked_ns >= AGAIN_NS)) {
		p->looked_ns = now_ns;
		look(p);
		name = find(p, container);
	}
	return name[0] ? name : find(p, pod_uid);
}
