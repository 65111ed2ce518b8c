/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine alone on a synthetic stream: decode -> table -> timeline, no kernel
 * and no output. Each connection is both of its ends on one host, nine events,
 * with `open` others standing by.
 *
 *   engine CONNECTIONS OPEN [steps]
 *
 * Prints one JSON line: events and connections a second, bytes a connection held.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pipeline.h"

struct life {
	uint8_t from, to, server;
};

static const struct life loopback[] = {
	{ST_CLOSED, ST_SYN_SENT, 0},	    {ST_SYN_SENT, ST_ESTABLISHED, 0},
	{ST_SYN_RECV, ST_ESTABLISHED, 1},   {ST_ESTABLISHED, ST_FIN_WAIT_1, 0},
	{ST_ESTABLISHED, ST_CLOSE_WAIT, 1}, {ST_FIN_WAIT_1, ST_FIN_WAIT_2, 0},
	{ST_FIN_WAIT_2, ST_CLOSED, 0},	    {ST_CLOSE_WAIT, ST_LAST_ACK, 1},
	{ST_LAST_ACK, ST_CLOSED, 1},
};

enum { EVENTS = sizeof(loopback) / sizeof(loopback[0]) };

static unsigned long ended;

static void on_end(void *view, const struct conn *c, const struct verdict *v)
{
	ended++;
}

static void event_of(struct event *e, uint64_t n, const struct life *l)
{
	uint16_t port = (uint16_t)(1024 + n % 60000);
	uint8_t block = (uint8_t)(n / 60000);

	memset(e, 0, sizeof(*e));
	e->kind = EV_STATE;
	e->flags = EVF_TCP;
	e->ts_ns = n * 10000 + (uint64_t)(l - loopback) * 1000;
	e->cookie = 2 * n + l->server + 1;
	e->netns = 1;
	e->old_state = l->from;
	e->new_state = l->to;
	memcpy(e->local, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\1", 16);
	memcpy(e->peer, e->local, 16);
	e->local[13] = e->peer[13] = block;
	e->lport = l->server ? 443 : l->from == ST_CLOSED ? 0 : port;
	e->pport = l->server ? port : 443;
	e->tcp.snd_una = e->tcp.snd_nxt = e->tcp.write_seq = 1001;
	e->tcp.rcv_nxt = e->tcp.copied_seq = 5001;
	e->tcp.bytes_acked = !l->server;
	e->tcp.srtt_us = 20;
	if (l->to == ST_SYN_SENT || l->to == ST_FIN_WAIT_1 || l->to == ST_LAST_ACK) {
		e->flags |= EVF_TASK | EVF_OWNED;
		e->task.pid = l->server ? 100 : 200;
		memcpy(e->task.comm, l->server ? "server" : "client", 7);
	}
}

static void run(struct pipeline *p, uint64_t from, uint64_t to, unsigned events)
{
	struct event e;

	for (uint64_t n = from; n < to; n++)
		for (unsigned i = 0; i < events; i++) {
			event_of(&e, n, &loopback[i]);
			pipeline_feed(p, &e, sizeof(e));
		}
}

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	static const struct view_ops ops = {.conn_end = on_end};
	struct pipeline_config cfg = {.max_connections = 4000000, .want_steps = argc > 3};
	uint64_t count, open;
	struct pipeline *p;
	struct event e;
	double t0, t1, t2;

	if (argc < 3) {
		fprintf(stderr, "usage: engine CONNECTIONS OPEN [steps]\n");
		return 2;
	}
	count = strtoull(argv[1], NULL, 10);
	open = strtoull(argv[2], NULL, 10);
	p = pipeline_new(&cfg, &ops, NULL);
	if (!p)
		return 2;
	run(p, 0, open, 3); /* both ends established */
	t0 = now_s();
	run(p, open, open + count, EVENTS);
	t1 = now_s();
	for (uint64_t n = 0; n < count; n++) /* what making the events costs */
		for (unsigned i = 0; i < EVENTS; i++) {
			event_of(&e, n, &loopback[i]);
			__asm__ volatile("" : : "r"(&e) : "memory");
		}
	t2 = now_s();
	printf("{\"events_per_s\":%.0f,\"connections_per_s\":%.0f,\"ns_per_event\":%.1f,"
	       "\"open\":%u,\"bytes_per_open\":%.0f,\"ended\":%lu,\"events_lost\":%llu}\n",
	       EVENTS * (double)count / ((t1 - t0) - (t2 - t1)),
	       (double)count / ((t1 - t0) - (t2 - t1)),
	       ((t1 - t0) - (t2 - t1)) * 1e9 / (EVENTS * (double)count),
	       conntab_count(pipeline_conns(p)),
	       open ? (double)conntab_bytes(pipeline_conns(p)) / (2.0 * (double)open) : 0.0, ended,
	       (unsigned long long)pipeline_stats(p)->lost[LOSS_TABLE_FULL]);
	pipeline_free(p);
	return 0;
}
