/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handshakes that are not the plain one: refused, unanswered, sent again, given
 * up, with oneself, with full queues, with cookies, with data in the SYN, on a
 * tuple that TIME_WAIT still holds.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "scenario.h"

enum { LIMIT_MS = 20000 };

static void refused(struct run *r)
{
	struct end *c;
	int fd = sock_new(r, AF_INET);
	struct sockaddr_storage a;

	sock_address(&a, AF_INET, r->port);
	c = end_new(r, "main", ROLE_CLIENT);
	if (connect(fd, (struct sockaddr *)&a, sizeof(struct sockaddr_in)) == 0 ||
	    errno != ECONNREFUSED)
		run_fail(r, "connect to port %u was not refused: errno %d", r->port, errno);
	end_describe(r, c, fd);
	c->peer = a;
	end_close(c, fd);
}

static void syn_timeout(struct run *r)
{
	int listener = sock_listen(r, AF_INET, 4), fd = sock_new(r, AF_INET);
	struct sockaddr_storage a;
	struct end *c;

	loss_start(r, listener, LOSE_ALL);
	sock_address(&a, AF_INET, r->port);
	sock_option(r, fd, IPPROTO_TCP, TCP_SYNCNT, 1);
	c = end_new(r, "main", ROLE_CLIENT);
	sock_connect_start(r, fd, &a);
	end_describe(r, c, fd);
	c->peer = a;
	end_await_error(r, fd, ETIMEDOUT, LIMIT_MS);
	end_count_retransmits(r, c, fd);
	end_close(c, fd);
	close(listener);
}

static void syn_retransmitted(struct run *r)
{
	int listener = sock_listen(r, AF_INET, 4);
	struct pair p;

	loss_start(r, listener, LOSE_SYN);
	p.client = client_start(r, &p.c, "main");
	pause_ms(200);
	loss_stop(r, listener);
	sock_connect_finish(r, p.client, LIMIT_MS);
	p.s = end_new(r, "main", ROLE_SERVER);
	p.server = sock_accept(r, listener);
	end_describe(r, p.c, p.client);
	end_describe(r, p.s, p.server);
	close(listener);
	pair_finish(r, &p);
}

/* The client's ACK is lost: the client is ESTABLISHED, the server sends its SYN-ACK again. */
static void synack_retransmitted(struct run *r)
{
	int listener = sock_listen(r, AF_INET, 4);
	struct pair p;

	loss_start(r, listener, LOSE_ACK);
	p.client = client_start(r, &p.c, "main");
	sock_connect_finish(r, p.client, LIMIT_MS);
	pause_ms(200);
	loss_stop(r, listener);
	p.s = end_new(r, "main", ROLE_SERVER);
	p.server = sock_accept(r, listener);
	end_describe(r, p.c, p.client);
	end_describe(r, p.s, p.server);
	close(listener);
	pair_finish(r, &p);
}

static void closed_in_handshake(struct run *r)
{
	int listener = sock_listen(r, AF_INET, 4);
	struct end *c;
	int fd;

	loss_start(r, listener, LOSE_SYN);
	fd = client_start(r, &c, "main");
	pause_ms(100);
	end_close(c, fd);
	close(listener);
}

/* RFC 9293, 3.5: SYNs that cross, here one socket's own. */
static void self_connect(struct run *r)
{
	int fd = sock_new(r, AF_INET);
	struct sockaddr_storage a;
	struct end *c;

	sock_address(&a, AF_INET, r->port);
	c = end_new(r, "main", ROLE_CLIENT);
	sock_bind(r, fd, &a);
	sock_connect_start(r, fd, &a);
	sock_connect_finish(r, fd, LIMIT_MS);
	end_describe(r, c, fd);
	end_send(r, c, fd, 70);
	end_receive(r, c, fd, 70);
	end_close(c, fd);
}

static void pair_complete(struct run *r, struct pair *p, int listener)
{
	struct sockaddr_in client;
	socklen_t len = sizeof(client);

	p->server = sock_accept(r, listener);
	getpeername(p->server, (struct sockaddr *)&client, &len);
	if (client.sin_port != ((struct sockaddr_in *)&p->c->local)->sin_port)
		run_fail(r, "accepted in another order than connected");
	sock_connect_finish(r, p->client, LIMIT_MS);
	end_describe(r, p->c, p->client);
	end_describe(r, p->s, p->server);
}

/* A queue of one holds two; the third SYN is thrown away until somebody accepts. */
static void accept_queue_full(struct run *r)
{
	static const char *const names[] = {"first", "second", "waits"};
	int listener = sock_listen(r, AF_INET, 1);
	struct pair p[3];

	for (int i = 0; i < 3; i++) {
		p[i].client = client_start(r, &p[i].c, names[i]);
		p[i].s = end_new(r, names[i], ROLE_SERVER);
		if (i < 2)
			sock_await_queued(r, listener, (unsigned)i + 1);
	}
	pause_ms(50);
	for (int i = 0; i < 3; i++)
		pair_complete(r, &p[i], listener);
	close(listener);
	for (int i = 0; i < 3; i++)
		pair_finish(r, &p[i]);
}

/* Three final ACKs are lost; when their SYN-ACKs come again the queue takes two, and the third
 * connection is ESTABLISHED at its client only. */
