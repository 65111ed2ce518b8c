/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `conns -o csv`: tcp.connection as a table, a header and a line per connection.
 *
 * The columns are the JSON record's scalars under their JSON names, in one fixed
 * order; new ones are added at the end. What is absent in JSON is empty here. The
 * two nested lists (tcp.timeline, tcp.timers) have no columns.
 *
 * Quoting is RFC 4180's. Control bytes of names are shown as \xNN, so that a record
 * is always one line; lines end in LF, as this host's tools expect.
 */
#include <stdlib.h>
#include <string.h>

#include "../core/write/community.h"
#include "../core/process/proc.h"
#include "../core/connection/words.h"
#include "../session.h"
#include "event.h"
#include "views.h"

struct csv_view {
	struct session *s;
	struct community_cache *ids;
};

/* What a column may look at. */
struct csv_row {
	struct csv_view *view;
	struct buf *b;
	const struct conn *c;
	const struct verdict *v;
	const struct proc *owner, *closer;
	const struct cgroup *cgroup; /* NULL: not known */
	bool ended;
};

static void put_ns(const struct csv_row *r, int64_t ns)
{
	if (ns >= 0)
		buf_u64(r->b, (uint64_t)ns);
}

static void put_time(const struct csv_row *r, uint64_t mono_ns)
{
	buf_rfc3339(r->b, session_realtime(r->view->s, mono_ns));
}

/* Text from outside: made safe, then quoted if it has to be. */
static void put_text(const struct csv_row *r, const char *s, size_t max)
{
	struct buf *b = r->b;
	size_t from = b->len, quotes = 0, at;
	bool quote = false;

	buf_safe_cell(b, s, max);
	for (size_t i = from; i < b->len; i++) {
		quote |= b->data[i] == ',' || b->data[i] == '"';
		quotes += b->data[i] == '"';
	}
	if (!quote || !buf_room(b, quotes + 2))
		return;
	at = b->len + quotes + 1;
	b->data[at] = '"';
	for (size_t i = b->len; i-- > from;) {
		b->data[--at] = b->data[i];
		if (b->data[i] == '"')
			b->data[--at] = '"';
	}
	b->data[from] = '"';
	b->len += quotes + 2;
}

static void put_seq(const struct csv_row *r, bool has, uint32_t seq)
{
	if (has)
		buf_u64(r->b, seq);
}

static bool counted(const struct csv_row *r)
{
	return r->c->segments_sent || r->c->segments_received;
}

/* Before ESTABLISHED there is none, and that is known. */
static bool has_payload(const struct csv_row *r)
{
	return counted(r) || !conn_seen(r->c, SEEN_ESTABLISHED);
}

static void put_retransmits(const struct csv_row *r, enum retransmit_kind k)
{
	bool full_only = k == RT_KEEPALIVE || k == RT_ZERO_WINDOW_PROBE;

	if (!full_only || conn_end(r->c)->retransmits[k] ||
	    pipeline_stats(r->view->s->p)->full_mode)
		buf_u64(r->b, conn_end(r->c)->retransmits[k]);
}

/* Of the handshake: what the other end sends again is not ours to count. */
static void put_again(const struct csv_row *r, unsigned count, enum conn_role whose)
{
	if (count || (r->v->handshake != HS_UNSEEN && r->c->role == whose))
		buf_u64(r->b, count);
}

static bool scaled(const struct conn *c)
{
	return conn_seen(c, SEEN_ESTABLISHED) && c->tcp_options & TOPT_WSCALE;
}

static void put_option(const struct csv_row *r, uint8_t option)
{
	if (conn_seen(r->c, SEEN_ESTABLISHED) && (r->c->mss || r->c->tcp_options))
		buf_str(r->b, r->c->tcp_options & option ? "true" : "false");
}

static void put_evidence(const struct csv_row *r)
{
	static const char *const words[] = { "pair", "lookup", "estimate" };
	bool any = false;

	for (unsigned i = 0; i < 3; i++) {
		if (!(r->c->evidence & 1u << i))
			continue;
		if (any)
			buf_char(r->b, ' ');
		buf_str(r->b, words[i]);
		any = true;
	}
}

static void put_community(const struct csv_row *r)
{
	const struct conn *c = r->c;
	const char *id = NULL;

	if (c->lport && c->pport)
		id = community_cached(r->view->ids, c->local, c->lport, c->peer, c->pport);
	if (id)
		buf_str(r->b, id);
}

