/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the pipeline and a view: --sample and --only-findings. What is left out is counted
 * in session.left_out; the pipeline's own counts stay whole.
 */
#ifndef TCPTRAIL_GATE_H
#define TCPTRAIL_GATE_H

#include "../core/pipeline/pipeline.h"

struct gate;
struct session;

/* The view's own callback. */
typedef void (*gate_emit_fn)(void *arg, const struct conn *c, const struct change *ch);

/* *out NULL: everything passes. 0 or -ENOMEM. */
int gate_open(struct gate **out, struct session *s, gate_emit_fn emit, void *arg);
void gate_close(struct gate *g);

/* May call emit for this change, for one that had to wait, for both or for none. */
void gate_change(struct gate *g, const struct conn *c, const struct change *ch);
/* Does the view hear of it? Of a record that it does not, the caller counts. */
bool gate_conn_end(struct gate *g, const struct conn *c);
bool gate_snapshot(struct gate *g, const struct conn *c);
void gate_snapshot_done(struct gate *g);
/* --only-findings: what hangs now that has not been told; every few seconds, after a snapshot. */
void gate_look(struct gate *g);
/* The stream is over: what still waits, and a last look. */
void gate_finish(struct gate *g);

/* gate_findings.c: what --only-findings knows. NULL: out of memory. */
struct gate_findings;
struct gate_findings *gate_findings_new(struct session *s);
void gate_findings_free(struct gate_findings *f);
void gate_findings_look(struct gate_findings *f);
bool gate_findings_has(const struct gate_findings *f, uint64_t cookie);
void gate_findings_forget(struct gate_findings *f, uint64_t cookie);
void gate_findings_snapshot(struct gate_findings *f, const struct conn *c);
void gate_findings_snapshot_done(struct gate_findings *f);

#endif
