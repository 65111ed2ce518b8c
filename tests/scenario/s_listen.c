/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a listener decides before anybody accepts: a bare ACK that it ignores
 * (TCP_DEFER_ACCEPT), data in a SYN that it does not take, a cookie that it gives
 * out first, ECN that it agrees to, a request that it leaves behind.
 */
#include <errno.h>
#include <linux/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "scenario.h"

enum { LIMIT_MS = 20000 };

static void accepted(struct run *r, struct pair *p, const char *conn, int listener)
{
	p->s = end_new(r, conn, ROLE_SERVER);
	p->server = sock_accept(r, listener);
	end_describe(r, p->s, p->server);
}

/* The handshake's last ACK is ignored; the data behind it opens the connection. */
static void defer_accept(struct run *r)
{
	int listener = sock_listen(r, AF_INET, 4);
	struct pair p;

	sock_option(r, listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, 5);
	p.client = client_start(r, &p.c, "main");
	sock_connect_finish(r, p.client, LIMIT_MS);
	end_describe(r, p.c, p.client);
	pause_ms(200);
	end_send(r, p.c, p.client, 20);
	accepted(r, &p, "main", listener);
	end_receive(r, p.s, p.server, 20);
	close(listener);
	pair_finish(r, &p);
}

/* No data comes: the SYN-ACK is sent again when the listener's second is over, and the ACK of that
 * is taken. */
static void defer_accept_silent(struct run *r)
{
	int listener = sock_listen(r, AF_INET, 4);
	struct pair p;

	sock_option(r, listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, 1);
	p.client = client_start(r, &p.c, "main");
	sock_connect_finish(r, p.client, LIMIT_MS);
	end_describe(r, p.c, p.client);
	accepted(r, &p, "main", listener);
	close(listener);
	pair_finish(r, &p);
}

static void ecn(struct run *r)
{
	struct pair p;

	net_sysctl(r, "tcp_ecn", "1");
	pair_open(r, &p, "main", AF_INET);
	if (p.c->has_info && !(p.c->options & TCPI_OPT_ECN))
		run_skip(r, "the kernel does not agree to ECN with itself");
	end_send(r, p.c, p.client, 100);
	end_receive(r, p.s, p.server, 100);
	pair_finish(r, &p);
}

static void fast_client(struct run *r, struct pair *p, const char *conn)
{
	static const char payload[40];
	struct sockaddr_storage a;

	sock_address(&a, AF_INET, r->port);
	p->client = sock_new(r, AF_INET);
	p->c = end_new(r, conn, ROLE_CLIENT);
	if (sendto(p->client, payload, sizeof(payload), MSG_FASTOPEN, (struct sockaddr *)&a,
		   sizeof(struct sockaddr_in)) != sizeof(payload))
		run_fail(r, "MSG_FASTOPEN: errno %d", errno);
	p->c->sent = sizeof(payload);
}

static void fast_finish(struct run *r, struct pair *p, const char *conn, int listener)
{
	accepted(r, p, conn, listener);
	end_describe(r, p->c, p->client);
	p->c->handshake_retransmits = 0; /* the SYN's data may have come again by now, no SYN has */
	end_receive(r, p->s, p->server, 40);
	pause_ms(20);
	end_count_retransmits(r, p->c, p->client);
	pair_finish(r, p);
}

/* 0x5: client, no cookie asked for. The listener does no Fast Open: it takes the SYN, and the data
 * has to come again. */
static void fast_open_ignored(struct run *r)
{
	struct pair p;
	int listener;

	net_sysctl(r, "tcp_fastopen", "5");
	listener = sock_listen(r, AF_INET, 4);
	fast_client(r, &p, "main");
	fast_finish(r, &p, "main", listener);
	close(listener);
}

/* The first SYN asks for a cookie and has no data; the second has both. */
static void fast_open_cookie(struct run *r)
{
	struct pair p;
	int listener;

	net_sysctl(r, "tcp_fastopen", "3");
	listener = sock_listen(r, AF_INET, 4);
	sock_option(r, listener, IPPROTO_TCP, TCP_FASTOPEN, 4);
	fast_client(r, &p, "asks");
	fast_finish(r, &p, "asks", listener);
	fast_client(r, &p, "has");
	fast_finish(r, &p, "has", listener);
	close(listener);
}

/* The final ACK is lost and the listener closes: the client is ESTABLISHED with nobody, and is told
 * so when it sends. */