static void accept_queue_overflow(struct run *r)
{
	int listener = sock_listen(r, AF_INET, 16), fds[3];
	struct end *c[3];

	loss_start(r, listener, LOSE_ACK);
	for (int i = 0; i < 3; i++) {
		fds[i] = client_start(r, &c[i], "three");
		sock_connect_finish(r, fds[i], LIMIT_MS);
	}
	if (listen(listener, 1) < 0)
		run_fail(r, "listen again: errno %d", errno);
	loss_stop(r, listener);
	pause_ms(1500);
	for (int i = 0; i < 3; i++) {
		struct end *s = end_new(r, "three", ROLE_SERVER);
		int fd = sock_accept(r, listener);

		end_describe(r, s, fd);
		for (int k = 0; k < 3; k++)
			if (!memcmp(&c[k]->local, &s->peer, sizeof(struct sockaddr_in))) {
				end_describe(r, c[k], fds[k]);
				end_close(c[k], fds[k]);
			}
		end_drain(r, s, fd);
		end_close(s, fd);
	}
	close(listener);
}

static void syn_cookies(struct run *r)
{
	struct pair p;

	net_sysctl(r, "tcp_syncookies", "2");
	pair_open(r, &p, "main", AF_INET);
	end_send(r, p.c, p.client, 30);
	end_receive(r, p.s, p.server, 30);
	pair_finish(r, &p);
}

/* 0x607: client and server, no cookie asked for, every listener (ip-sysctl, tcp_fastopen). */
static void fast_open(struct run *r)
{
	static const char payload[40];
	struct sockaddr_storage a;
	struct pair p;
	int listener;

	net_sysctl(r, "tcp_fastopen", "1543");
	listener = sock_listen(r, AF_INET, 4);
	sock_option(r, listener, IPPROTO_TCP, TCP_FASTOPEN, 4);
	sock_address(&a, AF_INET, r->port);
	p.client = sock_new(r, AF_INET);
	p.c = end_new(r, "main", ROLE_CLIENT);
	p.s = end_new(r, "main", ROLE_SERVER);
	if (sendto(p.client, payload, sizeof(payload), MSG_FASTOPEN, (struct sockaddr *)&a,
		   sizeof(struct sockaddr_in)) != sizeof(payload))
		run_fail(r, "MSG_FASTOPEN: errno %d", errno);
	p.c->sent = sizeof(payload);
	p.server = sock_accept(r, listener);
	end_describe(r, p.c, p.client);
	end_describe(r, p.s, p.server);
	if (p.c->has_info && !(p.c->options & TCPI_OPT_SYN_DATA))
		run_skip(r, "the SYN's data was not taken: no Fast Open here");
	end_receive(r, p.s, p.server, sizeof(payload));
	end_send(r, p.s, p.server, 90);
	end_receive(r, p.c, p.client, 90);
	close(listener);
	pair_finish(r, &p);
}

/* Connects from one client port, so that the tuple is that of the life before. */
static void same_tuple(struct run *r, struct pair *p, const char *conn, int listener)
{
	struct sockaddr_storage from, to;

	sock_address(&from, AF_INET, (uint16_t)(r->port + 500));
	sock_address(&to, AF_INET, r->port);
	p->client = sock_new(r, AF_INET);
	p->c = end_new(r, conn, ROLE_CLIENT);
	p->s = end_new(r, conn, ROLE_SERVER);
	sock_bind(r, p->client, &from);
	sock_connect_start(r, p->client, &to);
	sock_connect_finish(r, p->client, LIMIT_MS);
	p->server = sock_accept(r, listener);
	end_describe(r, p->c, p->client);
	end_describe(r, p->s, p->server);
}

static void time_wait_reuse(struct run *r)
{
	struct pair first, second;
	int listener;

	net_sysctl(r, "tcp_tw_reuse", "1");
	listener = sock_listen(r, AF_INET, 4);
	same_tuple(r, &first, "first", listener);
	pair_finish(r, &first);
	pause_ms(1500); /* a timestamp's second must have passed */
	same_tuple(r, &second, "second", listener);
	end_send(r, second.c, second.client, 5);
	end_receive(r, second.s, second.server, 5);
	pair_finish(r, &second);
	close(listener);
}

/* The server is in TIME_WAIT; a SYN with newer timestamps opens the tuple again. */
static void time_wait_syn(struct run *r)
{
	struct pair first, second;
	int listener = sock_listen(r, AF_INET, 4);

	same_tuple(r, &first, "first", listener);
	end_close(first.s, first.server);
	end_drain(r, first.c, first.client);
	end_close(first.c, first.client);
	pause_ms(1200);
	same_tuple(r, &second, "second", listener);
	end_send(r, second.c, second.client, 5);
	end_receive(r, second.s, second.server, 5);
	pair_finish(r, &second);
	close(listener);
}

const struct scenario scenarios_handshake[] = {
	{"refused", "connect() to a port where nobody listens", refused, 0},
	{"syn_timeout", "no answer to two SYNs", syn_timeout, 0},
	{"syn_retransmitted", "the first SYN is lost", syn_retransmitted, 0},
	{"synack_retransmitted", "the final ACK is lost", synack_retransmitted, 0},
	{"closed_in_handshake", "close() before the SYN-ACK", closed_in_handshake, 0},
	{"self_connect", "a socket connects to itself: SYNs and FINs cross", self_connect, 0},
	{"accept_queue_full", "SYNs are thrown away while the accept queue is full",
	 accept_queue_full, 0},
	{"accept_queue_overflow", "a final ACK is thrown away: the accept queue is full",
	 accept_queue_overflow, 0},
	{"syn_cookies", "a SYN cookie", syn_cookies, NEED_NETNS},
	{"fast_open", "data in the SYN", fast_open, NEED_NETNS},
	{"time_wait_reuse", "connect() takes a tuple over from the client's TIME_WAIT",
	 time_wait_reuse, NEED_NETNS},
	{"time_wait_syn", "a SYN takes a tuple over from the server's TIME_WAIT", time_wait_syn,
	 NEED_NETNS},
	{0},
};
