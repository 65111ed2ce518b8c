/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parser's state, shared by filter_parse.c (tokens and connectives),
 * filter_term.c (conditions) and filter_host.c (ends) and nobody else.
 */
#ifndef TCPTRAIL_FILTER_PARSER_H
#define TCPTRAIL_FILTER_PARSER_H

#include "filter_node.h"

struct token {
	const char *s;
	unsigned len;
	int word;      /* -1: the end */
	bool quoted;   /* never an operator or a key */
};

struct parser {
	char *const *words;
	int nwords;
	int word;          /* the lexer's place */
	unsigned pos;
	struct token tok;  /* the one to look at */
	const struct filter_names *names;
	struct filter_error *err;
	unsigned depth, terms;
	int error;         /* the first one: negative errno */
};

void parser_next(struct parser *p);
/* Length of the operator that s begins with, 0 if none. s is terminated. */
unsigned parser_operator(const char *s);
/* Keeps the first mistake. NULL, for the caller to hand up. */
struct filter *parser_fail(struct parser *p, const struct token *at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
struct filter *parser_oom(struct parser *p);

bool token_is(const struct token *t, const char *word);
bool token_is_any(const struct token *t, const char *const words[], unsigned n);

/* filter_term.c: one condition at p->tok; leaves the token behind it. */
struct filter *parser_term(struct parser *p);
/* filter_host.c: the end that p->tok says, compared. NULL: it says none. */
struct filter *parser_host(struct parser *p, unsigned side, enum compare op);
struct filter *parser_ports(struct parser *p, unsigned side, enum compare op);
/* Does a condition begin with this token? */
bool parser_term_starts(const struct token *t);

#endif
