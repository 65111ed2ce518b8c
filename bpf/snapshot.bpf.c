// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * Sockets that are there now, told through the same ring as what happens, so
 * that every record stands where it belongs in time.
 *
 * A byte is written to the iterator's file for each socket: read() then comes back
 * after as many as user space asked bytes for, and it can empty the ring.
 */
#include "request.bpf.h"

enum { RLIMIT_NOFILE = 7 }; /* asm-generic/resource.h */

char seen_byte = '.';

static __always_inline __u64 retransmit_expires(struct inet_connection_sock *icsk)
{
	struct inet_connection_sock___old *old = (void *)icsk;
	struct sock___72 *sk = (void *)icsk;

	if (bpf_core_field_exists(old->icsk_timeout))
		return BPF_CORE_READ(old, icsk_timeout);
	if (bpf_core_field_exists(sk->tcp_retransmit_timer))
		return BPF_CORE_READ(sk, tcp_retransmit_timer.expires);
	return BPF_CORE_READ(icsk, icsk_retransmit_timer.expires);
}

static __always_inline __u64 delack_expires(struct inet_connection_sock *icsk)
{
	struct inet_connection_sock___old *old = (void *)icsk;

	if (bpf_core_field_exists(old->icsk_ack.timeout))
		return BPF_CORE_READ(old, icsk_ack.timeout);
	return BPF_CORE_READ(icsk, icsk_delack_timer.expires);
}

/* Keepalive's, and an orphan's FIN_WAIT2. */
static __always_inline struct timer_list *keepalive_timer(struct inet_connection_sock *icsk)
{
	struct inet_connection_sock___ka *ka = (void *)icsk;

	if (bpf_core_field_exists(ka->icsk_keepalive_timer))
		return (void *)__builtin_preserve_access_index(&ka->icsk_keepalive_timer);
	return (void *)__builtin_preserve_access_index(&icsk->icsk_inet.sk.sk_timer);
}

static __always_inline void timer_set(union event_extra *x, __u8 timer, __u8 retries,
				      __u64 expires)
{
	x->sock.timer = timer;
	x->sock.retries = retries;
	x->sock.expires_ms = expires_ms(expires);
}

/* Which timer runs: TCP's own first, as `ss -o` does. */
static __always_inline void timer_of(union event_extra *x, struct tcp_sock *tp, __u8 state)
{
	struct inet_connection_sock *icsk = &tp->inet_conn;
	struct timer_list *ka = keepalive_timer(icsk);
	__u8 pending = icsk->icsk_pending;

	if (pending == ICSK_TIME_RETRANS || pending == ICSK_TIME_REO_TIMEOUT)
		timer_set(x, TIMER_RETRANSMIT, icsk->icsk_retransmits, retransmit_expires(icsk));
	else if (pending == ICSK_TIME_LOSS_PROBE)
		timer_set(x, TIMER_LOSS_PROBE, icsk->icsk_retransmits, retransmit_expires(icsk));
	else if (pending == ICSK_TIME_PROBE0)
		timer_set(x, TIMER_PERSIST, icsk->icsk_probes_out, retransmit_expires(icsk));
	else if (BPF_CORE_READ(ka, entry.pprev))
		timer_set(x, state == TCP_FIN_WAIT2 ? TIMER_FIN_WAIT_2 : TIMER_KEEPALIVE,
			  icsk->icsk_probes_out, BPF_CORE_READ(ka, expires));
	else if (icsk->icsk_ack.pending & ICSK_ACK_TIMER)
		timer_set(x, TIMER_DELAYED_ACK, 0, delack_expires(icsk));
}

static __always_inline struct event *full_sock(enum event_kind kind, struct sock *sk,
					       struct tcp_sock *tp)
{
	__u8 state = sk->__sk_common.skc_state;
	struct event *e = emit_begin(kind);
	__u32 received;

	if (!e)
		return NULL;
	emit_head(e, kind, state, state);
	sock_fill(e, sk, tp, sock_flags(sk), state == TCP_LISTEN, sk->sk_err);
	emit_clear(&e->extra, sizeof(e->extra));
	if (state == TCP_LISTEN)
		return e;
	timer_of(&e->extra, tp, state);
	received = tp->rcv_tstamp;
	if (received)
		e->extra.sock.age_ms = jiffies_ms((__u32)((__u32)bpf_jiffies64() - received));
	return e;
}

static __always_inline void tell_sock(struct tcp_sock *tp)
{
	struct sock *sk = (struct sock *)tp;
	struct event *e;

	if (sk->__sk_common.skc_state == TCP_CLOSE || !filter_sock(sk, tp))
		return;
	e = full_sock(EV_SOCK, sk, tp);
	if (!e)
		return;
	owner_none(e);
	e->task.bound_dev = sk->__sk_common.skc_bound_dev_if;
	emit_end(e);
}

