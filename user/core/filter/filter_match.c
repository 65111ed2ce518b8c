/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection against one filter, three-valued (Kleene's logic): facts arrive
 * late, and "not known" must neither show nor hide more than it has to: `not
 * pid = 5` of an unknown owner is as unknown as `pid = 5`.
 *
 * Runs for every event: no allocation, no string work but in comm and cgroup.
 */
#include <string.h>

#include "write/buf.h"
#include "filter_node.h"
#include "process/holders.h"

enum {
	COMM_VISIBLE = 15, /* TASK_COMM_LEN without its terminator */
	HOLDERS_ASKED = 64,
};

static enum filter_result known(bool yes)
{
	return yes ? FILTER_YES : FILTER_NO;
}

static enum filter_result result_not(enum filter_result r)
{
	return r == FILTER_UNKNOWN ? r : known(r == FILTER_NO);
}

static enum filter_result result_or(enum filter_result a, enum filter_result b)
{
	if (a == FILTER_YES || b == FILTER_YES)
		return FILTER_YES;
	return a == FILTER_UNKNOWN || b == FILTER_UNKNOWN ? FILTER_UNKNOWN : FILTER_NO;
}

static enum filter_result equal_or_not(const struct filter *f, bool equal)
{
	return known(f->op == CMP_NE ? !equal : equal);
}

static bool compare_holds(enum compare op, uint64_t a, uint64_t b)
{
	switch (op) {
	case CMP_NE:
		return a != b;
	case CMP_LT:
		return a < b;
	case CMP_LE:
		return a <= b;
	case CMP_GT:
		return a > b;
	case CMP_GE:
		return a >= b;
	default:
		return a == b;
	}
}

typedef enum filter_result (*match_proc_fn)(const struct filter *f, const struct filter_subject *s,
					    const struct proc *p);

static enum filter_result match_proc(const struct filter *f, const struct filter_subject *s,
				     uint32_t proc, match_proc_fn fn)
{
	const struct proc *p = proc_get(s->procs, proc);

	return p->pid ? fn(f, s, p) : FILTER_UNKNOWN;
}

/* The owner, or any of those that hold it. */
static enum filter_result match_owner(const struct filter *f, const struct filter_subject *s,
				      match_proc_fn fn)
{
	struct holder held[HOLDERS_ASKED];
	enum filter_result r = FILTER_NO;
	uint32_t n;

	if (!s->procs)
		return FILTER_UNKNOWN;
	n = s->holders ? holders_get(s->holders, s->conn->cookie, held, HOLDERS_ASKED) : 0;
	if (!n)
		return match_proc(f, s, s->conn->owner, fn);
	for (uint32_t i = 0; i < n && i < HOLDERS_ASKED; i++)
		r = result_or(r, match_proc(f, s, held[i].proc, fn));
	return r;
}

/* ---- terms --------------------------------------------------------------------- */

static enum filter_result match_state(const struct filter *f, const struct filter_subject *s)
{
	unsigned state = s->conn->state;

	if (state == ST_NONE || state >= ST_COUNT)
		return FILTER_UNKNOWN;
	return known(f->states & 1u << state);
}

static enum filter_result port_in(const struct filter *f, uint16_t port, bool may_be_late)
{
	if (!port && may_be_late)
		return FILTER_UNKNOWN;
	for (unsigned i = 0; i < f->ports.n; i++)
		if (port >= f->ports.r[i].lo && port <= f->ports.r[i].hi)
			return FILTER_YES;
	return FILTER_NO;
}

static enum filter_result match_ports(const struct filter *f, const struct filter_subject *s)
{
	const struct conn *c = s->conn;
	bool listens = c->role == ROLE_LISTENER || c->state == ST_LISTEN;
	enum filter_result r = FILTER_NO;

	if (f->side & SIDE_LOCAL)
		r = port_in(f, c->lport, true);
	if (f->side & SIDE_PEER) /* a listener has no peer, and that is known */
		r = result_or(r, port_in(f, c->pport, !listens));
	return r;
}

static bool addr_in(const struct filter *f, const uint8_t a[16])
{
	unsigned bytes = f->addr.bits / 8, rest = f->addr.bits % 8;

	if (f->addr.any)
		return true;
	if (addr_is_v4(a) != f->addr.v4)
		return false;
	if (memcmp(a, f->addr.bytes, bytes))
		return false;
	return !rest || !((a[bytes] ^ f->addr.bytes[bytes]) >> (8 - rest));
}

static enum filter_result match_addr(const struct filter *f, const struct filter_subject *s)
{
	return known(addr_in(f, f->side == SIDE_LOCAL ? s->conn->local : s->conn->peer));
}

static enum filter_result match_family(const struct filter *f, const struct filter_subject *s)
{
	return known((addr_is_v4(s->conn->local) ? 4u : 6u) == f->number);
}

static enum filter_result match_netns(const struct filter *f, const struct filter_subject *s)
{
	return s->conn->netns ? equal_or_not(f, s->conn->netns == f->number) : FILTER_UNKNOWN;
}

static enum filter_result match_dev(const struct filter *f, const struct filter_subject *s)
{
	if (!s->conn->netns) /* a capture: it has no sockets */
		return FILTER_UNKNOWN;
	return equal_or_not(f, conn_end(s->conn)->bound_dev == f->number);
}

static enum filter_result proc_pid(const struct filter *f, const struct filter_subject *s,
				   const struct proc *p)
{
	return known(compare_holds(f->op, p->pid, f->number));
}

static enum filter_result match_pid(const struct filter *f, const struct filter_subject *s)
{
	return match_owner(f, s, proc_pid);
}

static enum filter_result proc_uid(const struct filter *f, const struct filter_subject *s,
				   const struct proc *p)
{
	return known(compare_holds(f->op, p->uid, f->number));
}

static enum filter_result match_uid(const struct filter *f, const struct filter_subject *s)
{
	return match_owner(f, s, proc_uid);
}

static enum filter_result proc_comm(const struct filter *f, const struct filter_subject *s,
				    const struct proc *p)
{
	return equal_or_not(f, !strncmp(p->comm, f->text, COMM_VISIBLE));
}

static enum filter_result match_comm(const struct filter *f, const struct filter_subject *s)
{
	return match_owner(f, s, proc_comm);
}

/* Paths as people have them: with the mount in front, without the first slash, with a last. */
static const char *cgroup_text(const char *path, size_t *len)
{
	static const char mount[] = "/sys/fs/cgroup";

	if (!strncmp(path, mount, sizeof(mount) - 1) &&
	    (path[sizeof(mount) - 1] == '/' || !path[sizeof(mount) - 1]))
		path += sizeof(mount) - 1;
	while (*path == '/')
		path++;
	*len = strlen(path);
	while (*len && path[*len - 1] == '/')
		--*len;
	return path;
}

static enum filter_result proc_cgroup(const struct filter *f, const struct filter_subject *s,
				      const struct proc *p)
{
	const struct cgroup *cg = p->cgroup ? cgroup_get(s->procs, p->cgroup) : NULL;
	const char *want, *have;
	size_t want_len, have_len;
	bool below;

	if (!cg || !cg->path)
		return FILTER_UNKNOWN;
	want = cgroup_text(f->text, &want_len);
	have = cgroup_text(cg->path, &have_len);
	below = have_len >= want_len && !memcmp(have, want, want_len) &&
		(!want_len || have_len == want_len || have[want_len] == '/');
	return equal_or_not(f, below);
}

static enum filter_result match_cgroup(const struct filter *f, const struct filter_subject *s)
{
	return match_owner(f, s, proc_cgroup);
}

/* Of a state whose beginning nobody saw only a lower bound is known: enough to say yes to
 * "older than", and no to "younger than". */
static enum filter_result match_age(const struct filter *f, const struct filter_subject *s)
{
	bool at_least = false, older = f->op == CMP_GT || f->op == CMP_GE, holds;
	uint64_t age;

	if (s->verdict) {
		if (s->verdict->duration_ns < 0)
			return FILTER_UNKNOWN;
		age = (uint64_t)s->verdict->duration_ns;
	} else {
		age = s->now_ns > s->conn->state_ns ? s->now_ns - s->conn->state_ns : 0;
		at_least = s->conn->state_age_bound;
	}
	holds = compare_holds(f->op, age, f->number);
	return at_least && holds != older ? FILTER_UNKNOWN : known(holds);
}

static enum filter_result match_role(const struct filter *f, const struct filter_subject *s)
{
	return equal_or_not(f, s->conn->role == f->number);
}

static enum filter_result match_verdict(const struct filter *f, const struct filter_subject *s)
{
	const struct verdict *v = s->verdict;
	uint32_t hit;

	if (!v)
		return FILTER_UNKNOWN;
	hit = f->verdict.handshake >> v->handshake | f->verdict.teardown >> v->teardown |
	      f->verdict.end_reason >> v->end_reason | f->verdict.conn_state >> v->conn_state;
	return equal_or_not(f, hit & 1);
}

static enum filter_result (*const match_term[NODE_KINDS])(const struct filter *,
							  const struct filter_subject *) = {
	[NODE_STATE] = match_state,   [NODE_PORTS] = match_ports, [NODE_ADDR] = match_addr,
	[NODE_FAMILY] = match_family, [NODE_PID] = match_pid,     [NODE_UID] = match_uid,
	[NODE_NETNS] = match_netns,   [NODE_DEV] = match_dev,     [NODE_AGE] = match_age,
	[NODE_COMM] = match_comm,
	[NODE_CGROUP] = match_cgroup, [NODE_VERDICT] = match_verdict, [NODE_ROLE] = match_role,
};

enum filter_result filter_match(const struct filter *f, const struct filter_subject *s)
{
	enum filter_result r;

	if (!f)
		return FILTER_YES;
	switch (f->kind) {
	case NODE_AND:
		r = filter_match(f->a, s);
		if (r == FILTER_NO)
			return r;
		/* a and b = not (not a or not b) */
		return result_not(result_or(result_not(r), result_not(filter_match(f->b, s))));
	case NODE_OR:
		r = filter_match(f->a, s);
		return r == FILTER_YES ? r : result_or(r, filter_match(f->b, s));
	case NODE_NOT:
		return result_not(filter_match(f->a, s));
	default:
		return f->kind < NODE_KINDS ? match_term[f->kind](f, s) : FILTER_UNKNOWN;
	}
}
