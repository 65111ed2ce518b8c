/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp.connection: the whole life, once. Its words come from the verdict, its
 * figures from the conn; nothing is judged here.
 *
 * Always true: offsets in tcp.timeline count from event.start, or from
 * tcp.first_seen where the connection is older than the tracer.
 */
#include "json.h"
#include "stack.h"

#include "../core/connection/words.h"
#include "event.h"

static void handshake(struct jsonw *w, const struct conn *c, const struct verdict *v)
{
	bool seen = v->handshake != HS_UNSEEN;

	json_open(w, "handshake");
	json_word(w, "kind", word_handshake(v->handshake));
	json_ns(w, "duration_ns", v->handshake_ns);
	if (c->syn_retransmits || (seen && c->role == ROLE_CLIENT))
		json_u64(w, "syn_retransmits", c->syn_retransmits);
	if (c->synack_retransmits || (seen && c->role == ROLE_SERVER))
		json_u64(w, "synack_retransmits", c->synack_retransmits);
	if (v->has_client_isn)
		json_u64(w, "client_isn", v->client_isn);
	if (v->has_server_isn)
		json_u64(w, "server_isn", v->server_isn);
	json_ns(w, "syn_to_synack_ns", v->syn_to_synack_ns);
	json_ns(w, "synack_to_ack_ns", v->synack_to_ack_ns);
	json_ns(w, "accept_wait_ns", v->accept_wait_ns);
	json_close(w);
}

static void teardown(struct json_face *f, struct jsonw *w, const struct conn *c,
		     const struct verdict *v)
{
	json_open(w, "teardown");
	json_word(w, "kind", word_teardown(v->teardown));
	json_word(w, "initiator", word_initiator(v->initiator));
	json_word(w, "time_wait", word_time_wait(conn_end(c)->tw_end));
	json_ns(w, "duration_ns", v->teardown_ns);
	json_ns(w, "half_close_ns", v->half_close_ns);
	json_ns(w, "time_wait_ns", v->time_wait_ns);
	if (v->has_client_fin)
		json_u64(w, "client_fin_seq", v->client_fin_seq);
	if (v->has_server_fin)
		json_u64(w, "server_fin_seq", v->server_fin_seq);
	json_proc(f, w, "actor", conn_end(c)->closer);
	json_close(w);
}

/* Who reset it, when someone did: by the verdict where both sent one. */
static void reset_by(struct json_face *f, struct jsonw *w, const struct conn *c,
		     const struct verdict *v)
{
	bool sent = conn_seen(c, SEEN_RST_SENT), received = conn_seen(c, SEEN_RST_RECEIVED);

	if (!sent && !received && v->teardown != TD_RESET_SENT)
		return;
	if (v->teardown == TD_RESET_RECEIVED)
		sent = false;
	json_open(w, "reset");
	json_word(w, "direction", sent || !received ? "sent" : "received");
	if (sent)
		json_rst_reason(f, w, "reason", conn_end(c)->rst_reason);
	json_close(w);
}

/* Keepalives and zero-window probes have a hook in full mode only: without it 0 would be a guess. */
static bool counted(const struct json_face *f, const struct conn *c, enum retransmit_kind k)
{
	bool full_only = k == RT_KEEPALIVE || k == RT_ZERO_WINDOW_PROBE;

	return !full_only || conn_end(c)->retransmits[k] || pipeline_stats(f->s->p)->full_mode;
}

static void retransmits(struct json_face *f, struct jsonw *w, const struct conn *c)
{
	unsigned total = 0;

	json_open(w, "retransmits");
	for (unsigned k = 0; k < RT_COUNT; k++) {
		total += conn_end(c)->retransmits[k];
		if (counted(f, c, k))
			json_u64(w, word_retransmit(k), conn_end(c)->retransmits[k]);
	}
	json_u64(w, "total", total);
	json_close(w);
}

static void fired(struct jsonw *w, enum event_timer t, unsigned times)
{
	json_open(w, word_timer(t));
	json_u64(w, "fired", times);
	json_close(w);
}

/* 2MSL: the one timer that may still run when the record is written. */
static void time_wait_timer(struct jsonw *w, const struct conn *c)
{
	bool armed = conn_end(c)->tw_end == TW_RUNNING;

	if (conn_end(c)->tw_end == TW_NONE)
		return;
	json_open(w, word_timer(TIMER_TIME_WAIT));
	json_u64(w, "fired", conn_end(c)->tw_end == TW_EXPIRED);
	json_bool(w, "armed", armed);
	if (armed && conn_end(c)->tw_substate == ST_TIME_WAIT && c->timer_expires_ms)
		json_u64(w, "expires_in_ns", c->timer_expires_ms * 1000000ull);
	json_close(w);
}

