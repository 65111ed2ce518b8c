/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that carry data over a bad path, for tests/vm/loss.sh:
 *
 *   loss_flows serve PORT                          serves until it is killed
 *   loss_flows up   IPV4 PORT COUNT BYTES          COUNT at once send BYTES each
 *   loss_flows down IPV4 PORT COUNT BYTES          COUNT at once are sent BYTES each
 *   loss_flows chat IPV4 PORT COUNT TURNS          COUNT at once ask and are answered, TURNS times
 *
 * Every client is a process; what one sends or expects is in its first 8 bytes. Prints how many
 * came through and how many did not: a path that drops a quarter may well break one. Must never
 * time anything but a silence without end: the clock of the VM jumps.
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { UP, DOWN, CHAT, MODES };
enum { CHUNK = 8192, MESSAGE = 700, SILENCE_S = 600 };

struct order {
	uint32_t mode, amount; /* bytes, or turns */
};

static const char *const modes[MODES] = { "up", "down", "chat" };

/* Whose peer's kernel has given up, and whose RST is lost, hears of nothing: it would wait for good. No
 * silence of one that is still tried is as long (TCP_RTO_MAX is two minutes). */
static void give_up_at_last(int fd)
{
	const struct timeval limit = { .tv_sec = SILENCE_S };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

static int send_all(int fd, size_t bytes)
{
	static const char data[CHUNK];

	while (bytes) {
		ssize_t n = send(fd, data, bytes < CHUNK ? bytes : CHUNK, MSG_NOSIGNAL);

		if (n <= 0)
			return -1;
		bytes -= (size_t)n;
	}
	return 0;
}

/* `bytes` of them, or up to the end of file if that is 0. */
static int receive(int fd, size_t bytes)
{
	char data[CHUNK];
	size_t got = 0;

	while (!bytes || got < bytes) {
		size_t want = bytes && bytes - got < CHUNK ? bytes - got : CHUNK;
		ssize_t n = recv(fd, data, want, 0);

		if (n <= 0)
			return n == 0 && !bytes ? 0 : -1;
		got += (size_t)n;
	}
	return 0;
}

static int answer(int fd)
{
	struct order o;

	give_up_at_last(fd);
	if (recv(fd, &o, sizeof(o), MSG_WAITALL) != sizeof(o))
		return -1;
	if (o.mode == DOWN)
		return send_all(fd, o.amount);
	if (o.mode == UP)
		return receive(fd, 0);
	for (uint32_t i = 0; i < o.amount; i++)
		if (receive(fd, MESSAGE) || send_all(fd, MESSAGE))
			return -1;
	return receive(fd, 0);
}

static int ask(const struct sockaddr_in *to, const struct order *o)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), status = -1;

	if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof(*to)) ||
	    send(fd, o, sizeof(*o), MSG_NOSIGNAL) != sizeof(*o))
		return -1;
	give_up_at_last(fd);
	if (o->mode == DOWN)
		status = receive(fd, o->amount);
	else if (o->mode == UP)
		status = send_all(fd, o->amount);
	else
		for (uint32_t i = 0; i < o->amount; i++) {
			status = send_all(fd, MESSAGE) || receive(fd, MESSAGE);
			if (status)
				break;
		}
	shutdown(fd, SHUT_WR);
	if (!status)
		status = receive(fd, 0);
	close(fd);
	return status;
}

static int serve(uint16_t port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd;

	if (listener < 0 || bind(listener, (struct sockaddr *)&at, sizeof(at)) ||
	    listen(listener, 64))
		return 1;
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		fd = accept(listener, NULL, NULL);
		if (fd < 0)
			return 1;
		if (!fork()) {
			close(listener);
			_exit(answer(fd) ? 1 : 0);
		}
		close(fd);
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	struct order o = { .mode = MODES };
	unsigned through = 0, broken = 0;
	int status;

	if (argc == 3 && !strcmp(argv[1], "serve"))
		return serve((uint16_t)atoi(argv[2]));
	for (unsigned m = 0; argc == 6 && m < MODES; m++)
		if (!strcmp(argv[1], modes[m]))
			o.mode = m;
	if (o.mode == MODES || inet_pton(AF_INET, argv[2], &to.sin_addr) != 1)
		return 2;
	to.sin_port = htons((uint16_t)atoi(argv[3]));
	o.amount = (uint32_t)atoi(argv[5]);
	for (int i = 0; i < atoi(argv[4]); i++)
		if (!fork())
			_exit(ask(&to, &o) ? 1 : 0);
	while (wait(&status) > 0)
		*(WIFEXITED(status) && !WEXITSTATUS(status) ? &through : &broken) += 1;
	printf("{\"what\":\"%s\",\"through\":%u,\"broken\":%u}\n", argv[1], through, broken);
	return 0;
}
