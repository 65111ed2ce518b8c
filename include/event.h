/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The contract between the kernel side (bpf/) and user space (user/).
 *
 * One record, one size, for everything that a hook can see. A record says what
 * was observed: the hook, the socket, its counters, the task if the hook ran in
 * one that can be trusted. It never says what that means: every interpretation
 * is user space's (user/core/pipeline/timeline.c).
 *
 * All integers are host-endian. Ports are host order. An IPv4 address is stored
 * v4-mapped (::ffff:a.b.c.d), so that one comparison serves both families and a
 * v4-mapped socket is the same connection as the IPv4 one at its other end.
 */
#ifndef TCPTRAIL_EVENT_H
#define TCPTRAIL_EVENT_H

#ifndef __bpf__
#include <linux/types.h>
#endif

enum {
	EVENT_COMM_LEN = 16,
	EVENT_ABI = 1, /* raised whenever the layout below changes */
};

/* Set in struct event.cookie where the kernel gave none (5.10) and it is a number of our own:
 * unique, but unknown to ss and sock_diag. */
#define EVENT_OWN_ID (1ULL << 62)

/* What a record is. The comment names the hook; (full) marks those that need
 * fentry/fexit and are absent in base mode. */
enum event_kind {
	EV_NONE,
	EV_STATE,            /* tp_btf/inet_sock_set_state */
	EV_RETRANSMIT,       /* tp_btf/tcp_retransmit_skb */
	EV_SYNACK_RETRANSMIT,/* tp_btf/tcp_retransmit_synack: cookie is the listener's, addresses the request's */
	EV_RST_SENT,         /* tp_btf/tcp_send_reset; cookie may be 0 (no socket) */
	EV_RST_RECEIVED,     /* tp_btf/tcp_receive_reset */
	EV_ERROR,            /* tp_btf/inet_sk_error_report (not in 5.10): a soft or hard error, e.g. from ICMP */
	EV_DROP,             /* tp_btf/kfree_skb with a TCP reason: cookie 0, the addresses are the receiver's view */

	EV_SYN_IN,           /* (full) fentry/tcp_conn_request: cookie is the listener's, addresses the request's */
	EV_REQ_NEW,          /* (full) fentry/inet_csk_reqsk_queue_hash_add: the request sock exists */
	EV_SYNACK_SENT,      /* (full) fexit/tcp_make_synack */
	EV_REQ_GONE,         /* (full) request sock dropped or timed out (or made into a child: user space tells) */
	EV_REQ_REFUSED,      /* (full) fexit/tcp_check_req returned NULL: final ACK not taken (accept queue full) or RST/SYN again */
	EV_ACCEPT,           /* (full) fexit/inet_csk_accept, (base, --accept-wait) sys_exit_accept */
	EV_TW_ENTER,         /* (full) fentry/tcp_time_wait: extra.tw */
	EV_TW_LEAVE,         /* (full) fentry/inet_twsk_kill */
	EV_TW_SEGMENT,       /* (full) fentry/tcp_timewait_state_process: a segment with FIN or RST met a minisock */
	EV_PROBE,            /* (full) fentry/tcp_write_wakeup: a keepalive or zero-window probe is sent */
	EV_ABORT,            /* (full) fentry/tcp_abort: SOCK_DESTROY */

	EV_SOCK,             /* iter/tcp: a full socket that is there now */
	EV_REQ_SOCK,         /* iter/tcp: a request sock that is there now */
	EV_TW_SOCK,          /* iter/tcp: a timewait minisock; old_state is its substate (FIN_WAIT2 or TIME_WAIT) */
	EV_HOLDER,           /* iter/task_file: a process holds this socket at extra.holder.fd; also carries the socket */

