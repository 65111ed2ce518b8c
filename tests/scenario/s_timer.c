/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What TCP's timers do: segments sent again, probes, and connections that a timer
 * gives up. The other side is made silent by losing what it sends (loss.c).
 *
 * Where the kernel's patience is a system control, it is shortened in a namespace
 * of the scenario's own.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "scenario.h"

enum { LIMIT_MS = 20000 };

static void retransmit(struct run *r)
{
	struct pair p;

	pair_open(r, &p, "main", AF_INET);
	loss_start(r, p.server, LOSE_DATA);
	end_send(r, p.c, p.client, 1000);
	pause_ms(100);
	loss_stop(r, p.server);
	end_receive(r, p.s, p.server, 1000);
	end_await_acked(r, p.client);
	end_count_retransmits(r, p.c, p.client);
	end_count_retransmits(r, p.s, p.server);
	pair_finish(r, &p);
}

/* shutdown() and not close(): a descriptor must be left to stop the loss and to count. */
static void fin_retransmitted(struct run *r)
{
	struct pair p;

	pair_open(r, &p, "main", AF_INET);
	loss_start(r, p.server, LOSE_FIN);
	shutdown(p.client, SHUT_RDWR);
	p.c->closer = getpid();
	pause_ms(100);
	loss_stop(r, p.server);
	end_drain(r, p.s, p.server);
	end_await_state(r, p.client, STATE_FIN_WAIT_2);
	end_count_retransmits(r, p.c, p.client);
	end_close(p.s, p.server);
	end_await_state(r, p.client, STATE_CLOSED);
	close(p.client);
}

static void keepalive_timeout(struct run *r)
{
	struct pair p;

	pair_open(r, &p, "main", AF_INET);
	sock_option(r, p.client, IPPROTO_TCP, TCP_KEEPIDLE, 1);
	sock_option(r, p.client, IPPROTO_TCP, TCP_KEEPINTVL, 1);
	sock_option(r, p.client, IPPROTO_TCP, TCP_KEEPCNT, 2);
	sock_option(r, p.client, SOL_SOCKET, SO_KEEPALIVE, 1);
	loss_start(r, p.client, LOSE_ALL);
	end_await_error(r, p.client, ETIMEDOUT, LIMIT_MS);
	end_close(p.c, p.client);
	end_await_error(r, p.server, ECONNRESET, LIMIT_MS);
	end_close(p.s, p.server);
}

static void user_timeout(struct run *r)
{
	struct pair p;

	pair_open(r, &p, "main", AF_INET);
	sock_option(r, p.client, IPPROTO_TCP, TCP_USER_TIMEOUT, 600);
	loss_start(r, p.client, LOSE_ALL);
	end_send(r, p.c, p.client, 500);
	end_await_error(r, p.client, ETIMEDOUT, LIMIT_MS);
	end_count_retransmits(r, p.c, p.client);
	end_close(p.c, p.client);
	end_receive(r, p.s, p.server, 500);
	end_close(p.s, p.server); /* its FIN meets nobody: RST */
	pause_ms(20);
}

/* No answer to any SYN; of those tcp_syn_retries would allow more. */
static void user_timeout_syn(struct run *r)
{
	int listener = sock_listen(r, AF_INET, 4), fd = sock_new(r, AF_INET);
	struct sockaddr_storage a;
	struct end *c;

	loss_start(r, listener, LOSE_ALL);
	sock_option(r, fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 1500);
	sock_address(&a, AF_INET, r->port);
	c = end_new(r, "main", ROLE_CLIENT);
	sock_connect_start(r, fd, &a);
	end_describe(r, c, fd);
	c->peer = a;
	end_await_error(r, fd, ETIMEDOUT, LIMIT_MS);
	end_count_retransmits(r, c, fd);
	end_close(c, fd);
	close(listener);
}

/* Nobody acknowledges the client's FIN: its process has the socket still, or is done with it. */
static void user_timeout_fin(struct run *r)
{
	static const char *const names[] = {"held", "orphan"};

	for (int orphan = 0; orphan < 2; orphan++) {
		struct pair p;

		pair_open(r, &p, names[orphan], AF_INET);
		sock_option(r, p.client, IPPROTO_TCP, TCP_USER_TIMEOUT, 600);
		loss_start(r, p.client, LOSE_ALL);
		if (orphan) {
			end_close(p.c, p.client);
			pause_ms(1500);
		} else {
			shutdown(p.client, SHUT_WR);
			end_await_error(r, p.client, ETIMEDOUT, LIMIT_MS);
			end_count_retransmits(r, p.c, p.client);
			end_close(p.c, p.client);
		}
		end_drain(r, p.s, p.server);
		end_close(p.s, p.server); /* its FIN meets nobody: RST */
		pause_ms(20);
	}
}

