/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes sockets that hang, notes when, and holds them until it is killed:
 *
 *   stuck_ages TAG half PORT    a connection whose client has shut down and whose server has
 *                               read that: a held FIN_WAIT_2 and a CLOSE_WAIT
 *   stuck_ages TAG orphan PORT  the same, but the client was closed: an orphan FIN_WAIT_2
 *   stuck_ages TAG syn IP:PORT  a SYN that nobody answers
 *
 * A line of JSON for every socket on stdout, with the state's entry between two times, then
 * nothing more. Runs in a VM of its own: no port is anybody else's.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { POLL_US = 1000, POLLS = 5000 };

static uint64_t realtime_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t cookie(int fd)
{
	uint64_t value = 0;
	socklen_t len = sizeof(value);

	if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &value, &len))
		die("SO_COOKIE");
	return value;
}

static unsigned state(int fd)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len))
		die("TCP_INFO");
	return info.tcpi_state;
}

static void until_state(int fd, unsigned wanted)
{
	for (unsigned i = 0; state(fd) != wanted; i++) {
		if (i == POLLS) {
			fprintf(stderr, "state %u, not %u\n", state(fd), wanted);
			exit(1);
		}
		usleep(POLL_US);
	}
}

/* A socket's names: asked while it is held. Without a cookie (0) where nobody asks for one: the
 * kernel makes it only then, and an orphan must be found all the same. */
struct names {
	uint64_t cookie;
	unsigned local, peer; /* ports */
};

static struct names names(int fd, bool ask)
{
	struct names n = {.cookie = 0};
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	if (getsockname(fd, (struct sockaddr *)&a, &len))
		die("getsockname");
	n.local = ntohs(a.sin_port);
	if (ask)
		n.cookie = cookie(fd);
	/* In SYN_SENT there is no peer yet: 0. */
	len = sizeof(a);
	if (!getpeername(fd, (struct sockaddr *)&a, &len))
		n.peer = ntohs(a.sin_port);
	return n;
}

/* What was made: its state began after `from_ns` and before now. fd < 0: nobody holds it. */
static void tell(const char *tag, const char *name, struct names n, int fd, uint64_t from_ns)
{
	printf("{\"tag\":\"%s\",\"state\":\"%s\",\"cookie\":\"%" PRIx64 "\",\"local\":%u,"
	       "\"peer\":%u,\"pid\":%d,\"fd\":%d,\"from_ns\":%" PRIu64 ",\"to_ns\":%" PRIu64
	       "}\n",
	       tag, name, n.cookie, n.local, n.peer, getpid(), fd, from_ns, realtime_ns());
}

static struct sockaddr_in address(const char *ip, const char *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};

	if (inet_pton(AF_INET, ip, &a.sin_addr) != 1)
		die(ip);
	return a;
}

static void half(const char *tag, const char *port, bool orphan)
{
	struct sockaddr_in a = address("127.0.0.1", port);
	int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
	struct names left;
	uint64_t from_ns;
	char byte;
	int server;

	if (bind(listener, (struct sockaddr *)&a, sizeof(a)) || listen(listener, 1))
		die("listen");
	if (connect(client, (struct sockaddr *)&a, sizeof(a)))
		die("connect");
	server = accept(listener, NULL, NULL);
	if (server < 0)
		die("accept");
	close(listener);
	left = names(client, !orphan);
	from_ns = realtime_ns();
	if (orphan ? close(client) : shutdown(client, SHUT_WR))
		die("close");
	until_state(server, TCP_CLOSE_WAIT);
	if (read(server, &byte, 1))
		die("read");
	if (!orphan)
		until_state(client, TCP_FIN_WAIT2);
	tell(tag, "close_wait", names(server, true), server, from_ns);
	tell(tag, "fin_wait_2", left, orphan ? -1 : client, from_ns);
}

static void syn(const char *tag, char *where)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	char *colon = strchr(where, ':');
	struct sockaddr_in a;
	struct names n;
	uint64_t from_ns = realtime_ns();

	if (!colon)
		die("IP:PORT");
	*colon = '\0';
	a = address(where, colon + 1);
	if (!connect(fd, (struct sockaddr *)&a, sizeof(a)) || errno != EINPROGRESS)
		die("connect");
	n = names(fd, true);
	n.peer = ntohs(a.sin_port);
	tell(tag, "syn_sent", n, fd, from_ns);
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	if (!strcmp(argv[2], "syn"))
		syn(argv[1], argv[3]);
	else
		half(argv[1], argv[3], !strcmp(argv[2], "orphan"));
	fflush(stdout);
	for (;;)
		pause();
}
