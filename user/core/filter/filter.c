/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A filter's nodes and their life: made one by one, joined, freed. The parser and
 * the letters of the command line both build from these.
 *
 * Always: a node is freed by whoever holds its root; a function that takes a node
 * has taken it also when it fails.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filter_node.h"

struct filter *filter_node(enum node_kind kind)
{
	struct filter *f = calloc(1, sizeof(*f));

	if (f)
		f->kind = kind;
	return f;
}

struct filter *filter_node_text(enum node_kind kind, const char *text, unsigned len)
{
	struct filter *f = filter_node(kind);

	if (!f)
		return NULL;
	f->text = strndup(text, len);
	if (!f->text) {
		free(f);
		return NULL;
	}
	return f;
}

struct filter *filter_node_join(enum node_kind kind, struct filter *a, struct filter *b)
{
	struct filter *f = filter_node(kind);

	if (!f) {
		filter_free(a);
		filter_free(b);
		return NULL;
	}
	f->a = a;
	f->b = b;
	return f;
}

void filter_free(struct filter *f)
{
	/* Long conjunctions lean to the left: only the other branch recurses. */
	while (f) {
		struct filter *next = f->a;

		filter_free(f->b);
		if (f->kind == NODE_COMM || f->kind == NODE_CGROUP)
			free(f->text);
		free(f);
		f = next;
	}
}

struct filter *filter_and(struct filter *f, struct filter *g)
{
	if (!f)
		return g;
	if (!g)
		return f;
	return filter_node_join(NODE_AND, f, g);
}

struct filter *filter_or(struct filter *f, struct filter *g)
{
	if (!f)
		return g;
	if (!g)
		return f;
	return filter_node_join(NODE_OR, f, g);
}

static struct filter *term_number(enum node_kind kind, uint64_t number)
{
	struct filter *f = filter_node(kind);

	if (f)
		f->number = number;
	return f;
}

struct filter *filter_term_pid(uint32_t pid)
{
	return term_number(NODE_PID, pid);
}

struct filter *filter_term_uid(uint32_t uid)
{
	return term_number(NODE_UID, uid);
}

struct filter *filter_term_netns(uint32_t inode)
{
	return term_number(NODE_NETNS, inode);
}

struct filter *filter_term_family(int v4_or_v6)
{
	return term_number(NODE_FAMILY, (uint64_t)v4_or_v6);
}

struct filter *filter_term_comm(const char *comm)
{
	return filter_node_text(NODE_COMM, comm, strlen(comm));
}

struct filter *filter_term_cgroup(const char *path)
{
	return filter_node_text(NODE_CGROUP, path, strlen(path));
}

int filter_term_ports_names(struct filter **out, int which, const char *list,
			    const struct filter_names *names, struct filter_error *err)
{
	struct filter *f = filter_node(NODE_PORTS);

	if (!f || filter_value_ports(&f->ports, list, strlen(list), names)) {
		err->word = 0;
		snprintf(err->token, sizeof(err->token), "%s", list);
		snprintf(err->message, sizeof(err->message),
			 "expected at most %d ports 0-65535 such as 443 or 80,443,8000-8010",
			 KFILTER_PORTS);
		free(f);
		return f ? -EINVAL : -ENOMEM;
	}
	f->side = (uint8_t)which;
	*out = f;
	return 0;
}

int filter_term_ports(struct filter **out, int which, const char *list, struct filter_error *err)
{
	return filter_term_ports_names(out, which, list, NULL, err);
}

bool filter_asks_tuple(const struct filter *f)
{
	static const bool of_tuple[NODE_KINDS] = {
		[NODE_AND] = true,   [NODE_OR] = true,	 [NODE_NOT] = true,    [NODE_STATE] = true,
		[NODE_PORTS] = true, [NODE_ADDR] = true, [NODE_FAMILY] = true, [NODE_NETNS] = true,
	};

	return !f || (of_tuple[f->kind] && filter_asks_tuple(f->a) && filter_asks_tuple(f->b));
}

bool filter_asks_verdict(const struct filter *f)
{
	return f && (f->kind == NODE_VERDICT || filter_asks_verdict(f->a) ||
		     filter_asks_verdict(f->b));
}
