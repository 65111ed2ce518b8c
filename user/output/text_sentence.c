/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection's end in one sentence for people: "SF normal, client closed first
 * (curl[812] close())". Zeek's code comes first, so that it can be grepped; the
 * words say who did it and why.
 *
 * Says only what the verdict holds: a part that is not known is left out.
 */
#include "text.h"

#include "../core/process/proc.h"
#include "../core/connection/verdict.h"
#include "../core/connection/words.h"

enum { INDENT = 8 }; /* of what has no room on its first line */

/* Why, where "normal" does not say it. "" : the sentence has said it already. */
static const char *const reasons[END_REASONS] = {
	[END_UNKNOWN] = "",
	[END_FIN] = "",
	[END_RESET] = "",
	[END_REFUSED] = "",
	[END_SYN_TIMEOUT] = "",
	[END_RETRANSMIT_TIMEOUT] = "retransmissions unanswered",
	[END_USER_TIMEOUT] = "TCP_USER_TIMEOUT",
	[END_KEEPALIVE_TIMEOUT] = "keepalive probes unanswered",
	[END_ZERO_WINDOW_TIMEOUT] = "the peer's window stayed shut",
	[END_FIN_WAIT_2_TIMEOUT] = "the peer never sent its FIN",
	[END_LINGER_RESET] = "SO_LINGER 0",
	[END_UNREAD_DATA_RESET] = "closed with unread data",
	[END_LISTENER_CLOSED] = "its listener was closed before accept()",
	[END_HALF_OPEN] = "the peer had forgotten it",
	[END_ICMP] = "ICMP error",
	[END_KILLED] = "",
	[END_NETNS_DESTROYED] = "network namespace deleted",
};

static const char *side_name(unsigned role, bool local)
{
	if (role == ROLE_CLIENT)
		return local ? "client" : "server";
	if (role == ROLE_SERVER)
		return local ? "server" : "client";
	return local ? "this end" : "the peer";
}

static void put_reason(struct line *l, const struct verdict *v)
{
	const char *why = v->end_reason < END_REASONS ? reasons[v->end_reason] : "";

	if (*why) {
		line_str(l, ": ");
		line_str(l, why);
	}
}

static void put_closer(const struct text *t, struct line *l, const struct conn *c,
		       const struct verdict *v, const char *call)
{
	struct mark m;

	if (v->initiator != INIT_LOCAL && v->initiator != INIT_BOTH)
		return;
	if (l->brief && conn_end(c)->closer == c->owner)
		return;
	if (!proc_get(t->procs, conn_end(c)->closer)->pid)
		return;
	m = line_mark(l);
	buf_char(l->b, '(');
	text_proc(t, l, conn_end(c)->closer);
	buf_char(l->b, ' ');
	line_str(l, call);
	buf_char(l->b, ')');
	if (!l->brief) /* who is brief folds before the sentence */
		line_fold(l, m, t->width, INDENT);
}

static void put_first(const struct text *t, struct line *l, const struct conn *c,
		      const struct verdict *v, const char *call)
{
	if (v->initiator == INIT_LOCAL || v->initiator == INIT_PEER) {
		line_str(l, v->teardown == TD_NORMAL && l->brief ? "" : ", "); /* nothing before it */
		line_str(l, side_name(c->role, v->initiator == INIT_LOCAL));
		line_str(l, " closed first");
	}
	put_closer(t, l, c, v, call);
}

static const char *closing_call(const struct conn *c)
{
	return c->seen & SEEN_SHUT_WR_FIRST ? "shutdown()" : "close()";
}

static void say_normal(const struct text *t, struct line *l, const struct conn *c,
		       const struct verdict *v)
{
	if (!l->brief) /* SF says it */
		line_str(l, "normal");
	put_first(t, l, c, v, closing_call(c));
}

static void say_half_closed(const struct text *t, struct line *l, const struct conn *c,
			    const struct verdict *v)
{
	line_word(l, INK_WARN, "half-closed");
	if (v->half_close_ns >= 0) {
		buf_char(l->b, ' ');
		buf_duration(l->b, (uint64_t)v->half_close_ns);
	}
	put_first(t, l, c, v, closing_call(c));
}

static void say_simultaneous(const struct text *t, struct line *l, const struct conn *c,
			     const struct verdict *v)
{
	line_str(l, l->brief ? "both closed at once" : "normal, both closed at once");
	put_closer(t, l, c, v, closing_call(c));
}

