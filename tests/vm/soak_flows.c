/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An hour's connections for a VM whose idle time is skipped, for tests/vm/soak.sh:
 *
 *   soak_flows burst PORT SECONDS EVERY COUNT   COUNT connections each EVERY seconds, for SECONDS
 *                                               after each byte of stdin; a line each time
 *   soak_flows hold PORT COUNT                  kept until stdin ends, alive by keepalive
 *   soak_flows count                            what a tracer tells on stdin, counted
 *
 * Both ends of a connection are in one process, so that it is known how many ends there were
 * and that each has ended. Each prints JSON lines. Must never connect elsewhere than to
 * loopback, nor keep more than numbers of what `count` reads: the VM's memory is small.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	HELD_MAX = 256,
	LATER_MAX = 2048,  /* ends that wait for their close() */
	IDS_MAX = 1 << 20, /* ends whose numbers `count` keeps: 8 MiB */
	KEEP_IDLE_S = 30,
	KEEP_EVERY_S = 10,
	FIN_LATE_S = 20,   /* into the FIN_WAIT_2 of the other end */
	FIN_TOO_LATE_S = 75, /* tcp_fin_timeout is over */
};

struct pair {
	int client, server;
};

struct later {
	int fd;
	double due_s;
};

static struct later later[LATER_MAX];
static unsigned later_head, later_len;

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void die(const char *what)
{
	fprintf(stderr, "soak_flows: %s: %s\n", what, strerror(errno));
	exit(2);
}

/* What it does now, for the one who asks why it hangs. */
static const char *doing = "nothing yet";

static void hangs(int sig)
{
	(void)sig;
	if (write(2, doing, strlen(doing)) > 0)
		_exit(3);
	_exit(2);
}

static struct sockaddr_in loopback(uint16_t port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(port) };

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return sin;
}

static int listen_on(uint16_t port)
{
	struct sockaddr_in at = loopback(port);
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at)) || listen(fd, 64))
		die("listen");
	return fd;
}

static int connect_to(uint16_t port)
{
	struct sockaddr_in to = loopback(port);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	doing = "connect()\n";
	if (fd < 0)
		die("socket");
	if (!connect(fd, (struct sockaddr *)&to, sizeof(to)))
		return fd;
	close(fd);
	return -1;
}

static struct pair pair_open(int listener, uint16_t port)
{
	struct pair p = { .client = connect_to(port) };

	doing = "accept()\n";
	p.server = p.client < 0 ? -1 : accept(listener, NULL, NULL);
	if (p.server < 0)
		die("connect and accept");
	return p;
}

static void say(int from, int to)
{
	char data[64] = "";

	doing = "send() and recv()\n";
	if (send(from, data, sizeof(data), MSG_NOSIGNAL) != sizeof(data) ||
	    recv(to, data, sizeof(data), MSG_WAITALL) != sizeof(data))
		die("exchange");
}

/* --- how a connection ends: each closes both ends, or leaves one to later ------------ */

static void client_first(struct pair p)
{
	close(p.client);
	close(p.server);
}

/* Its TIME_WAIT is at the server's port: the next SYN of the same ports takes it over. */
static void server_first(struct pair p)
{
	close(p.server);
	close(p.client);
}

static void by_reset(struct pair p)
{
	struct linger none = { .l_onoff = 1 };

	setsockopt(p.client, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	close(p.client);
	close(p.server);
}

static void half_closed(struct pair p)
{
	shutdown(p.client, SHUT_WR);
	say(p.server, p.client);
	close(p.server);
	close(p.client);
}

static void close_later(int fd, unsigned after_s)
{
	if (later_len == LATER_MAX) {
		errno = ENOBUFS;
		die("too many wait for their close");
	}
	later[(later_head + later_len++) % LATER_MAX] =
		(struct later){ .fd = fd, .due_s = now_s() + after_s };
}

static void fin_late(struct pair p)
{
	close(p.client);
	close_later(p.server, FIN_LATE_S);
}

static void fin_too_late(struct pair p)
{
	close(p.client);
	close_later(p.server, FIN_TOO_LATE_S);
}

static void (*const ends[])(struct pair) = {
	client_first, server_first, client_first, half_closed,
	client_first, by_reset,     server_first, client_first,
};

/* The few that take time: of each burst one or two. */
static void (*const slow_ends[])(struct pair) = { fin_late, fin_too_late };

/* Those due by now; the queue is not in the order of its times, so all are looked at. */
static void close_due(double now)
{
	for (unsigned n = later_len; n; n--) {
		struct later l = later[later_head];

		later_head = (later_head + 1) % LATER_MAX;
		later_len--;
		if (l.due_s <= now)
			close(l.fd);
		else
			later[(later_head + later_len++) % LATER_MAX] = l;
	}
}

/* One burst: COUNT connections, two ends each, and one connect() that is refused. */
static unsigned burst(int listener, uint16_t port, unsigned count, unsigned nth)
{
	const unsigned kinds = sizeof(ends) / sizeof(ends[0]);
	unsigned told = 0;

	for (unsigned i = 0; i < count; i++, told += 2) {
		struct pair p = pair_open(listener, port);

		say(p.client, p.server);
		say(p.server, p.client);
		if (i < 2)
			slow_ends[(nth + i) % 2](p);
		else
			ends[i % kinds](p);
	}
	if (connect_to(port + 1) >= 0)
		die("somebody listens");
	return told + 1;
}

static int mode_burst(uint16_t port, unsigned seconds, unsigned every, unsigned count)
{
	int listener = listen_on(port);
	char byte;

	signal(SIGALRM, hangs);
	while (alarm(0), read(0, &byte, 1) == 1) {
		double start = now_s();
		unsigned long made = 0;

		alarm(2 * seconds);
		for (unsigned n = 0; n * every < seconds; n++) {
			double wait = start + n * every - now_s();

			if (wait > 0)
				usleep((useconds_t)(wait * 1e6));
			close_due(now_s());
			made += burst(listener, port, count, n);
		}
		printf("{\"ends\":%lu,\"seconds\":%.0f}\n", made, now_s() - start);
		fflush(stdout);
	}
	close_due(1e18);
	close(listener);
	return 0;
}

static int mode_hold(uint16_t port, unsigned count)
{
	int on = 1, idle = KEEP_IDLE_S, every = KEEP_EVERY_S, listener = listen_on(port);
	struct pair held[HELD_MAX];
	char byte;

	if (count > HELD_MAX)
		return 2;
	for (unsigned i = 0; i < count; i++) {
		held[i] = pair_open(listener, port);
		if (setsockopt(held[i].client, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) ||
		    setsockopt(held[i].client, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle)) ||
		    setsockopt(held[i].client, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof(every)))
			die("keepalive");
	}
	printf("{\"held\":%u}\n", count);
	fflush(stdout);
	if (read(0, &byte, 1) < 0)
		die("stdin");
	for (unsigned i = 0; i < count; i++) {
		say(held[i].client, held[i].server); /* they were alive */
		client_first(held[i]);
	}
	printf("{\"ends\":%u}\n", 2 * count);
	return 0;
}

