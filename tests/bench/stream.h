/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A synthetic stream: the nine events with which base mode tells of a connection
 * between two sockets of one host, a client and a server.
 */
#ifndef TCPTRAIL_BENCH_STREAM_H
#define TCPTRAIL_BENCH_STREAM_H

#include <string.h>

#include "connection/conn.h"
#include "event.h"

struct stream_step {
	uint8_t from, to, server;
};

static const struct stream_step stream_life[] = {
	{ST_CLOSED, ST_SYN_SENT, 0},	    {ST_SYN_SENT, ST_ESTABLISHED, 0},
	{ST_SYN_RECV, ST_ESTABLISHED, 1},   {ST_ESTABLISHED, ST_FIN_WAIT_1, 0},
	{ST_ESTABLISHED, ST_CLOSE_WAIT, 1}, {ST_FIN_WAIT_1, ST_FIN_WAIT_2, 0},
	{ST_FIN_WAIT_2, ST_CLOSED, 0},	    {ST_CLOSE_WAIT, ST_LAST_ACK, 1},
	{ST_LAST_ACK, ST_CLOSED, 1},
};

enum {
	STREAM_EVENTS = sizeof(stream_life) / sizeof(stream_life[0]),
	STREAM_OPEN = 3,            /* after so many both ends are ESTABLISHED */
	STREAM_PORTS = 60000,
	STREAM_A_PROCESS = 1000,    /* connections of one client process, until the next one's turn */
	STREAM_PROCESSES = 1000,
};

/* The i-th event of the n-th connection, at ts_ns. No two connections have the same addresses and
 * ports before the fifteen millionth. */
static inline void stream_event(struct event *e, uint64_t n, unsigned i, uint64_t ts_ns)
{
	const struct stream_step *s = &stream_life[i];
	uint16_t port = (uint16_t)(1024 + n % STREAM_PORTS);
	uint8_t block = (uint8_t)(n / STREAM_PORTS);

	memset(e, 0, sizeof(*e));
	e->kind = EV_STATE;
	e->flags = EVF_TCP;
	e->ts_ns = ts_ns;
	e->cookie = 2 * n + s->server + 1;
	e->netns = 1;
	e->old_state = s->from;
	e->new_state = s->to;
	memcpy(e->local, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\1", 16);
	memcpy(e->peer, e->local, 16);
	e->local[13] = e->peer[13] = block;
	e->lport = s->server ? 443 : s->from == ST_CLOSED ? 0 : port;
	e->pport = s->server ? port : 443;
	e->tcp.snd_una = e->tcp.snd_nxt = e->tcp.write_seq = 1001;
	e->tcp.rcv_nxt = e->tcp.copied_seq = 5001;
	e->tcp.bytes_acked = !s->server;
	e->tcp.srtt_us = 20;
	if (s->to == ST_SYN_SENT || s->to == ST_FIN_WAIT_1 || s->to == ST_LAST_ACK) {
		e->flags |= EVF_TASK | EVF_OWNED;
		e->task.pid =
			s->server ? 100 : 200 + (uint32_t)(n / STREAM_A_PROCESS % STREAM_PROCESSES);
		memcpy(e->task.comm, s->server ? "server" : "client", 7);
	}
}

#endif
