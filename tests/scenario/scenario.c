/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real TCP connections, made on purpose: `scenario NAME` makes those of one
 * scenario and then prints, one JSON object a line, what it did at each end. That
 * is the truth which tests/kernel/ holds the tracer's records against.
 *
 * A scenario runs in a child with a deadline, in a network namespace of its own
 * where it needs one; when it ends, or is killed, nothing of it is left. Only the
 * loopback and namespaces made here are ever used.
 *
 * Exit: 0 done; 77 skipped, with the reason; 1 failed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scenario.h"

static const struct scenario *const tables[] = {
	scenarios_close, scenarios_reset,  scenarios_handshake, scenarios_listen, scenarios_timer,
	scenarios_owner, scenarios_filter, scenarios_wire,	scenarios_mptcp,  scenarios_long,
};

enum { TABLES = sizeof(tables) / sizeof(tables[0]) };

static const struct {
	unsigned flag;
	const char *word;
} need_words[] = {
	{NEED_ROOT, "root"}, {NEED_NETNS, "netns"}, {NEED_VETH, "veth"}, {NEED_LONG, "long"},
};

struct settings {
	uint16_t port;
	unsigned hold_ms, count;
	bool release;
};

static void address_print(const struct sockaddr_storage *a)
{
	const struct sockaddr_in6 *six = (const void *)a;
	const struct sockaddr_in *four = (const void *)a;
	char text[INET6_ADDRSTRLEN] = "?";

	if (a->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) {
		inet_ntop(AF_INET, &six->sin6_addr.s6_addr[12], text, sizeof(text));
		printf("\"%s:%u\"", text, ntohs(six->sin6_port));
	} else if (a->ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &six->sin6_addr, text, sizeof(text));
		printf("\"[%s]:%u\"", text, ntohs(six->sin6_port));
	} else if (a->ss_family == AF_INET) {
		inet_ntop(AF_INET, &four->sin_addr, text, sizeof(text));
		printf("\"%s:%u\"", text, ntohs(four->sin_port));
	} else {
		printf("null");
	}
}

static void end_print(const struct run *r, const struct end *e)
{
	printf("{\"scenario\":\"%s\",\"conn\":\"%s\",\"role\":\"%s\",\"local\":", r->scenario->name,
	       e->conn, e->role == ROLE_CLIENT ? "client" : "server");
	address_print(&e->local);
	printf(",\"peer\":");
	address_print(&e->peer);
	if (e->cookie)
		printf(",\"cookie\":\"%" PRIx64 "\"", e->cookie);
	printf(",\"netns\":%" PRIu64 ",\"pid\":%d", e->netns, e->pid);
	if (e->closer)
		printf(",\"closer\":%d", e->closer);
	printf(",\"sent\":%" PRIu64 ",\"received\":%" PRIu64, e->sent, e->received);
	if (e->has_isn)
		printf(",\"isn_local\":%" PRIu32 ",\"isn_peer\":%" PRIu32, e->isn_local,
		       e->isn_peer);
	if (e->has_info)
		printf(",\"timestamps\":%s,\"sack\":%s,\"ecn\":%s,\"snd_wscale\":%u,"
		       "\"rcv_wscale\":%u,\"handshake_retransmits\":%" PRIu32,
		       e->options & TCPI_OPT_TIMESTAMPS ? "true" : "false",
		       e->options & TCPI_OPT_SACK ? "true" : "false",
		       e->options & TCPI_OPT_ECN ? "true" : "false", e->snd_wscale, e->rcv_wscale,
		       e->handshake_retransmits);
	if (e->has_retransmits)
		printf(",\"retransmits\":%" PRIu32, e->retransmits);
	printf("}\n");
}

/* The child: checks what is needed, makes the namespace, plays. Does not return. */
static void scenario_play(struct run *r)
{
	unsigned needs = r->scenario->needs;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, r->scenario->name);
	setpgid(0, 0);
	if (needs & (NEED_ROOT | NEED_NETNS | NEED_VETH) && geteuid() != 0)
		run_skip(r, "needs root");
	if (needs & NEED_NETNS)
		net_unshare(r);
	r->scenario->fn(r);
	_exit(0);
}

