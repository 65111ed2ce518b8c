// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * Every change of state. The hot path: ten runs a loopback connection, so what
 * is not wanted leaves first, and what is read is read once.
 */
#include "filter.bpf.h"
#include "owner.bpf.h"
#include "stack.bpf.h"
#include "turn.bpf.h"

/* The child's first transition comes together with the next one. Up to 6.12 it still carries
 * the listener's identity (no peer port): it would be told of the wrong socket. */
static __always_inline bool child_unwanted(struct sock *sk)
{
	return !cfg.child_syn_recv || !sk->__sk_common.skc_dport;
}

static __always_inline bool state_wanted(struct sock *sk, struct tcp_sock *tp, int old_state,
					 bool known)
{
	if (!filter_any_owner(sk, tp, old_state == TCP_SYN_SENT))
		return false;
	return !cfg.pid || filter_mine(sk, known);
}

/* Not the child's LISTEN->SYN_RECV. */
static __always_inline bool about_listener(int old_state, int new_state)
{
	return new_state == TCP_LISTEN || (old_state == TCP_LISTEN && new_state == TCP_CLOSE);
}

static __always_inline void state_tell(void *ctx, struct sock *sk, int old_state, int new_state)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct event *e;
	bool known;
	__u8 flags;
	int err;

	if (!tp)
		return;
	if (old_state == TCP_LISTEN && new_state == TCP_SYN_RECV && child_unwanted(sk))
		return;
	err = sk->sk_err;
	if (!err && new_state == TCP_CLOSE)
		err = sk->sk_err_soft;
	flags = sock_flags(sk);
	/* a soft error explains no ->CLOSE: only a timer makes it one, and sets sk_err */
	known = owner_known(old_state, new_state, flags & EVF_OWNED, flags & EVF_DEAD,
			    flags & EVF_DONE, sk->sk_err) &&
		!owner_only_looked(new_state);
	if (!state_wanted(sk, tp, old_state, known))
		return;

	e = emit_begin(EV_STATE);
	if (!e)
		return;
	emit_head(e, EV_STATE, old_state, new_state);
	sock_fill(e, sk, tp, flags, about_listener(old_state, new_state), err);
	emit_clear(&e->extra, sizeof(e->extra));
	if (new_state == TCP_SYN_SENT) /* a socket connected before keeps its last port in inet_sport */
		e->lport = sk->__sk_common.skc_num;
	if (new_state == TCP_CLOSE)
		e->extra.state.user_timeout_ms = tp->inet_conn.icsk_user_timeout;
	if (known)
		owner_current(e);
	else
		owner_none(e);
	e->task.bound_dev = sk->__sk_common.skc_bound_dev_if;
	emit_end(e);
	if (cfg.stack && new_state == TCP_SYN_SENT)
		stack_tell(ctx, sock_cookie(sk), sk->__sk_common.skc_net.net->ns.inum);
}

/*
 * A mark that nobody takes away would stay, and an event whose first program ran before marks were
 * left would be told twice. So the first begins only when user space says that both are attached,
 * and the second only where the first has begun, CPU by CPU.
 */
volatile bool turns_taken;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct turn);
} turns SEC(".maps");

static __always_inline struct turn *turn_here(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&turns, &zero);
}

/* Where the kernel may not be asked to meter programs (that takes CAP_SYS_ADMIN), one run in
 * many is timed from inside. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_set_state, struct sock *sk, int old_state, int new_state)
{
	struct turn *turn = turn_here();
	__u64 begin = 0;

	if (turn && turns_taken)
		turn_enter(turn, (__u64)sk);
	if (cfg.meter && bpf_get_prandom_u32() % TRACER_METER_EVERY == 0)
		begin = bpf_ktime_get_ns();
	state_tell(ctx, sk, old_state, new_state);
	if (cfg.meter && begin) {
		__sync_fetch_and_add(&counters.metered_runs, 1);
		__sync_fetch_and_add(&counters.metered_ns, bpf_ktime_get_ns() - begin);
	}
	if (turn)
		turn_leave(turn);
	return 0;
}

/* Attached after on_set_state, and so run after it. Its own misses are none: on top of it the first
 * one runs. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_set_state_again, struct sock *sk, int old_state, int new_state)
{
	struct turn *turn = turn_here();

	if (!turn || turn_was(turn, (__u64)sk))
		return 0;
	__sync_fetch_and_add(&counters.taken_over, 1);
	state_tell(ctx, sk, old_state, new_state);
	return 0;
}
