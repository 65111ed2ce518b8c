/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far apart the clocks of two hosts are, from the connections between them.
 *
 * What one end receives it receives after the other sent it: a FIN sent (FIN_WAIT_1)
 * before it was taken (CLOSE_WAIT), its acknowledgment (CLOSE_WAIT) before that came
 * back (FIN_WAIT_2), the handshake's ACK (the client's ESTABLISHED) before the
 * server's. Each such pair bounds the difference from one side; the estimate is the
 * middle between the closest bounds, and half their distance is what it may be wrong by.
 *
 * The files are read once before they are replayed; stdin cannot be, and then the
 * hosts' own clocks are believed. Bounded: TRACKED connections, the first ones.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/connection/conn.h"
#include "replay.h"

enum { TRACKED = 8192, SLOTS = TRACKED * 2 };

/* One connection: side 0 is the end whose address and port are the lower ones. */
struct met {
	uint8_t addr[2][16];
	uint16_t port[2];
	bool used;
	struct {
		bool seen, client;
		unsigned host;
		int64_t at[ST_COUNT]; /* realtime by its host's clock; 0 never */
	} side[2];
};

struct meeting {
	struct met *slots;
	unsigned used;
};

struct bounds {
	int64_t low, high;      /* of the other's clock minus the first's */
	bool has_low, has_high;
	unsigned connections;
};

static struct met *met_find(struct meeting *m, const struct event *e, unsigned *side)
{
	int order = memcmp(e->local, e->peer, 16);
	uint32_t h = 2166136261u;
	struct met key = {.used = true};

	*side = order > 0 || (!order && e->lport > e->pport);
	memcpy(key.addr[*side], e->local, 16);
	memcpy(key.addr[!*side], e->peer, 16);
	key.port[*side] = e->lport;
	key.port[!*side] = e->pport;
	for (unsigned i = 0; i < sizeof(key.addr); i++)
		h = (h ^ key.addr[i / 16][i % 16]) * 16777619u;
	h = (h ^ key.port[0]) * 16777619u;
	h = (h ^ key.port[1]) * 16777619u;
	for (;; h++) {
		struct met *at = &m->slots[h % SLOTS];

		if (!at->used && m->used == TRACKED)
			return NULL;
		if (!at->used) {
			*at = key;
			m->used++;
			return at;
		}
		if (!memcmp(at->addr, key.addr, sizeof(key.addr)) &&
		    !memcmp(at->port, key.port, sizeof(key.port)))
			return at;
	}
}

static void met_event(struct meeting *m, const struct deck *d, const struct event *e)
{
	struct met *c;
	unsigned side;

	if (e->kind != EV_STATE || !e->lport || !e->pport || e->new_state >= ST_COUNT)
		return;
	c = met_find(m, e, &side);
	if (!c)
		return;
	if (c->side[side].seen && c->side[side].host != d->host)
		return;
	c->side[side].seen = true;
	c->side[side].host = d->host;
	c->side[side].client |= e->old_state == ST_SYN_SENT;
	if (!c->side[side].at[e->new_state])
		c->side[side].at[e->new_state] = (int64_t)e->ts_ns + d->begin.clock_offset_ns;
}

/* Sent at `from` by one clock, received at `to` by the other. The first host's is `sender`. */
static void bound(struct bounds *b, int64_t from, int64_t to, bool first_sent)
{
	int64_t ahead = first_sent ? to - from : from - to;

	if (!from || !to)
		return;
	if (first_sent && (!b->has_high || ahead < b->high)) {
		b->high = ahead;
		b->has_high = true;
	} else if (!first_sent && (!b->has_low || ahead > b->low)) {
		b->low = ahead;
		b->has_low = true;
	}
}

