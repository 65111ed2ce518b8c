/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions to the kernel's BTF.
 *
 * Signatures change within a stable series and functions come and go with the
 * compiler, so the version of a kernel says nothing: only its own type
 * information does. Reads, never writes; needs no privilege.
 */
#include <bpf/btf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "btf.h"

struct btf *kernel_btf_open(void)
{
	return btf__load_vmlinux_btf();
}

void kernel_btf_close(struct btf *btf)
{
	btf__free(btf);
}

int kernel_btf_func_id(const struct btf *btf, const char *func)
{
	return btf__find_by_name_kind(btf, func, BTF_KIND_FUNC);
}

int kernel_btf_tracepoint_id(const struct btf *btf, const char *tracepoint)
{
	char name[128];

	snprintf(name, sizeof(name), "btf_trace_%s", tracepoint);
	return btf__find_by_name_kind(btf, name, BTF_KIND_TYPEDEF);
}

int kernel_btf_func_args(const struct btf *btf, const char *func)
{
	int id = kernel_btf_func_id(btf, func);
	const struct btf_type *t = id > 0 ? btf__type_by_id(btf, id) : NULL;

	t = t ? btf__type_by_id(btf, t->type) : NULL;
	return t && btf_is_func_proto(t) ? btf_vlen(t) : -1;
}

/* typedef void (*btf_trace_X)(void *, ...): the first argument is not the program's. */
int kernel_btf_tracepoint_args(const struct btf *btf, const char *tracepoint)
{
	int id = kernel_btf_tracepoint_id(btf, tracepoint);
	const struct btf_type *t = id > 0 ? btf__type_by_id(btf, id) : NULL;

	t = t ? btf__type_by_id(btf, t->type) : NULL;
	t = t && btf_is_ptr(t) ? btf__type_by_id(btf, t->type) : NULL;
	return t && btf_is_func_proto(t) && btf_vlen(t) > 0 ? btf_vlen(t) - 1 : -1;
}

int64_t kernel_btf_enumerator(const struct btf *btf, const char *name)
{
	unsigned n = btf__type_cnt(btf);

	for (unsigned id = 1; id < n; id++) {
		const struct btf_type *t = btf__type_by_id(btf, id);

		if (!btf_is_enum(t))
			continue;
		for (unsigned i = 0; i < btf_vlen(t); i++)
			if (!strcmp(btf__name_by_offset(btf, btf_enum(t)[i].name_off), name))
				return btf_enum(t)[i].val;
	}
	return -1;
}

static int names_put(struct btf_names *out, unsigned value, const char *name)
{
	if (out->names[value])
		return 0; /* a second name for the same value */
	out->names[value] = strdup(name);
	return out->names[value] ? 0 : -ENOMEM;
}

int kernel_btf_names(const struct btf *btf, const char *enum_name, const char *prefix,
		     unsigned max, struct btf_names *out)
{
	int id = btf__find_by_name_kind(btf, enum_name, BTF_KIND_ENUM), err = 0;
	struct btf_names made = {.len = max};
	const struct btf_type *t;

	made.names = calloc(max, sizeof(*made.names));
	if (!made.names)
		return -ENOMEM;
	t = id > 0 ? btf__type_by_id(btf, id) : NULL;
	for (unsigned i = 0; t && i < btf_vlen(t) && !err; i++) {
		const char *name = btf__name_by_offset(btf, btf_enum(t)[i].name_off);
		unsigned value = btf_enum(t)[i].val;

		if (value < max && !strncmp(name, prefix, strlen(prefix)))
			err = names_put(&made, value, name + strlen(prefix));
	}
	if (err)
		btf_names_free(&made);
	else
		*out = made;
	return err;
}

void btf_names_free(struct btf_names *n)
{
	for (unsigned i = 0; i < n->len; i++)
		free(n->names[i]);
	free(n->names);
	n->names = NULL;
	n->len = 0;
}

const char *btf_name(const struct btf_names *n, unsigned value)
{
	return value < n->len && n->names[value] ? n->names[value] : "";
}
