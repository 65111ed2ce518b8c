/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is it JSON? RFC 8259, strictly, and UTF-8 as RFC 3629 has it. For the fuzz targets:
 * small enough to be believed.
 */
#ifndef TCPTRAIL_FUZZ_JSON_CHECK_H
#define TCPTRAIL_FUZZ_JSON_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "write/buf.h"

struct json_check {
	const char *at, *end;
	unsigned depth;
};

static bool check_value(struct json_check *j);

static bool check_char(struct json_check *j, char c)
{
	if (j->at == j->end || *j->at != c)
		return false;
	j->at++;
	return true;
}

static bool check_escape(struct json_check *j)
{
	if (j->at == j->end || !strchr("\"\\/bfnrtu", *j->at) || !*j->at)
		return false;
	if (*j->at++ != 'u')
		return true;
	for (int i = 0; i < 4; i++, j->at++)
		if (j->at == j->end || !*j->at || !strchr("0123456789abcdefABCDEF", *j->at))
			return false;
	return true;
}

static bool check_string(struct json_check *j)
{
	if (!check_char(j, '"'))
		return false;
	while (j->at < j->end && *j->at != '"') {
		unsigned n = utf8_length(j->at, (size_t)(j->end - j->at));

		if (!n || (unsigned char)*j->at < 0x20)
			return false;
		j->at += n;
		if (j->at[-1] == '\\' && n == 1 && !check_escape(j))
			return false;
	}
	return check_char(j, '"');
}

static bool check_digits(struct json_check *j)
{
	const char *from = j->at;

	while (j->at < j->end && *j->at >= '0' && *j->at <= '9')
		j->at++;
	return j->at > from;
}

static bool check_number(struct json_check *j)
{
	const char *from;

	check_char(j, '-');
	from = j->at;
	if (!check_digits(j) || (*from == '0' && j->at - from > 1))
		return false;
	if (check_char(j, '.') && !check_digits(j))
		return false;
	if (check_char(j, 'e') || check_char(j, 'E')) {
		if (!check_char(j, '-'))
			check_char(j, '+');
		return check_digits(j);
	}
	return true;
}

static bool check_word(struct json_check *j, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(j->end - j->at) < n || memcmp(j->at, word, n))
		return false;
	j->at += n;
	return true;
}

static bool check_members(struct json_check *j, char close, bool keys)
{
	bool more = !check_char(j, close);

	while (more) {
		if (keys && (!check_string(j) || !check_char(j, ':')))
			return false;
		if (!check_value(j))
			return false;
		more = check_char(j, ',');
		if (!more && !check_char(j, close))
			return false;
	}
	return true;
}

static bool check_value(struct json_check *j)
{
	bool ok;

	if (j->at == j->end || ++j->depth > 200)
		return false;
	if (check_char(j, '{'))
		ok = check_members(j, '}', true);
	else if (check_char(j, '['))
		ok = check_members(j, ']', false);
	else if (*j->at == '"')
		ok = check_string(j);
	else if (*j->at == 't' || *j->at == 'f' || *j->at == 'n')
		ok = check_word(j, "true") || check_word(j, "false") || check_word(j, "null");
	else
		ok = check_number(j);
	j->depth--;
	return ok;
}

/* One object and a newline, and nothing else. */
static bool json_is_line(const char *s, size_t n)
{
	struct json_check j = {.at = s, .end = s + n};

	return n && *s == '{' && check_value(&j) && check_char(&j, '\n') && j.at == j.end;
}

#endif
