/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /events: records as server-sent events, to each client what its FILTER wants.
 *
 * Always: a client's queue is EVENT_QUEUE at most; a record is in it whole, or counted,
 * and the client is told how many it missed. A connection without anything to send is
 * suspended, so that it costs nothing; as the library then does not watch it, who hangs up is
 * noticed here, or dead clients would keep the places of living ones.
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "../core/filter/filter.h"
#include "server.h"

static void client_free(struct event_client *e)
{
	filter_free(e->filter);
	buf_free(&e->ring);
	memset(e, 0, sizeof(*e));
}

/* The library wants bytes: what waits, or sleep until there is more. */
static ssize_t read_queue(void *cls, uint64_t pos, char *out, size_t max)
{
	struct event_client *e = cls;
	size_t n = e->ring.len - e->head;

	if (e->gone)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (!n) {
		e->suspended = true;
		MHD_suspend_connection(e->c);
		return 0;
	}
	if (n > max)
		n = max;
	memcpy(out, e->ring.data + e->head, n);
	e->head += n;
	if (e->head == e->ring.len)
		e->head = e->ring.len = 0;
	return (ssize_t)n;
}

static void queue_closed(void *cls)
{
	client_free(cls);
}

static ssize_t read_nothing(void *cls, uint64_t pos, char *out, size_t max)
{
	return MHD_CONTENT_READER_END_OF_STREAM;
}

static enum MHD_Result queue_stream(struct MHD_Connection *c, struct MHD_Response *r)
{
	enum MHD_Result result;

	http_headers(r);
	MHD_add_response_header(r, "Content-Type", "text/event-stream; charset=utf-8");
	result = MHD_queue_response(c, MHD_HTTP_OK, r);
	MHD_destroy_response(r);
	return result;
}

static void wake(struct event_client *e, uint64_t now_ns)
{
	e->fed_ns = now_ns;
	if (!e->suspended)
		return;
	e->suspended = false;
	MHD_resume_connection(e->c);
}

/* Without chunks: the library ends them in the body, and here there is none. */
static enum MHD_Result answer_head(struct MHD_Connection *c)
{
	struct MHD_Response *r =
		MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 1, read_nothing, NULL, NULL);

	if (!r)
		return MHD_NO;
	MHD_set_response_options(r, MHD_RF_HTTP_VERSION_1_0_ONLY, MHD_RO_END);
	return queue_stream(c, r);
}

static struct event_client *client_new(struct server *v)
{
	for (unsigned i = 0; i < EVENT_CLIENTS; i++)
		if (!v->clients[i].used)
			return &v->clients[i];
	return NULL;
}

enum MHD_Result events_open(struct server *v, struct MHD_Connection *c, const char *rest)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct event_client *e = client_new(v);
	struct MHD_Response *r;
	enum MHD_Result result;
	struct filter *f;

	if (!e)
		return http_error(c, MHD_HTTP_SERVICE_UNAVAILABLE,
				  "all places for /events are taken");
	if (!http_filter(c, &f, &result))
		return result;
	if (http_is_head(c)) {
		filter_free(f);
		return answer_head(c);
	}
	*e = (struct event_client){.used = true,
				   .fd = info ? info->connect_fd : -1,
				   .c = c,
				   .filter = f,
				   .fed_ns = server_now()};
	buf_str(&e->ring, "retry: 2000\n\n");
	r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16384, read_queue, e, queue_closed);
	if (!r) {
		client_free(e);
		return MHD_NO;
	}
	return queue_stream(c, r);
}

bool events_wanted(const struct server *v)
{
	for (unsigned i = 0; i < EVENT_CLIENTS; i++)
		if (v->clients[i].used)
			return true;
	return false;
}

/* Room for n more, what was read before given back first. */
static bool has_room(struct event_client *e, size_t n)
{
	if (e->head && e->ring.len + n > EVENT_QUEUE / 2) {
		memmove(e->ring.data, e->ring.data + e->head, e->ring.len - e->head);
		e->ring.len -= e->head;
		e->head = 0;
	}
	return e->ring.len + n <= EVENT_QUEUE && buf_room(&e->ring, n);
}

