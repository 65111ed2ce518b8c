/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * What user space tells the kernel side before it is loaded (.rodata), and the
 * counters that the kernel side only ever adds to (.bss).
 *
 * All of it is constant once loaded, so that the verifier removes what is not
 * asked for: a filter that is not set costs nothing.
 */
#ifndef TCPTRAIL_TRACER_H
#define TCPTRAIL_TRACER_H

#include "event.h"

enum {
	TRACER_PORTS = 16,        /* ranges in one list */
	TRACER_METER_EVERY = 1024,/* cfg.meter: one run in so many is timed */
	TRACER_DROP_REASONS = 256,/* reasons of the core; a subsystem's carry its number above */
};

struct tracer_ports {
	__u16 lo;
	__u16 hi;
};

struct tracer_config {
	__u64 ring_wake;          /* a power of two: user space is woken each time that much more waits */
	__u64 cgroup;             /* filter: id of a cgroup; its descendants match too; 0: any */
	__u64 drop_reasons[TRACER_DROP_REASONS / 64]; /* bitmap of enum skb_drop_reason */
	__u32 cgroup_level;       /* how deep that cgroup is: the root is 0 */
	__u32 hz;                 /* jiffies a second */
	__u32 jiffy_us;
	__u32 pid;                /* filter: who owns it; 0: anyone */
	__u32 uid;                /* filter, if has_uid */
	__u32 netns;              /* filter: inode; 0: any */
	__u32 mib_keepalive;      /* LINUX_MIB_TCPKEEPALIVE */
	__u8 family;              /* filter: 4, 6, 0 any */
	__u8 has_uid;
	__u8 nlocal;
	__u8 npeer;
	__u8 neither;
	__u8 child_syn_recv;      /* LISTEN->SYN_RECV too */
	__u8 has_cookie;          /* bpf_get_socket_cookie() is allowed: from 5.12 */
	__u8 has_task_btf;        /* bpf_get_current_task_btf(): from 5.11 */
	__u8 meter;               /* time one run of on_set_state in 1,024 */
	/* Signatures that differ between kernels, asked of BTF: how many arguments. */
	__u8 retransmit_args;
	__u8 send_reset_args;
	__u8 kfree_skb_args;
	__u8 accept_args;
	__u8 check_req_args;
	__u8 req_gone_arg;        /* which argument is the request sock */
	__u8 count_fds;           /* iter/task_file: whose descriptors run out */
	__u8 stack;               /* --stack */
	__u8 has_task_regs;       /* bpf_task_pt_regs(): from 5.15 */
	__u8 early_ports;         /* filter: a local port that the kernel chooses may be one asked for */
	struct tracer_ports local[TRACER_PORTS];
	struct tracer_ports peer[TRACER_PORTS];
	struct tracer_ports either[TRACER_PORTS];
};

struct tracer_counters {
	__u64 lost[EV_KIND_MAX];  /* failed reserves, by what was not told */
	__u64 taken_over;         /* by on_set_state_again: misses of on_set_state that lost nothing */
	__u64 metered_runs;
	__u64 metered_ns;
	__u64 stack_pid;          /* whose stack was told last */
	__u64 looker;             /* the process that reads iter/task_file, which is ours; 0: none yet */
};

#endif
