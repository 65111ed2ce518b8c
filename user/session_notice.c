/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a run says about itself on stderr: which hooks it has, that it is tracing,
 * what it saw and lost. One line for each thing that somebody may have to know;
 * everything else only with -v.
 *
 * Scripts wait for "tcptrail: tracing": that line is exactly this, once, and after
 * everything else that is said at the start.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/connection/words.h"
#include "session_impl.h"

void notice_error(const char *what, int err)
{
	struct buf b = { 0 };

	buf_str(&b, "tcptrail: ");
	buf_safe(&b, what, 512);
	if (err)
		buf_printf(&b, ": %s", strerror(-err));
	buf_char(&b, '\n');
	fwrite(b.data, 1, b.len, stderr);
	buf_free(&b);
}

void notice_tracing(void)
{
	fputs("tcptrail: tracing\n", stderr);
}

/* ---- hooks --------------------------------------------------------------------- */

static bool hook_missing(const struct hook_info *h)
{
	return h->status == HOOK_ABSENT || h->status == HOOK_REFUSED;
}

static void notice_each_hook(const struct source *src)
{
	for (unsigned i = 0; i < src->nhooks; i++) {
		const struct hook_info *h = &src->hooks[i];

		fprintf(stderr, "tcptrail: hook %-44s ", h->attach);
		if (h->status == HOOK_REFUSED)
			fprintf(stderr, "refused (%s)", strerror(-h->error));
		else
			fputs(h->status == HOOK_ATTACHED ? "attached" :
			      h->status == HOOK_OFF	 ? "not asked for" :
							   "not in this kernel",
			      stderr);
		fprintf(stderr, ": %s\n", h->shows);
	}
}

/* Base mode is right on its own; say once why it is base and what that means. */
static void notice_base_mode(const struct source *src)
{
	const struct hook_info *refused = NULL;

	for (unsigned i = 0; i < src->nhooks && !refused; i++)
		if (src->hooks[i].full && src->hooks[i].status == HOOK_REFUSED)
			refused = &src->hooks[i];
	if (refused && src->ftrace_off)
		fputs("tcptrail: base mode: ftrace is switched off, and fentry with it (try: "
		      "sysctl kernel.ftrace_enabled=1)",
		      stderr);
	else if (refused)
		fprintf(stderr, "tcptrail: base mode: this kernel refuses %.*s (%s)",
			(int)strcspn(refused->attach, "/"), refused->attach,
			strerror(-refused->error));
	else
		fputs("tcptrail: base mode: this kernel has none of full mode's hooks", stderr);
	fputs("; request socks and the end of TIME-WAIT are unseen\n", stderr);
}

/* Hooks of the mode that we are in and that have this status, in one line. */
static void notice_missing_hooks(const struct source *src, unsigned status, const char *why)
{
	unsigned n = 0;

	for (unsigned i = 0; i < src->nhooks; i++) {
		const struct hook_info *h = &src->hooks[i];

		if (!hook_missing(h) || !(status & 1u << h->status) || (h->full && !src->full_mode))
			continue;
		if (n++)
			fprintf(stderr, ", %s", h->shows);
		else
			fprintf(stderr, "tcptrail: %s, and unseen: %s", why, h->shows);
	}
	if (n)
		fputc('\n', stderr);
}

static bool hook_there(const struct source *src, const char *name)
{
	for (unsigned i = 0; i < src->nhooks; i++)
		if (!strcmp(src->hooks[i].name, name))
			return src->hooks[i].status == HOOK_ATTACHED;
	return false;
}

/* accept() has its own hook in full mode; else its system call's, which tracefs must show. */
static void notice_stacks(const struct source *src)
{
	if (!hook_there(src, "on_accept") && !hook_there(src, "on_accept_exit") &&
	    !hook_there(src, "on_accept4_exit"))
		fputs("tcptrail: --stack: only connect()'s stacks: accept() is unseen here (it "
		      "needs tracefs and root, or full mode)\n",
		      stderr);
}

