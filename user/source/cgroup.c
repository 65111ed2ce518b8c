/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup2 paths. One walk of the tree learns them all; a cgroup that has gone by
 * the time it is asked for stays unknown. Needs no privilege.
 *
 * Bounded: CGROUP_DIRS directories and CGROUP_DEPTH levels a walk.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup.h"

enum { CGROUP_DIRS = 65536, CGROUP_DEPTH = 64, CGROUP_PATH = 4096 };

static const uint64_t walk_every_ns = 100000000;

/* A line of mountinfo: "id parent major:minor root mountpoint options - fstype ...". */
static bool mount_line(struct cgroup_paths *c, const char *line)
{
	char root[256], point[256];
	const char *type = strstr(line, " - cgroup2 ");

	if (!type || sscanf(line, "%*s %*s %*s %255s %255s", root, point) != 2)
		return false;
	snprintf(c->mount, sizeof(c->mount), "%s", point);
	c->whole = !strcmp(root, "/");
	return true;
}

static void forget(struct cgroup_paths *c)
{
	for (unsigned i = 0; i < c->len; i++)
		free(c->known[i].path);
	c->len = 0;
}

void cgroup_close(struct cgroup_paths *c)
{
	forget(c);
	free(c->known);
	c->known = NULL;
	c->cap = 0;
}

static bool learn(struct cgroup_paths *c, uint64_t id, const char *path)
{
	if (c->len == c->cap) {
		unsigned cap = c->cap ? c->cap * 2 : 256;
		struct cgroup_path *more = realloc(c->known, cap * sizeof(*more));

		if (!more)
			return false;
		c->known = more;
		c->cap = cap;
	}
	c->known[c->len].path = strdup(path);
	if (!c->known[c->len].path)
		return false;
	c->known[c->len++].id = id;
	return true;
}

/* path: of the directory behind fd, below the mount; room for what is appended. Takes fd. */
static void walk(struct cgroup_paths *c, int fd, char path[CGROUP_PATH], unsigned depth)
{
	size_t len = strlen(path);
	DIR *dir = fdopendir(fd);
	struct dirent *d;
	struct stat st;

	if (!dir) {
		close(fd);
		return;
	}
	if (fstat(dirfd(dir), &st) || !learn(c, st.st_ino, len ? path : "/"))
		goto out;
	while (depth < CGROUP_DEPTH && c->len < CGROUP_DIRS && (d = readdir(dir))) {
		int child, n;

		if (d->d_type != DT_DIR || d->d_name[0] == '.')
			continue;
		n = snprintf(path + len, CGROUP_PATH - len, "/%s", d->d_name);
		if (n < 0 || (size_t)n >= CGROUP_PATH - len)
			continue;
		child = openat(dirfd(dir), d->d_name,
			       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (child >= 0)
			walk(c, child, path, depth + 1);
	}
out:
	path[len] = '\0';
	closedir(dir);
}

static const char *known(const struct cgroup_paths *c, uint64_t id)
{
	for (unsigned i = 0; i < c->len; i++)
		if (c->known[i].id == id)
			return c->known[i].path;
	return NULL;
}

static void walk_all(struct cgroup_paths *c)
{
	char path[CGROUP_PATH] = "";
	int fd = c->mount[0] ? open(c->mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (fd < 0)
		return;
	forget(c);
	walk(c, fd, path, 0);
}

void cgroup_open(struct cgroup_paths *c)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[2048];

	memset(c, 0, sizeof(*c));
	if (!f)
		return;
	while (fgets(line, sizeof(line), f))
		if (mount_line(c, line))
			break;
	fclose(f);
	walk_all(c);
}

const char *cgroup_path_of(struct cgroup_paths *c, uint64_t id, uint64_t now_ns)
{
	const char *found = known(c, id);

	if (found)
		return found;
	if (c->walked_ns && now_ns - c->walked_ns < walk_every_ns)
		return NULL;
	c->walked_ns = now_ns;
	walk_all(c);
	found = known(c, id);
	return found ? found : "";
}

/* "/a/b" is 2 deep, "/" and "" are 0. */
static uint32_t depth_of(const char *path)
{
	uint32_t depth = 0;

	for (; *path; path++)
		if (*path == '/' && path[1] && path[1] != '/')
			depth++;
	return depth;
}

int cgroup_resolve(const struct cgroup_paths *c, const char *path, uint64_t *id, uint32_t *level)
{
	size_t mount_len = strlen(c->mount);
	char full[CGROUP_PATH + sizeof(c->mount)];
	const char *below = path;
	struct stat st;

	if (!mount_len || !c->whole)
		return -EOPNOTSUPP;
	if (!strncmp(path, c->mount, mount_len) &&
	    (path[mount_len] == '/' || !path[mount_len]))
		below = path + mount_len;
	if (strstr(below, "..") ||
	    snprintf(full, sizeof(full), "%s/%s", c->mount, below) >= (int)sizeof(full))
		return -ENOENT;
	if (stat(full, &st) || !S_ISDIR(st.st_mode))
		return -ENOENT;
	*id = st.st_ino;
	*level = depth_of(full + mount_len);
	return 0;
}
