/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that end by FIN: who closes first, half-closed for a while, left in
 * CLOSE_WAIT or FIN_WAIT_2, over IPv6, many of them.
 *
 * Every byte sent is read by the other end before anything closes, so that no
 * reset comes from unread data.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "scenario.h"

static void exchange(struct run *r, struct pair *p, size_t to_server, size_t to_client)
{
	end_send(r, p->c, p->client, to_server);
	end_receive(r, p->s, p->server, to_server);
	end_send(r, p->s, p->server, to_client);
	end_receive(r, p->c, p->client, to_client);
}

static void normal(struct run *r)
{
	struct pair p;

	pair_open(r, &p, "main", AF_INET);
	exchange(r, &p, 100, 300);
	pair_finish(r, &p);
}

static void no_data(struct run *r)
{
	struct pair p;

	pair_open(r, &p, "main", AF_INET);
	pair_finish(r, &p);
}

static void server_closes_first(struct run *r)
{
	struct pair p;

	pair_open(r, &p, "main", AF_INET);
	exchange(r, &p, 100, 300);
	end_close(p.s, p.server);
	end_drain(r, p.c, p.client);
	end_close(p.c, p.client);
}

static void half_close(struct run *r)
{
	struct pair p;

	pair_open(r, &p, "main", AF_INET);
	end_send(r, p.c, p.client, 200);
	shutdown(p.client, SHUT_WR);
	end_drain(r, p.s, p.server);
	end_send(r, p.s, p.server, 1000);
	end_receive(r, p.c, p.client, 1000);
	end_close(p.s, p.server);
	end_drain(r, p.c, p.client);
	end_close(p.c, p.client);
}

static void half_close_server(struct run *r)
{
	struct pair p;

	pair_open(r, &p, "main", AF_INET);
	end_send(r, p.s, p.server, 200);
	shutdown(p.server, SHUT_WR);
	end_drain(r, p.c, p.client);
	end_send(r, p.c, p.client, 1000);
	end_receive(r, p.s, p.server, 1000);
	end_close(p.c, p.client);
	end_drain(r, p.s, p.server);
	end_close(p.s, p.server);
}

static void half_close_held(struct run *r)
{
	struct pair p;

	pair_open(r, &p, "main", AF_INET);
	end_send(r, p.c, p.client, 10);
	shutdown(p.client, SHUT_WR);
	end_drain(r, p.s, p.server);
	run_hold(r);
	end_close(p.s, p.server);
	end_drain(r, p.c, p.client);
	end_close(p.c, p.client);
}

/* shutdown(), and only then close(): FIN_WAIT_2 to FIN_WAIT_2 is that close(). */
static void half_close_then_close(struct run *r)
{
	struct pair p;

	pair_open(r, &p, "main", AF_INET);
	exchange(r, &p, 10, 10);
	shutdown(p.client, SHUT_WR);
	end_drain(r, p.s, p.server);
	end_await_state(r, p.client, STATE_FIN_WAIT_2);
	end_close(p.c, p.client);
	pause_ms(100);
	end_close(p.s, p.server);
}

static void shutdown_both(struct run *r)
{
	struct pair p;

	pair_open(r, &p, "main", AF_INET);
	exchange(r, &p, 10, 20);
	shutdown(p.client, SHUT_RDWR);
	end_drain(r, p.s, p.server);
	shutdown(p.server, SHUT_RDWR);
	run_hold(r); /* closed, and still held */
	end_close(p.c, p.client);
	end_close(p.s, p.server);
}

static void close_wait_leak(struct run *r)
{
	struct pair p;

	pair_open(r, &p, "main", AF_INET);
	exchange(r, &p, 10, 10);
	end_close(p.c, p.client);
	end_drain(r, p.s, p.server);
	run_hold(r);
	end_close(p.s, p.server);
}

static void close_wait_unread(struct run *r)
{
	struct pair p;

	pair_open(r, &p, "main", AF_INET);
	end_close(p.c, p.client);
	end_await_state(r, p.server, STATE_CLOSE_WAIT);
	run_hold(r);
	end_close(p.s, p.server); /* a FIN is not data: no reset */
}

