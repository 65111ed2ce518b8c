/* SPDX-License-Identifier: Apache-2.0 */
/*
 * churn: TCP connections on loopback, both ends on this host, to measure tracers by.
 *
 *   churn       connect, exchange a few bytes, close, over and over; prints the rate
 *   hold        N connections opened and kept until stdin ends or the time is over
 *   refused     connects to a port that nothing listens on
 *
 * Always: the client closes first, only 127.0.0.0/8 is used, the work is bounded by
 * a count or by seconds, every child ends with its parent, one JSON line is printed.
 * The source address rotates over 127.0.1.1 .. 127.0.1.16, so that TIME_WAIT does not
 * run out of ports. Must never sleep or look at the clock inside the exchange: what
 * is measured is the tracer, not this program.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

enum {
	WORKERS_MAX = 64,
	PAYLOAD_MAX = 65536,
	SOURCES = 16,
	SOURCE_RUN = 1024, /* connections from one source address before the next */
	CLOCK_EVERY = 64,  /* connections between two looks at the clock */
};

struct config {
	uint64_t count;    /* connections in all; 0: until seconds are over */
	double seconds;
	unsigned workers;  /* client processes, and as many server processes */
	unsigned payload;  /* bytes each way */
	bool pin;          /* each process to a CPU of its own, in turn */
	uint16_t port;     /* 0: the kernel picks */
	int listener;
};

/* One slot for each client process, in memory shared with the parent. */
struct tally {
	uint64_t done, failed;
	int first_errno;
};

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static struct sockaddr_in loopback(uint32_t host, uint16_t port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(port) };

	sin.sin_addr.s_addr = htonl(host);
	return sin;
}

/* A socket bound to 127.0.0.1:port, not yet listening; *port becomes the one it got. */
static int bind_loopback(uint16_t *port)
{
	struct sockaddr_in sin = loopback(INADDR_LOOPBACK, *port);
	socklen_t len = sizeof(sin);
	int one = 1, fd, err;

	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&sin, sizeof(sin)) ||
	    getsockname(fd, (struct sockaddr *)&sin, &len)) {
		err = -errno;
		close(fd);
		return err;
	}
	*port = ntohs(sin.sin_port);
	return fd;
}

/* Connects from the n-th connection's source address. The fd, or -errno. */
static int connect_nth(uint64_t n, uint16_t port)
{
	struct sockaddr_in from = loopback(0x7f000101 + (n / SOURCE_RUN) % SOURCES, 0);
	struct sockaddr_in to = loopback(INADDR_LOOPBACK, port);
	int one = 1, fd, err;

	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&from, sizeof(from)) ||
	    connect(fd, (struct sockaddr *)&to, sizeof(to))) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static int send_all(int fd, const char *data, size_t len)
{
	ssize_t n;

	for (; len; data += n, len -= (size_t)n) {
		n = send(fd, data, len, MSG_NOSIGNAL);
		if (n < 0)
			return -errno;
	}
	return 0;
}

static int recv_all(int fd, char *data, size_t len)
{
	ssize_t n;

	for (; len; data += n, len -= (size_t)n) {
		n = recv(fd, data, len, 0);
		if (n < 0)
			return -errno;
		if (!n)
			return -ECONNRESET;
	}
	return 0;
}

/* One connection, from connect() to close(). 0 or -errno. */
static int client_once(const struct config *cfg, uint64_t n, char *data)
{
	int fd, err;

	fd = connect_nth(n, cfg->port);
	if (fd < 0)
		return fd;
	err = send_all(fd, data, cfg->payload);
	if (!err)
		err = recv_all(fd, data, cfg->payload);
	close(fd);
	return err;
}

static int refused_once(const struct config *cfg, uint64_t n, char *data)
{
	int fd;

	(void)data;
	fd = connect_nth(n, cfg->port);
	if (fd == -ECONNREFUSED)
		return 0;
	if (fd < 0)
		return fd;
	close(fd);
	return -EISCONN;
}

/* The client's loop: its share of the count, or until the time is over. */
static void client_run(const struct config *cfg, unsigned worker, struct tally *t,
		       int (*once)(const struct config *, uint64_t, char *))
{
	uint64_t share = cfg->count / cfg->workers + (worker < cfg->count % cfg->workers);
	double deadline = cfg->seconds > 0 ? now_s() + cfg->seconds : 0;
	static char data[PAYLOAD_MAX];
	uint64_t n;
	int err;

	memset(data, 'x', sizeof(data));
	for (n = 0; !cfg->count || n < share; n++) {
		if (deadline > 0 && n % CLOCK_EVERY == 0 && now_s() >= deadline)
			break;
		/* workers start on different source addresses */
		err = once(cfg, n + (uint64_t)worker * SOURCE_RUN, data);
		if (!err) {
			t->done++;
			continue;
		}
		t->failed++;
		if (!t->first_errno)
			t->first_errno = -err;
	}
}

