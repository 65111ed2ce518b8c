/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Privilege: have CAP_BPF and CAP_PERFMON to load and attach, have none after.
 */
#ifndef TCPTRAIL_CAPS_H
#define TCPTRAIL_CAPS_H

#include <stdbool.h>
#include <stddef.h>

/* 0, or -EPERM with one line in msg: what is missing and the command that gives it. */
int caps_check(char *msg, size_t msg_len);
/* CAP_SYS_ADMIN and CAP_SYS_PTRACE, of what it has: bits of enum reach. */
unsigned caps_reach(void);
/* Gives up every capability but those to keep, and the way to new ones. CAP_SYS_PTRACE is kept only
 * where it was there. 0 or -errno. */
int caps_drop(bool keep_bpf, bool keep_net_admin, bool keep_ptrace);

#endif
