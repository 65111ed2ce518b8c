/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The kernel's structures as far as we read them. Offsets are not ours: every
 * access is relocated against the running kernel's BTF when the programs are
 * loaded, so that no dump of some kernel's types is needed to build.
 *
 * A field that moved between kernels stands here once for each place, in a type
 * named ___something (libbpf ignores the suffix); bpf_core_field_exists() picks.
 */
#ifndef TCPTRAIL_KERNEL_H
#define TCPTRAIL_KERNEL_H

#include <stdbool.h>
#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

/* Not in BTF: macros and anonymous enums of the kernel that never change. */
enum {
	AF_INET = 2,
	AF_INET6 = 10,
	IPPROTO_TCP = 6,
	SOCK_FLAG_DEAD = 1 << 0, /* enum sock_flags */
	SOCK_FLAG_DONE = 1 << 1,
	TASK_KTHREAD = 0x00200000,
	ECN_OK = 1 << 0 | 1 << 4, /* tcp_sock.ecn_flags: RFC 3168, or AccECN from 6.18 */
};

/* include/net/tcp_states.h */
enum {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT,
	TCP_SYN_RECV,
	TCP_FIN_WAIT1,
	TCP_FIN_WAIT2,
	TCP_TIME_WAIT,
	TCP_CLOSE,
	TCP_CLOSE_WAIT,
	TCP_LAST_ACK,
	TCP_LISTEN,
	TCP_CLOSING,
	TCP_NEW_SYN_RECV,
};

