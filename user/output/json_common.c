/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts that all records have: when, which connection, whose.
 *
 * Always true: a fact that is not known has no member; there is no null and no
 * filler. The order of members is fixed, so that the same stream gives the same
 * bytes. Never printf: these run for every event of a busy host.
 */
#include <string.h>

#include "json.h"

#include "../core/process/proc.h"
#include "../core/connection/words.h"

static const struct proctab *procs_of(const struct json_face *f)
{
	return f->s->p ? pipeline_procs(f->s->p) : NULL;
}

void json_time(struct json_face *f, struct jsonw *w, const char *key, uint64_t mono_ns)
{
	json_quote(w, key);
	buf_rfc3339(w->b, session_realtime(f->s, mono_ns));
	json_unquote(w);
}

void json_ns(struct jsonw *w, const char *key, int64_t ns)
{
	if (ns >= 0)
		json_u64(w, key, (uint64_t)ns);
}

void json_common(struct json_face *f, struct jsonw *w, struct buf *b, const char *name,
		 uint64_t ts_ns)
{
	json_begin(w, b);
	json_word(w, "schema_version", "1.0");
	json_time(f, w, "@timestamp", ts_ns);
	json_open(w, "event");
	json_word(w, "name", name);
	json_u64(w, "sequence", (*f->sequence)++);
}

static bool is_zero(const uint8_t addr[16])
{
	for (int i = 0; i < 16; i++)
		if (addr[i])
			return false;
	return true;
}

/* A listener has none; of a group of connections its port may be left out. */
static bool is_somebody(const uint8_t peer[16])
{
	static const uint8_t nobody_v4[16] = {[10] = 0xff, [11] = 0xff};

	return !is_zero(peer) && memcmp(peer, nobody_v4, sizeof(nobody_v4)) != 0;
}

static void end_of(struct jsonw *w, const char *key, const uint8_t addr[16], uint16_t port)
{
	json_open(w, key);
	json_quote(w, "address");
	buf_addr(w->b, addr);
	json_unquote(w);
	if (port)
		json_u64(w, "port", port);
	json_close(w);
}

void json_network(struct json_face *f, struct jsonw *w, const struct conn *c, unsigned state)
{
	/* A socket not yet bound has no address of its own. */
	bool has_peer = c->pport || is_somebody(c->peer);
	bool has_local = c->lport || !is_zero(c->local);
	const char *id = NULL;

	json_open(w, "network");
	if (has_peer || has_local)
		json_word(w, "type", addr_is_v4(has_peer ? c->peer : c->local) ? "ipv4" : "ipv6");
	json_word(w, "transport", "tcp");
	if (has_local)
		end_of(w, "local", c->local, c->lport);
	if (has_peer)
		end_of(w, "peer", c->peer, c->pport);
	if (f->ids && c->lport && c->pport)
		id = community_cached(f->ids, c->local, c->lport, c->peer, c->pport);
	if (id)
		json_word(w, "community_id", id);
	if (state != ST_NONE) {
		json_open(w, "connection");
		json_word(w, "state", word_state_otel(state));
		json_close(w);
	}
	json_close(w);
}

void json_tcp(struct json_face *f, struct jsonw *w, const struct conn *c)
{
	json_open(w, "tcp");
	if (conn_cookie(c, c->cookie))
		json_hex(w, "socket_id", c->cookie);
	if (c->netns)
		json_u64(w, "netns", c->netns);
	json_word(w, "role", word_role(c->role));
	if (f->s->left_out.sample > 1 && c->role != ROLE_LISTENER)
		json_u64(w, "sample_rate", f->s->left_out.sample);
}

void json_proc(struct json_face *f, struct jsonw *w, const char *key, uint32_t proc)
{
	const struct proc *p = proc_get(procs_of(f), proc);

	if (!p->pid)
		return;
	json_open(w, key);
	json_u64(w, "pid", p->pid);
	json_strn(w, "name", p->comm, PROC_COMM_LEN);
	if (p->kthread)
		json_bool(w, "kernel_thread", true);
	json_close(w);
}

static void cgroup_parts(struct jsonw *w, const struct cgroup *g)
{
	if (g->container[0]) {
		json_open(w, "container");
		json_word(w, "id", g->container);
		json_close(w);
	}
	if (g->pod_uid[0]) {
		json_open(w, "k8s");
		json_open(w, "pod");
		json_word(w, "uid", g->pod_uid);
		json_close(w);
		json_close(w);
	}
}

void json_owner(struct json_face *f, struct jsonw *w, const struct conn *c)
{
	const struct proc *p = proc_get(procs_of(f), c->owner);
	const struct cgroup *g = NULL;

	if (p->pid) {
		g = cgroup_get(procs_of(f), p->cgroup);
		json_open(w, "process");
		json_u64(w, "pid", p->pid);
		json_strn(w, "name", p->comm, PROC_COMM_LEN);
		json_open(w, "user");
		json_u64(w, "id", p->uid);
		json_close(w);
		if (g && g->path[0]) {
			json_open(w, "linux");
			json_str(w, "cgroup", g->path);
			json_close(w);
		}
		json_close(w);
	}
	if (g)
		cgroup_parts(w, g);
	json_end(w);
}

void json_counters(struct jsonw *w, const struct conn *c)
{
	bool told = c->segments_sent || c->segments_received;

	/* Before ESTABLISHED there is no payload; after it, a socket of which no hook had the
	 * counters (a minisock) has none that we know. */
	if (told || !conn_seen(c, SEEN_ESTABLISHED)) {
		json_u64(w, "bytes_sent", c->bytes_sent);
		json_u64(w, "bytes_received", c->bytes_received);
	}
	if (told) {
		json_u64(w, "segments_sent", c->segments_sent);
		json_u64(w, "segments_received", c->segments_received);
	}
	if (c->srtt_us)
		json_u64(w, "srtt_us", c->srtt_us);
	if (c->min_rtt_us)
		json_u64(w, "min_rtt_us", c->min_rtt_us);
}

static void reason_name(struct jsonw *w, const char *key, const char *name)
{
	if (name && name[0])
		json_str(w, key, name);
}

void json_rst_reason(struct json_face *f, struct jsonw *w, const char *key, unsigned reason)
{
	const struct source *src = f->s->source;

	if (reason && src && src->rst_reason)
		reason_name(w, key, src->rst_reason(src, reason));
}

void json_drop_reason(struct json_face *f, struct jsonw *w, const char *key, unsigned reason)
{
	const struct source *src = f->s->source;

	if (reason && src && src->drop_reason)
		reason_name(w, key, src->drop_reason(src, reason));
}
