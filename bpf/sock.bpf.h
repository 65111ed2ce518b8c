/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * From a struct sock to a record, by direct loads: the verifier knows the types,
 * and a load is a fiftieth of a probe read.
 *
 * What stands in struct sock is read through `sk`, the hook's own argument, not
 * through `tp`: on newer kernels an argument is trusted and its loads are bare.
 */
#ifndef TCPTRAIL_SOCK_BPF_H
#define TCPTRAIL_SOCK_BPF_H

#include "emit.bpf.h"

/* ::ffff:0:0/96 before an address in network order. */
static __always_inline void addr_mapped(__u8 to[16], __be32 addr)
{
	*(__u64 *)to = 0;
	*(__u32 *)(to + 8) = bpf_htonl(0xffff);
	*(__u32 *)(to + 12) = addr;
}

static __always_inline void addr_copy(__u8 to[16], const struct in6_addr *from)
{
	const __u64 *word = (const __u64 *)__builtin_preserve_access_index(&from->in6_u.u6_addr8);

	((__u64 *)to)[0] = word[0];
	((__u64 *)to)[1] = word[1];
}

static __always_inline void sock_addresses(struct event *e, struct sock_common *skc)
{
	if (skc->skc_family == AF_INET6) {
		addr_copy(e->local, &skc->skc_v6_rcv_saddr);
		addr_copy(e->peer, &skc->skc_v6_daddr);
	} else {
		addr_mapped(e->local, skc->skc_rcv_saddr);
		addr_mapped(e->peer, skc->skc_daddr);
	}
	e->netns = skc->skc_net.net->ns.inum;
}

/* Zero at CLOSE->SYN_SENT of an unbound socket. skc_num is 0 already at ->CLOSE, inet_sport
 * is not yet set at CLOSE->LISTEN of an unbound one. */
static __always_inline __u16 sock_lport(struct tcp_sock *tp)
{
	return bpf_ntohs(tp->inet_conn.icsk_inet.inet_sport);
}

/* Our own number, where the helper is not allowed. Bit 62 (EVENT_OWN_ID) keeps it apart from
 * cookies, which count up from 1; bit 63 is user space's. */
static __always_inline __u64 sock_id(struct sock *sk)
{
	__u64 key = (__u64)sk, *known = bpf_map_lookup_elem(&ids, &key), id;

	if (known)
		return *known;
	id = EVENT_OWN_ID | (bpf_ktime_get_ns() << 6 & (EVENT_OWN_ID - 1)) |
	     (bpf_get_smp_processor_id() & 63);
	bpf_map_update_elem(&ids, &key, &id, BPF_ANY);
	return id;
}

static __always_inline __u64 sock_cookie(struct sock *sk)
{
	__u64 cookie;

	if (!cfg.has_cookie)
		return sock_id(sk);
	cookie = sk->__sk_common.skc_cookie.counter;
	return cookie ? cookie : bpf_get_socket_cookie(sk);
}

/* Bitfields that share a unit cost one load, not one each: `field` out of `word`, which was
 * loaded for `first`. Should a kernel keep them apart, the verifier keeps the second load. */
#define UNIT_LOAD(s, first) \
	(*(__u16 *)((void *)(s) + __CORE_RELO(s, first, BYTE_OFFSET)))
#define UNIT_FIELD(s, first, word, field)                                                       \
	({                                                                                      \
		__u64 unit = (word);                                                            \
		if (__CORE_RELO(s, first, BYTE_OFFSET) != __CORE_RELO(s, field, BYTE_OFFSET) || \
		    __CORE_RELO(s, field, BYTE_SIZE) != sizeof(__u16))                          \
			unit = BPF_CORE_READ_BITFIELD(s, field);                                \
		else                                                                            \
			unit = unit << __CORE_RELO(s, field, LSHIFT_U64) >>                     \
			       __CORE_RELO(s, field, RSHIFT_U64);                               \
		unit;                                                                           \
	})

