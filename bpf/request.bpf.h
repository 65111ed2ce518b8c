/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The two small socks: a request sock before the connection, a timewait minisock
 * after it. Their memory is used again at once: they are known by cookie and
 * addresses, never by where they lie.
 */
#ifndef TCPTRAIL_REQUEST_BPF_H
#define TCPTRAIL_REQUEST_BPF_H

#include "filter.bpf.h"
#include "owner.bpf.h"

static __always_inline __u32 jiffies_ms(__u64 jiffies)
{
	return cfg.hz ? jiffies * 1000 / cfg.hz : 0;
}

/* How long until then; 0 if it is past. */
static __always_inline __u32 expires_ms(__u64 expires)
{
	__s64 left = expires - bpf_jiffies64();

	return left > 0 ? jiffies_ms(left) : 0;
}

/* By its addresses alone. */
static __always_inline bool request_in_filter(struct request_sock *req)
{
	struct sock_common *skc = &req->__req_common;

	return filter_common(skc, skc->skc_num, bpf_ntohs(skc->skc_dport), false);
}

static __always_inline bool filter_listener(struct sock *sk)
{
	if (cfg.netns && sk->__sk_common.skc_net.net->ns.inum != cfg.netns)
		return false;
	if (cfg.has_uid && sk->sk_uid.val != cfg.uid)
		return false;
	if (cfg.cgroup && !filter_cgroup(sk))
		return false;
	return !cfg.pid || filter_mine(sk, false);
}

/* The listener decides for its request socks, but for the addresses. */
static __always_inline bool request_wanted(struct sock *sk, struct request_sock *req)
{
	return filter_listener(sk) && request_in_filter(req);
}

/* What a request sock knows by itself. */
static __always_inline void request_own(struct event *e, enum event_kind kind,
					struct request_sock *req)
{
	struct tcp_request_sock *treq = bpf_skc_to_tcp_request_sock(req);

	emit_head(e, kind, TCP_NEW_SYN_RECV, TCP_NEW_SYN_RECV);
	sock_addresses(e, &req->__req_common);
	e->lport = req->__req_common.skc_num;
	e->pport = bpf_ntohs(req->__req_common.skc_dport);
	owner_none(e);
	emit_clear(&e->extra, sizeof(e->extra));
	if (treq) {
		e->extra.req.isn_local = treq->snt_isn;
		e->extra.req.isn_peer = treq->rcv_isn;
	}
	e->extra.req.retries = req->num_retrans;
	e->extra.req.mss = req->mss;
}

/* The whole record: the request's addresses, the listener's cookie and queues. */
static __always_inline void request_of(struct event *e, enum event_kind kind, struct sock *sk,
				       struct tcp_sock *tp, struct request_sock *req)
{
	request_own(e, kind, req);
	e->cookie = sock_cookie(sk);
	e->sk_uid = sk->sk_uid.val;
	e->flags |= EVF_LISTEN;
	sock_listen(&e->listen, sk, tp);
}

/* The whole record, without its listener. */
static __always_inline void request_alone(struct event *e, enum event_kind kind,
					  struct request_sock *req)
{
	request_own(e, kind, req);
	e->cookie = 0;
	e->sk_uid = 0;
	emit_clear(&e->listen, sizeof(e->listen));
}

static __always_inline bool timewait_wanted(struct inet_timewait_sock *tw)
{
	return filter_common(&tw->__tw_common, bpf_ntohs(tw->tw_sport),
			     bpf_ntohs(tw->__tw_common.skc_dport), false);
}

/* Does it go because its namespace goes? Then nobody holds that any more. */
static __always_inline bool timewait_purged(struct inet_timewait_sock *tw)
{
	struct net *net = BPF_CORE_READ(tw, __tw_common.skc_net.net);
	struct net___510 *net510 = (void *)net;
	struct ns_common___511 *ns511 = (void *)__builtin_preserve_access_index(&net->ns);
	struct ns_common___618 *ns618 = (void *)ns511;

	if (bpf_core_field_exists(net510->count))
		return !BPF_CORE_READ(net510, count.refs.counter);
	if (bpf_core_field_exists(ns511->count))
		return !BPF_CORE_READ(ns511, count.refs.counter);
	if (bpf_core_field_exists(ns618->__ns_ref))
		return !BPF_CORE_READ(ns618, __ns_ref.refs.counter);
	return false;
}

/* The socket's cookie lives on in its minisock; our own number does so by on_minisock. */
static __always_inline __u64 timewait_cookie(struct inet_timewait_sock *tw)
{
	__u64 key = (__u64)tw, *known;

	if (cfg.has_cookie)
		return tw->__tw_common.skc_cookie.counter;
	known = bpf_map_lookup_elem(&ids, &key);
	return known ? *known : 0;
}

/* The whole record. What remains of its time is told by the timer. */
static __always_inline void timewait_of(struct event *e, enum event_kind kind,
					struct inet_timewait_sock *tw)
{
	__u8 substate = tw->tw_substate;

	emit_head(e, kind, substate, substate);
	e->cookie = timewait_cookie(tw);
	sock_addresses(e, &tw->__tw_common);
	e->lport = bpf_ntohs(tw->tw_sport);
	e->pport = bpf_ntohs(tw->__tw_common.skc_dport);
	e->sk_uid = 0;
	emit_clear(&e->tcp, sizeof(e->tcp));
	e->tcp.rcv_nxt = tw->__tw_common.skc_tw_rcv_nxt;
	e->tcp.snd_nxt = tw->__tw_common.skc_tw_snd_nxt;
	owner_none(e);
	e->task.bound_dev = tw->__tw_common.skc_bound_dev_if;
	emit_clear(&e->extra, sizeof(e->extra));
	e->extra.tw.substate = substate;
	e->extra.tw.expires_ms = expires_ms(tw->tw_timer.expires);
}

#endif
