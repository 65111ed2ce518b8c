/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the rules of `stuck` need beside the sockets: limits and counts of the host,
 * of a network namespace, of a process. They come as EV_FACT through the stream, so
 * a recording has them too. A fact that nobody told is FACT_UNKNOWN.
 */
#ifndef TCPTRAIL_FACTS_H
#define TCPTRAIL_FACTS_H

#include <stdbool.h>
#include <stdint.h>

struct event;

/* Numbers are part of recordings: add, never change. */
enum fact {
	FACT_NONE,
	/* of the host */
	FACT_ORPHANS,             /* /proc/net/sockstat: orphan */
	FACT_MAX_ORPHANS,         /* net.ipv4.tcp_max_orphans */
	FACT_NETNS_SEEN,          /* namespaces whose sockets were walked */
	FACT_NETNS_UNSEEN,        /* namespaces that could not be entered */
	FACT_PROCS_HIDDEN,        /* processes whose namespace could not even be looked up */
	/* of a network namespace */
	FACT_FIN_TIMEOUT_S,       /* net.ipv4.tcp_fin_timeout */
	FACT_PORT_LO,             /* net.ipv4.ip_local_port_range */
	FACT_PORT_HI,
	FACT_TIME_WAIT,           /* sockstat: tw */
	FACT_MAX_TW_BUCKETS,      /* net.ipv4.tcp_max_tw_buckets */
	FACT_TW_REUSE,            /* net.ipv4.tcp_tw_reuse */
	FACT_RETRIES2,            /* net.ipv4.tcp_retries2 */
	FACT_ORPHAN_RETRIES,      /* net.ipv4.tcp_orphan_retries */
	FACT_SYN_RETRIES,         /* net.ipv4.tcp_syn_retries */
	FACT_SYN_LINEAR,          /* net.ipv4.tcp_syn_linear_timeouts (6.5) */
	FACT_SOMAXCONN,           /* net.core.somaxconn */
	FACT_SYN_BACKLOG,         /* net.ipv4.tcp_max_syn_backlog */
	FACT_SYN_COOKIES,         /* net.ipv4.tcp_syncookies */
	/* of a process */
	FACT_FD_USED,
	FACT_FD_LIMIT,            /* RLIMIT_NOFILE, soft */
	FACT_COUNT,
	FACT_FIRST_NETNS = FACT_FIN_TIMEOUT_S,
	FACT_FIRST_PROC = FACT_FD_USED,
};

#define FACT_UNKNOWN UINT64_MAX

struct proc_fds {
	uint32_t pid;
	uint64_t used, limit;
};

enum { FACTS_NETNS = 256, FACTS_PROCS = 4096 };

struct sysfacts;

struct sysfacts *facts_new(void);
void facts_free(struct sysfacts *f);
void facts_take(struct sysfacts *f, const struct event *e);

/* netns matters to a namespace's facts; one that was not told gives the first namespace's own,
 * as namespaces start with the same defaults. */
uint64_t facts_get(const struct sysfacts *f, enum fact id, uint32_t netns);
/* The same, with what the kernel's default is where nobody told. */
uint64_t facts_or(const struct sysfacts *f, enum fact id, uint32_t netns, uint64_t otherwise);

unsigned facts_netns_count(const struct sysfacts *f);
uint32_t facts_netns_at(const struct sysfacts *f, unsigned i);
unsigned facts_procs(const struct sysfacts *f);
bool facts_netns_told(const struct sysfacts *f, uint32_t netns);
const struct proc_fds *facts_proc_at(const struct sysfacts *f, unsigned i);
/* NULL when not told. */
const struct proc_fds *facts_proc(const struct sysfacts *f, uint32_t pid);

#endif
