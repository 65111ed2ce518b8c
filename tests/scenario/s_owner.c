/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose a connection is: two processes, a process killed, a socket shared by
 * fork(), a socket handed to somebody else, the same tuple in several namespaces.
 *
 * Processes name themselves, so that a tracer's names can be told apart too.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "scenario.h"

enum { LIMIT_MS = 20000 };

/* A client of r->port in this process. */
static int client_open(struct run *r, struct end **c)
{
	int fd = sock_new(r, AF_INET);
	struct sockaddr_storage a;

	sock_address(&a, AF_INET, r->port);
	*c = end_new(r, "main", ROLE_CLIENT);
	sock_connect_start(r, fd, &a);
	sock_connect_finish(r, fd, LIMIT_MS);
	end_describe(r, *c, fd);
	return fd;
}

static void two_processes(struct run *r)
{
	int listener = sock_listen(r, AF_INET, 4), fd;
	pid_t child = run_fork(r);
	struct end *e;

	if (child == 0) {
		prctl(PR_SET_NAME, "the-server");
		e = end_new(r, "main", ROLE_SERVER);
		fd = sock_accept(r, listener);
		end_describe(r, e, fd);
		end_receive(r, e, fd, 50);
		end_send(r, e, fd, 70);
		end_drain(r, e, fd);
		end_close(e, fd);
		_exit(0);
	}
	close(listener);
	fd = client_open(r, &e);
	end_send(r, e, fd, 50);
	end_receive(r, e, fd, 70);
	end_close(e, fd);
	run_wait(r, child);
}

/* The client's process is killed; the kernel closes for it. */
static void killed_process(struct run *r)
{
	int listener = sock_listen(r, AF_INET, 4), fd, ready[2];
	struct end *s;
	pid_t child;
	char byte;

	if (pipe(ready) < 0)
		run_fail(r, "pipe: errno %d", errno);
	child = run_fork(r);
	if (child == 0) {
		struct end *c;

		close(listener);
		fd = client_open(r, &c);
		end_send(r, c, fd, 15);
		c->closer = getpid();
		if (write(ready[1], "x", 1) != 1)
			run_fail(r, "pipe: errno %d", errno);
		for (;;)
			pause();
	}
	s = end_new(r, "main", ROLE_SERVER);
	fd = sock_accept(r, listener);
	end_describe(r, s, fd);
	end_receive(r, s, fd, 15);
	if (read(ready[0], &byte, 1) != 1)
		run_fail(r, "the client did not get ready");
	kill(child, SIGKILL);
	end_drain(r, s, fd);
	run_wait(r, child);
	end_close(s, fd);
	close(listener);
}

/* The parent connects and closes; its child, the last holder, closes later. */
static void shared_by_fork(struct run *r)
{
	struct pair p;
	pid_t child;

	pair_open(r, &p, "main", AF_INET);
	child = run_fork(r);
	if (child == 0) {
		prctl(PR_SET_NAME, "the-heir");
		close(p.server);
		run_hold(r);
		end_close(p.c, p.client);
		_exit(0);
	}
	close(p.client); /* says nothing to anybody: the child has it too */
	end_drain(r, p.s, p.server);
	run_wait(r, child);
	end_close(p.s, p.server);
}

static void descriptor_send(struct run *r, int to, int fd)
{
	char byte = 'x', control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec io = {.iov_base = &byte, .iov_len = 1};
	struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = control,
			   .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	if (sendmsg(to, &m, 0) != 1)
		run_fail(r, "SCM_RIGHTS: errno %d", errno);
}

static int descriptor_receive(struct run *r, int from)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec io = {.iov_base = &byte, .iov_len = 1};
	struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = control,
			   .msg_controllen = sizeof(control)};
	struct cmsghdr *c;
	int fd;

	if (recvmsg(from, &m, MSG_CMSG_CLOEXEC) != 1 || !(c = CMSG_FIRSTHDR(&m)))
		run_fail(r, "no descriptor came: errno %d", errno);
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