/* Name and writer, one line each: X(json name, statement). r, c, v and b are in scope. */
#define COLUMNS(X)                                                                              \
	X("@timestamp", put_time(r, r->ended ? conn_end(c)->end_ns : pipeline_now(r->view->s->p)))        \
	X("event.start", if (conn_seen(c, SEEN_START)) put_time(r, c->start_ns))                \
	X("event.end", if (r->ended) put_time(r, conn_end(c)->end_ns))                                    \
	X("event.duration", if (conn_seen(c, SEEN_START) && r->ended) put_ns(r, v->duration_ns)) \
	X("tcp.socket_id", if (conn_cookie(c, c->cookie)) buf_hex(b, c->cookie))                \
	X("tcp.netns", if (c->netns) buf_u64(b, c->netns))                                      \
	X("tcp.role", buf_str(b, word_role(c->role)))                                           \
	X("network.type", buf_str(b, addr_is_v4(c->pport ? c->peer : c->local) ? "ipv4" : "ipv6")) \
	X("network.local.address", buf_addr(b, c->local))                                       \
	X("network.local.port", if (c->lport) buf_u64(b, c->lport))                             \
	X("network.peer.address", buf_addr(b, c->peer))                                         \
	X("network.peer.port", if (c->pport) buf_u64(b, c->pport))                              \
	X("network.community_id", put_community(r))                                             \
	X("network.connection.state", buf_str(b, word_state_otel(c->state)))                    \
	X("process.pid", if (r->owner->pid) buf_u64(b, r->owner->pid))                          \
	X("process.name", put_text(r, r->owner->comm, PROC_COMM_LEN))                           \
	X("process.user.id", if (r->owner->pid) buf_u64(b, r->owner->uid))                      \
	X("process.linux.cgroup", if (r->cgroup) put_text(r, r->cgroup->path, 4096))            \
	X("container.id", if (r->cgroup) buf_str(b, r->cgroup->container))                      \
	X("k8s.pod.uid", if (r->cgroup) buf_str(b, r->cgroup->pod_uid))                         \
	X("tcp.conn_state", buf_str(b, word_conn_state(v->conn_state)))                         \
	X("tcp.end_reason", buf_str(b, word_end_reason(v->end_reason)))                         \
	X("tcp.handshake.kind", buf_str(b, word_handshake(v->handshake)))                       \
	X("tcp.handshake.duration_ns", put_ns(r, v->handshake_ns))                              \
	X("tcp.handshake.syn_retransmits", put_again(r, c->syn_retransmits, ROLE_CLIENT))       \
	X("tcp.handshake.synack_retransmits", put_again(r, c->synack_retransmits, ROLE_SERVER)) \
	X("tcp.handshake.client_isn", put_seq(r, v->has_client_isn, v->client_isn))             \
	X("tcp.handshake.server_isn", put_seq(r, v->has_server_isn, v->server_isn))             \
	X("tcp.handshake.syn_to_synack_ns", put_ns(r, v->syn_to_synack_ns))                     \
	X("tcp.handshake.synack_to_ack_ns", put_ns(r, v->synack_to_ack_ns))                     \
	X("tcp.handshake.accept_wait_ns", put_ns(r, v->accept_wait_ns))                         \
	X("tcp.teardown.kind", buf_str(b, word_teardown(v->teardown)))                          \
	X("tcp.teardown.initiator", buf_str(b, word_initiator(v->initiator)))                   \
	X("tcp.teardown.time_wait", buf_str(b, word_time_wait(conn_end(c)->tw_end)))                      \
	X("tcp.teardown.duration_ns", put_ns(r, v->teardown_ns))                                \
	X("tcp.teardown.half_close_ns", put_ns(r, v->half_close_ns))                            \
	X("tcp.teardown.time_wait_ns", put_ns(r, v->time_wait_ns))                              \
	X("tcp.teardown.client_fin_seq", put_seq(r, v->has_client_fin, v->client_fin_seq))      \
	X("tcp.teardown.server_fin_seq", put_seq(r, v->has_server_fin, v->server_fin_seq))      \
	X("tcp.teardown.actor.pid", if (r->closer->pid) buf_u64(b, r->closer->pid))             \
	X("tcp.teardown.actor.name", put_text(r, r->closer->comm, PROC_COMM_LEN))               \
	X("tcp.bytes_sent", if (has_payload(r)) buf_u64(b, c->bytes_sent))                      \
	X("tcp.bytes_received", if (has_payload(r)) buf_u64(b, c->bytes_received))              \
	X("tcp.segments_sent", if (counted(r)) buf_u64(b, c->segments_sent))                    \
	X("tcp.segments_received", if (counted(r)) buf_u64(b, c->segments_received))            \
	X("tcp.srtt_us", if (c->srtt_us) buf_u64(b, c->srtt_us))                                \
	X("tcp.min_rtt_us", if (c->min_rtt_us) buf_u64(b, c->min_rtt_us))                       \
	X("tcp.retransmits.syn", put_retransmits(r, RT_SYN))                                    \
	X("tcp.retransmits.synack", put_retransmits(r, RT_SYNACK))                              \
	X("tcp.retransmits.timeout", put_retransmits(r, RT_TIMEOUT))                            \
	X("tcp.retransmits.fast", put_retransmits(r, RT_FAST))                                  \
	X("tcp.retransmits.slow_start", put_retransmits(r, RT_SLOW_START))                      \
	X("tcp.retransmits.tail_loss_probe", put_retransmits(r, RT_TAIL_LOSS_PROBE))            \
	X("tcp.retransmits.zero_window_probe", put_retransmits(r, RT_ZERO_WINDOW_PROBE))        \
	X("tcp.retransmits.keepalive", put_retransmits(r, RT_KEEPALIVE))                        \
	X("tcp.options.mss", if (c->mss) buf_u64(b, c->mss))                                    \
	X("tcp.options.sack", put_option(r, TOPT_SACK))                                         \
	X("tcp.options.timestamps", put_option(r, TOPT_TIMESTAMPS))                             \
	X("tcp.options.window_scale.send", if (scaled(c)) buf_u64(b, c->snd_wscale))            \
	X("tcp.options.window_scale.receive", if (scaled(c)) buf_u64(b, c->rcv_wscale))         \
	X("tcp.options.ecn", put_option(r, TOPT_ECN))                                           \
	X("tcp.evidence", put_evidence(r))                                                      \
	X("tcp.incomplete", buf_str(b, c->incomplete ? "true" : "false"))                       \
	X("error.type", if (conn_end(c)->err) buf_str(b, word_errno(conn_end(c)->err)))

