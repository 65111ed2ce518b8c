/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The doctor's findings as text and as one record of JSON. What could not be
 * found out is said to be unknown.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/write/buf.h"
#include "core/write/jsonw.h"
#include "core/write/otlp.h"
#include "doctor.h"
#include "options.h"
#include "output/paint.h"

static const char *yes_no(enum doctor_yes y)
{
	return y == DOCTOR_YES ? "yes" : y == DOCTOR_NO ? "no" : "unknown (not readable)";
}

static const char *const status_words[] = {
	[HOOK_ATTACHED] = "attached",
	[HOOK_OFF] = "off",
	[HOOK_ABSENT] = "absent",
	[HOOK_REFUSED] = "refused",
};

/* Where the values, a hook's status and what it shows, and a setting's meaning begin. */
enum { WIDTH = 80, FACT = 30, STATUS = 39, SHOWS = 48, WHY = 42 };

struct page {
	struct buf *b;
	struct paint paint;
};

static void put_ink(const struct page *p, enum ink ink, const char *s)
{
	paint_ink(&p->paint, p->b, ink);
	buf_str(p->b, s);
	paint_ink(&p->paint, p->b, INK_NONE);
}

static void heading(const struct page *p, const char *name)
{
	buf_char(p->b, '\n');
	put_ink(p, INK_BOLD, name);
	buf_char(p->b, '\n');
}

static void fact(const struct page *p, const char *name)
{
	size_t from = p->b->len;

	buf_str(p->b, "  ");
	buf_str(p->b, name);
	buf_pad_right(p->b, from, FACT);
}

/* Words from column `at` on; what has no room goes on at `indent` of the next line. Returns the
 * column behind them. */
static int put_text(const struct page *p, int at, int indent, const char *s)
{
	bool first = true;

	while (*s) {
		int n = (int)strcspn(s, " ");

		if (!first && at + 1 + n > WIDTH) {
			buf_char(p->b, '\n');
			buf_fill(p->b, ' ', indent);
			at = indent;
		} else if (!first) {
			buf_char(p->b, ' ');
			at++;
		}
		buf_put(p->b, s, (size_t)n);
		at += n;
		s += n + (s[n] == ' ');
		first = false;
	}
	return at;
}

static void show_host(const struct page *p, const struct doctor *d)
{
	heading(p, "Kernel");
	fact(p, "release");
	buf_printf(p->b, "%s %s\n", d->kernel, d->machine);
	fact(p, "BTF");
	put_ink(p, d->btf == DOCTOR_YES ? INK_GOOD : INK_BAD, yes_no(d->btf));
	buf_str(p->b,
		d->btf == DOCTOR_YES ? "\n" : ": tcptrail needs it (5.10 and later have it)\n");
	fact(p, "BPF JIT");
	buf_printf(p->b, "%s\n", yes_no(d->jit));
	fact(p, "lockdown (confidentiality)");
	buf_printf(p->b, "%s\n", yes_no(d->lockdown));
	if (d->ftrace_off) {
		fact(p, "ftrace");
		put_ink(p, INK_WARN, "no");
		buf_str(p->b, ": no fentry without it (sysctl kernel.ftrace_enabled=1)\n");
	}
	fact(p, "BPF for root only");
	buf_printf(p->b, "%s\n", yes_no(d->unprivileged_bpf_off));
}

static void show_caps(const struct page *p, const struct doctor *d)
{
	bool missing = false;

	heading(p, "Privileges");
	for (unsigned i = 0; i < DOCTOR_CAPS; i++) {
		const struct doctor_cap_info *c = &doctor_cap_infos[i];
		int at;

		fact(p, c->name);
		put_ink(p,
			d->caps[i]    ? INK_GOOD
			: c->required ? INK_BAD
				      : INK_DIM,
			d->caps[i] ? "yes" : "no ");
		buf_str(p->b, "  ");
		at = put_text(p, FACT + 5, FACT + 5, c->use);
		if (!c->required)
			put_text(p, at, FACT + 5, " (optional)");
		buf_char(p->b, '\n');
		missing |= c->required && !d->caps[i];
	}
	if (missing)
		buf_str(p->b, "  remedy: run as root, or:\n  sudo setcap cap_bpf,cap_perfmon+ep "
			      "$(command -v tcptrail)\n");
}

static enum ink status_ink(const struct hook_info *h)
{
	return h->status == HOOK_ATTACHED ? INK_GOOD
	       : h->status == HOOK_OFF	  ? INK_DIM
	       : h->full		  ? INK_WARN
					  : INK_BAD;
}

