/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the two ends of one connection come to be: a process each, each in its namespace, which say
 * who they are in the journal and then act. What cannot be made is written down and left.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "flows.h"

enum { WAIT_MS = 250, CONNECT_MS = 8000, ACCEPT_MS = 6000, READY_US = 2000000, NEVER_US = 400000 };

static void enter(const char *path, struct told *told)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (fd < 0 || setns(fd, CLONE_NEWNET) || fstat(fd, &st))
		_exit(2);
	close(fd);
	told->netns = st.st_ino;
}

static void address(struct sockaddr_storage *a, const char *const of[2], enum family f,
		    uint16_t port, bool any)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	memset(a, 0, sizeof(*a));
	if (!any) {
		inet_pton(AF_INET, of[0], &in.sin_addr);
		inet_pton(AF_INET6, of[1], &in6.sin6_addr);
	}
	if (f == FAMILY_MAPPED && !any) {
		memcpy(&in6.sin6_addr.s6_addr[12], &in.sin_addr, 4);
		memset(in6.sin6_addr.s6_addr, 0, 10);
		memset(in6.sin6_addr.s6_addr + 10, 0xff, 2);
	}
	if (f == FAMILY_4)
		memcpy(a, &in, sizeof(in));
	else
		memcpy(a, &in6, sizeof(in6));
}

static socklen_t length(const struct sockaddr_storage *a)
{
	return a->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

static void option(int fd, int level, int name, int value)
{
	setsockopt(fd, level, name, &value, sizeof(value));
}

static int socket_of(const struct journal *j, int side, const struct sockaddr_storage *at)
{
	const struct side_plan *p = &j->plan.side[side];
	struct timeval wait = {.tv_usec = WAIT_MS * 1000};
	int fd = socket(at->ss_family, SOCK_STREAM, 0);

	option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	if (p->rcvbuf)
		option(fd, SOL_SOCKET, SO_RCVBUF, p->rcvbuf);
	if (p->sndbuf)
		option(fd, SOL_SOCKET, SO_SNDBUF, p->sndbuf);
	if (p->linger2)
		option(fd, IPPROTO_TCP, TCP_LINGER2, p->linger2);
	if (p->user_timeout_ms)
		option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, p->user_timeout_ms);
	if (p->keepalive) {
		option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
		option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 1);
		option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 1);
		option(fd, IPPROTO_TCP, TCP_KEEPCNT, 2);
	}
	if (at->ss_family == AF_INET6)
		option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	return fd;
}

static void tell(struct told *t, int fd)
{
	socklen_t len = sizeof(t->cookie);

	t->pid = getpid();
	getsockopt(fd, SOL_SOCKET, SO_COOKIE, &t->cookie, &len);
	len = sizeof(t->local);
	getsockname(fd, (struct sockaddr *)&t->local, &len);
	len = sizeof(t->peer);
	getpeername(fd, (struct sockaddr *)&t->peer, &len);
}

static void await(atomic_uint *what, unsigned value)
{
	uint64_t limit = now_ns() + READY_US * 1000ull;

	while (atomic_load(what) < value && now_ns() < limit)
		pause_us(200);
}

/* connect(), not waited for if it is to be abandoned. */
static void connecting(struct journal *j, int side, const struct place *at)
{
	const struct plan *p = &j->plan;
	uint16_t mine = side == CLIENT ? p->client_port : p->port;
	struct sockaddr_storage to, from;
	struct timeval wait = {.tv_usec = WAIT_MS * 1000};
	struct told *t = &j->told[side];
	uint64_t begin;
	int fd, flags;

	enter(at->netns[side], t);
	address(&to, at->address[!side], p->family, side == CLIENT ? p->port : p->client_port,
		false);
	address(&from, at->address[side], p->family, mine, true);
	fd = socket_of(j, side, &to);
	if (mine && note(j, side, "bind", mine, now_ns(),
			 bind(fd, (struct sockaddr *)&from, length(&from))))
		_exit(0);
	if (p->way == WAY_BOTH_CONNECT)
		atomic_fetch_add(&j->ready, 1);
	await(&j->ready, p->way == WAY_BOTH_CONNECT ? 2 : 1);
	flags = fcntl(fd, F_GETFL);
	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	begin = now_ns();
	note(j, side, "connect", 0, begin, connect(fd, (struct sockaddr *)&to, length(&to)));
	tell(t, fd);
	t->peer = to;
	if (p->way == WAY_ABANDON)
		pause_us(p->late_us % 7 ? 0 : p->late_us);
	else
		poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, CONNECT_MS);
	flags &= ~O_NONBLOCK;
	fcntl(fd, F_SETFL, flags);
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &t->err, &(socklen_t){sizeof(t->err)});
	t->established = !getpeername(fd, (struct sockaddr *)&to, &(socklen_t){sizeof(to)});
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	act(j, side, fd);
}

static void accepting(struct journal *j, const struct place *at)
{
	const struct plan *p = &j->plan;
	struct timeval wait = {.tv_usec = WAIT_MS * 1000};
	struct told *t = &j->told[SERVER];
	struct sockaddr_storage here;
	bool failed = false;
	int listener, fd;

	enter(at->netns[SERVER], t);
	address(&here, at->address[SERVER], p->family, p->port, true);
	listener = socket_of(j, SERVER, &here);
	if (p->way != WAY_NOBODY)
		failed = bind(listener, (struct sockaddr *)&here, length(&here)) ||
			 listen(listener, 4);
	if (note(j, SERVER, "listen", 0, now_ns(), failed ? -1 : 0))
		_exit(0);
	t->pid = -getpid(); /* it listens: no end is known to be its own yet */
	atomic_fetch_add(&j->ready, 1);
	if (p->way == WAY_LATE)
		pause_us(p->late_us);
	if (p->way == WAY_NEVER || p->way == WAY_NOBODY) {
		pause_us(NEVER_US);
		note(j, SERVER, "close_listener", 0, now_ns(), close(listener));
		_exit(0);
	}
	if (poll(&(struct pollfd){.fd = listener, .events = POLLIN}, 1, ACCEPT_MS) != 1)
		_exit(0);
	fd = accept(listener, NULL, NULL);
	note(j, SERVER, "accept", 0, now_ns(), fd);
	close(listener);
	if (fd < 0)
		_exit(0);
	tell(t, fd);
	t->established = true;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	act(j, SERVER, fd);
}

void ends_run(struct journal *j, const struct place *at)
{
	int status;

	for (int side = 0; side < SIDES; side++) {
		if (fork())
			continue;
		if (side == SERVER && j->plan.way != WAY_BOTH_CONNECT)
			accepting(j, at);
		connecting(j, side, at);
		_exit(0);
	}
	while (wait(&status) > 0 || errno == EINTR)
		;
}
