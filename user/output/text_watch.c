/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tcptrail` and `tcptrail watch`: what is open now, then each connection's life
 * in two lines as it ends: who it was and how it ended; its phases in order, with
 * what each took. A line that would pass 80 columns is folded where one of its
 * parts begins, and only the first line of a record begins at the left.
 *
 * Arrows are seen from the end that is named first: FIN→ is its own, ←FIN the
 * other's. What was inferred carries ≈. A connection whose two ends are both here
 * is told once, by the end that ended first, if it ended as it should. Cheap: no
 * steps are kept and nothing is formatted by printf.
 */
#include <stdlib.h>
#include <string.h>

#include "stack.h"
#include "text_open.h"
#include "views.h"

#include "../core/connection/verdict.h"
#include "../core/connection/words.h"

enum {
	INDENT = 8,
	TOLD_BITS = 8,
	TOLD = 1 << TOLD_BITS,
	TOLD_WAYS = 4, /* pairs of one hash that may wait for their other end at once */
};

struct watch_view {
	struct text t;
	/* Cookies of ends that were told with their other end, by hash, the latest first. */
	uint64_t told[TOLD][TOLD_WAYS];
	bool opened;          /* what is open was shown */
	struct open_now *open;
};

static void *watch_open(struct session *s)
{
	struct watch_view *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	v->open = calloc(1, sizeof(*v->open));
	if (!v->open) {
		free(v);
		return NULL;
	}
	text_init(&v->t, s);
	return v;
}

static void watch_begin(void *view)
{
	struct watch_view *v = view;
	const struct source *src = v->t.s->source;
	unsigned attached = 0;
	struct buf *b;
	struct line l;

	if (!src || !src->nhooks)
		return;
	for (unsigned i = 0; i < src->nhooks; i++)
		attached += src->hooks[i].status == HOOK_ATTACHED;
	b = sink_begin(v->t.s->out);
	line_begin(&l, &v->t, b);
	line_ink(&l, INK_BOLD);
	line_str(&l, "tcptrail " TCPTRAIL_VERSION);
	line_ink(&l, INK_NONE);
	line_str(&l, src->full_mode ? "  full mode, " : "  base mode, ");
	buf_u64(b, attached);
	line_str(&l, attached == 1 ? " hook" : " hooks");
	line_end(&l);
	sink_commit(v->t.s->out);
}

static void watch_snapshot(void *view, const struct conn *c)
{
	struct watch_view *v = view;

	if (!v->opened)
		open_now_add(v->open, c);
}

static void watch_snapshot_done(void *view)
{
	struct watch_view *v = view;
	struct session *s = v->t.s;

	if (v->opened)
		return;
	v->opened = true;
	text_base(&v->t, pipeline_now(s->p));
	open_now_put(v->open, &v->t, sink_begin(s->out));
	sink_commit(s->out);
	free(v->open);
	v->open = NULL;
}

/* --- phases --------------------------------------------------------------------- */

static void put_pause(struct line *l, int64_t ns, bool about)
{
	buf_char(l->b, ' ');
	if (ns >= 0) {
		line_glyph(l, GL_DOT);
		if (about)
			line_glyph(l, GL_ABOUT);
		buf_duration(l->b, (uint64_t)ns);
		line_glyph(l, GL_DOT);
		buf_char(l->b, ' ');
	}
}

static void put_times(struct line *l, unsigned again)
{
	if (!again)
		return;
	buf_char(l->b, ' ');
	line_ink(l, INK_WARN);
	line_glyph(l, GL_TIMES);
	buf_u64(l->b, again + 1u);
	line_ink(l, INK_NONE);
}

static void put_out(struct line *l, const char *what)
{
	line_str(l, what);
	line_glyph(l, GL_OUT);
}

static void put_in(struct line *l, const char *what)
{
	line_glyph(l, GL_IN);
	line_str(l, what);
}

/* Between phases. */
static void put_bar(struct line *l)
{
	buf_char(l->b, ' ');
	line_glyph(l, GL_V);
}

/* Both ends are here: the client's SYN and the server's last ACK bound the three steps. */
static void put_paired_handshake(struct line *l, const struct conn *client,
				 const struct conn *server)
{
	line_str(l, "SYN");
	put_times(l, client->syn_retransmits);
	put_pause(l, (int64_t)(client->est_ns - client->syn_ns), false);
	line_str(l, "SYN+ACK");
	put_times(l, server->synack_retransmits);
	put_pause(l, (int64_t)(server->est_ns - client->est_ns), false);
	line_str(l, "ACK");
}

static void put_handshake(struct line *l, const struct conn *c, const struct conn *other,
			  const struct verdict *v)
{
	bool about = c->seen & SEEN_SYN_ESTIMATED && !(c->seen & SEEN_SYN_TIME);
	const struct conn *client = c->role == ROLE_CLIENT ? c : other;
	const struct conn *server = client == c ? other : c;

	if (other && v->handshake != HS_SIMULTANEOUS &&
	    conn_seen(client, SEEN_SYN_TIME | SEEN_EST_TIME) && conn_seen(server, SEEN_EST_TIME) &&
	    server->est_ns >= client->est_ns) {
		put_paired_handshake(l, client, server);
		return;
	}

	if (v->handshake == HS_UNSEEN) {
		line_word(l, INK_DIM, "handshake unseen");
		return;
	}
	line_str(l, "SYN");
	put_times(l, c->syn_retransmits);
	if (v->handshake == HS_SIMULTANEOUS) {
		buf_char(l->b, ' ');
		line_glyph(l, GL_TIMES);
		line_str(l, " SYN");
	}
	if (v->syn_to_synack_ns < 0 && v->handshake_ns >= 0) {
		put_pause(l, v->handshake_ns, about);
		line_str(l, "ACK");
		return;
	}
	put_pause(l, v->syn_to_synack_ns, about);
	line_str(l, "SYN+ACK");
	put_times(l, c->synack_retransmits);
	put_pause(l, v->synack_to_ack_ns, about);
	line_str(l, "ACK");
}

/* A handshake that came to nothing: what was sent, for how long, and what came of it. */
static void put_failure(struct line *l, const struct conn *c, const struct verdict *v)
{
	bool server = c->role == ROLE_SERVER;

	put_out(l, server ? "SYN+ACK" : "SYN");
	put_times(l, server ? c->synack_retransmits : c->syn_retransmits);
	put_pause(l, v->duration_ns, false);
	line_ink(l, INK_BAD);
	if (c->seen & SEEN_RST_RECEIVED || v->handshake == HS_REFUSED)
		put_in(l, "RST");
	else if (v->end_reason == END_UNKNOWN && conn_end(c)->end_trigger == TRIG_SYSCALL)
		line_str(l, "close()");
	else
		line_str(l, word_end_reason(v->end_reason));
	line_ink(l, INK_NONE);
}

static bool is_open(const struct conn *c, const struct verdict *v)
{
	return v->teardown == TD_OPEN && c->state == ST_ESTABLISHED;
}

/* When the working life ended: the first FIN or RST, or the end; of an open one not yet; of an
 * unseen one, when it surely was there. */
static uint64_t life_end(const struct text *t, const struct conn *c, const struct verdict *v)
{
	uint64_t end = conn_end(c)->end_ns;

	if (!end)
		end = is_open(c, v) ? pipeline_now(t->s->p) : c->state_ns;
	if (c->seen & SEEN_FIN_LOCAL_TIME && conn_end(c)->fin_local_ns < end)
		end = conn_end(c)->fin_local_ns;
	if (c->seen & SEEN_FIN_PEER_TIME && conn_end(c)->fin_peer_ns < end)
		end = conn_end(c)->fin_peer_ns;
	return end;
}

/* A socket that was there before can have been ESTABLISHED for longer than we know of it. Where
 * nothing at all is known of how long it worked, nothing is said. */
static void put_life(const struct text *t, struct line *l, const struct conn *c,
		     const struct verdict *v)
{
	uint64_t from = c->seen & SEEN_EST_TIME ? c->est_ns : c->start_ns;
	uint64_t to = life_end(t, c, v);
	unsigned again = text_retransmits(c);
	bool at_least = !(c->seen & SEEN_EST_TIME) || !conn_end(c)->end_ns;

	if (is_open(c, v) && c->state_ns && c->state_ns < from)
		from = c->state_ns;
	if (to > from || !at_least) {
		if (at_least)
			line_glyph(l, GL_AT_LEAST);
		buf_duration(l->b, to > from ? to - from : 0);
		buf_char(l->b, ' ');
	}
	text_size(l->b, c->bytes_sent);
	put_out(l, "B");
	buf_char(l->b, ' ');
	line_glyph(l, GL_IN);
	text_size(l->b, c->bytes_received);
	buf_char(l->b, 'B');
	if (again) {
		line_ink(l, INK_WARN);
		line_str(l, " R");
		buf_u64(l->b, again);
		line_ink(l, INK_NONE);
	}
}

static void put_fins(struct line *l, const struct conn *c, const struct verdict *v)
{
	bool about = c->evidence & (EVIDENCE_LOOKUP | EVIDENCE_PAIR);

	if (conn_end(c)->first_fin == 1)
		put_out(l, "FIN");
	else
		put_in(l, "FIN");
	if (c->seen & SEEN_CLOSING) {
		buf_char(l->b, ' ');
		line_glyph(l, GL_TIMES);
		buf_char(l->b, ' ');
	} else if (conn_seen(c, SEEN_FIN_LOCAL | SEEN_FIN_PEER)) {
		put_pause(l, v->half_close_ns, about && conn_end(c)->first_fin == 1);
	} else {
		return;
	}
	if (conn_end(c)->first_fin == 1)
		put_in(l, "FIN");
	else
		put_out(l, "FIN");
}

static void put_ending(const struct text *t, struct line *l, const struct conn *c,
		       const struct verdict *v)
{
	uint64_t now_ns = pipeline_now(t->s->p);

	if (conn_end(c)->first_fin) {
		put_fins(l, c, v);
		buf_char(l->b, ' ');
	}
	if (c->seen & (SEEN_RST_SENT | SEEN_RST_RECEIVED)) {
		line_ink(l, INK_BAD);
		if (c->seen & SEEN_RST_SENT)
			put_out(l, "RST");
		else
			put_in(l, "RST");
		line_ink(l, INK_NONE);
		buf_char(l->b, ' ');
	} else if (v->end_reason != END_FIN && v->teardown != TD_OPEN) {
		line_word(l, INK_BAD, word_end_reason(v->end_reason));
		buf_char(l->b, ' ');
	}
	line_str(l, word_state_ss(c->state));
	if (v->teardown == TD_OPEN && c->state != ST_ESTABLISHED && now_ns > c->state_ns) {
		buf_char(l->b, ' ');
		if (c->state_age_bound)
			line_glyph(l, GL_AT_LEAST);
		buf_duration(l->b, now_ns - c->state_ns);
	}
	if (c->incomplete)
		line_word(l, INK_BAD, " incomplete");
}

/* Its phases, none of them broken, from the mark on. */
static void put_phases(const struct text *t, struct line *l, const struct conn *c,
		       const struct conn *other, const struct verdict *v, struct mark m)
{
	if (v->teardown == TD_ABORTED) {
		put_failure(l, c, v);
		line_fold(l, m, t->width, INDENT);
		return;
	}
	put_handshake(l, c, other, v);
	put_bar(l);
	line_fold(l, m, t->width, INDENT);
	m = line_mark(l);
	put_life(t, l, c, v);
	put_bar(l);
	line_fold(l, m, t->width, INDENT);
	m = line_mark(l);
	put_ending(t, l, c, v);
	line_fold(l, m, t->width, INDENT);
}

/* Who it was and how it ended. Where the latter has no room on the first line it begins the
 * second, and the phases follow it. */
static void put_record(const struct text *t, struct line *l, const struct conn *c,
		       const struct conn *other, const struct verdict *v)
{
	static const struct mark nowhere = {SIZE_MAX, 0};
	size_t first = l->start;
	struct mark m;

	text_time(t, l, conn_end(c)->end_ns ? conn_end(c)->end_ns : pipeline_now(t->s->p));
	buf_char(l->b, ' ');
	text_proc(t, l, c->owner);
	buf_char(l->b, ' ');
	text_endpoint(t, l, c->local, c->lport);
	line_glyph(l, text_role_glyph(c->role));
	text_endpoint(t, l, c->peer, c->pport);
	if (other) {
		m = line_mark(l);
		if (other->owner == c->owner)
			line_str(l, "itself");
		else
			text_proc(t, l, other->owner);
		line_fold(l, m, t->width, INDENT);
	}
	m = line_mark(l);
	text_sentence(t, l, c, v, true);
	line_fold(l, m, t->width, INDENT);
	if (l->start == first) {
		line_end(l);
		line_begin(l, t, l->b);
		buf_fill(l->b, ' ', INDENT);
		put_phases(t, l, c, other, v, nowhere);
	} else {
		put_bar(l);
		m = line_mark(l);
		put_phases(t, l, c, other, v, m);
	}
	line_end(l);
}

static uint64_t *told_ways(struct watch_view *w, uint64_t cookie)
{
	return w->told[(cookie * 0x9e3779b97f4a7c15ULL) >> (64 - TOLD_BITS)];
}

static void told_add(struct watch_view *w, uint64_t cookie)
{
	uint64_t *ways = told_ways(w, cookie);

	memmove(ways + 1, ways, (TOLD_WAYS - 1) * sizeof(*ways));
	ways[0] = cookie;
}

/* Was it told with its other end? It is asked once. */
static bool told_take(struct watch_view *w, uint64_t cookie)
{
	uint64_t *ways = told_ways(w, cookie);

	for (unsigned i = 0; cookie && i < TOLD_WAYS; i++) {
		if (ways[i] != cookie)
			continue;
		memmove(ways + i, ways + i + 1, (TOLD_WAYS - 1 - i) * sizeof(*ways));
		ways[TOLD_WAYS - 1] = 0;
		return true;
	}
	return false;
}

/* Are both FINs through for the other end as well, so that it only waits for the last ACK, if that?
 * The kernel sends the ACK for the last FIN (tcp_fin()) before it tells of TIME_WAIT: where that
 * ACK has ended this end, the other one may still be called FIN_WAIT_2. */
static bool is_through(const struct conn *c, const struct conn *o)
{
	static const bool closed[ST_COUNT] = {
		[ST_LAST_ACK] = true, [ST_CLOSING] = true, [ST_TIME_WAIT] = true, [ST_CLOSED] = true,
	};

	return closed[o->state] || (o->state == ST_FIN_WAIT_2 && c->state == ST_CLOSED &&
				    conn_end(c)->end_old_state == ST_LAST_ACK);
}

/* The other end, if it is here and its end adds nothing to what this one knows. */
static const struct conn *other_end(const struct watch_view *w, const struct conn *c)
{
	const struct conn *o = conntab_at_const(pipeline_conns(w->t.s->p), c->peer_conn);

	if (!o || !conn_seen(c, SEEN_FIN_LOCAL | SEEN_FIN_PEER) || conn_end(c)->err ||
	    conn_end(o)->err || (c->seen | o->seen) & (SEEN_RST_SENT | SEEN_RST_RECEIVED) ||
	    c->incomplete || o->incomplete || !is_through(c, o))
		return NULL;
	return o;
}

/* --stack: where it comes from. */
static void put_made(const struct watch_view *w, struct buf *b, const char *what,
		     const struct conn *c)
{
	const char *stack = pipeline_stack(w->t.s->p, c->cookie);
	struct line l;

	if (!stack)
		return;
	line_begin(&l, &w->t, b);
	buf_fill(b, ' ', INDENT);
	line_str(&l, what);
	text_stack_brief(&l, stack, w->t.width, INDENT);
	line_end(&l);
}

static void watch_end(void *view, const struct conn *c, const struct verdict *v)
{
	struct watch_view *w = view;
	struct session *s = w->t.s;
	const struct conn *other = other_end(w, c);
	struct buf *b;
	struct line l;

	if (told_take(w, c->cookie) && !conn_end(c)->err &&
	    !(c->seen & (SEEN_RST_SENT | SEEN_RST_RECEIVED)))
		return;
	if (other)
		told_add(w, other->cookie);
	b = sink_begin(s->out);

	text_base(&w->t, c->start_ns);
	line_begin(&l, &w->t, b);
	put_record(&w->t, &l, c, other, v);
	put_made(w, b, "made ", c);
	if (other)
		put_made(w, b, "other end made ", other);
	sink_commit(s->out);
	session_printed(s);
}

static void watch_tick(void *view, uint64_t now_ns)
{
	text_base(&((struct watch_view *)view)->t, now_ns);
}

static void watch_close(void *view)
{
	struct watch_view *v = view;

	free(v->open);
	free(v);
}

static const struct view_ops ops = {
	.conn_end = watch_end,
	.snapshot = watch_snapshot,
	.snapshot_done = watch_snapshot_done,
	.tick = watch_tick,
};

const struct view view_watch_text = {
	.ops = &ops,
	.open = watch_open,
	.begin = watch_begin,
	.close = watch_close,
};
