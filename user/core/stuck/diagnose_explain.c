/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --explain KIND: what a kind of finding means, the part of RFC 9293's diagram where
 * it hangs, and on what evidence it is told. A row a kind; the diagrams are shared by
 * the kinds that hang in the same place.
 */
#include <assert.h>
#include <string.h>

#include "write/buf.h"
#include "diagnose.h"

enum { WIDTH = 80 };

static const char passive_close[] =
	"    ESTABLISHED\n"
	"         |  the peer's FIN arrives; the kernel acknowledges it\n"
	"         v\n"
	"  * CLOSE_WAIT      only the application's close() leads on\n"
	"         |  close(): our FIN is sent\n"
	"         v\n"
	"    LAST_ACK --------> CLOSED\n"
	"               its ACK\n";
static const char last_ack[] =
	"    CLOSE_WAIT\n"
	"         |  close(): our FIN is sent\n"
	"         v\n"
	"  * LAST_ACK        sent again until the peer acknowledges it\n"
	"         |  its ACK\n"
	"         v\n"
	"    CLOSED\n";
static const char fin_wait_1[] =
	"    ESTABLISHED\n"
	"         |  close() or shutdown(): our FIN is sent\n"
	"         v\n"
	"  * FIN_WAIT_1      sent again until the peer acknowledges it\n"
	"         |  its ACK\n"
	"         v\n"
	"    FIN_WAIT_2 ------> TIME_WAIT\n"
	"              the peer's FIN\n";
static const char fin_wait_2[] =
	"    FIN_WAIT_1\n"
	"         |  the peer acknowledges our FIN\n"
	"         v\n"
	"  * FIN_WAIT_2      only the peer's FIN leads on; an orphan's time is limited\n"
	"         |  the peer's FIN\n"
	"         v\n"
	"    TIME_WAIT -------> CLOSED\n"
	"               60 s\n";
static const char closing[] =
	"    FIN_WAIT_1\n"
	"         |  the peer's FIN arrives before its ACK of ours\n"
	"         v\n"
	"  * CLOSING         our FIN is sent again until the peer acknowledges it\n"
	"         |  its ACK\n"
	"         v\n"
	"    TIME_WAIT\n";
static const char syn_sent[] =
	"    CLOSED\n"
	"         |  connect(): our SYN is sent\n"
	"         v\n"
	"  * SYN_SENT        sent again until the peer answers\n"
	"         |  its SYN-ACK                    a RST: refused\n"
	"         v\n"
	"    ESTABLISHED\n";
static const char queues[] =
	"    LISTEN\n"
	"         |  a SYN arrives: the SYN queue\n"
	"         v\n"
	"  * SYN_RECEIVED    the SYN-ACK is sent again until the ACK comes\n"
	"         |  the client's ACK: the accept queue\n"
	"         v\n"
	"  * ESTABLISHED     the client may send; nobody reads before accept()\n"
	"         |  accept()\n"
	"         v\n"
	"    a descriptor of the application\n";
static const char established[] =
	"    SYN_SENT, SYN_RECEIVED\n"
	"         |\n"
	"         v\n"
	"  * ESTABLISHED     what is sent is sent again until the peer acknowledges it\n"
	"         |  a FIN, either way\n"
	"         v\n"
	"    FIN_WAIT_1, CLOSE_WAIT\n";
static const char time_wait[] =
	"    FIN_WAIT_2, CLOSING\n"
	"         |  the peer's FIN, or its ACK of ours\n"
	"         v\n"
	"  * TIME_WAIT       keeps its ports for 60 s, at the end that closed first\n"
	"         |  2MSL\n"
	"         v\n"
	"    CLOSED\n";

struct explained {
	const char *title, *diagram, *means, *evidence;
};

