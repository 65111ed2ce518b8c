/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that end by RST: sent on purpose, because data was left unread,
 * because the listener went, because an administrator said so, because the other
 * side had forgotten.
 */
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "scenario.h"

enum { LIMIT_MS = 20000 };

static void linger_reset(struct run *r)
{
	struct pair p;

	pair_open(r, &p, "main", AF_INET);
	end_send(r, p.c, p.client, 50);
	end_receive(r, p.s, p.server, 50);
	sock_linger_reset(r, p.client);
	end_close(p.c, p.client);
	end_await_error(r, p.server, ECONNRESET, LIMIT_MS);
	end_close(p.s, p.server);
}

static void peer_reset(struct run *r)
{
	struct pair p;

	pair_open(r, &p, "main", AF_INET);
	end_send(r, p.c, p.client, 50);
	end_receive(r, p.s, p.server, 50);
	sock_linger_reset(r, p.server);
	end_close(p.s, p.server);
	end_await_error(r, p.client, ECONNRESET, LIMIT_MS);
	end_close(p.c, p.client);
}

static void unread_data_reset(struct run *r)
{
	struct pair p;

	pair_open(r, &p, "main", AF_INET);
	end_send(r, p.s, p.server, 80);
	end_await_unread(r, p.client, 80);
	p.c->received = 80; /* by TCP: nobody read it */
	end_close(p.c, p.client);
	end_await_error(r, p.server, ECONNRESET, LIMIT_MS);
	end_close(p.s, p.server);
}

static void reset_after_fin(struct run *r)
{
	struct pair p;

	pair_open(r, &p, "main", AF_INET);
	shutdown(p.client, SHUT_WR);
	end_drain(r, p.s, p.server);
	end_await_state(r, p.client, STATE_FIN_WAIT_2);
	sock_linger_reset(r, p.client);
	end_close(p.c, p.client);
	end_await_error(r, p.server, EPIPE, LIMIT_MS);
	end_close(p.s, p.server);
}

static void reset_in_close_wait(struct run *r)
{
	struct pair p;

	pair_open(r, &p, "main", AF_INET);
	shutdown(p.client, SHUT_WR);
	end_drain(r, p.s, p.server);
	end_await_state(r, p.client, STATE_FIN_WAIT_2);
	sock_linger_reset(r, p.server);
	end_close(p.s, p.server);
	end_await_error(r, p.client, ECONNRESET, LIMIT_MS);
	end_close(p.c, p.client);
}

/* The client is gone (a minisock in FIN_WAIT_2); data for it is answered by RST. */
static void write_after_close(struct run *r)
{
	struct pair p;

	pair_open(r, &p, "main", AF_INET);
	end_close(p.c, p.client);
	end_drain(r, p.s, p.server);
	net_await_state(r, p.c, STATE_FIN_WAIT_2);
	end_send(r, p.s, p.server, 10);
	end_await_error(r, p.server, EPIPE, LIMIT_MS);
	end_close(p.s, p.server);
}

/* The server resets and its RST is lost: the client finds out when it sends. */
static void half_open(struct run *r)
{
	struct pair p;

	pair_open(r, &p, "main", AF_INET);
	loss_start(r, p.client, LOSE_RST);
	sock_linger_reset(r, p.server);
	end_close(p.s, p.server);
	run_hold(r);
	loss_stop(r, p.client);
	end_send(r, p.c, p.client, 100);
	end_await_error(r, p.client, ECONNRESET, LIMIT_MS);
	end_close(p.c, p.client);
}

/* Shut for both directions and held: data that comes then is answered by RST (RFC 1122, 4.2.2.13). */
static void data_after_shutdown(struct run *r)
{
	struct pair p;

	pair_open(r, &p, "main", AF_INET);
	shutdown(p.client, SHUT_RDWR);
	end_drain(r, p.s, p.server);
	pause_ms(100); /* a FIN's ACK may be delayed */
	end_send(r, p.s, p.server, 10);
	end_await_error(r, p.server, EPIPE, LIMIT_MS);
	end_close(p.c, p.client);
	end_close(p.s, p.server);
}

/* TCP_LINGER2 < 0: nobody waits for the server's FIN; the RST answers its ACK. */
static void linger2_reset(struct run *r)
{
	struct pair p;

	pair_open(r, &p, "main", AF_INET);
	sock_option(r, p.client, IPPROTO_TCP, TCP_LINGER2, -1);
	end_close(p.c, p.client);
	end_await_error(r, p.server, EPIPE, LIMIT_MS);
	end_close(p.s, p.server);
}

