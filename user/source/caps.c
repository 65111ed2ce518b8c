/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Capabilities: checked before anything is tried, dropped as soon as the hooks
 * are attached. Reading the ring, the snapshots and exact lookups need none.
 */
#include <cap-ng.h>
#include <errno.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "caps.h"
#include "event.h"

static bool have(unsigned capability)
{
	return capng_have_capability(CAPNG_EFFECTIVE, capability);
}

int caps_check(char *msg, size_t msg_len)
{
	char self[512] = "tcptrail";
	bool bpf, perfmon;
	ssize_t n;

	capng_get_caps_process();
	bpf = have(CAP_BPF) || have(CAP_SYS_ADMIN);
	perfmon = have(CAP_PERFMON) || have(CAP_SYS_ADMIN);
	if (bpf && perfmon)
		return 0;
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n > 0)
		self[n] = '\0';
	n = snprintf(msg, msg_len, "needs %s%s%s", bpf ? "" : "CAP_BPF",
		     bpf || perfmon ? "" : " and ", perfmon ? "" : "CAP_PERFMON");
	if (n < 0 || (size_t)n >= msg_len)
		return -EPERM;
	/* Root without them is told neither to become root nor to use a file's capabilities, which
	 * its bounding set would not let through. */
	if (!geteuid())
		snprintf(msg + n, msg_len - (size_t)n,
			 ", which root has not here (a container? add them to its capabilities)");
	else
		snprintf(msg + n, msg_len - (size_t)n,
			 " (run as root, or: sudo setcap cap_bpf,cap_perfmon+ep %s)", self);
	return -EPERM;
}

unsigned caps_reach(void)
{
	capng_get_caps_process();
	return (have(CAP_SYS_ADMIN) ? REACH_SYS_ADMIN : 0) |
	       (have(CAP_SYS_PTRACE) ? REACH_SYS_PTRACE : 0);
}

int caps_drop(bool keep_bpf, bool keep_net_admin, bool keep_ptrace)
{
	capng_get_caps_process();
	keep_ptrace = keep_ptrace && have(CAP_SYS_PTRACE);
	capng_clear(CAPNG_SELECT_BOTH);
	if (keep_bpf && capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_BPF))
		return -EINVAL;
	if (keep_net_admin &&
	    capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_NET_ADMIN))
		return -EINVAL;
	if (keep_ptrace &&
	    capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_SYS_PTRACE))
		return -EINVAL;
	if (capng_apply(CAPNG_SELECT_CAPS))
		return -EPERM;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? -errno : 0;
}
