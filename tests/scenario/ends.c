/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets, and the record of what was done with them.
 *
 * What is written down comes from the calls made here and from the kernel's own
 * answers to the socket's holder (SO_COOKIE, TCP_INFO, TCP_REPAIR), never from a
 * tracer: it is what a tracer's records are held against. Sequence numbers are
 * read through TCP_REPAIR, which needs CAP_NET_ADMIN and sends nothing.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "scenario.h"

#ifndef SO_COOKIE
#define SO_COOKIE 57
#endif

enum { WAIT_MS = 20000, LOOK_MS = 2, CHUNK = 16384 };

struct end *end_new(struct run *r, const char *conn, enum role role)
{
	unsigned i = atomic_fetch_add(&r->nends, 1);
	struct end *e;

	if (i >= ENDS_MAX)
		run_fail(r, "more than %d ends", ENDS_MAX);
	e = &r->ends[i];
	memset(e, 0, sizeof(*e));
	snprintf(e->conn, sizeof(e->conn), "%s", conn);
	e->role = role;
	e->pid = getpid();
	e->netns = net_inode();
	return e;
}

static uint64_t end_bytes_in(int fd)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return 1;
	return info.tcpi_bytes_received;
}

/* Before any payload: the next byte to send and to receive are ISN + 1. */
static void end_sequence(struct end *e, int fd)
{
	int on = TCP_REPAIR_ON, off = TCP_REPAIR_OFF_NO_WP, queue = TCP_SEND_QUEUE, one = 1;
	socklen_t len = sizeof(uint32_t);
	uint32_t sent, received;

	if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)) < 0)
		return;
	if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof(queue)) < 0 ||
	    getsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &sent, &len) < 0)
		goto out;
	queue = TCP_RECV_QUEUE;
	if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof(queue)) < 0 ||
	    getsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &received, &len) < 0)
		goto out;
	e->isn_local = sent - 1;
	e->isn_peer = received - 1;
	e->has_isn = !end_bytes_in(fd); /* else some came between the questions */
out:
	setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &off, sizeof(off));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)); /* repair forgot it */
}

static struct tcp_info end_info(struct run *r, int fd)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		run_fail(r, "TCP_INFO: errno %d", errno);
	return info;
}

void end_describe(struct run *r, struct end *e, int fd)
{
	socklen_t len = sizeof(e->cookie);
	struct tcp_info info;

	if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &e->cookie, &len) < 0)
		run_fail(r, "SO_COOKIE: errno %d", errno);
	len = sizeof(e->local);
	if (getsockname(fd, (struct sockaddr *)&e->local, &len) < 0)
		run_fail(r, "getsockname: errno %d", errno);
	len = sizeof(e->peer);
	getpeername(fd, (struct sockaddr *)&e->peer, &len);
	info = end_info(r, fd);
	if (info.tcpi_state != STATE_ESTABLISHED)
		return;
	e->has_info = true;
	e->options = info.tcpi_options;
	e->snd_wscale = info.tcpi_snd_wscale;
	e->rcv_wscale = info.tcpi_rcv_wscale;
	e->handshake_retransmits = info.tcpi_total_retrans;
	if (!e->sent && !info.tcpi_bytes_received)
		end_sequence(e, fd);
}

void end_mirror(struct end *e, const struct end *peer)
{
	e->local = peer->peer;
	e->peer = peer->local;
}

static void end_poll(struct run *r, int fd, short events, unsigned limit_ms)
{
	struct pollfd p = {.fd = fd, .events = events};

	limit_ms += r->hold_ms; /* the other side may hold */
	if (poll(&p, 1, (int)limit_ms) != 1)
		run_fail(r, "nothing happened on a socket for %u ms", limit_ms);
}

void end_send(struct run *r, struct end *e, int fd, size_t bytes)
{
	static const char payload[CHUNK];

	while (bytes) {
		ssize_t n = send(fd, payload, bytes < CHUNK ? bytes : CHUNK, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN) {
			end_poll(r, fd, POLLOUT, WAIT_MS);
			continue;
		}
		if (n < 0)
			run_fail(r, "send: errno %d", errno);
		e->sent += (size_t)n;
		bytes -= (size_t)n;
	}
}