/* Both reset, and neither hears of the other's RST. */
static void both_reset(struct run *r)
{
	struct pair p;

	pair_open(r, &p, "main", AF_INET);
	end_send(r, p.c, p.client, 50);
	end_receive(r, p.s, p.server, 50);
	loss_start(r, p.server, LOSE_RST);
	sock_linger_reset(r, p.client);
	end_close(p.c, p.client);
	sock_linger_reset(r, p.server);
	end_close(p.s, p.server);
}

/* The server missed the client's RST; the client opens the same ports again (RFC 9293, figure 9):
 * its SYN is answered by an ACK, that by a RST, and only the next SYN opens. */
static void half_open_again(struct run *r)
{
	struct sockaddr_storage from, to;
	int listener = sock_listen(r, AF_INET, 4);
	struct pair p[2];

	sock_address(&from, AF_INET, (uint16_t)(r->port + 500));
	sock_address(&to, AF_INET, r->port);
	for (int again = 0; again < 2; again++) {
		const char *conn = again ? "second" : "first";

		p[again].client = sock_new(r, AF_INET);
		p[again].c = end_new(r, conn, ROLE_CLIENT);
		p[again].s = end_new(r, conn, ROLE_SERVER);
		sock_bind(r, p[again].client, &from);
		sock_connect_start(r, p[again].client, &to);
		if (again) {
			end_await_error(r, p[0].server, ECONNRESET, LIMIT_MS);
			end_close(p[0].s, p[0].server);
		}
		sock_connect_finish(r, p[again].client, LIMIT_MS);
		p[again].server = sock_accept(r, listener);
		end_describe(r, p[again].c, p[again].client);
		end_describe(r, p[again].s, p[again].server);
		if (again)
			break;
		loss_start(r, p[0].server, LOSE_RST);
		sock_linger_reset(r, p[0].client);
		end_close(p[0].c, p[0].client);
		pause_ms(50);
		loss_stop(r, p[0].server);
	}
	pair_finish(r, &p[1]);
	close(listener);
}

/* A connection that waits in the accept queue of `listener`. */
static void queued_open(struct run *r, struct pair *p, int listener)
{
	struct sockaddr_storage a;

	sock_address(&a, AF_INET, r->port);
	p->listener = listener;
	p->client = sock_new(r, AF_INET);
	p->c = end_new(r, "main", ROLE_CLIENT);
	p->s = end_new(r, "main", ROLE_SERVER);
	sock_connect_start(r, p->client, &a);
	sock_connect_finish(r, p->client, LIMIT_MS);
	sock_await_queued(r, listener, 1);
	end_describe(r, p->c, p->client);
	end_mirror(p->s, p->c);
}

static void listener_closed(struct run *r)
{
	struct pair p;

	queued_open(r, &p, sock_listen(r, AF_INET, 4));
	run_hold(r);
	close(p.listener);
	end_await_error(r, p.client, ECONNRESET, LIMIT_MS);
	end_close(p.c, p.client);
}

static void never_accepted(struct run *r)
{
	struct pair p;

	queued_open(r, &p, sock_listen(r, AF_INET, 4));
	end_send(r, p.c, p.client, 50);
	p.s->received = 50;
	end_close(p.c, p.client);
	net_await_state(r, p.c, STATE_FIN_WAIT_2);
	run_hold(r);
	close(p.listener);
	pause_ms(50);
}

/* The client resets while the connection waits to be accepted; accept() gives what is left of it. */
static void reset_before_accept(struct run *r)
{
	struct pair p;

	queued_open(r, &p, sock_listen(r, AF_INET, 4));
	sock_linger_reset(r, p.client);
	end_close(p.c, p.client);
	pause_ms(50);
	close(sock_accept(r, p.listener));
	close(p.listener);
}

/* connect() to nobody (AF_UNSPEC) resets; the same socket, and cookie, then connects anew. */
static void reconnect(struct run *r)
{
	struct sockaddr nobody = {.sa_family = AF_UNSPEC};
	int listener = sock_listen(r, AF_INET, 4);
	struct sockaddr_storage a;
	struct pair p, again;

	pair_join(r, &p, "first", AF_INET, listener);
	end_send(r, p.c, p.client, 11);
	end_receive(r, p.s, p.server, 11);
	if (connect(p.client, &nobody, sizeof(nobody)) < 0)
		run_fail(r, "connect to nobody: errno %d", errno);
	end_await_error(r, p.server, ECONNRESET, LIMIT_MS);
	end_close(p.s, p.server);
	p.c->closer = getpid();

	sock_address(&a, AF_INET, r->port);
	again.client = p.client;
	again.c = end_new(r, "second", ROLE_CLIENT);
	again.s = end_new(r, "second", ROLE_SERVER);
	sock_connect_start(r, again.client, &a);
	sock_connect_finish(r, again.client, LIMIT_MS);
	again.server = sock_accept(r, listener);
	end_describe(r, again.c, again.client);
	end_describe(r, again.s, again.server);
	end_send(r, again.c, again.client, 22);
	end_receive(r, again.s, again.server, 22);
	pair_finish(r, &again);
	close(listener);
}

