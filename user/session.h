/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One run: source -> pipeline -> view -> sink, until a signal, the duration, the
 * count, or the end of the file. Every command that traces is this loop with
 * another view.
 */
#ifndef TCPTRAIL_SESSION_H
#define TCPTRAIL_SESSION_H

#include "core/pipeline/pipeline.h"
#include "options.h"
#include "output/sink.h"
#include "source/source.h"

/* What a view needs to format: handed to every view at begin. */
struct session {
	const struct options *o;
	struct source *source;
	struct pipeline *p;
	struct sink *out;          /* stdout */
	uint64_t records;          /* printed: -c counts these (session_printed()) */
	struct {
		uint64_t sample;   /* --sample N; 0 and 1: every connection */
		bool only_findings;
		uint64_t records, connections;
	} left_out;                /* by the gate (output/gate.h) */
	uint64_t sequence;         /* event.sequence of the next JSON record */
	bool stop;                 /* a view may ask to stop */
	struct resolver *names;    /* -r; else NULL */
	bool at_end;               /* a recording of another view: report what there is at its end */
	int status;                /* exit status of a run without failure; a view may set it */
	bool hold;                 /* a view may ask a recording to wait */
	bool over;                 /* the recording is at its end, and the view stays */
};

/* A view: the pipeline's callbacks (their first argument is the view's own state) and its
 * life. One file of user/output/ each. */
struct view {
	const struct view_ops *ops;
	void *(*open)(struct session *s);   /* NULL: out of memory */
	void (*begin)(void *v);             /* the source is attached; headers. Says why, and sets
					       session.status, where it cannot go on */
	void (*interval)(void *v);          /* every o->interval_s, where the view wants it */
	void (*finish)(void *v);            /* after the last event, before the summary */
	void (*status)(void *v);            /* SIGUSR1: print the table. NULL: the common one */
	void (*close)(void *v);
	/* A view with clients, or a keyboard, of its own. fd: to wait for, readable when turn() has
	 * work; turn: each round, never waits. Both or none. */
	int (*fd)(void *v);
	void (*turn)(void *v);
	double interval_s;                  /* default for interval(), 0: never */
	bool child_syn_recv, steps, segments; /* what it wants observed */
	bool open_conns;                    /* counts as --open */
	bool no_snapshot;
	bool quiet;                         /* a report and no trace: nothing on stderr but failures */
	bool snapshot_only;                 /* it traces nothing */
	bool whole_host;                    /* limits, counts and orphans with each snapshot */
	bool destroy;                       /* it will close sockets */
	bool own_filter;                    /* it asks the FILTER itself, and gets everything */
	bool resnapshot;                    /* run the iterators again before each interval() */
	bool only_records;                  /* the recording is all: without it the run ends */
	bool stays;                         /* after a recording's end until it stops, unless -d */
};

/* The whole run. Returns the exit status (0, 2). */
int session_run(const struct options *o, const struct view *view);

/* A view calls this after committing one record: counts it for -c. */
void session_printed(struct session *s);

/* `record --last`: writes what is held, and says why on stderr. */
void session_keep(struct session *s, const char *why);

/* Helpers that all views share. */
/* When the run began (CLOCK_MONOTONIC, ns), or the recording that it reads did; 0: not yet. */
uint64_t session_started(const struct session *s);
uint64_t session_realtime(const struct session *s, uint64_t mono_ns);

struct ladder_names;
/* For the ladders of this run: its processes, its source's names of reasons. */
void session_ladder_names(const struct session *s, struct ladder_names *out);

/* An endpoint for people: with -r by name, as soon as names are known; else (and until then)
 * as buf_endpoint() has it. Never waits. */
void session_endpoint(const struct session *s, struct buf *b, const uint8_t addr[16],
		      uint16_t port);
void session_addr(const struct session *s, struct buf *b, const uint8_t addr[16]);
/* A port alone, as a number or, with -r, a service. */
void session_port(const struct session *s, struct buf *b, uint16_t port);

#endif
