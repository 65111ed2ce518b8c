/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many are in each state, what moved, and both over the last minute.
 *
 * The counts are those that `states` prints; with a FILTER that was typed they are
 * counted over the table, where TIME_WAIT is not, and only what passes is counted as
 * moved. A sample each second of the stream's time; another filter begins anew.
 */
#include <string.h>

#include "../core/pipeline/pipeline.h"
#include "top_impl.h"

static const uint64_t second_ns = 1000000000;

void counts_change(struct top *v, const struct conn *c, const struct change *ch)
{
	struct moved *m = &v->moved;
	unsigned to = ch->to == ST_NEW_SYN_RECV ? ST_SYN_RECV : ch->to;

	if (v->filter && !stuck_wanted(v->s->p, &v->stuck.query, c))
		return;
	m->retransmits += ch->kind == CHANGE_RETRANSMIT;
	m->resets += ch->kind == CHANGE_RESET;
	if (ch->kind != CHANGE_STATE || to >= ST_COUNT || ch->from == ch->to)
		return;
	m->entered[to]++;
	if ((ch->from == ST_NONE || ch->from == ST_CLOSED || ch->from == ST_LISTEN) &&
	    to != ST_CLOSED && to != ST_LISTEN)
		m->opened++;
}

static void add(struct top *v, const struct conn *c, uint32_t at, void *arg)
{
	uint64_t *count = arg;

	if (c->state < ST_COUNT)
		count[c->state == ST_NEW_SYN_RECV ? ST_SYN_RECV : c->state]++;
}

static void count_listeners(struct top *v, uint64_t *count)
{
	uint32_t cursor = 0;
	struct conn *c;

	while ((c = conntab_next(pipeline_conns(v->s->p), &cursor)))
		if (c->role == ROLE_LISTENER && c->state == ST_LISTEN &&
		    pipeline_passes_now(v->s->p, c) && stuck_wanted(v->s->p, &v->stuck.query, c))
			count[ST_LISTEN]++;
}

static void take(struct top *v, struct sample *s)
{
	s->at_ns = pipeline_now(v->s->p);
	s->moved = v->moved;
	if (!v->filter) {
		pipeline_count_states(v->s->p, NULL, s->count);
		return;
	}
	memset(s->count, 0, sizeof(s->count));
	order_each(v, add, s->count);
	count_listeners(v, s->count);
}

void counts_sample(struct top *v)
{
	const struct sample *last =
		v->nsamples ? &v->samples[(v->nsamples - 1) % SAMPLES] : NULL;
	uint64_t now = pipeline_now(v->s->p);

	if (v->paused || !now || (last && now - last->at_ns < second_ns))
		return;
	take(v, &v->samples[v->nsamples % SAMPLES]);
	v->nsamples++;
}

void counts_forget(struct top *v)
{
	v->nsamples = 0;
	memset(&v->moved, 0, sizeof(v->moved));
}

void counts_now(struct top *v)
{
	if (!v->paused)
		take(v, &v->shown);
}

/* The youngest that is old enough, or the oldest. */
static const struct sample *sample_before(const struct top *v, uint64_t at_ns)
{
	uint64_t n = v->nsamples < SAMPLES ? v->nsamples : SAMPLES;
	const struct sample *s = NULL;

	for (uint64_t i = 1; i <= n; i++) {
		s = &v->samples[(v->nsamples - i) % SAMPLES];
		if (s->at_ns <= at_ns)
			break;
	}
	return s;
}

double counts_rate(const struct top *v, size_t offset)
{
	uint64_t now = v->shown.at_ns, window = RATE_S * second_ns, a, b;
	const struct sample *s = sample_before(v, now > window ? now - window : 0);

	if (!s || now <= s->at_ns)
		return 0;
	memcpy(&a, (const char *)&s->moved + offset, sizeof(a));
	memcpy(&b, (const char *)&v->shown.moved + offset, sizeof(b));
	return (double)(b - a) * 1e9 / (double)(now - s->at_ns);
}

/* A column is the highest of its seconds; which second falls into which does not change while
 * they move to the left. */
void counts_trend(const struct top *v, unsigned state, unsigned columns, uint32_t *out)
{
	uint64_t n = v->nsamples < SAMPLES - 1 ? v->nsamples : SAMPLES - 1;
	uint64_t per = (SAMPLES - 1 + columns - 1) / columns;
	uint32_t most = 0;

	for (unsigned i = 0; i < columns; i++)
		out[i] = UINT32_MAX;
	for (uint64_t i = v->nsamples - n; i < v->nsamples; i++) {
		uint64_t back = (v->nsamples - 1) / per - i / per;
		uint32_t count = (uint32_t)v->samples[i % SAMPLES].count[state], *column;

		if (back >= columns)
			continue;
		column = &out[columns - 1 - back];
		*column = *column == UINT32_MAX || count > *column ? count : *column;
		most = count > most ? count : most;
	}
	for (unsigned i = 0; i < columns; i++)
		if (out[i] != UINT32_MAX)
			out[i] = most ? (uint32_t)((uint64_t)out[i] * 1000 / most) : 0;
}

void counts_put_rate(struct buf *b, double rate)
{
	uint64_t tenths = (uint64_t)(rate * 10 + 0.5);

	if (tenths >= 10000) {
		text_size(b, tenths / 10);
		return;
	}
	buf_u64(b, tenths / 10);
	if (!tenths)
		return;
	buf_char(b, '.');
	buf_u64(b, tenths % 10);
}