/* The server's process accepts and hands the socket to a worker, which closes it first. */
static void passed(struct run *r)
{
	int listener = sock_listen(r, AF_INET, 4), between[2], server, client;
	struct end *c, *s;
	pid_t worker;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, between) < 0)
		run_fail(r, "socketpair: errno %d", errno);
	worker = run_fork(r);
	if (worker == 0) {
		char go;

		prctl(PR_SET_NAME, "the-worker");
		close(listener);
		server = descriptor_receive(r, between[1]);
		/* closes when it is alone with it */
		if (read(between[1], &go, 1) != 1)
			run_fail(r, "the acceptor went");
		close(server);
		_exit(0);
	}
	client = client_open(r, &c);
	s = end_new(r, "main", ROLE_SERVER);
	server = sock_accept(r, listener);
	end_describe(r, s, server);
	descriptor_send(r, between[0], server);
	close(server);
	s->closer = worker;
	if (write(between[0], "g", 1) != 1)
		run_fail(r, "socketpair: errno %d", errno);
	end_drain(r, c, client);
	run_wait(r, worker);
	end_close(c, client);
	close(listener);
}

/* The same of a socket whose peer has closed already: the worker's close() is the second. */
static void passed_in_close_wait(struct run *r)
{
	int listener = sock_listen(r, AF_INET, 4), between[2], server, client;
	struct end *c, *s;
	pid_t worker;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, between) < 0)
		run_fail(r, "socketpair: errno %d", errno);
	worker = run_fork(r);
	if (worker == 0) {
		prctl(PR_SET_NAME, "the-worker");
		close(listener);
		server = descriptor_receive(r, between[1]);
		pause_ms(100); /* alone with it */
		close(server);
		_exit(0);
	}
	client = client_open(r, &c);
	s = end_new(r, "main", ROLE_SERVER);
	server = sock_accept(r, listener);
	end_describe(r, s, server);
	end_close(c, client);
	end_drain(r, s, server);
	descriptor_send(r, between[0], server);
	close(server);
	s->closer = worker;
	run_wait(r, worker);
	close(listener);
}

/* One listener, two workers that accept from it: who accepted differs from who listens. */
static void forked_workers(struct run *r)
{
	int listener = sock_listen(r, AF_INET, 4);
	struct end *c;

	for (int i = 0; i < 2; i++) {
		pid_t worker = run_fork(r);
		int fd;

		if (worker == 0) {
			struct end *s = end_new(r, "main", ROLE_SERVER);

			prctl(PR_SET_NAME, "the-worker");
			fd = sock_accept(r, listener);
			end_describe(r, s, fd);
			end_close(s, fd);
			_exit(0);
		}
		fd = client_open(r, &c);
		end_drain(r, c, fd);
		end_close(c, fd);
		run_wait(r, worker);
	}
	close(listener);
}

/* The same addresses and ports in three namespaces at once: only the namespace tells. */
static void namespaces(struct run *r)
{
	enum { SPACES = 3 };
	static const char *const names[SPACES] = {"one", "two", "three"};
	struct sockaddr_storage from, to;
	struct pair p[SPACES];

	sock_address(&from, AF_INET, (uint16_t)(r->port + 500));
	sock_address(&to, AF_INET, r->port);
	for (int i = 0; i < SPACES; i++) {
		int listener;

		net_unshare(r);
		listener = sock_listen(r, AF_INET, 4);
		p[i].c = end_new(r, names[i], ROLE_CLIENT);
		p[i].s = end_new(r, names[i], ROLE_SERVER);
		p[i].client = sock_new(r, AF_INET);
		sock_bind(r, p[i].client, &from);
		sock_connect_start(r, p[i].client, &to);
		sock_connect_finish(r, p[i].client, LIMIT_MS);
		p[i].server = sock_accept(r, listener);
		end_describe(r, p[i].c, p[i].client);
		end_describe(r, p[i].s, p[i].server);
		close(listener);
	}
	for (int i = 0; i < SPACES; i++) {
		end_send(r, p[i].c, p[i].client, 100u * (unsigned)(i + 1));
		end_receive(r, p[i].s, p[i].server, 100u * (unsigned)(i + 1));
	}
	for (int i = 0; i < SPACES; i++)
		pair_finish(r, &p[i]);
}

const struct scenario scenarios_owner[] = {
	{"two_processes", "client and server are processes of their own", two_processes, 0},
	{"killed_process", "the client's process is killed", killed_process, 0},
	{"shared_by_fork", "a child has the socket too, and closes last", shared_by_fork, 0},
	{"passed", "accepted by one process, closed by another (SCM_RIGHTS)", passed, 0},
	{"passed_in_close_wait", "the client has closed; the socket is handed on and closed there",
	 passed_in_close_wait, 0},
	{"forked_workers", "two workers accept from their parent's listener", forked_workers, 0},
	{"namespaces", "one tuple in three namespaces", namespaces, NEED_NETNS},
	{0},
};
