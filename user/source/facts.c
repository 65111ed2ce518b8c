/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /proc, read for the few numbers that the rules of `stuck` compare with.
 *
 * /proc/sys/net and /proc/thread-self/net are those of the reader's own network
 * namespace: whoever wants another's enters it first. Never: a fact that could not be
 * read, or a number that is none.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/connection/facts.h"
#include "core/pipeline/pipeline.h"
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

/* From the beginning, however often it was read. */
static ssize_t read_fd(int fd, char *out, size_t size)
{
	ssize_t n = fd < 0 ? -1 : pread(fd, out, size - 1, 0);

	out[n > 0 ? n : 0] = '\0';
	return n;
}

static ssize_t read_file(const char *path, char *out, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = read_fd(fd, out, size);

	if (fd >= 0)
		close(fd);
	return n;
}

static void take_number(struct fact_rows *f, const char *text, uint32_t id, uint32_t netns)
{
	uint64_t value;

	if (sscanf(text, "%" SCNu64, &value) == 1)
		fact_rows_set(f, id, netns, 0, value);
}

static void take_ports(struct fact_rows *f, const char *text, uint32_t netns)
{
	uint64_t lo, hi;

	if (sscanf(text, "%" SCNu64 " %" SCNu64, &lo, &hi) != 2)
		return;
	fact_rows_set(f, FACT_PORT_LO, netns, 0, lo);
	fact_rows_set(f, FACT_PORT_HI, netns, 0, hi);
}

/* "TCP: inuse 5 orphan 0 tw 3 alloc 9 mem 1" */
static void take_sockstat(struct fact_rows *f, const char *text, const char *key, uint32_t id,
			  uint32_t netns)
{
	const char *at = strstr(text, "\nTCP: ");
	char word[16];

	snprintf(word, sizeof(word), " %s ", key);
	at = at ? strstr(at, word) : NULL;
	if (at)
		take_number(f, at + strlen(word), id, netns);
}

/* ---- what of what ------------------------------------------------------------------- */

#define SYSCTL "/proc/sys/net/"
#define SOCKSTAT "/proc/thread-self/net/sockstat"

enum { TEXT = 1024 }; /* of /proc: more is not read */

void fact_rows_host(struct fact_rows *f)
{
	char text[TEXT];

	read_file(SOCKSTAT, text, sizeof(text));
	take_sockstat(f, text, "orphan", FACT_ORPHANS, 0);
	read_file(SYSCTL "ipv4/tcp_max_orphans", text, sizeof(text));
	take_number(f, text, FACT_MAX_ORPHANS, 0);
}

int fact_time_wait(uint64_t *out)
{
	char text[TEXT];
	struct fact_rows f = {0};

	read_file(SOCKSTAT, text, sizeof(text));
	take_sockstat(&f, text, "tw", FACT_TIME_WAIT, 0);
	if (!f.len)
		return -ENODATA;
	*out = f.rows[0].value;
	fact_rows_free(&f);
	return 0;
}

static const char *const changing[FACT_FILES] = {
	SYSCTL "ipv4/ip_local_port_range",
	SYSCTL "ipv4/tcp_max_tw_buckets",
	SYSCTL "ipv4/tcp_fin_timeout",
	SOCKSTAT,
};

static void take_changing(struct fact_rows *f, unsigned which, const char *text, uint32_t netns)
{
	switch (which) {
	case 0:
		take_ports(f, text, netns);
		break;
	case 1:
		take_number(f, text, FACT_MAX_TW_BUCKETS, netns);
		break;
	case 2:
		take_number(f, text, FACT_FIN_TIMEOUT_S, netns);
		break;
	case 3:
		take_sockstat(f, text, "tw", FACT_TIME_WAIT, netns);
		break;
	}
}

void fact_rows_netns(struct fact_rows *f, uint32_t inode)
{
	static const struct {
		const char *path;
		uint32_t id;
	} sysctls[] = {
		{SYSCTL "ipv4/tcp_tw_reuse", FACT_TW_REUSE},
		{SYSCTL "ipv4/tcp_retries2", FACT_RETRIES2},
		{SYSCTL "ipv4/tcp_orphan_retries", FACT_ORPHAN_RETRIES},
		{SYSCTL "ipv4/tcp_syn_retries", FACT_SYN_RETRIES},
		{SYSCTL "ipv4/tcp_syn_linear_timeouts", FACT_SYN_LINEAR},
		{SYSCTL "core/somaxconn", FACT_SOMAXCONN},
		{SYSCTL "ipv4/tcp_max_syn_backlog", FACT_SYN_BACKLOG},
		{SYSCTL "ipv4/tcp_syncookies", FACT_SYN_COOKIES},
	};
	char text[TEXT];

	for (unsigned i = 0; i < FACT_FILES; i++) {
		read_file(changing[i], text, sizeof(text));
		take_changing(f, i, text, inode);
	}
	for (unsigned i = 0; i < sizeof(sysctls) / sizeof(sysctls[0]); i++) {
		read_file(sysctls[i].path, text, sizeof(text));
		take_number(f, text, sysctls[i].id, inode);
	}
}

void fact_files_open(struct fact_files *files)
{
	for (unsigned i = 0; i < FACT_FILES; i++)
		files->fds[i] = open(changing[i], O_RDONLY | O_CLOEXEC);
}

void fact_files_close(struct fact_files *files)
{
	for (unsigned i = 0; i < FACT_FILES; i++) {
		if (files->fds[i] > 0)
			close(files->fds[i]);
		files->fds[i] = -1;
	}
}

void fact_rows_again(struct fact_rows *f, const struct fact_files *files, uint32_t inode)
{
	char text[TEXT];

	for (unsigned i = 0; i < FACT_FILES; i++)
		if (files->fds[i] > 0 && read_fd(files->fds[i], text, sizeof(text)) > 0)
			take_changing(f, i, text, inode);
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
