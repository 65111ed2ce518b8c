/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tcptrail top`: the view whose reader sits at a keyboard. The session's own loop turns it, so
 * nothing here waits: not for a key, and not for the terminal.
 */
#ifndef TCPTRAIL_TOP_H
#define TCPTRAIL_TOP_H

struct options;

/* The whole run: takes the terminal, gives it back. The exit status. */
int top_run(const struct options *o);

#endif