static void show_hook(const struct page *p, const struct doctor *d, const struct hook_info *h)
{
	const char *word = h->status < 4 ? status_words[h->status] : "unknown";
	size_t from = p->b->len;
	char figure[40];
	int at = SHOWS;

	if (!d->opened && h->status == HOOK_ATTACHED)
		word = "there";
	buf_str(p->b, "  ");
	buf_str(p->b, h->attach);
	buf_pad_right(p->b, from, STATUS - 1);
	buf_char(p->b, ' ');
	put_ink(p, status_ink(h), word);
	buf_fill(p->b, ' ', SHOWS - STATUS - (int)strlen(word));
	if (h->status == HOOK_ABSENT || h->status == HOOK_REFUSED)
		at = put_text(p, at, SHOWS, "unseen:  ");
	at = put_text(p, at, SHOWS, h->shows);
	if (h->run_count) {
		snprintf(figure, sizeof(figure), ", %u ns", (unsigned)(h->run_ns / h->run_count));
		at = put_text(p, at, SHOWS, figure);
	}
	if (h->misses) {
		snprintf(figure, sizeof(figure), ", %llu skipped", (unsigned long long)h->misses);
		put_text(p, at, SHOWS, figure);
	}
	buf_char(p->b, '\n');
}

/* Each reason once: a kernel that refuses one fentry refuses all. */
static void show_refusals(const struct page *p, const struct doctor *d)
{
	int told = 0;

	for (unsigned i = 0; i < d->nhooks; i++) {
		const struct hook_info *h = &d->hooks[i];

		if (h->status != HOOK_REFUSED || !h->error || h->error == told)
			continue;
		told = h->error;
		buf_printf(p->b, "  refused by the kernel: %s (%.*s)\n", strerror(-h->error),
			   (int)strcspn(h->attach, "/"), h->attach);
	}
}

static void show_hooks(const struct page *p, const struct doctor *d)
{
	heading(p, !d->opened ? "Hooks (by what BTF says; nothing was attached)"
		   : d->full_mode
			   ? "Hooks: full mode"
			   : "Hooks: base mode (right on its own; what it cannot see is unseen)");
	for (unsigned i = 0; i < d->nhooks; i++)
		show_hook(p, d, &d->hooks[i]);
	show_refusals(p, d);
	if (!d->nhooks)
		buf_str(p->b, "  unknown: no BTF to ask\n");
}

static void show_sysctls(const struct page *p, const struct doctor *d)
{
	heading(p, "TCP's settings that matter here");
	for (unsigned i = 0; i < DOCTOR_SYSCTLS; i++) {
		const char *name = strrchr(doctor_sysctl_infos[i].name, '/') + 1;
		size_t from;

		fact(p, name);
		from = p->b->len;
		buf_str(p->b, *d->sysctls[i] ? d->sysctls[i] : "unknown");
		buf_pad_right(p->b, from, WHY - FACT);
		put_text(p, WHY, WHY, doctor_sysctl_infos[i].why);
		buf_char(p->b, '\n');
	}
}

static void per_connection(const struct page *p, const char *name, uint64_t ns, unsigned n)
{
	fact(p, name);
	buf_printf(p->b, "%.1f us\n", (double)ns / 1000.0 / n);
}

static void show_cost(const struct page *p, const struct doctor *d)
{
	heading(p, "Cost here");
	fact(p, "ring buffer");
	buf_bytes(p->b, d->ring_bytes);
	buf_str(p->b, " (--buffer)\n");
	if (!d->measured) {
		buf_str(p->b, "  not measured\n");
		return;
	}
	fact(p, "tracer's memory");
	buf_bytes(p->b, d->peak_rss_bytes);
	buf_str(p->b, " peak, table ");
	buf_bytes(p->b, d->table_bytes);
	buf_char(p->b, '\n');
	fact(p, "tried");
	buf_printf(p->b, "%u loopback connections, both ends traced\n", d->connections);
	fact(p, "");
	buf_str(p->b, "(times: the best batch)\n");
	per_connection(p, "a connection, untraced", d->plain_ns, d->connections);
	per_connection(p, "a connection, traced", d->traced_ns, d->connections);
	per_connection(p, "in BPF, a connection", d->bpf_ns, d->connections);
	per_connection(p, "in user space, a connection", d->user_cpu_ns, d->connections);
	if (d->bpf_runs) {
		fact(p, "BPF, a run of a program");
		buf_printf(p->b, "%u ns (%.1f runs a connection)\n",
			   (unsigned)(d->bpf_ns / d->bpf_runs),
			   (double)d->bpf_runs / d->connections);
	}
	fact(p, "records");
	buf_printf(p->b, "%llu events, %u of %u ends told, ", (unsigned long long)d->events,
		   d->recorded, 2 * d->connections);
	if (d->lost)
		buf_printf(p->b, "%llu LOST\n", (unsigned long long)d->lost);
	else
		buf_str(p->b, "nothing lost\n");
}

void doctor_show_text(const struct doctor *d, const struct options *o)
{
	char why[DOCTOR_LINE];
	struct buf b = {0};
	struct page p = {.b = &b};

	paint_init(&p.paint, o);
	put_ink(&p, INK_BOLD, "tcptrail " TCPTRAIL_VERSION);
	if (doctor_verdict(d, why, sizeof(why))) {
		put_ink(&p, INK_BAD, "  cannot trace here: ");
		buf_str(&b, why);
	} else {
		put_ink(&p, INK_GOOD, d->full_mode ? "  ready, full mode" : "  ready, base mode");
	}
	buf_char(&b, '\n');
	show_host(&p, d);
	show_caps(&p, d);
	show_hooks(&p, d);
	show_sysctls(&p, d);
	show_cost(&p, d);
	fwrite(b.data, 1, b.len, stdout);
	buf_free(&b);
}

