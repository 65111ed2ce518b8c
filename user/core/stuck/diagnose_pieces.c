/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pieces of evidence that a finding's sentences are made of: numbers with their
 * unit, names made safe, and commands that can be run as they stand.
 *
 * Always: what is not known gives a neutral word and false, so that an optional part
 * of a sentence drops it. Never: a name from outside that is not escaped (buf_safe).
 */
#include "event.h"
#include "write/buf.h"
#include "connection/conn.h"
#include "diagnose_impl.h"
#include "connection/facts.h"
#include "process/proc.h"
#include "connection/words.h"

/* ---- whose ------------------------------------------------------------------------------- */

static bool put_owner(struct buf *b, const struct told *t)
{
	if (!t->who || !t->who->pid)
		return false;
	buf_safe(b, t->who->comm, PROC_COMM_LEN);
	buf_char(b, '[');
	buf_u64(b, t->who->pid);
	buf_char(b, ']');
	return true;
}

static bool put_who(struct buf *b, const struct told *t)
{
	if (put_owner(b, t))
		return true;
	buf_str(b, "its process");
	return false;
}

/* Who had it last, where nobody has it any more. */
static bool put_orphaned(struct buf *b, const struct told *t)
{
	return t->conn && !t->conn->holders && put_owner(b, t);
}

/* No process has it any more, and none can act on it. */
static bool is_orphan(const struct told *t)
{
	return !t->conn || t->conn->seen & (SEEN_ORPHAN | SEEN_MINISOCK);
}

/* A process to speak to. An orphan's last owner is none: it may be gone. */
static bool has_pid(const struct told *t)
{
	return t->who && t->who->pid && !(t->conn && is_orphan(t));
}

static bool put_pid(struct buf *b, const struct told *t)
{
	if (has_pid(t))
		buf_u64(b, t->who->pid);
	return has_pid(t);
}

/* Of a group, one of several. */
static bool put_fd(struct buf *b, const struct told *t)
{
	if (t->fd < 0 || t->count != 1)
		return false;
	buf_u64(b, (uint64_t)t->fd);
	return true;
}

static bool put_it(struct buf *b, const struct told *t)
{
	buf_str(b, t->count == 1 ? "it" : "them");
	return true;
}

static bool put_stack(struct buf *b, const struct told *t)
{
	if (!has_pid(t))
		return false;
	buf_str(b, "gdb -p ");
	put_pid(b, t);
	buf_str(b, " -batch -ex 'thread apply all bt'");
	return true;
}

/* ---- numbers ------------------------------------------------------------------------------ */

static bool put_value(struct buf *b, const struct told *t)
{
	buf_u64(b, t->finding->value);
	return true;
}

static bool put_limit(struct buf *b, const struct told *t)
{
	buf_u64(b, t->finding->limit);
	return true;
}

static bool put_more(struct buf *b, const struct told *t)
{
	buf_u64(b, t->finding->limit * 2);
	return true;
}

static bool put_bytes(struct buf *b, const struct told *t)
{
	if (!t->finding->value) {
		buf_str(b, "data");
		return false;
	}
	buf_bytes(b, t->finding->value);
	return true;
}

static bool put_retries(struct buf *b, const struct told *t)
{
	buf_u64(b, t->finding->retries);
	return true;
}

/* The persist timer probed a closed window. */
static bool is_window_probe(const struct told *t)
{
	return t->conn && t->conn->timer == TIMER_PERSIST && t->conn->now & NOW_ZERO_WINDOW;
}

/* What was tried, how often. */
static bool put_unanswered(struct buf *b, const struct told *t)
{
	if (is_window_probe(t)) {
		buf_str(b, "its window was closed and ");
		put_retries(b, t);
		buf_str(b, " probes of it were not answered");
		return true;
	}
	if (t->finding->kind == FIND_FIN_WAIT_1_PEER_GONE)
		buf_str(b, "our FIN, or data before it,");
	else if (t->finding->kind == FIND_LAST_ACK_PEER_GONE)
		buf_str(b, "our FIN");
	else
		buf_str(b, "what was sent");
	if (t->finding->kind == FIND_PEER_SILENT && t->finding->value) {
		buf_str(b, " (");
		put_bytes(b, t);
		buf_str(b, " wait)");
	}
	buf_str(b, " was sent ");
	put_retries(b, t);
	buf_str(b, t->finding->kind == FIND_LAST_ACK_PEER_GONE ?
			   " times again and never acknowledged" :
			   " times again without an answer");
	return true;
}

