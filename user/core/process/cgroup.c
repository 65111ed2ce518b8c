/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a cgroup path says of its container, pod and unit: pure text, no API asked.
 * Runtimes spell the same three facts in a dozen ways; each is a component of the
 * path, and the innermost one that says it wins (a container in a container).
 *
 *   /system.slice/docker-<id>.scope            Docker with systemd
 *   /docker/<id>                               Docker with cgroupfs
 *   /kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<uid_>.slice/cri-containerd-<id>.scope
 *   /kubepods/burstable/pod<uid>/<id>          Kubernetes with cgroupfs
 *   /machine.slice/libpod-<id>.scope/container Podman (libpod-conmon-<id>: its monitor, outside)
 */
#include <string.h>

#include "proc.h"

enum { CONTAINER_LEN = 64, UUID_LEN = 36, HASH_LEN = 32 };

static bool all_hex(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!(s[i] >= '0' && s[i] <= '9') && !(s[i] >= 'a' && s[i] <= 'f'))
			return false;
	return true;
}

static bool ends_with(const char *s, size_t n, const char *suffix)
{
	size_t m = strlen(suffix);

	return n > m && !memcmp(s + n - m, suffix, m);
}

static bool has(const char *s, size_t n, const char *what)
{
	return memmem(s, n, what, strlen(what)) != NULL;
}

/* The id is all of the component, or what follows its last '-' or ':'. */
static bool container_of(const char *s, size_t n, char out[CONTAINER_LEN + 1])
{
	if (ends_with(s, n, ".scope"))
		n -= strlen(".scope");
	if (n < CONTAINER_LEN || !all_hex(s + n - CONTAINER_LEN, CONTAINER_LEN))
		return false;
	if (n > CONTAINER_LEN) {
		char before = s[n - CONTAINER_LEN - 1];

		if ((before != '-' && before != ':') || has(s, n, "conmon"))
			return false;
	}
	memcpy(out, s + n - CONTAINER_LEN, CONTAINER_LEN);
	out[CONTAINER_LEN] = '\0';
	return true;
}

/* 8-4-4-4-12, with the dashes that a slice's name must write as underscores. */
static bool uuid_of(const char *s, char out[UUID_LEN + 1])
{
	for (int i = 0; i < UUID_LEN; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? s[i] != '-' && s[i] != '_' : !all_hex(s + i, 1))
			return false;
		out[i] = dash ? '-' : s[i];
	}
	out[UUID_LEN] = '\0';
	return true;
}

/* "pod<uid>" at the start or after a '-'. A static pod's uid is a hash without dashes. */
static bool pod_of(const char *s, size_t n, char out[UUID_LEN + 1])
{
	const char *end, *pod;

	if (ends_with(s, n, ".slice"))
		n -= strlen(".slice");
	end = s + n;
	for (pod = s; (pod = memmem(pod, (size_t)(end - pod), "pod", 3)); pod += 3) {
		const char *uid = pod + 3;
		const char *stop = memchr(uid, ':', (size_t)(end - uid));
		size_t len = (size_t)((stop ? stop : end) - uid);

		if (pod != s && pod[-1] != '-')
			continue;
		if (ends_with(uid, len, ".slice"))
			len -= strlen(".slice");
		if (len == UUID_LEN && uuid_of(uid, out))
			return true;
		if (len == HASH_LEN && all_hex(uid, len)) {
			memcpy(out, uid, len);
			out[len] = '\0';
			return true;
		}
	}
	return false;
}

/* systemd puts a '_' before a name that would clash with cgroup's own files. */
static bool unit_of(const char *s, size_t n, char out[64])
{
	if (!ends_with(s, n, ".service") && !ends_with(s, n, ".scope"))
		return false;
	if (*s == '_') {
		s++;
		n--;
	}
	if (n > 63)
		n = 63;
	memcpy(out, s, n);
	out[n] = '\0';
	return true;
}

void cgroup_parse(const char *path, struct cgroup *out)
{
	char container[CONTAINER_LEN + 1] = "", pod[UUID_LEN + 1] = "", unit[64] = "";
	const char *s = path;

	while (*s) {
		size_t n = strcspn(s, "/");

		if (container_of(s, n, container))
			unit[0] = '\0'; /* units outside are the host's, not the container's */
		else
			unit_of(s, n, unit);
		pod_of(s, n, pod);
		s += n;
		s += strspn(s, "/");
	}
	memset(out, 0, sizeof(*out));
	memcpy(out->container, container, sizeof(container));
	memcpy(out->pod_uid, pod, sizeof(pod));
	memcpy(out->unit, unit, sizeof(unit));
}