	/* Made by user space's sources, in the same stream so that a replay needs nothing else. */
	EV_TICK,             /* time passed: nothing else to say */
	EV_TW_LOOKUP,        /* sock_diag's exact answer for one pending minisock: extra.lookup */
	EV_SNAPSHOT_BEGIN,   /* iterators start: what is not seen until EV_SNAPSHOT_END and has no later event is gone */
	EV_SNAPSHOT_END,     /* extra.raw[0]: not 0 when records of it were lost, and nothing is gone for its absence */
	EV_LOST,             /* the ledger's counters moved: extra.lost */
	EV_CLOCK,            /* extra.clock: realtime minus monotonic, ns; .netns: the tracer's own */
	EV_RST_SEGMENT,      /* (full) fentry/tcp_reset: the segment behind EV_RST_RECEIVED (flags tell a closed port from a live socket) */
	EV_FACT,             /* a limit or a count of the host, a namespace or a process: extra.fact */
	EV_DESTROY,          /* tp_btf/tcp_destroy_sock, of a socket whose timer had fired: its ->CLOSE may have gone untold */
	EV_STACK,            /* --stack: the calls that led to this socket's connect() or accept(): extra.stack */
	EV_KIND_MAX,
};

/* struct event.flags */
enum {
	EVF_TASK = 1 << 0,      /* .task was filled from a task that can be trusted to be the caller */
	EVF_OWNED = 1 << 1,     /* sk_lock.owned: process context */
	EVF_DEAD = 1 << 2,      /* SOCK_DEAD: no process holds it */
	EVF_DONE = 1 << 3,      /* SOCK_DONE: the peer's FIN was received */
	EVF_KTHREAD = 1 << 4,   /* the task is a kernel thread */
	EVF_TCP = 1 << 5,       /* .tcp is filled */
	EVF_LISTEN = 1 << 6,    /* .listen is filled (same bytes as .tcp) */
	EVF_NO_SOCKET = 1 << 7, /* sk->sk_socket is NULL: not accepted yet, or orphaned */
};

/* struct event_tcp.options */
enum {
	TOPT_SACK = 1 << 0,
	TOPT_TIMESTAMPS = 1 << 1,
	TOPT_WSCALE = 1 << 2,
	TOPT_ECN = 1 << 3,
	TOPT_FASTOPEN = 1 << 4,   /* data in the SYN was taken (syn_data_acked), at either end */
	TOPT_FASTOPEN_CHILD = 1 << 5, /* server: fastopen_rsk is set */
};

/* Which timer the kernel has armed: icsk_pending, then sk_timer. */
enum event_timer {
	TIMER_NONE,
	TIMER_RETRANSMIT,
	TIMER_PERSIST,
	TIMER_KEEPALIVE,
	TIMER_FIN_WAIT_2,
	TIMER_TIME_WAIT,
	TIMER_DELAYED_ACK,
	TIMER_LOSS_PROBE,
	TIMER_SYNACK,
	TIMER_MAX,
};

/* What tcp_sock said at that moment (all hooks with a full socket). 80 bytes. */
struct event_tcp {
	__u32 snd_una;
	__u32 snd_nxt;
	__u32 write_seq;
	__u32 rcv_nxt;
	__u32 copied_seq;
	__u32 srtt_us;         /* smoothed, already >> 3 */
	__u32 min_rtt_us;      /* 0xffffffff: none yet */
	__u32 segs_in;
	__u32 segs_out;
	__u32 total_retrans;
	__u64 bytes_acked;
	__u64 bytes_received;
	__u32 rto_us;          /* icsk_rto, microseconds */
	__u16 mss;             /* tp->mss_cache, what ss prints as mss: */
	__u8 snd_wscale;
	__u8 rcv_wscale;
	__u8 options;          /* TOPT_* */
	__u8 ca_state;         /* icsk_ca_state, 0 open .. 4 loss */
	__u8 pending;          /* icsk_pending */
	__u8 retransmits;      /* icsk_retransmits: of the timer that runs now */
	__u8 probes_out;       /* icsk_probes_out */
	__u8 backoff;          /* icsk_backoff */
	__u8 shutdown;         /* sk_shutdown: 1 RCV, 2 SEND */
	__u8 err;              /* sk_err (or sk_err_soft), an errno */
	__u32 snd_wnd;
};

/* What its listener does when a request sock goes. */
enum request_gone { REQUEST_GONE_UNTOLD, REQUEST_GONE_LISTENS, REQUEST_GONE_LEFT };