static bool put_time_wait(struct buf *b, const struct told *t)
{
	buf_u64(b, t->time_wait);
	return true;
}

static bool put_time(struct buf *b, int64_t ns)
{
	if (ns < 0)
		return false;
	buf_duration(b, (uint64_t)ns);
	return true;
}

/* Of a group it is one's: the others have their own. */
static bool put_next(struct buf *b, const struct told *t)
{
	return t->count == 1 && put_time(b, t->finding->next_ns);
}

static bool put_ends(struct buf *b, const struct told *t)
{
	return put_time(b, t->finding->ends_ns);
}

static bool put_blocked(struct buf *b, const struct told *t)
{
	if (!t->finding->blocked)
		return false;
	buf_str(b,
		t->conn && t->conn->state == ST_SYN_SENT ? "old CLOSE-WAIT" : "a new connection");
	return true;
}

/* ---- the host's settings --------------------------------------------------------------------- */

static bool put_fact(struct buf *b, const struct told *t, enum fact id)
{
	uint32_t netns = t->conn ? t->conn->netns : 0;
	uint64_t v = t->facts ? facts_get(t->facts, id, netns) : FACT_UNKNOWN;

	if (v == FACT_UNKNOWN)
		buf_char(b, '?');
	else
		buf_u64(b, v);
	return v != FACT_UNKNOWN;
}

#define SETTING(name, id)                                                                          \
	static bool put_##name(struct buf *b, const struct told *t)                                \
	{                                                                                          \
		return put_fact(b, t, id);                                                         \
	}
SETTING(fin_timeout, FACT_FIN_TIMEOUT_S)
SETTING(orphan_retries, FACT_ORPHAN_RETRIES)
SETTING(syn_retries, FACT_SYN_RETRIES)
SETTING(syn_cookies, FACT_SYN_COOKIES)
SETTING(syn_backlog, FACT_SYN_BACKLOG)
SETTING(somaxconn, FACT_SOMAXCONN)
SETTING(tw_reuse, FACT_TW_REUSE)
SETTING(retries2, FACT_RETRIES2)

/* Which of the two says how often a FIN is sent again. */
static bool put_retry_limit(struct buf *b, const struct told *t)
{
	buf_str(b, is_orphan(t) ? "net.ipv4.tcp_orphan_retries = " : "net.ipv4.tcp_retries2 = ");
	return is_orphan(t) ? put_orphan_retries(b, t) : put_retries2(b, t);
}

static bool put_how_long(struct buf *b, const struct told *t)
{
	bool known = put_retry_limit(b, t);

	buf_str(b, is_orphan(t) ? " says how long" : " and TCP_USER_TIMEOUT say how long");
	return known;
}

/* What a process can set. */
static bool put_time_out(struct buf *b, const struct told *t)
{
	buf_str(b, "a write time-out or TCP_USER_TIMEOUT");
	return !is_orphan(t);
}

static bool put_ports(struct buf *b, const struct told *t)
{
	bool lo = put_fact(b, t, FACT_PORT_LO);

	buf_char(b, ' ');
	return put_fact(b, t, FACT_PORT_HI) && lo;
}

/* ---- commands ---------------------------------------------------------------------------------- */

static bool put_service(struct buf *b, const struct told *t)
{
	if (!t->conn)
		return false;
	buf_endpoint(b, t->conn->peer, t->conn->pport);
	return true;
}

