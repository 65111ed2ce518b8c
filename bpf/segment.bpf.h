/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * A TCP segment, from a received packet's headers or from what TCP keeps of one
 * that it sends. Rare events only: these are probe reads.
 */
#ifndef TCPTRAIL_SEGMENT_BPF_H
#define TCPTRAIL_SEGMENT_BPF_H

#include "filter.bpf.h"

enum { SEGMENT_FIN = 1, SEGMENT_SYN = 2, SEGMENT_RST = 4 };

/* A received segment, as its receiver sees it: local is the destination. */
struct segment {
	__u8 local[16];
	__u8 peer[16];
	__u16 lport;
	__u16 pport;
	__u16 flags; /* FIN 1, SYN 2, RST 4, PSH 8, ACK 16 */
	__u16 len;   /* payload */
	__u32 seq;
	__u32 ack_seq;
};

struct raw_ip4 {
	__u8 version_ihl, tos;
	__be16 tot_len;
	__u8 skip[5], protocol;
	__be16 check;
	__be32 saddr, daddr;
};

struct raw_ip6 {
	__be32 version_flow;
	__be16 payload_len;
	__u8 nexthdr, hop_limit;
	__u64 saddr[2], daddr[2];
};

struct raw_tcp {
	__be16 source, dest;
	__be32 seq, ack_seq;
	__u8 doff, flags;
};

/* Bytes from the start of the network header; negative if this is no TCP over IP. */
static __always_inline int segment_addresses(struct segment *s, const unsigned char *nh)
{
	struct raw_ip6 ip6;
	struct raw_ip4 *ip4 = (struct raw_ip4 *)&ip6;

	if (bpf_probe_read_kernel(&ip6, sizeof(*ip4), nh))
		return -1;
	if (ip4->version_ihl >> 4 == 4) {
		addr_mapped(s->local, ip4->daddr);
		addr_mapped(s->peer, ip4->saddr);
		return ip4->protocol == IPPROTO_TCP ? bpf_ntohs(ip4->tot_len) : -1;
	}
	if (ip4->version_ihl >> 4 != 6 || bpf_probe_read_kernel(&ip6, sizeof(ip6), nh))
		return -1;
	__builtin_memcpy(s->local, ip6.daddr, 16);
	__builtin_memcpy(s->peer, ip6.saddr, 16);
	return ip6.nexthdr == IPPROTO_TCP ? bpf_ntohs(ip6.payload_len) + (int)sizeof(ip6) : -1;
}

static __always_inline bool segment_received(struct segment *s, struct sk_buff *skb)
{
	unsigned char *head = BPF_CORE_READ(skb, head);
	__u16 nh = BPF_CORE_READ(skb, network_header), th = BPF_CORE_READ(skb, transport_header);
	struct raw_tcp tcp;
	int len;

	if (th == 0xffff || nh == 0xffff || th <= nh)
		return false;
	len = segment_addresses(s, head + nh);
	if (len < 0 || bpf_probe_read_kernel(&tcp, sizeof(tcp), head + th))
		return false;
	len -= th - nh + (tcp.doff >> 4) * 4;
	s->lport = bpf_ntohs(tcp.dest);
	s->pport = bpf_ntohs(tcp.source);
	s->flags = tcp.flags;
	s->len = len > 0 ? len : 0;
	s->seq = bpf_ntohl(tcp.seq);
	s->ack_seq = bpf_ntohl(tcp.ack_seq);
	return true;
}

/* As an argument of a traced function it may be anything: all reads are probes. */
static __always_inline bool segment_is_rst(struct sk_buff *skb)
{
	unsigned char *head = BPF_CORE_READ(skb, head);
	struct raw_tcp tcp = {0};

	bpf_probe_read_kernel(&tcp, sizeof(tcp), head + BPF_CORE_READ(skb, transport_header));
	return tcp.flags & SEGMENT_RST;
}

static __always_inline bool segment_family(const struct segment *s)
{
	const __u64 *peer = (const __u64 *)s->peer;
	bool v4 = !peer[0] && (__u32)peer[1] == bpf_htonl(0xffff);

	return !cfg.family || v4 == (cfg.family == 4);
}

/* Where TCP keeps a segment's numbers while it is its own: in sk_buff.cb. (The loader mends
 * the width of tcp_flags, a byte to 6.17.) */
static __always_inline void segment_sent(union event_extra *x, struct sk_buff *skb)
{
	struct tcp_skb_cb *cb = (void *)__builtin_preserve_access_index(&skb->cb);

	x->raw[0] = 0;
	x->raw[1] = 0;
	x->seg.seq = cb->seq;
	x->seg.end_seq = cb->end_seq;
	x->seg.tcp_flags = cb->tcp_flags;
	x->seg.len = skb->len;
}

/* The record's addresses from a received segment. */
static __always_inline void segment_fill(struct event *e, const struct segment *s)
{
	__builtin_memcpy(e->local, s->local, 16);
	__builtin_memcpy(e->peer, s->peer, 16);
	e->lport = s->lport;
	e->pport = s->pport;
}

static __always_inline void segment_extra(union event_extra *x, const struct segment *s)
{
	x->raw[0] = 0;
	x->raw[1] = 0;
	x->seg.seq = s->seq;
	x->seg.end_seq = s->seq + s->len + !!(s->flags & SEGMENT_SYN) + !!(s->flags & SEGMENT_FIN);
	x->seg.tcp_flags = s->flags;
	x->seg.len = s->len;
}

/* A record about a segment for which there is no full socket. */
static __always_inline void segment_alone(struct event *e, const struct segment *s)
{
	e->cookie = 0;
	e->sk_uid = 0;
	segment_fill(e, s);
	emit_clear(&e->tcp, sizeof(e->tcp));
	owner_none(e);
}

#endif
