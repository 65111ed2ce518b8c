/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The values of `stuck`'s own options. Each setter takes what the row says it expects
 * and nothing else: 0, or -EINVAL with the options as they were.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/stuck/diagnose.h"
#include "options_impl.h"

/* 0 is a time too: everything, however young. */
int option_set_min_age(struct parse *p, const struct option_row *row, const char *value)
{
	struct option_row seconds = *row;
	int err = 0;

	seconds.offset = offsetof(struct options, stuck.min_age_s);
	if (!strcmp(value, "0") || !strcmp(value, "0s"))
		p->o->stuck.min_age_s = 0;
	else
		err = option_set_seconds(p, &seconds, value);
	if (!err)
		p->o->stuck.has_min_age = true;
	return err;
}

int option_set_number(struct parse *p, const struct option_row *row, const char *value)
{
	return option_value_number(value, 1, UINT64_MAX, (uint64_t *)((char *)p->o + row->offset));
}

int option_set_explain(struct parse *p, const struct option_row *row, const char *value)
{
	unsigned kind = !strcmp(value, "all") ? FIND_KINDS : word_to_finding(value);

	if (!kind)
		return -EINVAL;
	p->o->stuck.explain = kind;
	return 0;
}
