/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network namespaces, found by their processes (/proc/PID/ns/net) and by their names
 * (/run/netns).
 *
 * iter/tcp walks the namespace of whoever created the iterator, so one is created in
 * each and read later: that needs no privilege. Always: this thread is back in its
 * own namespace afterwards, or the caller hears of it.
 */
#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "facts.h"
#include "netns.h"

struct found {
	struct netns_set *set;
	int *fds;              /* of set->list, while they are being opened */
	uint32_t own;
};

static void found_add(struct found *f, int dir_fd, const char *path)
{
	struct stat st;
	int fd;

	if (fstatat(dir_fd, path, &st, 0)) {
		f->set->hidden += errno == EACCES || errno == EPERM;
		return;
	}
	if ((uint32_t)st.st_ino == f->own || netns_find(f->set, (uint32_t)st.st_ino))
		return;
	fd = f->set->len < NETNS_MAX ? openat(dir_fd, path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0) {
		f->set->unseen++;
		return;
	}
	f->fds[f->set->len] = fd;
	f->set->list[f->set->len++] =
		(struct netns){.inode = (uint32_t)st.st_ino, .iter_fd = -1, .lookup.fd = -1};
}

static void find_by_process(struct found *f)
{
	char path[300];
	struct dirent *d;
	DIR *proc = opendir("/proc");

	if (!proc)
		return;
	while ((d = readdir(proc))) {
		if (d->d_name[0] < '1' || d->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "%s/ns/net", d->d_name);
		found_add(f, dirfd(proc), path);
	}
	closedir(proc);
}

static void find_by_name(struct found *f, const char *dir)
{
	struct dirent *d;
	DIR *names = opendir(dir);

	if (!names)
		return;
	while ((d = readdir(names)))
		if (d->d_name[0] != '.')
			found_add(f, dirfd(names), d->d_name);
	closedir(names);
}

static void open_one(struct netns *n, unsigned nth, int iter_link, struct fact_rows *rows)
{
	if (iter_link >= 0)
		n->iter_fd = bpf_iter_create(iter_link);
	lookup_open(&n->lookup);
	if (rows)
		fact_rows_netns(rows, n->inode);
	if (rows && nth < NETNS_FACTS)
		fact_files_open(&n->facts);
}

/* A namespace that refuses us is counted and left out. */
static void enter_each(struct found *f, int iter_link, struct fact_rows *rows)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < f->set->len; i++) {
		struct netns *n = &f->set->list[i];

		if (setns(f->fds[i], CLONE_NEWNET)) {
			f->set->unseen++;
		} else {
			open_one(n, kept, iter_link, rows);
			f->set->list[kept++] = *n;
		}
		close(f->fds[i]);
	}
	f->set->len = kept;
}

int netns_open(struct netns_set *set, int iter_link, struct fact_rows *rows)
{
	struct found f = {.set = set, .own = lookup_own_netns()};
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), err = 0;

	memset(set, 0, sizeof(*set));
	set->list = calloc(NETNS_MAX, sizeof(*set->list));
	f.fds = calloc(NETNS_MAX, sizeof(*f.fds));
	if (!set->list || !f.fds || home < 0 || !f.own)
		goto out; /* none is reached; ours is not among them */
	find_by_process(&f);
	find_by_name(&f, "/run/netns");
	find_by_name(&f, "/run/docker/netns");
	enter_each(&f, iter_link, rows);
	if (setns(home, CLONE_NEWNET) && lookup_own_netns() != f.own)
		err = -EPERM;
out:
	free(f.fds);
	if (home >= 0)
		close(home);
	return err;
}

void netns_close(struct netns_set *set)
{
	for (unsigned i = 0; i < set->len; i++) {
		if (set->list[i].iter_fd >= 0)
			close(set->list[i].iter_fd);
		lookup_close(&set->list[i].lookup);
		fact_files_close(&set->list[i].facts);
	}
	free(set->list);
	memset(set, 0, sizeof(*set));
}

struct netns *netns_find(struct netns_set *set, uint32_t inode)
{
	for (unsigned i = 0; i < set->len; i++)
		if (set->list[i].inode == inode)
			return &set->list[i];
	return NULL;
}
