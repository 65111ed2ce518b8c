// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * The one definition of what all programs share, and the life of our own socket
 * numbers on kernels without cookies for tracepoints.
 *
 * Linked first (files are linked in the order of their names): libbpf's linker loses
 * the offset of an extern map whose definition comes later.
 */
#include "common.bpf.h"

char LICENSE[] SEC("license") = "GPL";

const volatile struct tracer_config cfg = {};
struct tracer_counters counters = {};

struct ring_map ring SEC(".maps");
struct mine_map mine SEC(".maps");
struct id_map ids SEC(".maps");

/* The address of a struct sock is used again at once: its number must not be. */
SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(on_destroy_sock, struct sock *sk)
{
	__u64 key = (__u64)sk;

	bpf_map_delete_elem(&ids, &key);
	return 0;
}