/* A listener's queues (EV_SOCK and EV_HOLDER in LISTEN, EV_SYN_IN, EV_REQ_REFUSED). */
struct event_listen {
	__u32 accept_queue;    /* sk_ack_backlog */
	__u32 accept_limit;    /* sk_max_ack_backlog: full when queue > limit */
	__u32 syn_queue;       /* icsk_accept_queue.qlen */
	__u32 syn_young;       /* of these, not yet retransmitted */
	__u32 drops;           /* sk_drops: SYNs and final ACKs this listener threw away */
	__u32 fastopen_limit;  /* fastopenq.max_qlen */
	__u32 defer_accept;
	__u32 pad0;
	__u64 pad[6];
};

/* The task that made the change. 40 bytes. */
struct event_task {
	__u64 cgroup;          /* cgroup v2 id */
	__u32 pid;             /* tgid, initial pid namespace */
	__u32 tid;
	__u32 uid;
	__u32 bound_dev;       /* of the socket (sk_bound_dev_if; 0: none), told here where there is room */
	char comm[EVENT_COMM_LEN]; /* of the thread group's leader */
};

/* By kind; 16 bytes. */
union event_extra {
	struct {
		__u32 seq;         /* TCP_SKB_CB(skb)->seq, or the probe's */
		__u32 end_seq;
		__u16 tcp_flags;   /* TCP header flags of the segment: FIN 1, SYN 2, RST 4, PSH 8, ACK 16 */
		__u16 len;
		__u8 mib;          /* EV_PROBE: 1 keepalive, 2 zero window */
		__u8 pad[3];
	} seg;               /* EV_RETRANSMIT, EV_DROP, EV_TW_SEGMENT, EV_PROBE, EV_RST_* (where a segment is known) */
	struct {
		__u32 user_timeout_ms; /* icsk_user_timeout, at ->CLOSE; 0 not set */
		__u32 pad[3];
	} state;             /* EV_STATE */
	struct {
		__u32 isn_local;   /* snt_isn */
		__u32 isn_peer;    /* rcv_isn */
		__u32 expires_ms;
		__u8 retries;      /* SYN-ACKs sent again so far (num_retrans) */
		__u8 type;         /* EV_SYNACK_SENT: 0 normal, 1 Fast Open, 2 cookie;
				    * EV_REQ_GONE: enum request_gone; EV_REQ_REFUSED: 1 a RST */
		__u16 mss;
	} req;               /* EV_REQ_*, EV_SYNACK_*, EV_REQ_SOCK */
	struct {
		__s32 timeo_ms;    /* how long it will live */
		__u32 expires_ms;  /* EV_TW_SOCK: what remains */
		__u8 substate;     /* FIN_WAIT2 or TIME_WAIT (kernel numbers) */
		__u8 pad[7];
	} tw;                /* EV_TW_* */
	struct {
		__u32 reason;      /* EV_RST_SENT: enum sk_rst_reason; EV_DROP: enum skb_drop_reason */
		__u32 seq;         /* of the segment that provoked it, where there is one */
		__u32 ack_seq;
		__u16 tcp_flags;
		__u8 has_skb;
		__u8 pad;
	} reset;             /* EV_RST_SENT, EV_RST_RECEIVED, EV_DROP */
	struct {
		__u32 fd;
		__u32 expires_ms;  /* of the timer below */
		__u8 timer;        /* enum event_timer */
		__u8 retries;      /* how often that timer has fired */
		__u8 pad[2];
		__u32 age_ms;      /* since the last segment was received (rcv_tstamp): a lower bound of the state's age */
	} sock;              /* EV_SOCK, EV_HOLDER */
	struct {
		__u32 found;       /* 0: no such socket any more */
		__u32 expires_ms;
		__u8 state;        /* a minisock's substate */
		__u8 timer;        /* enum event_timer, as sock_diag tells it; of no minisock */
		__u8 retries;      /* how often that timer has fired */
		__u8 sure;         /* of any connection, asked twice: what the ring held was read between */
		__u8 pad[4];
	} lookup;            /* EV_TW_LOOKUP */
	struct {
		__u64 count;       /* how many more since the last record */
		__u32 reason;      /* enum loss_reason */
		__u32 pad;
	} lost;              /* EV_LOST */
	struct {
		__u64 offset_ns;   /* CLOCK_REALTIME - CLOCK_MONOTONIC */
		__u64 pad;
	} clock;             /* EV_CLOCK */
	struct {
		__u64 value;
		__u32 id;          /* enum fact */
		__u32 pad;
	} fact;              /* EV_FACT: .netns, or .task.pid, says of what; neither: of the host */
	struct {
		__u64 id;          /* of the text that was told beside the events */
		__u64 pad;
	} stack;             /* EV_STACK */
	__u64 raw[2];
};

