/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The option table's inside, shared by options*.c and nobody else.
 */
#ifndef TCPTRAIL_OPTIONS_IMPL_H
#define TCPTRAIL_OPTIONS_IMPL_H

#include <stddef.h>
#include "options.h"

enum option_group {
	GROUP_SELECT,
	GROUP_SHOW,
	GROUP_STOP,
	GROUP_CHECK,
	GROUP_KILL,
	GROUP_RECORD,
	GROUP_TRACER,
	GROUP_HELP,
	GROUP_COUNT,
};

struct parse;

/* One option. Without a setter it is a bool at `offset`. */
struct option_row {
	char letter;            /* 0: none */
	const char *name;
	const char *arg;        /* NULL: takes none */
	enum option_group group;
	unsigned needs;         /* TAKES_* of the command; 0: every command */
	size_t offset;          /* into struct options, for flags and numbers */
	int (*set)(struct parse *p, const struct option_row *row, const char *value);
	const char *expected;   /* what set() wants, for the message */
	const char *help;
};

enum { OPTION_ROWS_MAX = 64 };

struct parse {
	struct options *o;
	const struct command *commands, *command;
	unsigned ncommands;
	struct filter *letters[OPTION_ROWS_MAX]; /* by row: each letter's alternatives */
	enum color_mode color;
	const char *format;     /* -o, as it was typed */
	bool help, version;
	char reason[160];       /* set() may say more than `expected` */
};

extern const struct option_row option_rows[];
extern const unsigned option_count;

/* options_value.c: setters. 0, -EINVAL, or -ENOMEM. */
int option_set_format(struct parse *p, const struct option_row *row, const char *value);
int option_set_seconds(struct parse *p, const struct option_row *row, const char *value);
int option_set_word(struct parse *p, const struct option_row *row, const char *value);
int option_set_count(struct parse *p, const struct option_row *row, const char *value);
int option_set_connections(struct parse *p, const struct option_row *row, const char *value);
/* Digits and nothing else: no sign, no blanks, no overflow. 0 or -EINVAL. */
int option_value_number(const char *value, uint64_t min, uint64_t max, uint64_t *out);
/* Bytes, with K, M or G (1024), from 64 KiB to max. 0 or -EINVAL. */
int option_value_size(const char *value, uint64_t max, uint64_t *out);
int option_set_buffer(struct parse *p, const struct option_row *row, const char *value);
int option_set_mode(struct parse *p, const struct option_row *row, const char *value);
int option_set_color(struct parse *p, const struct option_row *row, const char *value);
int option_set_until(struct parse *p, const struct option_row *row, const char *value);
int option_set_numeric(struct parse *p, const struct option_row *row, const char *value);
int option_set_pid(struct parse *p, const struct option_row *row, const char *value);
int option_set_uid(struct parse *p, const struct option_row *row, const char *value);
int option_set_comm(struct parse *p, const struct option_row *row, const char *value);
int option_set_ports(struct parse *p, const struct option_row *row, const char *value);
int option_set_family(struct parse *p, const struct option_row *row, const char *value);
int option_set_cgroup(struct parse *p, const struct option_row *row, const char *value);
int option_set_netns(struct parse *p, const struct option_row *row, const char *value);
/* options_stuck.c */
int option_set_min_age(struct parse *p, const struct option_row *row, const char *value);
int option_set_number(struct parse *p, const struct option_row *row, const char *value);
int option_set_explain(struct parse *p, const struct option_row *row, const char *value);
/* options_record.c */
int option_set_from(struct parse *p, const struct option_row *row, const char *value);
int option_set_record(struct parse *p, const struct option_row *row, const char *value);
int option_set_speed(struct parse *p, const struct option_row *row, const char *value);
int option_set_size(struct parse *p, const struct option_row *row, const char *value);
int option_set_severity(struct parse *p, const struct option_row *row, const char *value);
/* What of these goes together; NULL, or the mistake. `used`: rows that were given. */
const char *option_check_record(const struct parse *p, uint64_t used);
/* ... and with the file that `record` writes, which may be stdout. */
const char *option_check_file(const struct parse *p);
extern const struct filter_names option_names;
/* -o against what p->command has. */
int option_check_format(struct parse *p);
/* "text, json, otlp-json or csv" of those that the command has. */
void option_formats(const struct command *c, char *out, size_t size);

/* options_help.c */
void options_help(const struct command *commands, unsigned ncommands);
void options_help_command(const struct command *c);
/* The candidate nearest to `typed`, NULL when none is near. Names come from next(ctx, i), which
 * returns NULL at the end. */
const char *options_nearest(const char *typed, const char *(*next)(const void *ctx, unsigned i),
			    const void *ctx);

#endif
