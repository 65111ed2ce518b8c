/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests/kernel/stack.py: connects to itself through two functions in turn, accepts
 * in a third, closes the accepted end, reads the EOF and keeps its own: sockets that
 * leak, of which the functions' names are to be found out.
 *
 *   calls PORT [threads]
 *
 * Says "ready" when they are made, and holds them until its stdin ends. threads: each
 * connection is made by a thread of its own.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SOCKETS = 5 };

/* As it stands here: not inlined, not merged with one that does the same. */
#define NAMED __attribute__((noipa))
/* What follows a call keeps it from becoming a jump. */
#define NO_TAIL(value) __extension__({ int v_ = (value); __asm__ volatile("" : "+r"(v_)); v_; })

static struct sockaddr_in address = {.sin_family = AF_INET};

NAMED static int connect_to(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		perror("calls: connect");
		exit(1);
	}
	return NO_TAIL(fd);
}

NAMED static int leak_here(void)
{
	return NO_TAIL(connect_to());
}

NAMED static int leak_there(void)
{
	return NO_TAIL(connect_to());
}

NAMED static int take_one(int listener)
{
	int fd = accept(listener, NULL, NULL);

	if (fd < 0) {
		perror("calls: accept");
		exit(1);
	}
	return NO_TAIL(fd);
}

static int listen_at(const char *port)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	address.sin_port = htons((unsigned short)atoi(port));
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 64)) {
		perror("calls: listen");
		exit(1);
	}
	return fd;
}

static void *leak(void *i)
{
	return (void *)(long)(*(int *)i % 2 ? leak_there() : leak_here());
}

static int leak_in_thread(int i)
{
	pthread_t thread;
	void *fd;

	if (pthread_create(&thread, NULL, leak, &i) || pthread_join(thread, &fd))
		exit(1);
	return (int)(long)fd;
}

int main(int argc, char **argv)
{
	int listener, fds[SOCKETS];
	char byte;

	if (argc < 2)
		return 2;
	listener = listen_at(argv[1]);
	for (int i = 0; i < SOCKETS; i++) {
		fds[i] = argc > 2 ? leak_in_thread(i) : (int)(long)leak(&i);
		close(take_one(listener));
		if (read(fds[i], &byte, 1))
			return 1;
	}
	puts("ready");
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
	for (int i = 0; i < SOCKETS; i++)
		close(fds[i]);
	return 0;
}