static const struct explained explained[] = {
	[FIND_NONE] = {"", "", "", ""},
	[FIND_CLOSE_WAIT_LEAK] = {
		"the application read the end of file and did not close", passive_close,
		"read() returned 0 and nobody called close(). No timer ends this state: the "
		"socket, its descriptor and its memory stay until the process ends. Thousands of "
		"them are a leak in an error path or in a connection pool.",
		"CLOSE_WAIT, everything read including the FIN (copied_seq = rcv_nxt)"},
	[FIND_CLOSE_WAIT_UNREAD] = {
		"the peer closed and the application has not noticed", passive_close,
		"The FIN waits in the receive queue and nobody reads it: the descriptor is in no "
		"poll set, or its thread is blocked elsewhere.",
		"CLOSE_WAIT, the FIN alone is unread (rcv_nxt - copied_seq = 1)"},
	[FIND_CLOSE_WAIT_BACKLOG] = {
		"the peer closed behind data that nobody reads", passive_close,
		"Data and then the FIN wait in the receive queue: the application stopped reading "
		"before the end.",
		"CLOSE_WAIT, data is unread (rcv_nxt - copied_seq > 1)"},
	[FIND_NEVER_ACCEPTED] = {
		"a connection that no process has accepted", queues,
		"The handshake is done, the client may have sent its request, and it waits in the "
		"accept queue.",
		"ESTABLISHED or CLOSE_WAIT without a socket of a process, not orphaned"},
	[FIND_FIN_WAIT_2_HELD] = {
		"half-closed by us, held by the application, the peer does not close", fin_wait_2,
		"After shutdown(SHUT_WR) the socket waits for the peer's FIN. As long as a process "
		"holds it there is no time limit: tcp_fin_timeout is for orphans only.",
		"FIN_WAIT_2 with a holder"},
	[FIND_FIN_WAIT_2_ORPHANED] = {
		"closed by us, the peer does not close", fin_wait_2,
		"No process holds it any more; tcp_fin_timeout ends it. The peer's end is in "
		"CLOSE_WAIT: that is where to look.",
		"FIN_WAIT_2 without a process (SOCK_DEAD, or a timewait minisock)"},
	[FIND_FIN_WAIT_1_PEER_GONE] = {
		"our FIN is not acknowledged", fin_wait_1,
		"The peer is gone, or something between drops the packets without a word.",
		"FIN_WAIT_1, the retransmission timer has fired twice or more"},
	[FIND_LAST_ACK_PEER_GONE] = {
		"our FIN, the second one, is not acknowledged", last_ack,
		"The peer closed first and went away before our FIN reached it.",
		"LAST_ACK, the retransmission timer has fired twice or more"},
	[FIND_CLOSING_STUCK] = {
		"both FINs crossed and ours is not acknowledged", closing,
		"Both ends closed at once; the peer then went away.",
		"CLOSING, the retransmission timer has fired"},
	[FIND_SYN_UNANSWERED] = {
		"nobody answers the SYN", syn_sent,
		"A closed port would answer with a RST: silence is a firewall, a dead host, a full "
		"accept queue, or an old connection with the same ports at the other end.",
		"SYN_SENT, the SYN was sent again"},
	[FIND_SYN_QUEUE_PILING] = {
		"handshakes that nobody finishes pile up", queues,
		"SYN-ACKs are sent again and again: the senders of the SYNs do not exist (a "
		"flood), or the answers get lost, or the accept queue is full and the last ACK is "
		"not taken.",
		"a listener's SYN queue: half of its limit, or 16 that were answered again"},
	[FIND_ACCEPT_QUEUE_FULL] = {
		"the application does not accept", queues,
		"The queue between the handshake and accept() is full; the kernel drops the last "
		"ACK and new SYNs, clients see time-outs.",
		"a listener's accept queue at its limit (ss: Recv-Q against Send-Q)"},
	[FIND_PORT_EXHAUSTION] = {
		"few local ports are left toward one service", time_wait,
		"Each connection to the same address and port needs a local port of its own, and "
		"TIME_WAIT keeps it for 60 s after an active close.",
		"80 % of ip_local_port_range in use from one address to one service"},
	[FIND_ORPHANS_NEAR_LIMIT] = {
		"many closed connections without a process", fin_wait_1,
		"Orphans wait for their peers' ACKs and FINs. Past tcp_max_orphans the kernel "
		"resets them; it counts one twice or four times when its peer behaves badly.",
		"half of net.ipv4.tcp_max_orphans"},
	[FIND_TIME_WAIT_NEAR_LIMIT] = {
		"the timewait table is nearly full", time_wait,
		"Past tcp_max_tw_buckets a connection skips TIME_WAIT (TCPTimeWaitOverflow).",
		"80 % of net.ipv4.tcp_max_tw_buckets"},
	[FIND_PEER_SILENT] = {
		"the peer does not answer", established,
		"Data, or probes of its window or of an idle connection, were sent again without "
		"an answer. An idle connection is not meant: nothing is said of mere silence.",
		"unacknowledged data sent again 3 times, 3 window probes or 2 keepalive probes "
		"unanswered"},
	[FIND_ZERO_WINDOW] = {
		"the peer does not read", established,
		"The peer's receive window is closed and stays so; the kernel probes it, and is "
		"answered.",
		"the persist timer has fired and data waits; less than 3 probes are unanswered"},
	[FIND_FD_LIMIT_NEAR] = {
		"a process runs out of descriptors", passive_close,
		"At RLIMIT_NOFILE accept() and connect() fail with EMFILE; leaked CLOSE_WAIT "
		"sockets are the usual reason.",
		"80 % of the soft limit is open"},
};
static_assert(sizeof(explained) / sizeof(explained[0]) == FIND_KINDS, "every kind is explained");

/* Sentences since `from`, by words: a blank that the line has no room behind ends it. */
static void wrap(struct buf *b, size_t from)
{
	size_t start = from, blank = from;

	for (size_t i = from; i < b->len; i++) {
		if (b->data[i] == ' ')
			blank = i;
		if (i - start < WIDTH || blank <= start)
			continue;
		b->data[blank] = '\n';
		start = blank + 1;
	}
}

void finding_explain(struct buf *b, enum finding_kind kind)
{
	const struct explained *e = &explained[kind < FIND_KINDS ? kind : FIND_NONE];
	unsigned age_s = finding_min_age_s(kind);
	size_t from = b->len;

	buf_printf(b, "%s: %s", word_finding(kind), e->title);
	wrap(b, from);
	buf_str(b, "\n\n");
	buf_str(b, e->diagram);
	buf_char(b, '\n');
	from = b->len;
	buf_str(b, e->means);
	wrap(b, from);
	buf_str(b, "\n\n");
	from = b->len;
	buf_printf(b, "found by: %s", e->evidence);
	if (age_s)
		buf_printf(b, ", for %u s or more (--min-age)", age_s);
	wrap(b, from);
	buf_char(b, '\n');
}
