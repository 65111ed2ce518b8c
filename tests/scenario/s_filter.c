/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A packet filter between the two ends, or on this host's own way out: what it
 * refuses by RST, by ICMP, or throws away, before and in a connection's life.
 *
 * What a filter refused is as the kernel's TCP is told it. A RST of the filter's own
 * is no socket's: nobody here has sent it. Rules are gone before the other end
 * closes, so that what it meets is the truth: the first end is no more.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "scenario.h"

enum { LIMIT_MS = 20000 };

/* connect() that the filter answers by `err`. */
static void refused_with(struct run *r, const char *hook, const char *how, int err)
{
	int listener = sock_listen(r, AF_INET, 4), fd;
	struct end *c;

	rules_set(r, hook, "tcp dport %u reject with %s", r->port, how);
	fd = client_start(r, &c, "main");
	end_await_error(r, fd, err, LIMIT_MS);
	end_close(c, fd);
	close(listener);
}

static void filter_rst_syn(struct run *r)
{
	refused_with(r, "input", "tcp reset", ECONNREFUSED);
}

static void filter_icmp_syn(struct run *r)
{
	refused_with(r, "input", "icmpx type admin-prohibited", EHOSTUNREACH);
}

/* REJECT's own word. ECONNREFUSED, and no RST. */
static void filter_port_syn(struct run *r)
{
	refused_with(r, "input", "icmpx type port-unreachable", ECONNREFUSED);
}

/* What the first SYN meets comes while connect() still has the socket: only the second ends it. */
static void output_icmp_syn(struct run *r)
{
	refused_with(r, "output", "icmpx type admin-prohibited", EHOSTUNREACH);
}

/* The SYN never leaves, and nobody says so. */
static void output_drop_syn(struct run *r)
{
	int listener = sock_listen(r, AF_INET, 4), fd = sock_new(r, AF_INET);
	struct sockaddr_storage a;
	struct end *c;

	rules_set(r, "output", "tcp dport %u drop", r->port);
	sock_address(&a, AF_INET, r->port);
	sock_option(r, fd, IPPROTO_TCP, TCP_SYNCNT, 1);
	c = end_new(r, "main", ROLE_CLIENT);
	sock_connect_start(r, fd, &a);
	end_describe(r, c, fd);
	c->peer = a;
	end_await_error(r, fd, ETIMEDOUT, LIMIT_MS);
	end_close(c, fd);
	close(listener);
}

/* The server, of which nothing was heard, closes: its FIN meets nobody. */
static void server_closes_alone(struct run *r, struct pair *p)
{
	end_close(p->s, p->server);
	pause_ms(50);
}

/* The client's data is answered by the filter's RST; the server hears of neither. */
static void filter_rst_data(struct run *r)
{
	struct pair p;

	pair_open(r, &p, "main", AF_INET);
	end_send(r, p.s, p.server, 40);
	end_receive(r, p.c, p.client, 40);
	rules_set(r, "input", "tcp dport %u reject with tcp reset", r->port);
	end_send(r, p.c, p.client, 30);
	end_await_error(r, p.client, ECONNRESET, LIMIT_MS);
	end_close(p.c, p.client);
	rules_clear(r);
	server_closes_alone(r, &p);
}

/* Data is answered by ICMP until the client's patience is over. */
static void given_up_with(struct run *r, const char *how, int err)
{
	struct pair p;

	net_sysctl(r, "tcp_retries2", "2");
	pair_open(r, &p, "main", AF_INET);
	rules_set(r, "input", "tcp dport %u reject with %s", r->port, how);
	end_send(r, p.c, p.client, 30);
	end_await_error(r, p.client, err, LIMIT_MS);
	end_count_retransmits(r, p.c, p.client);
	end_close(p.c, p.client);
	rules_clear(r);
	server_closes_alone(r, &p);
}

static void filter_icmp_data(struct run *r)
{
	given_up_with(r, "icmpx type admin-prohibited", EHOSTUNREACH);
}

static void filter_port_data(struct run *r)
{
	given_up_with(r, "icmpx type port-unreachable", ECONNREFUSED);
}

/* IP_RECVERR: ICMP's word is an error at once, and ends nothing. The client has it unread. */
static void recverr_open(struct run *r, struct pair *p, const char *conn)
{
	struct pollfd error = {0};

	pair_open(r, p, conn, AF_INET);
	sock_option(r, p->client, IPPROTO_IP, IP_RECVERR, 1);
	rules_set(r, "input", "tcp dport %u reject", r->port);
	end_send(r, p->c, p->client, 30);
	error.fd = p->client;
	if (poll(&error, 1, LIMIT_MS) != 1 || !(error.revents & POLLERR))
		run_fail(r, "no error came");
	rules_clear(r);
	end_receive(r, p->s, p->server, 30);
	end_await_acked(r, p->client);
}

