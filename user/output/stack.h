/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --stack: the calls that made a socket, for people and as JSON. Each takes what
 * pipeline_stack() gave and writes nothing for NULL.
 */
#ifndef TCPTRAIL_OUTPUT_STACK_H
#define TCPTRAIL_OUTPUT_STACK_H

struct buf;
struct jsonw;
struct line;

/* "stack": [{function, module, offset}], innermost first. */
void json_stack(struct jsonw *w, const char *stack);
/* A line a call, the first behind `head`, the others below it. */
void text_stack(struct buf *b, const char *head, int indent, const char *stack);
/* In one line: connect < get_one < main; past `width` it goes on at `indent` of the next. */
void text_stack_brief(struct line *l, const char *stack, int width, int indent);

#endif
