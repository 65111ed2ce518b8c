/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections made by hand, step by step, and their ladders compared with pictures
 * in tests/golden. For test_ladder.c.
 *
 * The drawing is no part of the core; its files are included here as they are.
 */
#ifndef LADDER_HAND_H
#define LADDER_HAND_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../user/output/paint.c"
#include "../../user/output/text_common.c"
#include "../../user/output/text_sentence.c"
#include "../../user/output/ladder_text.c"
#include "../../user/core/ladder/ladder.h"
#include "event.h"

#ifndef GOLDEN_DIR
#define GOLDEN_DIR "tests/golden"
#endif

enum { MS = 1000000, CLIENT_ISN = 1000, SERVER_ISN = 5000 };

/* The drawing asks the session for the wall clock: here it is noon, UTC. */
uint64_t session_started(const struct session *s)
{
	return 0; /* times count from the first one told */
}

uint64_t session_realtime(const struct session *s, uint64_t mono_ns)
{
	return 1767268800000000000ULL + mono_ns;
}

void session_endpoint(const struct session *s, struct buf *b, const uint8_t addr[16], uint16_t port)
{
	buf_endpoint(b, addr, port);
}

void session_port(const struct session *s, struct buf *b, uint16_t port)
{
	buf_u64(b, port);
}

bool sink_is_tty(const struct sink *s)
{
	return false;
}

struct fixture {
	struct proctab *procs;
	uint32_t curl, nginx;
	struct ladder_end client, server;
};

static uint32_t task(struct fixture *f, uint32_t pid, const char *comm)
{
	struct event_task t = {.pid = pid, .tid = pid, .uid = 1000};

	snprintf(t.comm, sizeof(t.comm), "%s", comm);
	return proc_intern(f->procs, &t, false);
}

static void make_end(struct ladder_end *e, unsigned role, uint32_t owner)
{
	static const uint8_t mapped[16] = {[10] = 0xff, 0xff, 10, 0, 0};
	struct conn *c = &e->conn;
	bool client = role == ROLE_CLIENT;

	memset(e, 0, sizeof(*e));
	c->end = &e->end;
	memcpy(c->local, mapped, sizeof(mapped));
	memcpy(c->peer, mapped, sizeof(mapped));
	c->local[15] = client ? 1 : 2;
	c->peer[15] = client ? 2 : 1;
	c->lport = client ? 40412 : 8080;
	c->pport = client ? 8080 : 40412;
	c->role = (uint8_t)role;
	c->owner = owner;
	c->start_ns = 1000 * (uint64_t)MS;
	c->state_ns = c->start_ns;
	c->isn_local = client ? CLIENT_ISN : SERVER_ISN;
	c->isn_peer = client ? SERVER_ISN : CLIENT_ISN;
	c->seen = SEEN_START;
	c->state = client ? ST_CLOSED : ST_LISTEN;
}

static void step(struct ladder_end *e, double at_ms, unsigned kind, unsigned state,
		 unsigned trigger, uint32_t seq, uint32_t aux)
{
	assert_true(e->conn.steps_len < STEPS_LARGE);
	e->steps[e->conn.steps_len++] = (struct step){
		.at = (uint64_t)(at_ms * MS),
		.kind = kind & 31,
		.state = state & 15,
		.trigger = trigger & 7,
		.seq = seq,
		.aux = aux,
	};
	e->conn.state = (uint8_t)state;
	e->end.end_ns = e->conn.start_ns + (uint64_t)(at_ms * MS);
}

static uint64_t at(const struct ladder_end *e, double ms)
{
	return e->conn.start_ns + (uint64_t)(ms * MS);
}

static void packet(struct ladder_end *e, double ms, unsigned state)
{
	struct conn *c = &e->conn;

	if (state == ST_ESTABLISHED) {
		c->seen |= SEEN_ESTABLISHED | SEEN_EST_TIME | SEEN_ISN_LOCAL | SEEN_ISN_PEER;
		c->est_ns = at(e, ms);
	}
	if (state == ST_CLOSE_WAIT || state == ST_CLOSING ||
	    (state == ST_TIME_WAIT && !(c->seen & SEEN_FIN_PEER))) {
		c->seen |= SEEN_FIN_PEER | SEEN_FIN_PEER_TIME;
		e->end.fin_peer_ns = at(e, ms);
		e->end.fin_seq_peer = c->isn_peer + 1 + (uint32_t)c->bytes_received;
		if (!e->end.first_fin)
			e->end.first_fin = 2;
	}
	if (state == ST_FIN_WAIT_2)
		c->seen |= SEEN_FIN_LOCAL_ACKED;
	if (state == ST_CLOSING)
		c->seen |= SEEN_CLOSING;
	if (state == ST_TIME_WAIT) {
		c->seen |= SEEN_TIME_WAIT | SEEN_CLOSE | SEEN_FIN_LOCAL_ACKED;
		e->end.tw_ns = at(e, ms);
		e->end.tw_end = TW_RUNNING;
	}
	if (state == ST_CLOSED) {
		c->seen |= SEEN_CLOSE;
		e->end.end_old_state = c->state;
		e->end.end_trigger = TRIG_PACKET;
		if (c->state == ST_LAST_ACK)
			c->seen |= SEEN_FIN_LOCAL_ACKED;
	}
	step(e, ms, STEP_STATE, state, TRIG_PACKET, 0, 0);
}

