/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counting for /metrics: events as they come, the table when somebody looks.
 *
 * Always: a counter only grows; the number of series has a bound that no traffic can
 * move. Never: a time that is only a lower bound goes into a histogram.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "filter/filter.h"
#include "metrics.h"
#include "stuck/stuck.h"

int metrics_init(struct metrics *m)
{
	memset(m, 0, sizeof(*m));
	m->listeners = calloc(METRIC_LISTENERS, sizeof(*m->listeners));
	return m->listeners ? 0 : -ENOMEM;
}

void metrics_free(struct metrics *m)
{
	tally_free(&m->stuck);
	tally_free(&m->workload);
	tally_free(&m->accept_queue);
	free(m->listeners);
	m->listeners = NULL;
}

bool metrics_teardown_state(unsigned state)
{
	return state == ST_FIN_WAIT_1 || state == ST_FIN_WAIT_2 || state == ST_TIME_WAIT ||
	       state == ST_CLOSE_WAIT || state == ST_LAST_ACK || state == ST_CLOSING;
}

static void observe(struct histogram *h, const double *bounds, int64_t ns)
{
	double s = (double)ns / 1e9;

	if (ns < 0)
		return;
	h->count++;
	h->sum_ns += (uint64_t)ns;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		if (s <= bounds[i]) {
			h->at_most[i]++;
			return;
		}
}

static void state_changed(struct metrics *m, const struct conn *c, const struct change *ch)
{
	struct verdict v;

	if (metrics_teardown_state(ch->from) && ch->from != ch->to && !ch->duration_at_least)
		observe(&m->state[ch->from], state_buckets, ch->state_duration_ns);
	if (ch->to != ST_ESTABLISHED)
		return;
	verdict_of(c, &v);
	observe(&m->handshake[c->role], handshake_buckets, v.handshake_ns);
}

void metrics_change(struct metrics *m, const struct conn *c, const struct change *ch)
{
	if (ch->kind == CHANGE_STATE)
		state_changed(m, c, ch);
	else if (ch->kind == CHANGE_RESET)
		m->resets[ch->received]
			 [ch->reason < METRIC_REASONS ? ch->reason : METRIC_REASONS]++;
}

void metrics_conn_end(struct metrics *m, const struct conn *c, const struct verdict *v)
{
	if (v->conn_state >= CS_COUNT || v->end_reason >= END_REASONS || v->teardown == TD_OPEN)
		return;
	m->closed[c->role][v->conn_state]++;
	if (c->role == ROLE_CLIENT && v->teardown == TD_ABORTED)
		m->failures[v->end_reason]++;
}

/* ---- the table ------------------------------------------------------------------------- */

static unsigned shown_state(const struct conn *c)
{
	return c->state == ST_NEW_SYN_RECV ? ST_SYN_RECV : c->state;
}

/* Open addressing; what no look has seen lately makes room. NULL: all places are in use. */
static struct metric_listener *listener_slot(struct metrics *m, uint64_t cookie)
{
	uint32_t at = (uint32_t)((cookie * 0x9e3779b97f4a7c15ULL) >> 52);
	struct metric_listener *free_one = NULL;

	for (unsigned i = 0; i < 16; i++) {
		struct metric_listener *l = &m->listeners[(at + i) % METRIC_LISTENERS];

		if (l->cookie == cookie)
			return l;
		if (!free_one && (!l->cookie || m->looks - l->look > 2))
			free_one = l;
	}
	if (free_one)
		*free_one = (struct metric_listener){.cookie = cookie};
	return free_one;
}

static void look_at_listener(struct metrics *m, const struct listener *l, const char *process)
{
	uint32_t drops = l->drops - l->drops_first;
	struct metric_listener *seen = listener_slot(m, l->cookie);

	if (l->overflows > drops)
		drops = l->overflows;
	tally_add(&m->accept_queue, process, 0, l->accept_queue);
	if (!seen)
		return;
	seen->look = m->looks;
	if (drops > seen->drops) {
		m->overflows[tally_place_forever(m->overflow_places, process)] +=
			drops - seen->drops;
		seen->drops = drops;
	}
}

static void look_at_conn(struct metrics *m, const struct metrics_look *look, const struct conn *c)
{
	const struct proctab *procs = pipeline_procs(look->p);
	const struct proc *owner = proc_get(procs, c->owner);
	const struct cgroup *g = owner->cgroup ? cgroup_get(procs, owner->cgroup) : NULL;
	const struct listener *l = c->role == ROLE_LISTENER ? pipeline_listener(look->p, c) : NULL;
	const char *workload = g ? look->workload(look->arg, g) : "";

	m->connections[shown_state(c)][c->role]++;
	if (workload[0])
		tally_add(&m->workload, workload, shown_state(c), 1);
	if (l)
		look_at_listener(m, l, owner->comm[0] ? owner->comm : "unknown");
}

static void look_at_stuck(struct metrics *m, const struct metrics_look *look)
{
	const struct stuck_report *r = look->stuck;

	memset(m->stuck_oldest_ns, 0, sizeof(m->stuck_oldest_ns));
	for (uint32_t i = 0; i < r->nitems; i++) {
		const struct stuck_item *it = &r->items[i];
		const struct conn *c = conntab_find(pipeline_conns(look->p), it->cookie);
		const struct proc *who = proc_get(pipeline_procs(look->p), it->proc);

		if (!c || c->state >= ST_COUNT || it->finding.severity < SEV_WARNING)
			continue;
		tally_add(&m->stuck, who->comm[0] ? who->comm : "unknown", shown_state(c), 1);
		if (it->finding.age_ns > m->stuck_oldest_ns[shown_state(c)])
			m->stuck_oldest_ns[shown_state(c)] = it->finding.age_ns;
	}
}

static bool wanted(const struct metrics_look *look, const struct conn *c)
{
	struct filter_subject s = {
		.conn = c,
		.procs = pipeline_procs(look->p),
		.now_ns = pipeline_now(look->p),
	};

	return !look->filter || filter_match(look->filter, &s) == FILTER_YES;
}

void metrics_look(struct metrics *m, const struct metrics_look *look)
{
	uint32_t cursor = 0;
	struct conn *c;

	m->looks++;
	m->tracked = conntab_count(pipeline_conns(look->p));
	memset(m->connections, 0, sizeof(m->connections));
	tally_clear(&m->stuck);
	tally_clear(&m->workload);
	tally_clear(&m->accept_queue);
	while ((c = conntab_next(pipeline_conns(look->p), &cursor)))
		if (c->state && c->state < ST_COUNT && c->role < ROLE_COUNT &&
		    c->state != ST_CLOSED && wanted(look, c))
			look_at_conn(m, look, c);
	m->connections[ST_TIME_WAIT][ROLE_UNKNOWN] += pipeline_time_wait_counted(look->p);
	look_at_stuck(m, look);
	tally_settle(&m->stuck);
	tally_settle(&m->workload);
	tally_settle(&m->accept_queue);
}
