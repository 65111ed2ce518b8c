/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listening sockets: their queues, and which of them a child came from.
 *
 * Listeners are few; a small hash over the port finds those that could have made
 * a child, and one over the cookie finds its figures. Several listeners may share
 * a port (SO_REUSEPORT, or one per address): the child's is named only when
 * exactly one fits, its owner also where all that fit have the same (nginx's master
 * opens one for each worker).
 */
#include <stdlib.h>
#include <string.h>

#include "pipeline_impl.h"

enum { PORT_BUCKETS = 1024, MAX_LISTENERS = 65536 };

struct listen_node {
	struct listener l;
	uint32_t conn; /* index of its conn; 0 not indexed */
	uint16_t port;
	struct listen_node *next_port;
	struct listen_node *next_cookie;
};

struct listentab {
	struct listen_node *by_port[PORT_BUCKETS];
	struct listen_node *by_cookie[PORT_BUCKETS];
	uint32_t count;
};

struct listentab *listentab_new(void)
{
	return calloc(1, sizeof(struct listentab));
}

void listentab_free(struct listentab *t)
{
	if (!t)
		return;
	for (unsigned i = 0; i < PORT_BUCKETS; i++) {
		struct listen_node *n = t->by_cookie[i], *next;

		for (; n; n = next) {
			next = n->next_cookie;
			free(n);
		}
	}
	free(t);
}

static unsigned cookie_bucket(uint64_t cookie)
{
	return (cookie * 0x9e3779b97f4a7c15ULL) >> 54;
}

static struct listen_node *node_get(struct listentab *t, uint64_t cookie, bool create)
{
	struct listen_node **head = &t->by_cookie[cookie_bucket(cookie)], *n;

	for (n = *head; n; n = n->next_cookie)
		if (n->l.cookie == cookie)
			return n;
	if (!create || !cookie || t->count >= MAX_LISTENERS)
		return NULL;
	n = calloc(1, sizeof(*n));
	if (!n)
		return NULL;
	n->l.cookie = cookie;
	n->next_cookie = *head;
	*head = n;
	t->count++;
	return n;
}

struct listener *listener_get(struct pipeline *p, uint64_t cookie, bool create)
{
	struct listen_node *n = node_get(p->listeners, cookie, create);

	return n ? &n->l : NULL;
}

void listener_index(struct pipeline *p, const struct conn *c)
{
	struct listen_node *n = node_get(p->listeners, c->cookie, true), **head;

	if (!n || n->conn)
		return;
	n->conn = conntab_index(p->conns, c);
	n->port = c->lport;
	head = &p->listeners->by_port[c->lport % PORT_BUCKETS];
	n->next_port = *head;
	*head = n;
}

static void unlink_port(struct listentab *t, struct listen_node *n)
{
	struct listen_node **at = &t->by_port[n->port % PORT_BUCKETS];

	while (*at && *at != n)
		at = &(*at)->next_port;
	if (*at)
		*at = n->next_port;
}

void listener_unindex(struct pipeline *p, const struct conn *c)
{
	struct listen_node **at = &p->listeners->by_cookie[cookie_bucket(c->cookie)], *n;

	while (*at && (*at)->l.cookie != c->cookie)
		at = &(*at)->next_cookie;
	n = *at;
	if (!n)
		return;
	*at = n->next_cookie;
	if (n->conn)
		unlink_port(p->listeners, n);
	p->listeners->count--;
	free(n);
}

void listener_queues(struct pipeline *p, const struct event *e)
{
	struct listener *l;

	if (!(e->flags & EVF_LISTEN))
		return;
	l = listener_get(p, e->cookie, true);
	if (!l)
		return;
	if (!l->ts_ns)
		l->drops_first = e->listen.drops;
	l->ts_ns = e->ts_ns;
	l->accept_queue = e->listen.accept_queue;
	l->accept_limit = e->listen.accept_limit;
	l->syn_queue = e->listen.syn_queue;
	l->syn_young = e->listen.syn_young;
	l->drops = e->listen.drops;
}

/* 0.0.0.0 and :: take every address; a v4-mapped child may come from either. */
static bool is_wildcard(const uint8_t addr[16])
{
	static const uint8_t v4[16] = {[10] = 0xff, [11] = 0xff}, v6[16];

	return !memcmp(addr, v4, 16) || !memcmp(addr, v6, 16);
}

enum fit { NOT_ITS, WILD, EXACT };

/* Could this one have made the child? Whoever listens on its address goes before a wildcard. */
static enum fit fits(const struct pipeline *p, const struct listen_node *n,
		     const struct conn *child)
{
	const struct conn *c = conntab_at(p->conns, n->conn);

	if (n->port != child->lport || !c || c->netns != child->netns)
		return NOT_ITS;
	if (!memcmp(c->local, child->local, 16))
		return EXACT;
	return is_wildcard(c->local) ? WILD : NOT_ITS;
}

static void one_more(struct made_by *m, struct conn *listener)
{
	m->owner = !m->count || m->owner == listener->owner ? listener->owner : 0;
	m->one = m->count ? NULL : listener;
	m->count++;
}

static struct made_by all_that(const struct pipeline *p, const struct conn *child, enum fit fit)
{
	const struct listen_node *n = p->listeners->by_port[child->lport % PORT_BUCKETS];
	struct made_by m = {0};

	for (; n; n = n->next_port)
		if (fits(p, n, child) == fit)
			one_more(&m, conntab_at(p->conns, n->conn));
	return m;
}

struct made_by listener_of(const struct pipeline *p, const struct conn *child)
{
	struct made_by exact = all_that(p, child, EXACT);

	return exact.count ? exact : all_that(p, child, WILD);
}

static void share(struct pipeline *p, const struct conn *child)
{
	struct listen_node *n = p->listeners->by_port[child->lport % PORT_BUCKETS];
	enum fit fit = all_that(p, child, EXACT).count ? EXACT : WILD;

	for (; n; n = n->next_port)
		n->l.shared |= fits(p, n, child) == fit;
}

void listener_established(struct pipeline *p, const struct conn *child)
{
	struct made_by by = listener_of(p, child);
	struct listener *l = by.one ? listener_get(p, by.one->cookie, false) : NULL;

	if (l) {
		l->accepted++;
		l->waiting += p->stats.full_mode;
	} else if (by.count) {
		share(p, child);
	}
}
