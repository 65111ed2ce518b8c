/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The part of the FILTER that the kernel can decide without being wrong, before
 * a record is reserved. What is not set is removed by the verifier.
 *
 * A local port that is not chosen yet (CLOSE->SYN_SENT) passes where the kernel
 * could choose one that is asked for, and so does what SYN_SENT turns into: user
 * space must see how that ended, or it would keep it.
 */
#ifndef TCPTRAIL_FILTER_BPF_H
#define TCPTRAIL_FILTER_BPF_H

#include "sock.bpf.h"

static __always_inline bool filter_in(const volatile struct tracer_ports *ranges, __u8 n,
				      __u16 port)
{
	for (int i = 0; i < TRACER_PORTS && i < n; i++)
		if (port >= ranges[i].lo && port <= ranges[i].hi)
			return true;
	return false;
}

static __always_inline bool filter_ports(__u16 lport, __u16 pport, bool early)
{
	early = cfg.early_ports && (early || !lport);
	if (cfg.nlocal && !early && !filter_in(cfg.local, cfg.nlocal, lport))
		return false;
	if (cfg.npeer && !filter_in(cfg.peer, cfg.npeer, pport))
		return false;
	if (cfg.neither && !early && !filter_in(cfg.either, cfg.neither, lport) &&
	    !filter_in(cfg.either, cfg.neither, pport))
		return false;
	return true;
}

static __always_inline bool filter_family(struct sock_common *skc)
{
	const __u64 *peer;
	bool v4 = skc->skc_family == AF_INET;

	if (!v4) {
		peer = (const __u64 *)__builtin_preserve_access_index(
			&skc->skc_v6_daddr.in6_u.u6_addr8);
		v4 = !peer[0] && (__u32)peer[1] == bpf_htonl(0xffff);
	}
	return v4 == (cfg.family == 4);
}

static __always_inline bool filter_cgroup(struct sock *sk)
{
	struct sock_cgroup_data___5 *old =
		(void *)__builtin_preserve_access_index(&sk->sk_cgrp_data);
	__u32 level = cfg.cgroup_level; /* its own read, or it would be relocated as the kernel's */
	struct cgroup *cg, *above;
	__u64 id;

	if (bpf_core_field_exists(sk->sk_cgrp_data.cgroup))
		cg = BPF_CORE_READ(sk, sk_cgrp_data.cgroup);
	else
		cg = (struct cgroup *)(BPF_CORE_READ(old, val) & ~3ULL);
	if (!cg || BPF_CORE_READ(cg, level) < (int)level)
		return false;
	if (bpf_core_field_exists(cg->ancestors)) {
		if (bpf_core_read(&above, sizeof(above), &cg->ancestors[level]))
			return false;
		id = BPF_CORE_READ(above, kn, id);
	} else if (bpf_core_read(&id, sizeof(id),
				 &((struct cgroup___5 *)cg)->ancestor_ids[level])) {
		return false;
	}
	return id == cfg.cgroup;
}

/* For any kind of sock: what all of them have. */
static __always_inline bool filter_common(struct sock_common *skc, __u16 lport, __u16 pport,
					  bool early)
{
	if (cfg.netns && skc->skc_net.net->ns.inum != cfg.netns)
		return false;
	if (cfg.family && !filter_family(skc))
		return false;
	return filter_ports(lport, pport, early);
}

/* Is it the process's that the filter asks for? `act`: it is `current` who acts now. */
static __always_inline bool filter_mine(struct sock *sk, bool act)
{
	__u8 yes = 1;

	if (act && bpf_get_current_pid_tgid() >> 32 == cfg.pid) {
		bpf_sk_storage_get(&mine, sk, &yes, BPF_SK_STORAGE_GET_F_CREATE);
		return true;
	}
	return bpf_sk_storage_get(&mine, sk, 0, 0) != 0;
}

/* A full socket, without the pid. */
static __always_inline bool filter_any_owner(struct sock *sk, struct tcp_sock *tp, bool early)
{
	if (cfg.has_uid && sk->sk_uid.val != cfg.uid)
		return false;
	if ((cfg.nlocal | cfg.npeer | cfg.neither | cfg.family | cfg.netns) &&
	    !filter_common(&sk->__sk_common, sock_lport(tp),
			   bpf_ntohs(sk->__sk_common.skc_dport), early))
		return false;
	return !cfg.cgroup || filter_cgroup(sk);
}

static __always_inline bool filter_sock(struct sock *sk, struct tcp_sock *tp)
{
	if (!filter_any_owner(sk, tp, false))
		return false;
	return !cfg.pid || filter_mine(sk, false);
}

#endif
