/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a finding says and advises: a template a kind, filled from its evidence.
 *
 * In a template {name} is a piece of evidence, and what stands between [ and ] is
 * left out when a piece in it is not known: nothing is said that was not seen. The
 * kinds' words are a contract (JSON, --explain): add, never change.
 */
#include <assert.h>
#include <string.h>
#include <strings.h>

#include "write/buf.h"
#include "diagnose_impl.h"

static const char *const kinds[] = {
	[FIND_NONE] = "none",
	[FIND_CLOSE_WAIT_LEAK] = "close_wait_leak",
	[FIND_CLOSE_WAIT_UNREAD] = "close_wait_unread",
	[FIND_CLOSE_WAIT_BACKLOG] = "close_wait_backlog",
	[FIND_NEVER_ACCEPTED] = "never_accepted",
	[FIND_FIN_WAIT_2_HELD] = "fin_wait_2_held",
	[FIND_FIN_WAIT_2_ORPHANED] = "fin_wait_2_orphaned",
	[FIND_FIN_WAIT_1_PEER_GONE] = "fin_wait_1_peer_gone",
	[FIND_LAST_ACK_PEER_GONE] = "last_ack_peer_gone",
	[FIND_CLOSING_STUCK] = "closing_stuck",
	[FIND_SYN_UNANSWERED] = "syn_unanswered",
	[FIND_SYN_QUEUE_PILING] = "syn_queue_piling",
	[FIND_ACCEPT_QUEUE_FULL] = "accept_queue_full",
	[FIND_PORT_EXHAUSTION] = "port_exhaustion",
	[FIND_ORPHANS_NEAR_LIMIT] = "orphans_near_limit",
	[FIND_TIME_WAIT_NEAR_LIMIT] = "time_wait_near_limit",
	[FIND_PEER_SILENT] = "peer_silent",
	[FIND_ZERO_WINDOW] = "zero_window",
	[FIND_FD_LIMIT_NEAR] = "fd_limit_near",
};
static_assert(sizeof(kinds) / sizeof(kinds[0]) == FIND_KINDS, "a word for every kind");

static const char *const severities[] = {
	[SEV_NONE] = "none",
	[SEV_INFO] = "info",
	[SEV_WARNING] = "warning",
	[SEV_CRITICAL] = "critical",
};
static_assert(sizeof(severities) / sizeof(severities[0]) == SEV_COUNT, "a word for each");

const char *word_finding(unsigned kind)
{
	return kinds[kind < FIND_KINDS ? kind : FIND_NONE];
}

const char *word_severity(unsigned severity)
{
	return severities[severity < SEV_COUNT ? severity : SEV_NONE];
}

enum finding_kind word_to_finding(const char *word)
{
	for (unsigned i = FIND_NONE + 1; i < FIND_KINDS; i++)
		if (!strcasecmp(word, kinds[i]))
			return i;
	return FIND_NONE;
}

/* ---- the templates ------------------------------------------------------------------- */

struct sentences {
	const char *why, *advice, *commands;
};