/* --- what the tracer told --------------------------------------------------------------- */

static const char *const time_waits[] = { "none", "running", "expired", "reused", "killed" };

enum { TIME_WAITS = sizeof(time_waits) / sizeof(time_waits[0]) };

struct told {
	unsigned long ends, twice, unnumbered, incomplete, time_wait[TIME_WAITS];
	size_t ids_len;
	uint64_t *ids;
};

static const char *after(const char *line, const char *key)
{
	const char *at = strstr(line, key);

	return at ? at + strlen(key) : NULL;
}

static void count_end(struct told *t, const char *line)
{
	const char *id = after(line, "\"tcp\":{\"socket_id\":\"");
	const char *tw = after(line, "\"time_wait\":\"");
	unsigned long long n = id ? strtoull(id, NULL, 16) : 0;

	t->ends++;
	t->incomplete += strstr(line, "\"incomplete\":true") != NULL;
	for (unsigned i = 0; tw && i < TIME_WAITS; i++)
		t->time_wait[i] += !strncmp(tw, time_waits[i], strlen(time_waits[i]));
	if (!n || t->ids_len == IDS_MAX)
		t->unnumbered++;
	else
		t->ids[t->ids_len++] = n;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void count_twice(struct told *t)
{
	qsort(t->ids, t->ids_len, sizeof(*t->ids), by_number);
	for (size_t i = 1; i < t->ids_len; i++)
		t->twice += t->ids[i] == t->ids[i - 1];
}

/* Its last line is the closing record: it is handed on. */
static int mode_count(void)
{
	struct told t = { .ids = calloc(IDS_MAX, sizeof(*t.ids)) };
	char *line = NULL, *last = NULL, *swap;
	size_t size = 0, last_size = 0, swap_size;

	if (!t.ids)
		return 2;
	while (getline(&line, &size, stdin) > 0) {
		if (strstr(line, "\"name\":\"tcp.connection\"")) {
			count_end(&t, line);
			continue;
		}
		swap = last, last = line, line = swap;
		swap_size = last_size, last_size = size, size = swap_size;
	}
	count_twice(&t);
	printf("{\"ends\":%lu,\"twice\":%lu,\"unnumbered\":%lu,\"incomplete\":%lu,\"time_wait\":{",
	       t.ends, t.twice, t.unnumbered, t.incomplete);
	for (unsigned i = 0; i < TIME_WAITS; i++)
		printf("%s\"%s\":%lu", i ? "," : "", time_waits[i], t.time_wait[i]);
	printf("}}\n%s", last ? last : "");
	free(line);
	free(last);
	free(t.ids);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned n[4] = { 0 };

	for (int i = 2; i < argc && i < 6; i++)
		n[i - 2] = (unsigned)atoi(argv[i]);
	if (argc == 6 && !strcmp(argv[1], "burst") && n[2])
		return mode_burst((uint16_t)n[0], n[1], n[2], n[3]);
	if (argc == 4 && !strcmp(argv[1], "hold"))
		return mode_hold((uint16_t)n[0], n[1]);
	if (argc == 2 && !strcmp(argv[1], "count"))
		return mode_count();
	fprintf(stderr,
		"usage: soak_flows burst PORT SECONDS EVERY COUNT | hold PORT COUNT | count\n");
	return 2;
}
