// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * Full mode: how a connection really ends, where inet_sock_set_state only says
 * CLOSE: the timewait minisock, the probes before a time-out, SOCK_DESTROY.
 */
#include "request.bpf.h"
#include "segment.bpf.h"

enum { MIB_KEEPALIVE = 1, MIB_ZERO_WINDOW = 2 };

static __always_inline struct event *full_begin(enum event_kind kind, struct sock *sk,
						struct tcp_sock *tp)
{
	__u8 state = sk->__sk_common.skc_state;
	struct event *e = emit_begin(kind);

	if (!e)
		return NULL;
	emit_head(e, kind, state, state);
	sock_fill(e, sk, tp, sock_flags(sk), state == TCP_LISTEN, sk->sk_err);
	emit_clear(&e->extra, sizeof(e->extra));
	owner_none(e);
	return e;
}

/* tcp_time_wait(sk, state, timeo): just before the ->CLOSE. timeo is in jiffies. */
SEC("fentry/tcp_time_wait")
int BPF_PROG(on_time_wait, struct sock *sk, int state, int timeo)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct event *e;

	if (!tp || !filter_sock(sk, tp))
		return 0;
	e = full_begin(EV_TW_ENTER, sk, tp);
	if (!e)
		return 0;
	e->extra.tw.substate = state;
	e->extra.tw.timeo_ms = timeo > 0 ? jiffies_ms(timeo) : 0;
	emit_end(e);
	return 0;
}

/* By its timer, a new SYN, a RST, or with its namespace (then EVF_KTHREAD is set). */
SEC("fentry/inet_twsk_kill")
int BPF_PROG(on_time_wait_over, struct inet_timewait_sock *tw)
{
	struct event *e = timewait_wanted(tw) ? emit_begin(EV_TW_LEAVE) : NULL;
	__u64 key = (__u64)tw;

	if (e) {
		timewait_of(e, EV_TW_LEAVE, tw);
		if (timewait_purged(tw))
			e->flags |= EVF_KTHREAD;
		emit_end(e);
	}
	if (!cfg.has_cookie)
		bpf_map_delete_elem(&ids, &key);
	return 0;
}

/* inet_twsk_alloc(sk, dr, state): where sockets have only numbers of our own, the minisock takes
 * over its socket's; it may not have been made. */
SEC("fexit/inet_twsk_alloc")
int BPF_PROG(on_minisock, struct sock *sk, void *dr, int state, struct inet_timewait_sock *tw)
{
	__u64 key = (__u64)tw, id;

	if (!tw || cfg.has_cookie)
		return 0;
	id = sock_id(sk);
	bpf_map_update_elem(&ids, &key, &id, BPF_ANY);
	return 0;
}

/* tcp_timewait_state_process(tw, skb, th, ...): of the segments that reach a minisock, those
 * that can end it. */
SEC("fentry/tcp_timewait_state_process")
int BPF_PROG(on_time_wait_segment, struct inet_timewait_sock *tw, struct sk_buff *skb)
{
	struct segment s;
	struct event *e;

	if (!segment_received(&s, skb) || !(s.flags & (SEGMENT_FIN | SEGMENT_SYN | SEGMENT_RST)))
		return 0;
	if (!timewait_wanted(tw))
		return 0;
	e = emit_begin(EV_TW_SEGMENT);
	if (!e)
		return 0;
	timewait_of(e, EV_TW_SEGMENT, tw);
	segment_extra(&e->extra, &s);
	emit_end(e);
	return 0;
}

/* tcp_write_wakeup(sk, mib): which counter it adds to tells what kind of probe it is. */
SEC("fentry/tcp_write_wakeup")
int BPF_PROG(on_probe, struct sock *sk, int mib)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct event *e;

	if (!tp || !filter_sock(sk, tp))
		return 0;
	e = full_begin(EV_PROBE, sk, tp);
	if (!e)
		return 0;
	e->extra.seg.seq = e->tcp.snd_una - 1;
	e->extra.seg.end_seq = e->extra.seg.seq;
	e->extra.seg.mib = mib == (int)cfg.mib_keepalive ? MIB_KEEPALIVE : MIB_ZERO_WINDOW;
	emit_end(e);
	return 0;
}

/* tcp_reset(sk, skb): the segment behind the tcp_receive_reset that follows. */
SEC("fentry/tcp_reset")
int BPF_PROG(on_reset_segment, struct sock *sk, struct sk_buff *skb)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct segment s;
	struct event *e;

	if (!tp || !filter_sock(sk, tp) || !segment_received(&s, skb))
		return 0;
	e = full_begin(EV_RST_SEGMENT, sk, tp);
	if (!e)
		return 0;
	segment_extra(&e->extra, &s);
	emit_end(e);
	return 0;
}

/* SOCK_DESTROY. Minisocks and request socks come here too, of which nothing else tells. */
SEC("fentry/tcp_abort")
int BPF_PROG(on_abort, struct sock *sk)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct event *e;

	if (!tp || !filter_sock(sk, tp))
		return 0;
	e = full_begin(EV_ABORT, sk, tp);
	if (!e)
		return 0;
	owner_current(e);
	emit_end(e);
	return 0;
}
