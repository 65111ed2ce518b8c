/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The values of options: each setter reads one, checks all of it, and stores it.
 *
 * A value that names something outside (a namespace, a cgroup, a user, a service)
 * is looked up here, at the start, so that a mistake is told before anything is
 * traced. Messages are made in options.c; a setter only says more where "expected"
 * does not say enough.
 */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <math.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "options_impl.h"

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

enum { SIZE_LEAST = 64 << 10 }; /* bytes; of a ring, a file */

static void *option_field(const struct parse *p, const struct option_row *row)
{
	return (char *)p->o + row->offset;
}

int option_value_number(const char *value, uint64_t min, uint64_t max, uint64_t *out)
{
	unsigned long long v;
	char *end;

	if (!isdigit((unsigned char)*value))
		return -EINVAL;
	errno = 0;
	v = strtoull(value, &end, 10);
	if (errno || *end || v < min || v > max)
		return -EINVAL;
	*out = v;
	return 0;
}

/* The index of a word in a list, -1 if it is not there. */
static int value_word(const char *value, const char *const *words, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (!strcmp(value, words[i]))
			return (int)i;
	return -1;
}

/* ---- plain values -------------------------------------------------------------- */

/* What -o takes. Two words may mean one format, written in two ways. */
static const struct {
	const char *word;
	enum output_format format;
	bool otlp;
} formats[] = {
	{ "text", OUT_TEXT, false },
	{ "json", OUT_JSON, false },
	{ "otlp-json", OUT_JSON, true },
	{ "csv", OUT_CSV, false },
};

void option_formats(const struct command *c, char *out, size_t size)
{
	unsigned left = 0;
	size_t at = 0;

	for (unsigned i = 0; i < LENGTH(formats); i++)
		left += (c->formats >> formats[i].format) & 1;
	out[0] = '\0';
	for (unsigned i = 0; i < LENGTH(formats) && at < size; i++) {
		if (!(c->formats & 1u << formats[i].format))
			continue;
		left--;
		at += (size_t)snprintf(out + at, size - at, "%s%s", formats[i].word,
				       left > 1 ? ", " : left ? " or " : "");
	}
}

/* The command may not be known yet: option_check_format() reads it when it is. */
int option_set_format(struct parse *p, const struct option_row *row, const char *value)
{
	p->format = value;
	return 0;
}

int option_check_format(struct parse *p)
{
	const char *word = p->format ? p->format : formats[0].word;

	for (unsigned i = 0; i < LENGTH(formats); i++) {
		if (strcmp(word, formats[i].word))
			continue;
		if (!(p->command->formats & 1u << formats[i].format))
			return -EINVAL;
		p->o->format = formats[i].format;
		p->o->otlp = formats[i].otlp;
		return 0;
	}
	return -EINVAL;
}

/* "10", "0.5", and with a unit "500ms", "10s", "5m", "2h", "1d". */
int option_set_seconds(struct parse *p, const struct option_row *row, const char *value)
{
	static const struct {
		const char *unit;
		double seconds;
	} units[] = { { "", 1 }, { "ms", 1e-3 }, { "s", 1 }, { "m", 60 }, { "h", 3600 }, { "d", 86400 } };
	char *end;
	double v;

	if (!isdigit((unsigned char)*value) && *value != '.')
		return -EINVAL;
	if (value[0] == '0' && tolower((unsigned char)value[1]) == 'x') /* strtod takes hex */
		return -EINVAL;
	v = strtod(value, &end);
	for (unsigned i = 0; i < LENGTH(units); i++) {
		if (strcmp(end, units[i].unit))
			continue;
		v *= units[i].seconds;
		if (!isfinite(v) || v < 0.001 || v > 1e9)
			return -EINVAL;
		*(double *)option_field(p, row) = v;
		return 0;
	}
	return -EINVAL;
}

/* Kept as it is typed: whoever reads it says what is wrong with it. */
int option_set_word(struct parse *p, const struct option_row *row, const char *value)
{
	if (!*value)
		return -EINVAL;
	*(const char **)((char *)p->o + row->offset) = value;
	return 0;
}

