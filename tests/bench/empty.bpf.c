// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * The floor of what a tracer on inet_sock_set_state can cost: a program that does
 * nothing. The benchmark shows it beside the tracers, so that one sees what is the
 * kernel's own price of a call and what is ours. It must stay empty.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

SEC("tp_btf/inet_sock_set_state")
int on_set_state(void *ctx)
{
	return 0;
}