/* --- JSON ----------------------------------------------------------------------------- */

static void json_yes(struct jsonw *w, const char *key, enum doctor_yes y)
{
	if (y != DOCTOR_UNKNOWN)
		json_bool(w, key, y == DOCTOR_YES);
}

static void json_hooks(struct jsonw *w, const struct doctor *d)
{
	json_array(w, "hooks");
	for (unsigned i = 0; i < d->nhooks; i++) {
		const struct hook_info *h = &d->hooks[i];
		bool planned = !d->opened && h->status == HOOK_ATTACHED;

		json_open(w, NULL);
		json_str(w, "attach", h->attach);
		json_word(w, "status",
			  planned	  ? "present"
			  : h->status < 4 ? status_words[h->status]
					  : "unknown");
		json_word(w, "mode", h->full ? "full" : "base");
		json_str(w, "shows", h->shows);
		if (h->status == HOOK_REFUSED && h->error)
			json_str(w, "error", strerror(-h->error));
		if (h->run_count)
			json_u64(w, "ns_per_run", h->run_ns / h->run_count);
		json_u64(w, "misses", h->misses);
		if (h->insns)
			json_u64(w, "instructions", h->insns);
		if (h->insns_verified)
			json_u64(w, "verified_instructions", h->insns_verified);
		json_close(w);
	}
	json_array_end(w);
}

static void json_cost(struct jsonw *w, const struct doctor *d)
{
	if (!d->measured)
		return;
	json_open(w, "cost");
	json_u64(w, "connections", d->connections);
	json_u64(w, "ends_recorded", d->recorded);
	json_u64(w, "events", d->events);
	json_u64(w, "lost", d->lost);
	json_u64(w, "untraced_ns_per_connection", d->plain_ns / d->connections);
	json_u64(w, "traced_ns_per_connection", d->traced_ns / d->connections);
	json_u64(w, "bpf_ns_per_connection", d->bpf_ns / d->connections);
	json_u64(w, "user_ns_per_connection", d->user_cpu_ns / d->connections);
	if (d->bpf_runs)
		json_u64(w, "bpf_ns_per_run", d->bpf_ns / d->bpf_runs);
	json_u64(w, "peak_rss_bytes", d->peak_rss_bytes);
	json_close(w);
}

static void json_common_fields(struct jsonw *w, struct buf *b)
{
	struct buf time = {0};
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	buf_rfc3339(&time, (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec);
	buf_char(&time, '\0');
	json_begin(w, b);
	json_word(w, "schema_version", "1.0");
	json_word(w, "@timestamp", time.failed ? "" : time.data);
	json_open(w, "event");
	json_word(w, "name", "tracer.doctor");
	json_u64(w, "sequence", 0);
	json_close(w);
	buf_free(&time);
}

void doctor_show_json(const struct doctor *d, const struct options *o)
{
	char why[DOCTOR_LINE];
	struct buf b = {0}, otlp = {0};
	struct jsonw w;
	bool bad = doctor_verdict(d, why, sizeof(why));

	json_common_fields(&w, &b);
	json_open(&w, "tracer");
	json_word(&w, "version", TCPTRAIL_VERSION);
	json_bool(&w, "ready", d->opened);
	if (bad)
		json_str(&w, "missing", why);
	if (d->opened)
		json_word(&w, "mode", d->full_mode ? "full" : "base");
	json_open(&w, "kernel");
	json_str(&w, "release", d->kernel);
	json_str(&w, "machine", d->machine);
	json_yes(&w, "btf", d->btf);
	json_yes(&w, "bpf_jit", d->jit);
	json_yes(&w, "lockdown", d->lockdown);
	json_close(&w);
	json_open(&w, "capabilities");
	for (unsigned i = 0; i < DOCTOR_CAPS; i++)
		json_bool(&w, doctor_cap_infos[i].name, d->caps[i]);
	json_close(&w);
	json_hooks(&w, d);
	json_open(&w, "sysctl");
	for (unsigned i = 0; i < DOCTOR_SYSCTLS; i++)
		if (*d->sysctls[i])
			json_str(&w, strrchr(doctor_sysctl_infos[i].name, '/') + 1, d->sysctls[i]);
	json_close(&w);
	json_u64(&w, "ring_bytes", d->ring_bytes);
	json_cost(&w, d);
	json_close(&w);
	json_end(&w);
	if (o->otlp && otlp_from_json(&otlp, b.data, b.len))
		otlp.len = 0;
	fwrite(o->otlp ? otlp.data : b.data, 1, o->otlp ? otlp.len : b.len, stdout);
	buf_free(&b);
	buf_free(&otlp);
}
