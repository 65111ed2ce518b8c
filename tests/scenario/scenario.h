/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the rooms of the scenario program share: the run, the ends that it made,
 * and the verbs that make them.
 *
 * A scenario runs in a process of its own that may die at any line: every verb
 * below either does what it says or ends that process with the reason
 * (run_fail()), and the kernel then cleans up sockets and namespaces. What was
 * made is written down in memory shared with the supervisor (struct run).
 */
#ifndef SCENARIO_H
#define SCENARIO_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	ENDS_MAX = 2048,
	EXIT_SKIP = 77,
	NAME_MAX_LEN = 32,
	LIMIT_SHORT_S = 60,   /* for one that is not `long`: it takes 4 where nobody wants the CPUs */
	LIMIT_LONG_S = 9000,  /* virtual time: a default keepalive takes 7,875 s */
};

/* What a scenario needs; unmet, it is skipped with a reason. */
enum {
	NEED_ROOT = 1 << 0,
	NEED_NETNS = 1 << 1,  /* runs in a network namespace of its own */
	NEED_VETH = 1 << 2,   /* and needs the veth driver */
	NEED_LONG = 1 << 3,   /* waits for timers of a minute and more */
};

/* The kernel's numbers; netinet/tcp.h, which has them, cannot stand beside linux/tcp.h. */
enum {
	STATE_ESTABLISHED = 1,
	STATE_FIN_WAIT_2 = 5,
	STATE_TIME_WAIT = 6,
	STATE_CLOSED = 7,
	STATE_CLOSE_WAIT = 8,
};

enum role { ROLE_CLIENT, ROLE_SERVER };

/* One end of one connection, as whoever made it knows it. */
struct end {
	char conn[NAME_MAX_LEN];  /* which connection of the scenario */
	enum role role;
	struct sockaddr_storage local, peer;
	uint64_t cookie;          /* SO_COOKIE; 0: nobody ever held a descriptor of it */
	uint64_t netns;           /* inode */
	pid_t pid;                /* who connected or accepted */
	pid_t closer;             /* who closed it last; 0: not said */
	uint64_t sent, received;  /* payload bytes */
	bool has_info;            /* TCP_INFO below */
	uint8_t options;          /* TCPI_OPT_* */
	uint8_t snd_wscale, rcv_wscale;
	uint32_t handshake_retransmits; /* tcpi_total_retrans then: SYNs, or SYN-ACKs, sent again */
	bool has_isn;             /* TCP_REPAIR told the sequence numbers */
	uint32_t isn_local, isn_peer;
	bool has_retransmits;
	uint32_t retransmits;     /* tcpi_total_retrans, just before the end */
};

/* Shared between the supervisor and every process of a scenario. */
struct run {
	const struct scenario *scenario;
	uint16_t port;            /* the server's */
	unsigned hold_ms;         /* how long a state is held that is there to be seen */
	bool release;             /* or until stdin ends, if that is sooner; it says when it holds */
	unsigned count;           /* churn: how many connections */
	char why[256];            /* why it failed or was skipped */
	atomic_uint nends;
	struct end ends[ENDS_MAX];
};

struct scenario {
	const char *name;
	const char *makes;        /* one line: what can be seen at its ends */
	void (*fn)(struct run *r);
	unsigned needs;
};

/* The table, a slice from each room; terminated by a row without name. */
extern const struct scenario scenarios_close[], scenarios_reset[], scenarios_handshake[],
	scenarios_listen[], scenarios_timer[], scenarios_owner[], scenarios_filter[],
	scenarios_wire[], scenarios_mptcp[], scenarios_long[];

/* ---- run (run.c): how a scenario's process ends and waits ---- */
void run_fail(struct run *r, const char *fmt, ...)
	__attribute__((noreturn, format(printf, 2, 3)));
void run_skip(struct run *r, const char *fmt, ...)
	__attribute__((noreturn, format(printf, 2, 3)));
void pause_ms(unsigned ms);
/* Holds the state that is there to be seen. */
void run_hold(struct run *r);
/* fork() that dies with its parent. 0 in the child. */
pid_t run_fork(struct run *r);
void run_wait(struct run *r, pid_t pid);