/* What `ss -K` does: SOCK_DESTROY through sock_diag. */
static void sock_destroy(struct run *r)
{
	struct {
		struct nlmsghdr head;
		struct inet_diag_req_v2 req;
	} q = {0};
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
		char rest[256];
	} answer;
	const struct sockaddr_in *local, *peer;
	int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	struct pair p;
	ssize_t got;

	if (netlink < 0)
		run_skip(r, "no sock_diag: errno %d", errno);
	pair_open(r, &p, "main", AF_INET);
	local = (const void *)&p.c->local;
	peer = (const void *)&p.c->peer;
	q.head.nlmsg_len = sizeof(q);
	q.head.nlmsg_type = SOCK_DESTROY;
	q.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	q.req.sdiag_family = AF_INET;
	q.req.sdiag_protocol = IPPROTO_TCP;
	q.req.idiag_states = ~0u;
	q.req.id.idiag_sport = local->sin_port;
	q.req.id.idiag_dport = peer->sin_port;
	q.req.id.idiag_src[0] = local->sin_addr.s_addr;
	q.req.id.idiag_dst[0] = peer->sin_addr.s_addr;
	q.req.id.idiag_cookie[0] = (uint32_t)p.c->cookie;
	q.req.id.idiag_cookie[1] = (uint32_t)(p.c->cookie >> 32);
	if (send(netlink, &q, sizeof(q), 0) < 0)
		run_fail(r, "sock_diag: errno %d", errno);
	got = recv(netlink, &answer, sizeof(answer), 0);
	if (got < (ssize_t)NLMSG_LENGTH(sizeof(answer.error)) ||
	    answer.head.nlmsg_type != NLMSG_ERROR)
		run_fail(r, "sock_diag gave no answer");
	if (answer.error.error == -EOPNOTSUPP || answer.error.error == -ENOENT)
		run_skip(r, "this kernel has no SOCK_DESTROY: errno %d", -answer.error.error);
	if (answer.error.error)
		run_fail(r, "SOCK_DESTROY: errno %d", -answer.error.error);
	p.c->closer = getpid();
	end_await_error(r, p.client, ECONNABORTED, LIMIT_MS);
	end_await_error(r, p.server, ECONNRESET, LIMIT_MS);
	close(p.client);
	end_close(p.s, p.server);
}

const struct scenario scenarios_reset[] = {
	{"linger_reset", "the client closes with SO_LINGER 0", linger_reset, 0},
	{"peer_reset", "the server closes with SO_LINGER 0", peer_reset, 0},
	{"unread_data_reset", "the client closes with data unread", unread_data_reset, 0},
	{"reset_after_fin", "the client's FIN, then the client's RST", reset_after_fin, 0},
	{"reset_in_close_wait", "the client's FIN, then the server's RST", reset_in_close_wait, 0},
	{"write_after_close", "the server sends to a client that closed", write_after_close, 0},
	{"data_after_shutdown", "data comes after shutdown(SHUT_RDWR)", data_after_shutdown, 0},
	{"linger2_reset", "the client closes with TCP_LINGER2 < 0", linger2_reset, 0},
	{"both_reset", "both ends reset, and neither hears of it", both_reset, 0},
	{"half_open_again", "a new SYN on the ports of a connection that only the server knows",
	 half_open_again, 0},
	{"half_open", "the server's RST is lost; the client's data is answered by another",
	 half_open, 0},
	{"listener_closed", "the listener closes with the connection in its queue", listener_closed,
	 0},
	{"never_accepted", "client connects, sends, closes; nobody accepts; the listener closes",
	 never_accepted, 0},
	{"reset_before_accept", "the client resets before anybody accepts", reset_before_accept, 0},
	{"reconnect", "disconnected by connect(AF_UNSPEC), connected again: one socket, two lives",
	 reconnect, 0},
	{"sock_destroy", "the client's socket is destroyed as by ss -K", sock_destroy, NEED_ROOT},
	{0},
};
