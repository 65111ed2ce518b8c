/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The live kernel as a source: reads the ring, and adds to the stream what only
 * user space can know: the clock, losses, answers to lookups, that time passed.
 *
 * Always: the ring is emptied every LIVE_ROUND_MS at the latest; the kernel wakes
 * us sooner only while it fills. Never: a pointer into the ring outlives its
 * callback.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "caps.h"
#include "core/pipeline/pipeline.h"
#include "live.h"
#include "probe.h"
#include "tracer.h"
#include "tracer.skel.h"

enum {
	LOOKUPS_A_POLL = 256,
	RECORDS_A_POLL = 16384, /* under load the ring never is empty: stdout and signals wait */
};

static const uint64_t misses_every_ns = 1000000000;
static const int64_t clock_step_ns = 1000000;

static uint64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

uint64_t live_now(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

void live_event(struct event *e, unsigned kind)
{
	memset(e, 0, sizeof(*e));
	e->kind = kind;
	e->ts_ns = live_now();
}

/* ---- the ring -------------------------------------------------------------------- */

static void tell_cgroup(struct live *l, struct pipeline *p, uint64_t id)
{
	const char *path = cgroup_path_of(&l->cgroups, id, live_now());

	if (path)
		pipeline_tell_cgroup(p, id, path);
	else if (l->ncgroups_wait < LIVE_CGROUPS)
		l->cgroups_wait[l->ncgroups_wait++] = id;
}

/* A view that shows this record shows its cgroup: the path must be told before. */
static void tell_cgroup_of(struct live *l, const struct event *e)
{
	if (!(e->flags & EVF_TASK) || !e->task.cgroup || e->task.cgroup == l->cgroup_last)
		return;
	l->cgroup_last = e->task.cgroup;
	if (!cgroup_get(pipeline_procs(l->into), e->task.cgroup))
		tell_cgroup(l, l->into, e->task.cgroup);
}

static int on_record(void *ctx, void *data, size_t size)
{
	struct live *l = ctx;

	if (size == sizeof(struct stack_record) && l->callers) {
		callers_take(l->callers, l->into, data);
		return --l->batch ? 0 : -EAGAIN;
	}
	if (l->sweep.walks && sweep_takes(&l->sweep, data))
		return --l->batch ? 0 : -EAGAIN;
	if (size >= sizeof(struct event))
		tell_cgroup_of(l, data);
	pipeline_feed(l->into, data, size);
	return --l->batch ? 0 : -EAGAIN;
}

/* When more is there, the ring's descriptor is ready again at once. */
int live_consume(struct live *l, struct pipeline *p, unsigned most)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
	int n;

	l->into = p;
	l->batch = most;
	n = ring_buffer__consume(l->ring);
	l->into = NULL;
	if (n != -EAGAIN)
		return n;
	epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, bpf_map__fd(l->skel->maps.ring), &ev);
	return (int)most;
}

/* Edge-triggered: under load the ring is never empty, and only a wake-up may cut the wait short. */
static int open_ring(struct live *l)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
	int fd = bpf_map__fd(l->skel->maps.ring);

	l->ring = ring_buffer__new(fd, on_record, l, NULL);
	if (!l->ring)
		return -errno;
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll_fd < 0 || epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev))
		return -errno;
	ev.events = EPOLLIN;
	if (l->cgroups.watch_fd >= 0) /* without it they are looked for once a round */
		epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->cgroups.watch_fd, &ev);
	return 0;
}

int live_consume_all(struct live *l, struct pipeline *p)
{
	uint64_t most = l->ring_bytes / sizeof(struct event);
	int n;

	for (uint64_t read = 0; read <= most; read += (uint64_t)n) {
		n = live_consume(l, p, RECORDS_A_POLL);
		if (n < RECORDS_A_POLL)
			return n;
	}
	return 0;
}

/* ---- what user space adds ---------------------------------------------------------- */

static void tell_clock(struct live *l, struct pipeline *p)
{
	int64_t offset = (int64_t)(clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_MONOTONIC));
	int64_t moved = offset - l->clock_offset_ns;
	struct event e;

	if (l->started && moved < clock_step_ns && moved > -clock_step_ns)
		return;
	l->clock_offset_ns = offset;
	live_event(&e, EV_CLOCK);
	e.netns = l->lookup.netns;
	e.extra.clock.offset_ns = (uint64_t)offset;
	pipeline_feed(p, &e, sizeof(e));
}

