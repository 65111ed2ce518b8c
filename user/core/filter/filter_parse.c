/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The FILTER's grammar, which is ss's (man ss, EXPRESSION) with terms of our own:
 *
 *   or   := and { ("or" | "||" | "|") and }
 *   and  := not { ["and" | "&&" | "&"] not }
 *   not  := ("not" | "!") not | "(" or ")" | term
 *   term := { ("state" | "exclude") STATE } | KEY [OP] VALUE     (filter_term.c)
 *
 * By recursive descent over the words as the shell gave them, each of which may
 * hold several tokens. The first mistake ends it with the word, the token and what
 * was expected there. Depth and size are bounded: words are hostile.
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "filter_parser.h"

enum { PARSE_DEPTH = 64 };

/* ---- tokens -------------------------------------------------------------------- */

unsigned parser_operator(const char *s)
{
	static const char *const operators[] = {
		"==", "!=", "<=", ">=", "&&", "||", "=", "!", "<", ">", "&", "|", "(", ")",
	};

	for (unsigned i = 0; i < sizeof(operators) / sizeof(operators[0]); i++)
		if (!strncmp(s, operators[i], strlen(operators[i])))
			return strlen(operators[i]);
	return 0;
}

void parser_next(struct parser *p)
{
	const char *s, *quote;
	unsigned n = 0;

	for (;; p->word++, p->pos = 0) {
		if (p->word >= p->nwords) {
			p->tok = (struct token){ .s = "", .word = -1 };
			return;
		}
		s = p->words[p->word] + p->pos;
		while (isspace((unsigned char)*s))
			s++;
		if (*s)
			break;
	}
	p->tok = (struct token){ .s = s, .word = p->word };
	quote = *s == '"' || *s == '\'' ? strchr(s + 1, *s) : NULL;
	if (quote) {
		p->tok.s = s + 1;
		p->tok.len = (unsigned)(quote - s - 1);
		p->tok.quoted = true;
		n = p->tok.len + 2;
	} else {
		n = parser_operator(s);
		if (!n)
			while (s[n] && !isspace((unsigned char)s[n]) && !parser_operator(s + n))
				n++;
		p->tok.len = n;
	}
	p->pos = (unsigned)(s - p->words[p->word]) + n;
}

bool token_is(const struct token *t, const char *word)
{
	return t->word >= 0 && !t->quoted && strlen(word) == t->len &&
	       !strncasecmp(t->s, word, t->len);
}

bool token_is_any(const struct token *t, const char *const words[], unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (token_is(t, words[i]))
			return true;
	return false;
}

/* Keeps the first mistake; NULL for the caller to hand up. */
struct filter *parser_fail(struct parser *p, const struct token *at, const char *fmt, ...)
{
	struct filter_error *e = p->err;
	unsigned len = at->len < sizeof(e->token) ? at->len : sizeof(e->token) - 1;
	va_list ap;

	if (p->error)
		return NULL;
	p->error = -EINVAL;
	e->word = at->word;
	memcpy(e->token, at->s, len);
	e->token[len] = '\0';
	va_start(ap, fmt);
	vsnprintf(e->message, sizeof(e->message), fmt, ap);
	va_end(ap);
	return NULL;
}

struct filter *parser_oom(struct parser *p)
{
	if (!p->error) {
		parser_fail(p, &p->tok, "out of memory");
		p->error = -ENOMEM;
	}
	return NULL;
}

/* ---- connectives --------------------------------------------------------------- */

static const char *const or_words[] = { "or", "||", "|" };
static const char *const and_words[] = { "and", "&&", "&" };
static const char *const not_words[] = { "not", "!" };

static struct filter *parse_or(struct parser *p);

static struct filter *parse_group(struct parser *p)
{
	struct filter *f;

	parser_next(p);
	f = parse_or(p);
	if (!f)
		return NULL;
	if (!token_is(&p->tok, ")")) {
		filter_free(f);
		return parser_fail(p, &p->tok, "expected ')', a condition, 'and' or 'or'");
	}
	parser_next(p);
	return f;
}

static struct filter *parse_not(struct parser *p)
{
	struct filter *f;

	if (++p->depth > PARSE_DEPTH)
		return parser_fail(p, &p->tok, "expected at most %d levels of ( and not",
				   PARSE_DEPTH);
	if (token_is_any(&p->tok, not_words, 2)) {
		parser_next(p);
		f = parse_not(p);
		if (f)
			f = filter_node_join(NODE_NOT, f, NULL);
		if (!f)
			parser_oom(p);
	} else if (token_is(&p->tok, "(")) {
		f = parse_group(p);
	} else {
		f = parser_term(p);
	}
	p->depth--;
	return f;
}

static struct filter *parse_join(struct parser *p, enum node_kind kind, struct filter *f,
				 struct filter *g)
{
	if (!g) {
		filter_free(f);
		return NULL;
	}
	f = filter_node_join(kind, f, g);
	return f ? f : parser_oom(p);
}

static struct filter *parse_and(struct parser *p)
{
	struct filter *f = parse_not(p);

	while (f && p->tok.word >= 0 && !token_is(&p->tok, ")") &&
	       !token_is_any(&p->tok, or_words, 3)) {
		if (token_is_any(&p->tok, and_words, 3))
			parser_next(p);
		f = parse_join(p, NODE_AND, f, parse_not(p));
	}
	return f;
}

static struct filter *parse_or(struct parser *p)
{
	struct filter *f = parse_and(p);

	while (f && token_is_any(&p->tok, or_words, 3)) {
		parser_next(p);
		f = parse_join(p, NODE_OR, f, parse_and(p));
	}
	return f;
}

/* ---- the door ------------------------------------------------------------------ */

int filter_parse_names(struct filter **out, int nwords, char *const *words,
		       const struct filter_names *names, struct filter_error *err)
{
	struct parser p = { .words = words, .nwords = nwords, .names = names, .err = err };
	struct filter *f;

	parser_next(&p);
	if (p.tok.word < 0) {
		*out = NULL;
		return 0;
	}
	f = parse_or(&p);
	if (!f)
		return p.error;
	if (p.tok.word >= 0) { /* only ')' ends an or-expression early */
		parser_fail(&p, &p.tok, "expected no ')' here: no '(' is open");
		filter_free(f);
		return p.error;
	}
	*out = f;
	return 0;
}

int filter_parse(struct filter **out, int nwords, char *const *words, struct filter_error *err)
{
	return filter_parse_names(out, nwords, words, NULL, err);
}

bool filter_starts(const char *word)
{
	struct filter_error ignored;
	char copy[FILTER_TOKEN_LEN];
	char *words[] = { copy };
	struct parser p = { .words = words, .nwords = 1, .err = &ignored };

	size_t len = strlen(word);

	if (len >= sizeof(copy))
		return strpbrk(word, " =<>(!") != NULL;
	memcpy(copy, word, len + 1);
	parser_next(&p);
	return token_is_any(&p.tok, not_words, 2) || token_is(&p.tok, "(") ||
	       parser_term_starts(&p.tok);
}