void end_receive(struct run *r, struct end *e, int fd, size_t bytes)
{
	char payload[CHUNK];

	while (bytes) {
		ssize_t n;

		end_poll(r, fd, POLLIN, WAIT_MS);
		n = recv(fd, payload, bytes < CHUNK ? bytes : CHUNK, 0);
		if (n <= 0)
			run_fail(r, "recv: %s %d", n ? "errno" : "early end of file", errno);
		e->received += (size_t)n;
		bytes -= (size_t)n;
	}
}

void end_drain(struct run *r, struct end *e, int fd)
{
	char payload[CHUNK];
	ssize_t n;

	do {
		end_poll(r, fd, POLLIN, WAIT_MS);
		n = recv(fd, payload, sizeof(payload), 0);
		if (n < 0)
			run_fail(r, "recv instead of end of file: errno %d", errno);
		e->received += (size_t)n;
	} while (n > 0);
}

void end_await_error(struct run *r, int fd, int err, unsigned limit_ms)
{
	struct tcp_info info = end_info(r, fd);
	socklen_t len = sizeof(int);
	int got = 0;

	/* Not asked for before the end: SO_ERROR would take a soft error away, which is to be the
	 * kernel's reason then. */
	for (unsigned ms = 0; info.tcpi_state != STATE_CLOSED; ms += 20) {
		if (ms > limit_ms)
			run_fail(r,
				 "errno %d did not come within %u ms: state %u, retransmits %u "
				 "of %u, probes %u",
				 err, limit_ms, info.tcpi_state, info.tcpi_retransmits,
				 info.tcpi_total_retrans, info.tcpi_probes);
		pause_ms(20);
		info = end_info(r, fd);
	}
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &got, &len) < 0)
		run_fail(r, "SO_ERROR: errno %d", errno);
	if (got != err)
		run_fail(r, "errno %d on a socket where %d was due", got, err);
}

void end_await_state(struct run *r, int fd, unsigned state)
{
	for (unsigned ms = 0; end_info(r, fd).tcpi_state != state; ms += LOOK_MS) {
		if (ms > WAIT_MS)
			run_fail(r, "state %u, not %u", end_info(r, fd).tcpi_state, state);
		pause_ms(LOOK_MS);
	}
}

void end_await_unread(struct run *r, int fd, unsigned bytes)
{
	int unread = 0;

	for (unsigned ms = 0; unread < (int)bytes; ms += LOOK_MS) {
		if (ioctl(fd, SIOCINQ, &unread) < 0)
			run_fail(r, "SIOCINQ: errno %d", errno);
		if (ms > WAIT_MS)
			run_fail(r, "%d bytes unread, not %u", unread, bytes);
		pause_ms(LOOK_MS);
	}
}

void end_await_acked(struct run *r, int fd)
{
	for (unsigned ms = 0; end_info(r, fd).tcpi_unacked; ms += LOOK_MS) {
		if (ms > WAIT_MS)
			run_fail(r, "%u segments in flight", end_info(r, fd).tcpi_unacked);
		pause_ms(LOOK_MS);
	}
}

/* Of a listener tcpi_unacked is the length of its queue. */
void sock_await_queued(struct run *r, int listener, unsigned connections)
{
	for (unsigned ms = 0; end_info(r, listener).tcpi_unacked < connections; ms += LOOK_MS) {
		if (ms > WAIT_MS)
			run_fail(r, "%u in the accept queue, not %u",
				 end_info(r, listener).tcpi_unacked, connections);
		pause_ms(LOOK_MS);
	}
}

void end_count_retransmits(struct run *r, struct end *e, int fd)
{
	struct tcp_info info = end_info(r, fd);

	e->retransmits = info.tcpi_total_retrans;
	e->has_retransmits = true;
}

void end_close(struct end *e, int fd)
{
	e->closer = getpid();
	close(fd);
}

int sock_new(struct run *r, int family)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 && errno == EAFNOSUPPORT)
		run_skip(r, "this kernel has no IPv6");
	if (fd < 0)
		run_fail(r, "socket: errno %d", errno);
	sock_option(r, fd, SOL_SOCKET, SO_REUSEADDR, 1);
	return fd;
}

