/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the running kernel allows, found by trying it with programs of a few
 * instructions. Nothing of it stays.
 */
#ifndef TCPTRAIL_PROBE_H
#define TCPTRAIL_PROBE_H

#include <stdbool.h>
#include <stdint.h>

struct btf;

/* May a BTF tracepoint ask for a socket's cookie (5.12)? For the current task's type (5.11)? */
bool probe_cookie(const struct btf *btf);
bool probe_task_btf(const struct btf *btf);
/* ... for its registers in user space (5.15)? */
bool probe_task_regs(const struct btf *btf);
/* May programs hang before or behind this function? 0 or -errno. */
int probe_fentry(const struct btf *btf, const char *func, bool at_exit);
/* 0 or -errno. bytes: a power of two, whole pages. */
int probe_ring(uint64_t bytes);
/* Not even the smallest: it is BPF that is refused, not the memory. */
bool probe_bpf_refused(void);

/* File descriptors that may be open, the soft limit raised to it if it may: at most `wanted`. */
unsigned probe_fds(unsigned wanted);
/* Timer ticks a second: HZ is not exported, but a coarse clock's resolution is one tick. */
uint32_t probe_hz(void);
/* Does a bpf() call that only reads still work once the capabilities are gone? Not before about
 * 6.0 where unprivileged BPF is disabled. fd: a BPF program's. */
bool probe_bpf_without_caps(int prog_fd);
/* kernel.ftrace_enabled is 0. */
bool probe_ftrace_off(void);
/* The kernel is locked down so that BPF may not read its memory. */
bool probe_lockdown(void);

#endif
