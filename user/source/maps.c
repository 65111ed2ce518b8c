/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /proc/PID/maps, and the files that it names.
 *
 * Always: the process is the one that was meant: its start is held against the
 * kernel's before and behind reading. Never: a file that is not the one that is mapped
 * (its inode says), nor one that opening would wait for.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "maps.h"

enum { LINES_MAX = 65536, LINE_MAX_LEN = 4352, PATHS_BYTES = 1 << 20 };

static FILE *open_proc(uint32_t pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%u/%s", pid, name);
	return fopen(path, "re");
}

/* Field 22 of stat, counted from behind the name, which may hold anything. */
static int began(uint32_t pid, unsigned long long *ticks)
{
	FILE *f = open_proc(pid, "stat");
	char line[1024] = "";
	const char *behind;
	int err = -ESRCH;

	if (!f)
		return errno == ENOENT ? -ESRCH : -errno;
	if (fgets(line, sizeof(line), f)) {
		behind = strrchr(line, ')');
		if (behind && sscanf(behind + 1,
				     " %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
				     "%*s %*s %*s %*s %*s %llu",
				     ticks) == 1)
			err = 0;
	}
	fclose(f);
	return err;
}

/* The kernel shows it in ticks, cut; in a time namespace of its own it counts from elsewhere, and
 * the process is then taken for another. */
static int check_began(uint32_t pid, uint64_t start_ns)
{
	unsigned long long ns_a_tick = 1000000000ull / (unsigned long)sysconf(_SC_CLK_TCK);
	unsigned long long ticks = 0;
	int err = began(pid, &ticks);

	if (err)
		return err;
	return ticks == start_ns / ns_a_tick ? 0 : -ESRCH;
}

/* "start-end perms offset dev inode    path" */
static void take_line(struct maps *m, char *line)
{
	static const char deleted[] = " (deleted)";
	unsigned long long start, end, offset, inode;
	char perms[5];
	int at = 0;
	size_t len;

	line[strcspn(line, "\n")] = '\0';
	if (sscanf(line, "%llx-%llx %4s %llx %*s %llu %n", &start, &end, perms, &offset, &inode,
		   &at) != 5 || perms[2] != 'x' || m->len == MAPS || m->paths.len > PATHS_BYTES)
		return;
	len = strlen(line + at);
	m->maps[m->len] = (struct map){
		.start = start, .end = end, .offset = offset, .inode = inode,
		.path = (uint32_t)m->paths.len};
	if (len > sizeof(deleted) && !strcmp(line + at + len - sizeof(deleted) + 1, deleted)) {
		m->maps[m->len].deleted = true;
		len -= sizeof(deleted) - 1;
	}
	buf_put(&m->paths, line + at, len);
	buf_char(&m->paths, '\0');
	m->len++;
}

int maps_read(struct maps *m, uint32_t pid, uint64_t start_ns)
{
	int err = check_began(pid, start_ns);
	char line[LINE_MAX_LEN];
	FILE *f;

	m->len = 0;
	m->paths.len = 0;
	if (err)
		return err;
	f = open_proc(pid, "maps");
	if (!f)
		return errno == ENOENT ? -ESRCH : -errno;
	errno = 0;
	for (unsigned i = 0; i < LINES_MAX && fgets(line, sizeof(line), f); i++)
		take_line(m, line);
	if (ferror(f))
		err = errno ? -errno : -EIO;
	fclose(f);
	if (!err && m->paths.failed)
		err = -ENOMEM;
	if (!err && !m->len)
		err = -ESRCH; /* it has ended, and its memory is gone */
	return err ? err : check_began(pid, start_ns);
}

void maps_free(struct maps *m)
{
	buf_free(&m->paths);
	m->len = 0;
}

const struct map *maps_find(const struct maps *m, uint64_t address)
{
	for (unsigned i = 0; i < m->len; i++)
		if (address >= m->maps[i].start && address < m->maps[i].end)
			return &m->maps[i];
	return NULL;
}

int maps_open(const struct maps *m, uint32_t pid, const struct map *map)
{
	char path[LINE_MAX_LEN + 32];
	struct stat st;
	int fd;

	if (map->deleted || maps_path(m, map)[0] != '/' ||
	    snprintf(path, sizeof(path), "/proc/%u/root%s", pid, maps_path(m, map)) >=
		    (int)sizeof(path))
		return -1;
	fd = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_ino == map->inode)
		return fd;
	close(fd);
	return -1;
}
