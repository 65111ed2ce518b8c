/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --sample: 1 in N connections, whole. Which one is decided by its two endpoints, so a change
 * that comes before they are known (CLOSE -> SYN_SENT: the kernel chooses the port after it)
 * waits here for the next one of its connection.
 *
 * Always: a connection's records all pass or none does; what is left out is counted. Never:
 * more than HELD changes wait; one for which there is no room is left out, and counted.
 */
#include <errno.h>
#include <stdlib.h>

#include "../core/filter/sample.h"
#include "../session.h"
#include "gate.h"

enum { HELD = 4096, PROBES = 16 };

struct held {
	uint64_t cookie; /* 0: free */
	struct conn conn;
	struct change change;
};

struct gate {
	struct session *s;
	gate_emit_fn emit;
	void *arg;
	struct held *held;              /* NULL: not sampled */
	struct gate_findings *findings; /* NULL: not asked for */
};

int gate_open(struct gate **out, struct session *s, gate_emit_fn emit, void *arg)
{
	const struct options *o = s->o;
	struct gate *g;

	*out = NULL;
	if (o->sample <= 1 && !o->only_findings)
		return 0;
	g = calloc(1, sizeof(*g));
	if (!g)
		return -ENOMEM;
	*g = (struct gate){ .s = s, .emit = emit, .arg = arg };
	if (o->sample > 1)
		g->held = calloc(HELD, sizeof(*g->held));
	if (o->only_findings)
		g->findings = gate_findings_new(s);
	if ((o->sample > 1 && !g->held) || (o->only_findings && !g->findings)) {
		gate_close(g);
		return -ENOMEM;
	}
	s->left_out.sample = o->sample;
	s->left_out.only_findings = o->only_findings;
	*out = g;
	return 0;
}

void gate_close(struct gate *g)
{
	if (!g)
		return;
	gate_findings_free(g->findings);
	free(g->held);
	free(g);
}

/* A listener is no connection. */
static bool keeps(const struct gate *g, const struct conn *c)
{
	if (g->findings)
		return gate_findings_has(g->findings, c->cookie);
	return c->role == ROLE_LISTENER ||
	       sample_keeps(g->s->left_out.sample, c->local, c->lport, c->peer, c->pport);
}

/* What waits of this connection, or (with `room`) a free place; NULL: neither. */
static struct held *held_of(struct gate *g, uint64_t cookie, bool room)
{
	uint32_t at = (uint32_t)((cookie * 0x9e3779b97f4a7c15ULL) >> 32);
	struct held *free_one = NULL;

	for (unsigned i = 0; g->held && i < PROBES; i++) {
		struct held *h = &g->held[(at + i) % HELD];

		if (h->cookie == cookie)
			return h;
		if (!h->cookie && !free_one)
			free_one = h;
	}
	return room ? free_one : NULL;
}

static void pass(struct gate *g, const struct conn *c, const struct change *ch, bool kept)
{
	if (kept)
		g->emit(g->arg, c, ch);
	else
		g->s->left_out.records++;
}

static void release(struct gate *g, uint64_t cookie, bool kept)
{
	struct held *h = cookie ? held_of(g, cookie, false) : NULL;

	if (!h)
		return;
	h->cookie = 0;
	pass(g, &h->conn, &h->change, kept);
}

static bool has_to_wait(const struct gate *g, const struct conn *c, const struct change *ch)
{
	return g->held && !g->findings && c->cookie && !c->lport && c->role != ROLE_LISTENER &&
	       ch->to != ST_CLOSED;
}

void gate_change(struct gate *g, const struct conn *c, const struct change *ch)
{
	struct held *h = has_to_wait(g, c, ch) ? held_of(g, c->cookie, true) : NULL;
	bool kept;

	if (h && !h->cookie) {
		*h = (struct held){ .cookie = c->cookie, .conn = *c, .change = *ch };
		h->conn.end = NULL; /* the table's, and it may go first */
		return;
	}
	if (has_to_wait(g, c, ch)) { /* no room, or a second one before the port is known */
		g->s->left_out.records++;
		return;
	}
	kept = keeps(g, c);
	release(g, c->cookie, kept);
	pass(g, c, ch, kept);
}

bool gate_conn_end(struct gate *g, const struct conn *c)
{
	bool kept = keeps(g, c);

	release(g, c->cookie, kept);
	if (g->findings)
		gate_findings_forget(g->findings, c->cookie);
	g->s->left_out.connections += !kept;
	return kept;
}

bool gate_snapshot(struct gate *g, const struct conn *c)
{
	if (g->findings)
		gate_findings_snapshot(g->findings, c);
	return !g->findings && keeps(g, c);
}

void gate_snapshot_done(struct gate *g)
{
	if (g->findings)
		gate_findings_snapshot_done(g->findings);
}

void gate_look(struct gate *g)
{
	if (g->findings)
		gate_findings_look(g->findings);
}

void gate_finish(struct gate *g)
{
	for (unsigned i = 0; g->held && i < HELD; i++)
		if (g->held[i].cookie)
			release(g, g->held[i].cookie, keeps(g, &g->held[i].conn));
	gate_look(g);
}
