/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hunt's connections: random operations at both ends, and the journal of what was done.
 *
 *   flows SEED COUNT PORT NETNS:IPV4:IPV6 NETNS:IPV4:IPV6      (the client's, the server's; NETNS
 *                                                      is a file, and IPv6 comes in brackets)
 *
 * COUNT connections, as many side by side as there are slots; each from a plan of its own (plan.c).
 * Prints a line of JSON for each when all its processes are gone. Ports PORT..PORT+199 are its own.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "flows.h"

enum { SLOTS = 20, LIMIT_S = 14 };

static void print_address(FILE *out, const char *name, const struct sockaddr_storage *a)
{
	const struct sockaddr_in *in = (const void *)a;
	const struct sockaddr_in6 *in6 = (const void *)a;
	char text[INET6_ADDRSTRLEN] = "";

	if (a->ss_family == AF_INET)
		inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
	else if (a->ss_family == AF_INET6)
		inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
	fprintf(out, ",\"%s\":[\"%s\",%u]", name, strncmp(text, "::ffff:", 7) ? text : text + 7,
		a->ss_family ? ntohs(in->sin_port) : 0);
}

static void print_end(FILE *out, const struct journal *j, int side)
{
	const struct told *t = &j->told[side];

	fprintf(out,
		"\"%s\":{\"pid\":%d,\"err\":%d,\"established\":%s,\"cookie\":\"%llx\",\"netns\":%llu,"
		"\"sent\":%llu,\"received\":%llu,\"linger2\":%d",
		side == CLIENT ? "client" : "server", t->pid, t->err,
		t->established ? "true" : "false", (unsigned long long)t->cookie,
		(unsigned long long)t->netns, (unsigned long long)j->sent[side],
		(unsigned long long)j->received[side], j->plan.side[side].linger2);
	print_address(out, "local", &t->local);
	print_address(out, "peer", &t->peer);
	fputs("}", out);
}

/* One write() for a line: those of other slots stand beside it. */
static void print_journal(const struct journal *j, unsigned number)
{
	static char line[1 << 15];
	FILE *out = fmemopen(line, sizeof(line), "w");
	unsigned n = j->calls_n < CALLS_MAX ? j->calls_n : CALLS_MAX;

	fprintf(out, "{\"number\":%u,\"way\":\"%s\",\"family\":%d,\"ports\":[%u,%u],", number,
		plan_way(j->plan.way), j->plan.family, j->plan.client_port, j->plan.port);
	print_end(out, j, CLIENT);
	fputs(",", out);
	print_end(out, j, SERVER);
	fputs(",\"calls\":[", out);
	for (unsigned i = 0; i < n; i++) {
		const struct call *c = &j->calls[i];

		fprintf(out, "%s[\"%s\",%d,\"%s\",%u,%d,%d,%llu,%llu]", i ? "," : "",
			c->side == CLIENT ? "client" : "server", c->pid, c->name ? c->name : "?",
			c->arg, c->result, c->err, (unsigned long long)c->begin_ns,
			(unsigned long long)c->end_ns);
	}
	fputs("]}\n", out);
	fflush(out);
	if (write(STDOUT_FILENO, line, (size_t)ftell(out)) < 0)
		_exit(1);
	fclose(out);
}

static void on_alarm(int number __attribute__((unused)))
{
}

/* All its processes are in a group of their own, and are gone when this returns. */
static void connection(const struct place *at, uint64_t seed, unsigned number, unsigned slot)
{
	struct journal *j = mmap(NULL, sizeof(*j), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t group;
	int status;

	if (j == MAP_FAILED)
		_exit(1);
	plan_make(&j->plan, seed, number, slot, at->port);
	group = fork();
	if (group == 0) {
		setpgid(0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		ends_run(j, at);
		_exit(0);
	}
	setpgid(group, group);
	alarm(LIMIT_S);
	while (wait(&status) > 0) /* whoever lost its parent is ours */
		;
	alarm(0);
	if (errno != ECHILD) {
		kill(-group, SIGKILL);
		while (wait(&status) > 0 || errno == EINTR)
			;
	}
	print_journal(j, number);
	munmap(j, sizeof(*j));
}

/* NETNS:IPV4:[IPV6] */
static void place_side(struct place *at, int side, char *text)
{
	char *v4 = strchr(text, ':'), *v6 = v4 ? strchr(v4 + 1, '[') : NULL;

	if (!v6 || !strchr(v6, ']')) {
		fprintf(stderr, "flows: %s: expected NETNS:IPV4:[IPV6]\n", text);
		exit(2);
	}
	*v4 = v6[-1] = *strchr(v6, ']') = 0;
	at->netns[side] = text;
	at->address[side][0] = v4 + 1;
	at->address[side][1] = v6 + 1;
}

int main(int argc, char **argv)
{
	struct sigaction quiet = {.sa_handler = on_alarm};
	struct place at = {0};
	unsigned count;

	if (argc != 6)
		return 2;
	count = (unsigned)atoi(argv[2]);
	at.port = (uint16_t)atoi(argv[3]);
	place_side(&at, CLIENT, argv[4]);
	place_side(&at, SERVER, argv[5]);
	signal(SIGPIPE, SIG_IGN);
	sigaction(SIGALRM, &quiet, NULL);
	for (unsigned slot = 0; slot < SLOTS; slot++) {
		if (fork())
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_CHILD_SUBREAPER, 1);
		for (unsigned i = slot; i < count; i += SLOTS)
			connection(&at, strtoull(argv[1], NULL, 10), i, slot);
		_exit(0);
	}
	while (wait(NULL) > 0)
		;
	return 0;
}