static void call(struct ladder_end *e, double ms, unsigned state, uint32_t who)
{
	struct conn *c = &e->conn;

	if (state == ST_SYN_SENT) {
		c->seen |= SEEN_SYN_TIME;
		c->syn_ns = at(e, ms);
	}
	if (state == ST_FIN_WAIT_1 || state == ST_LAST_ACK) {
		c->seen |= SEEN_FIN_LOCAL | SEEN_FIN_LOCAL_TIME;
		e->end.fin_local_ns = at(e, ms);
		e->end.fin_seq_local = c->isn_local + 1 + (uint32_t)c->bytes_sent;
		e->end.closer = who;
		if (!e->end.first_fin)
			e->end.first_fin = 1;
	}
	if (state == ST_CLOSED) {
		c->seen |= SEEN_CLOSE;
		e->end.end_old_state = c->state;
		e->end.end_trigger = TRIG_SYSCALL;
		e->end.closer = who;
	}
	step(e, ms, STEP_STATE, state, TRIG_SYSCALL, e->end.fin_seq_local, who);
}

static void timer(struct ladder_end *e, double ms, uint8_t err)
{
	e->conn.seen |= SEEN_CLOSE;
	e->end.end_old_state = e->conn.state;
	e->end.end_trigger = TRIG_TIMER;
	e->end.err = err;
	step(e, ms, STEP_STATE, ST_CLOSED, TRIG_TIMER, 0, 0);
}

/* The client's handshake, and the server's with its SYN reckoned. */
static void client_opens(struct fixture *f)
{
	call(&f->client, 0, ST_SYN_SENT, f->curl);
	packet(&f->client, 0.041, ST_ESTABLISHED);
}

static void server_opens(struct fixture *f)
{
	f->server.conn.seen |= SEEN_SYN_ESTIMATED;
	f->server.conn.syn_ns = f->server.conn.start_ns;
	packet(&f->server, 0.047, ST_ESTABLISHED);
	step(&f->server, 0.2, STEP_ACCEPT, ST_ESTABLISHED, TRIG_SYSCALL, 0, f->nginx);
}

static void exchange(struct fixture *f, uint64_t up, uint64_t down)
{
	f->client.conn.bytes_sent = f->server.conn.bytes_received = up;
	f->client.conn.bytes_received = f->server.conn.bytes_sent = down;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->procs = proctab_new(16);
	assert_non_null(f->procs);
	f->curl = task(f, 812, "curl");
	f->nginx = task(f, 301, "nginx");
	make_end(&f->client, ROLE_CLIENT, f->curl);
	make_end(&f->server, ROLE_SERVER, f->nginx);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	proctab_free(f->procs);
	free(f);
	return 0;
}

/* --- drawing and comparing ---------------------------------------------------------- */

static char *read_golden(const char *path)
{
	char *text = calloc(1, 16384);
	FILE *file = fopen(path, "r");

	assert_non_null(text);
	if (file) {
		size_t n = fread(text, 1, 16383, file);

		assert_true(n < 16383);
		fclose(file);
	}
	return text;
}

static void compare(const char *name, const char *text)
{
	char path[256], *golden;

	snprintf(path, sizeof(path), GOLDEN_DIR "/ladder_%s.txt", name);
	if (getenv("GOLDEN_UPDATE")) {
		FILE *file = fopen(path, "w");

		assert_non_null(file);
		assert_true(fputs(text, file) >= 0);
		assert_int_equal(fclose(file), 0);
	}
	golden = read_golden(path);
	if (strcmp(golden, text))
		print_error("--- %s\n%s+++ now\n%s", path, golden, text);
	assert_string_equal(golden, text);
	free(golden);
}

/* One reason has a name, and a hostile one. */
static const char *hand_reason(const void *arg, unsigned reason)
{
	(void)arg;
	return reason == 41 ? "TCP_\033[2J_WINDOW" : NULL;
}

static void draw_as(struct fixture *f, struct buf *b, const struct ladder_end *a,
		    const struct ladder_end *o, bool utf8)
{
	const struct ladder_names names = {.procs = f->procs, .drop_reason = hand_reason};
	struct ladder l;
	struct text t = {.procs = f->procs, .paint = {.utf8 = utf8}, .width = TEXT_WIDTH};

	ladder_build(&l, &names, a, o);
	ladder_text(&t, b, &l);
	assert_int_equal(l.dropped, 0);
	buf_char(b, '\0');
	assert_false(b->failed);
}

static void check(struct fixture *f, const char *name, const struct ladder_end *a,
		  const struct ladder_end *o)
{
	struct buf b = {0};

	draw_as(f, &b, a, o, true);
	compare(name, b.data);
	buf_free(&b);
}

#endif
