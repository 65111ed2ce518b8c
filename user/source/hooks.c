/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of hooks and the questions that BTF answers about it.
 *
 * A row is a program of bpf/. What a row asks for is a name and a range of
 * argument counts: a kernel that has neither leaves the hook out, says so once,
 * and everything else works. Only on_set_state is required.
 */
#include <bpf/libbpf.h>
#include <string.h>

#include "btf.h"
#include "hooks.h"
#include "tracer.h"

#define TP(n, min, max)	 .kind = HOOK_TP_BTF, .attach = "tp_btf/" n, .targets = {{n, min, max, 0}}
#define ITER(n)		 .kind = HOOK_ITER, .attach = "iter/" n, .targets = {{n, 0, 0, 0}}
#define SYSCALL(n)	 .kind = HOOK_TRACEPOINT, .attach = "tracepoint/syscalls/" n, \
			 .targets = {{n, 0, 0, 0}}
#define ENTRY(n, min, max) .kind = HOOK_FENTRY, .attach = "fentry/" n, .targets = {{n, min, max, 0}}
#define EXIT(n, min, max)  .kind = HOOK_FEXIT, .attach = "fexit/" n, .targets = {{n, min, max, 0}}

static const struct hook hooks[] = {
	{.name = "on_set_state", .shows = "every change of state", .required = true,
	 TP("inet_sock_set_state", 3, 3)},
	{.name = "on_set_state_again", .shows = "changes of state while the first was interrupted",
	 .second = true, TP("inet_sock_set_state", 3, 3)},
	{.name = "on_retransmit", .shows = "segments sent again", TP("tcp_retransmit_skb", 2, 3)},
	{.name = "on_synack_retransmit", .shows = "SYN-ACKs sent again",
	 TP("tcp_retransmit_synack", 2, 2)},
	{.name = "on_send_reset", .shows = "RSTs sent", TP("tcp_send_reset", 2, 3)},
	{.name = "on_receive_reset", .shows = "RSTs received", TP("tcp_receive_reset", 1, 1)},
	{.name = "on_error_report", .shows = "errors, from ICMP too",
	 TP("inet_sk_error_report", 1, 1)},
	{.name = "on_destroy", .shows = "deaths by timer that nothing else told",
	 TP("tcp_destroy_sock", 1, 1)},
	{.name = "on_kfree_skb", .shows = "segments dropped, and why", .when = WHEN_SEGMENTS,
	 TP("kfree_skb", 3, 4)},
	{.name = "on_destroy_sock", .shows = "sockets freed (kernels without cookies here)",
	 .when = WHEN_NO_COOKIE, TP("tcp_destroy_sock", 1, 1)},
	{.name = "on_iter_tcp", .shows = "sockets that are there already", ITER("tcp")},
	{.name = "on_iter_task_file", .shows = "who holds a socket", ITER("task_file")},
	{.name = "on_accept_exit", .shows = "accept() returning", .when = WHEN_ACCEPT_WAIT,
	 SYSCALL("sys_exit_accept")},
	{.name = "on_accept4_exit", .shows = "accept4() returning", .when = WHEN_ACCEPT_WAIT,
	 SYSCALL("sys_exit_accept4")},

	{.name = "on_syn_in", .shows = "SYNs received", ENTRY("tcp_conn_request", 4, 4)},
	{.name = "on_request", .shows = "request socks made",
	 ENTRY("inet_csk_reqsk_queue_hash_add", 2, 3)},
	{.name = "on_synack", .shows = "SYN-ACKs sent, cookies", EXIT("tcp_make_synack", 6, 6)},
	{.name = "on_request_gone", .shows = "request socks dropped or timed out",
	 .kind = HOOK_FENTRY, .attach = "fentry/inet_csk_reqsk_queue_drop",
	 .targets = {{"__inet_csk_reqsk_queue_drop", 2, 4, 1},
		     {"reqsk_queue_unlink", 1, 1, 0},
		     {"inet_csk_reqsk_queue_drop", 2, 2, 1}}},
	{.name = "on_request_refused", .shows = "final ACKs not taken: accept queue full",
	 EXIT("tcp_check_req", 5, 6)},
	{.name = "on_accept", .shows = "accept()", EXIT("inet_csk_accept", 2, 4)},
	{.name = "on_time_wait", .shows = "TIME_WAIT and orphan FIN_WAIT_2 entered",
	 ENTRY("tcp_time_wait", 3, 3)},
	{.name = "on_time_wait_over", .shows = "TIME_WAIT left", ENTRY("inet_twsk_kill", 1, 1)},
	{.name = "on_time_wait_segment", .shows = "FIN and RST for a minisock",
	 ENTRY("tcp_timewait_state_process", 3, 5)},
	{.name = "on_minisock", .shows = "whose minisock it is (kernels without cookies here)",
	 .when = WHEN_NO_COOKIE, EXIT("inet_twsk_alloc", 3, 3)},
	{.name = "on_probe", .shows = "keepalives, zero-window probes",
	 ENTRY("tcp_write_wakeup", 2, 2)},
	{.name = "on_reset_segment", .shows = "which RST it was", ENTRY("tcp_reset", 2, 2)},
	{.name = "on_abort", .shows = "SOCK_DESTROY (ss -K)", ENTRY("tcp_abort", 2, 2)},
};