/* The deadline is a child that sleeps: no signal handler, no global. */
static int scenario_await(struct run *r, pid_t child)
{
	unsigned limit_s = (r->scenario->needs & NEED_LONG ? LIMIT_LONG_S : LIMIT_SHORT_S) +
			   r->hold_ms / 1000;
	pid_t clock, done;
	int status = 0, rc = 1;

	clock = fork();
	if (clock == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pause_ms(limit_s * 1000);
		_exit(0);
	}
	do
		done = wait(&status);
	while (done < 0 && errno == EINTR);
	if (done == clock)
		snprintf(r->why, sizeof(r->why), "not done after %u s", limit_s);
	else if (WIFEXITED(status))
		rc = WEXITSTATUS(status);
	else
		snprintf(r->why, sizeof(r->why), "died of signal %d", WTERMSIG(status));
	kill(-child, SIGKILL);
	if (clock > 0)
		kill(clock, SIGKILL);
	while (wait(NULL) > 0 || errno == EINTR)
		;
	return rc;
}

static int scenario_run(const struct scenario *s, const struct settings *set)
{
	struct run *r = mmap(NULL, sizeof(*r), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			     -1, 0);
	unsigned nends;
	pid_t child;
	int rc;

	if (r == MAP_FAILED) {
		fprintf(stderr, "scenario: mmap: %s\n", strerror(errno));
		return 1;
	}
	r->scenario = s;
	r->port = set->port;
	r->hold_ms = set->hold_ms;
	r->count = set->count;
	r->release = set->release;
	fflush(stdout);
	child = fork();
	if (child == 0)
		scenario_play(r);
	rc = child < 0 ? 1 : scenario_await(r, child);
	nends = atomic_load(&r->nends);
	for (unsigned i = 0; i < nends && i < ENDS_MAX && rc == 0; i++)
		end_print(r, &r->ends[i]);
	if (rc) {
		printf("{\"scenario\":\"%s\",\"%s\":\"%s\"}\n", s->name,
		       rc == EXIT_SKIP ? "skipped" : "failed", r->why);
		fprintf(stderr, "scenario %s: %s: %s\n", s->name,
			rc == EXIT_SKIP ? "skipped" : "failed", r->why);
	}
	munmap(r, sizeof(*r));
	return rc;
}

static int scenario_list(void)
{
	for (unsigned t = 0; t < TABLES; t++) {
		for (const struct scenario *s = tables[t]; s->name; s++) {
			printf("%-24s %s [", s->name, s->makes);
			for (unsigned i = 0; i < sizeof(need_words) / sizeof(need_words[0]); i++)
				if (s->needs & need_words[i].flag)
					printf(" %s", need_words[i].word);
			printf(" ]\n");
		}
	}
	return 0;
}

/* A name, or `all` (the short ones) or `long`; each run has a port of its own. */
static int scenario_select(const char *name, struct settings *set)
{
	bool all = !strcmp(name, "all"), lengthy = !strcmp(name, "long");
	bool found = false;
	int worst = 0;

	for (unsigned t = 0; t < TABLES; t++) {
		for (const struct scenario *s = tables[t]; s->name; s++) {
			bool is_long = s->needs & NEED_LONG;
			int rc;

			if (!(all && !is_long) && !(lengthy && is_long) && strcmp(name, s->name))
				continue;
			found = true;
			rc = scenario_run(s, set);
			set->port++;
			if (rc == 1 || (rc && !worst))
				worst = rc;
		}
	}
	if (!found) {
		fprintf(stderr, "scenario: no scenario \"%s\"; --list names them\n", name);
		return 2;
	}
	return all || lengthy ? (worst == 1) : worst;
}

static int usage(int rc)
{
	fprintf(rc ? stderr : stdout,
		"scenario --list\n"
		"scenario NAME|all|long [--port P] [--hold MS] [--release] [--count N]\n"
		"  --port P   the server's port (24000)\n"
		"  --hold MS  how long a state is held that is there to be seen (300)\n"
		"  --release  hold until stdin ends, MS at most; says \"held\" on stderr\n"
		"  --count N  churn: how many connections (100)\n");
	return rc;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"list", no_argument, NULL, 'l'},	 {"port", required_argument, NULL, 'p'},
		{"hold", required_argument, NULL, 'H'},	 {"count", required_argument, NULL, 'n'},
		{"release", no_argument, NULL, 'r'},	 {"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	struct settings set = {.port = 24000, .hold_ms = 300, .count = 100};
	int opt;

	signal(SIGPIPE, SIG_IGN);
	while ((opt = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (opt) {
		case 'l':
			return scenario_list();
		case 'p':
			set.port = (uint16_t)strtoul(optarg, NULL, 10);
			break;
		case 'H':
			set.hold_ms = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'r':
			set.release = true;
			break;
		case 'n':
			set.count = (unsigned)strtoul(optarg, NULL, 10);
			break;
		default:
			return usage(opt == 'h' ? 0 : 2);
		}
	}
	if (optind + 1 != argc || !set.port || !set.count || set.count > ENDS_MAX / 2)
		return usage(2);
	return scenario_select(argv[optind], &set);
}