/* All that side `s` sent and the other took. */
static void bound_side(struct bounds *b, const struct met *c, unsigned s)
{
	const int64_t *sent = c->side[s].at, *took = c->side[!s].at;
	bool first = !c->side[s].host;

	bound(b, sent[ST_FIN_WAIT_1], took[ST_CLOSE_WAIT], first);
	bound(b, sent[ST_CLOSE_WAIT], took[ST_FIN_WAIT_2], first);
	if (c->side[s].client)
		bound(b, sent[ST_ESTABLISHED], took[ST_ESTABLISHED], first);
}

static void take_bounds(const struct meeting *m, unsigned host, struct bounds *b)
{
	memset(b, 0, sizeof(*b));
	for (unsigned i = 0; i < SLOTS; i++) {
		const struct met *c = &m->slots[i];
		bool here = c->side[0].seen && c->side[1].seen;
		bool ours = (!c->side[0].host && c->side[1].host == host) ||
			    (!c->side[1].host && c->side[0].host == host);

		if (!c->used || !here || !ours)
			continue;
		b->connections++;
		bound_side(b, c, 0);
		bound_side(b, c, 1);
	}
}

static const char *host_of(const struct deck *d)
{
	return d->host_name[0] ? d->host_name : d->tape.name;
}

static void say(const struct deck *first, const struct deck *d, const struct bounds *b,
		int64_t ahead)
{
	struct buf line = {0};

	buf_str(&line, "tcptrail: the clock of ");
	buf_safe(&line, host_of(d), 128);
	if (!b->has_low && !b->has_high) {
		buf_str(&line, " is believed: no connection with ");
		buf_safe(&line, host_of(first), 128);
		buf_str(&line, " tells its offset\n");
	} else {
		buf_str(&line, " is ");
		buf_duration(&line, (uint64_t)(ahead < 0 ? -ahead : ahead));
		buf_str(&line, ahead < 0 ? " behind that of " : " ahead of that of ");
		buf_safe(&line, host_of(first), 128);
		if (b->has_low && b->has_high) {
			buf_str(&line, ", give or take ");
			buf_duration(&line, (uint64_t)llabs(b->high - b->low) / 2);
		}
		buf_printf(&line, ", by %u connection%s between them: taken off\n",
			   b->connections, b->connections == 1 ? "" : "s");
	}
	fwrite(line.data, 1, line.len, stderr);
	buf_free(&line);
}

static void correct(struct replay *r, const struct meeting *m, unsigned host)
{
	const struct deck *said = NULL;
	struct bounds b;
	int64_t ahead;

	take_bounds(m, host, &b);
	ahead = b.has_low && b.has_high ? b.low + (b.high - b.low) / 2
		: b.has_low		? b.low
					: b.high;
	for (unsigned i = 0; i < r->ndecks; i++) {
		struct deck *d = &r->decks[i];

		if (d->host != host)
			continue;
		d->shift_ns -= ahead;
		if (!said)
			say(&r->decks[0], d, &b, ahead);
		said = d;
	}
}

/* Reads a file that is going to be replayed, once before. */
static void read_ahead(const struct deck *d, struct meeting *m)
{
	FILE *f = strcmp(d->tape.name, "-") ? fopen(d->tape.name, "re") : NULL;
	struct record rec;
	struct tape t;
	char msg[256];

	if (!f || tape_open(&t, f, d->tape.name, msg, sizeof(msg)))
		return; /* what is wrong with it is told when it is replayed */
	while (tape_next(&t, &rec, msg, sizeof(msg)) > 0)
		if (rec.type == REC_EVENT)
			met_event(m, d, rec.data);
	tape_close(&t);
}

int replay_clocks(struct replay *r, unsigned hosts, char *msg, size_t msg_len)
{
	struct meeting m = {.slots = calloc(SLOTS, sizeof(*m.slots))};

	if (!m.slots) {
		snprintf(msg, msg_len, "%s", strerror(ENOMEM));
		return -ENOMEM;
	}
	for (unsigned i = 0; i < r->ndecks; i++)
		read_ahead(&r->decks[i], &m);
	for (unsigned host = 1; host < hosts; host++)
		correct(r, &m, host);
	free(m.slots);
	return 0;
}
