/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A filter's inside, shared by filter*.c and nobody else: a tree of three
 * connectives over terms. Each term is one question to a connection.
 */
#ifndef TCPTRAIL_FILTER_NODE_H
#define TCPTRAIL_FILTER_NODE_H

#include "filter.h"

enum node_kind {
	NODE_AND,     /* a and b */
	NODE_OR,
	NODE_NOT,     /* not a */
	NODE_STATE,   /* states */
	NODE_PORTS,   /* ports; comparisons are folded into ranges */
	NODE_ADDR,    /* addr */
	NODE_FAMILY,  /* number is 4 or 6 */
	NODE_PID,     /* op number */
	NODE_UID,     /* op number */
	NODE_NETNS,   /* op number */
	NODE_DEV,     /* op number: an interface's index */
	NODE_AGE,     /* op number, ns */
	NODE_COMM,    /* text */
	NODE_CGROUP,  /* text: that path and what is below it */
	NODE_VERDICT, /* verdict */
	NODE_ROLE,    /* number */
	NODE_KINDS,
};

enum compare { CMP_EQ, CMP_NE, CMP_LT, CMP_LE, CMP_GT, CMP_GE, CMP_COUNT };

/* Which end of the connection. */
enum { SIDE_LOCAL = 1, SIDE_PEER = 2, SIDE_EITHER = 3 };

/* Disjoint, ascending, at most what a list of that many ranges and its complement need. */
enum { PORT_RANGES = KFILTER_PORTS + 1 };
struct port_set {
	unsigned n;
	struct {
		uint16_t lo, hi;
	} r[PORT_RANGES];
};

struct filter {
	uint8_t kind;          /* enum node_kind */
	uint8_t op;            /* enum compare */
	uint8_t side;          /* SIDE_* */
	struct filter *a, *b;
	union {
		uint64_t number;
		uint32_t states;   /* 1 << enum tcp_state */
		struct port_set ports;
		struct {
			uint8_t bytes[16];
			uint8_t bits;  /* of the 16 bytes; an IPv4 prefix counts from 96 */
			bool v4, any;
		} addr;
		struct {
			uint32_t handshake, teardown, end_reason, conn_state; /* bit masks by enum */
		} verdict;
		char *text;
	};
};

struct filter *filter_node(enum node_kind kind);
struct filter *filter_node_text(enum node_kind kind, const char *text, unsigned len);
/* A connective over a (and b); takes both, frees both when memory is out. */
struct filter *filter_node_join(enum node_kind kind, struct filter *a, struct filter *b);

/* filter_value.c: the text of one value, understood. Texts are not terminated.
 * 0, or -EINVAL with *out in an undefined state. */
int filter_value_number(const char *s, unsigned len, uint64_t max, uint64_t *out);
int filter_value_duration(const char *s, unsigned len, uint64_t *out_ns);
int filter_value_addr(struct filter *out, const char *s, unsigned len);
/* This address and no other. */
void filter_value_addr_is(struct filter *out, const uint8_t addr[16]);
int filter_value_states(const char *s, unsigned len, uint32_t *out);
int filter_value_verdict(struct filter *out, const char *s, unsigned len);
int filter_value_role(const char *s, unsigned len, uint64_t *out);
/* A list "80,443,8000-8010", names allowed where names->port knows them. */
int filter_value_ports(struct port_set *out, const char *s, unsigned len,
		       const struct filter_names *names);

/* The ports p for which "p op set" holds; for the orderings the set must be one port. */
int filter_ports_compare(struct port_set *set, enum compare op);
/* a = a or b; -ENOSPC when the ranges are too many (a untouched). */
int filter_ports_union(struct port_set *a, const struct port_set *b);

#endif