/* How often each of a connection's timers fired. Absent: nothing here tells. */
static void timers(struct json_face *f, struct jsonw *w, const struct conn *c)
{
	const uint16_t *rt = conn_end(c)->retransmits;

	json_open(w, "timers");
	fired(w, TIMER_RETRANSMIT, rt[RT_TIMEOUT] + rt[RT_SYN]);
	if (c->role == ROLE_SERVER)
		fired(w, TIMER_SYNACK, rt[RT_SYNACK]);
	fired(w, TIMER_LOSS_PROBE, rt[RT_TAIL_LOSS_PROBE]);
	if (counted(f, c, RT_ZERO_WINDOW_PROBE))
		fired(w, TIMER_PERSIST, rt[RT_ZERO_WINDOW_PROBE]);
	if (counted(f, c, RT_KEEPALIVE))
		fired(w, TIMER_KEEPALIVE, rt[RT_KEEPALIVE]);
	if (c->detail & DETAIL_FW2_EXPIRED)
		fired(w, TIMER_FIN_WAIT_2, 1);
	time_wait_timer(w, c);
	json_close(w);
}

static void options(struct jsonw *w, const struct conn *c)
{
	uint8_t o = c->tcp_options;

	if (!conn_seen(c, SEEN_ESTABLISHED) || !(c->mss || o))
		return;
	json_open(w, "options");
	if (c->mss)
		json_u64(w, "mss", c->mss);
	if (o & TOPT_WSCALE) {
		json_open(w, "window_scale");
		json_u64(w, "send", c->snd_wscale);
		json_u64(w, "receive", c->rcv_wscale);
		json_close(w);
	}
	json_bool(w, "sack", o & TOPT_SACK);
	json_bool(w, "timestamps", o & TOPT_TIMESTAMPS);
	json_bool(w, "ecn", o & TOPT_ECN);
	if (o & (TOPT_FASTOPEN | TOPT_FASTOPEN_CHILD))
		json_bool(w, "fast_open", true);
	json_close(w);
}

struct flag_word {
	unsigned flag;
	const char *word;
};

static const struct flag_word evidence[] = {
	{ EVIDENCE_PAIR, "pair" },
	{ EVIDENCE_LOOKUP, "lookup" },
	{ EVIDENCE_ESTIMATE, "estimate" },
	{ 0, NULL },
};

static const struct flag_word incomplete[] = {
	{ INCOMPLETE_GAP, "gap" },
	{ INCOMPLETE_LOST, "lost" },
	{ INCOMPLETE_STEPS, "steps" },
	{ 0, NULL },
};

static void flags(struct jsonw *w, const char *key, const struct flag_word *words, unsigned set)
{
	json_array(w, key);
	for (; words->word; words++)
		if (set & words->flag)
			json_word(w, NULL, words->word);
	json_array_end(w);
}

/* The other end on this host. */
static void pair(const struct json_face *f, struct jsonw *w, const struct conn *c)
{
	uint64_t cookie = conntab_peer_cookie(pipeline_conns(f->s->p), c);

	if (conn_cookie(c, cookie))
		json_hex(w, "pair_socket_id", cookie);
}

static void life(struct json_face *f, struct jsonw *w, struct buf *b, const struct conn *c,
		 const struct verdict *v)
{
	bool ended = conn_seen(c, SEEN_CLOSE) && conn_end(c)->end_ns;
	uint64_t end_ns = ended ? conn_end(c)->end_ns : pipeline_now(f->s->p);

	json_common(f, w, b, "tcp.connection", end_ns);
	if (conn_seen(c, SEEN_START))
		json_time(f, w, "start", c->start_ns);
	if (ended)
		json_time(f, w, "end", end_ns);
	if (ended && conn_seen(c, SEEN_START))
		json_ns(w, "duration", v->duration_ns);
	json_close(w);
}

void json_connection(struct json_face *f, struct buf *b, const struct conn *c,
		     const struct verdict *v)
{
	struct jsonw w;

	life(f, &w, b, c, v);
	json_network(f, &w, c, c->state);
	json_tcp(f, &w, c);
	pair(f, &w, c);
	json_word(&w, "conn_state", word_conn_state(v->conn_state));
	json_word(&w, "end_reason", word_end_reason(v->end_reason));
	if (!conn_seen(c, SEEN_START))
		json_time(f, &w, "first_seen", c->start_ns);
	handshake(&w, c, v);
	teardown(f, &w, c, v);
	reset_by(f, &w, c, v);
	json_counters(&w, c);
	retransmits(f, &w, c);
	timers(f, &w, c);
	options(&w, c);
	json_timeline(f, &w, c);
	json_stack(&w, pipeline_stack(f->s->p, c->cookie));
	flags(&w, "evidence", evidence, c->evidence);
	json_bool(&w, "incomplete", c->incomplete);
	if (c->incomplete)
		flags(&w, "incomplete_reasons", incomplete, c->incomplete);
	json_close(&w);
	if (conn_end(c)->err) {
		json_open(&w, "error");
		json_word(&w, "type", word_errno(conn_end(c)->err));
		json_close(&w);
	}
	json_owner(f, &w, c);
}
