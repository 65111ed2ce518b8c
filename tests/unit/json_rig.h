/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the JSON writers share: a pipeline to take facts from, makers of
 * connections and processes, and a reader of JSON just large enough to ask a record
 * for a member by its path. The writers are no part of the core; their files are
 * included here as they are. For one program each: everything is static.
 */
#ifndef TCPTRAIL_TEST_JSON_RIG_H
#define TCPTRAIL_TEST_JSON_RIG_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../user/output/json_common.c"
#include "../../user/output/json_change.c"
#include "../../user/output/json_timeline.c"
#include "../../user/output/json_conn.c"
#include "../../user/output/json_sock.c"
#include "../../user/output/json_holders.c"
#include "../../user/output/json_stack.c"
#include "../../user/output/json_stats.c"

enum { NETNS = 4026531, T0_S = 100 };
#define NS	  1000000000ull
#define MS	  1000000ull
#define OFFSET_NS (1700000000ull * NS) /* 2023-11-14T22:13:20Z */
#define ID64	  "3f5c1e0a9b8d7c6e5f4a3b2c1d0e9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c3d2e"

/* ---- what the writers need of the rest ------------------------------------------- */

uint64_t session_started(const struct session *s)
{
	return 0; /* times count from the first one told */
}

uint64_t session_realtime(const struct session *s, uint64_t mono_ns)
{
	return mono_ns + OFFSET_NS;
}

uint64_t sink_lost(const struct sink *s)
{
	return *(const uint64_t *)(const void *)s;
}

static const char *rst_reason(const struct source *s, unsigned reason)
{
	return reason == 5 ? "TCP_RFC793_LISTEN" : "";
}

static const char *drop_reason(const struct source *s, unsigned reason)
{
	return reason == 40 ? "TCP_OLD_SEQUENCE" : NULL;
}

struct rig {
	struct source source;
	struct session s;
	struct json_face f;
	struct community_cache ids;
	struct buf b;
	struct options o;
	uint64_t lost;
	bool print;
};

static const struct view_ops no_ops;

static int rig_open(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));
	struct pipeline_config cfg = {.want_steps = true};
	struct event tick = {.kind = EV_TICK, .ts_ns = (T0_S + 10) * NS};

	if (*state)
		r->print = true;
	r->source = (struct source){.rst_reason = rst_reason, .drop_reason = drop_reason};
	r->s = (struct session){.o = &r->o,
				.source = &r->source,
				.p = pipeline_new(&cfg, &no_ops, NULL),
				.sequence = 7};
	r->f = (struct json_face){.s = &r->s, .sequence = &r->s.sequence, .ids = &r->ids};
	*state = r;
	return pipeline_feed(r->s.p, &tick, sizeof(tick));
}

static int rig_close(void **state)
{
	struct rig *r = *state;

	pipeline_free(r->s.p);
	buf_free(&r->b);
	free(r);
	*state = NULL;
	return 0;
}

static uint32_t add_proc(struct rig *r, uint32_t pid, const char *comm, const char *path)
{
	struct event_task t = {.pid = pid, .uid = 33, .cgroup = 9000 + pid};

	memcpy(t.comm, comm, strnlen(comm, sizeof(t.comm)));
	if (path)
		assert_int_equal(cgroup_set(pipeline_procs(r->s.p), t.cgroup, path), 0);
	return proc_intern(pipeline_procs(r->s.p), &t, false);
}

static void v4(uint8_t addr[16], uint8_t last)
{
	static const uint8_t ten[16] = {[10] = 0xff, [11] = 0xff, [12] = 10};

	memcpy(addr, ten, 16);
	addr[15] = last;
}

/* 10.0.0.1:40000 to 10.0.0.2:443 in NETNS. */
static struct conn *add_conn(struct rig *r, uint64_t cookie)
{
	struct conn *c = conntab_add(pipeline_conns(r->s.p), cookie);