static void bulk(struct run *r)
{
	enum { CHUNK = 32768, CHUNKS = 64 };
	struct pair p;

	pair_open(r, &p, "main", AF_INET);
	for (int i = 0; i < CHUNKS; i++) {
		end_send(r, p.c, p.client, CHUNK);
		end_receive(r, p.s, p.server, CHUNK);
	}
	exchange(r, &p, 1, 12345);
	pair_finish(r, &p);
}

static void ipv6(struct run *r)
{
	struct pair p;

	pair_open(r, &p, "main", AF_INET6);
	exchange(r, &p, 60, 66);
	pair_finish(r, &p);
}

/* The server's socket is IPv6, what comes in is IPv4. */
static void v4mapped(struct run *r)
{
	struct sockaddr_storage any = {.ss_family = AF_INET6};
	int listener = sock_new(r, AF_INET6);
	struct pair p;

	((struct sockaddr_in6 *)&any)->sin6_port = htons(r->port);
	sock_option(r, listener, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	sock_bind(r, listener, &any);
	if (listen(listener, 4) < 0)
		run_fail(r, "listen: errno %d", errno);
	pair_join(r, &p, "main", AF_INET, listener);
	close(listener);
	exchange(r, &p, 46, 64);
	pair_finish(r, &p);
}

static void device_bind(struct run *r, int fd)
{
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", sizeof("lo")) < 0)
		run_fail(r, "SO_BINDTODEVICE: errno %d", errno);
}

/* SO_BINDTODEVICE at both ends: only with its interface does sock_diag find such a socket. */
static void bound_device(struct run *r)
{
	int listener = sock_new(r, AF_INET);
	struct sockaddr_storage a;
	struct pair p;

	sock_address(&a, AF_INET, r->port);
	sock_bind(r, listener, &a);
	device_bind(r, listener); /* its children's too */
	if (listen(listener, 4) < 0)
		run_fail(r, "listen: errno %d", errno);
	p.client = sock_new(r, AF_INET);
	device_bind(r, p.client);
	p.c = end_new(r, "main", ROLE_CLIENT);
	p.s = end_new(r, "main", ROLE_SERVER);
	sock_connect_start(r, p.client, &a);
	sock_connect_finish(r, p.client, 3000);
	p.server = sock_accept(r, listener);
	close(listener);
	end_describe(r, p.c, p.client);
	end_describe(r, p.s, p.server);
	exchange(r, &p, 20, 30);
	end_close(p.c, p.client);
	end_drain(r, p.s, p.server);
	pause_ms(r->hold_ms); /* the client is an orphan in FIN_WAIT_2 */
	end_close(p.s, p.server);
}

static void churn(struct run *r)
{
	int listener = sock_listen(r, AF_INET, 16);
	struct pair p;

	for (unsigned i = 0; i < r->count; i++) {
		pair_join(r, &p, i % 2 ? "client_first" : "server_first", AF_INET, listener);
		exchange(r, &p, 1 + i, 2 * i + 1);
		if (i % 2) {
			pair_finish(r, &p);
			continue;
		}
		end_close(p.s, p.server);
		end_drain(r, p.c, p.client);
		end_close(p.c, p.client);
	}
}

const struct scenario scenarios_close[] = {
	{"normal", "the client closes first", normal, 0},
	{"no_data", "a handshake and a teardown, nothing between", no_data, 0},
	{"server_closes_first", "the server closes first: TIME_WAIT is the server's",
	 server_closes_first, 0},
	{"half_close", "shutdown(SHUT_WR), then data the other way", half_close, 0},
	{"half_close_server", "the same, the server's shutdown", half_close_server, 0},
	{"half_close_held", "shutdown(SHUT_WR), a pause, the other FIN", half_close_held, 0},
	{"half_close_then_close", "shutdown(SHUT_WR), close(), then the other FIN",
	 half_close_then_close, 0},
	{"shutdown_both", "closed by shutdown(SHUT_RDWR) with both descriptors still open",
	 shutdown_both, 0},
	{"close_wait_leak", "EOF read, not closed for --hold", close_wait_leak, 0},
	{"close_wait_unread", "EOF not read, not closed for --hold", close_wait_unread, 0},
	{"bulk", "2 MiB one way", bulk, 0},
	{"ipv6", "over ::1", ipv6, 0},
	{"v4mapped", "an IPv6 server's IPv4 client", v4mapped, 0},
	{"bound_device", "both sockets are bound to the interface", bound_device, NEED_ROOT},
	{"churn", "--count connections, one after another", churn, 0},
	{0},
};