static void tell_lost(struct pipeline *p, enum loss_reason reason, uint64_t now, uint64_t *told)
{
	struct event e;

	if (now <= *told)
		return;
	live_event(&e, EV_LOST);
	e.extra.lost.count = now - *told;
	e.extra.lost.reason = reason;
	*told = now;
	pipeline_feed(p, &e, sizeof(e));
}

uint64_t live_ring_lost(const struct live *l)
{
	uint64_t lost = 0;

	for (unsigned kind = 0; kind < EV_KIND_MAX; kind++)
		lost += __atomic_load_n(&l->skel->bss->counters.lost[kind], __ATOMIC_RELAXED);
	return lost;
}

/* Recursion misses cost a system call for each hook: asked for every second. */
static void tell_losses(struct live *l, struct pipeline *p, bool all)
{
	uint64_t now = live_now();

	tell_lost(p, LOSS_RING_FULL, live_ring_lost(l), &l->lost_told);
	if (!all && now < l->misses_next_ns)
		return;
	l->misses_next_ns = now + misses_every_ns;
	tell_lost(p, LOSS_RECURSION, live_meter(l), &l->misses_told);
}

struct lookup *live_lookup_of(struct live *l, uint32_t netns)
{
	struct netns *n = netns_find(&l->netns, netns);

	return n ? &n->lookup : &l->lookup;
}

void live_tell_lookup(struct pipeline *p, const struct lookup_request *r,
		      const struct lookup_answer *a)
{
	struct event e;

	live_event(&e, EV_TW_LOOKUP);
	e.cookie = r->cookie;
	e.netns = r->netns;
	memcpy(e.local, r->local, sizeof(e.local));
	memcpy(e.peer, r->peer, sizeof(e.peer));
	e.lport = r->lport;
	e.pport = r->pport;
	e.extra.lookup.found = a->found;
	e.extra.lookup.state = a->state;
	e.extra.lookup.timer = a->timer;
	e.extra.lookup.retries = a->retries;
	e.extra.lookup.expires_ms = a->expires_ms;
	pipeline_feed(p, &e, sizeof(e));
}

static void tell_lookups(struct live *l, struct pipeline *p)
{
	struct lookup_request r;
	struct lookup_answer a;

	for (int i = 0; i < LOOKUPS_A_POLL; i++) {
		if (!pipeline_next_lookup(p, live_now(), &r))
			return;
		if (!lookup_ask(live_lookup_of(l, r.netns), &r, &a))
			live_tell_lookup(p, &r, &a);
		/* else not known: the pipeline asks again or gives up */
	}
}

/* Those that wait first; no more are asked for than may have to wait. */
static void tell_cgroups(struct live *l, struct pipeline *p)
{
	unsigned waiting = l->ncgroups_wait;

	l->ncgroups_wait = 0;
	for (unsigned i = 0; i < waiting; i++)
		tell_cgroup(l, p, l->cgroups_wait[i]);
	while (l->ncgroups_wait < LIVE_CGROUPS) {
		uint64_t id = cgroup_wanted(pipeline_procs(p));

		if (!id)
			return;
		tell_cgroup(l, p, id);
	}
}

/* ---- the source's operations -------------------------------------------------------- */

static int live_start(struct live *l, struct pipeline *p)
{
	int err = 0;

	tell_clock(l, p);
	l->started = true;
	if (!l->cfg.whole_host || !l->cfg.snapshot)
		live_whole_tell(l, p); /* which namespaces can be asked; a snapshot tells it again */
	if (l->cfg.snapshot)
		err = live_snapshot(l, p);
	return err;
}

static int live_wait(struct live *l, int timeout_ms)
{
	struct epoll_event ev;

	if (timeout_ms < 0 || timeout_ms > LIVE_ROUND_MS)
		timeout_ms = LIVE_ROUND_MS;
	l->wakeups++;
	return epoll_wait(l->epoll_fd, &ev, 1, timeout_ms) < 0 ? -errno : 0;
}

static int live_poll(struct source *s, struct pipeline *p, int timeout_ms)
{
	struct live *l = (struct live *)s;
	struct event e;
	int n, err = 0;

	if (!l->started)
		err = live_start(l, p);
	if (err)
		return err;
	err = live_wait(l, timeout_ms);
	cgroup_look(&l->cgroups, clock_ns(CLOCK_MONOTONIC));
	n = live_consume(l, p, RECORDS_A_POLL);
	tell_clock(l, p);
	tell_losses(l, p, false);
	tell_cgroups(l, p);
	tell_lookups(l, p);
	if (n >= 0 && n < RECORDS_A_POLL)
		sweep_turn(&l->sweep, l, p);
	if (n == 0) {
		live_event(&e, EV_TICK);
		pipeline_feed(p, &e, sizeof(e));
	}
	return n ? n : err;
}

