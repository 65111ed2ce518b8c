/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names for -r. A look-up may wait for a name server for seconds, and the tracer
 * waits for nobody: a thread of its own asks, one address at a time, and until it
 * has an answer the number is shown.
 *
 * Always: the cache and the queue are bounded; a full queue forgets the question (it
 * is asked again when the address is shown again), a taken place in the cache is
 * given to the newer address. The thread is detached and shares only what the lock
 * guards; it lives as long as the process, since a look-up cannot be called off.
 *
 * The thread starts with the first question: after the tracer has given up its
 * privileges, which are each thread's own.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session_impl.h"

enum { NAMES_CACHE = 1024, NAMES_QUEUE = 64, NAME_LEN = 64, PORTS_CACHE = 256 };

enum name_status { NAME_EMPTY, NAME_ASKED, NAME_KNOWN, NAME_NONE };

struct name {
	uint8_t addr[16];
	enum name_status status;
	char text[NAME_LEN];
};

struct resolver {
	pthread_mutex_t lock;
	pthread_cond_t more;
	bool started, abandoned;
	struct name cache[NAMES_CACHE];
	uint8_t queue[NAMES_QUEUE][16];
	unsigned queue_at, queue_len;
	char shown[NAME_LEN]; /* the tracer's own copy of the last answer */
	struct {
		uint16_t port;
		bool asked;
		char text[24];
	} ports[PORTS_CACHE]; /* /etc/services: the tracer's own, no thread */
};

static unsigned name_slot(const uint8_t addr[16])
{
	uint32_t h = 2166136261u; /* FNV-1a */

	for (unsigned i = 0; i < 16; i++)
		h = (h ^ addr[i]) * 16777619u;
	return (h ^ h >> 15) % NAMES_CACHE;
}

static bool name_look_up(const uint8_t addr[16], char out[NAME_LEN])
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr *sa = (struct sockaddr *)&v6;
	socklen_t len = sizeof(v6);

	memcpy(&v6.sin6_addr, addr, 16);
	if (addr_is_v4(addr)) {
		memcpy(&v4.sin_addr, addr + 12, 4);
		sa = (struct sockaddr *)&v4;
		len = sizeof(v4);
	}
	return !getnameinfo(sa, len, out, NAME_LEN, NULL, 0, NI_NAMEREQD);
}

static void *resolver_thread(void *arg)
{
	struct resolver *r = arg;
	char text[NAME_LEN];
	uint8_t addr[16];

	pthread_mutex_lock(&r->lock);
	while (!r->abandoned) {
		struct name *n;
		bool found;

		if (!r->queue_len) {
			pthread_cond_wait(&r->more, &r->lock);
			continue;
		}
		memcpy(addr, r->queue[r->queue_at], 16);
		r->queue_at = (r->queue_at + 1) % NAMES_QUEUE;
		r->queue_len--;
		pthread_mutex_unlock(&r->lock);
		found = name_look_up(addr, text);
		pthread_mutex_lock(&r->lock);
		n = &r->cache[name_slot(addr)];
		if (memcmp(n->addr, addr, 16) != 0)
			continue; /* the place was given to another */
		n->status = found ? NAME_KNOWN : NAME_NONE;
		if (found)
			memcpy(n->text, text, NAME_LEN);
	}
	pthread_mutex_unlock(&r->lock);
	pthread_cond_destroy(&r->more);
	pthread_mutex_destroy(&r->lock);
	free(r);
	return NULL;
}

struct resolver *resolver_new(void)
{
	struct resolver *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->more, NULL);
	return r;
}

/* Who comes last frees: the thread may be in the middle of a look-up. */
void resolver_free(struct resolver *r)
{
	if (!r)
		return;
	if (!r->started) {
		pthread_cond_destroy(&r->more);
		pthread_mutex_destroy(&r->lock);
		free(r);
		return;
	}
	pthread_mutex_lock(&r->lock);
	r->abandoned = true;
	pthread_cond_signal(&r->more);
	pthread_mutex_unlock(&r->lock);
}

static void resolver_ask(struct resolver *r, struct name *n, const uint8_t addr[16])
{
	pthread_attr_t attr;
	pthread_t id;

	if (r->queue_len == NAMES_QUEUE)
		return;
	if (!r->started) {
		pthread_attr_init(&attr);
		pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
		r->started = !pthread_create(&id, &attr, resolver_thread, r);
		pthread_attr_destroy(&attr);
		if (!r->started)
			return;
	}
	memcpy(n->addr, addr, 16);
	n->status = NAME_ASKED;
	memcpy(r->queue[(r->queue_at + r->queue_len++) % NAMES_QUEUE], addr, 16);
	pthread_cond_signal(&r->more);
}

const char *resolver_addr(struct resolver *r, const uint8_t addr[16])
{
	struct name *n = &r->cache[name_slot(addr)];
	bool known = false;

	pthread_mutex_lock(&r->lock);
	if (n->status == NAME_EMPTY || memcmp(n->addr, addr, 16) != 0) {
		resolver_ask(r, n, addr);
	} else if (n->status == NAME_KNOWN) {
		memcpy(r->shown, n->text, NAME_LEN);
		known = true;
	}
	pthread_mutex_unlock(&r->lock);
	return known ? r->shown : NULL;
}

const char *resolver_port(struct resolver *r, uint16_t port)
{
	unsigned slot = port % PORTS_CACHE;
	const struct servent *se;

	if (!r->ports[slot].asked || r->ports[slot].port != port) {
		se = getservbyport(htons(port), "tcp");
		r->ports[slot].asked = true;
		r->ports[slot].port = port;
		snprintf(r->ports[slot].text, sizeof(r->ports[slot].text), "%s",
			 se ? se->s_name : "");
	}
	return r->ports[slot].text[0] ? r->ports[slot].text : NULL;
}

/* ---- what views call ----------------------------------------------------------- */

void session_addr(const struct session *s, struct buf *b, const uint8_t addr[16])
{
	const char *name = s->names ? resolver_addr(s->names, addr) : NULL;

	if (name)
		buf_safe(b, name, NAME_LEN);
	else
		buf_addr(b, addr);
}

void session_port(const struct session *s, struct buf *b, uint16_t port)
{
	const char *name = s->names && port ? resolver_port(s->names, port) : NULL;

	if (name)
		buf_safe(b, name, NAME_LEN);
	else
		buf_u64(b, port);
}

void session_endpoint(const struct session *s, struct buf *b, const uint8_t addr[16], uint16_t port)
{
	const char *name = s->names ? resolver_addr(s->names, addr) : NULL;

	if (!s->names) {
		buf_endpoint(b, addr, port);
		return;
	}
	if (!name && !addr_is_v4(addr)) {
		buf_char(b, '[');
		buf_addr(b, addr);
		buf_char(b, ']');
	} else {
		session_addr(s, b, addr);
	}
	buf_char(b, ':');
	session_port(s, b, port);
}