/* Answers what comes and lets the client close first; ends when the parent shuts the
 * listener down. */
static void server_run(const struct config *cfg)
{
	static char data[PAYLOAD_MAX];
	int fd, one = 1;

	for (;;) {
		fd = accept4(cfg->listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0) {
			if (errno == ECONNABORTED || errno == EINTR)
				continue;
			return;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (!recv_all(fd, data, cfg->payload) && !send_all(fd, data, cfg->payload))
			while (recv(fd, data, sizeof(data), 0) > 0)
				;
		close(fd);
	}
}

/* Left to the scheduler, a client and its server share a CPU in one run and not in the
 * next, and the rate differs threefold. */
static void pin_to(unsigned nth)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(nth % (cpus > 0 && cpus < CPU_SETSIZE ? (unsigned)cpus : 1), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* fork(); the child dies with its parent. nth: among all children, for pinning. */
static pid_t child_start(const struct config *cfg, unsigned nth)
{
	pid_t parent = getpid(), pid = fork();

	if (!pid) {
		if (cfg->pin)
			pin_to(nth);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
	}
	return pid;
}

/* Waits for n children; false if one failed. */
static bool children_wait(const pid_t *pids, unsigned n)
{
	bool good = true;
	int status;

	for (unsigned i = 0; i < n; i++) {
		if (pids[i] <= 0 || waitpid(pids[i], &status, 0) != pids[i] || status)
			good = false;
	}
	return good;
}

static void report(const char *mode, const struct tally *t, unsigned n, double seconds)
{
	uint64_t done = 0, failed = 0;
	int first = 0;

	for (unsigned i = 0; i < n; i++) {
		done += t[i].done;
		failed += t[i].failed;
		if (!first)
			first = t[i].first_errno;
	}
	printf("{\"mode\":\"%s\",\"connections\":%llu,\"failed\":%llu,\"seconds\":%.6f,"
	       "\"rate\":%.1f", mode, (unsigned long long)done, (unsigned long long)failed,
	       seconds, seconds > 0 ? (double)done / seconds : 0);
	if (first)
		printf(",\"error\":\"%s\"", strerror(first));
	printf("}\n");
	fflush(stdout);
}

/* churn and refused: servers (none for refused) and clients, timed around the clients. */
static int mode_churn(struct config *cfg, const char *mode)
{
	bool refused = !strcmp(mode, "refused"), good;
	pid_t servers[WORKERS_MAX], clients[WORKERS_MAX];
	struct tally *t;
	double start;

	t = mmap(NULL, sizeof(*t) * WORKERS_MAX, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (t == MAP_FAILED)
		return -errno;
	for (unsigned i = 0; !refused && i < cfg->workers; i++) {
		servers[i] = child_start(cfg, 2 * i + 1);
		if (!servers[i]) {
			server_run(cfg);
			_exit(0);
		}
	}
	start = now_s();
	for (unsigned i = 0; i < cfg->workers; i++) {
		clients[i] = child_start(cfg, 2 * i);
		if (!clients[i]) {
			client_run(cfg, i, &t[i], refused ? refused_once : client_once);
			_exit(0);
		}
	}
	good = children_wait(clients, cfg->workers);
	report(mode, t, cfg->workers, now_s() - start);
	if (!refused) {
		shutdown(cfg->listener, SHUT_RD); /* accept() returns EINVAL in every server */
		good = children_wait(servers, cfg->workers) && good;
	}
	for (unsigned i = 0; i < cfg->workers; i++)
		good = good && !t[i].failed;
	return good ? 0 : -ECHILD;
}

static void hold_server(const struct config *cfg)
{
	for (uint64_t n = 0; n < cfg->count; n++)
		if (accept4(cfg->listener, NULL, NULL, SOCK_CLOEXEC) < 0)
			_exit(1);
	pause();
}

/* Opens them all, says so, and keeps them until stdin ends or the time is over. The
 * parent's death ends the server's half. */
static int mode_hold(struct config *cfg)
{
	struct pollfd end = { .fd = 0, .events = POLLIN };
	struct tally t = { 0 };
	double start = now_s();
	pid_t server;
	char byte;
	int fd, left_ms = cfg->seconds > 0 ? (int)(cfg->seconds * 1e3) : -1;

	server = child_start(cfg, 1);
	if (!server)
		hold_server(cfg);
	if (server < 0)
		return -errno;
	while (t.done < cfg->count) {
		/* a short wait for the accept queue is the kernel's business: connect() blocks */
		fd = connect_nth(t.done, cfg->port);
		if (fd < 0) {
			t.failed++;
			t.first_errno = -fd;
			break;
		}
		t.done++;
	}
	report("hold", &t, 1, now_s() - start);
	while (!t.failed && poll(&end, 1, left_ms) > 0)
		if (read(0, &byte, 1) <= 0)
			break;
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	return t.failed ? -t.first_errno : 0;
}

static void usage(FILE *f)
{
	fprintf(f, "usage: churn [churn|hold|refused] [-n COUNT] [-s SECONDS] [-w WORKERS]\n"
		   "             [-b BYTES] [-l PORT] [-a]\n"
		   "  churn    connect, BYTES (64) each way, close; -n or -s bounds it\n"
		   "  hold     open COUNT connections, keep them until stdin ends or SECONDS pass\n"
		   "  refused  connect to PORT, on which nothing listens\n"
		   "  -a       each process to a CPU of its own, in turn\n"
		   "Prints one JSON line: mode, connections, failed, seconds, rate.\n");
}

static bool parse_number(const char *s, double min, double max, double *out)
{
	char *end;
	double v = strtod(s, &end);

	if (end == s || *end || !(v >= min && v <= max))
		return false;
	*out = v;
	return true;
}

/* 0; 2 after a mistake was shown. */
static int parse(struct config *cfg, int argc, char **argv)
{
	double v;
	int c;

	while ((c = getopt(argc, argv, "n:s:w:b:l:ah")) != -1) {
		bool good = c == 'a';

		cfg->pin = cfg->pin || c == 'a';
		if (c == 'h') {
			usage(stdout);
			exit(0);
		}
		if (c == 'n' && (good = parse_number(optarg, 1, 1e9, &v)))
			cfg->count = (uint64_t)v;
		if (c == 's' && (good = parse_number(optarg, 0.001, 86400, &v)))
			cfg->seconds = v;
		if (c == 'w' && (good = parse_number(optarg, 1, WORKERS_MAX, &v)))
			cfg->workers = (unsigned)v;
		if (c == 'b' && (good = parse_number(optarg, 1, PAYLOAD_MAX, &v)))
			cfg->payload = (unsigned)v;
		if (c == 'l' && (good = parse_number(optarg, 0, 65535, &v)))
			cfg->port = (uint16_t)v;
		if (!good) {
			if (c != '?')
				fprintf(stderr, "churn: -%c: bad value '%s'\n", c, optarg);
			usage(stderr);
			return 2;
		}
	}
	if (!cfg->count && cfg->seconds <= 0)
		cfg->seconds = 2;
	return 0;
}

/* hold needs a descriptor for each connection: to the hard limit, past it where root may. */
static void open_files_raise(uint64_t count)
{
	struct rlimit lim, more;

	if (getrlimit(RLIMIT_NOFILE, &lim))
		return;
	more.rlim_cur = more.rlim_max = count + 64 > lim.rlim_max ? count + 64 : lim.rlim_max;
	if (!setrlimit(RLIMIT_NOFILE, &more))
		return;
	lim.rlim_cur = lim.rlim_max;
	setrlimit(RLIMIT_NOFILE, &lim);
}

int main(int argc, char **argv)
{
	struct config cfg = { .workers = 1, .payload = 64 };
	const char *mode = "churn";
	int err;

	if (argc > 1 && argv[1][0] != '-') {
		mode = argv[1];
		argc--;
		argv++;
	}
	err = parse(&cfg, argc, argv);
	if (err)
		return err;
	if ((strcmp(mode, "churn") && strcmp(mode, "hold") && strcmp(mode, "refused")) ||
	    (!strcmp(mode, "hold") && !cfg.count)) {
		usage(stderr);
		return 2;
	}
	open_files_raise(strcmp(mode, "hold") ? 0 : cfg.count);
	cfg.listener = bind_loopback(&cfg.port);
	if (cfg.listener >= 0 && strcmp(mode, "refused") && listen(cfg.listener, SOMAXCONN))
		cfg.listener = -errno;
	if (cfg.listener < 0) {
		fprintf(stderr, "churn: 127.0.0.1:%u: %s\n", cfg.port, strerror(-cfg.listener));
		return 2;
	}
	err = strcmp(mode, "hold") ? mode_churn(&cfg, mode) : mode_hold(&cfg);
	return err ? 1 : 0;
}
