/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --only-findings: looks at the table every few seconds as `stuck` does, writes a tcp.finding
 * for each socket that begins to hang, and remembers it, so that what happens to it from then
 * on is told.
 *
 * Always: a finding is told once for each socket and kind, and again when the host's own comes
 * back. Never: more than PLACES sockets are remembered; then the newest are told without.
 */
#include <stdlib.h>
#include <string.h>

#include "gate.h"
#include "stuck.h"

enum { PLACES = 65536, PROBES = 32 };

struct told_one {
	uint64_t key;   /* a cookie, or a finding of the host; 0: free, 1: was in use */
	uint64_t kinds; /* 1 << enum finding_kind */
	uint32_t look;  /* the last one that found it */
};
_Static_assert(FIND_KINDS <= 64, "a bit for each kind");

struct gate_findings {
	struct stuck_view v;
	struct told_one *told;
	uint32_t looks;
};

struct gate_findings *gate_findings_new(struct session *s)
{
	struct gate_findings *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->told = calloc(PLACES, sizeof(*f->told));
	if (!f->told) {
		free(f);
		return NULL;
	}
	f->v.s = s;
	f->v.so = &s->o->stuck;
	f->v.query = (struct stuck_query){ .filter = s->o->filter, .min_age_ns = -1 };
	f->v.face = (struct json_face){ .s = s, .sequence = &s->sequence, .ids = &f->v.ids };
	text_init(&f->v.text, s);
	return f;
}

void gate_findings_free(struct gate_findings *f)
{
	if (!f)
		return;
	stuck_free(&f->v.report);
	free(f->told);
	free(f);
}

/* Its place, or with `room` a free one; NULL: neither. */
static struct told_one *place(const struct gate_findings *f, uint64_t key, bool room)
{
	uint32_t at = (uint32_t)((key * 0x9e3779b97f4a7c15ULL) >> 32);
	struct told_one *free_one = NULL;

	for (unsigned i = 0; i < PROBES; i++) {
		struct told_one *t = &f->told[(at + i) % PLACES];

		if (t->key == key)
			return t;
		if (t->key <= 1 && !free_one)
			free_one = t;
		if (!t->key)
			break;
	}
	return room ? free_one : NULL;
}

bool gate_findings_has(const struct gate_findings *f, uint64_t cookie)
{
	return cookie > 1 && place(f, cookie, false);
}

void gate_findings_forget(struct gate_findings *f, uint64_t cookie)
{
	struct told_one *t = cookie > 1 ? place(f, cookie, false) : NULL;

	if (t)
		*t = (struct told_one){ .key = 1 };
}

/* Is this news? stays: a socket's finding is told once, however often it comes back. */
static bool is_news(struct gate_findings *f, uint64_t key, unsigned kind, bool stays)
{
	struct told_one *t = place(f, key, true);
	bool told;

	if (!t)
		return true;
	if (t->key != key)
		*t = (struct told_one){ .key = key };
	told = t->kinds & 1ULL << kind && (stays || t->look + 1 >= f->looks);
	t->kinds |= 1ULL << kind;
	t->look = f->looks;
	return !told;
}

static uint64_t host_key(const struct stuck_group *g)
{
	uint64_t h = (uint64_t)g->example.netns << 32 | g->proc << 8 | g->finding.kind;

	h = (h ^ g->example.pport) * 0xff51afd7ed558ccdULL;
	for (unsigned i = 0; i < 16; i++)
		h = (h ^ g->example.peer[i]) * 0x100000001b3ULL;
	return h | 1ULL << 63; /* no real cookie has it */
}

void gate_findings_look(struct gate_findings *f)
{
	struct stuck_view *v = &f->v;
	struct stuck_report *r = &v->report;

	f->looks++;
	if (stuck_collect(r, v->s->p, &v->query)) {
		v->s->stop = true;
		v->s->status = 2;
		return;
	}
	for (uint32_t i = 0; i < r->nitems && !v->s->stop; i++) {
		const struct stuck_item *it = &r->items[i];
		const struct conn *c = stuck_conn(v, it);

		if (c && it->cookie > 1 && is_news(f, it->cookie, it->finding.kind, true))
			stuck_json_item(v, c, it);
	}
	for (uint32_t i = 0; i < r->ngroups && !v->s->stop; i++) {
		const struct stuck_group *g = &r->groups[i];

		if (!g->of_host || !is_news(f, host_key(g), g->finding.kind, false))
			continue;
		stuck_json_group(v, stuck_begin_record(v), g);
		stuck_end_record(v);
	}
}

void gate_findings_snapshot(struct gate_findings *f, const struct conn *c)
{
	if (!f->v.in_snapshot)
		stuck_begin(&f->v.report);
	f->v.in_snapshot = true;
	if (c->state == ST_TIME_WAIT)
		stuck_time_wait(&f->v.report, c);
}

void gate_findings_snapshot_done(struct gate_findings *f)
{
	if (!f->v.in_snapshot)
		stuck_begin(&f->v.report); /* it saw no socket at all */
	f->v.in_snapshot = false;
}
