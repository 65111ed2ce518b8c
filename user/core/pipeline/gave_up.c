/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel gives a connection up by a timer (tcp_write_err()): which one it was.
 *
 * Told by what waits at ->CLOSE: the retransmission timer runs while something is in
 * flight, the persist timer while something is not sent, keepalive's when nothing
 * waits. The persist timer also tries again what did not leave this host, with the
 * peer's window open: that is a retransmission in all but name. The error does not tell: it is ETIMEDOUT, or what an ICMP message had said
 * before (sk_err_soft), and that only names why nobody answered.
 */
#include <errno.h>

#include "pipeline_impl.h"

/* Has a timer tried without an answer? An ICMP message alone ends no open connection, unless its
 * process wants to hear of it (IP_RECVERR), and then only by an error. */
static bool tried(const struct event_tcp *t)
{
	return t->probes_out || (t->retransmits && t->snd_una != t->snd_nxt);
}

bool ending_window_shut(const struct event_tcp *t)
{
	uint32_t waits = t->write_seq - t->snd_nxt, room = t->snd_una + t->snd_wnd - t->snd_nxt;

	return room < (waits < t->mss ? waits : t->mss);
}

static enum event_timer timer_behind(const struct event_tcp *t)
{
	if (t->snd_una != t->snd_nxt)
		return TIMER_RETRANSMIT;
	if (t->write_seq == t->snd_nxt)
		return TIMER_KEEPALIVE;
	return ending_window_shut(t) ? TIMER_PERSIST : TIMER_RETRANSMIT;
}

void ending_gave_up(struct pipeline *p, struct conn *c, const struct event *e, bool icmp)
{
	const struct event_tcp *t = &e->tcp;
	struct conn_end *end = conntab_end(p->conns, c);
	enum retransmit_kind k;

	if (t->err != ETIMEDOUT && !(icmp && tried(t)))
		return;
	end->gave_up = timer_behind(t);
	if (e->extra.state.user_timeout_ms)
		c->detail |= DETAIL_USER_TIMEOUT;
	if (end->gave_up == TIMER_RETRANSMIT)
		return;
	/* In base mode only their count is seen. */
	k = end->gave_up == TIMER_PERSIST ? RT_ZERO_WINDOW_PROBE : RT_KEEPALIVE;
	if (end->retransmits[k] < t->probes_out)
		end->retransmits[k] = t->probes_out;
}
