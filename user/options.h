/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line, understood: one table of options (options.c), one struct that
 * the commands read. A mistake is one line that shows where, and exit 2.
 */
#ifndef TCPTRAIL_OPTIONS_H
#define TCPTRAIL_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include "core/filter/filter.h"
#include "source/source.h"

enum output_format { OUT_TEXT, OUT_JSON, OUT_CSV };
enum color_mode { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };

enum { OPT_FROM_MAX = 16 };

/* `stuck` alone. */
struct stuck_options {
	bool list, all, watch, check, kill, yes;
	bool has_min_age;
	double min_age_s;            /* --min-age; without it each state's own */
	uint64_t warn, critical;     /* --check: sockets; 0: the default */
	uint64_t max;                /* --kill: at most so many; 0: all that are shown */
	unsigned explain;            /* enum finding_kind; 0: not asked for */
};

/* `serve` alone. */
struct serve_options {
	const char *listen, *auth, *tls_cert, *tls_key, *textfile;
};

struct options {
	const struct command *command;
	enum output_format format;
	bool otlp;                   /* -o otlp-json: OUT_JSON, written as OTLP */
	double duration_s;           /* 0: until a signal */
	double interval_s;           /* states, listeners: redraw every; 0: the command's default */
	uint64_t count;              /* records printed; 0: no limit */
	bool wall_clock;             /* -T */
	bool wide;                   /* -w */
	bool resolve;                /* -r */
	bool color;                  /* decided: --color, NO_COLOR, a terminal */
	bool verbose;
	bool until_reaped;           /* --until reaped */
	bool open;                   /* --open */
	uint64_t sample;             /* --sample N; 0: all */
	bool only_findings;          /* --only-findings */
	bool packets;                /* --packets */
	bool accept_wait;            /* --accept-wait */
	bool stack;                  /* --stack */
	bool no_snapshot;            /* --no-snapshot */
	bool allow_kill;             /* `top`: --allow-kill */
	uint32_t max_connections;
	uint64_t buffer_bytes;
	enum source_mode mode;       /* --mode auto|base|full */
	const char *from[OPT_FROM_MAX];
	unsigned nfrom;
	double speed;                /* --speed; 0: as fast as it reads */
	const char *record;          /* --record, or `record`'s FILE */
	bool no_hostname;
	uint64_t rotate_bytes;       /* `record`: 0 never */
	double rotate_s;             /* `record`: 0 never */
	uint64_t keep;               /* `record`: rotated files; 0 all */
	double last_s;               /* `record`: flight recorder; 0 not */
	unsigned trigger;            /* `record`: enum severity that makes --last write; 0 none */
	struct stuck_options stuck;
	struct serve_options serve;
	struct filter *filter;       /* letters and words together; NULL: everything */
};

/* What a command can use; an option's row names what it needs. */
enum {
	TAKES_SOURCE = 1 << 0,   /* it opens a source: --mode, --buffer */
	TAKES_TRACE = 1 << 1,    /* it follows connections: the filter's letters, -d */
	TAKES_ENDS = 1 << 2,     /* it shows connections that end: --open, --until */
	TAKES_TIMES = 1 << 3,    /* it says when, in a column or above a picture: -T */
	TAKES_INTERVAL = 1 << 4, /* it repeats: --interval */
	TAKES_STUCK = 1 << 5,    /* it is `stuck` */
	TAKES_VIEW = 1 << 6,     /* it shows a stream: --from, --record */
	TAKES_GATE = 1 << 10,    /* it shows connections one by one: --sample, --only-findings */
	TAKES_FILE = 1 << 7,     /* it is `record`: its first word is a file */
	TAKES_SERVE = 1 << 8,    /* it is `serve` */
	TAKES_PACKETS = 1 << 9,  /* it is `timeline` */
	TAKES_STACK = 1 << 11,   /* it can say where a socket comes from: --stack */
	TAKES_TOP = 1 << 12,     /* it is `top` */
	TAKES_AGE = 1 << 13,     /* it shows what hangs: --min-age */
	TAKES_COUNT = 1 << 14,   /* it prints records: -c */
};

/* A command is a row: main.c's table. */
struct command {
	const char *name;
	const char *summary;         /* one line for --help */
	const char *usage;           /* "[OPTIONS] [FILTER]" */
	const char *help;            /* what the columns mean; for COMMAND --help */
	unsigned formats;            /* 1 << OUT_TEXT | ... */
	unsigned takes;              /* TAKES_* */
	int (*run)(const struct options *o);
};

/* 0: go on; 1: done, exit 0 (--help, --version); 2: the mistake was printed, exit 2. */
int options_parse(struct options *o, const struct command *commands, unsigned ncommands,
		  const struct command *fallback, int argc, char **argv);
void options_free(struct options *o);

#endif
