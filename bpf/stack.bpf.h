/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * --stack: the calls in user space that led to this connect() or accept(), as
 * addresses. What they are called is user space's to find out.
 *
 * Only where `current` is the caller. Without --stack nothing of this is loaded.
 */
#ifndef TCPTRAIL_STACK_BPF_H
#define TCPTRAIL_STACK_BPF_H

#include "emit.bpf.h"

/* A system call's wrapper keeps no frame pointer: its caller is on top of the stack, where
 * the walk along frame pointers does not look. Returns how many words were read. */
static __always_inline __u8 stack_top(struct stack_record *r)
{
	struct pt_regs *regs = NULL;
	__u64 sp;

	if (!cfg.has_task_regs || !bpf_core_field_exists(regs->sp))
		return 0;
	regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	sp = BPF_CORE_READ(regs, sp);
	return sp && !bpf_probe_read_user(r->word, sizeof(r->word), (void *)sp) ? STACK_WORDS : 0;
}

static __always_inline void stack_task(struct stack_record *r)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	r->pid = bpf_get_current_pid_tgid() >> 32;
	r->uid = bpf_get_current_uid_gid();
	r->start_ns = BPF_CORE_READ(task, group_leader, start_boottime);
	r->execs = BPF_CORE_READ(task, group_leader, self_exec_id);
}

/* A process may be gone soon, and its memory map with it: user space is woken for one that was
 * not the last to be told. */
static __always_inline __u64 stack_wakes(__u32 pid)
{
	if (counters.stack_pid == pid)
		return BPF_RB_NO_WAKEUP;
	counters.stack_pid = pid;
	return BPF_RB_FORCE_WAKEUP;
}

/* Asked for only where cfg.stack is set: what it needs is then not even reckoned without it. */
static __always_inline void stack_tell(void *ctx, __u64 cookie, __u32 netns)
{
	struct stack_record *r;
	long bytes;

	r = bpf_ringbuf_reserve(&ring, sizeof(*r), 0);
	if (!r) {
		__sync_fetch_and_add(&counters.lost[EV_STACK], 1);
		return;
	}
	bytes = bpf_get_stack(ctx, r->ip, sizeof(r->ip), BPF_F_USER_STACK);
	if (bytes <= 0) { /* a kernel thread has none */
		bpf_ringbuf_discard(r, BPF_RB_NO_WAKEUP);
		return;
	}
	r->ts_ns = bpf_ktime_get_ns();
	r->cookie = cookie;
	r->netns = netns;
	r->kind = EV_STACK;
	r->frames = bytes / sizeof(r->ip[0]);
	r->pad = 0;
	r->words = stack_top(r);
	stack_task(r);
	bpf_ringbuf_submit(r, stack_wakes(r->pid));
}

#endif