static void listener_left(struct run *r)
{
	int listener = sock_listen(r, AF_INET, 4);
	struct pair p;

	loss_start(r, listener, LOSE_ACK);
	p.client = client_start(r, &p.c, "main");
	sock_connect_finish(r, p.client, LIMIT_MS);
	end_describe(r, p.c, p.client);
	p.s = end_new(r, "main", ROLE_SERVER);
	end_mirror(p.s, p.c);
	pause_ms(50);
	close(listener);
	pause_ms(50);
	end_send(r, p.c, p.client, 10);
	end_await_error(r, p.client, ECONNRESET, LIMIT_MS);
	end_close(p.c, p.client);
}

/* The client resets while the listener waits for data: its own time-outs are over by then, and it has
 * sent no SYN-ACK again. */
static void defer_accept_reset(struct run *r)
{
	int listener = sock_listen(r, AF_INET, 4);
	struct pair p;

	sock_option(r, listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, 5);
	p.client = client_start(r, &p.c, "main");
	sock_connect_finish(r, p.client, LIMIT_MS);
	end_describe(r, p.c, p.client);
	p.s = end_new(r, "main", ROLE_SERVER);
	end_mirror(p.s, p.c);
	pause_ms(1500);
	sock_linger_reset(r, p.client);
	end_close(p.c, p.client);
	pause_ms(50);
	close(listener);
}

/* The client is gone before the SYN-ACK reaches it; the next one is answered by RST. */
static void reset_in_handshake(struct run *r)
{
	int listener = sock_listen(r, AF_INET, 4), fd = sock_new(r, AF_INET);
	struct sockaddr_storage a;
	struct end *c, *s;

	loss_start(r, fd, LOSE_SYN);
	sock_address(&a, AF_INET, r->port);
	c = end_new(r, "main", ROLE_CLIENT);
	sock_connect_start(r, fd, &a);
	end_describe(r, c, fd);
	c->peer = a;
	s = end_new(r, "main", ROLE_SERVER);
	end_mirror(s, c);
	pause_ms(50);
	end_close(c, fd);
	pause_ms(3000);
	close(listener);
}

/* tcp_abort_on_overflow: the final ACK, late because one was lost, meets a full queue and a RST. */
static void accept_queue_abort(struct run *r)
{
	int listener, fd;
	struct end *c, *s;
	struct pair p;

	net_sysctl(r, "tcp_abort_on_overflow", "1");
	listener = sock_listen(r, AF_INET, 4);
	p.client = client_start(r, &p.c, "waits");
	sock_connect_finish(r, p.client, LIMIT_MS);
	end_describe(r, p.c, p.client);
	pause_ms(50);
	loss_start(r, listener, LOSE_ACK);
	fd = client_start(r, &c, "late");
	sock_connect_finish(r, fd, LIMIT_MS);
	end_describe(r, c, fd);
	s = end_new(r, "late", ROLE_SERVER);
	end_mirror(s, c);
	if (listen(listener, 0) < 0) /* a queue of none is full with one */
		run_fail(r, "listen again: errno %d", errno);
	loss_stop(r, listener);
	end_await_error(r, fd, ECONNRESET, LIMIT_MS);
	end_close(c, fd);
	accepted(r, &p, "waits", listener);
	pair_finish(r, &p);
	close(listener);
}

const struct scenario scenarios_listen[] = {
	{"defer_accept", "TCP_DEFER_ACCEPT: data, not the bare ACK, opens", defer_accept,
	 NEED_NETNS},
	{"defer_accept_silent", "TCP_DEFER_ACCEPT, and no data comes", defer_accept_silent,
	 NEED_NETNS},
	{"defer_accept_reset", "TCP_DEFER_ACCEPT, and the client resets", defer_accept_reset,
	 NEED_NETNS},
	{"reset_in_handshake", "a RST answers the SYN-ACK", reset_in_handshake, 0},
	{"accept_queue_abort", "tcp_abort_on_overflow: a RST answers the final ACK",
	 accept_queue_abort, NEED_NETNS},
	{"ecn", "ECN is agreed to", ecn, NEED_NETNS},
	{"fast_open_ignored", "data in a SYN that the listener does not take", fast_open_ignored,
	 NEED_NETNS},
	{"fast_open_cookie", "a SYN that asks for a cookie, then one that has it", fast_open_cookie,
	 NEED_NETNS},
	{"listener_left", "the listener closes with the request in its SYN queue", listener_left,
	 0},
	{0},
};
