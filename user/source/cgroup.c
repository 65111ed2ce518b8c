/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup2 paths. One walk of the tree learns them all, and inotify tells when there is a new one:
 * a container's is made well before anything in it connects, and may be gone when the record of
 * that is read. What was there at the walk before the last is known too, for the same reason. A
 * cgroup that came and went between two walks stays unknown. Needs no privilege.
 *
 * Bounded: CGROUP_DIRS directories and CGROUP_DEPTH levels a walk; ten walks a second. Without
 * watches (the user's limit) a new one is looked for when its first record comes.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
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

static void forget(struct cgroup_walk *w)
{
	for (unsigned i = 0; i < w->len; i++)
		free(w->known[i].path);
	w->len = 0;
}

void cgroup_close(struct cgroup_paths *c)
{
	for (unsigned i = 0; i < CGROUP_WALKS; i++) {
		forget(&c->walks[i]);
		free(c->walks[i].known);
		c->walks[i] = (struct cgroup_walk){0};
	}
	if (c->watch_fd >= 0)
		close(c->watch_fd);
	c->watch_fd = -1;
}

static bool learn(struct cgroup_walk *w, uint64_t id, const char *path)
{
	char *copy;

	if (w->len == w->cap) {
		unsigned cap = w->cap ? w->cap * 2 : 256;
		struct cgroup_path *more = realloc(w->known, cap * sizeof(*more));

		if (!more)
			return false;
		w->known = more;
		w->cap = cap;
	}
	copy = strdup(path);
	if (!copy)
		return false;
	w->known[w->len++] = (struct cgroup_path){.id = id, .path = copy};
	return true;
}

/* That a directory is made in the one behind fd. A second watch of the same is the first one. */
static void watch(const struct cgroup_paths *c, int fd)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (c->watch_fd >= 0)
		inotify_add_watch(c->watch_fd, path, IN_CREATE | IN_ONLYDIR);
}

/* path: of the directory behind fd, below the mount; room for what is appended. Takes fd. */
static void walk(struct cgroup_paths *c, int fd, char path[CGROUP_PATH], unsigned depth)
{
	struct cgroup_walk *now = &c->walks[c->last];
	size_t len = strlen(path);
	DIR *dir = fdopendir(fd);
	struct dirent *d;
	struct stat st;

	if (!dir) {
		close(fd);
		return;
	}
	if (fstat(dirfd(dir), &st) || !learn(now, st.st_ino, len ? path : "/"))
		goto out;
	watch(c, dirfd(dir)); /* before it is read: what is made in between is told */
	while (depth < CGROUP_DEPTH && now->len < CGROUP_DIRS && (d = readdir(dir))) {
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

/* The last walk's word before the one's before it. */
static const char *known(const struct cgroup_paths *c, uint64_t id)
{
	for (unsigned n = 0; n < CGROUP_WALKS; n++) {
		const struct cgroup_walk *w = &c->walks[(c->last + n) % CGROUP_WALKS];

		for (unsigned i = 0; i < w->len; i++)
			if (w->known[i].id == id)
				return w->known[i].path;
	}
	return NULL;
}

static void walk_all(struct cgroup_paths *c)
{
	char path[CGROUP_PATH] = "";
	int fd = c->mount[0] ? open(c->mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (fd < 0)
		return;
	c->last = (c->last + 1) % CGROUP_WALKS;
	forget(&c->walks[c->last]);
	c->stale = false;
	walk(c, fd, path, 0);
}

void cgroup_open(struct cgroup_paths *c)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[2048];

	memset(c, 0, sizeof(*c));
	c->watch_fd = -1;
	if (!f)
		return;
	while (fgets(line, sizeof(line), f))
		if (mount_line(c, line))
			break;
	fclose(f);
	if (c->mount[0])
		c->watch_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	walk_all(c);
}

static bool walk_again(struct cgroup_paths *c, uint64_t now_ns)
{
	if (c->walked_ns && now_ns - c->walked_ns < walk_every_ns)
		return false;
	c->walked_ns = now_ns;
	walk_all(c);
	return true;
}

void cgroup_look(struct cgroup_paths *c, uint64_t now_ns)
{
	char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));

	/* Which one it was is no matter: others may have been made in it since. */
	while (c->watch_fd >= 0 && read(c->watch_fd, events, sizeof(events)) > 0)
		c->stale = true;
	if (c->stale)
		walk_again(c, now_ns);
}

const char *cgroup_path_of(struct cgroup_paths *c, uint64_t id, uint64_t now_ns)
{
	const char *found = known(c, id);

	if (found)
		return found;
	if (!walk_again(c, now_ns))
		return NULL;
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