unsigned hooks_count(void)
{
	return sizeof(hooks) / sizeof(hooks[0]);
}

const struct hook *hooks_at(unsigned i)
{
	return &hooks[i];
}

bool hook_is_full(const struct hook *h)
{
	return h->kind == HOOK_FENTRY || h->kind == HOOK_FEXIT;
}

static int target_args(const struct hook *h, const struct hook_target *t, const struct btf *btf)
{
	return h->kind == HOOK_TP_BTF ? kernel_btf_tracepoint_args(btf, t->name)
				      : kernel_btf_func_args(btf, t->name);
}

const struct hook_target *hooks_target(const struct hook *h, const struct btf *btf)
{
	if (h->kind == HOOK_ITER || h->kind == HOOK_TRACEPOINT)
		return &h->targets[0];
	for (unsigned i = 0; i < HOOK_TARGETS && h->targets[i].name; i++) {
		int args = target_args(h, &h->targets[i], btf);

		if (args >= h->targets[i].min_args && args <= h->targets[i].max_args)
			return &h->targets[i];
	}
	return NULL;
}

static bool asked_for(const struct hook *h, const struct source_config *cfg, bool has_cookie)
{
	if (hook_is_full(h) && cfg->mode == MODE_BASE)
		return false;
	if (cfg->snapshot_only && h->kind != HOOK_ITER)
		return h->when == WHEN_NO_COOKIE && !has_cookie;
	switch (h->when) {
	case WHEN_SEGMENTS:
		return cfg->segments;
	case WHEN_ACCEPT_WAIT:
		return cfg->accept_wait || cfg->stack;
	case WHEN_NO_COOKIE:
		return !has_cookie;
	case WHEN_ALWAYS:
		break;
	}
	return true;
}

void hooks_plan(struct hook_info *infos, const struct btf *btf, const struct source_config *cfg,
		bool has_cookie)
{
	for (unsigned i = 0; i < hooks_count(); i++) {
		const struct hook *h = &hooks[i];

		infos[i] = (struct hook_info){
			.name = h->name,
			.attach = h->attach,
			.shows = h->shows,
			.full = hook_is_full(h),
			.status = HOOK_ATTACHED,
		};
		if (!asked_for(h, cfg, has_cookie))
			infos[i].status = HOOK_OFF;
		else if (!hooks_target(h, btf))
			infos[i].status = HOOK_ABSENT;
	}
}

static unsigned char args_of(const struct btf *btf, const char *name, bool tracepoint)
{
	int n = tracepoint ? kernel_btf_tracepoint_args(btf, name)
			   : kernel_btf_func_args(btf, name);

	return n > 0 ? n : 0;
}

void hooks_signatures(struct tracer_config *out, const struct btf *btf)
{
	int64_t mib = kernel_btf_enumerator(btf, "LINUX_MIB_TCPKEEPALIVE");

	out->retransmit_args = args_of(btf, "tcp_retransmit_skb", true);
	out->send_reset_args = args_of(btf, "tcp_send_reset", true);
	out->kfree_skb_args = args_of(btf, "kfree_skb", true);
	out->accept_args = args_of(btf, "inet_csk_accept", false);
	out->check_req_args = args_of(btf, "tcp_check_req", false);
	out->mib_keepalive = mib > 0 ? mib : 0;
	for (unsigned i = 0; i < hooks_count(); i++) {
		const struct hook_target *t = hooks_target(&hooks[i], btf);

		if (t && !strcmp(hooks[i].name, "on_request_gone"))
			out->req_gone_arg = t->req_arg;
	}
}