static __always_inline void sock_options(struct event_tcp *t, struct tcp_sock *tp)
{
	__u16 rx = UNIT_LOAD(tp, rx_opt.tstamp_ok);
	__u8 options = 0;

	if (UNIT_FIELD(tp, rx_opt.tstamp_ok, rx, rx_opt.sack_ok))
		options |= TOPT_SACK;
	if (UNIT_FIELD(tp, rx_opt.tstamp_ok, rx, rx_opt.tstamp_ok))
		options |= TOPT_TIMESTAMPS;
	if (UNIT_FIELD(tp, rx_opt.tstamp_ok, rx, rx_opt.wscale_ok))
		options |= TOPT_WSCALE;
	if (BPF_CORE_READ_BITFIELD(tp, ecn_flags) & ECN_OK)
		options |= TOPT_ECN;
	/* Both ends set it, and only for data that the SYN really carried over. */
	if (BPF_CORE_READ_BITFIELD(tp, syn_data_acked))
		options |= TOPT_FASTOPEN;
	if (tp->fastopen_rsk)
		options |= TOPT_FASTOPEN_CHILD;
	t->options = options;
	t->snd_wscale = UNIT_FIELD(tp, rx_opt.tstamp_ok, rx, rx_opt.snd_wscale);
	t->rcv_wscale = UNIT_FIELD(tp, rx_opt.tstamp_ok, rx, rx_opt.rcv_wscale);
}

static __always_inline void sock_tcp(struct event_tcp *t, struct sock *sk, struct tcp_sock *tp,
				     int err)
{
	struct inet_connection_sock *icsk = &tp->inet_conn;

	t->snd_una = tp->snd_una;
	t->snd_nxt = tp->snd_nxt;
	t->write_seq = tp->write_seq;
	t->rcv_nxt = tp->rcv_nxt;
	t->copied_seq = tp->copied_seq;
	t->srtt_us = tp->srtt_us >> 3;
	t->min_rtt_us = tp->rtt_min.s[0].v;
	t->segs_in = tp->segs_in;
	t->segs_out = tp->segs_out;
	t->total_retrans = tp->total_retrans;
	t->bytes_acked = tp->bytes_acked;
	t->bytes_received = tp->bytes_received;
	t->rto_us = icsk->icsk_rto * cfg.jiffy_us;
	t->mss = tp->mss_cache;
	t->ca_state = BPF_CORE_READ_BITFIELD(icsk, icsk_ca_state);
	t->pending = icsk->icsk_pending;
	t->retransmits = icsk->icsk_retransmits;
	t->probes_out = icsk->icsk_probes_out;
	t->backoff = icsk->icsk_backoff;
	t->shutdown = sk->sk_shutdown;
	t->err = err;
	t->snd_wnd = tp->snd_wnd;
	sock_options(t, tp);
}

static __always_inline void sock_listen(struct event_listen *l, struct sock *sk,
					struct tcp_sock *tp)
{
	struct request_sock_queue *q = &tp->inet_conn.icsk_accept_queue;

	l->accept_queue = sk->sk_ack_backlog;
	l->accept_limit = sk->sk_max_ack_backlog;
	l->syn_queue = q->qlen.counter;
	l->syn_young = q->young.counter;
	l->drops = sk->sk_drops.counter;
	l->fastopen_limit = q->fastopenq.max_qlen;
	l->defer_accept = q->rskq_defer_accept;
	l->pad0 = 0;
	emit_clear(l->pad, sizeof(l->pad));
}

static __always_inline __u8 sock_flags(struct sock *sk)
{
	unsigned long skc_flags = sk->__sk_common.skc_flags;
	__u8 flags = 0;

	if (sk->sk_lock.owned)
		flags |= EVF_OWNED;
	if (skc_flags & SOCK_FLAG_DEAD)
		flags |= EVF_DEAD;
	if (skc_flags & SOCK_FLAG_DONE)
		flags |= EVF_DONE;
	if (!sk->sk_socket)
		flags |= EVF_NO_SOCKET;
	return flags;
}

/* Everything between the head and the task; flags are sock_flags(). `listen`: the socket's
 * queues, not its stream. */
static __always_inline void sock_fill(struct event *e, struct sock *sk, struct tcp_sock *tp,
				      __u8 flags, bool listen, int err)
{
	e->cookie = sock_cookie(sk);
	sock_addresses(e, &sk->__sk_common);
	e->lport = sock_lport(tp);
	e->pport = bpf_ntohs(sk->__sk_common.skc_dport);
	e->sk_uid = sk->sk_uid.val;
	if (listen) {
		e->flags |= flags | EVF_LISTEN;
		sock_listen(&e->listen, sk, tp);
	} else {
		e->flags |= flags | EVF_TCP;
		sock_tcp(&e->tcp, sk, tp, err);
	}
}

#endif