int option_set_count(struct parse *p, const struct option_row *row, const char *value)
{
	return option_value_number(value, 1, UINT64_MAX, &p->o->count);
}

int option_set_connections(struct parse *p, const struct option_row *row, const char *value)
{
	uint64_t v;

	if (option_value_number(value, 1, 1u << 24, &v))
		return -EINVAL;
	p->o->max_connections = (uint32_t)v;
	return 0;
}

int option_value_size(const char *value, uint64_t max, uint64_t *out)
{
	static const char units[] = "kKmMgG";
	unsigned long long v;
	unsigned shift = 0;
	const char *unit;
	char *end;

	if (!isdigit((unsigned char)*value))
		return -EINVAL;
	errno = 0;
	v = strtoull(value, &end, 10);
	if (*end) {
		unit = strchr(units, *end);
		if (!unit || (end[1] && strcmp(end + 1, "iB") && strcmp(end + 1, "B")))
			return -EINVAL;
		shift = 10 * (unsigned)((unit - units) / 2 + 1);
	}
	if (errno || v > max >> shift || v << shift < SIZE_LEAST)
		return -EINVAL;
	*out = v << shift;
	return 0;
}

/* The ring buffer's size is a power of two of whole pages: what is asked for is a minimum. */
int option_set_buffer(struct parse *p, const struct option_row *row, const char *value)
{
	uint64_t bytes = SIZE_LEAST, least;

	if (option_value_size(value, 1ULL << 30, &least))
		return -EINVAL;
	while (bytes < least)
		bytes <<= 1;
	p->o->buffer_bytes = bytes;
	return 0;
}

int option_set_mode(struct parse *p, const struct option_row *row, const char *value)
{
	static const char *const words[] = {
		[MODE_AUTO] = "auto", [MODE_BASE] = "base", [MODE_FULL] = "full"
	};
	int i = value_word(value, words, LENGTH(words));

	if (i < 0)
		return -EINVAL;
	p->o->mode = (enum source_mode)i;
	return 0;
}

int option_set_color(struct parse *p, const struct option_row *row, const char *value)
{
	static const char *const words[] = {
		[COLOR_AUTO] = "auto", [COLOR_ALWAYS] = "always", [COLOR_NEVER] = "never"
	};
	int i = value_word(value, words, LENGTH(words));

	if (i < 0)
		return -EINVAL;
	p->color = (enum color_mode)i;
	return 0;
}

int option_set_until(struct parse *p, const struct option_row *row, const char *value)
{
	if (strcmp(value, "reaped"))
		return -EINVAL;
	p->o->until_reaped = true;
	return 0;
}

int option_set_numeric(struct parse *p, const struct option_row *row, const char *value)
{
	p->o->resolve = false;
	return 0;
}

/* ---- the filter's letters ------------------------------------------------------ */

static long service_port(const char *service)
{
	const struct servent *se = getservbyname(service, "tcp");

	return se ? ntohs((uint16_t)se->s_port) : -1;
}

static long user_id(const char *user)
{
	const struct passwd *pw = getpwnam(user);

	return pw ? (long)pw->pw_uid : -1;
}

static long interface_index(const char *name)
{
	unsigned index = if_nametoindex(name);

	return index ? (long)index : -1;
}

static bool has_addr(uint8_t (*addrs)[16], unsigned n, const uint8_t addr[16])
{
	for (unsigned i = 0; i < n; i++)
		if (!memcmp(addrs[i], addr, 16))
			return true;
	return false;
}

/* Waits for the resolver: nothing is traced yet. */
static unsigned host_addrs(const char *name, int family, uint8_t (*out)[16], unsigned max)
{
	const struct addrinfo hints = {
		.ai_family = family == 4 ? AF_INET : family == 6 ? AF_INET6 : AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
	};
	struct addrinfo *all;
	unsigned n = 0;

	if (getaddrinfo(name, NULL, &hints, &all))
		return 0;
	for (const struct addrinfo *a = all; a && n < max; a = a->ai_next) {
		const struct sockaddr_in6 *in6 = (const void *)a->ai_addr;
		const struct sockaddr_in *in = (const void *)a->ai_addr;
		uint8_t addr[16] = { [10] = 0xff, [11] = 0xff };

		if (a->ai_family == AF_INET6)
			memcpy(addr, &in6->sin6_addr, 16);
		else if (a->ai_family == AF_INET)
			memcpy(addr + 12, &in->sin_addr, 4);
		else
			continue;
		if (!has_addr(out, n, addr))
			memcpy(out[n++], addr, 16);
	}
	freeaddrinfo(all);
	return n;
}

