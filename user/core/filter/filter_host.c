/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What src, dst, sport and dport are compared with: an end of a connection in ss's
 * spellings, [FAMILY:]HOST[:PORT] and [FAMILY:][*][:]PORTS, either part of which may
 * be * for "any".
 *
 * Names of hosts and services are looked up only through what the caller lends: once,
 * here, and never again for an event.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "filter_parser.h"

enum { HOST_NAME_MAX_LEN = 253, HOST_ADDRS = 16 };

static const struct {
	const char *prefix;
	int family; /* 0: says nothing */
} families[] = { { "inet:", 4 }, { "inet6:", 6 }, { "tcp:", 0 } };

/* Takes the family off that stands before a host; 0: none does. */
static int take_family(struct token *t)
{
	for (unsigned i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		unsigned n = strlen(families[i].prefix);

		if (t->len <= n || strncasecmp(t->s, families[i].prefix, n))
			continue;
		t->s += n;
		t->len -= n;
		return families[i].family;
	}
	return 0;
}

/* ss has words for it too, as iproute has. */
static bool part_is_any(const struct token *t)
{
	static const char *const words[] = { "*", "any", "all", "default" };

	for (unsigned i = 0; t->len && i < sizeof(words) / sizeof(words[0]); i++)
		if (strlen(words[i]) == t->len && !strncasecmp(t->s, words[i], t->len))
			return true;
	return !t->len;
}

/* Every end of this family (0: of any). */
static struct filter *any_end(unsigned side, int family)
{
	struct filter *f;

	if (family)
		return filter_term_family(family);
	f = filter_node(NODE_ADDR);
	if (f) {
		f->side = (uint8_t)side;
		f->addr.any = true;
	}
	return f;
}

/* ---- ports --------------------------------------------------------------------- */

/* *:80 and :80 are 80. (ss 6.1 takes *:80 for every port; it is written to mean one.) */
static void strip_host(struct token *t)
{
	if (t->len > 1 && t->s[0] == '*' && t->s[1] == ':')
		t->s++, t->len--;
	if (t->len > 1 && t->s[0] == ':')
		t->s++, t->len--;
}

struct filter *parser_ports(struct parser *p, unsigned side, enum compare op)
{
	struct token port = p->tok;
	int family = take_family(&port);
	bool any, equal = op == CMP_EQ || op == CMP_NE;
	struct filter *f, *g;

	strip_host(&port);
	any = port.len == 1 && *port.s == '*';
	if (any && !equal)
		return NULL;
	f = any ? any_end(side, family) : filter_node(NODE_PORTS);
	if (any && f && op == CMP_NE)
		f = filter_node_join(NODE_NOT, f, NULL);
	if (!f || any)
		return f ? f : parser_oom(p);
	f->side = (uint8_t)side;
	if (filter_value_ports(&f->ports, port.s, port.len, p->names) ||
	    filter_ports_compare(&f->ports, op)) {
		filter_free(f);
		return NULL;
	}
	if (!family)
		return f;
	/* As ss has it: "sport != inet:443" is of IPv4's sockets. */
	g = filter_term_family(family);
	f = filter_node_join(NODE_AND, g, f);
	return g && f ? f : parser_oom(p);
}

/* ---- hosts --------------------------------------------------------------------- */

/* ADDR, ADDR/PREFIX, ADDR:PORT, [V6], [V6]/PREFIX, [V6]:PORT, :PORT, * and *:PORT. Splits in
 * two texts, either of which may be empty for "any". */
static bool host_split(const char *s, unsigned len, struct token *addr, struct token *port)
{
	const char *colon, *close;

	*addr = *port = (struct token){ .s = "", .len = 0 };
	if (len && *s == '[') {
		close = memchr(s, ']', len);
		if (!close || close == s + 1)
			return false;
		addr->s = s + 1;
		addr->len = (unsigned)(close - s - 1);
		addr->quoted = true; /* no name */
		colon = close + 1;
		if (colon == s + len)
			return true;
		if (*colon != ':')
			return false;
	} else {
		colon = memchr(s, ':', len);
		/* Two colons and no brackets: all of it is an IPv6 address. */
		if (!colon || memchr(colon + 1, ':', len - (unsigned)(colon + 1 - s))) {
			addr->s = s;
			addr->len = len;
			return len > 0;
		}
		addr->s = s;
		addr->len = (unsigned)(colon - s);
	}
	port->s = colon + 1;
	port->len = len - (unsigned)(colon + 1 - s);
	return port->len > 0;
}