static void put_event(struct buf *b, const char *name, const char *line, size_t len)
{
	buf_str(b, "event: ");
	buf_str(b, name);
	buf_str(b, "\ndata: ");
	buf_put(b, line, len);
	buf_char(b, '\n'); /* the line brings its own first one */
}

static void tell_lost(struct event_client *e)
{
	char line[48];
	struct buf b = {.data = line, .cap = sizeof(line)};

	buf_str(&b, "{\"lost\":");
	buf_u64(&b, e->lost);
	buf_str(&b, "}\n");
	put_event(&e->ring, "lost", line, b.len);
	e->lost = 0;
}

static void feed(struct server *v, struct event_client *e, const char *name, const char *line,
		 size_t len)
{
	size_t need = len + strlen(name) + 160; /* what stands around it, and what was lost */

	if (!has_room(e, need)) {
		e->lost++;
		v->events_lost++;
		return;
	}
	if (e->lost)
		tell_lost(e);
	put_event(&e->ring, name, line, len);
	wake(e, server_now());
}

void events_feed(struct server *v, const struct conn *c, const struct verdict *verdict,
		 const char *name, const char *line, size_t len)
{
	struct filter_subject s = {
		.conn = c,
		.procs = pipeline_procs(v->s->p),
		.verdict = verdict,
		.now_ns = pipeline_now(v->s->p),
	};

	for (unsigned i = 0; i < EVENT_CLIENTS; i++) {
		struct event_client *e = &v->clients[i];

		if (e->used && (!e->filter || filter_match(e->filter, &s) == FILTER_YES))
			feed(v, e, name, line, len);
	}
}

/* A reset ends it. A FIN alone may come from one that only sends no more: where nobody reads, a
 * reset answers the comment. */
static void heed_hangup(struct event_client *e, short revents, uint64_t now_ns)
{
	if (revents & (POLLERR | POLLHUP | POLLNVAL))
		e->gone = true;
	else if (!(revents & POLLRDHUP) || e->asked || !has_room(e, 160))
		return;
	else
		buf_str(&e->ring, ":\n\n");
	e->asked = true;
	wake(e, now_ns);
}

static void notice_hangups(struct server *v, uint64_t now_ns)
{
	struct pollfd fds[EVENT_CLIENTS];
	struct event_client *at[EVENT_CLIENTS];
	unsigned n = 0;

	if (now_ns - v->hangups_ns < EVENT_LOOK_MS * 1000000ull)
		return;
	v->hangups_ns = now_ns;
	for (unsigned i = 0; i < EVENT_CLIENTS; i++) {
		struct event_client *e = &v->clients[i];

		if (!e->used || e->gone || e->fd < 0)
			continue;
		at[n] = e;
		fds[n++] = (struct pollfd){.fd = e->fd, .events = POLLRDHUP};
	}
	if (!n || poll(fds, n, 0) <= 0)
		return;
	for (unsigned i = 0; i < n; i++)
		heed_hangup(at[i], fds[i].revents, now_ns);
}

void events_turn(struct server *v, uint64_t now_ns)
{
	notice_hangups(v, now_ns);
	for (unsigned i = 0; i < EVENT_CLIENTS; i++) {
		struct event_client *e = &v->clients[i];

		if (!e->used || now_ns - e->fed_ns < EVENT_IDLE_MS * 1000000ull)
			continue;
		e->fed_ns = now_ns;
		if (has_room(e, 160)) {
			if (e->lost)
				tell_lost(e);
			else
				buf_str(&e->ring, ":\n\n");
			wake(e, now_ns);
		}
	}
}

void events_close(struct server *v)
{
	for (unsigned i = 0; i < EVENT_CLIENTS; i++) {
		struct event_client *e = &v->clients[i];

		if (!e->used)
			continue;
		e->gone = true;
		wake(e, 0);
	}
}
