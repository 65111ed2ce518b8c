/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From configuration to attached hooks.
 *
 * Each optional hook lives or dies alone: BTF says whether it can exist, a tiny
 * program whether its kind is allowed, its verifier log whether ours was refused;
 * what is refused is left out and the rest is loaded again. Links are file
 * descriptors and nothing is pinned: kill -9 leaves nothing in the kernel.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "caps.h"
#include "core/filter/filter.h"
#include "live.h"
#include "probe.h"
#include "tracer.h"
#include "tracer.skel.h"

enum {
	LOG_BYTES = 32 * 1024,
	KERNEL_ENOTSUPP = 524,
	FDS_LEAST = 64, /* programs, maps, links, and what is opened now and then */
};

/* The kernel's reasons that concern TCP but do not say so in their name. */
static const char *const drop_names[] = {
	"SOCKET_FILTER", "SOCKET_RCVBUFF", "SOCKET_BACKLOG", "PROTO_MEM",
};
/* TCP's, but nothing is lost: a RST that did its work, an ACK that told nothing new. */
static const char *const no_drop_names[] = {"TCP_RESET", "TCP_OLD_ACK"};

__attribute__((format(printf, 2, 0)))
static int libbpf_quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	return 0;
}

__attribute__((format(printf, 2, 0)))
static int libbpf_loud(enum libbpf_print_level level, const char *format, va_list args)
{
	return level == LIBBPF_DEBUG ? 0 : vfprintf(stderr, format, args);
}

static bool is_one_of(const char *name, const char *const *list, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (!strcmp(name, list[i]))
			return true;
	return false;
}

/* ---- configuration ------------------------------------------------------------- */

static void config_drops(struct tracer_config *c, const struct btf_names *names)
{
	for (unsigned i = 0; i < names->len && i < TRACER_DROP_REASONS; i++) {
		const char *name = btf_name(names, i);

		if ((!strncmp(name, "TCP_", 4) &&
		     !is_one_of(name, no_drop_names, sizeof(no_drop_names) / sizeof(char *))) ||
		    is_one_of(name, drop_names, sizeof(drop_names) / sizeof(char *)))
			c->drop_reasons[i / 64] |= 1ULL << i % 64;
	}
}

static bool may_choose(const struct tracer_ports *ranges, unsigned n, unsigned lo, unsigned hi)
{
	for (unsigned i = 0; i < n; i++)
		if (ranges[i].lo <= hi && ranges[i].hi >= lo)
			return true;
	return false;
}

/* At connect() the local port is not known yet. Where the kernel's own range holds none that is
 * asked for, there is nothing to wait for. */
static bool config_early(const struct tracer_config *c)
{
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
	unsigned lo = 0, hi = 65535;

	if (f && fscanf(f, "%u %u", &lo, &hi) != 2) {
		lo = 0;
		hi = 65535;
	}
	if (f)
		fclose(f);
	return may_choose(c->local, c->nlocal, lo, hi) || may_choose(c->either, c->neither, lo, hi);
}

static void config_filter(struct tracer_config *c, const struct live *l)
{
	const struct kernel_filter *f = l->cfg.filter;
	uint32_t level;
	uint64_t id;

	_Static_assert((int)KFILTER_PORTS == (int)TRACER_PORTS, "both ends hold as many ranges");
	_Static_assert(sizeof(f->local) == sizeof(c->local), "in the same form");
	if (!f)
		return;
	c->family = f->family;
	c->netns = f->netns;
	c->has_uid = f->has_uid;
	c->uid = f->uid;
	/* Without sk_storage the kernel side cannot remember whose a socket is. */
	c->pid = l->has_cookie ? f->pid : 0;
	c->nlocal = f->nlocal;
	c->npeer = f->npeer;
	c->neither = f->neither;
	memcpy(c->local, f->local, sizeof(c->local));
	memcpy(c->peer, f->peer, sizeof(c->peer));
	memcpy(c->either, f->either, sizeof(c->either));
	c->early_ports = config_early(c);
	/* A path that is not found is left to user space. */
	if (f->cgroup_path && !cgroup_resolve(&l->cgroups, f->cgroup_path, &id, &level)) {
		c->cgroup = id;
		c->cgroup_level = level;
	}
}

