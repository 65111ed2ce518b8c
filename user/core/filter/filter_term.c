/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conditions of a FILTER: a key, an operator, a value. A row of terms[] is all
 * that makes one: which operators it takes, what reads its value, and the words
 * that tell somebody what was expected.
 *
 * A reader returns NULL where the token is no value of its kind; the message is
 * made in one place from the row.
 */
#include <stdio.h>
#include <string.h>

#include "filter_parser.h"

enum { PARSE_TERMS = 256 };

static const struct {
	const char *word;
	enum compare op;
} compare_words[] = {
	{ "=", CMP_EQ },   { "==", CMP_EQ }, { "eq", CMP_EQ },  { "!=", CMP_NE },
	{ "ne", CMP_NE },  { "neq", CMP_NE }, { "<", CMP_LT },   { "lt", CMP_LT },
	{ "<=", CMP_LE },  { "le", CMP_LE }, { "leq", CMP_LE }, { ">", CMP_GT },
	{ "gt", CMP_GT },  { ">=", CMP_GE }, { "ge", CMP_GE },  { "geq", CMP_GE },
};

enum { OPS_EQUAL = 1 << CMP_EQ | 1 << CMP_NE,
       OPS_ORDER = 1 << CMP_LT | 1 << CMP_LE | 1 << CMP_GT | 1 << CMP_GE };

/* A key, what may follow it, and who reads the value. read(): the value is p->tok; it fills
 * the node and returns false where the token is not a value of its kind. */
struct term {
	const char *key;
	unsigned ops;          /* 1 << enum compare */
	bool needs_op;
	uint8_t kind, side;
	const char *expected;  /* what read() wants */
	struct filter *(*read)(struct parser *p, const struct term *t, enum compare op);
};

static struct filter *read_ports(struct parser *p, const struct term *t, enum compare op)
{
	return parser_ports(p, t->side, op);
}

static struct filter *read_host(struct parser *p, const struct term *t, enum compare op)
{
	return parser_host(p, t->side, op);
}

/* Another namespace's interface of that name may have another index. */
static long number_named(const struct parser *p, const struct term *t, const char *name)
{
	const struct filter_names *names = p->names;

	if (t->kind == NODE_UID && names && names->uid)
		return names->uid(name);
	if (t->kind == NODE_DEV && names && names->dev)
		return names->dev(name);
	return -1;
}

static struct filter *read_number(struct parser *p, const struct term *t, enum compare op)
{
	struct filter *f = filter_node(t->kind);
	char name[FILTER_TOKEN_LEN];
	long id = -1;

	if (!f)
		return parser_oom(p);
	f->op = op;
	if (!filter_value_number(p->tok.s, p->tok.len, UINT32_MAX, &f->number))
		return f;
	if (p->tok.len && p->tok.len < sizeof(name)) {
		snprintf(name, sizeof(name), "%.*s", (int)p->tok.len, p->tok.s);
		id = number_named(p, t, name);
	}
	if (id >= 0) {
		f->number = (uint64_t)id;
		return f;
	}
	filter_free(f);
	return NULL;
}

static struct filter *read_value(struct parser *p, const struct term *t, enum compare op)
{
	struct filter *f = filter_node(t->kind);
	const char *s = p->tok.s;
	unsigned len = p->tok.len;
	int err = 0;

	if (!f)
		return parser_oom(p);
	f->op = op;
	if (t->kind == NODE_AGE)
		err = filter_value_duration(s, len, &f->number);
	else if (t->kind == NODE_ROLE)
		err = filter_value_role(s, len, &f->number);
	else
		err = filter_value_verdict(f, s, len);
	if (!err)
		return f;
	filter_free(f);
	return NULL;
}

static struct filter *read_text(struct parser *p, const struct term *t, enum compare op)
{
	struct filter *f;

	if (!p->tok.len || (!p->tok.quoted && parser_operator(p->tok.s)))
		return NULL;
	f = filter_node_text(t->kind, p->tok.s, p->tok.len);
	if (!f)
		return parser_oom(p);
	f->op = op;
	return f;
}

#define PORT_EXPECTED "a port number 0-65535 or a service"
#define HOST_EXPECTED "ADDRESS[/PREFIX][:PORT] or [V6ADDRESS][:PORT]"

