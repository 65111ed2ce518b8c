/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the host says of itself, by reading files that anybody may read. Where one
 * may not be read the answer is "unknown", never a guess.
 */
#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "doctor.h"
#include "options.h"
#include "source/btf.h"
#include "source/hooks.h"
#include "source/live.h"
#include "source/probe.h"

const struct doctor_cap_info doctor_cap_infos[DOCTOR_CAPS] = {
	[CAP_IS_BPF] = {"CAP_BPF", "load the programs", true},
	[CAP_IS_PERFMON] = {"CAP_PERFMON", "attach them to tracepoints", true},
	[CAP_IS_SYS_ADMIN] = {"CAP_SYS_ADMIN",
			      "other namespaces' snapshots; the kernel's own meter", false},
};

const struct doctor_sysctl_info doctor_sysctl_infos[DOCTOR_SYSCTLS] = {
	{"net/ipv4/tcp_fin_timeout", "s an orphan waits in FIN_WAIT_2"},
	{"net/ipv4/tcp_max_tw_buckets", "TIME_WAIT sockets before none are kept"},
	{"net/ipv4/tcp_tw_reuse", "TIME_WAIT ports taken by new connections"},
	{"net/ipv4/tcp_max_orphans", "orphans before the kernel resets them"},
	{"net/ipv4/tcp_syn_retries", "SYNs sent again"},
	{"net/ipv4/tcp_synack_retries", "SYN-ACKs sent again"},
	{"net/ipv4/tcp_retries2", "retransmissions before a connection dies"},
	{"net/ipv4/tcp_keepalive_time", "s of silence before a keepalive"},
	{"net/core/somaxconn", "the most an accept queue may hold"},
	{"net/ipv4/tcp_max_syn_backlog", "the most a SYN queue may hold"},
	{"net/ipv4/tcp_syncookies", "cookies when the SYN queue is full"},
	{"net/ipv4/tcp_abort_on_overflow", "RST when the accept queue is full"},
	{"net/ipv4/ip_local_port_range", "ports for outgoing connections"},
};

/* The first line of a file, tabs as blanks; "" when it cannot be read. */
static void read_line(const char *path, char *out, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, size - 1);

	if (fd >= 0)
		close(fd);
	out[n > 0 ? n : 0] = '\0';
	out[strcspn(out, "\n")] = '\0';
	for (char *c = out; *c; c++)
		if (*c == '\t')
			*c = ' ';
}

static enum doctor_yes read_switch(const char *path)
{
	char line[16];

	read_line(path, line, sizeof(line));
	return !*line ? DOCTOR_UNKNOWN : *line == '0' ? DOCTOR_NO : DOCTOR_YES;
}

static void read_caps(struct doctor *d)
{
	static const unsigned numbers[DOCTOR_CAPS] = {
		[CAP_IS_BPF] = CAP_BPF,
		[CAP_IS_PERFMON] = CAP_PERFMON,
		[CAP_IS_SYS_ADMIN] = CAP_SYS_ADMIN,
	};

	capng_get_caps_process();
	for (unsigned i = 0; i < DOCTOR_CAPS; i++)
		d->caps[i] = capng_have_capability(CAPNG_EFFECTIVE, numbers[i]);
	/* CAP_SYS_ADMIN stands for both, as it did before 5.8 */
	if (d->caps[CAP_IS_SYS_ADMIN])
		d->caps[CAP_IS_BPF] = d->caps[CAP_IS_PERFMON] = true;
}

void doctor_facts(struct doctor *d, const struct options *o)
{
	struct utsname u;
	struct rlimit r;
	char path[128];

	if (!uname(&u)) {
		snprintf(d->kernel, sizeof(d->kernel), "%s", u.release);
		snprintf(d->machine, sizeof(d->machine), "%s", u.machine);
	}
	d->btf = access("/sys/kernel/btf/vmlinux", R_OK) ? DOCTOR_NO : DOCTOR_YES;
	d->jit = read_switch("/proc/sys/net/core/bpf_jit_enable");
	d->unprivileged_bpf_off = read_switch("/proc/sys/kernel/unprivileged_bpf_disabled");
	d->lockdown = probe_lockdown() ? DOCTOR_YES : DOCTOR_NO;
	d->ftrace_off = probe_ftrace_off();
	read_caps(d);
	for (unsigned i = 0; i < DOCTOR_SYSCTLS; i++) {
		snprintf(path, sizeof(path), "/proc/sys/%s", doctor_sysctl_infos[i].name);
		read_line(path, d->sysctls[i], sizeof(d->sysctls[i]));
	}
	d->ring_bytes = o->buffer_bytes ? o->buffer_bytes : LIVE_RING_DEFAULT;
	d->memlock_bytes = !getrlimit(RLIMIT_MEMLOCK, &r) && r.rlim_cur != RLIM_INFINITY
				   ? r.rlim_cur
				   : UINT64_MAX;
}

void doctor_plan(struct doctor *d, const struct options *o)
{
	struct source_config cfg = {.mode = o->mode, .segments = true, .accept_wait = true};
	struct btf *btf = kernel_btf_open();
	unsigned n = hooks_count();

	if (!btf || n > DOCTOR_HOOKS) {
		kernel_btf_close(btf);
		return;
	}
	hooks_plan(d->hooks, btf, &cfg, true);
	d->nhooks = n;
	kernel_btf_close(btf);
}

bool doctor_verdict(const struct doctor *d, char *out, unsigned size)
{
	if (d->opened && !d->measure_error)
		return false;
	if (d->opened)
		snprintf(out, size, "the tracer works, but could not be measured: %s",
			 strerror(-d->measure_error));
	else if (d->btf == DOCTOR_NO)
		snprintf(
			out, size,
			"needs a kernel with BTF (/sys/kernel/btf/vmlinux, CONFIG_DEBUG_INFO_BTF)");
	else
		snprintf(out, size, "%s",
			 *d->open_message ? d->open_message : strerror(-d->open_error));
	return true;
}