/* [V6]/64: ss wants the prefix inside or outside of the brackets; we take both. */
static bool host_move_prefix(struct token *host, char *buf, unsigned size)
{
	const char *close = memchr(host->s, ']', host->len);
	unsigned addr, tail;

	if (!host->len || *host->s != '[' || !close || close + 1 >= host->s + host->len ||
	    close[1] != '/')
		return true;
	addr = (unsigned)(close - host->s);
	for (tail = addr + 1; tail < host->len && host->s[tail] != ':'; tail++)
		;
	if (host->len + 1 > size)
		return false;
	snprintf(buf, size, "%.*s%.*s]%.*s", (int)addr, host->s, (int)(tail - addr - 1), close + 1,
		 (int)(host->len - tail), host->s + tail);
	host->s = buf;
	return true;
}

/* Could it be a host's name? Its last label has a letter, so that a mistyped address is none:
 * resolvers read "10", "10.1" and "0x7f.1" as addresses that nobody meant. */
static bool is_host_name(const struct token *t)
{
	unsigned label = 0;
	bool letter = false;

	if (!t->len || t->len > HOST_NAME_MAX_LEN || t->quoted)
		return false;
	for (unsigned i = 0; i < t->len; i++) {
		unsigned char c = (unsigned char)t->s[i];

		if (!isalnum(c) && c != '-' && c != '.' && c != '_')
			return false;
		if (c == '.' && i + 1 < t->len) {
			label = i + 1;
			letter = false;
		}
		letter |= isalpha(c) != 0;
	}
	return letter && (t->len - label < 2 || strncasecmp(t->s + label, "0x", 2));
}

/* Each of the name's addresses. */
static struct filter *named_host(struct parser *p, unsigned side, const struct token *t, int family)
{
	char name[HOST_NAME_MAX_LEN + 1];
	uint8_t addrs[HOST_ADDRS][16];
	struct filter *f = NULL;
	unsigned n;

	if (!p->names || !p->names->host)
		return parser_fail(p, &p->tok, "expected an address: hosts' names are not "
				   "looked up here");
	snprintf(name, sizeof(name), "%.*s", (int)t->len, t->s);
	n = p->names->host(name, family, addrs, HOST_ADDRS);
	if (!n)
		return parser_fail(p, &p->tok, "expected an address, or a host that has %s",
				   family == 6 ? "an IPv6 one" : family ? "an IPv4 one" : "one");
	for (unsigned i = 0; i < n && i < HOST_ADDRS; i++) {
		struct filter *one = filter_node(NODE_ADDR);

		if (one) {
			one->side = (uint8_t)side;
			filter_value_addr_is(one, addrs[i]);
		}
		f = one ? filter_or(f, one) : NULL;
		if (!f)
			return parser_oom(p);
	}
	return f;
}

static struct filter *host_addr(struct parser *p, unsigned side, const struct token *t, int family)
{
	struct filter *f;

	if (part_is_any(t)) {
		f = any_end(side, family);
		return f ? f : parser_oom(p);
	}
	f = filter_node(NODE_ADDR);
	if (!f)
		return parser_oom(p);
	f->side = (uint8_t)side;
	if (!filter_value_addr(f, t->s, t->len)) {
		if (!family || f->addr.v4 == (family == 4))
			return f;
		filter_free(f);
		return parser_fail(p, &p->tok, "expected an IPv%d address after 'inet%s:'",
				   family, family == 6 ? "6" : "");
	}
	filter_free(f);
	return is_host_name(t) ? named_host(p, side, t, family) : NULL;
}

struct filter *parser_host(struct parser *p, unsigned side, enum compare op)
{
	struct token host = p->tok, addr, port;
	int family = take_family(&host);
	struct filter *f = NULL, *g = NULL;
	char moved[80];

	if (!host_move_prefix(&host, moved, sizeof(moved)) ||
	    !host_split(host.s, host.len, &addr, &port))
		return NULL;
	if (!part_is_any(&port)) {
		g = filter_node(NODE_PORTS);
		if (!g)
			return parser_oom(p);
		g->side = (uint8_t)side;
		if (filter_value_ports(&g->ports, port.s, port.len, p->names)) {
			filter_free(g);
			return NULL;
		}
	}
	if (!g || family || !part_is_any(&addr)) {
		f = host_addr(p, side, &addr, family);
		if (!f) {
			filter_free(g);
			return NULL;
		}
	}
	f = filter_and(f, g);
	if (f && op == CMP_NE)
		f = filter_node_join(NODE_NOT, f, NULL);
	return f ? f : parser_oom(p);
}
