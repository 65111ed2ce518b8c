/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tracer costs on this host, by trying: the same five hundred loopback
 * connections of this process to itself, first untraced, then traced with the
 * meter on. Both ends are real sockets; each is closed before the next is made.
 *
 * Never: more than a fixed number of connections, or any beyond loopback.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/filter/filter.h"
#include "core/pipeline/pipeline.h"
#include "doctor.h"
#include "options.h"

enum { SETTLE_ROUNDS = 12, SETTLE_MS = 50, POLL_EVERY = 50 };

struct load {
	struct doctor *d;
	int listener;
	struct sockaddr_in addr;
	struct source *source;
	struct pipeline *p;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static uint64_t cpu_ns(void)
{
	struct rusage ru;

	if (getrusage(RUSAGE_SELF, &ru))
		return 0;
	return ((uint64_t)ru.ru_utime.tv_sec + (uint64_t)ru.ru_stime.tv_sec) * 1000000000 +
	       ((uint64_t)ru.ru_utime.tv_usec + (uint64_t)ru.ru_stime.tv_usec) * 1000;
}

static int listen_somewhere(struct load *l)
{
	socklen_t len = sizeof(l->addr);

	l->addr = (struct sockaddr_in){.sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	l->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (l->listener < 0)
		return -errno;
	if (bind(l->listener, (struct sockaddr *)&l->addr, len) || listen(l->listener, 16) ||
	    getsockname(l->listener, (struct sockaddr *)&l->addr, &len))
		return -errno;
	return 0;
}

/* Handshake, a byte, and the client closes first. */
static int one_connection(const struct load *l)
{
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), server = -1, err = 0;
	char byte = 'x';

	if (client < 0)
		return -errno;
	if (connect(client, (const struct sockaddr *)&l->addr, sizeof(l->addr)) ||
	    (server = accept(l->listener, NULL, NULL)) < 0 || write(client, &byte, 1) != 1)
		err = -errno;
	close(client);
	if (server < 0)
		return err;
	while (!err && read(server, &byte, 1) > 0)
		;
	close(server);
	return err;
}

/* The first connections pay for cold caches. */
static int warm_up(const struct load *l)
{
	int err = 0;

	for (unsigned i = 0; i < POLL_EVERY && !err; i++)
		err = one_connection(l);
	return err;
}

/* Wall time for the connections alone, by the fastest batch of them: a busy host only ever adds.
 * What the tracer reads in between is not in it. */
static int connections(struct load *l, uint64_t *wall_ns, uint64_t *tracer_cpu_ns)
{
	uint64_t best = UINT64_MAX;

	for (unsigned i = 0; i < DOCTOR_CONNECTIONS;) {
		uint64_t start = now_ns(), cpu;

		for (unsigned n = 0; n < POLL_EVERY; n++, i++) {
			int err = one_connection(l);

			if (err)
				return err;
		}
		if (now_ns() - start < best)
			best = now_ns() - start;
		*wall_ns = best * DOCTOR_CONNECTIONS / POLL_EVERY;
		if (!l->source)
			continue;
		cpu = cpu_ns();
		l->source->ops->poll(l->source, l->p, 0);
		*tracer_cpu_ns += cpu_ns() - cpu;
	}
	return 0;
}

static void count_end(void *view, const struct conn *c, const struct verdict *v)
{
	struct load *l = view;
	uint16_t port = ntohs(l->addr.sin_port);

	l->d->recorded += c->lport == port || c->pport == port;
}

/* Client ends wait for the other end or for a lookup: a moment is enough. */
static void settle(struct load *l, uint64_t *tracer_cpu_ns)
{
	uint64_t cpu = cpu_ns();

	for (unsigned i = 0; i < SETTLE_ROUNDS; i++)
		l->source->ops->poll(l->source, l->p, SETTLE_MS);
	*tracer_cpu_ns += cpu_ns() - cpu;
	l->source->ops->drain(l->source, l->p);
	pipeline_finish(l->p, now_ns());
}

static void keep_hooks(struct doctor *d, const struct source *s)
{
	d->nhooks = s->nhooks < DOCTOR_HOOKS ? s->nhooks : DOCTOR_HOOKS;
	memcpy(d->hooks, s->hooks, d->nhooks * sizeof(d->hooks[0]));
	d->full_mode = s->full_mode;
}

/* What a run cost, of the hooks that the measured source had. */
static void keep_run_times(struct doctor *d, const struct source *s)
{
	for (unsigned i = 0; i < d->nhooks && i < s->nhooks; i++) {
		d->hooks[i].run_count = s->hooks[i].run_count;
		d->hooks[i].run_ns = s->hooks[i].run_ns;
		d->hooks[i].misses = s->hooks[i].misses;
	}
}

static uint64_t all_lost(const struct stats *st)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < LOSS_REASONS; i++)
		n += st->lost[i];
	return n;
}

