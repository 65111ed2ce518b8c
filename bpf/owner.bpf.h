/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Who did it. `current` is whoever the softirq interrupted unless the hook runs
 * in the caller's own context: owner_known() says when that is certain.
 */
#ifndef TCPTRAIL_OWNER_BPF_H
#define TCPTRAIL_OWNER_BPF_H

#include "emit.bpf.h"

enum { KERNEL_ECONNABORTED = 103 };

/* The transitions that only a call makes. Those a segment makes may run with the
 * socket owned too (loopback, through the backlog): ->CLOSE counts only where no
 * segment or timer explains it. */
static __always_inline bool owner_known(int old_state, int new_state, bool owned, bool dead,
					bool done, int err)
{
	if (old_state == new_state)
		return true;
	switch (new_state) {
	case TCP_SYN_SENT:
	case TCP_LISTEN:
		return old_state == TCP_CLOSE;
	case TCP_FIN_WAIT1:
		return true;
	case TCP_LAST_ACK:
		return old_state == TCP_CLOSE_WAIT;
	case TCP_CLOSE:
		if (!owned || dead)
			return false;
		if (err)
			return err == KERNEL_ECONNABORTED;
		return old_state != TCP_LAST_ACK && old_state != TCP_CLOSING &&
		       !(old_state == TCP_FIN_WAIT2 && done);
	}
	return false;
}

/* iter/task_file holds each file while it shows it. Where the owner has closed it meanwhile, the
 * tracer's own task is the last to let go, and closes what is not its own. */
static __always_inline bool owner_only_looked(int new_state)
{
	bool closes = new_state == TCP_FIN_WAIT1 || new_state == TCP_LAST_ACK ||
		      new_state == TCP_CLOSE;

	return closes && bpf_get_current_pid_tgid() >> 32 == counters.looker;
}

/* By direct loads: the task is one that the verifier knows. */
static __always_inline void owner_of(struct event *e, struct task_struct *task)
{
	struct task_struct *leader = task->group_leader;
	const __u64 *comm = (const __u64 *)__builtin_preserve_access_index(&leader->comm);
	__u64 *to = (__u64 *)e->task.comm;

	e->task.cgroup = task->cgroups->dfl_cgrp->kn->id;
	e->task.pid = task->tgid;
	e->task.tid = task->pid;
	e->task.uid = task->cred->uid.val;
	e->task.bound_dev = 0;
	to[0] = comm[0];
	to[1] = comm[1];
	e->flags |= EVF_TASK;
	if (task->flags & TASK_KTHREAD)
		e->flags |= EVF_KTHREAD;
}

/* The same where the kernel gives only an address (5.10, classic tracepoints). */
static __always_inline void owner_of_address(struct event *e, struct task_struct *task)
{
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);

	e->task.cgroup = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
	e->task.pid = BPF_CORE_READ(task, tgid);
	e->task.tid = BPF_CORE_READ(task, pid);
	e->task.uid = BPF_CORE_READ(task, cred, uid.val);
	e->task.bound_dev = 0;
	if (bpf_core_read(e->task.comm, sizeof(e->task.comm), &leader->comm))
		emit_clear(e->task.comm, sizeof(e->task.comm));
	e->flags |= EVF_TASK;
	if (BPF_CORE_READ(task, flags) & TASK_KTHREAD)
		e->flags |= EVF_KTHREAD;
}

static __always_inline void owner_current(struct event *e)
{
	if (cfg.has_task_btf)
		owner_of(e, bpf_get_current_task_btf());
	else
		owner_of_address(e, (struct task_struct *)bpf_get_current_task());
}

static __always_inline void owner_none(struct event *e)
{
	emit_clear(&e->task, sizeof(e->task));
}

#endif
