/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one path of every event: decode, find out what kind it is, hand it to its
 * handler. A row a kind.
 *
 * Time is the newest event's; the pipeline never asks a clock, so a recording
 * gives what the live run gave. After each event, whatever has waited long enough
 * is settled.
 */
#include <errno.h>
#include <stdlib.h>

#include "connection/decode.h"
#include "connection/facts.h"
#include "filter/filter.h"
#include "process/holders.h"
#include "pipeline_impl.h"
#include "process/stack.h"

enum { DEFAULT_CONNECTIONS = 262144, MAX_PROCS = 65536, MAX_HOLDERS = 1 << 20 };

static void on_tick(struct pipeline *p, const struct event *e)
{
	if (p->ops->tick)
		p->ops->tick(p->view, e->ts_ns);
}

static void on_clock(struct pipeline *p, const struct event *e)
{
	p->clock_offset_ns = (int64_t)e->extra.clock.offset_ns;
	if (!p->own_netns) /* what comes before the first snapshot has its place, too */
		p->own_netns = e->netns;
}

static void on_lost(struct pipeline *p, const struct event *e)
{
	p->stats.lost[e->extra.lost.reason] += e->extra.lost.count;
	if (e->extra.lost.reason != LOSS_STACK_LIMIT) /* nothing of its life is missing */
		p->lost_at_ns = e->ts_ns;
}

static void on_fact(struct pipeline *p, const struct event *e)
{
	facts_take(p->facts, e);
	if (e->extra.fact.id == FACT_TIME_WAIT && p->own_netns && e->netns == p->own_netns)
		census_at_most(p, e->extra.fact.value);
}

/* A socket that the table does not follow has none. */
static void on_stack(struct pipeline *p, const struct event *e)
{
	if (conntab_find(p->conns, e->cookie) &&
	    stacks_set(p->stacks, e->cookie, e->extra.stack.id))
		p->stats.lost[LOSS_STACK_LIMIT]++;
}

typedef void (*handler_fn)(struct pipeline *p, const struct event *e);

static const handler_fn handlers[] = {
	[EV_STATE] = timeline_state,
	[EV_RETRANSMIT] = segments_retransmit,
	[EV_SYNACK_RETRANSMIT] = request_synack_again,
	[EV_RST_SENT] = segments_rst_sent,
	[EV_RST_RECEIVED] = segments_rst_received,
	[EV_ERROR] = segments_error,
	[EV_DROP] = segments_drop,
	[EV_SYN_IN] = request_syn,
	[EV_REQ_NEW] = request_new,
	[EV_SYNACK_SENT] = request_synack,
	[EV_REQ_GONE] = request_gone,
	[EV_REQ_REFUSED] = request_refused,
	[EV_ACCEPT] = segments_accept,
	[EV_TW_ENTER] = minisock_enter,
	[EV_TW_LEAVE] = minisock_leave,
	[EV_TW_SEGMENT] = minisock_segment,
	[EV_PROBE] = segments_probe,
	[EV_ABORT] = segments_abort,
	[EV_SOCK] = snapshot_sock,
	[EV_REQ_SOCK] = request_sock,
	[EV_TW_SOCK] = snapshot_tw,
	[EV_HOLDER] = snapshot_holder,
	[EV_TICK] = on_tick,
	[EV_TW_LOOKUP] = asked_minisock,
	[EV_SNAPSHOT_BEGIN] = snapshot_begin,
	[EV_SNAPSHOT_END] = snapshot_end,
	[EV_LOST] = on_lost,
	[EV_CLOCK] = on_clock,
	[EV_RST_SEGMENT] = segments_rst_segment,
	[EV_FACT] = on_fact,
	[EV_DESTROY] = ending_destroyed,
	[EV_STACK] = on_stack,
};
_Static_assert(sizeof(handlers) / sizeof(handlers[0]) == EV_KIND_MAX, "a handler for every kind");

struct pipeline *pipeline_new(const struct pipeline_config *cfg, const struct view_ops *ops,
			      void *view)
{
	struct pipeline *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->cfg = *cfg;
	p->ops = ops;
	p->view = view;
	p->next_due_ns = UINT64_MAX;
	p->tw_by_tuple = filter_asks_tuple(cfg->filter);
	p->conns = conntab_new(cfg->max_connections ? cfg->max_connections : DEFAULT_CONNECTIONS);
	p->procs = proctab_new(MAX_PROCS);
	p->listeners = listentab_new();
	p->holders = holders_new(MAX_HOLDERS);
	p->facts = facts_new();
	p->stacks = stacks_new();
	if (!p->conns || !p->procs || !p->listeners || !p->holders || !p->facts || !p->stacks) {
		pipeline_free(p);
		return NULL;
	}
	return p;
}

void pipeline_free(struct pipeline *p)
{
	if (!p)
		return;
	stacks_free(p->stacks);
	facts_free(p->facts);
	holders_free(p->holders);
	listentab_free(p->listeners);
	proctab_free(p->procs);
	conntab_free(p->conns);
	free(p);
}

