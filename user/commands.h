/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands: main.c's table has a row for each, cmd_*.c the rest.
 */
#ifndef TCPTRAIL_COMMANDS_H
#define TCPTRAIL_COMMANDS_H

struct options;

/* Each runs to its end and returns the exit status. cmd_doctor() is in output/views.h. */
int cmd_watch(const struct options *o);
int cmd_events(const struct options *o);
int cmd_conns(const struct options *o);
int cmd_timeline(const struct options *o);
int cmd_states(const struct options *o);
int cmd_listeners(const struct options *o);
int cmd_stuck(const struct options *o);
int cmd_record(const struct options *o);
int cmd_serve(const struct options *o);
int cmd_top(const struct options *o);

/* What is shown, for COMMAND --help. */
extern const char cmd_watch_help[], cmd_events_help[], cmd_conns_help[], cmd_timeline_help[],
	cmd_states_help[], cmd_listeners_help[], cmd_stuck_help[], cmd_record_help[],
	cmd_serve_help[], cmd_top_help[];

#endif