/* The loopback address. AF_INET6 with port 0 of AF_INET's mapped form is sock_bind()'s caller's
 * business. */
void sock_address(struct sockaddr_storage *a, int family, uint16_t port)
{
	memset(a, 0, sizeof(*a));
	if (family == AF_INET6)
		*(struct sockaddr_in6 *)a = (struct sockaddr_in6){
			.sin6_family = AF_INET6,
			.sin6_port = htons(port),
			.sin6_addr = IN6ADDR_LOOPBACK_INIT,
		};
	else
		*(struct sockaddr_in *)a = (struct sockaddr_in){
			.sin_family = AF_INET,
			.sin_port = htons(port),
			.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		};
}

static socklen_t sock_address_len(const struct sockaddr_storage *a)
{
	return a->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

void sock_bind(struct run *r, int fd, const struct sockaddr_storage *a)
{
	if (bind(fd, (const struct sockaddr *)a, sock_address_len(a)) == 0)
		return;
	if (errno == EADDRNOTAVAIL && a->ss_family == AF_INET6)
		run_skip(r, "the loopback has no ::1 here");
	run_fail(r, "bind to port %u: errno %d", ntohs(((const struct sockaddr_in *)a)->sin_port),
		 errno);
}

int sock_listen(struct run *r, int family, int backlog)
{
	int fd = sock_new(r, family);
	struct sockaddr_storage a;

	sock_address(&a, family, r->port);
	sock_bind(r, fd, &a);
	if (listen(fd, backlog) < 0)
		run_fail(r, "listen: errno %d", errno);
	return fd;
}

void sock_connect_start(struct run *r, int fd, const struct sockaddr_storage *a)
{
	int flags = fcntl(fd, F_GETFL);

	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	if (connect(fd, (const struct sockaddr *)a, sock_address_len(a)) < 0 &&
	    errno != EINPROGRESS)
		run_fail(r, "connect: errno %d", errno);
}

void sock_connect_finish(struct run *r, int fd, unsigned limit_ms)
{
	socklen_t len = sizeof(int);
	int err = 0;

	end_poll(r, fd, POLLOUT, limit_ms);
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0 || err)
		run_fail(r, "connect: errno %d", err);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
}

int sock_accept(struct run *r, int listener)
{
	int fd;

	end_poll(r, listener, POLLIN, WAIT_MS);
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		run_fail(r, "accept: errno %d", errno);
	return fd;
}

void sock_option(struct run *r, int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)) < 0)
		run_fail(r, "setsockopt %d/%d: errno %d", level, name, errno);
}

void sock_linger_reset(struct run *r, int fd)
{
	struct linger now = {.l_onoff = 1, .l_linger = 0};

	if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) < 0)
		run_fail(r, "SO_LINGER: errno %d", errno);
}

int client_start(struct run *r, struct end **e, const char *conn)
{
	int fd = sock_new(r, AF_INET);
	struct sockaddr_storage a;

	sock_address(&a, AF_INET, r->port);
	*e = end_new(r, conn, ROLE_CLIENT);
	sock_connect_start(r, fd, &a);
	end_describe(r, *e, fd);
	(*e)->peer = a;
	return fd;
}

void pair_join(struct run *r, struct pair *p, const char *conn, int family, int listener)
{
	struct sockaddr_storage a;

	sock_address(&a, family, r->port);
	p->listener = listener;
	p->client = sock_new(r, family);
	p->c = end_new(r, conn, ROLE_CLIENT);
	p->s = end_new(r, conn, ROLE_SERVER);
	sock_connect_start(r, p->client, &a);
	sock_connect_finish(r, p->client, WAIT_MS);
	p->server = sock_accept(r, listener);
	end_describe(r, p->c, p->client);
	end_describe(r, p->s, p->server);
}

void pair_open(struct run *r, struct pair *p, const char *conn, int family)
{
	int listener = sock_listen(r, family, 16);

	pair_join(r, p, conn, family, listener);
	close(listener);
	p->listener = -1;
}

void pair_finish(struct run *r, struct pair *p)
{
	end_close(p->c, p->client);
	end_drain(r, p->s, p->server);
	end_close(p->s, p->server);
}
