/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events as lines of text, for golden tests and bug reports: readable, diffable,
 * and exact (text -> event -> text is the same line).
 *
 *   1234567 state cookie=4242 netns=4026531840 old=ESTABLISHED new=FIN_WAIT_1 …
 */
#ifndef TCPTRAIL_EVENT_TEXT_H
#define TCPTRAIL_EVENT_TEXT_H

#include "write/buf.h"

struct event;

/* One line, with its newline. Fields that are zero are left out. */
void event_text_write(struct buf *b, const struct event *e);

/* One line (terminated, newline optional). 0, or -EINVAL with *error at the offending word (static
 * text in *what). Blank lines and those that begin with # give -EAGAIN: nothing to feed. */
int event_text_read(struct event *e, const char *line, const char **error, const char **what);

#endif
