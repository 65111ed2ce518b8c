/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * What all programs share: the configuration, the counters, the maps. Defined in
 * common.bpf.c, joined by the linker.
 */
#ifndef TCPTRAIL_COMMON_BPF_H
#define TCPTRAIL_COMMON_BPF_H

#include "kernel.h"
#include "tracer.h"

extern const volatile struct tracer_config cfg;
extern struct tracer_counters counters;

struct ring_map {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 23); /* user space sets it */
};

/* Sockets that the process of the pid filter owns. A child inherits its listener's mark. */
struct mine_map {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, __u8);
};

/* Where a tracepoint may not ask for the socket's cookie (5.10): our own number for it. */
struct id_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 18);
	__type(key, __u64);
	__type(value, __u64);
};

extern struct ring_map ring SEC(".maps");
extern struct mine_map mine SEC(".maps");
extern struct id_map ids SEC(".maps");

/* An argument or a result whose place differs between kernels is loaded inside one branch by
 * hand: the compiler would make one load from a chosen address, which the verifier refuses. */
#define CTX_LOAD(ctx, index)                                            \
	({                                                              \
		__u64 value;                                            \
		asm volatile("%0 = *(u64 *)(%1 + %2)"                   \
			     : "=r"(value)                              \
			     : "r"(ctx), "i"((index) * sizeof(__u64))); \
		value;                                                  \
	})

#endif