/* Its listener is not asked: it may be closed already. */
static __always_inline void tell_request(struct tcp_request_sock *treq)
{
	struct request_sock *req = &treq->req.req;
	struct event *e;

	if (!request_in_filter(req))
		return;
	e = emit_begin(EV_REQ_SOCK);
	if (!e)
		return;
	request_alone(e, EV_REQ_SOCK, req);
	e->extra.req.expires_ms = expires_ms(req->rsk_timer.expires);
	emit_end(e);
}

static __always_inline void tell_timewait(struct tcp_timewait_sock *twsk)
{
	struct inet_timewait_sock *tw = &twsk->tw_sk;
	struct event *e;

	if (!timewait_wanted(tw))
		return;
	e = emit_begin(EV_TW_SOCK);
	if (!e)
		return;
	timewait_of(e, EV_TW_SOCK, tw);
	/* Until somebody asks for its cookie a socket has none, and what has none is told of by
	 * nobody: an orphan would be missing. */
	if (cfg.has_cookie && !e->cookie)
		e->cookie = bpf_get_socket_cookie(tw);
	emit_end(e);
}

/* Every TCP socket of the reader's network namespace. */
SEC("iter/tcp")
int on_iter_tcp(struct bpf_iter__tcp *ctx)
{
	struct sock_common *skc = ctx->sk_common;
	struct tcp_timewait_sock *tw;
	struct tcp_request_sock *req;
	struct tcp_sock *tp;

	if (!skc)
		return 0;
	bpf_seq_write(ctx->meta->seq, &seen_byte, 1);
	tp = bpf_skc_to_tcp_sock(skc);
	if (tp) {
		tell_sock(tp);
		return 0;
	}
	tw = bpf_skc_to_tcp_timewait_sock(skc);
	if (tw) {
		tell_timewait(tw);
		return 0;
	}
	req = bpf_skc_to_tcp_request_sock(skc);
	if (req)
		tell_request(req);
	return 0;
}

/* Is the holder the process of the pid filter? Then its socket is, from now on. */
static __always_inline bool holder_wanted(struct sock *sk, struct tcp_sock *tp,
					  struct task_struct *task)
{
	__u8 yes = 1;

	if (!filter_any_owner(sk, tp, false))
		return false;
	if (!cfg.pid)
		return true;
	if (task->tgid == (int)cfg.pid)
		return bpf_sk_storage_get(&mine, sk, &yes, BPF_SK_STORAGE_GET_F_CREATE) != 0;
	return bpf_sk_storage_get(&mine, sk, 0, 0) != 0;
}

/* The process whose files are walked now. An iterator has one reader. */
struct {
	__u64 limit; /* RLIMIT_NOFILE, soft */
	__u32 pid;
	__u32 used;
} files;

static __always_inline void tell_fact(__u32 id, __u64 value)
{
	struct event *e = emit_begin(EV_FACT);

	if (!e)
		return;
	emit_clear(e, sizeof(*e));
	emit_head(e, EV_FACT, 0, 0);
	e->flags = EVF_TASK;
	e->task.pid = files.pid;
	e->extra.fact.id = id;
	e->extra.fact.value = value;
	emit_end(e);
}

/* One more of this process, or (NULL) the end. Its predecessor is told of if it has used half. */
static __always_inline void count_file(struct task_struct *task)
{
	if (task && files.pid == (__u32)task->tgid) {
		files.used++;
		return;
	}
	if (files.pid && files.used * 2ULL >= files.limit) {
		tell_fact(FACT_FD_USED, files.used);
		tell_fact(FACT_FD_LIMIT, files.limit);
	}
	files.pid = task ? task->tgid : 0;
	files.used = task ? 1 : 0;
	if (task)
		files.limit = task->signal->rlim[RLIMIT_NOFILE].rlim_cur;
}

/* Every TCP socket that a process holds, whatever its namespace. Threads share their process's
 * files: only the leader's table is told. */
SEC("iter/task_file")
int on_iter_task_file(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct socket *socket;
	struct tcp_sock *tp;
	struct event *e;
	struct sock *sk;

	counters.looker = bpf_get_current_pid_tgid() >> 32;
	if (!task || !file) {
		if (cfg.count_fds)
			count_file(NULL);
		return 0;
	}
	if (task->tgid != task->pid)
		return 0;
	if (cfg.count_fds)
		count_file(task);
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = socket->sk;
	if (!sk)
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return 0;
	bpf_seq_write(ctx->meta->seq, &seen_byte, 1);
	if (sk->__sk_common.skc_state == TCP_CLOSE || !holder_wanted(sk, tp, task))
		return 0;
	e = full_sock(EV_HOLDER, sk, tp);
	if (!e)
		return 0;
	e->extra.sock.fd = ctx->fd;
	owner_of(e, task);
	e->task.bound_dev = sk->__sk_common.skc_bound_dev_if;
	emit_end(e);
	return 0;
}
