/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `stuck -o csv`: a header, then a line for each group, or with --list (--all) for each
 * socket. The columns keep their places; new ones are added at the end.
 *
 * Names are made safe (\xNN) and quoted as RFC 4180 says, so that a record is a line.
 */
#include "../core/process/proc.h"
#include "../core/connection/words.h"
#include "stuck.h"

static void put_quoted(struct buf *b, const char *s, size_t len)
{
	buf_char(b, '"');
	for (size_t i = 0; i < len; i++) {
		if (s[i] == '"')
			buf_char(b, '"');
		buf_char(b, s[i]);
	}
	buf_char(b, '"');
}

static void put_sentence(struct buf *b, void (*say)(struct buf *, const struct told *),
			 const struct told *t)
{
	struct buf said = {0};

	buf_char(b, ',');
	say(&said, t);
	put_quoted(b, said.data ? said.data : "", said.len);
	buf_free(&said);
}

static void put_owner(struct stuck_view *v, struct buf *b, uint32_t proc)
{
	const struct proc *p = proc_get(v->text.procs, proc);
	struct buf name = {0};

	buf_char(b, ',');
	if (p->pid)
		buf_u64(b, p->pid);
	buf_char(b, ',');
	buf_safe_cell(&name, p->comm, PROC_COMM_LEN);
	if (p->pid)
		put_quoted(b, name.data ? name.data : "", name.len);
	buf_free(&name);
}

static void put_end(struct buf *b, const uint8_t addr[16], uint16_t port, bool known)
{
	buf_char(b, ',');
	if (known)
		buf_addr(b, addr);
	buf_char(b, ',');
	if (known && port)
		buf_u64(b, port);
}

static void put_number(struct buf *b, uint64_t n)
{
	buf_char(b, ',');
	buf_u64(b, n);
}

static void put_row(struct stuck_view *v, const struct conn *c, const struct stuck_item *item)
{
	struct buf *b = stuck_begin_record(v);
	struct holder held;
	uint32_t n = holders_get(pipeline_holders(v->s->p), c->cookie, &held, 1);
	bool at_least;
	uint64_t age = stuck_age(v, c, &at_least);
	struct told t;

	buf_str(b, item ? word_severity(item->finding.severity) : "");
	buf_char(b, ',');
	buf_str(b, item ? word_finding(item->finding.kind) : "");
	put_number(b, item ? item->finding.age_ns : age);
	buf_str(b, (item ? item->finding.at_least : at_least) ? ",at_least," : ",exact,");
	buf_str(b, word_state_otel(c->state));
	put_end(b, c->local, c->lport, true);
	put_end(b, c->peer, c->pport, c->pport != 0);
	put_owner(v, b, n ? held.proc : item ? item->proc : c->owner);
	buf_char(b, ',');
	if (n)
		buf_u64(b, held.fd);
	put_number(b, n);
	put_number(b, c->rx_queue);
	put_number(b, c->tx_queue);
	put_number(b, c->netns);
	buf_char(b, ',');
	buf_hex(b, c->cookie);
	if (item) {
		stuck_told_item(&t, item, c, v->s->p);
		put_sentence(b, told_explanation, &t);
		put_sentence(b, told_advice, &t);
	} else {
		buf_str(b, ",,");
	}
	buf_char(b, '\n');
	stuck_end_record(v);
}

static void print_group(struct stuck_view *v, const struct stuck_group *g)
{
	struct buf *b = stuck_begin_record(v);
	const struct conn *c = &g->example;
	bool server = c->role == ROLE_SERVER || c->role == ROLE_LISTENER;
	struct told t;

	stuck_told_group(&t, g, v->s->p);
	buf_str(b, word_severity(g->finding.severity));
	buf_char(b, ',');
	buf_str(b, word_finding(g->finding.kind));
	put_number(b, g->count);
	put_number(b, g->recent);
	put_number(b, g->oldest_ns);
	put_number(b, g->p95_ns);
	buf_char(b, ',');
	buf_str(b, g->of_host ? "" : word_state_otel(c->state));
	put_owner(v, b, g->proc);
	put_end(b, c->local, c->lport, server && !g->of_host);
	/* Of a server's clients the address, if they share it. */
	put_end(b, c->peer, server ? 0 : c->pport, c->pport && !(server && g->spread_peers));
	put_number(b, g->finding.value);
	put_number(b, g->finding.limit);
	put_sentence(b, told_explanation, &t);
	put_sentence(b, told_advice, &t);
	buf_char(b, '\n');
	stuck_end_record(v);
}

void stuck_print_csv(struct stuck_view *v)
{
	const struct stuck_report *r = &v->report;
	bool rows = v->so->list || v->so->all;
	struct buf *b;

	if (!v->reported) {
		b = sink_begin(v->s->out);
		buf_str(b, rows ? "severity,kind,age_ns,age_bound,state,local_address,local_port,"
				  "peer_address,peer_port,pid,name,fd,holders,receive_bytes,"
				  "send_bytes,netns,socket_id,explanation,advice\n"
				: "severity,kind,count,recent_count,oldest_age_ns,p95_age_ns,state,"
				  "pid,name,local_address,local_port,peer_address,peer_port,value,"
				  "limit,explanation,advice\n");
		sink_commit(v->s->out);
	}
	if (rows)
		stuck_each(v, put_row);
	for (uint32_t i = 0; i < r->ngroups && !rows && !v->s->stop; i++)
		print_group(v, &r->groups[i]);
}