int pipeline_feed(struct pipeline *p, const void *data, uint32_t size)
{
	const struct event *e;

	if (event_decode(data, size, &e)) {
		p->stats.lost[LOSS_MALFORMED]++;
		return -EBADMSG;
	}
	if (p->tap)
		p->tap->event(p->tap_arg, e);
	p->stats.events++;
	p->stats.bytes += size;
	p->stats.by_kind[e->kind]++;
	/* Records of several CPUs may be out of order by microseconds: time never runs back. */
	if (e->ts_ns > p->now_ns)
		p->now_ns = e->ts_ns;
	handlers[e->kind](p, e);
	if (p->now_ns >= p->next_due_ns)
		ending_settle(p, p->now_ns);
	return 0;
}

void pipeline_set_tap(struct pipeline *p, const struct pipeline_tap *tap, void *arg)
{
	p->tap = tap;
	p->tap_arg = arg;
}

int pipeline_tell_cgroup(struct pipeline *p, uint64_t id, const char *path)
{
	if (p->tap)
		p->tap->cgroup(p->tap_arg, id, path);
	return cgroup_set(p->procs, id, path);
}

int pipeline_tell_stack(struct pipeline *p, uint64_t id, const char *text)
{
	if (p->tap)
		p->tap->stack(p->tap_arg, id, text);
	return stacks_tell(p->stacks, id, text);
}

bool pipeline_knows_stack(const struct pipeline *p, uint64_t id)
{
	return stacks_known(p->stacks, id);
}

const char *pipeline_next_stack(const struct pipeline *p, uint32_t *cursor, uint64_t *id)
{
	return stacks_next(p->stacks, cursor, id);
}

bool pipeline_next_stacked(struct pipeline *p, uint32_t *cursor, struct event *out)
{
	struct conn *c;
	uint64_t id;

	while ((c = conntab_next(p->conns, cursor))) {
		if (!stacks_id(p->stacks, c->cookie, &id))
			continue;
		out->kind = EV_STACK;
		out->extra.stack.id = id;
		out->cookie = c->cookie;
		out->netns = c->netns;
		return true;
	}
	return false;
}

const char *pipeline_stack(const struct pipeline *p, uint64_t cookie)
{
	return stacks_of(p->stacks, cookie);
}

void pipeline_finish(struct pipeline *p, uint64_t now_ns)
{
	uint32_t cursor = 0;
	struct conn *c;

	if (now_ns > p->now_ns)
		p->now_ns = now_ns;
	ending_settle(p, p->now_ns);
	while ((c = conntab_next(p->conns, &cursor))) {
		if (c->detail & DETAIL_WRITTEN || c->role == ROLE_LISTENER)
			continue;
		if (c->pending == WAIT_RESET)
			ending_awaited(p, c);
		else if (c->pending == WAIT_REUSE)
			minisock_reaped(p, c, conn_end(c)->tw_left_ns, TW_KILLED);
		else if (p->cfg.until_reaped && c->state == ST_TIME_WAIT)
			ending_finish(p, c, conn_end(c)->tw_ns); /* its minisock still runs */
		else if (p->cfg.emit_open)
			ending_write(p, c);
	}
}

bool pipeline_passes(const struct pipeline *p, const struct conn *c, const struct verdict *v)
{
	struct filter_subject s = {
		.conn = c,
		.procs = p->procs,
		.verdict = v,
		.now_ns = p->now_ns,
	};

	return !p->cfg.filter || filter_match(p->cfg.filter, &s) == FILTER_YES;
}

bool pipeline_passes_now(const struct pipeline *p, const struct conn *c)
{
	return pipeline_passes(p, c, NULL);
}

const struct stats *pipeline_stats(const struct pipeline *p)
{
	return &p->stats;
}

struct stats *pipeline_stats_mut(struct pipeline *p)
{
	return &p->stats;
}

struct conntab *pipeline_conns(const struct pipeline *p)
{
	return p->conns;
}

struct proctab *pipeline_procs(const struct pipeline *p)
{
	return p->procs;
}

const struct holders *pipeline_holders(const struct pipeline *p)
{
	return p->holders;
}

const struct sysfacts *pipeline_facts(const struct pipeline *p)
{
	return p->facts;
}

const struct conn *pipeline_peer(const struct pipeline *p, const struct conn *c)
{
	return identity_peer(p, c);
}

struct made_by pipeline_listener_of(const struct pipeline *p, const struct conn *c)
{
	return listener_of(p, c);
}

uint32_t pipeline_time_wait_here(const struct pipeline *p)
{
	return p->tw_here;
}

uint64_t pipeline_now(const struct pipeline *p)
{
	return p->now_ns;
}

int64_t pipeline_clock_offset(const struct pipeline *p)
{
	return p->clock_offset_ns;
}

const struct listener *pipeline_listener(const struct pipeline *p, const struct conn *c)
{
	return listener_get((struct pipeline *)p, c->cookie, false);
}