static void keepalive_user_timeout(struct run *r)
{
	struct pair p;

	pair_open(r, &p, "main", AF_INET);
	sock_option(r, p.client, IPPROTO_TCP, TCP_KEEPIDLE, 1);
	sock_option(r, p.client, IPPROTO_TCP, TCP_KEEPINTVL, 1);
	sock_option(r, p.client, IPPROTO_TCP, TCP_KEEPCNT, 9);
	sock_option(r, p.client, IPPROTO_TCP, TCP_USER_TIMEOUT, 1500);
	sock_option(r, p.client, SOL_SOCKET, SO_KEEPALIVE, 1);
	loss_start(r, p.client, LOSE_ALL);
	end_await_error(r, p.client, ETIMEDOUT, LIMIT_MS);
	end_close(p.c, p.client);
	end_await_error(r, p.server, ECONNRESET, LIMIT_MS);
	end_close(p.s, p.server);
}

/* close() waits a second for what is on its way, and gives up waiting; the kernel does not. */
static void linger_expires(struct run *r)
{
	struct linger second = {.l_onoff = 1, .l_linger = 1};
	struct pair p;

	pair_open(r, &p, "main", AF_INET);
	loss_start(r, p.server, LOSE_ALL);
	end_send(r, p.c, p.client, 60);
	if (setsockopt(p.client, SOL_SOCKET, SO_LINGER, &second, sizeof(second)) < 0)
		run_fail(r, "SO_LINGER: errno %d", errno);
	end_close(p.c, p.client);
	loss_stop(r, p.server);
	end_drain(r, p.s, p.server);
	end_close(p.s, p.server);
}

static void rto_death(struct run *r)
{
	struct pair p;

	net_sysctl(r, "tcp_retries2", "2");
	pair_open(r, &p, "main", AF_INET);
	loss_start(r, p.client, LOSE_ALL);
	end_send(r, p.c, p.client, 500);
	end_await_error(r, p.client, ETIMEDOUT, LIMIT_MS);
	end_count_retransmits(r, p.c, p.client);
	end_close(p.c, p.client);
	end_receive(r, p.s, p.server, 500);
	end_close(p.s, p.server);
	pause_ms(20);
}

/* Sends until the other side's window is shut. */
static void window_fill(struct run *r, struct pair *p)
{
	static const char payload[8192];
	unsigned quiet = 0;

	fcntl(p->client, F_SETFL, fcntl(p->client, F_GETFL) | O_NONBLOCK);
	while (quiet < 5) {
		ssize_t n = send(p->client, payload, sizeof(payload), MSG_NOSIGNAL);

		if (n > 0) {
			p->c->sent += (size_t)n;
			quiet = 0;
		} else {
			quiet++;
			pause_ms(20);
		}
		if (p->c->sent > (16u << 20))
			run_fail(r, "the window does not shut");
	}
}

static void window_open(struct run *r, struct pair *p)
{
	int listener = sock_listen(r, AF_INET, 4);

	sock_option(r, listener, SOL_SOCKET, SO_RCVBUF, 4096); /* the child's too */
	pair_join(r, p, "main", AF_INET, listener);
	sock_option(r, p->client, SOL_SOCKET, SO_SNDBUF, 16384);
	close(listener);
}

static void zero_window(struct run *r)
{
	struct pair p;

	window_open(r, &p);
	window_fill(r, &p);
	pause_ms(1200 + r->hold_ms);
	end_receive(r, p.s, p.server, p.c->sent);
	end_await_acked(r, p.client);
	end_count_retransmits(r, p.c, p.client);
	pair_finish(r, &p);
}

/* The window is shut and the other side silent. What the window took was sent, and no more: the
 * rest waits at the client. */
static void window_forsaken(struct run *r, struct pair *p)
{
	int taken;

	window_open(r, p);
	window_fill(r, p);
	if (ioctl(p->server, SIOCINQ, &taken) < 0)
		run_fail(r, "SIOCINQ: errno %d", errno);
	p->s->received = p->c->sent = (uint64_t)taken;
	loss_start(r, p->client, LOSE_ALL);
}

static void zero_window_timeout(struct run *r)
{
	struct pair p;

	net_sysctl(r, "tcp_retries2", "2");
	window_forsaken(r, &p);
	end_await_error(r, p.client, ETIMEDOUT, LIMIT_MS);
	end_close(p.c, p.client);
	end_close(p.s, p.server);
}