static void config_fill(struct tracer_config *c, const struct live *l, const struct btf *btf)
{
	c->ring_wake = l->ring_bytes / 4;
	c->hz = probe_hz();
	c->jiffy_us = 1000000 / c->hz;
	c->has_cookie = l->has_cookie;
	c->has_task_btf = l->has_task_btf;
	c->stack = l->cfg.stack;
	c->has_task_regs = l->has_task_regs;
	c->child_syn_recv = l->cfg.child_syn_recv;
	c->meter = l->sampled;
	c->count_fds = l->cfg.whole_host;
	hooks_signatures(c, btf);
	config_drops(c, &l->drop_reasons);
	config_filter(c, l);
}

/* ---- loading ------------------------------------------------------------------- */

/* Full mode's hooks, asked one by one: the same kernel may allow some. With ftrace switched off 5.10
 * refuses to attach them; 6.12 attaches them and never calls one. */
static void probe_full(struct live *l, const struct btf *btf)
{
	for (unsigned i = 0; i < hooks_count(); i++) {
		const struct hook *h = hooks_at(i);
		int err;

		if (!hook_is_full(h) || l->infos[i].status != HOOK_ATTACHED)
			continue;
		err = l->source.ftrace_off ? -EBUSY
					   : probe_fentry(btf, hooks_target(h, btf)->name,
							  h->kind == HOOK_FEXIT);
		if (err) {
			l->infos[i].status = HOOK_REFUSED;
			l->infos[i].error = err;
		}
	}
}

static int prepare_program(struct live *l, unsigned i, const struct btf *btf, char *log)
{
	const struct hook *h = hooks_at(i);
	struct bpf_program *prog = bpf_object__find_program_by_name(l->skel->obj, h->name);
	const struct hook_target *t;

	if (!prog)
		return -ENOENT;
	l->progs[i] = prog;
	bpf_program__set_autoload(prog, l->infos[i].status == HOOK_ATTACHED);
	if (l->infos[i].status != HOOK_ATTACHED)
		return 0;
	log[0] = '\0';
	bpf_program__set_log_buf(prog, log, LOG_BYTES);
	t = hooks_target(h, btf);
	return hook_is_full(h) ? bpf_program__set_attach_target(prog, 0, t->name) : 0;
}

/* Without it there is nothing to show. */
static bool is_required(const struct live *l, const struct hook *h)
{
	return l->cfg.snapshot_only ? !strcmp(h->name, "on_iter_tcp") : h->required;
}

static int open_skeleton(struct live *l, const struct btf *btf, char *logs)
{
	int err = 0;

	l->skel = tracer__open();
	if (!l->skel)
		return errno ? -errno : -ENOMEM;
	config_fill(&l->skel->rodata->cfg, l, btf);
	err = bpf_map__set_max_entries(l->skel->maps.ring, l->ring_bytes);
	if (!err)
		err = bpf_map__set_autocreate(l->skel->maps.ids, !l->has_cookie);
	if (!err)
		err = bpf_map__set_autocreate(l->skel->maps.mine, l->skel->rodata->cfg.pid != 0);
	for (unsigned i = 0; i < hooks_count() && !err; i++)
		err = prepare_program(l, i, btf, logs + (size_t)i * LOG_BYTES);
	return err;
}

/* The program that the verifier refused has something in its log. */
static int find_refused(const struct live *l, const char *logs)
{
	for (unsigned i = 0; i < hooks_count(); i++)
		if (l->infos[i].status == HOOK_ATTACHED && logs[(size_t)i * LOG_BYTES])
			return i;
	return -1;
}

static void show_log(const struct live *l, unsigned i, const char *log)
{
	if (l->cfg.verbose)
		fprintf(stderr, "tcptrail: the kernel refused %s:\n%.2000s\n", l->infos[i].name,
			strlen(log) > 2000 ? log + strlen(log) - 2000 : log);
}

/* Loads what the plan says; leaves out what is refused and loads again. */
static int load_planned(struct live *l, const struct btf *btf)
{
	char *logs = calloc(hooks_count(), LOG_BYTES);
	int err = -ENOMEM, refused;

	if (!logs)
		return err;
	for (unsigned tries = 0; tries <= hooks_count(); tries++) {
		err = open_skeleton(l, btf, logs);
		if (!err)
			err = tracer__load(l->skel);
		if (!err)
			break;
		refused = find_refused(l, logs);
		tracer__destroy(l->skel);
		l->skel = NULL;
		if (refused < 0)
			break;
		show_log(l, refused, logs + (size_t)refused * LOG_BYTES);
		l->infos[refused].status = HOOK_REFUSED;
		l->infos[refused].error = err;
		if (is_required(l, hooks_at(refused)))
			break;
	}
	for (unsigned i = 0; !err && i < hooks_count(); i++)
		bpf_program__set_log_buf(l->progs[i], NULL, 0);
	free(logs);
	return err;
}

