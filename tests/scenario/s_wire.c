/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What needs a line between two hosts: SYNs and FINs that cross, a segment that
 * comes twice, a refusal by ICMP, a host that goes away.
 *
 * Both ends are in namespaces of their own, joined by wire.c. Nothing is left in
 * an orphan's hands at the end: it would keep its namespace alive.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "scenario.h"

enum { LIMIT_MS = 20000 };

static struct sockaddr_storage address_of(struct in_addr host, uint16_t port)
{
	struct sockaddr_storage a = {0};
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = host};

	memcpy(&a, &in, sizeof(in));
	return a;
}

/* The last segment may still be with the carrier, which ends with the scenario: until the client
 * (left) and the server (right) are where they stay. The tracer has lookups to make then. */
static void wire_end(struct run *r, const struct wire *w, const struct end *left, unsigned there,
		     const struct end *right, unsigned other)
{
	net_enter(r, w->left);
	net_await_state(r, left, there);
	net_enter(r, w->right);
	net_await_state(r, right, other);
	pause_ms(100);
}

static void two_hosts(struct run *r)
{
	struct wire w;
	struct pair p;

	wire_open(r, &w);
	wire_pair(r, &w, &p, "main");
	end_send(r, p.c, p.client, 120);
	end_receive(r, p.s, p.server, 120);
	end_send(r, p.s, p.server, 340);
	end_receive(r, p.c, p.client, 340);
	end_close(p.c, p.client);
	end_drain(r, p.s, p.server);
	run_hold(r);
	end_close(p.s, p.server);
	wire_end(r, &w, p.c, STATE_TIME_WAIT, p.s, 0);
	pause_ms(1500); /* the client's FIN_WAIT_2 and TIME_WAIT are its minisock's */
}

static void simultaneous_close(struct run *r)
{
	struct wire w;
	struct pair p;

	wire_open(r, &w);
	wire_pair(r, &w, &p, "main");
	end_send(r, p.c, p.client, 10);
	end_receive(r, p.s, p.server, 10);
	pause_ms(50); /* no delayed ACK left to be carried by a FIN */
	wire_rule(r, &w, WIRE_HOLD_FIN);
	end_close(p.c, p.client);
	wire_await_held(r, &w, 1);
	end_close(p.s, p.server);
	wire_await_held(r, &w, 2);
	wire_rule(r, &w, WIRE_PASS);
	wire_end(r, &w, p.c, STATE_TIME_WAIT, p.s, STATE_TIME_WAIT);
}

/* RFC 9293, figure 8: two sockets, each the other's client. */
static void simultaneous_open(struct run *r)
{
	static const char *const names[] = {"left", "right"};
	struct sockaddr_storage a[2];
	struct end *e[2];
	struct wire w;
	int fds[2];

	wire_open(r, &w);
	a[0] = address_of(w.left_address, r->port);
	a[1] = address_of(w.right_address, (uint16_t)(r->port + 500));
	wire_rule(r, &w, WIRE_HOLD_SYN);
	for (int i = 0; i < 2; i++) {
		net_enter(r, i ? w.right : w.left);
		e[i] = end_new(r, names[i], ROLE_CLIENT);
		fds[i] = sock_new(r, AF_INET);
		sock_bind(r, fds[i], &a[i]);
		sock_connect_start(r, fds[i], &a[!i]);
		wire_await_held(r, &w, (unsigned)i + 1);
	}
	wire_rule(r, &w, WIRE_PASS);
	for (int i = 0; i < 2; i++) {
		sock_connect_finish(r, fds[i], LIMIT_MS);
		end_describe(r, e[i], fds[i]);
	}
	end_send(r, e[0], fds[0], 33);
	end_receive(r, e[1], fds[1], 33);
	end_close(e[0], fds[0]);
	end_drain(r, e[1], fds[1]);
	end_close(e[1], fds[1]);
	wire_end(r, &w, e[0], STATE_TIME_WAIT, e[1], 0);
}

static void delayed_duplicate(struct run *r)
{
	struct wire w;
	struct pair p;

	wire_open(r, &w);
	wire_pair(r, &w, &p, "main");
	end_send(r, p.c, p.client, 10);
	end_receive(r, p.s, p.server, 10);
	pause_ms(100);
	wire_repeat(r, &w);
	pause_ms(100);
	pair_finish(r, &p);
	wire_end(r, &w, p.c, STATE_TIME_WAIT, p.s, 0);
}

static void icmp_refused(struct run *r)
{
	struct sockaddr_storage a;
	struct wire w;
	struct end *c;
	int fd;

	wire_open(r, &w);
	wire_rule(r, &w, WIRE_REFUSE);
	a = address_of(w.right_address, r->port);
	c = end_new(r, "main", ROLE_CLIENT);
	fd = sock_new(r, AF_INET);
	sock_connect_start(r, fd, &a);
	end_describe(r, c, fd);
	c->peer = a;
	end_await_error(r, fd, EHOSTUNREACH, LIMIT_MS);
	end_close(c, fd);
}

/* The server's host restarts while the line is cut; the client's data meets nobody. */
static void host_restarted(struct run *r)
{
	struct wire w;
	struct pair p;

	wire_open(r, &w);
	wire_pair(r, &w, &p, "main");
	wire_rule(r, &w, WIRE_CUT);
	sock_linger_reset(r, p.server);
	end_close(p.s, p.server);
	wire_await_cut(r, &w, 1); /* its RST */
	wire_rule(r, &w, WIRE_PASS);
	end_send(r, p.c, p.client, 77);
	end_await_error(r, p.client, ECONNRESET, LIMIT_MS);
	end_close(p.c, p.client);
}

/* The client closes, and its namespace goes while the server's FIN is still to come. */
static void netns_destroyed(struct run *r)
{
	struct wire w;
	struct pair p;

	wire_open(r, &w);
	wire_pair(r, &w, &p, "main");
	end_close(p.c, p.client);
	end_drain(r, p.s, p.server);
	net_await_state(r, p.c, STATE_FIN_WAIT_2);
	net_enter(r, w.right);
	close(w.left);
	pause_ms(1500);
	sock_linger_reset(r, p.server);
	end_close(p.s, p.server);
}

const struct scenario scenarios_wire[] = {
	{"two_hosts", "client and server in two namespaces", two_hosts, NEED_NETNS | NEED_VETH},
	{"simultaneous_close", "FINs cross", simultaneous_close, NEED_NETNS | NEED_VETH},
	{"simultaneous_open", "the SYNs of two sockets cross", simultaneous_open,
	 NEED_NETNS | NEED_VETH},
	{"delayed_duplicate", "a data segment comes a second time", delayed_duplicate,
	 NEED_NETNS | NEED_VETH},
	{"icmp_refused", "ICMP answers the SYN", icmp_refused, NEED_NETNS | NEED_VETH},
	{"host_restarted", "the server forgot; its RST answers the client's data", host_restarted,
	 NEED_NETNS | NEED_VETH},
	{"netns_destroyed", "the client's namespace goes while it is in FIN_WAIT_2",
	 netns_destroyed, NEED_NETNS | NEED_VETH},
	{0},
};