/* ss speaks of its own network namespace; with no process to enter another one by, we do. */
static bool put_enter(struct buf *b, const struct told *t)
{
	if (!t->other_netns)
		return true;
	if (!has_pid(t))
		return false;
	buf_str(b, "nsenter -n -t ");
	put_pid(b, t);
	buf_char(b, ' ');
	return true;
}

static void put_state(struct buf *b, unsigned state)
{
	const char *w = state == ST_ESTABLISHED ? "established" : word_state_ss(state);

	buf_str(b, "state ");
	for (; *w; w++)
		buf_char(b, *w >= 'A' && *w <= 'Z' ? *w - 'A' + 'a' : *w);
}

static void put_address(struct buf *b, const char *key, const uint8_t addr[16])
{
	buf_char(b, ' ');
	buf_str(b, key);
	buf_char(b, ' ');
	if (!addr_is_v4(addr))
		buf_char(b, '[');
	buf_addr(b, addr);
	if (!addr_is_v4(addr))
		buf_char(b, ']');
}

static void put_port(struct buf *b, const char *key, uint16_t port)
{
	buf_printf(b, " %s = :%u", key, port);
}

/* By its state and service alone ss cannot tell one that hangs from one that works: any in
 * ESTABLISHED may. We close none that does not hang. */
static bool ss_knows_them(const struct told *t)
{
	return t->count == 1 || t->conn->state != ST_ESTABLISHED;
}

static void put_kill(struct buf *b, const struct told *t)
{
	buf_str(b, "tcptrail stuck --kill --yes ");
	if (has_pid(t)) {
		buf_str(b, "-p ");
		put_pid(b, t);
		buf_char(b, ' ');
	}
	if (t->other_netns)
		buf_printf(b, "netns = %u ", t->conn->netns);
}

/* One socket by its four parts; a group by its state and the service that it shares. */
static bool put_ss(struct buf *b, const struct told *t)
{
	const struct conn *c = t->conn;

	if (!c)
		return false;
	if (ss_knows_them(t) && put_enter(b, t))
		buf_str(b, "ss -K ");
	else
		put_kill(b, t);
	put_state(b, c->state);
	if (t->count == 1) {
		put_address(b, "src", c->local);
		put_port(b, "sport", c->lport);
		put_address(b, "dst", c->peer);
		put_port(b, "dport", c->pport);
	} else if (c->role == ROLE_SERVER) {
		if (!t->spread_peers)
			put_address(b, "dst", c->peer);
		put_port(b, "sport", c->lport);
	} else {
		put_address(b, "dst", c->peer);
		put_port(b, "dport", c->pport);
	}
	return true;
}

static bool put_syn_list(struct buf *b, const struct told *t)
{
	if (!t->conn || !put_enter(b, t))
		return false;
	buf_str(b, "ss -tn state syn-recv");
	put_port(b, "sport", t->conn->lport);
	return true;
}

const struct told_piece told_pieces[] = {
	{"who", put_who},
	{"owner", put_owner},
	{"orphaned", put_orphaned},
	{"pid", put_pid},
	{"fd", put_fd},
	{"it", put_it},
	{"stack", put_stack},
	{"value", put_value},
	{"limit", put_limit},
	{"more", put_more},
	{"bytes", put_bytes},
	{"retries", put_retries},
	{"unanswered", put_unanswered},
	{"time_wait", put_time_wait},
	{"next", put_next},
	{"ends", put_ends},
	{"blocked", put_blocked},
	{"service", put_service},
	{"ss", put_ss},
	{"syn_list", put_syn_list},
	{"ports", put_ports},
	{"fin_timeout", put_fin_timeout},
	{"orphan_retries", put_orphan_retries},
	{"syn_retries", put_syn_retries},
	{"syn_cookies", put_syn_cookies},
	{"syn_backlog", put_syn_backlog},
	{"somaxconn", put_somaxconn},
	{"tw_reuse", put_tw_reuse},
	{"retries2", put_retries2},
	{"retry_limit", put_retry_limit},
	{"how_long", put_how_long},
	{"time_out", put_time_out},
};
const unsigned told_piece_count = sizeof(told_pieces) / sizeof(told_pieces[0]);