const struct filter_names option_names = {
	.port = service_port,
	.uid = user_id,
	.dev = interface_index,
	.host = host_addrs,
};

/* A letter given twice asks for either; different letters must all hold. */
static int option_add_term(struct parse *p, const struct option_row *row, struct filter *term)
{
	struct filter **slot = &p->letters[row - option_rows];

	if (!term)
		return -ENOMEM;
	*slot = filter_or(*slot, term);
	return *slot ? 0 : -ENOMEM;
}

int option_set_pid(struct parse *p, const struct option_row *row, const char *value)
{
	uint64_t v;

	if (option_value_number(value, 1, INT_MAX, &v))
		return -EINVAL;
	return option_add_term(p, row, filter_term_pid((uint32_t)v));
}

int option_set_uid(struct parse *p, const struct option_row *row, const char *value)
{
	uint64_t v;
	long uid;

	if (option_value_number(value, 0, UINT32_MAX - 1, &v)) {
		uid = isdigit((unsigned char)*value) ? -1 : user_id(value);
		if (uid < 0)
			return -EINVAL;
		v = (uint64_t)uid;
	}
	return option_add_term(p, row, filter_term_uid((uint32_t)v));
}

int option_set_comm(struct parse *p, const struct option_row *row, const char *value)
{
	if (!*value)
		return -EINVAL;
	return option_add_term(p, row, filter_term_comm(value));
}

int option_set_ports(struct parse *p, const struct option_row *row, const char *value)
{
	int which = row->letter == 'L' ? 1 : row->letter == 'D' ? 2 : 3;
	struct filter_error err;
	struct filter *term;
	int rc = filter_term_ports_names(&term, which, value, &option_names, &err);

	return rc ? rc : option_add_term(p, row, term);
}

int option_set_family(struct parse *p, const struct option_row *row, const char *value)
{
	int family = row->letter - '0';

	/* -4 and -6 together ask for either, as one letter given twice would. */
	while (row > option_rows && row[-1].set == option_set_family)
		row--;
	return option_add_term(p, row, filter_term_family(family));
}

/* As it is in the file system, or as it is written in /proc/PID/cgroup. */
int option_set_cgroup(struct parse *p, const struct option_row *row, const char *value)
{
	static const char *const mounts[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
	char path[PATH_MAX];
	struct stat st;
	bool found = false;

	if (!strncmp(value, mounts[0], strlen(mounts[0])) && strlen(value) < sizeof(path))
		found = !stat(value, &st) && S_ISDIR(st.st_mode);
	for (unsigned i = 0; !found && *value && i < LENGTH(mounts); i++) {
		int n = snprintf(path, sizeof(path), "%s/%s", mounts[i], value);

		found = n > 0 && (size_t)n < sizeof(path) && !stat(path, &st) &&
			S_ISDIR(st.st_mode);
	}
	if (!found)
		return -EINVAL;
	return option_add_term(p, row, filter_term_cgroup(value));
}

int option_set_netns(struct parse *p, const struct option_row *row, const char *value)
{
	struct statfs fs;
	struct stat st;
	uint64_t inode;

	if (option_value_number(value, 1, UINT32_MAX, &inode)) {
		if (stat(value, &st) || statfs(value, &fs)) {
			snprintf(p->reason, sizeof(p->reason), " (%s)", strerror(errno));
			return -EINVAL;
		}
		if (fs.f_type != NSFS_MAGIC)
			return -EINVAL;
		inode = st.st_ino;
	}
	return option_add_term(p, row, filter_term_netns((uint32_t)inode));
}
