/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of files that anybody with a shell on the node could have made: only what Kubernetes
 * itself allows in a name is taken (RFC 1123: small letters, digits, '-' and '.'), so that a
 * label can hold nothing else.
 */
#include <stdio.h>
#include <string.h>

#include "podname.h"

enum { UUID_LEN = 36, HASH_LEN = 32, LABEL_MAX = 63, SUBDOMAIN_MAX = 253 };

struct part {
	const char *s;
	size_t n;
};

static bool is_hex(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!(s[i] >= '0' && s[i] <= '9') && !(s[i] >= 'a' && s[i] <= 'f'))
			return false;
	return true;
}

static bool is_name(struct part p, size_t max)
{
	if (!p.n || p.n > max)
		return false;
	for (size_t i = 0; i < p.n; i++) {
		char c = p.s[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '.')
			return false;
	}
	return true;
}

/* A pod's uid; a static pod's is a hash without dashes. */
static bool is_uid(struct part p)
{
	if (p.n == HASH_LEN)
		return is_hex(p.s, p.n);
	for (size_t i = 0; i < p.n; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? p.s[i] != '-' : !is_hex(p.s + i, 1))
			return false;
	}
	return p.n == UUID_LEN;
}

/* Exactly three parts between two '_'. */
static bool split(const char *s, size_t n, struct part out[3])
{
	const char *end = s + n;

	for (unsigned i = 0; i < 3; i++) {
		const char *stop = memchr(s, '_', (size_t)(end - s));

		if (!stop != (i == 2))
			return false;
		out[i] = (struct part){ s, (size_t)((stop ? stop : end) - s) };
		s = stop ? stop + 1 : end;
	}
	return true;
}

bool podname_of_log(const char *file, char id[PODNAME_ID_LEN + 1], char out[PODNAME_LEN])
{
	static const char suffix[] = ".log";
	size_t n = strlen(file), tail = PODNAME_ID_LEN + strlen(suffix);
	const char *hex = n > tail ? file + n - tail : NULL;
	struct part p[3];

	if (!hex || strcmp(hex + PODNAME_ID_LEN, suffix) || hex[-1] != '-' ||
	    !is_hex(hex, PODNAME_ID_LEN) || !split(file, n - tail - 1, p) ||
	    !is_name(p[0], SUBDOMAIN_MAX) || !is_name(p[1], LABEL_MAX) || !is_name(p[2], LABEL_MAX))
		return false;
	memcpy(id, hex, PODNAME_ID_LEN);
	id[PODNAME_ID_LEN] = '\0';
	snprintf(out, PODNAME_LEN, "%.*s/%.*s/%.*s", (int)p[1].n, p[1].s, (int)p[0].n, p[0].s,
		 (int)p[2].n, p[2].s);
	return true;
}

bool podname_of_dir(const char *dir, char uid[PODNAME_UID_LEN + 1], char out[PODNAME_LEN])
{
	struct part p[3];

	if (!split(dir, strlen(dir), p) || !is_name(p[0], LABEL_MAX) ||
	    !is_name(p[1], SUBDOMAIN_MAX) || !is_uid(p[2]))
		return false;
	memcpy(uid, p[2].s, p[2].n);
	uid[p[2].n] = '\0';
	snprintf(out, PODNAME_LEN, "%.*s/%.*s", (int)p[0].n, p[0].s, (int)p[1].n, p[1].s);
	return true;
}