/* What EV_FACT tells. Numbers are part of recordings: add, never change. */
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
	FACT_FD_USED,             /* told of those that use half of them or more */
	FACT_FD_LIMIT,            /* RLIMIT_NOFILE, soft */
	/* of the host, again */
	FACT_REACH,               /* bits of enum reach: what it had as it looked into namespaces */
	FACT_RST_OF_MINISOCK,     /* 1: a RST that a minisock sends is traced (6.12 on) */
	FACT_COUNT,
	FACT_FIRST_NETNS = FACT_FIN_TIMEOUT_S,
	FACT_FIRST_PROC = FACT_FD_USED,
	FACT_FIRST_LATER = FACT_REACH,
};

enum reach {
	REACH_SYS_ADMIN = 1,
	REACH_SYS_PTRACE = 2,
	REACH_TOO_MANY = 4,       /* more namespaces than are looked at */
};

/* 200 bytes. */
struct event {
	__u64 ts_ns;           /* CLOCK_MONOTONIC */
	__u64 cookie;          /* the socket cookie; 0 where the hook has no full socket */
	__u32 netns;           /* inode of the network namespace */
	__u8 kind;             /* enum event_kind */
	__u8 flags;            /* EVF_* */
	__u8 old_state;        /* kernel numbers, TCP_ESTABLISHED = 1 .. TCP_NEW_SYN_RECV = 12 */
	__u8 new_state;        /* for kinds other than EV_STATE: the state now */
	__u8 local[16];
	__u8 peer[16];
	__u16 lport;
	__u16 pport;
	__u32 sk_uid;          /* uid of the socket */
	union {
		struct event_tcp tcp;
		struct event_listen listen;
	};
	struct event_task task;
	union event_extra extra;
};

enum {
	STACK_FRAMES = 32,
	STACK_WORDS = 16,
};

/* --stack: what the ring holds beside events, told apart by its size. It never leaves the live
 * source, which makes an EV_STACK of it: addresses mean nothing outside of the process that
 * they are of. 456 bytes. */
struct stack_record {
	__u64 ts_ns;
	__u64 cookie;
	__u32 netns;
	__u8 kind;             /* EV_STACK, where struct event has it */
	__u8 frames;           /* of ip */
	__u8 words;            /* of word; 0: the stack pointer is not told */
	__u8 pad;
	__u32 pid;             /* tgid, initial pid namespace */
	__u32 uid;
	__u64 start_ns;        /* task_struct.start_boottime of the thread group's leader */
	__u64 execs;           /* task_struct.self_exec_id: how often it has become another program */
	__u64 word[STACK_WORDS]; /* from the stack pointer on */
	__u64 ip[STACK_FRAMES];  /* bpf_get_stack(): innermost first, by frame pointers */
};

/* Why something is missing. The ledger has one counter for each. */
enum loss_reason {
	LOSS_RING_FULL,      /* bpf_ringbuf_reserve failed */
	LOSS_RECURSION,      /* a program was skipped because it interrupted itself */
	LOSS_TABLE_FULL,     /* --max-connections reached */
	LOSS_OUTPUT_SLOW,    /* the reader of stdout did not keep up: records not written */
	LOSS_MALFORMED,      /* a record that decode refused */
	LOSS_STACK_LIMIT,    /* --stack: more distinct stacks than are looked at or kept */
	LOSS_END_UNSEEN,     /* a connection was gone, and nothing above can be why its end was not told */
	LOSS_REASONS,
};

_Static_assert(sizeof(struct event_tcp) == 80, "event_tcp is part of the contract");
_Static_assert(sizeof(struct event_listen) == 80, "event_listen shares event_tcp's bytes");
_Static_assert(sizeof(struct event_task) == 40, "event_task is part of the contract");
_Static_assert(sizeof(union event_extra) == 16, "event_extra is part of the contract");
_Static_assert(sizeof(struct event) == 200, "event is part of the contract");
_Static_assert(sizeof(struct stack_record) > sizeof(struct event), "told apart by its size");

#endif
