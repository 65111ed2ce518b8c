// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * What happens to segments where TCP itself tells: sent again, reset, refused,
 * thrown away. Signatures grow at their end within a stable series, so an argument
 * that may be missing is read only where BTF says that it is there.
 */
#include "owner.bpf.h"
#include "request.bpf.h"
#include "segment.bpf.h"

/* A record about a full socket; the caller fills .extra and submits. */
static __always_inline struct event *full_begin(enum event_kind kind, struct sock *sk,
						struct tcp_sock *tp, __u8 state)
{
	struct event *e;

	if (!filter_sock(sk, tp))
		return NULL;
	e = emit_begin(kind);
	if (!e)
		return NULL;
	emit_head(e, kind, state, state);
	sock_fill(e, sk, tp, sock_flags(sk), state == TCP_LISTEN, sk->sk_err);
	emit_clear(&e->extra, sizeof(e->extra));
	owner_none(e);
	return e;
}

/* From 6.18 a third argument tells that the segment could not be sent. */
SEC("tp_btf/tcp_retransmit_skb")
int on_retransmit(__u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[0];
	struct sk_buff *skb = (struct sk_buff *)ctx[1];
	struct tcp_sock *tp;
	struct event *e;

	if (cfg.retransmit_args >= 3 && (int)ctx[2])
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return 0;
	e = full_begin(EV_RETRANSMIT, sk, tp, sk->__sk_common.skc_state);
	if (!e)
		return 0;
	segment_sent(&e->extra, skb);
	emit_end(e);
	return 0;
}

/* `sk` is the listener, or with Fast Open the child. */
SEC("tp_btf/tcp_retransmit_synack")
int BPF_PROG(on_synack_retransmit, struct sock *sk, struct request_sock *req)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct event *e;

	if (!tp || !request_wanted(sk, req))
		return 0;
	e = emit_begin(EV_SYNACK_RETRANSMIT);
	if (!e)
		return 0;
	request_of(e, EV_SYNACK_RETRANSMIT, sk, tp, req);
	emit_end(e);
	return 0;
}

SEC("tp_btf/tcp_receive_reset")
int BPF_PROG(on_receive_reset, struct sock *sk)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct event *e;

	if (!tp)
		return 0;
	e = full_begin(EV_RST_RECEIVED, sk, tp, sk->__sk_common.skc_state);
	if (e)
		emit_end(e);
	return 0;
}

/* An error of 0 is only a wake-up. */
SEC("tp_btf/inet_sk_error_report")
int BPF_PROG(on_error_report, struct sock *sk)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct event *e;
	int err;

	if (!tp)
		return 0;
	err = sk->sk_err ? sk->sk_err : sk->sk_err_soft;
	if (!err)
		return 0;
	e = full_begin(EV_ERROR, sk, tp, sk->__sk_common.skc_state);
	if (!e)
		return 0;
	if (e->flags & EVF_TCP)
		e->tcp.err = err;
	emit_end(e);
	return 0;
}

/* The last word on a socket. A host may keep every BPF program from what runs on top of one of its
 * tasks (tests/kernel/witness.py has the case), with no miss counted: a death by timer then raises
 * no state change. So a socket that goes with a timer behind it says so. Those that closed in peace
 * have none, and cost a look. */
SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(on_destroy, struct sock *sk)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct inet_connection_sock *icsk;
	struct event *e;

	if (!tp)
		return 0;
	icsk = &tp->inet_conn;
	if (!icsk->icsk_retransmits && !icsk->icsk_probes_out && !icsk->icsk_backoff)
		return 0;
	e = full_begin(EV_DESTROY, sk, tp, sk->__sk_common.skc_state);
	if (!e)
		return 0;
	e->extra.state.user_timeout_ms = icsk->icsk_user_timeout;
	emit_end(e);
	return 0;
}

/* --- resets that we send ------------------------------------------------------- */

static __always_inline void reset_segment(struct event *e, const struct segment *s)
{
	e->extra.reset.seq = s->seq;
	e->extra.reset.ack_seq = s->ack_seq;
	e->extra.reset.tcp_flags = s->flags;
	e->extra.reset.has_skb = 1;
}

/* No socket of its own stands behind it: a closed port, a listener, a minisock. The segment
 * that provoked it has the addresses; `skc` may be NULL. */
static __always_inline int reset_stranger(struct sock_common *skc, struct sk_buff *skb,
					  __u32 reason)
{
	struct segment s;
	struct event *e;
	__u32 netns;

	if (!skb || !segment_received(&s, skb))
		return 0;
	netns = skc ? BPF_CORE_READ(skc, skc_net.net, ns.inum)
		    : BPF_CORE_READ(skb, dev, nd_net.net, ns.inum);
	if ((cfg.netns && netns != cfg.netns) || cfg.has_uid || cfg.cgroup || cfg.pid ||
	    !filter_ports(s.lport, s.pport, false) || !segment_family(&s))
		return 0;
	e = emit_begin(EV_RST_SENT);
	if (!e)
		return 0;
	/* A listener's or a minisock's state tells it from a segment that met no socket: 0. */
	emit_head(e, EV_RST_SENT, 0, skc ? BPF_CORE_READ(skc, skc_state) : 0);
	segment_alone(e, &s);
	e->netns = netns;
	emit_clear(&e->extra, sizeof(e->extra));
	reset_segment(e, &s);
	e->extra.reset.reason = reason;
	emit_end(e);
	return 0;
}

/* `sk` may be NULL, a listener or a minisock from 6.12 on; `skb` is NULL where the RST answers
 * no segment (SO_LINGER 0, close with unread data). */
SEC("tp_btf/tcp_send_reset")
int on_send_reset(__u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[0];
	struct sk_buff *skb = (struct sk_buff *)ctx[1];
	struct tcp_sock *tp = NULL;
	__u32 reason = 0;
	struct segment s;
	struct event *e;
	__u8 state;

	if (cfg.send_reset_args >= 3)
		reason = ctx[2];
	if (sk)
		tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return reset_stranger((struct sock_common *)sk, skb, reason);
	state = sk->__sk_common.skc_state;
	if (state == TCP_LISTEN)
		return reset_stranger((struct sock_common *)sk, skb, reason);
	e = full_begin(EV_RST_SENT, sk, tp, state);
	if (!e)
		return 0;
	if (skb && segment_received(&s, skb))
		reset_segment(e, &s);
	e->extra.reset.reason = reason;
	emit_end(e);
	return 0;
}