/* Three ways on from there: the client closes first, closes second, resets. */
static void icmp_unread(struct run *r)
{
	struct pair p;

	recverr_open(r, &p, "first");
	pair_finish(r, &p);

	recverr_open(r, &p, "second");
	end_close(p.s, p.server);
	end_await_state(r, p.client, STATE_CLOSE_WAIT);
	end_close(p.c, p.client);

	recverr_open(r, &p, "resets");
	sock_linger_reset(r, p.client);
	end_close(p.c, p.client);
	end_await_error(r, p.server, ECONNRESET, LIMIT_MS);
	end_close(p.s, p.server);
}

/* While ICMP still answers what is sent again, the client's process resets; the filter has that RST. */
static void icmp_tired(struct run *r)
{
	struct pair p;

	pair_open(r, &p, "main", AF_INET);
	rules_set(r, "input", "tcp dport %u reject", r->port);
	end_send(r, p.c, p.client, 30);
	pause_ms(900);
	end_count_retransmits(r, p.c, p.client);
	sock_linger_reset(r, p.client);
	end_close(p.c, p.client);
	rules_clear(r);
	server_closes_alone(r, &p);
}

/* This host throws its own data away: not a byte of it is on the wire. */
static void output_drop_data(struct run *r)
{
	struct pair p;

	net_sysctl(r, "tcp_retries2", "2");
	pair_open(r, &p, "main", AF_INET);
	rules_set(r, "output", "tcp dport %u drop", r->port);
	end_send(r, p.c, p.client, 30);
	p.c->sent = 0;
	end_await_error(r, p.client, ETIMEDOUT, LIMIT_MS);
	end_count_retransmits(r, p.c, p.client);
	end_close(p.c, p.client);
	rules_clear(r);
	server_closes_alone(r, &p);
}

/* The client's process is killed, and the FIN that the kernel makes for it never leaves. */
static void output_drop_fin(struct run *r)
{
	int listener, fd;
	struct end *s;
	pid_t child;

	net_sysctl(r, "tcp_orphan_retries", "2");
	listener = sock_listen(r, AF_INET, 4);
	child = run_fork(r);
	if (child == 0) {
		struct end *c;
		int client;

		close(listener);
		client = client_start(r, &c, "main");
		sock_connect_finish(r, client, LIMIT_MS);
		end_describe(r, c, client);
		end_send(r, c, client, 15);
		c->closer = getpid();
		for (;;)
			pause();
	}
	s = end_new(r, "main", ROLE_SERVER);
	fd = sock_accept(r, listener);
	end_describe(r, s, fd);
	end_receive(r, s, fd, 15);
	pause_ms(500); /* the client is idle, and has nothing in flight */
	rules_set(r, "output", "tcp dport %u drop", r->port);
	kill(child, SIGKILL);
	run_wait(r, child);
	pause_ms(2500);
	rules_clear(r);
	end_close(s, fd);
	pause_ms(50);
	close(listener);
}

const struct scenario scenarios_filter[] = {
	{"filter_rst_syn", "a packet filter answers the SYN by RST", filter_rst_syn, NEED_NETNS},
	{"filter_icmp_syn", "a packet filter answers the SYN by ICMP", filter_icmp_syn, NEED_NETNS},
	{"filter_port_syn", "a packet filter answers the SYN by ICMP, port unreachable",
	 filter_port_syn, NEED_NETNS},
	{"filter_rst_data", "a packet filter answers the client's data by RST", filter_rst_data,
	 NEED_NETNS},
	{"filter_icmp_data", "a packet filter answers data by ICMP; retransmission gives up",
	 filter_icmp_data, NEED_NETNS},
	{"filter_port_data", "the same, port unreachable", filter_port_data, NEED_NETNS},
	{"icmp_unread", "ICMP answers data for a moment; its error is left unread (IP_RECVERR)",
	 icmp_unread, NEED_NETNS},
	{"icmp_tired", "ICMP answers what is sent again until the process resets", icmp_tired,
	 NEED_NETNS},
	{"output_icmp_syn", "this host's own filter answers the SYN by ICMP", output_icmp_syn,
	 NEED_NETNS},
	{"output_drop_syn", "this host's own filter throws SYNs away", output_drop_syn, NEED_NETNS},
	{"output_drop_data", "this host's own filter throws data away", output_drop_data,
	 NEED_NETNS},
	{"output_drop_fin", "the process is killed; the FIN never leaves this host",
	 output_drop_fin, NEED_NETNS},
	{0},
};
