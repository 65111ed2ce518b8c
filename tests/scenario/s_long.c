/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's own patience, a minute and more: TIME_WAIT, FIN_WAIT_2, SYN
 * retries, keepalive, all at their defaults.
 *
 * For a machine with virtual time: in real time some take two hours.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "scenario.h"

enum {
	TWO_MSL_MS = 60000,
	SYN_LIMIT_MS = 300000,
	ORPHAN_LIMIT_MS = 200000,
	KEEPALIVE_LIMIT_MS = 8400000,
	LEAK_MS = 7200000,
};

static void time_wait_expiry(struct run *r)
{
	struct pair p;

	pair_open(r, &p, "main", AF_INET);
	end_send(r, p.c, p.client, 10);
	end_receive(r, p.s, p.server, 10);
	pair_finish(r, &p);
	pause_ms(TWO_MSL_MS + 5000);
}

static void syn_timeout_full(struct run *r)
{
	int listener = sock_listen(r, AF_INET, 4), fd = sock_new(r, AF_INET);
	struct sockaddr_storage a;
	struct end *c;

	loss_start(r, listener, LOSE_ALL);
	sock_address(&a, AF_INET, r->port);
	c = end_new(r, "main", ROLE_CLIENT);
	sock_connect_start(r, fd, &a);
	end_describe(r, c, fd);
	c->peer = a;
	end_await_error(r, fd, ETIMEDOUT, SYN_LIMIT_MS);
	end_count_retransmits(r, c, fd);
	end_close(c, fd);
	close(listener);
}

static void fin_wait_2_full(struct run *r)
{
	struct pair p;

	pair_open(r, &p, "main", AF_INET);
	end_close(p.c, p.client);
	end_drain(r, p.s, p.server);
	pause_ms(TWO_MSL_MS + 5000);
	end_close(p.s, p.server);
	pause_ms(20);
}

static void last_ack_full(struct run *r)
{
	struct pair p;

	pair_open(r, &p, "main", AF_INET);
	end_close(p.c, p.client);
	end_drain(r, p.s, p.server);
	loss_start(r, p.server, LOSE_ALL);
	end_close(p.s, p.server);
	pause_ms(ORPHAN_LIMIT_MS);
}

static void keepalive_full(struct run *r)
{
	struct pair p;

	pair_open(r, &p, "main", AF_INET);
	sock_option(r, p.client, SOL_SOCKET, SO_KEEPALIVE, 1);
	loss_start(r, p.client, LOSE_ALL);
	end_await_error(r, p.client, ETIMEDOUT, KEEPALIVE_LIMIT_MS);
	end_close(p.c, p.client);
	end_await_error(r, p.server, ECONNRESET, 1000);
	end_close(p.s, p.server);
}

/* Held by its process, FIN_WAIT_2 has no timer; CLOSE_WAIT never has one. */
static void leaked_two_hours(struct run *r)
{
	struct pair p;

	pair_open(r, &p, "main", AF_INET);
	shutdown(p.client, SHUT_WR);
	end_drain(r, p.s, p.server);
	pause_ms(LEAK_MS);
	end_close(p.s, p.server);
	end_drain(r, p.c, p.client);
	end_close(p.c, p.client);
}

const struct scenario scenarios_long[] = {
	{"time_wait_expiry", "TIME_WAIT until it expires", time_wait_expiry, NEED_LONG},
	{"syn_timeout_full", "no answer to any SYN", syn_timeout_full, NEED_LONG},
	{"fin_wait_2_full", "an orphan's FIN_WAIT_2 until it expires", fin_wait_2_full, NEED_LONG},
	{"last_ack_full", "LAST_ACK until the kernel gives up", last_ack_full, NEED_LONG},
	{"keepalive_full", "two hours of silence, then keepalive", keepalive_full, NEED_LONG},
	{"leaked_two_hours", "CLOSE_WAIT and a held FIN_WAIT_2 for two hours", leaked_two_hours,
	 NEED_LONG},
	{0},
};