static void traced(struct load *l)
{
	const struct stats *st = pipeline_stats(l->p);
	struct doctor *d = l->d;
	struct stats before;
	struct rusage ru;

	l->source->ops->poll(l->source, l->p, 0);
	l->source->ops->stats(l->source, l->p);
	before = *st;
	d->measure_error = connections(l, &d->traced_ns, &d->user_cpu_ns);
	settle(l, &d->user_cpu_ns);
	l->source->ops->stats(l->source, l->p);
	keep_run_times(d, l->source);
	d->measured = !d->measure_error;
	d->connections = DOCTOR_CONNECTIONS;
	d->events = st->events - before.events;
	d->bpf_ns = st->bpf_ns - before.bpf_ns;
	d->bpf_runs = st->bpf_runs - before.bpf_runs;
	d->lost = all_lost(st) - all_lost(&before);
	d->table_bytes = conntab_bytes(pipeline_conns(l->p));
	if (!getrusage(RUSAGE_SELF, &ru))
		d->peak_rss_bytes = (uint64_t)ru.ru_maxrss * 1024;
}

/* Everything attached once, to see what this kernel takes; nothing is read. */
static int try_all_hooks(struct load *l, const struct options *o)
{
	const struct source_config cfg = {
		.ring_bytes = o->buffer_bytes,
		.mode = o->mode,
		.segments = true,
		.keep_caps = true, /* it is opened once more */
	};
	struct doctor *d = l->d;

	d->open_error =
		source_live_open(&l->source, &cfg, d->open_message, sizeof(d->open_message));
	if (d->open_error)
		return d->open_error;
	d->opened = true;
	keep_hooks(d, l->source);
	l->source->ops->close(l->source);
	l->source = NULL;
	return 0;
}

/* What `conns` and `watch` attach, and of all connections only ours. */
static int open_measured(struct load *l, const struct options *o)
{
	struct kernel_filter ours = {.neither = 1};
	const struct source_config cfg = {
		.ring_bytes = o->buffer_bytes,
		.mode = o->mode,
		.meter = true,
		.filter = &ours,
	};
	char msg[DOCTOR_LINE];

	ours.either[0].lo = ours.either[0].hi = ntohs(l->addr.sin_port);
	return source_live_open(&l->source, &cfg, msg, sizeof(msg));
}

void doctor_measure(struct doctor *d, const struct options *o)
{
	static const struct view_ops ops = {.conn_end = count_end};
	const struct pipeline_config pcfg = {.max_connections = o->max_connections};
	struct load l = {.d = d, .listener = -1};
	uint64_t none = 0;

	if (try_all_hooks(&l, o))
		return;
	d->measure_error = listen_somewhere(&l);
	if (!d->measure_error)
		d->measure_error = warm_up(&l);
	if (!d->measure_error)
		d->measure_error = connections(&l, &d->plain_ns, &none);
	l.p = pipeline_new(&pcfg, &ops, &l);
	if (!l.p && !d->measure_error)
		d->measure_error = -ENOMEM;
	if (!d->measure_error)
		d->measure_error = open_measured(&l, o);
	if (!d->measure_error)
		traced(&l);
	if (l.source)
		l.source->ops->close(l.source);
	pipeline_free(l.p);
	if (l.listener >= 0)
		close(l.listener);
}