/* ---- attaching ------------------------------------------------------------------ */

static bool better_accept(const struct live *l)
{
	for (unsigned i = 0; i < hooks_count(); i++)
		if (!strcmp(l->infos[i].name, "on_accept") && l->links[i])
			return true;
	return false;
}

static void attach_one(struct live *l, unsigned i)
{
	struct hook_info *info = &l->infos[i];

	if (info->status != HOOK_ATTACHED)
		return;
	l->links[i] = bpf_program__attach(l->progs[i]);
	if (l->links[i])
		return;
	info->error = -errno;
	/* -524 comes where the function's arguments do not fit a trampoline. */
	info->status = errno == KERNEL_ENOTSUPP || errno == ENOENT ? HOOK_ABSENT : HOOK_REFUSED;
}

/* Full mode first, so that nothing of a connection is seen by the tracepoint alone; the classic
 * accept() tracepoint only where there is nothing better. */
static int attach_all(struct live *l)
{
	for (unsigned i = 0; i < hooks_count(); i++)
		if (hook_is_full(hooks_at(i)))
			attach_one(l, i);
	for (unsigned i = 0; i < hooks_count(); i++) {
		if (hook_is_full(hooks_at(i)))
			continue;
		if (hooks_at(i)->when == WHEN_ACCEPT_WAIT && better_accept(l))
			l->infos[i].status = HOOK_OFF;
		attach_one(l, i);
		if (is_required(l, hooks_at(i)) && !l->links[i])
			return l->infos[i].error ? l->infos[i].error : -ENOENT;
	}
	for (unsigned i = 0; i < hooks_count(); i++) {
		l->source.full_mode |= l->infos[i].full && l->links[i];
		l->skel->bss->turns_taken |= hooks_at(i)->second && l->links[i];
	}
	return 0;
}

/* ---- the whole ------------------------------------------------------------------- */

static uint64_t ring_size(uint64_t asked)
{
	uint64_t bytes = (uint64_t)sysconf(_SC_PAGESIZE);

	if (!asked)
		asked = LIVE_RING_DEFAULT;
	while (bytes < asked && bytes < LIVE_RING_MAX)
		bytes *= 2;
	return bytes;
}

static int check_ring(struct live *l, char *msg, size_t msg_len)
{
	int err = probe_ring(l->ring_bytes);

	if (err == -EINVAL)
		snprintf(msg, msg_len,
			 "the kernel refused a ring buffer of %llu KiB: it is too large (try "
			 "--buffer 1M), or the kernel is older than 5.10",
			 (unsigned long long)l->ring_bytes >> 10);
	else if (err == -EPERM && probe_bpf_refused())
		snprintf(msg, msg_len,
			 "the kernel refuses BPF here: %s (in a container or a user namespace "
			 "capabilities may not count: run on the host)",
			 strerror(-err));
	else if (err)
		snprintf(msg, msg_len,
			 "no memory for a ring buffer of %llu KiB: %s (try --buffer 1M, or raise "
			 "ulimit -l)",
			 (unsigned long long)l->ring_bytes >> 10, strerror(-err));
	return err;
}

static void explain_load(const struct live *l, int err, char *msg, size_t msg_len)
{
	if (l->source.locked_down)
		snprintf(msg, msg_len, "the kernel is locked down (confidentiality): BPF may not "
				       "read its memory (boot with lockdown=integrity)");
	else if (err == -EPERM)
		snprintf(msg, msg_len, "the kernel refused to load BPF programs: %s (is this a "
				       "container? run on the host, or see -v)",
			 strerror(-err));
	else
		snprintf(msg, msg_len, "cannot attach to inet_sock_set_state: %s (-v shows why)",
			 strerror(-err));
}

