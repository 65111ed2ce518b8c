/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole host: sockets of the other network namespaces, limits and counts, and
 * the closing of one socket.
 *
 * What needs a privilege is opened or read before the privileges go; what can be
 * read without is read again for each snapshot.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#include "caps.h"
#include "core/connection/conn.h"
#include "core/connection/facts.h"
#include "core/pipeline/pipeline.h"
#include "live.h"

static int tcp_iterator(const struct live *l)
{
	for (unsigned i = 0; i < hooks_count(); i++)
		if (!strcmp(hooks_at(i)->name, "on_iter_tcp") && l->links[i])
			return bpf_link__fd(l->links[i]);
	return -1;
}

int live_whole_open(struct live *l)
{
	unsigned reach = caps_reach();
	int err;

	fact_rows_host(&l->facts);
	fact_rows_netns(&l->facts, l->lookup.netns); /* ours first: what is unknown is as here */
	err = netns_open(&l->netns, tcp_iterator(l), &l->facts);
	fact_rows_set(&l->facts, FACT_NETNS_SEEN, 0, 0, l->netns.len + 1);
	fact_rows_set(&l->facts, FACT_NETNS_UNSEEN, 0, 0, l->netns.unseen);
	fact_rows_set(&l->facts, FACT_PROCS_HIDDEN, 0, 0, l->netns.hidden);
	if (l->netns.len == NETNS_MAX)
		reach |= REACH_TOO_MANY;
	fact_rows_set(&l->facts, FACT_REACH, 0, 0, reach);
	/* The tracepoint got its reasons when it began to tell of them. */
	fact_rows_set(&l->facts, FACT_RST_OF_MINISOCK, 0, 0, l->rst_reasons.len > 0);
	return err;
}

void live_whole_close(struct live *l)
{
	netns_close(&l->netns);
	fact_rows_free(&l->facts);
}

void live_whole_tell(struct live *l, struct pipeline *p)
{
	fact_rows_host(&l->facts);
	fact_rows_netns(&l->facts, l->lookup.netns);
	for (unsigned i = 0; i < l->netns.len; i++)
		fact_rows_again(&l->facts, &l->netns.list[i].facts, l->netns.list[i].inode);
	fact_rows_tell(&l->facts, p);
}

/* A request sock is followed under a number of ours, and so is every socket on a kernel without
 * cookies for tracepoints: the kernel would not know it. */
static bool is_kernel_cookie(const struct conn *c)
{
	return c->cookie && !(c->cookie >> 62);
}

int live_destroy(struct source *s, const struct conn *c)
{
	struct live *l = (struct live *)s;
	struct lookup *lookup = live_lookup_of(l, c->netns);
	struct lookup_request r = {
		.cookie = c->cookie,
		.netns = c->netns,
		.lport = c->lport,
		.pport = c->pport,
		.bound_dev = conn_end(c)->bound_dev,
	};
	struct lookup_answer now = {};
	int err;

	if (!is_kernel_cookie(c) || c->state == ST_LISTEN)
		return -EOPNOTSUPP;
	memcpy(r.local, c->local, sizeof(r.local));
	memcpy(r.peer, c->peer, sizeof(r.peer));
	err = lookup_any(lookup, &r, &now);
	if (err)
		return err;
	if (!now.found)
		return -ENOENT;
	if (now.state != c->state)
		return -ESTALE;
	return lookup_destroy(lookup, &r);
}
