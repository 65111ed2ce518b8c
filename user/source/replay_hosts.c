/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recordings of several hosts as one stream: times on the first host's clock, and
 * numbers (cookies, namespaces, cgroups) that mean nothing on another host kept
 * apart. Both ends of a connection then meet as two namespaces' do on one host: by
 * the tuple and the two initial sequence numbers.
 */
#include <errno.h>
#include <string.h>

#include "replay.h"

static bool same_host(const struct deck *a, const struct deck *b)
{
	return a->boot[0] && !strcmp(a->boot, b->boot);
}

int replay_align(struct replay *r, char *msg, size_t msg_len)
{
	unsigned hosts = 1;
	int err;

	for (unsigned i = 1; i < r->ndecks; i++) {
		struct deck *d = &r->decks[i];
		unsigned same = 0;

		while (same < i && !same_host(&r->decks[same], d))
			same++;
		d->host = same < i ? r->decks[same].host : hosts++;
		if (d->host)
			d->shift_ns = d->begin.clock_offset_ns - r->decks[0].begin.clock_offset_ns;
	}
	err = hosts > 1 ? replay_clocks(r, hosts, msg, msg_len) : 0;
	for (unsigned i = 1; i < r->ndecks; i++)
		r->decks[i].ts_ns += (uint64_t)r->decks[i].shift_ns;
	return err;
}

void replay_translate(const struct deck *d, struct event *e)
{
	uint64_t apart = (uint64_t)d->host << 56;

	e->ts_ns += (uint64_t)d->shift_ns;
	if (!d->host)
		return;
	if (e->cookie)
		e->cookie ^= apart;
	if (e->netns)
		e->netns ^= d->host << 28;
	if (e->task.cgroup)
		e->task.cgroup ^= apart;
	if (e->kind == EV_STACK)
		e->extra.stack.id ^= apart;
	if (e->kind == EV_SNAPSHOT_BEGIN && e->extra.raw[0])
		e->extra.raw[0] ^= d->host << 28;
}
