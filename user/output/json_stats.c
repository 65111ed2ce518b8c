/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tracer.stats, what the tracer saw, missed and cost, and tcp.states, RFC 9293's
 * diagram as numbers.
 *
 * The ledger's counters are always all there: 0 lost is a statement. What a
 * source cannot know (its BPF time without a meter) is absent.
 */
#include "json.h"

#include "../core/connection/words.h"

/* A state's number once: request sockets are SYN_RECV to everyone but the kernel. */
static bool own_word(unsigned st)
{
	return st != ST_NONE && st != ST_NEW_SYN_RECV;
}

/* Told also when there is none. */
static bool always_told(unsigned reason)
{
	return reason != LOSS_STACK_LIMIT && reason != LOSS_END_UNSEEN;
}

static void ledger(struct json_face *f, struct jsonw *w, const struct stats *st)
{
	uint64_t slow = f->s->out ? sink_lost(f->s->out) : 0, total = 0;

	json_open(w, "lost");
	for (unsigned i = 0; i < LOSS_REASONS; i++) {
		uint64_t n = st->lost[i];

		if (i == LOSS_OUTPUT_SLOW && slow > n)
			n = slow;
		total += n;
		if (n || always_told(i))
			json_u64(w, word_loss(i), n);
	}
	json_u64(w, "total", total);
	json_close(w);
}

static void costs(struct jsonw *w, const struct stats *st)
{
	if (st->bpf_runs) {
		json_open(w, "bpf");
		json_u64(w, "runs", st->bpf_runs);
		json_u64(w, "duration_ns", st->bpf_ns);
		json_u64(w, "ns_per_run", st->bpf_ns / st->bpf_runs);
		if (st->events)
			json_u64(w, "ns_per_event", st->bpf_ns / st->events);
		json_close(w);
	}
	if (st->user_cpu_ns) {
		json_u64(w, "user_cpu_ns", st->user_cpu_ns);
		if (st->events)
			json_u64(w, "user_cpu_ns_per_event", st->user_cpu_ns / st->events);
	}
	if (st->wakeups)
		json_u64(w, "wakeups", st->wakeups);
	if (st->hooks_attached || st->hooks_missing) {
		json_word(w, "mode", st->full_mode ? "full" : "base");
		json_open(w, "hooks");
		json_u64(w, "attached", st->hooks_attached);
		json_u64(w, "missing", st->hooks_missing);
		json_close(w);
	}
}

static void connections(struct json_face *f, struct jsonw *w, const struct stats *st)
{
	const struct conntab *t = pipeline_conns(f->s->p);

	json_open(w, "connections");
	json_open(w, "opened");
	for (unsigned r = 0; r < ROLE_COUNT; r++)
		if (r != ROLE_LISTENER)
			json_u64(w, word_role(r), st->connections_opened[r]);
	json_close(w);
	json_u64(w, "closed", st->connections_closed);
	json_u64(w, "tracked", conntab_count(t));
	json_close(w);
	json_open(w, "retransmits");
	for (unsigned k = 0; k < RT_COUNT; k++)
		if (st->retransmits[k])
			json_u64(w, word_retransmit(k), st->retransmits[k]);
	json_close(w);
	json_open(w, "resets");
	json_u64(w, "sent", st->resets[0]);
	json_u64(w, "received", st->resets[1]);
	json_close(w);
	json_u64(w, "drops", st->drops);
}

/* What --sample and --only-findings kept back; absent without them. */
static void left_out(struct json_face *f, struct jsonw *w)
{
	const struct session *s = f->s;

	if (s->left_out.sample <= 1 && !s->left_out.only_findings)
		return;
	json_open(w, "left_out");
	if (s->left_out.sample > 1)
		json_u64(w, "sample_rate", s->left_out.sample);
	if (s->left_out.only_findings)
		json_bool(w, "only_findings", true);
	json_u64(w, "records", s->left_out.records);
	json_u64(w, "connections", s->left_out.connections);
	json_close(w);
}

void json_stats(struct json_face *f, struct buf *b)
{
	const struct stats *st = pipeline_stats(f->s->p);
	struct jsonw w;

	json_common(f, &w, b, "tracer.stats", pipeline_now(f->s->p));
	json_close(&w);
	json_open(&w, "tracer");
	json_u64(&w, "events", st->events);
	json_u64(&w, "bytes", st->bytes);
	json_open(&w, "events_by_kind");
	for (unsigned k = 1; k < EV_KIND_MAX; k++)
		if (st->by_kind[k])
			json_u64(&w, word_event(k), st->by_kind[k]);
	json_close(&w);
	ledger(f, &w, st);
	costs(&w, st);
	connections(f, &w, st);
	left_out(f, &w);
	json_close(&w);
	json_end(&w);
}

static void arc(struct jsonw *w, unsigned from, unsigned to, uint64_t count, uint64_t before,
		uint64_t interval_ns)
{
	json_open(w, NULL);
	json_word(w, "from", word_state_otel(from));
	json_word(w, "to", word_state_otel(to));
	json_u64(w, "count", count);
	if (interval_ns)
		json_double(w, "rate_per_s", (double)(count - before) * 1e9 / interval_ns, 3);
	json_close(w);
}

static void arcs(struct jsonw *w, const struct stats *st, const struct json_states *last,
		 uint64_t interval_ns)
{
	json_array(w, "transitions");
	for (unsigned from = 0; from < ST_COUNT; from++) {
		const uint64_t *now = st->transitions[from], *before = last->transitions[from];

		for (unsigned to = 0; to < ST_COUNT; to++)
			if (own_word(from) && own_word(to) && now[to])
				arc(w, from, to, now[to], before[to], interval_ns);
	}
	json_array_end(w);
}

static void counts(struct jsonw *w, const struct pipeline *p)
{
	uint64_t count[ST_COUNT];

	pipeline_count_states(p, NULL, count);
	json_open(w, "states");
	for (unsigned s = 0; s < ST_COUNT; s++)
		if (own_word(s))
			json_u64(w, word_state_otel(s), count[s]);
	json_close(w);
}

void json_states(struct json_face *f, struct buf *b, struct json_states *last)
{
	const struct stats *st = pipeline_stats(f->s->p);
	uint64_t now_ns = pipeline_now(f->s->p), interval_ns = 0;
	struct jsonw w;

	if (last->ts_ns && now_ns > last->ts_ns)
		interval_ns = now_ns - last->ts_ns;
	json_common(f, &w, b, "tcp.states", now_ns);
	json_close(&w);
	json_open(&w, "tcp");
	counts(&w, f->s->p);
	arcs(&w, st, last, interval_ns);
	if (interval_ns)
		json_u64(&w, "interval_ns", interval_ns);
	json_close(&w);
	json_end(&w);
	last->ts_ns = now_ns;
	for (unsigned i = 0; i < ST_COUNT; i++)
		for (unsigned j = 0; j < ST_COUNT; j++)
			last->transitions[i][j] = st->transitions[i][j];
}
