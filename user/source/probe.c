/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions that only an attempt answers. A refusal of one of our real programs
 * could have many reasons; a program of three instructions that is refused has
 * one. Every attempt is undone at once.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "btf.h"
#include "caps.h"
#include "probe.h"

#define INSN(c, d, s, o, i) \
	((struct bpf_insn){.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)})
#define LOAD_CTX0  INSN(BPF_LDX | BPF_MEM | BPF_DW, BPF_REG_1, BPF_REG_1, 0, 0)
#define CALL(func) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, func)
#define RETURN_0   INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0)
#define EXIT	   INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

static int try_load(int btf_id, enum bpf_attach_type type, const struct bpf_insn *insns,
		    unsigned n)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = type,
		    .attach_btf_id = btf_id);
	int fd;

	if (btf_id <= 0)
		return -ENOENT;
	fd = bpf_prog_load(BPF_PROG_TYPE_TRACING, "probe", "GPL", insns, n, &opts);
	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

bool probe_cookie(const struct btf *btf)
{
	const struct bpf_insn insns[] = {LOAD_CTX0, CALL(BPF_FUNC_get_socket_cookie), RETURN_0,
					 EXIT};

	return !try_load(kernel_btf_tracepoint_id(btf, "inet_sock_set_state"), BPF_TRACE_RAW_TP,
			 insns, sizeof(insns) / sizeof(insns[0]));
}

bool probe_task_btf(const struct btf *btf)
{
	const struct bpf_insn insns[] = {CALL(BPF_FUNC_get_current_task_btf), RETURN_0, EXIT};

	return !try_load(kernel_btf_tracepoint_id(btf, "inet_sock_set_state"), BPF_TRACE_RAW_TP,
			 insns, sizeof(insns) / sizeof(insns[0]));
}

bool probe_task_regs(const struct btf *btf)
{
	const struct bpf_insn insns[] = {
		CALL(BPF_FUNC_get_current_task_btf),
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_1, BPF_REG_0, 0, 0),
		CALL(BPF_FUNC_task_pt_regs), RETURN_0, EXIT};

	return !try_load(kernel_btf_tracepoint_id(btf, "inet_sock_set_state"), BPF_TRACE_RAW_TP,
			 insns, sizeof(insns) / sizeof(insns[0]));
}

int probe_fentry(const struct btf *btf, const char *func, bool at_exit)
{
	const struct bpf_insn insns[] = {RETURN_0, EXIT};

	return try_load(kernel_btf_func_id(btf, func), at_exit ? BPF_TRACE_FEXIT : BPF_TRACE_FENTRY,
			insns, sizeof(insns) / sizeof(insns[0]));
}

int probe_ring(uint64_t bytes)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "probe", 0, 0, bytes, NULL);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

bool probe_bpf_refused(void)
{
	return probe_ring((uint64_t)sysconf(_SC_PAGESIZE)) == -EPERM;
}

unsigned probe_fds(unsigned wanted)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r))
		return wanted;
	if (r.rlim_cur < wanted) {
		r.rlim_cur = r.rlim_max < wanted ? r.rlim_max : wanted;
		setrlimit(RLIMIT_NOFILE, &r);
	}
	return r.rlim_cur < wanted ? (unsigned)r.rlim_cur : wanted;
}

uint32_t probe_hz(void)
{
	struct timespec tick;

	if (clock_getres(CLOCK_MONOTONIC_COARSE, &tick) || tick.tv_sec || tick.tv_nsec <= 0)
		return 250;
	return (1000000000 + tick.tv_nsec / 2) / tick.tv_nsec;
}

bool probe_bpf_without_caps(int prog_fd)
{
	int status = 0;
	pid_t child = fork();

	if (!child) {
		struct bpf_prog_info info = {};
		__u32 len = sizeof(info);

		_exit(caps_drop(false, false, false) ||
		      bpf_obj_get_info_by_fd(prog_fd, &info, &len));
	}
	return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
	       !WEXITSTATUS(status);
}

bool probe_ftrace_off(void)
{
	FILE *f = fopen("/proc/sys/kernel/ftrace_enabled", "re");
	bool off = f && fgetc(f) == '0';

	if (f)
		fclose(f);
	return off;
}

bool probe_lockdown(void)
{
	char line[128] = "";
	FILE *f = fopen("/sys/kernel/security/lockdown", "re");
	bool locked;

	if (!f)
		return false;
	locked = fgets(line, sizeof(line), f) && strstr(line, "[confidentiality]");
	fclose(f);
	return locked;
}
