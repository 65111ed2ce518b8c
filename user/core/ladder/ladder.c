/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Builds a ladder: which end stands where, what each end saw, what that means for
 * the other, and all of it in the order of time.
 *
 * Always holds: what an end on this host lived through is drawn as known; what
 * RFC 9293 says that the other end must have done is drawn as deduced; a segment
 * that nobody saw is dashed. The client stands at the left.
 */
#include "ladder_impl.h"

#include <stdio.h>
#include <string.h>

#include "process/proc.h"

void ladder_end_copy(struct ladder_end *e, const struct conntab *t, const struct conn *c)
{
	unsigned n = c->steps_len < STEPS_LARGE ? c->steps_len : STEPS_LARGE;

	e->conn = *c;
	e->end = *conn_end(c);
	e->end.peer_cookie = conntab_peer_cookie(t, c);
	e->conn.end = &e->end;
	e->conn.steps_len = (uint8_t)n;
	for (unsigned i = 0; i < n; i++)
		e->steps[i] = *conntab_step(t, c, i);
}

struct draft *build_add(struct build *b, uint64_t ns, enum rank rank)
{
	struct draft *d;

	if (b->n == LADDER_ROWS) {
		b->l->dropped++;
		return NULL;
	}
	d = &b->draft[b->n++];
	*d = (struct draft){.ns = ns, .rank = (uint16_t)rank, .seg = SEG_NONE};
	return d;
}

/* A comm may hold anything that prctl() took, a recording's names anything at all: nothing of it
 * may move a cursor. */
void build_safe(char *out, size_t max, const char *name)
{
	size_t i;

	for (i = 0; i < max && name[i]; i++)
		out[i] = name[i] >= ' ' && name[i] < 0x7f ? name[i] : '?';
	out[i] = '\0';
}

void build_note(struct build *b, uint64_t ns, unsigned rank, unsigned side, const char *text,
		uint32_t proc)
{
	const struct proc *p = b->names->procs && proc ? proc_get(b->names->procs, proc) : NULL;
	struct draft *d = build_add(b, ns, (enum rank)rank);
	char comm[PROC_COMM_LEN + 1];

	if (!d)
		return;
	d->row.dir = LADDER_TEXT;
	d->row.side = (uint8_t)side;
	if (p && p->pid) {
		build_safe(comm, PROC_COMM_LEN, p->comm);
		snprintf(d->row.note, sizeof(d->row.note), "%s by %s[%u]", text, comm, p->pid);
	} else {
		snprintf(d->row.note, sizeof(d->row.note), "%s", text);
	}
}

static unsigned side_of(const struct conn *c, bool *known)
{
	*known = c->role == ROLE_CLIENT || c->role == ROLE_SERVER;
	if (*known)
		return c->role == ROLE_CLIENT ? LEFT : RIGHT;
	return c->lport >= c->pport ? LEFT : RIGHT; /* services have the lower ports */
}

static void place_ends(struct build *b, const struct ladder_end *a, const struct ladder_end *o)
{
	bool known, other_known = false;
	unsigned side = side_of(&a->conn, &known), other;

	if (o) {
		other = side_of(&o->conn, &other_known);
		if (!known && other_known)
			side = 1 - other;
		else if (known && other_known && side == other) /* both connected */
			side = a->conn.start_ns <= o->conn.start_ns ? LEFT : RIGHT;
	}
	b->end[side] = a;
	b->end[1 - side] = o;
	b->l->left = b->end[LEFT];
	b->l->right = b->end[RIGHT];
	b->l->roles_known = known || other_known;
}

/* Sequence numbers, and what either end can say of the whole. */
static void know_facts(struct build *b, unsigned side)
{
	const struct conn *c = &b->end[side]->conn;
	const unsigned far = 1 - side;
	const uint32_t known = (c->seen & (SEEN_ISN_LOCAL | SEEN_ISN_PEER)) | conn_fins(c);
	const struct {
		uint32_t flag, value;
		uint32_t *to;
		bool *has;
	} numbers[] = {
		{SEEN_ISN_LOCAL, c->isn_local, &b->isn[side], &b->has_isn[side]},
		{SEEN_ISN_PEER, c->isn_peer, &b->isn[far], &b->has_isn[far]},
		{SEEN_FIN_LOCAL, conn_end(c)->fin_seq_local, &b->fin[side], &b->has_fin[side]},
		{SEEN_FIN_PEER, conn_end(c)->fin_seq_peer, &b->fin[far], &b->has_fin[far]},
	};

	for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (!(known & numbers[i].flag) || *numbers[i].has)
			continue;
		*numbers[i].to = numbers[i].value;
		*numbers[i].has = true;
	}
	b->established |= !!(c->seen & SEEN_ESTABLISHED);
	b->simultaneous |= !!(c->seen & SEEN_SIMULTANEOUS_OPEN);
	b->crossing |= !!(c->seen & SEEN_CLOSING);
	if (conn_end(c)->first_fin)
		b->first_fin = (uint8_t)(conn_end(c)->first_fin == 1 ? side : far);
}

/* The client's SYN is the beginning; an end that joined later or reckoned its start does not
 * move it. */
static uint64_t find_start(const struct build *b)
{
	const struct segment *syn = &b->seg[LEFT][SEG_SYN];
	uint64_t start = UINT64_MAX;

	if (syn->sent_seen)
		start = syn->sent_ns;
	if (b->seg[RIGHT][SEG_SYN].sent_seen && b->seg[RIGHT][SEG_SYN].sent_ns < start)
		start = b->seg[RIGHT][SEG_SYN].sent_ns;
	if (start != UINT64_MAX)
		return start;
	for (unsigned s = 0; s < SIDES; s++)
		if (b->end[s] && b->end[s]->conn.start_ns < start)
			start = b->end[s]->conn.start_ns;
	return start;
}

void ladder_build(struct ladder *l, const struct ladder_names *names, const struct ladder_end *a,
		  const struct ladder_end *o)
{
	struct build b = {.l = l, .names = names, .first_fin = SIDES};

	memset(l, 0, sizeof(*l));
	place_ends(&b, a, o);
	l->unseen = true;
	for (unsigned s = 0; s < SIDES; s++) {
		if (!b.end[s])
			continue;
		know_facts(&b, s);
		if (b.end[s]->conn.seen & SEEN_START)
			l->unseen = false;
	}
	for (unsigned s = 0; s < SIDES; s++)
		if (b.end[s])
			ladder_read_end(&b, s);
	ladder_complete(&b);
	l->start_ns = find_start(&b);
	ladder_emit(&b);
}
