/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The values of the options that read and write recordings.
 *
 * A file is opened later, by who reads or writes it; here is only what can be told
 * from the words.
 */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/stuck/diagnose.h"
#include "options_impl.h"

int option_set_from(struct parse *p, const struct option_row *row, const char *value)
{
	if (!*value || p->o->nfrom == OPT_FROM_MAX)
		return -EINVAL;
	p->o->from[p->o->nfrom++] = value;
	return 0;
}

int option_set_record(struct parse *p, const struct option_row *row, const char *value)
{
	if (!*value || !strcmp(value, "-")) /* stdout is the view's */
		return -EINVAL;
	p->o->record = value;
	return 0;
}

int option_set_speed(struct parse *p, const struct option_row *row, const char *value)
{
	char *end;
	double v;

	if (!isdigit((unsigned char)*value) || tolower((unsigned char)value[1]) == 'x')
		return -EINVAL;
	v = strtod(value, &end);
	if (*end || !isfinite(v) || v < 0.001 || v > 1e6)
		return -EINVAL;
	memcpy((char *)p->o + row->offset, &v, sizeof(v));
	return 0;
}

int option_set_size(struct parse *p, const struct option_row *row, const char *value)
{
	return option_value_size(value, 1ULL << 50, (uint64_t *)((char *)p->o + row->offset));
}

int option_set_severity(struct parse *p, const struct option_row *row, const char *value)
{
	for (unsigned s = SEV_INFO; s < SEV_COUNT; s++) {
		if (strcmp(value, word_severity(s)))
			continue;
		*(unsigned *)((char *)p->o + row->offset) = s;
		return 0;
	}
	return -EINVAL;
}

static bool given(uint64_t used, const char *name)
{
	for (unsigned i = 0; i < option_count; i++)
		if (!strcmp(option_rows[i].name, name))
			return used & 1ULL << i;
	return false;
}

const char *option_check_record(const struct parse *p, uint64_t used)
{
	static const struct {
		const char *name, *mistake;
	} live[] = {
		{ "mode", "--mode: expected without --from" },
		{ "accept-wait", "--accept-wait: expected without --from" },
		{ "stack", "--stack: expected without --from: what was recorded is shown" },
		{ "no-snapshot", "--no-snapshot: expected without --from" },
		{ "buffer", "--buffer: expected without --from" },
		{ "record", "--record: expected without --from: it is recorded already" },
	};
	const struct options *o = p->o;

	for (unsigned i = 0; o->nfrom && i < sizeof(live) / sizeof(live[0]); i++)
		if (given(used, live[i].name))
			return live[i].mistake;
	if (o->speed > 0 && !o->nfrom)
		return "--speed: expected together with --from";
	if (o->keep && !o->rotate_bytes && o->rotate_s <= 0 && o->last_s <= 0)
		return "--keep: expected together with --rotate-size, --rotate-time or --last";
	if (o->last_s > 0 && (o->rotate_bytes || o->rotate_s > 0))
		return "--last: expected without --rotate-size and --rotate-time";
	if (o->trigger && o->last_s <= 0)
		return "--trigger-severity: expected together with --last";
	if (o->sample && o->only_findings)
		return "--only-findings: expected without --sample";
	if (o->packets && (o->sample || o->only_findings))
		return "--packets: expected without --sample and --only-findings";
	return NULL;
}

/* What is written to a pipe is gone: none of it can be begun anew, moved away or kept. */
const char *option_check_file(const struct parse *p)
{
	const struct options *o = p->o;

	if (strcmp(o->record, "-"))
		return NULL;
	if (o->rotate_bytes)
		return "--rotate-size: expected a FILE, not - (stdout)";
	if (o->rotate_s > 0)
		return "--rotate-time: expected a FILE, not - (stdout)";
	if (o->last_s > 0)
		return "--last: expected a FILE, not - (stdout)";
	return NULL;
}