static int live_drain(struct source *s, struct pipeline *p)
{
	struct live *l = (struct live *)s;
	int n;

	if (!l->started)
		tell_clock(l, p);
	tell_losses(l, p, true);
	live_detach(l);
	n = live_consume_all(l, p);
	tell_losses(l, p, true);
	tell_cgroups(l, p);
	tell_lookups(l, p);
	return n;
}

static int live_fd(const struct source *s)
{
	return ((const struct live *)s)->epoll_fd;
}

static int live_again(struct source *s, struct pipeline *p)
{
	struct live *l = (struct live *)s;

	if (!l->started)
		return 0; /* the first poll does it */
	return live_snapshot(l, p);
}

static void live_stats(struct source *s, struct pipeline *p)
{
	struct live *l = (struct live *)s;
	struct stats *st = pipeline_stats_mut(p);

	tell_losses(l, p, true);
	st->bpf_ns = st->bpf_runs = 0;
	st->hooks_attached = st->hooks_missing = 0;
	st->full_mode = s->full_mode;
	st->wakeups = l->wakeups;
	for (unsigned i = 0; i < s->nhooks; i++) {
		const struct hook_info *h = &s->hooks[i];

		st->bpf_ns += h->run_ns;
		st->bpf_runs += h->run_count;
		st->hooks_attached += h->status == HOOK_ATTACHED;
		st->hooks_missing += h->status == HOOK_ABSENT || h->status == HOOK_REFUSED;
	}
	if (!l->sampled)
		return;
	st->bpf_runs = l->skel->bss->counters.metered_runs * TRACER_METER_EVERY;
	st->bpf_ns = l->skel->bss->counters.metered_ns * TRACER_METER_EVERY;
}

static void live_close(struct source *s)
{
	struct live *l = (struct live *)s;

	if (!l)
		return;
	ring_buffer__free(l->ring);
	if (l->epoll_fd >= 0)
		close(l->epoll_fd);
	live_unload(l);
	callers_free(l->callers);
	live_whole_close(l);
	sweep_free(&l->sweep);
	lookup_close(&l->lookup);
	cgroup_close(&l->cgroups);
	free(l);
}

static const char *live_rst_reason(const struct source *s, unsigned reason)
{
	return btf_name(&((const struct live *)s)->rst_reasons, reason);
}

static const char *live_drop_reason(const struct source *s, unsigned reason)
{
	return btf_name(&((const struct live *)s)->drop_reasons, reason);
}

static const struct source_ops live_ops = {
	.name = "live",
	.poll = live_poll,
	.drain = live_drain,
	.fd = live_fd,
	.snapshot = live_again,
	.stats = live_stats,
	.destroy = live_destroy,
	.close = live_close,
};

static struct live *live_new(const struct source_config *cfg)
{
	struct live *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->cfg = *cfg;
	l->epoll_fd = l->stats_fd = l->lookup.fd = l->cgroups.watch_fd = -1;
	l->source = (struct source){
		.ops = &live_ops,
		.hooks = l->infos,
		.nhooks = hooks_count(),
		.rst_reason = live_rst_reason,
		.drop_reason = live_drop_reason,
	};
	return l;
}

static int loaded_program(const struct live *l)
{
	int fd = bpf_program__fd(l->skel->progs.on_set_state);

	return fd >= 0 ? fd : bpf_program__fd(l->skel->progs.on_iter_tcp);
}

int source_live_open(struct source **out, const struct source_config *cfg, char *msg,
		     size_t msg_len)
{
	struct live *l = live_new(cfg);
	int err = -ENOMEM;

	if (!l)
		return err;
	cgroup_open(&l->cgroups);
	lookup_open(&l->lookup);
	if (cfg->stack)
		l->callers = callers_new();
	err = cfg->stack && !l->callers ? -ENOMEM : live_load(l, msg, msg_len);
	if (!err)
		err = open_ring(l);
	if (!err)
		err = live_whole_open(l);
	if (!err && !cfg->keep_caps)
		err = caps_drop(!probe_bpf_without_caps(loaded_program(l)), cfg->destroy,
				cfg->stack);
	l->cfg.filter = NULL; /* the caller's, and needed no more */
	if (err)
		live_close(&l->source);
	else
		*out = &l->source;
	return err;
}
