/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Losing segments on the way to one socket, with nothing but that socket.
 *
 * A classic BPF filter on a TCP socket (SO_ATTACH_FILTER) is asked for every
 * segment before TCP sees it, the TCP header first; 0 throws the segment away. It
 * needs no privilege, no firewall and no namespace, and it goes with the socket.
 * A listener's filter is asked for SYNs and final ACKs, and its children inherit
 * it. A timewait minisock has none: nothing can be lost on the way to it here
 * (wire.c does that).
 */
#include <errno.h>
#include <linux/filter.h>
#include <string.h>
#include <sys/socket.h>

#include "scenario.h"

enum { FLAG_FIN = 1, FLAG_SYN = 2, FLAG_RST = 4, FLAG_ACK = 16, FLAGS_AT = 13, OFFSET_AT = 12 };

#define PASS BPF_STMT(BPF_RET | BPF_K, 0xffffffff)
#define LOSE BPF_STMT(BPF_RET | BPF_K, 0)
#define LOAD(at) BPF_STMT(BPF_LD | BPF_B | BPF_ABS, at)
#define IF_ANY(flags, yes, no) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, flags, yes, no)

static struct sock_filter lose_all[] = {LOSE};
static struct sock_filter lose_syn[] = {LOAD(FLAGS_AT), IF_ANY(FLAG_SYN, 1, 0), PASS, LOSE};
static struct sock_filter lose_fin[] = {LOAD(FLAGS_AT), IF_ANY(FLAG_FIN, 1, 0), PASS, LOSE};
static struct sock_filter lose_rst[] = {LOAD(FLAGS_AT), IF_ANY(FLAG_RST, 1, 0), PASS, LOSE};
/* Neither SYN nor RST: a final ACK, data or not. */
static struct sock_filter lose_ack[] = {
	LOAD(FLAGS_AT), IF_ANY(FLAG_SYN | FLAG_RST, 0, 1), PASS, LOSE,
};
/* Longer than its header. */
static struct sock_filter lose_data[] = {
	LOAD(OFFSET_AT),
	BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 4),
	BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 2),
	BPF_STMT(BPF_MISC | BPF_TAX, 0),
	BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
	BPF_JUMP(BPF_JMP | BPF_JGT | BPF_X, 0, 1, 0),
	PASS,
	LOSE,
};

#define PROGRAM(p) {.len = sizeof(p) / sizeof((p)[0]), .filter = (p)}

static const struct sock_fprog programs[] = {
	[LOSE_ALL] = PROGRAM(lose_all), [LOSE_SYN] = PROGRAM(lose_syn),
	[LOSE_ACK] = PROGRAM(lose_ack), [LOSE_FIN] = PROGRAM(lose_fin),
	[LOSE_RST] = PROGRAM(lose_rst), [LOSE_DATA] = PROGRAM(lose_data),
};

void loss_start(struct run *r, int fd, enum loss what)
{
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &programs[what], sizeof(programs[what])) <
	    0)
		run_fail(r, "SO_ATTACH_FILTER: errno %d", errno);
}

void loss_stop(struct run *r, int fd)
{
	int unused = 0;

	if (setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof(unused)) < 0)
		run_fail(r, "SO_DETACH_FILTER: errno %d", errno);
}
