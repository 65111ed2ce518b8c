/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What acts on the report: --check says it in one line and an exit status; --kill
 * shows what it would close, and with --yes closes it, a line for each socket.
 *
 * Never: a socket closed without --yes, or one whose cookie or state is no longer what
 * the report says (the source asks again right before), or a listener.
 */
#include <errno.h>
#include <string.h>

#include "../core/connection/words.h"
#include "stuck.h"

/* ---- --check -------------------------------------------------------------------------- */

static uint64_t count_bad(const struct stuck_report *r)
{
	return r->by_severity[SEV_WARNING] + r->by_severity[SEV_CRITICAL];
}

static const char *verdict_of_check(const struct stuck_view *v, uint64_t bad, uint64_t warn)
{
	const struct stuck_options *so = v->so;
	bool critical = so->critical ? bad >= so->critical : v->report.by_severity[SEV_CRITICAL];

	if (critical && bad)
		return "CRITICAL";
	return bad >= warn ? "WARNING" : "OK";
}

static void put_kinds(struct buf *b, const struct stuck_report *r)
{
	uint64_t by_kind[FIND_KINDS] = {0};
	unsigned n = 0;

	for (uint32_t i = 0; i < r->ngroups; i++)
		if (r->groups[i].finding.severity >= SEV_WARNING)
			by_kind[r->groups[i].finding.kind] += r->groups[i].count;
	for (unsigned k = 0; k < FIND_KINDS; k++) {
		if (!by_kind[k])
			continue;
		buf_str(b, n++ ? ", " : ": ");
		buf_u64(b, by_kind[k]);
		buf_char(b, ' ');
		buf_str(b, word_finding(k));
	}
	if (r->oldest_ns) {
		buf_str(b, "; oldest ");
		buf_duration(b, r->oldest_ns);
	}
}

void stuck_print_check(struct stuck_view *v)
{
	uint64_t bad = count_bad(&v->report), warn = v->so->warn ? v->so->warn : 1;
	const char *verdict = verdict_of_check(v, bad, warn);
	struct buf *b = stuck_begin_record(v);

	buf_str(b, verdict);
	buf_str(b, ": ");
	if (!bad) {
		buf_str(b, "nothing is stuck");
	} else {
		buf_u64(b, bad);
		buf_str(b, " stuck");
		put_kinds(b, &v->report);
	}
	buf_char(b, '\n');
	stuck_end_record(v);
	if (strcmp(verdict, "OK"))
		v->s->status = 1;
}

/* ---- --kill ----------------------------------------------------------------------------- */

const char *stuck_outcome(int err)
{
	switch (err) {
	case 0:
		return "closed";
	case -ENOENT:
		return "gone already";
	case -ESTALE:
		return "left alone: its state has changed";
	case -EPERM:
		return "refused: needs CAP_NET_ADMIN";
	case -EOPNOTSUPP:
		return "left alone: the kernel cannot close it (tcp_diag, namespace, state)";
	default:
		return strerrordesc_np(-err);
	}
}

void stuck_put_socket(const struct text *t, struct line *l, const struct conn *c,
		      const struct stuck_item *item)
{
	struct buf *b = l->b;

	line_str(l, word_state_ss(c->state));
	line_str(l, " ");
	buf_endpoint(b, c->local, c->lport);
	line_str(l, " > ");
	buf_endpoint(b, c->peer, c->pport);
	line_str(l, " sk:");
	buf_hex(b, c->cookie);
	line_str(l, " ");
	text_proc(t, l, item ? item->proc : c->owner);
	if (!item)
		return;
	if (item->fd >= 0)
		buf_printf(b, " fd %lld", (long long)item->fd);
	line_str(l, " ");
	line_str(l, word_finding(item->finding.kind));
	line_str(l, " ");
	if (item->finding.at_least)
		line_str(l, ">");
	buf_duration(b, item->finding.age_ns);
}

void stuck_audit(const struct text *t, struct buf *b, const struct conn *c,
		 const struct stuck_item *item, const char *what)
{
	struct line l;

	line_begin(&l, t, b);
	buf_rfc3339(b, session_realtime(t->s, pipeline_now(t->s->p)));
	line_str(&l, " ");
	stuck_put_socket(t, &l, c, item);
	line_str(&l, ": ");
	line_str(&l, what);
	line_end(&l);
}

static void audit(struct stuck_view *v, const struct conn *c, const struct stuck_item *item,
		  const char *what)
{
	stuck_audit(&v->text, stuck_begin_record(v), c, item, what);
	stuck_end_record(v);
}

static bool kill_one(struct stuck_view *v, const struct conn *c, const struct stuck_item *item)
{
	struct source *src = v->s->source;
	int err;

	if (!v->so->yes) {
		audit(v, c, item, "would be closed");
		return true;
	}
	err = src && src->ops->destroy ? src->ops->destroy(src, c) : -EOPNOTSUPP;
	audit(v, c, item, stuck_outcome(err));
	if (err && err != -ENOENT && err != -ESTALE)
		v->s->status = 2;
	return !err;
}

static void put_total(struct stuck_view *v, uint64_t done, uint64_t seen, uint64_t left)
{
	struct buf *b = stuck_begin_record(v);

	if (!seen) {
		buf_str(b, "nothing to close\n");
	} else if (!v->so->yes) {
		buf_printf(b, "%llu would be closed", (unsigned long long)done);
		buf_str(b, "; nothing was: add --yes\n");
	} else {
		buf_printf(b, "%llu of %llu closed\n", (unsigned long long)done,
			   (unsigned long long)seen);
	}
	if (left)
		buf_printf(b, "%llu more are left (--max)\n", (unsigned long long)left);
	stuck_end_record(v);
}

void stuck_kill(struct stuck_view *v)
{
	const struct stuck_report *r = &v->report;
	uint64_t done = 0, seen = 0, left = 0;

	for (uint32_t g = 0; g < r->ngroups; g++) {
		const struct stuck_group *group = &r->groups[g];

		for (uint32_t i = group->first; !group->of_host && i < group->first + group->count;
		     i++) {
			const struct conn *c = stuck_conn(v, &r->items[i]);

			if (!c || c->role == ROLE_LISTENER)
				continue;
			if (v->so->max && seen >= v->so->max) {
				left++;
				continue;
			}
			seen++;
			done += kill_one(v, c, &r->items[i]);
		}
	}
	put_total(v, done, seen, left);
}