void notice_hooks(const struct session *s)
{
	const struct source *src = s->source;

	if (s->o->verbose)
		notice_each_hook(src);
	if (!src->full_mode && s->o->mode != MODE_BASE)
		notice_base_mode(src);
	if (!s->o->verbose)
		notice_missing_hooks(src,
				     1 << HOOK_ABSENT | (src->locked_down ? 0 : 1 << HOOK_REFUSED),
				     "not on this kernel");
	if (!s->o->verbose && src->locked_down)
		notice_missing_hooks(src, 1 << HOOK_REFUSED,
				     "the kernel is locked down (boot with lockdown=integrity)");
	if (s->o->stack)
		notice_stacks(src);
}

/* ---- counts -------------------------------------------------------------------- */

void notice_states(const struct session *s)
{
	uint64_t count[ST_COUNT];
	struct buf b = {0};

	pipeline_count_states(s->p, NULL, count);
	buf_str(&b, "STATE         SOCKETS\n");
	for (unsigned i = ST_NONE + 1; i < ST_COUNT; i++)
		if (count[i] && i != ST_CLOSED)
			buf_printf(&b, "%-12s %8" PRIu64 "\n", word_state_ss(i), count[i]);
	fwrite(b.data, 1, b.len, stderr); /* at once: who waits for it finds it whole */
	buf_free(&b);
}

/* What would have helped. */
static const char *const remedies[LOSS_REASONS] = {
	[LOSS_RING_FULL] = " (try a larger --buffer, or a FILTER)",
	[LOSS_TABLE_FULL] = " (try a larger --max-connections, or a FILTER)",
};

/* What this run's own reader did not take: of a replay it is not in what the recording says. */
static uint64_t lost_here(const struct session *s, unsigned reason)
{
	uint64_t own = s->o->nfrom && reason == LOSS_OUTPUT_SLOW ? sink_lost(s->out) : 0;

	return pipeline_stats(s->p)->lost[reason] + own;
}

static void put_lost(struct buf *b, const struct session *s)
{
	unsigned n = 0;

	for (unsigned i = 0; i < LOSS_REASONS; i++) {
		uint64_t lost = lost_here(s, i);

		if (!lost)
			continue;
		buf_str(b, n++ ? ", " : "; lost: ");
		buf_u64(b, lost);
		buf_char(b, ' ');
		for (const char *w = word_loss(i); *w; w++)
			buf_char(b, *w == '_' ? ' ' : *w);
		if (remedies[i])
			buf_str(b, remedies[i]);
	}
	if (!n)
		buf_str(b, "; nothing lost");
}

static void put_count(struct buf *b, uint64_t n, const char *what)
{
	buf_u64(b, n);
	buf_printf(b, " %s%s", what, n == 1 ? "" : "s");
}

void notice_summary(const struct session *s, uint64_t ran_ns)
{
	const struct stats *st = pipeline_stats(s->p);
	struct buf b = { 0 };

	buf_str(&b, "tcptrail: ");
	put_count(&b, st->events, "event");
	buf_str(&b, " (");
	buf_bytes(&b, st->bytes);
	buf_str(&b, "), ");
	put_count(&b, st->connections_closed, "connection");
	buf_str(&b, " ended, in ");
	buf_duration(&b, ran_ns);
	put_lost(&b, s);
	if (s->left_out.records) {
		buf_str(&b, "; ");
		put_count(&b, s->left_out.records, "record");
		buf_str(&b, s->left_out.only_findings ? " left out by --only-findings" :
							" left out by --sample");
	}
	if (st->hooks_missing) {
		buf_str(&b, "; ");
		put_count(&b, st->hooks_missing, "hook");
		buf_str(&b, " missing");
	}
	buf_char(&b, '\n');
	if (s->o->verbose) {
		buf_str(&b, "tcptrail: cost: ");
		buf_u64(&b, st->bpf_runs ? st->bpf_ns / st->bpf_runs : 0);
		buf_str(&b, " ns a BPF run, ");
		put_count(&b, st->bpf_runs, "run");
		buf_str(&b, ", user space ");
		buf_duration(&b, st->user_cpu_ns);
		buf_str(&b, " CPU, ");
		put_count(&b, st->wakeups, "wake-up");
		buf_char(&b, '\n');
	}
	fwrite(b.data, 1, b.len, stderr);
	buf_free(&b);
}