static void user_timeout_window(struct run *r)
{
	struct pair p;

	window_forsaken(r, &p);
	sock_option(r, p.client, IPPROTO_TCP, TCP_USER_TIMEOUT, 700);
	end_await_error(r, p.client, ETIMEDOUT, LIMIT_MS);
	end_close(p.c, p.client);
	end_close(p.s, p.server);
}

/* close(), and the FIN waits behind the data that the window does not take. */
static void fin_unsent(struct run *r)
{
	struct pair p;

	net_sysctl(r, "tcp_orphan_retries", "2");
	window_forsaken(r, &p);
	end_close(p.c, p.client);
	pause_ms(3000);
	end_close(p.s, p.server);
}

/* The same, and the server closes with what it never read. */
static void fin_unsent_reset(struct run *r)
{
	struct pair p;

	window_forsaken(r, &p);
	loss_stop(r, p.client);
	end_close(p.c, p.client);
	pause_ms(50);
	end_close(p.s, p.server);
	pause_ms(20);
}

static void orphan_fin_wait_2(struct run *r)
{
	struct pair p;

	pair_open(r, &p, "main", AF_INET);
	sock_option(r, p.client, IPPROTO_TCP, TCP_LINGER2, 1);
	end_send(r, p.c, p.client, 25);
	end_receive(r, p.s, p.server, 25);
	end_close(p.c, p.client);
	end_drain(r, p.s, p.server);
	net_await_state(r, p.c, 0);
	pause_ms(1500);
	end_close(p.s, p.server); /* its FIN meets nobody: RST */
	pause_ms(20);
}

static void fin_wait_1_timeout(struct run *r)
{
	struct pair p;

	net_sysctl(r, "tcp_orphan_retries", "1");
	pair_open(r, &p, "main", AF_INET);
	loss_start(r, p.client, LOSE_ALL);
	end_close(p.c, p.client);
	end_drain(r, p.s, p.server);
	net_await_state(r, p.c, 0);
	end_close(p.s, p.server);
	pause_ms(20);
}

static void last_ack_timeout(struct run *r)
{
	struct pair p;

	net_sysctl(r, "tcp_orphan_retries", "1");
	pair_open(r, &p, "main", AF_INET);
	end_close(p.c, p.client);
	end_drain(r, p.s, p.server);
	loss_start(r, p.server, LOSE_ALL);
	end_close(p.s, p.server);
	net_await_state(r, p.s, 0);
}

const struct scenario scenarios_timer[] = {
	{"retransmit", "a data segment is lost once", retransmit, 0},
	{"fin_retransmitted", "a FIN is lost once", fin_retransmitted, 0},
	{"keepalive_timeout", "the server is silent; the client's keepalive gives up",
	 keepalive_timeout, 0},
	{"user_timeout", "the server is silent; TCP_USER_TIMEOUT gives up", user_timeout, 0},
	{"user_timeout_syn", "TCP_USER_TIMEOUT ends an unanswered SYN", user_timeout_syn, 0},
	{"user_timeout_window", "TCP_USER_TIMEOUT ends data that waits for a shut window",
	 user_timeout_window, NEED_NETNS},
	{"user_timeout_fin", "TCP_USER_TIMEOUT ends an unacknowledged FIN, held and orphaned",
	 user_timeout_fin, NEED_NETNS},
	{"keepalive_user_timeout", "TCP_USER_TIMEOUT ends a silent idle connection",
	 keepalive_user_timeout, 0},
	{"linger_expires", "SO_LINGER's second is over before the FIN is acknowledged",
	 linger_expires, NEED_NETNS},
	{"rto_death", "the server is silent; retransmission gives up", rto_death, NEED_NETNS},
	{"zero_window", "the server does not read for a while: zero-window probes", zero_window, 0},
	{"zero_window_timeout", "the window is shut and the server silent", zero_window_timeout,
	 NEED_NETNS},
	{"fin_unsent", "closed behind a shut window: probes without an answer, no FIN", fin_unsent,
	 NEED_NETNS},
	{"fin_unsent_reset", "closed behind a shut window, then reset by the server",
	 fin_unsent_reset, 0},
	{"orphan_fin_wait_2", "the client is gone, the server never closes", orphan_fin_wait_2, 0},
	{"fin_wait_1_timeout", "nobody acknowledges the client's FIN", fin_wait_1_timeout,
	 NEED_NETNS},
	{"last_ack_timeout", "nobody acknowledges the server's FIN", last_ack_timeout, NEED_NETNS},
	{0},
};