	assert_non_null(c);
	assert_non_null(conntab_end(pipeline_conns(r->s.p), c));
	c->netns = NETNS;
	v4(c->local, 1);
	v4(c->peer, 2);
	c->lport = 40000;
	c->pport = 443;
	c->role = ROLE_CLIENT;
	c->state = ST_ESTABLISHED;
	c->start_ns = T0_S * NS;
	return c;
}

/* ---- a reader of JSON just large enough to ask for a member -------------------------- */

static const char *skip_value(const char *p);

static const char *skip_string(const char *p)
{
	for (p++; *p != '"'; p++) {
		assert_true((unsigned char)*p >= ' ');
		if (*p == '\\')
			p++;
	}
	return p + 1;
}

static const char *skip_list(const char *p)
{
	char end = *p == '{' ? '}' : ']';

	if (p[1] == end)
		return p + 2;
	do {
		p++;
		if (end == '}') {
			p = skip_string(p);
			assert_int_equal(*p, ':');
			p++;
		}
		p = skip_value(p);
	} while (*p == ',');
	assert_int_equal(*p, end);
	return p + 1;
}

static const char *skip_value(const char *p)
{
	static const char *const words[] = {"true", "false"};
	size_t n = strspn(p, "-0123456789.");

	if (*p == '"')
		return skip_string(p);
	if (*p == '{' || *p == '[')
		return skip_list(p);
	for (int i = 0; i < 2; i++)
		if (!strncmp(p, words[i], strlen(words[i])))
			return p + strlen(words[i]);
	assert_true(n > 0);
	return p + n;
}

/* The value of one member or element of what p points at; NULL: there is none. A second member
 * of the same name is an error. */
static const char *child(const char *p, const char *key, size_t n)
{
	bool object = *p == '{';
	const char *found = NULL;
	long index = object ? -1 : strtol(key, NULL, 10);

	if (p[1] == '}' || p[1] == ']')
		return NULL;
	do {
		bool match = !object && !index--;

		p++;
		if (object) {
			match = !strncmp(p + 1, key, n) && p[1 + n] == '"';
			p = skip_string(p) + 1;
		}
		if (match) {
			assert_null(found);
			found = p;
		}
		p = skip_value(p);
	} while (*p == ',');
	return found;
}

/* By a path of '/'; strings without their quotes. NULL when absent. */
static const char *get(const struct rig *r, const char *path)
{
	static char value[4096];
	const char *p = r->b.data, *end;
	size_t n;

	for (; p && *path; path += n + (path[n] == '/')) {
		n = strcspn(path, "/");
		p = child(p, path, n);
	}
	if (!p)
		return NULL;
	end = skip_value(p);
	if (*p == '"') {
		p++;
		end--;
	}
	assert_true((size_t)(end - p) < sizeof(value));
	memcpy(value, p, (size_t)(end - p));
	value[end - p] = '\0';
	return value;
}

/* The record is one whole line of JSON, and nothing else. */
static void check(struct rig *r)
{
	assert_false(r->b.failed);
	assert_int_equal(r->b.data[r->b.len - 1], '\n');
	assert_null(memchr(r->b.data, '\n', r->b.len - 1));
	buf_char(&r->b, '\0');
	assert_string_equal(skip_value(r->b.data), "\n");
	assert_string_equal(get(r, "schema_version"), "1.0");
	if (r->print)
		fputs(r->b.data, stdout);
	r->b.len = 0;
}

static void want(const struct rig *r, const char *path, const char *value)
{
	const char *is = get(r, path);

	if (!is || strcmp(is, value))
		print_error("%s: %s, not %s\n", path, is ? is : "absent", value);
	assert_true(is && !strcmp(is, value));
}

static void absent(const struct rig *r, const char *path)
{
	const char *is = get(r, path);

	if (is)
		print_error("%s: %s, not absent\n", path, is);
	assert_null(is);
}

#define RIG(test, print)                                                                           \
	{                                                                                          \
#test, test, rig_open, rig_close, print                                            \
	}

#endif
