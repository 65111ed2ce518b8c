/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the rooms of the hunt's generator share: a connection's plan, made of its number alone, and
 * the journal in which everybody who acts on it writes down what was called and what came of it.
 */
#ifndef FLOWS_H
#define FLOWS_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { OPS_MAX = 8, CALLS_MAX = 96, SIDES = 2, CLIENT = 0, SERVER = 1 };

enum op {
	OP_SEND, OP_RECV, OP_DRAIN, OP_SHUT_RD, OP_SHUT_WR, OP_SHUT_BOTH, OP_CLOSE, OP_RESET,
	OP_LINGER, OP_HOLD, OP_PASS, OP_PAUSE, OP_MEET, OP_KILL, OP_EXIT, OP_DISCONNECT, OPS,
};

/* How the server's end comes to be. */
enum way { WAY_ACCEPT, WAY_LATE, WAY_NEVER, WAY_NOBODY, WAY_BOTH_CONNECT, WAY_ABANDON, WAYS };

enum family { FAMILY_4, FAMILY_6, FAMILY_MAPPED, FAMILIES };

struct todo {
	enum op op;
	uint32_t arg; /* bytes, us, or what a holder does */
};

struct side_plan {
	struct todo ops[OPS_MAX];
	unsigned n;
	int rcvbuf, sndbuf;    /* 0: the kernel's own */
	int linger2;           /* 0: the kernel's own */
	int user_timeout_ms;
	bool keepalive;
};

struct plan {
	enum way way;
	enum family family;
	uint16_t port, client_port; /* client_port 0: ephemeral */
	uint32_t late_us;
	struct side_plan side[SIDES];
};

/* One system call. */
struct call {
	int pid, side, result, err;
	const char *name;
	uint32_t arg;
	uint64_t begin_ns, end_ns; /* CLOCK_MONOTONIC */
};

/* An end as the process knows it that connected or accepted. */
struct told {
	int pid;               /* 0: nobody ever had it */
	int err;               /* of connect() or accept() */
	bool established;
	uint64_t cookie, netns;
	struct sockaddr_storage local, peer;
};

/* Shared by all processes of a connection. */
struct journal {
	struct plan plan;
	struct told told[SIDES];
	_Atomic uint64_t sent[SIDES], received[SIDES]; /* what send() took, what recv() gave */
	atomic_uint met, ready, calls_n;
	struct call calls[CALLS_MAX];
};

struct place {
	const char *netns[SIDES];
	const char *address[SIDES][2]; /* IPv4, IPv6 */
	uint16_t port;                 /* first of those of this run */
};

/* plan.c */
void plan_make(struct plan *p, uint64_t seed, unsigned number, unsigned slot, uint16_t port);
const char *plan_way(enum way w);

/* act.c: runs a plan on a connected socket, and ends the process */
void act(struct journal *j, int side, int fd) __attribute__((noreturn));
/* What name(arg) began at `begin` gave; its errno is read. Returns the result. */
int note(struct journal *j, int side, const char *name, uint32_t arg, uint64_t begin, long result);
uint64_t now_ns(void);
void pause_us(uint32_t us);

/* ends.c: makes the two ends of a connection and acts on them, in processes of their own */
void ends_run(struct journal *j, const struct place *at);

#endif
