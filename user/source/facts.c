/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /proc, read for the few numbers that the rules of `stuck` compare with.
 *
 * /proc/sys/net and /proc/thread-self/net are those of the reader's own network
 * namespace: whoever wants another's enters it first. Never: a fact that could not be
 * read, or a number that is none.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/facts.h"
#include "core/pipeline.h"
#include "facts.h"
#include "live.h"

void fact_rows_free(struct fact_rows *f)
{
	free(f->rows);
	memset(f, 0, sizeof(*f));
}

void fact_rows_set(struct fact_rows *f, uint32_t id, uint32_t netns, uint32_t pid, uint64_t value)
{
	const struct fact_row row = {.value = value, .id = id, .netns = netns, .pid = pid};
	unsigned cap = f->cap ? f->cap * 2 : 64;
	struct fact_row *more;

	for (unsigned i = 0; i < f->len; i++) {
		struct fact_row *r = &f->rows[i];

		if (r->id == id && r->netns == netns && r->pid == pid) {
			r->value = value;
			return;
		}
	}
	if (f->len == f->cap) {
		more = reallocarray(f->rows, cap, sizeof(*more));
		if (!more)
			return;
		f->rows = more;
		f->cap = cap;
	}
	f->rows[f->len++] = row;
}

/* ---- reading ---------------------------------------------------------------------- */

static ssize_t read_file(const char *path, char *out, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, out, size - 1);
	close(fd);
	if (n < 0)
		return -errno;
	out[n] = '\0';
	return n;
}

static void take_sysctl(struct fact_rows *f, const char *name, uint32_t id, uint32_t netns)
{
	char path[128], text[64];
	uint64_t value;

	snprintf(path, sizeof(path), "/proc/sys/net/%s", name);
	if (read_file(path, text, sizeof(text)) > 0 && sscanf(text, "%" SCNu64, &value) == 1)
		fact_rows_set(f, id, netns, 0, value);
}

/* "TCP: inuse 5 orphan 0 tw 3 alloc 9 mem 1" */
static void take_sockstat(struct fact_rows *f, const char *key, uint32_t id, uint32_t netns)
{
	char text[1024], word[16];
	uint64_t value;
	const char *at;

	if (read_file("/proc/thread-self/net/sockstat", text, sizeof(text)) <= 0)
		return;
	at = strstr(text, "\nTCP: ");
	snprintf(word, sizeof(word), " %s ", key);
	at = at ? strstr(at, word) : NULL;
	if (at && sscanf(at + strlen(word), "%" SCNu64, &value) == 1)
		fact_rows_set(f, id, netns, 0, value);
}

/* ---- what of what ------------------------------------------------------------------- */

void fact_rows_host(struct fact_rows *f)
{
	take_sockstat(f, "orphan", FACT_ORPHANS, 0);
	take_sysctl(f, "ipv4/tcp_max_orphans", FACT_MAX_ORPHANS, 0);
}

static void take_ports(struct fact_rows *f, uint32_t netns)
{
	uint64_t lo, hi;
	char text[64];

	if (read_file("/proc/sys/net/ipv4/ip_local_port_range", text, sizeof(text)) <= 0 ||
	    sscanf(text, "%" SCNu64 " %" SCNu64, &lo, &hi) != 2)
		return;
	fact_rows_set(f, FACT_PORT_LO, netns, 0, lo);
	fact_rows_set(f, FACT_PORT_HI, netns, 0, hi);
}

void fact_rows_netns(struct fact_rows *f, uint32_t inode)
{
	static const struct {
		const char *name;
		uint32_t id;
	} sysctls[] = {
		{"ipv4/tcp_fin_timeout", FACT_FIN_TIMEOUT_S},
		{"ipv4/tcp_max_tw_buckets", FACT_MAX_TW_BUCKETS},
		{"ipv4/tcp_tw_reuse", FACT_TW_REUSE},
		{"ipv4/tcp_retries2", FACT_RETRIES2},
		{"ipv4/tcp_orphan_retries", FACT_ORPHAN_RETRIES},
		{"ipv4/tcp_syn_retries", FACT_SYN_RETRIES},
		{"ipv4/tcp_syn_linear_timeouts", FACT_SYN_LINEAR},
		{"core/somaxconn", FACT_SOMAXCONN},
		{"ipv4/tcp_max_syn_backlog", FACT_SYN_BACKLOG},
		{"ipv4/tcp_syncookies", FACT_SYN_COOKIES},
	};

	for (unsigned i = 0; i < sizeof(sysctls) / sizeof(sysctls[0]); i++)
		take_sysctl(f, sysctls[i].name, sysctls[i].id, inode);
	take_ports(f, inode);
	take_sockstat(f, "tw", FACT_TIME_WAIT, inode);
}

/* ---- processes ------------------------------------------------------------------------ */

/* How many descriptors are open: the directory's size says it (6.2), else they are counted. */
static int64_t open_descriptors(int proc, const char *pid)
{
	struct dirent *d;
	int64_t n = 0;
	char path[300];
	struct stat st;
	DIR *dir;
	int fd;

	snprintf(path, sizeof(path), "%s/fd", pid);
	fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (!fstat(fd, &st) && st.st_size > 0) {
		close(fd);
		return st.st_size;
	}
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	while ((d = readdir(dir)))
		n += d->d_name[0] != '.';
	closedir(dir);
	return n;
}

/* "Max open files            1024                 4096                 files" */
static int64_t limit_from_text(const char *pid)
{
	char path[300], text[2048];
	const char *at;
	int64_t limit;

	snprintf(path, sizeof(path), "/proc/%s/limits", pid);
	if (read_file(path, text, sizeof(text)) <= 0)
		return -1;
	at = strstr(text, "Max open files");
	return at && sscanf(at + strlen("Max open files"), "%" SCNd64, &limit) == 1 ? limit : -1;
}

static int64_t descriptor_limit(const char *pid)
{
	struct rlimit lim;

	if (!prlimit(atoi(pid), RLIMIT_NOFILE, NULL, &lim))
		return lim.rlim_cur == RLIM_INFINITY ? -1 : (int64_t)lim.rlim_cur;
	return limit_from_text(pid);
}

void fact_rows_procs(struct fact_rows *f)
{
	struct dirent *d;
	DIR *proc = opendir("/proc");

	if (!proc)
		return;
	while ((d = readdir(proc))) {
		int64_t used, limit;
		uint32_t pid = (uint32_t)strtoul(d->d_name, NULL, 10);

		if (!pid)
			continue;
		used = open_descriptors(dirfd(proc), d->d_name);
		limit = used > 0 ? descriptor_limit(d->d_name) : -1;
		if (limit <= 0 || used * 2 < limit)
			continue;
		fact_rows_set(f, FACT_FD_USED, 0, pid, (uint64_t)used);
		fact_rows_set(f, FACT_FD_LIMIT, 0, pid, (uint64_t)limit);
	}
	closedir(proc);
}

/* ---- telling ----------------------------------------------------------------------------- */

void fact_rows_tell(const struct fact_rows *f, struct pipeline *p)
{
	struct event e;

	for (unsigned i = 0; i < f->len; i++) {
		live_event(&e, EV_FACT);
		e.netns = f->rows[i].netns;
		if (f->rows[i].pid)
			e.flags = EVF_TASK;
		e.task.pid = f->rows[i].pid;
		e.extra.fact.id = f->rows[i].id;
		e.extra.fact.value = f->rows[i].value;
		pipeline_feed(p, &e, sizeof(e));
	}
}
