/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `tcptrail doctor` finds out: collected first (doctor_facts.c, doctor_load.c),
 * shown after (doctor_show.c), so that text and JSON say the same.
 */
#ifndef TCPTRAIL_DOCTOR_H
#define TCPTRAIL_DOCTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "source/source.h"

struct options;
struct pipeline;

enum { DOCTOR_HOOKS = 48, DOCTOR_LINE = 256, DOCTOR_CONNECTIONS = 500 };

enum doctor_yes { DOCTOR_UNKNOWN = -1, DOCTOR_NO, DOCTOR_YES };

enum doctor_cap { CAP_IS_BPF, CAP_IS_PERFMON, CAP_IS_SYS_ADMIN, DOCTOR_CAPS };

/* What each is for, and whether the tracer does without. */
struct doctor_cap_info {
	const char *name, *use;
	bool required;
};
extern const struct doctor_cap_info doctor_cap_infos[DOCTOR_CAPS];

struct doctor_sysctl_info {
	const char *name;  /* below /proc/sys, with slashes */
	const char *why;
};
enum { DOCTOR_SYSCTLS = 13 };
extern const struct doctor_sysctl_info doctor_sysctl_infos[DOCTOR_SYSCTLS];

struct doctor {
	char kernel[80], machine[80];
	enum doctor_yes btf, jit, lockdown, unprivileged_bpf_off;
	bool ftrace_off; /* by sysctl: no fentry */
	bool caps[DOCTOR_CAPS];     /* effective */
	char sysctls[DOCTOR_SYSCTLS][48]; /* "" unreadable */
	uint64_t ring_bytes;
	uint64_t memlock_bytes;     /* RLIMIT_MEMLOCK; UINT64_MAX unlimited */

	bool opened;                /* the source's own word on the hooks, else only BTF's */
	int open_error;             /* negative errno */
	char open_message[DOCTOR_LINE];
	bool full_mode;
	unsigned nhooks;
	struct hook_info hooks[DOCTOR_HOOKS];

	bool measured;
	int measure_error;
	unsigned connections;       /* that were made and closed while traced */
	unsigned recorded;          /* of these, told as a connection's end, both ends counted */
	uint64_t plain_ns, traced_ns;    /* wall time for all of them, without and with the tracer */
	uint64_t events, bpf_ns, bpf_runs, user_cpu_ns, lost;
	uint64_t table_bytes, peak_rss_bytes;
};

void doctor_facts(struct doctor *d, const struct options *o);
/* The hooks by what BTF says: where the source cannot be opened. */
void doctor_plan(struct doctor *d, const struct options *o);
/* Opens the source, makes connections to ourselves over loopback, closes the source. */
void doctor_measure(struct doctor *d, const struct options *o);
/* What is missing for the tracer to work at all, with the remedy, into out; false: nothing. */
bool doctor_verdict(const struct doctor *d, char *out, unsigned size);

void doctor_show_text(const struct doctor *d, const struct options *o);
void doctor_show_json(const struct doctor *d, const struct options *o);

#endif