/* icsk_pending, icsk_ack.pending: include/net/inet_connection_sock.h */
enum {
	ICSK_TIME_RETRANS = 1,
	ICSK_TIME_DACK = 2,
	ICSK_TIME_PROBE0 = 3,
	ICSK_TIME_LOSS_PROBE = 5,
	ICSK_TIME_REO_TIMEOUT = 6,
	ICSK_ACK_TIMER = 2,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct in6_addr {
	union {
		__u8 u6_addr8[16];
	} in6_u;
};

struct ns_common {
	unsigned int inum;
};

struct net {
	struct ns_common ns;
};

/* How many hold the namespace: 0 while it is destroyed. */
struct net___510 {
	struct {
		struct {
			int counter;
		} refs;
	} count;
};

struct ns_common___511 {
	struct {
		struct {
			int counter;
		} refs;
	} count;
};

struct ns_common___618 {
	struct {
		struct {
			int counter;
		} refs;
	} __ns_ref;
};

struct kernfs_node {
	__u64 id;
};

struct cgroup {
	int level;
	struct kernfs_node *kn;
	struct cgroup *ancestors[];
};

/* Before 6.1 a cgroup knew its ancestors by id. */
struct cgroup___5 {
	__u64 ancestor_ids[1];
};

struct css_set {
	struct cgroup *dfl_cgrp;
};

struct cred {
	struct {
		__u32 val;
	} uid;
};

struct file {
	void *private_data;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct rlimit {
	unsigned long rlim_cur;
};

struct signal_struct {
	struct rlimit rlim[16];
};

struct task_struct {
	unsigned int flags;
	__u64 start_boottime;
	__u64 self_exec_id;
	int pid;
	int tgid;
	struct task_struct *group_leader;
	const struct cred *cred;
	char comm[16];
	struct files_struct *files;
	struct signal_struct *signal;
	struct css_set *cgroups;
};

/* x86, arm64, riscv; where the stack pointer has another name it is not asked for. */
struct pt_regs {
	unsigned long sp;
};

struct timer_list {
	struct {
		void *pprev; /* NULL: not armed */
	} entry;
	unsigned long expires;
};

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	int skc_bound_dev_if;
	struct {
		struct net *net;
	} skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	struct {
		__s64 counter;
	} skc_cookie;
	unsigned long skc_flags;
	struct sock *skc_listener; /* of a request sock */
	__u32 skc_tw_rcv_nxt;
	__u32 skc_tw_snd_nxt;
};

struct sock_cgroup_data {
	struct cgroup *cgroup;
};

/* To 5.14: a tagged pointer. */
struct sock_cgroup_data___5 {
	__u64 val;
};

struct socket;

struct sock {
	struct sock_common __sk_common;
	struct {
		int counter;
	} sk_drops;
	struct {
		int owned;
	} sk_lock;
	int sk_err;
	int sk_err_soft;
	struct socket *sk_socket;
	struct timer_list sk_timer;
	struct {
		__u32 val;
	} sk_uid;
	__u16 sk_protocol;
	__u8 sk_shutdown;
	__u32 sk_ack_backlog;
	__u32 sk_max_ack_backlog;
	struct sock_cgroup_data sk_cgrp_data;
};

/* 7.2: the retransmit timer moved here, its icsk_timeout went. */
struct sock___72 {
	struct timer_list tcp_retransmit_timer;
};

struct socket {
	struct file *file;
	struct sock *sk;
};

struct inet_sock {
	struct sock sk;
	__be16 inet_sport;
};

struct fastopen_queue {
	int max_qlen;
};

struct request_sock_queue {
	__u8 rskq_defer_accept;
	struct {
		int counter;
	} qlen, young;
	struct fastopen_queue fastopenq;
};

struct inet_connection_sock {
	struct inet_sock icsk_inet;
	struct request_sock_queue icsk_accept_queue;
	struct timer_list icsk_retransmit_timer;
	struct timer_list icsk_delack_timer;
	__u32 icsk_rto;
	__u8 icsk_ca_state : 5;
	__u8 icsk_retransmits;
	__u8 icsk_pending;
	__u8 icsk_backoff;
	__u8 icsk_probes_out;
	struct {
		__u8 pending;
	} icsk_ack;
	__u32 icsk_user_timeout;
};

/* To 6.17: the expiry stood beside the timer. */
struct inet_connection_sock___old {
	unsigned long icsk_timeout;
	struct {
		unsigned long timeout;
	} icsk_ack;
};

/* 7.2, and 6.12's stable series: keepalive and FIN_WAIT2 have a timer of their own. */
struct inet_connection_sock___ka {
	struct timer_list icsk_keepalive_timer;
};

struct minmax_sample {
	__u32 t;
	__u32 v;
};

struct minmax {
	struct minmax_sample s[3];
};

struct tcp_options_received {
	__u16 tstamp_ok : 1;
	__u16 wscale_ok : 1;
	__u16 sack_ok : 3;
	__u16 snd_wscale : 4;
	__u16 rcv_wscale : 4;
};

struct request_sock;

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u32 snd_wnd;
	__u32 mss_cache;
	__u32 copied_seq;
	struct minmax rtt_min;
	__u32 segs_out;
	__u32 write_seq;
	__u8 ecn_flags;
	__u32 rcv_nxt;
	__u32 snd_nxt;
	__u32 snd_una;
	__u32 srtt_us;
	__u32 rcv_tstamp;
	struct tcp_options_received rx_opt;
	__u64 bytes_received;
	__u32 segs_in;
	__u64 bytes_acked;
	__u8 syn_data_acked : 1;
	__u32 total_retrans;
	struct request_sock *fastopen_rsk;
};

struct request_sock {
	struct sock_common __req_common;
	__u16 mss;
	__u8 num_retrans;
	struct timer_list rsk_timer;
	struct sock *sk;
};

struct inet_request_sock {
	struct request_sock req;
};

struct tcp_request_sock {
	struct inet_request_sock req;
	__u32 rcv_isn;
	__u32 snt_isn;
};

struct inet_timewait_sock {
	struct sock_common __tw_common;
	unsigned char tw_substate;
	__be16 tw_sport;
	struct timer_list tw_timer;
};

struct tcp_timewait_sock {
	struct inet_timewait_sock tw_sk;
};

struct net_device {
	struct {
		struct net *net;
	} nd_net;
};

struct sk_buff {
	struct net_device *dev;
	char cb[48];
	unsigned int len;
	__u16 transport_header;
	__u16 network_header;
	unsigned char *head;
};

/* What TCP keeps in sk_buff.cb. */
struct tcp_skb_cb {
	__u32 seq;
	__u32 end_seq;
	__u16 tcp_flags;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

#pragma clang attribute pop

#endif