/* ---- ends (ends.c) ---- */
struct end *end_new(struct run *r, const char *conn, enum role role);
/* Takes down who holds fd now: addresses, cookie, namespace, options, ISNs. */
void end_describe(struct run *r, struct end *e, int fd);
/* The addresses of an end that nobody holds, from its peer's. */
void end_mirror(struct end *e, const struct end *peer);
void end_send(struct run *r, struct end *e, int fd, size_t bytes);
void end_receive(struct run *r, struct end *e, int fd, size_t bytes);
/* Reads up to the end of file. */
void end_drain(struct run *r, struct end *e, int fd);
/* Waits for an error on a socket (ETIMEDOUT ...), bounded; fails on any other. */
void end_await_error(struct run *r, int fd, int err, unsigned limit_ms);
/* Bounded waits for what a segment brings about: it may be on its way for as long as a busy
 * machine likes, and an ACK be delayed. The kernel's state; bytes in order, unread; nothing in
 * flight; connections in a listener's accept queue. */
void end_await_state(struct run *r, int fd, unsigned state);
void end_await_unread(struct run *r, int fd, unsigned bytes);
void end_await_acked(struct run *r, int fd);
void sock_await_queued(struct run *r, int listener, unsigned connections);
void end_count_retransmits(struct run *r, struct end *e, int fd);
void end_close(struct end *e, int fd);

/* ---- sockets (ends.c) ---- */
int sock_new(struct run *r, int family);
void sock_address(struct sockaddr_storage *a, int family, uint16_t port);
void sock_bind(struct run *r, int fd, const struct sockaddr_storage *a);
int sock_listen(struct run *r, int family, int backlog);
/* Starts to connect, without waiting. */
void sock_connect_start(struct run *r, int fd, const struct sockaddr_storage *a);
void sock_connect_finish(struct run *r, int fd, unsigned limit_ms);
int sock_accept(struct run *r, int listener);
void sock_option(struct run *r, int fd, int level, int name, int value);
void sock_linger_reset(struct run *r, int fd);
/* A client of r->port on the loopback whose SYN is out. */
int client_start(struct run *r, struct end **e, const char *conn);

/* A connection over the loopback, both ends held here. */
struct pair {
	int client, server, listener;
	struct end *c, *s;
};
void pair_open(struct run *r, struct pair *p, const char *conn, int family);
/* The same, with a listener that is there already. */
void pair_join(struct run *r, struct pair *p, const char *conn, int family, int listener);
/* The client closes first and both sides see every byte: what is left when the scenario's
 * point has been made elsewhere. */
void pair_finish(struct run *r, struct pair *p);

/* ---- losses (loss.c): segments that a socket never gets to see ---- */
enum loss { LOSE_ALL, LOSE_SYN, LOSE_ACK, LOSE_FIN, LOSE_RST, LOSE_DATA };
void loss_start(struct run *r, int fd, enum loss what);
void loss_stop(struct run *r, int fd);

/* ---- network (net.c): namespaces, links, system controls ---- */
void net_loopback_up(struct run *r);
void net_unshare(struct run *r);
int net_open(struct run *r);             /* a descriptor of the present namespace */
void net_enter(struct run *r, int netns);
uint64_t net_inode(void);
/* Waits for the state of an end that nobody holds (IPv4, in the present namespace), a minisock's
 * too; 0: until it is gone. Bounded. */
void net_await_state(struct run *r, const struct end *e, unsigned state);
/* Only ever in a namespace of our own. */
void net_sysctl(struct run *r, const char *name, const char *value);
/* Skips where this kernel lacks it. */
void net_veth(struct run *r, const char *here, int netns, const char *there);
void net_up(struct run *r, const char *ifname, const char *address);
void net_plain(struct run *r, const char *ifname); /* no checksum or segmentation offload */

/* ---- rules (rules.c): a packet filter, in a namespace of our own ---- */
/* One rule at this hook of the namespace; skips where it cannot be had. */
void rules_set(struct run *r, const char *hook, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void rules_clear(struct run *r);

/* ---- wire (wire.c): two namespaces and whoever carries frames between them ---- */
enum wire_rule {
	WIRE_PASS,
	WIRE_CUT,       /* every frame is lost */
	WIRE_HOLD_SYN,  /* kept until the next rule */
	WIRE_HOLD_FIN,
	WIRE_REFUSE,    /* a SYN is answered by ICMP "administratively prohibited" */
};
struct wire_control;
struct wire {
	int left, right;          /* namespaces */
	struct in_addr left_address, right_address;
	struct wire_control *control;
	pid_t carrier;
};
void wire_open(struct run *r, struct wire *w);
void wire_rule(struct run *r, struct wire *w, enum wire_rule rule);
void wire_await_held(struct run *r, struct wire *w, unsigned frames);
void wire_await_cut(struct run *r, struct wire *w, unsigned frames); /* of TCP, since it opened */
void wire_repeat(struct run *r, struct wire *w); /* sends the last frame with data again */
void wire_pair(struct run *r, const struct wire *w, struct pair *p, const char *conn);

#endif
