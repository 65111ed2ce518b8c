/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every view of the house, by command and format. A command is a view handed to
 * session_run(); the table in main.c is the only place that picks one.
 */
#ifndef TCPTRAIL_VIEWS_H
#define TCPTRAIL_VIEWS_H

struct options;
struct view;

extern const struct view view_events_text, view_conns_text, view_watch_text, view_timeline_text,
	view_states_text, view_listeners_text;
extern const struct view view_events_json, view_conns_json, view_watch_json, view_timeline_json,
	view_states_json, view_listeners_json;
extern const struct view view_conns_csv;
extern const struct view view_packets_text, view_packets_json;

/* Not a view: it opens the source itself and asks it what it can do. */
int cmd_doctor(const struct options *o);

#endif
