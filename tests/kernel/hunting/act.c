/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operations on a connected socket, one after the other, each written down. Everything that
 * may wait is bounded by the socket's own time-outs; nothing is retried, nothing is expected.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "flows.h"

enum { CHUNK = 16384, MEET_US = 100000, LINGER_S = 1 };

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void pause_us(uint32_t us)
{
	struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000l};

	nanosleep(&t, NULL);
}

int note(struct journal *j, int side, const char *name, uint32_t arg, uint64_t begin, long result)
{
	int err = result < 0 ? errno : 0;
	unsigned n = atomic_fetch_add(&j->calls_n, 1);

	if (n < CALLS_MAX)
		j->calls[n] = (struct call){.pid = getpid(), .side = side, .result = (int)result,
					    .err = err, .name = name, .arg = arg,
					    .begin_ns = begin, .end_ns = now_ns()};
	return (int)result;
}

static void do_send(struct journal *j, int side, int fd, uint32_t bytes)
{
	static const char data[CHUNK];
	uint64_t begin = now_ns();
	uint32_t done = 0;
	ssize_t n = 0;

	while (done < bytes) {
		uint32_t rest = bytes - done;

		n = send(fd, data, rest < CHUNK ? rest : CHUNK, MSG_NOSIGNAL);
		if (n <= 0)
			break;
		done += (uint32_t)n;
		atomic_fetch_add(&j->sent[side], (uint64_t)n);
	}
	note(j, side, "send", bytes, begin, n < 0 && !done ? -1 : (long)done);
}

/* once, or until the end of file, an error or a time-out */
static void do_recv(struct journal *j, int side, int fd, bool all)
{
	char data[CHUNK];
	uint64_t begin = now_ns();
	ssize_t n;
	long got = 0;

	do {
		n = recv(fd, data, sizeof(data), 0);
		if (n > 0) {
			got += n;
			atomic_fetch_add(&j->received[side], (uint64_t)n);
		}
	} while (all && n > 0);
	note(j, side, n == 0 ? "recv_eof" : all ? "drain" : "recv", 0, begin, n < 0 ? n : got);
}

static void do_linger(struct journal *j, int side, int fd, int seconds)
{
	struct linger l = {.l_onoff = 1, .l_linger = seconds};
	uint64_t begin;

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	begin = now_ns();
	note(j, side, seconds ? "close_linger" : "close_reset", 0, begin, close(fd));
}

/* Another process shares it for a while, and may be the last that lets go. */
static void do_hold(struct journal *j, int side, int fd, uint32_t us)
{
	uint64_t begin = now_ns();
	pid_t pid = fork();

	if (pid) {
		note(j, side, "fork", us, begin, pid);
		return;
	}
	pause_us(us);
	if (us % 3 == 0)
		do_send(j, side, fd, 10);
	if (us % 2 == 0) {
		begin = now_ns();
		note(j, side, "close_held", 0, begin, close(fd));
	} else {
		note(j, side, "exit_held", 0, now_ns(), 0);
	}
	_exit(0);
}

static int fd_pass(int over, int fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	char byte = 0;
	struct iovec io = {.iov_base = &byte, .iov_len = 1};
	struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = control.bytes,
			   .msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	if (fd < 0) {
		if (recvmsg(over, &m, 0) != 1 || !(c = CMSG_FIRSTHDR(&m)))
			return -1;
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
		return fd;
	}
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return sendmsg(over, &m, MSG_NOSIGNAL) == 1 ? fd : -1;
}

/* Hands it to a new process, which goes on; returns there only, with its descriptor. */
static int do_pass(struct journal *j, int side, int fd)
{
	uint64_t begin = now_ns();
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		return fd;
	pid = fork();
	if (pid == 0) {
		close(fd);
		close(pair[0]);
		fd = fd_pass(pair[1], -1);
		close(pair[1]);
		return fd;
	}
	close(pair[1]);
	fd_pass(pair[0], fd);
	close(pair[0]);
	close(fd);
	note(j, side, "pass", 0, begin, pid);
	_exit(0);
}

static void do_disconnect(struct journal *j, int side, int fd)
{
	struct sockaddr a = {.sa_family = AF_UNSPEC};
	uint64_t begin = now_ns();

	note(j, side, "disconnect", 0, begin, connect(fd, &a, sizeof(a)));
}

static void do_shutdown(struct journal *j, int side, int fd, int how)
{
	static const char *const names[] = {"shut_rd", "shut_wr", "shut_rdwr"};
	uint64_t begin = now_ns();

	note(j, side, names[how], 0, begin, shutdown(fd, how));
}

/* Both ends at once, as near as two processes come. */
static void do_meet(struct journal *j)
{
	uint64_t limit = now_ns() + MEET_US * 1000ull;
	unsigned mine = atomic_fetch_add(&j->met, 1) + 1, pair = (mine + 1) / 2 * 2;

	while (atomic_load(&j->met) < pair && now_ns() < limit)
		;
}

static void do_close(struct journal *j, int side, int fd)
{
	uint64_t begin = now_ns();

	note(j, side, "close", 0, begin, close(fd));
}

void act(struct journal *j, int side, int fd)
{
	const struct side_plan *p = &j->plan.side[side];

	for (unsigned i = 0; i < p->n && fd >= 0; i++) {
		const struct todo *t = &p->ops[i];

		switch (t->op) {
		case OP_SEND:
			do_send(j, side, fd, t->arg);
			break;
		case OP_RECV:
		case OP_DRAIN:
			do_recv(j, side, fd, t->op == OP_DRAIN);
			break;
		case OP_SHUT_RD:
		case OP_SHUT_WR:
		case OP_SHUT_BOTH:
			do_shutdown(j, side, fd, t->op - OP_SHUT_RD);
			break;
		case OP_CLOSE:
			do_close(j, side, fd);
			fd = -1;
			break;
		case OP_RESET:
		case OP_LINGER:
			do_linger(j, side, fd, t->op == OP_LINGER ? LINGER_S : 0);
			fd = -1;
			break;
		case OP_HOLD:
			do_hold(j, side, fd, t->arg);
			break;
		case OP_PASS:
			fd = do_pass(j, side, fd);
			break;
		case OP_PAUSE:
			pause_us(t->arg);
			break;
		case OP_MEET:
			do_meet(j);
			break;
		case OP_KILL:
			note(j, side, "kill", 0, now_ns(), 0);
			kill(getpid(), SIGKILL);
			break;
		case OP_DISCONNECT:
			do_disconnect(j, side, fd);
			break;
		case OP_EXIT:
		case OPS:
			note(j, side, "exit", 0, now_ns(), 0);
			_exit(0);
		}
	}
	note(j, side, "exit", 0, now_ns(), 0);
	_exit(0);
}
