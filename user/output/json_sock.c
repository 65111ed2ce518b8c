/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp.snapshot, a socket that was there before the tracer, and tcp.listener, what
 * a listening socket's queues are worth. Both say what an iterator saw at one
 * moment, and how old that state is at least.
 */
#include "json.h"

#include "../core/connection/words.h"
#include "event.h"

static void state_age(struct json_face *f, struct jsonw *w, const struct conn *c)
{
	uint64_t now_ns = pipeline_now(f->s->p);

	if (!c->state_ns || c->state_ns > now_ns)
		return;
	json_u64(w, "state_age_ns", now_ns - c->state_ns);
	json_word(w, "state_age_bound", c->state_age_bound ? "at_least" : "exact");
}

void json_armed_timer(struct jsonw *w, const struct conn *c)
{
	if (c->timer == TIMER_NONE || c->timer >= TIMER_MAX)
		return;
	json_open(w, "timer");
	json_word(w, "kind", word_timer(c->timer));
	json_u64(w, "expires_in_ns", c->timer_expires_ms * 1000000ull);
	json_u64(w, "retries", c->timer_retries);
	json_close(w);
}

void json_snapshot(struct json_face *f, struct buf *b, const struct conn *c)
{
	bool minisock = c->state == ST_TIME_WAIT || conn_seen(c, SEEN_MINISOCK);
	struct jsonw w;

	json_common(f, &w, b, "tcp.snapshot", pipeline_now(f->s->p));
	json_close(&w);
	json_network(f, &w, c, c->state);
	json_tcp(f, &w, c);
	state_age(f, &w, c);
	if (!minisock && c->role != ROLE_LISTENER) {
		json_open(&w, "queue");
		json_u64(&w, "receive_bytes", c->rx_queue);
		json_u64(&w, "send_bytes", c->tx_queue);
		json_close(&w);
		json_counters(&w, c);
	}
	json_holders(f, &w, c);
	if (c->holders || conn_seen(c, SEEN_ORPHAN))
		json_u64(&w, "holder_count", c->holders);
	json_armed_timer(&w, c);
	json_close(&w);
	json_owner(f, &w, c);
}

/* Refusals and cookies have hooks in full mode only. */
static void full_mode_counts(struct json_face *f, struct jsonw *w, const struct listener *l)
{
	bool full = pipeline_stats(f->s->p)->full_mode;

	if (full || l->overflows)
		json_u64(w, "overflows", l->overflows);
	if (full || l->cookies_sent)
		json_u64(w, "cookies_sent", l->cookies_sent);
}

static void accept_wait(struct jsonw *w, const struct listener *l)
{
	if (!l->accept_waits)
		return;
	json_open(w, "accept_wait");
	json_u64(w, "count", l->accept_waits);
	json_u64(w, "mean_ns", l->accept_wait_sum_ns / l->accept_waits);
	json_u64(w, "max_ns", l->accept_wait_max_ns);
	json_close(w);
}

static void took(struct jsonw *w, const struct listener *l)
{
	json_u64(w, "accepted", l->accepted);
	json_u64(w, "waiting", l->waiting);
	accept_wait(w, l);
}

void json_listener(struct json_face *f, struct buf *b, const struct conn *c,
		   const struct listener *l)
{
	struct jsonw w;

	json_common(f, &w, b, "tcp.listener", pipeline_now(f->s->p));
	json_close(&w);
	json_network(f, &w, c, c->state);
	json_tcp(f, &w, c);
	json_holders(f, &w, c);
	if (c->holders)
		json_u64(&w, "holder_count", c->holders);
	json_open(&w, "listener");
	if (l) {
		if (l->ts_ns) {
			json_u64(&w, "accept_queue", l->accept_queue);
			json_u64(&w, "accept_limit", l->accept_limit);
			json_u64(&w, "syn_queue", l->syn_queue);
			json_u64(&w, "syn_queue_young", l->syn_young);
			json_u64(&w, "drops", l->drops);
			json_u64(&w, "drops_since_start", (uint32_t)(l->drops - l->drops_first));
		}
		full_mode_counts(f, &w, l);
		if (!l->shared)
			took(&w, l);
	}
	json_close(&w);
	json_close(&w);
	json_owner(f, &w, c);
}