static const struct sentences sentences[] = {
	[FIND_NONE] = {"", "", ""},
	[FIND_CLOSE_WAIT_LEAK] = {
		"the peer has closed and {who} has read that (EOF), but does not close its "
		"socket[ (fd {fd})]: it stays until it does[; {blocked} from the same port waits "
		"for it]",
		"close() when read() returns 0; until then get rid of {it}", "{ss}"},
	[FIND_CLOSE_WAIT_UNREAD] = {
		"the peer has closed and {who} has not even read that (EOF): it no longer looks at "
		"this socket[ (fd {fd})][; {blocked} from the same port waits for it]",
		"find out why it is not polled; until then get rid of {it}", "[{stack}\n]{ss}"},
	[FIND_CLOSE_WAIT_BACKLOG] = {
		"{bytes} and then the peer's EOF wait to be read[ on fd {fd}]: {who} stopped "
		"reading before the end[; {blocked} from the same port waits for it]",
		"find out what its reader waits for; until then get rid of {it}", "[{stack}\n]{ss}"},
	[FIND_NEVER_ACCEPTED] = {
		"the handshake is done but {who} has not called accept(): the client believes "
		"that it is served",
		"find out what the accepting thread does", "{stack}"},
	[FIND_FIN_WAIT_2_HELD] = {
		"{who} has sent its FIN by shutdown() and keeps the socket[ (fd {fd})], the peer "
		"does not close: while it is held there is no time limit",
		"close() after shutdown(), net.ipv4.tcp_fin_timeout = {fin_timeout} then ends it; "
		"until then get rid of {it}",
		"{ss}"},
	[FIND_FIN_WAIT_2_ORPHANED] = {
		"closed here[ by {owner}], the peer has not sent its FIN[; the kernel ends it in "
		"{ends}]",
		"nothing here: net.ipv4.tcp_fin_timeout = {fin_timeout} ends them; the peer does "
		"not close, look for CLOSE-WAIT there",
		""},
	[FIND_FIN_WAIT_1_PEER_GONE] = {
		"{unanswered}: the peer is gone or a firewall drops it[; closed here by "
		"{orphaned}][; the kernel gives up in about {ends}]",
		"{how_long}; get rid of {it} now",
		"{ss}"},
	[FIND_LAST_ACK_PEER_GONE] = {
		"the peer closed first, {unanswered}: the peer is gone or a firewall drops it[; "
		"closed here by {orphaned}][; the kernel gives up in about {ends}]",
		"{retry_limit} says how long; get rid of {it} now",
		"{ss}"},
	[FIND_CLOSING_STUCK] = {
		"both ends closed at once and our FIN was sent {retries} times again without an "
		"answer[; the kernel gives up in about {ends}]",
		"{retry_limit} says how long; get rid of {it} now",
		"{ss}"},
	[FIND_SYN_UNANSWERED] = {
		"the SYN was sent {retries} times again without an answer[, next in {next}][; "
		"connect() fails in about {ends}][; the peer's {blocked} of this port is in its "
		"way]",
		"no refusal came either: a firewall drops it, the host is down, or the listener's "
		"accept queue is full; "
		"net.ipv4.tcp_syn_retries = {syn_retries} (TCP_SYNCNT) says how long",
		""},
	[FIND_SYN_QUEUE_PILING] = {
		"{value} handshakes wait for their last ACK (the queue holds {limit}) and "
		"SYN-ACKs are sent again: a SYN flood, or a path that loses the answer",
		"net.ipv4.tcp_syncookies = {syn_cookies}, net.ipv4.tcp_max_syn_backlog = "
		"{syn_backlog}; look where they come from",
		"{syn_list}"},
	[FIND_ACCEPT_QUEUE_FULL] = {
		"{value} connections wait for accept(), the limit is {limit}: {who} does not "
		"accept as fast as they come, and more are dropped",
		"the limit is the smaller of listen()'s backlog and net.core.somaxconn = "
		"{somaxconn}; find out what the accepting thread does",
		"{stack}"},
	[FIND_PORT_EXHAUSTION] = {
		"{value} of {limit} local ports toward {service} are taken, {time_wait} of them by "
		"TIME-WAIT: connect() fails with EADDRNOTAVAIL when none is left",
		"keep connections open (a pool); net.ipv4.ip_local_port_range = {ports}, "
		"net.ipv4.tcp_tw_reuse = {tw_reuse}",
		""},
	[FIND_ORPHANS_NEAR_LIMIT] = {
		"{value} closed connections without a process wait for their peers, the limit is "
		"{limit}: past it the kernel resets them",
		"net.ipv4.tcp_max_orphans = {limit}, net.ipv4.tcp_orphan_retries = "
		"{orphan_retries}; see whose they were",
		"tcptrail stuck --list state fin-wait-1 or state fin-wait-2 or state last-ack"},
	[FIND_TIME_WAIT_NEAR_LIMIT] = {
		"{value} sockets in TIME-WAIT, the limit is {limit}: past it the kernel skips the "
		"state, and a late segment may meet a new connection",
		"let the clients close first, or keep connections open; "
		"net.ipv4.tcp_max_tw_buckets = {limit}",
		""},
	[FIND_PEER_SILENT] = {
		"{unanswered}: the peer is gone or a firewall drops it[; the kernel gives up in "
		"about {ends}]",
		"net.ipv4.tcp_retries2 = {retries2} says how long, TCP_USER_TIMEOUT for one socket; "
		"get rid of {it} now",
		"{ss}"},
	[FIND_ZERO_WINDOW] = {
		"the peer's window is closed and {bytes} wait to be sent: the application at the "
		"other end does not read",
		"look at the peer's process[; {time_out} ends it here]; get rid of {it} now",
		"{ss}"},
	[FIND_FD_LIMIT_NEAR] = {
		"{who} has {value} of its {limit} descriptors open: at the limit accept() and "
		"connect() fail with EMFILE",
		"close what leaks; for a while raise the limit",
		"prlimit --pid {pid} --nofile={more}"},
};
static_assert(sizeof(sentences) / sizeof(sentences[0]) == FIND_KINDS, "sentences for each kind");

/* ---- filling in ------------------------------------------------------------------------ */

/* {name} at s (behind the brace): appends it, false when it is not known. *end: behind }. */
static bool put_piece(struct buf *b, const char *s, const char **end, const struct told *t)
{
	size_t len = strcspn(s, "}");

	*end = s + len + (s[len] == '}');
	for (unsigned i = 0; i < told_piece_count; i++)
		if (strlen(told_pieces[i].name) == len && !memcmp(told_pieces[i].name, s, len))
			return told_pieces[i].put(b, t);
	return false;
}

static void fill(struct buf *b, const char *s, const struct told *t)
{
	size_t optional = 0;
	bool known = true, inside = false;

	while (*s && !b->failed) {
		if (*s == '[') {
			inside = known = true;
			optional = b->len;
			s++;
		} else if (*s == ']') {
			if (!known)
				b->len = optional;
			inside = false;
			s++;
		} else if (*s == '{') {
			if (!put_piece(b, s + 1, &s, t) && inside)
				known = false;
		} else {
			buf_char(b, *s++);
		}
	}
}

void told_explanation(struct buf *b, const struct told *t)
{
	fill(b, sentences[t->finding->kind].why, t);
}

void told_remedy(struct buf *b, const struct told *t)
{
	fill(b, sentences[t->finding->kind].advice, t);
}

void told_commands(struct buf *b, const struct told *t)
{
	fill(b, sentences[t->finding->kind].commands, t);
}

void told_advice(struct buf *b, const struct told *t)
{
	struct buf commands = {0};

	told_remedy(b, t);
	told_commands(&commands, t);
	for (size_t i = 0; i < commands.len; i++) {
		if (!i)
			buf_str(b, ": ");
		if (commands.data[i] == '\n')
			buf_str(b, "; then: ");
		else
			buf_char(b, commands.data[i]);
	}
	buf_free(&commands);
}
