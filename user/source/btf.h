/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the running kernel says of itself: which functions and tracepoints it has,
 * with how many arguments, and its enums' names. Never its version.
 */
#ifndef TCPTRAIL_BTF_H
#define TCPTRAIL_BTF_H

#include <stdint.h>

struct btf;

/* Names of an enum's values, 0 .. len - 1; NULL where there is none. */
struct btf_names {
	char **names;
	unsigned len;
};

/* NULL: the kernel has no BTF (errno is set). */
struct btf *kernel_btf_open(void);
void kernel_btf_close(struct btf *btf);

/* -1: there is no such function, or it was inlined away. */
int kernel_btf_func_args(const struct btf *btf, const char *func);
int kernel_btf_tracepoint_args(const struct btf *btf, const char *tracepoint);
/* The id that BPF_PROG_LOAD wants: a FUNC's, or a tracepoint's typedef's. Negative: none. */
int kernel_btf_func_id(const struct btf *btf, const char *func);
int kernel_btf_tracepoint_id(const struct btf *btf, const char *tracepoint);

/* The value of an enumerator of whatever enum; -1 if no enum has it. */
int64_t kernel_btf_enumerator(const struct btf *btf, const char *name);

/* Values below max of an enum, without the prefix that they share. An enum that the kernel
 * does not have gives no names. 0 or -ENOMEM. */
int kernel_btf_names(const struct btf *btf, const char *enum_name, const char *prefix,
		     unsigned max, struct btf_names *out);
void btf_names_free(struct btf_names *n);
/* "" where there is none. */
const char *btf_name(const struct btf_names *n, unsigned value);

#endif
