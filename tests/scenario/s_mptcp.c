/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Multipath TCP: a subflow is a TCP connection like any other, the socket above it
 * (protocol 262) is none. Nobody holds a descriptor of a subflow, so its cookie is
 * unknown here; its addresses are those of the socket above, as it has only one.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "scenario.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

enum { LIMIT_MS = 20000 };

static int mptcp_new(struct run *r)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);

	if (fd < 0)
		run_skip(r, "this kernel has no MPTCP: errno %d", errno);
	return fd;
}

/* What end_describe() would take down is the upper socket's. */
static void subflow_describe(struct run *r, struct end *e, int fd)
{
	socklen_t len = sizeof(e->local);

	if (getsockname(fd, (struct sockaddr *)&e->local, &len) < 0)
		run_fail(r, "getsockname: errno %d", errno);
	len = sizeof(e->peer);
	if (getpeername(fd, (struct sockaddr *)&e->peer, &len) < 0)
		run_fail(r, "getpeername: errno %d", errno);
}

/* The client's socket is Multipath TCP's, the server's may be. */
static void mptcp_play(struct run *r, bool both)
{
	int listener = both ? mptcp_new(r) : sock_new(r, AF_INET);
	struct sockaddr_storage a;
	struct pair p;

	sock_address(&a, AF_INET, r->port);
	sock_bind(r, listener, &a);
	if (listen(listener, 4) < 0)
		run_fail(r, "listen: errno %d", errno);
	p.client = mptcp_new(r);
	p.c = end_new(r, "main", ROLE_CLIENT);
	p.s = end_new(r, "main", ROLE_SERVER);
	sock_connect_start(r, p.client, &a);
	sock_connect_finish(r, p.client, LIMIT_MS);
	p.server = sock_accept(r, listener);
	close(listener);
	subflow_describe(r, p.c, p.client);
	if (both)
		subflow_describe(r, p.s, p.server);
	else
		end_describe(r, p.s, p.server);
	end_send(r, p.c, p.client, 100);
	end_receive(r, p.s, p.server, 100);
	end_send(r, p.s, p.server, 200);
	end_receive(r, p.c, p.client, 200);
	close(p.client);
	end_drain(r, p.s, p.server);
	if (both)
		close(p.server);
	else
		end_close(p.s, p.server);
	pause_ms(1000); /* kernel threads close subflows */
}

static void mptcp(struct run *r)
{
	mptcp_play(r, true);
}

static void mptcp_fallback(struct run *r)
{
	mptcp_play(r, false);
}

const struct scenario scenarios_mptcp[] = {
	{"mptcp", "Multipath TCP with one subflow", mptcp, NEED_NETNS},
	{"mptcp_fallback", "a Multipath TCP client of a plain TCP server", mptcp_fallback,
	 NEED_NETNS},
	{0},
};
