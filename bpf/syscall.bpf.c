// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * --accept-wait in base mode: accept()'s return, from its system call. The task
 * comes from the call, the socket from its new fd; all by probe reads, as a
 * classic tracepoint knows no types.
 */
#include "filter.bpf.h"
#include "owner.bpf.h"
#include "stack.bpf.h"

struct syscall_exit {
	__u64 common;
	__u64 nr;
	long ret;
};

static __always_inline struct sock *sock_of_fd(struct task_struct *task, long fd)
{
	struct fdtable *fdt = BPF_CORE_READ(task, files, fdt);
	struct file **files = BPF_CORE_READ(fdt, fd), *file = NULL;
	struct socket *socket;

	if (fd < 0 || fd >= BPF_CORE_READ(fdt, max_fds))
		return NULL;
	if (bpf_probe_read_kernel(&file, sizeof(file), files + fd) || !file)
		return NULL;
	socket = BPF_CORE_READ(file, private_data);
	/* accept() gives only sockets: no other file can be here */
	return socket ? BPF_CORE_READ(socket, sk) : NULL;
}

/* The same as sock_addresses(), from an address that the verifier does not know. */
static __always_inline void address_read(struct event *e, struct sock *sk)
{
	struct sock_common *skc = (struct sock_common *)sk;

	if (BPF_CORE_READ(skc, skc_family) == AF_INET6) {
		bpf_core_read(e->local, 16, &skc->skc_v6_rcv_saddr);
		bpf_core_read(e->peer, 16, &skc->skc_v6_daddr);
	} else {
		addr_mapped(e->local, BPF_CORE_READ(skc, skc_rcv_saddr));
		addr_mapped(e->peer, BPF_CORE_READ(skc, skc_daddr));
	}
	e->netns = BPF_CORE_READ(skc, skc_net.net, ns.inum);
}

static __always_inline int accept_tell(void *ctx, long fd)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct sock *sk = fd >= 0 ? sock_of_fd(task, fd) : NULL;
	struct sock_common *skc = (struct sock_common *)sk;
	__u16 family, lport, pport;
	struct event *e;
	__u64 cookie;
	__u32 netns;

	if (!sk || BPF_CORE_READ(sk, sk_protocol) != IPPROTO_TCP)
		return 0;
	family = BPF_CORE_READ(skc, skc_family);
	lport = bpf_ntohs(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
	pport = bpf_ntohs(BPF_CORE_READ(skc, skc_dport));
	if ((family != AF_INET && family != AF_INET6) || !filter_ports(lport, pport, false) ||
	    (cfg.pid && bpf_get_current_pid_tgid() >> 32 != cfg.pid) ||
	    (cfg.has_uid && BPF_CORE_READ(sk, sk_uid.val) != cfg.uid))
		return 0;
	e = emit_begin(EV_ACCEPT);
	if (!e)
		return 0;
	emit_head(e, EV_ACCEPT, 0, 0);
	e->old_state = e->new_state = BPF_CORE_READ(skc, skc_state) & 15;
	e->cookie = BPF_CORE_READ(skc, skc_cookie.counter);
	if (!cfg.has_cookie)
		e->cookie = sock_id(sk);
	address_read(e, sk);
	e->lport = lport;
	e->pport = pport;
	e->sk_uid = BPF_CORE_READ(sk, sk_uid.val);
	emit_clear(&e->tcp, sizeof(e->tcp));
	emit_clear(&e->extra, sizeof(e->extra));
	owner_of_address(e, task);
	cookie = e->cookie;
	netns = e->netns;
	emit_end(e);
	if (cfg.stack)
		stack_tell(ctx, cookie, netns);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_accept")
int on_accept_exit(struct syscall_exit *ctx)
{
	return accept_tell(ctx, ctx->ret);
}

SEC("tracepoint/syscalls/sys_exit_accept4")
int on_accept4_exit(struct syscall_exit *ctx)
{
	return accept_tell(ctx, ctx->ret);
}
