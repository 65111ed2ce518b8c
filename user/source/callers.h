/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --stack: from the addresses that the kernel told to the functions that they are in,
 * told to the pipeline as a text and the EV_STACK that names it.
 */
#ifndef TCPTRAIL_CALLERS_H
#define TCPTRAIL_CALLERS_H

#include <stdint.h>

struct callers;
struct pipeline;
struct stack_record;

/* NULL: out of memory. */
struct callers *callers_new(void);
void callers_free(struct callers *c);

/* A record as the ring gave it, sizeof(struct stack_record) bytes. Reads /proc of its process if it
 * is new; the first process that may not be looked at is told once on stderr. */
void callers_take(struct callers *c, struct pipeline *p, const struct stack_record *r);

#endif
