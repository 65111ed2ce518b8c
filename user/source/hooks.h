/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of hooks: what there is to attach to, what each shows, and what the
 * kernel must have for it. Attaching and doctor both read it.
 */
#ifndef TCPTRAIL_HOOKS_H
#define TCPTRAIL_HOOKS_H

#include "source.h"

struct btf;
struct tracer_config;

enum hook_kind {
	HOOK_TP_BTF,     /* BTF tracepoint */
	HOOK_ITER,
	HOOK_TRACEPOINT, /* classic: needs tracefs */
	HOOK_FENTRY,
	HOOK_FEXIT,
};

enum hook_when {
	WHEN_ALWAYS,
	WHEN_SEGMENTS,    /* source_config.segments */
	WHEN_ACCEPT_WAIT, /* source_config.accept_wait, and nothing better is there */
	WHEN_NO_COOKIE,   /* kernels without socket cookies for tracepoints */
};

enum { HOOK_TARGETS = 3 };

struct hook {
	const char *name;      /* the program's, in bpf/ */
	const char *attach;    /* for people */
	const char *shows;
	enum hook_kind kind;
	enum hook_when when;
	bool required;         /* without it there is no tracer */
	bool second;           /* stands behind another program: its own misses lose nothing */
	/* The first of these that the kernel has, with a number of arguments in range (0: any). */
	struct hook_target {
		const char *name;
		unsigned char min_args, max_args;
		unsigned char req_arg; /* on_request_gone: which one is the request */
	} targets[HOOK_TARGETS];
};

unsigned hooks_count(void);
const struct hook *hooks_at(unsigned i);
bool hook_is_full(const struct hook *h);

/* Which target this kernel has; NULL: none. Iterators and classic tracepoints always have one,
 * whether they work is seen when they are attached. */
const struct hook_target *hooks_target(const struct hook *h, const struct btf *btf);

/* Each hook's status by what is asked for and what BTF says: HOOK_ATTACHED here means "to be
 * attached". infos: hooks_count() of them. */
void hooks_plan(struct hook_info *infos, const struct btf *btf, const struct source_config *cfg,
		bool has_cookie);

/* The signatures that the programs must know. */
void hooks_signatures(struct tracer_config *out, const struct btf *btf);

#endif