static const struct term terms[] = {
	{ "sport", OPS_EQUAL | OPS_ORDER, false, NODE_PORTS, SIDE_LOCAL, PORT_EXPECTED, read_ports },
	{ "dport", OPS_EQUAL | OPS_ORDER, false, NODE_PORTS, SIDE_PEER, PORT_EXPECTED, read_ports },
	{ "src", OPS_EQUAL, false, NODE_ADDR, SIDE_LOCAL, HOST_EXPECTED, read_host },
	{ "dst", OPS_EQUAL, false, NODE_ADDR, SIDE_PEER, HOST_EXPECTED, read_host },
	{ "pid", OPS_EQUAL | OPS_ORDER, false, NODE_PID, 0, "a process id", read_number },
	{ "uid", OPS_EQUAL | OPS_ORDER, false, NODE_UID, 0, "a user's number or name", read_number },
	{ "netns", OPS_EQUAL, false, NODE_NETNS, 0, "a namespace's inode number", read_number },
	{ "dev", OPS_EQUAL, false, NODE_DEV, 0, "an interface's name or index", read_number },
	{ "comm", OPS_EQUAL, false, NODE_COMM, 0, "a command's name", read_text },
	{ "cgroup", OPS_EQUAL, false, NODE_CGROUP, 0, "a path such as /system.slice", read_text },
	{ "age", OPS_ORDER, true, NODE_AGE, 0, "a duration such as 30s, 5m, 2h or 1d", read_value },
	{ "role", OPS_EQUAL, false, NODE_ROLE, 0, "client, server, listener or unknown", read_value },
	{ "verdict", OPS_EQUAL, false, NODE_VERDICT, 0,
	  "a verdict such as normal, reset, refused, timeout, half_closed, SF or RSTO", read_value },
};

static const char *const state_keys[] = { "state", "exclude" };

/* ss's, and nothing that a hook tells. */
static const char *const untold_keys[] = { "autobound", "fwmark" };

#define STATE_EXPECTED                                                                     \
	"established, syn-sent, syn-recv, fin-wait-1, fin-wait-2, time-wait, closed, "     \
	"close-wait, last-ack, listening, closing or all, connected, synchronized, bucket, big"

/* ss reads a run of these as one set: "state" adds, "exclude" takes away (from all, if it
 * stands first). */
static struct filter *parse_states(struct parser *p)
{
	struct filter *f = filter_node(NODE_STATE);
	bool first = true;
	uint32_t mask;

	if (!f)
		return parser_oom(p);
	while (token_is_any(&p->tok, state_keys, 2)) {
		bool exclude = token_is(&p->tok, "exclude");

		parser_next(p);
		if (token_is(&p->tok, "=") && !exclude)
			parser_next(p); /* not ss's, but nobody is misled by it */
		if (filter_value_states(p->tok.s, p->tok.len, &mask)) {
			parser_fail(p, &p->tok, "expected a state after '%s': " STATE_EXPECTED,
				    exclude ? "exclude" : "state");
			filter_free(f);
			return NULL;
		}
		if (first && exclude)
			f->states = ~0u;
		first = false;
		f->states = exclude ? f->states & ~mask : f->states | mask;
		parser_next(p);
	}
	return f;
}

static struct filter *parse_comparison(struct parser *p, const struct term *t)
{
	char after[FILTER_TOKEN_LEN];
	struct token op_tok;
	enum compare op = CMP_EQ;
	struct filter *f;
	bool found = false;

	parser_next(p);
	op_tok = p->tok;
	for (unsigned i = 0; i < sizeof(compare_words) / sizeof(compare_words[0]); i++) {
		if (token_is(&op_tok, compare_words[i].word)) {
			op = compare_words[i].op;
			found = true;
			break;
		}
	}
	if (found && !(t->ops & 1u << op))
		return parser_fail(p, &op_tok, "expected %s after '%s'",
				   t->ops == OPS_ORDER ? "<, <=, > or >=" : "= or !=", t->key);
	if (!found && t->needs_op)
		return parser_fail(p, &op_tok, "expected <, <=, > or >= after '%s'", t->key);
	snprintf(after, sizeof(after), "%s%s%.*s", t->key, found ? " " : "",
		 found ? (int)op_tok.len : 0, op_tok.s);
	if (found)
		parser_next(p);
	f = p->tok.word >= 0 ? t->read(p, t, op) : NULL;
	if (!f)
		return parser_fail(p, &p->tok, "expected %s after '%s'", t->expected, after);
	parser_next(p);
	return f;
}

struct filter *parser_term(struct parser *p)
{
	if (++p->terms > PARSE_TERMS)
		return parser_fail(p, &p->tok, "expected at most %d conditions", PARSE_TERMS);
	if (token_is_any(&p->tok, state_keys, 2))
		return parse_states(p);
	for (unsigned i = 0; i < sizeof(terms) / sizeof(terms[0]); i++)
		if (token_is(&p->tok, terms[i].key))
			return parse_comparison(p, &terms[i]);
	if (token_is_any(&p->tok, untold_keys, 2))
		return parser_fail(p, &p->tok, "expected another condition: ss's autobound and "
				   "fwmark are nothing that is traced");
	return parser_fail(p, &p->tok,
			   "expected a condition: state, exclude, src, dst, sport, dport, dev, "
			   "pid, uid, comm, cgroup, netns, age, role or verdict");
}

bool parser_term_starts(const struct token *t)
{
	if (token_is_any(t, state_keys, 2) || token_is_any(t, untold_keys, 2))
		return true;
	for (unsigned i = 0; i < sizeof(terms) / sizeof(terms[0]); i++)
		if (token_is(t, terms[i].key))
			return true;
	return false;
}
