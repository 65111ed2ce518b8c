/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pipeline whose view remembers what it was told, and the events of a connection
 * to feed it with.
 */
#ifndef TCPTRAIL_PIPELINE_RIG_H
#define TCPTRAIL_PIPELINE_RIG_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pipeline/pipeline.h"

enum { NETNS = 77, CLIENT_PORT = 40000, SERVER_PORT = 443 };

struct seen {
	unsigned changes, ends;
	struct change last;
	struct verdict verdict;
	struct conn conn;
	struct conn_end end;
};

static void on_change(void *view, const struct conn *c, const struct change *ch)
{
	struct seen *s = view;

	s->changes++;
	s->last = *ch;
}

static void on_end(void *view, const struct conn *c, const struct verdict *v)
{
	struct seen *s = view;

	s->ends++;
	s->conn = *c;
	s->end = *conn_end(c);
	s->conn.end = &s->end;
	s->verdict = *v;
}

static const struct view_ops ops = {.change = on_change, .conn_end = on_end};

static inline struct pipeline *make(struct seen *s, struct pipeline_config cfg)
{
	struct pipeline *p = pipeline_new(&cfg, &ops, s);

	memset(s, 0, sizeof(*s));
	assert_non_null(p);
	return p;
}

static inline void set_v4(uint8_t *a, uint8_t last)
{
	memset(a, 0, 16);
	a[10] = a[11] = 0xff;
	a[12] = 10;
	a[15] = last;
}

/* The client's end at 10.0.0.1:40000, the server at 10.0.0.2:443. */
static inline struct event state(uint64_t ms, uint64_t cookie, uint8_t from, uint8_t to)
{
	struct event e = {
		.ts_ns = ms * 1000000,
		.cookie = cookie,
		.netns = NETNS,
		.kind = EV_STATE,
		.flags = EVF_TCP,
		.old_state = from,
		.new_state = to,
		.lport = from == ST_CLOSED ? 0 : CLIENT_PORT,
		.pport = SERVER_PORT,
	};

	set_v4(e.local, 1);
	set_v4(e.peer, 2);
	e.tcp.snd_una = e.tcp.snd_nxt = e.tcp.write_seq = 1001;
	e.tcp.bytes_acked = 1;
	if (from == ST_LAST_ACK) { /* our FIN, and its ACK */
		e.tcp.snd_una = e.tcp.snd_nxt = e.tcp.write_seq = 1002;
		e.tcp.bytes_acked = 2;
	}
	e.tcp.rcv_nxt = e.tcp.copied_seq = 5001;
	e.tcp.shutdown = to == ST_CLOSED ? 3 : 0;
	return e;
}

static inline void feed(struct pipeline *p, struct event e)
{
	assert_int_equal(pipeline_feed(p, &e, sizeof(e)), 0);
}

static inline void open_client(struct pipeline *p, uint64_t cookie)
{
	feed(p, state(1, cookie, ST_CLOSED, ST_SYN_SENT));
	feed(p, state(2, cookie, ST_SYN_SENT, ST_ESTABLISHED));
}

static inline struct event tick(uint64_t ms)
{
	return (struct event){.ts_ns = ms * 1000000, .kind = EV_TICK};
}

/* Each from a port of its own: CLIENT_PORT + cookie. first: 0 begins with connect(). */
static inline void enter_time_wait_from(struct pipeline *p, uint64_t ms, uint64_t cookie,
					unsigned first)
{
	static const uint8_t states[] = {ST_CLOSED,	ST_SYN_SENT,   ST_ESTABLISHED,
					 ST_FIN_WAIT_1, ST_FIN_WAIT_2, ST_CLOSED};

	for (unsigned i = first; i + 1 < sizeof(states); i++) {
		struct event e = state(ms + i, cookie, states[i], states[i + 1]);

		if (i)
			e.lport = (uint16_t)(CLIENT_PORT + cookie);
		if (states[i] == ST_FIN_WAIT_2)
			e.flags |= EVF_DONE;
		feed(p, e);
	}
}

static inline void enter_time_wait(struct pipeline *p, uint64_t ms, uint64_t cookie)
{
	enter_time_wait_from(p, ms, cookie, 0);
}

static inline struct event leave(uint64_t ms, uint64_t cookie, uint8_t substate)
{
	struct event e = state(ms, cookie, substate, substate);

	e.kind = EV_TW_LEAVE;
	e.lport = (uint16_t)(CLIENT_PORT + cookie);
	e.flags = 0;
	e.extra.tw.substate = substate;
	return e;
}

static inline void orphan(struct pipeline *p, uint64_t cookie)
{
	struct event e = state(5, cookie, ST_FIN_WAIT_2, ST_CLOSED);

	open_client(p, cookie);
	feed(p, state(3, cookie, ST_ESTABLISHED, ST_FIN_WAIT_1));
	feed(p, state(4, cookie, ST_FIN_WAIT_1, ST_FIN_WAIT_2));
	e.flags |= EVF_DEAD;
	feed(p, e);
}

#endif
