/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes the stream that a pipeline is fed to a file, as core/stream/recording.h has it.
 */
#ifndef TCPTRAIL_RECORDER_H
#define TCPTRAIL_RECORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pipeline;
struct recorder;
struct source;
struct stats;

struct recorder_config {
	const char *path;       /* "-": stdout */
	const char *command;    /* which command records */
	bool no_hostname;
	bool filtered;          /* the kernel leaves out what a filter does not want */
	uint64_t rotate_bytes;  /* 0: never */
	uint64_t rotate_ns;     /* 0: never */
	unsigned keep;          /* rotated files; 0: all */
	uint64_t last_ns;       /* flight recorder: nothing is written before recorder_keep(); 0: not */
};

/* 0 and *out, or -errno with a line in msg. The file is there, with its head, unless last_ns. */
int recorder_open(struct recorder **out, const struct recorder_config *cfg, char *msg,
		  size_t msg_len);
/* Writes what is not yet written, waiting for the reader as long as it takes something and
 * give_up(arg) does not say so (NULL: never); counts what is lost. */
void recorder_end(struct recorder *r, bool (*give_up)(void *arg), void *arg);
/* NULL-safe. Ends it if nobody has. */
void recorder_close(struct recorder *r);

/* Taps the pipeline from here on. interval_ns: of the view; 0 none. */
void recorder_begin(struct recorder *r, const struct source *src, struct pipeline *p,
		    uint64_t started_ns, uint64_t interval_ns);
/* The run has read all there was: writes what has waited for a second. */
void recorder_round(struct recorder *r, uint64_t now_ns);
void recorder_interval(struct recorder *r, uint64_t now_ns);
void recorder_stats(struct recorder *r, const struct stats *st);
void recorder_finish(struct recorder *r, uint64_t now_ns);

/* Flight recorder: writes what it has to the file. 0 or -errno, told on stderr either way. */
int recorder_keep(struct recorder *r, uint64_t now_ns, const char *why);

/* A next file has begun since this was last asked: it knows no socket before a snapshot. */
bool recorder_rotated(struct recorder *r);
/* Sticky: the file cannot be written (-EPIPE: stdout's reader is gone, and nothing was said). */
int recorder_error(const struct recorder *r);
/* The flight recorder's latest file is not whole: what it holds may still be written. */
bool recorder_owes(const struct recorder *r);
/* One line on stderr: what was written, and what was lost; or that nothing asked for it. */
void recorder_notice(const struct recorder *r);

#endif