static int load_steps(struct live *l, const struct btf *btf, char *msg, size_t msg_len)
{
	int err = check_ring(l, msg, msg_len);

	if (err)
		return err;
	err = kernel_btf_names(btf, "sk_rst_reason", "SK_RST_REASON_", LIVE_REASONS,
			       &l->rst_reasons);
	if (!err)
		err = kernel_btf_names(btf, "skb_drop_reason", "SKB_DROP_REASON_", LIVE_REASONS,
				       &l->drop_reasons);
	if (err)
		return err;
	l->has_cookie = probe_cookie(btf);
	l->has_task_btf = probe_task_btf(btf);
	l->has_task_regs = l->cfg.stack && probe_task_regs(btf);
	hooks_plan(l->infos, btf, &l->cfg, l->has_cookie);
	probe_full(l, btf);
	if (l->cfg.meter)
		l->stats_fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
	l->sampled = l->cfg.meter && l->stats_fd < 0;
	err = load_planned(l, btf);
	if (!err)
		err = attach_all(l);
	if (!err)
		live_meter(l);
	if (err)
		explain_load(l, err, msg, msg_len);
	return err;
}

static int check_fds(char *msg, size_t msg_len)
{
	unsigned may = probe_fds(FDS_LEAST);

	if (may >= FDS_LEAST)
		return 0;
	snprintf(msg, msg_len,
		 "needs %d file descriptors, and the limit is %u (try: ulimit -n 1024)", FDS_LEAST,
		 may);
	return -EMFILE;
}

int live_load(struct live *l, char *msg, size_t msg_len)
{
	struct btf *btf;
	int err;

	_Static_assert(LIVE_HOOKS >= 24, "room for the whole table");
	if (hooks_count() > LIVE_HOOKS)
		return -E2BIG;
	libbpf_set_print(l->cfg.verbose ? libbpf_loud : libbpf_quiet);
	l->ring_bytes = ring_size(l->cfg.ring_bytes);
	err = caps_check(msg, msg_len);
	if (!err)
		err = check_fds(msg, msg_len);
	if (err)
		return err;
	btf = kernel_btf_open();
	if (!btf) {
		snprintf(msg, msg_len, "this kernel has no BTF (/sys/kernel/btf/vmlinux): needs "
				       "Linux 5.10 or newer with CONFIG_DEBUG_INFO_BTF");
		return -ENOENT;
	}
	l->source.locked_down = probe_lockdown();
	l->source.ftrace_off = probe_ftrace_off();
	err = load_steps(l, btf, msg, msg_len);
	kernel_btf_close(btf);
	return err;
}

/* The last first: what stands behind another program would take all for missed without it. */
void live_detach(struct live *l)
{
	for (unsigned i = hooks_count(); i-- > 0;) {
		bpf_link__destroy(l->links[i]);
		l->links[i] = NULL;
	}
}

void live_unload(struct live *l)
{
	live_detach(l);
	tracer__destroy(l->skel);
	l->skel = NULL;
	if (l->stats_fd >= 0)
		close(l->stats_fd);
	l->stats_fd = -1;
	btf_names_free(&l->rst_reasons);
	btf_names_free(&l->drop_reasons);
}

/* What on_set_state_again told was not lost. Asked after the misses: never too much is lost. */
static uint64_t truly_missed(const struct live *l, uint64_t misses)
{
	uint64_t told = __atomic_load_n(&l->skel->bss->counters.taken_over, __ATOMIC_RELAXED);

	return misses > told ? misses - told : 0;
}

uint64_t live_meter(struct live *l)
{
	uint64_t misses = 0;

	for (unsigned i = 0; i < hooks_count(); i++) {
		struct bpf_prog_info info = {};
		__u32 len = sizeof(info);

		if (l->infos[i].status != HOOK_ATTACHED ||
		    bpf_obj_get_info_by_fd(bpf_program__fd(l->progs[i]), &info, &len))
			continue;
		l->infos[i].run_count = info.run_cnt;
		l->infos[i].run_ns = info.run_time_ns;
		l->infos[i].misses = info.recursion_misses;
		/* Without capabilities the length is not told. */
		if (info.xlated_prog_len)
			l->infos[i].insns = info.xlated_prog_len / sizeof(struct bpf_insn);
		l->infos[i].insns_verified = info.verified_insns;
		if (!hooks_at(i)->second)
			misses += info.recursion_misses;
	}
	return truly_missed(l, misses);
}