static void say_reset(const struct text *t, struct line *l, const struct conn *c,
		      const struct verdict *v)
{
	bool local = v->teardown == TD_RESET_SENT;

	line_word(l, INK_BAD, "reset");
	line_str(l, " by ");
	line_str(l, side_name(c->role, local));
	put_reason(l, v);
	if (local)
		put_closer(t, l, c, v, "close()");
}

static void say_timed_out(const struct text *t, struct line *l, const struct conn *c,
			  const struct verdict *v)
{
	line_word(l, INK_BAD, "timed out");
	put_reason(l, v);
}

static void say_orphaned(const struct text *t, struct line *l, const struct conn *c,
			 const struct verdict *v)
{
	line_word(l, INK_BAD, "orphaned");
	put_reason(l, v);
	put_first(t, l, c, v, closing_call(c));
}

static void say_killed(const struct text *t, struct line *l, const struct conn *c,
		       const struct verdict *v)
{
	line_word(l, INK_BAD, "killed");
	if (proc_get(t->procs, conn_end(c)->closer)->pid) {
		line_str(l, " by ");
		text_proc(t, l, conn_end(c)->closer);
	}
	line_str(l, " (SOCK_DESTROY)");
}

static void say_open(const struct text *t, struct line *l, const struct conn *c,
		     const struct verdict *v)
{
	line_str(l, "still open, ");
	line_str(l, word_state_ss(c->state));
}

static void say_unseen(const struct text *t, struct line *l, const struct conn *c,
		       const struct verdict *v)
{
	line_word(l, INK_BAD, "gone");
	line_str(l, " since ");
	line_str(l, word_state_ss(conn_end(c)->end_old_state));
	line_str(l, ", its end unseen");
}

static void say_refused(const struct text *t, struct line *l, const struct conn *c)
{
	line_word(l, INK_BAD, "refused");
	line_str(l, ": a RST answered the SYN");
}

static void say_unanswered(const struct text *t, struct line *l, const struct conn *c)
{
	unsigned n = (c->role == ROLE_SERVER ? c->synack_retransmits : c->syn_retransmits) + 1u;

	line_word(l, INK_BAD, "no answer");
	line_str(l, " to ");
	buf_u64(l->b, n);
	line_str(l, c->role == ROLE_SERVER ? " SYN+ACK" : " SYN");
	if (n > 1)
		buf_char(l->b, 's');
}

static void say_given_up(const struct text *t, struct line *l, const struct conn *c)
{
	line_word(l, INK_BAD, "given up");
	line_str(l, " before it was established");
}

typedef void (*say_end_fn)(const struct text *t, struct line *l, const struct conn *c,
			   const struct verdict *v);
typedef void (*say_start_fn)(const struct text *t, struct line *l, const struct conn *c);

static const say_end_fn say_end[TD_KINDS] = {
	[TD_OPEN] = say_open,
	[TD_NORMAL] = say_normal,
	[TD_HALF_CLOSED] = say_half_closed,
	[TD_SIMULTANEOUS] = say_simultaneous,
	[TD_RESET_SENT] = say_reset,
	[TD_RESET_RECEIVED] = say_reset,
	[TD_TIMED_OUT] = say_timed_out,
	[TD_ORPHANED] = say_orphaned,
	[TD_KILLED] = say_killed,
	[TD_UNSEEN] = say_unseen,
};

/* Where the handshake failed, it is the whole story. */
static const say_start_fn say_start[HS_KINDS] = {
	[HS_REFUSED] = say_refused,
	[HS_TIMED_OUT] = say_unanswered,
	[HS_ABORTED] = say_given_up,
};

void text_sentence(const struct text *t, struct line *l, const struct conn *c,
		   const struct verdict *v, bool brief)
{
	l->brief = brief;
	line_str(l, word_conn_state(v->conn_state));
	buf_char(l->b, ' ');
	if (v->handshake < HS_KINDS && say_start[v->handshake]) {
		say_start[v->handshake](t, l, c);
		put_reason(l, v);
	} else if (v->teardown < TD_KINDS && say_end[v->teardown]) {
		say_end[v->teardown](t, l, c, v);
	} else {
		line_str(l, word_teardown(v->teardown));
	}
}