static void csv_header(struct buf *b)
{
	static const char *const names[] = {
#define NAME(name, ...) name,
		COLUMNS(NAME)
#undef NAME
	};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (i)
			buf_char(b, ',');
		buf_str(b, names[i]);
	}
	buf_char(b, '\n');
}

static void csv_row(const struct csv_row *r)
{
	const struct verdict *v = r->v;
	const struct conn *c = r->c;
	struct buf *b = r->b;

#define PUT(name, ...)          \
	{                       \
		__VA_ARGS__;    \
		buf_char(b, ','); \
	}
	COLUMNS(PUT)
#undef PUT
	b->len--; /* the comma after the last */
	buf_char(b, '\n');
}

/* ---- the view ------------------------------------------------------------------ */

static void *csv_open(struct session *s)
{
	struct csv_view *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	v->s = s;
	v->ids = calloc(1, sizeof(*v->ids));
	if (!v->ids) {
		free(v);
		return NULL;
	}
	return v;
}

static void csv_begin(void *view)
{
	struct csv_view *v = view;

	csv_header(sink_begin(v->s->out));
	sink_commit(v->s->out);
}

static void csv_end(void *view, const struct conn *c, const struct verdict *vd)
{
	struct csv_view *v = view;
	const struct proctab *procs = pipeline_procs(v->s->p);
	struct csv_row r = {
		.view = v,
		.b = sink_begin(v->s->out),
		.c = c,
		.v = vd,
		.owner = proc_get(procs, c->owner),
		.closer = proc_get(procs, conn_end(c)->closer),
		.ended = conn_seen(c, SEEN_CLOSE) && conn_end(c)->end_ns,
	};

	if (r.owner->pid && r.owner->cgroup)
		r.cgroup = cgroup_get(procs, r.owner->cgroup);
	csv_row(&r);
	sink_commit(v->s->out);
	session_printed(v->s);
}

static void csv_close(void *view)
{
	struct csv_view *v = view;

	free(v->ids);
	free(v);
}

static const struct view_ops csv_ops = { .conn_end = csv_end };

const struct view view_conns_csv = {
	.ops = &csv_ops,
	.open = csv_open,
	.begin = csv_begin,
	.close = csv_close,
};
