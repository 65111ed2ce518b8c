/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of a filter the kernel side can decide on each event: terms of the topmost
 * conjunction that ask for ports, family, namespace, process or cgroup.
 *
 * Always: what is handed down lets through everything that the whole filter would;
 * user space still applies the whole filter. A term that does not fit is left out,
 * never approximated to less. Owners are learned late, so the source must let
 * through what it does not know. A user is not handed down: the kernel's sk_uid is
 * the listener's until accept(), and a server's workers are often somebody else.
 */
#include <string.h>

#include "write/buf.h"
#include "filter_node.h"

/* The ports that f asks for as one set at one side: a port term, or an `or` of such. Both
 * sides with the same set is "either", as in ss's ( dport = :443 or sport = :443 ). */
static bool kernel_ports(const struct filter *f, struct port_set *set, unsigned *side)
{
	struct port_set other;
	unsigned other_side;

	if (f->kind == NODE_PORTS) {
		*set = f->ports;
		*side = f->side;
		return true;
	}
	if (f->kind != NODE_OR || !kernel_ports(f->a, set, side) ||
	    !kernel_ports(f->b, &other, &other_side))
		return false;
	if (*side == other_side)
		return !filter_ports_union(set, &other);
	*side |= other_side;
	return set->n == other.n && !memcmp(set->r, other.r, set->n * sizeof(set->r[0]));
}

#define PUT_PORTS(out, field, count, set)                                     \
	do {                                                                  \
		for (unsigned i = 0; i < (set)->n; i++) {                     \
			(out)->field[i].lo = (set)->r[i].lo;                  \
			(out)->field[i].hi = (set)->r[i].hi;                  \
		}                                                             \
		(out)->count = (uint8_t)(set)->n;                             \
	} while (0)

/* A second set for the same side is left to user space: letting more through is right. */
static bool kernel_put_ports(struct kernel_filter *out, const struct port_set *set, unsigned side)
{
	const uint8_t *n = side == SIDE_LOCAL  ? &out->nlocal
			   : side == SIDE_PEER ? &out->npeer
					       : &out->neither;

	if (!set->n || set->n > KFILTER_PORTS || *n)
		return false;
	if (side == SIDE_LOCAL)
		PUT_PORTS(out, local, nlocal, set);
	else if (side == SIDE_PEER)
		PUT_PORTS(out, peer, npeer, set);
	else
		PUT_PORTS(out, either, neither, set);
	return true;
}

static bool kernel_put_number(struct kernel_filter *out, const struct filter *f)
{
	if (f->op != CMP_EQ)
		return false;
	if (f->kind == NODE_PID && !out->pid)
		out->pid = (uint32_t)f->number;
	else if (f->kind == NODE_NETNS && !out->netns)
		out->netns = (uint32_t)f->number;
	else if (f->kind == NODE_FAMILY && !out->family)
		out->family = (uint8_t)f->number;
	else
		return false;
	return true;
}

/* Is every term of it handed down? */
static bool kernel_walk(const struct filter *f, struct kernel_filter *out)
{
	struct port_set set;
	bool all = true;
	unsigned side;

	for (; f->kind == NODE_AND; f = f->a)
		all &= kernel_walk(f->b, out);
	if (f->kind == NODE_CGROUP && f->op == CMP_EQ && !out->cgroup_path)
		out->cgroup_path = f->text;
	else if (kernel_ports(f, &set, &side))
		all &= kernel_put_ports(out, &set, side);
	else
		all &= kernel_put_number(out, f);
	return all;
}

void filter_kernel_part(const struct filter *f, struct kernel_filter *out)
{
	memset(out, 0, sizeof(*out));
	if (f)
		kernel_walk(f, out);
}

#define IN_PORTS(ranges, n, port)                                                       \
	({                                                                              \
		bool in_ = false;                                                       \
		for (unsigned i_ = 0; i_ < (n) && !in_; i_++)                           \
			in_ = (port) >= (ranges)[i_].lo && (port) <= (ranges)[i_].hi;   \
		in_;                                                                    \
	})

bool filter_kernel_drops(const struct kernel_filter *k, const struct conn *c)
{
	if (!c->lport)
		return false;
	if (k->netns && c->netns != k->netns)
		return true;
	if (k->family && (addr_is_v4(c->local) ? 4 : 6) != k->family)
		return true;
	if (k->nlocal && !IN_PORTS(k->local, k->nlocal, c->lport))
		return true;
	if (k->npeer && !IN_PORTS(k->peer, k->npeer, c->pport))
		return true;
	return k->neither && !IN_PORTS(k->either, k->neither, c->lport) &&
	       !IN_PORTS(k->either, k->neither, c->pport);
}
