/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The iterators: every TCP socket of our namespace, and every one that any
 * process holds, told through the ring between EV_SNAPSHOT_BEGIN and _END.
 *
 * An iterator holds kernel locks while read() runs it, so it is read in pieces
 * that the ring can hold, and room is made in the ring between two pieces: for more
 * than a piece, but not for all that comes meanwhile. Where more happens than we can
 * read, emptying the ring 256 times would take half a minute, deaf to signals.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "core/pipeline/pipeline.h"
#include "live.h"

enum {
	PIECE = 512,    /* sockets a read(): one byte each */
	READ_A_PIECE = 4 * PIECE,
	ORPHANS = 4096, /* asked for in a snapshot, 4 us each */
};

/* A quarter of the ring is enough for anything that happens meanwhile on a small one. */
static size_t piece_of(const struct live *l)
{
	uint64_t fits = l->ring_bytes / 4 / (sizeof(struct event) + 8);

	return fits < 1 ? 1 : fits < PIECE ? fits : PIECE;
}

/* Reads the iterator to its end and closes it. */
static int iterate_fd(struct live *l, struct pipeline *p, int fd)
{
	char piece[PIECE];
	int err = 0;
	ssize_t n;

	for (;;) {
		n = read(fd, piece, piece_of(l));
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		err = live_consume(l, p, READ_A_PIECE);
		if (n <= 0 || err < 0)
			break;
	}
	if (n < 0)
		err = -errno;
	close(fd);
	return err < 0 ? err : 0;
}

static int iterate(struct live *l, struct pipeline *p, struct bpf_link *link)
{
	int fd = bpf_iter_create(bpf_link__fd(link));

	return fd < 0 ? fd : iterate_fd(l, p, fd);
}

int live_iterate_tcp(struct live *l, struct pipeline *p)
{
	for (unsigned i = 0; i < hooks_count(); i++)
		if (!strcmp(hooks_at(i)->name, "on_iter_tcp") && l->links[i])
			return iterate(l, p, l->links[i]);
	return -EOPNOTSUPP;
}

/* Those of the other namespaces were created in each, and walk it once. */
static int iterate_others(struct live *l, struct pipeline *p)
{
	int err = 0;

	for (unsigned i = 0; i < l->netns.len && !err; i++) {
		struct netns *n = &l->netns.list[i];

		if (n->iter_fd >= 0)
			err = iterate_fd(l, p, n->iter_fd);
		n->iter_fd = -1;
	}
	return err;
}

/* Where no iterator walks again: one question for each orphan that is known of. */
static void ask_for_orphans(struct live *l, struct pipeline *p)
{
	struct lookup_request r;
	struct lookup_answer a;
	uint32_t cursor = 0;

	for (int i = 0; i < ORPHANS && pipeline_next_orphan(p, &cursor, &r); i++)
		if (!lookup_any(live_lookup_of(l, r.netns), &r, &a))
			live_tell_lookup(p, &r, &a);
}

/* A recording's next file has only the sockets of its snapshot: which stack is whose with them. */
static void tell_stacks(struct live *l, struct pipeline *p)
{
	uint32_t cursor = 0;
	struct event e;

	if (!l->callers)
		return;
	live_event(&e, EV_STACK);
	while (pipeline_next_stacked(p, &cursor, &e))
		pipeline_feed(p, &e, sizeof(e));
}

int live_snapshot(struct live *l, struct pipeline *p)
{
	uint64_t lost;
	struct event e;
	int err = 0;

	live_consume_all(l, p); /* what happened before is told before */
	if (l->cfg.whole_host)
		live_whole_tell(l, p);
	lost = live_ring_lost(l);
	live_event(&e, EV_SNAPSHOT_BEGIN);
	e.extra.raw[0] = l->lookup.netns;
	pipeline_feed(p, &e, sizeof(e));
	for (unsigned i = 0; i < hooks_count() && !err; i++)
		if (hooks_at(i)->kind == HOOK_ITER && l->links[i])
			err = iterate(l, p, l->links[i]);
	if (!err)
		err = iterate_others(l, p);
	live_consume_all(l, p);
	if (l->cfg.whole_host)
		ask_for_orphans(l, p);
	tell_stacks(l, p);
	live_event(&e, EV_SNAPSHOT_END);
	e.extra.raw[0] = err || live_ring_lost(l) != lost;
	pipeline_feed(p, &e, sizeof(e));
	return err;
}
