// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * Segments that the kernel throws away: old duplicates, PAWS, a full queue.
 *
 * kfree_skb fires for every dropped packet of the host, so it is attached only on
 * request, and a reason that is not TCP's leaves at once. The record holds the
 * receiver's view: local is the segment's destination.
 */
#include "owner.bpf.h"
#include "segment.bpf.h"

static __always_inline bool drop_wanted(__u32 reason)
{
	if (reason >= TRACER_DROP_REASONS)
		return false;
	return cfg.drop_reasons[reason >> 6 & 3] >> (reason & 63) & 1;
}

/* A segment whose socket is known has lost its device by then; before 6.11 nobody says which
 * socket it was: namespace 0. */
static __always_inline __u32 drop_netns(struct sk_buff *skb, struct sock *sk)
{
	if (sk)
		return BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	return BPF_CORE_READ(skb, dev, nd_net.net, ns.inum);
}

static __always_inline int drop_tell(struct sk_buff *skb, __u32 reason, struct sock *sk)
{
	struct segment s;
	struct event *e;
	__u32 netns;

	if (!segment_received(&s, skb))
		return 0;
	netns = drop_netns(skb, sk);
	if ((cfg.netns && netns && netns != cfg.netns) || !segment_family(&s) ||
	    !filter_ports(s.lport, s.pport, false))
		return 0;
	e = emit_begin(EV_DROP);
	if (!e)
		return 0;
	emit_head(e, EV_DROP, 0, 0);
	segment_alone(e, &s);
	e->netns = netns;
	emit_clear(&e->extra, sizeof(e->extra));
	e->extra.reset.reason = reason;
	e->extra.reset.seq = s.seq;
	e->extra.reset.ack_seq = s.ack_seq;
	e->extra.reset.tcp_flags = s.flags;
	e->extra.reset.has_skb = 1;
	emit_end(e);
	return 0;
}

/* (skb, location, reason), from 6.11 also the receiving socket. */
SEC("tp_btf/kfree_skb")
int on_kfree_skb(__u64 *ctx)
{
	struct sk_buff *skb = (struct sk_buff *)ctx[0];
	struct sock *sk = NULL;
	__u32 reason = 0;

	if (cfg.kfree_skb_args >= 3)
		reason = ctx[2];
	if (!drop_wanted(reason))
		return 0;
	if (cfg.kfree_skb_args >= 4)
		sk = (struct sock *)ctx[3];
	return drop_tell(skb, reason, sk);
}
