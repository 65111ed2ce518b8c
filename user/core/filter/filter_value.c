/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The values in a FILTER: ports, addresses, durations, states, verdicts. Each
 * function reads one token, which is hostile and not terminated, and says yes with
 * a value or -EINVAL; what was expected instead is the parser's to say.
 *
 * Comparisons of ports become sets of ranges here, so that matching a port and
 * handing it to the kernel are the same thing whatever the operator was.
 *
 * Names of services and users are looked up only through what the caller lends.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "filter_node.h"
#include "connection/words.h"

enum { VALUE_MAX = 64 };

/* A terminated copy of a token; false when it does not fit, and then it is no value of ours. */
static bool value_copy(char out[VALUE_MAX], const char *s, unsigned len)
{
	if (!len || len >= VALUE_MAX || memchr(s, '\0', len))
		return false;
	memcpy(out, s, len);
	out[len] = '\0';
	return true;
}

static bool value_is(const char *s, unsigned len, const char *word)
{
	return strlen(word) == len && !strncasecmp(s, word, len);
}

int filter_value_number(const char *s, unsigned len, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;

	if (!len)
		return -EINVAL;
	for (unsigned i = 0; i < len; i++) {
		if (!isdigit((unsigned char)s[i]))
			return -EINVAL;
		unsigned digit = s[i] - '0';

		if (v > (max - digit) / 10)
			return -EINVAL;
		v = v * 10 + digit;
	}
	*out = v;
	return 0;
}

/* ---- durations ----------------------------------------------------------------- */

static const struct {
	const char *unit;
	uint64_t ns;
} duration_units[] = {
	{ "us", 1000ULL },
	{ "ms", 1000ULL * 1000 },
	{ "s", 1000ULL * 1000 * 1000 },
	{ "m", 60ULL * 1000 * 1000 * 1000 },
	{ "h", 3600ULL * 1000 * 1000 * 1000 },
	{ "d", 86400ULL * 1000 * 1000 * 1000 },
};

/* "5m", "1.5s". At most 9 digits on each side of the point: no overflow below 10^9 days. */
int filter_value_duration(const char *s, unsigned len, uint64_t *out_ns)
{
	double value = 0, scale = 1;
	unsigned i = 0, whole, frac = 0;

	for (; i < len && isdigit((unsigned char)s[i]); i++)
		value = value * 10 + (s[i] - '0');
	whole = i;
	if (i < len && s[i] == '.') {
		for (i++; i < len && isdigit((unsigned char)s[i]); i++, frac++)
			value += (s[i] - '0') * (scale /= 10);
		if (!frac)
			return -EINVAL;
	}
	if (!whole || whole > 9 || frac > 9)
		return -EINVAL;
	for (unsigned u = 0; u < sizeof(duration_units) / sizeof(duration_units[0]); u++) {
		if (!value_is(s + i, len - i, duration_units[u].unit))
			continue;
		value *= (double)duration_units[u].ns;
		if (value > 9e18)
			return -EINVAL;
		*out_ns = (uint64_t)(value + 0.5);
		return 0;
	}
	return -EINVAL;
}

/* ---- ports --------------------------------------------------------------------- */

static int value_port(const char *s, unsigned len, const struct filter_names *names, uint16_t *out)
{
	char name[VALUE_MAX];
	uint64_t v;
	long p;

	if (!filter_value_number(s, len, 65535, &v)) {
		*out = (uint16_t)v;
		return 0;
	}
	if (!names || !names->port || !value_copy(name, s, len) || isdigit((unsigned char)name[0]))
		return -EINVAL;
	p = names->port(name);
	if (p < 0 || p > 65535)
		return -EINVAL;
	*out = (uint16_t)p;
	return 0;
}

/* Puts [lo, hi] among the others, ascending, merging what touches. */
static int ports_insert(struct port_set *set, uint32_t lo, uint32_t hi)
{
	struct port_set out = { 0 };
	bool placed = false;

	for (unsigned i = 0; i <= set->n; i++) {
		bool have = i < set->n;
		uint32_t l = have ? set->r[i].lo : 0, h = have ? set->r[i].hi : 0;

		if (have && h + 1 >= lo && l <= hi + 1) {
			lo = l < lo ? l : lo;
			hi = h > hi ? h : hi;
			continue;
		}
		if (!placed && (!have || l > hi)) {
			if (out.n == PORT_RANGES)
				return -ENOSPC;
			out.r[out.n].lo = (uint16_t)lo;
			out.r[out.n++].hi = (uint16_t)hi;
			placed = true;
		}
		if (!have)
			break;
		if (out.n == PORT_RANGES)
			return -ENOSPC;
		out.r[out.n++] = set->r[i];
	}
	*set = out;
	return 0;
}

int filter_value_ports(struct port_set *out, const char *s, unsigned len,
		       const struct filter_names *names)
{
	struct port_set set = { 0 };

	for (unsigned at = 0; at <= len;) {
		const char *comma = memchr(s + at, ',', len - at);
		unsigned end = comma ? (unsigned)(comma - s) : len;
		const char *dash = memchr(s + at, '-', end - at);
		uint16_t lo, hi;

		/* A service may have a dash in its name: try the whole first. */
		if (!value_port(s + at, end - at, names, &lo)) {
			hi = lo;
		} else {
			unsigned mid = dash ? (unsigned)(dash - s) : end;

			if (!dash || value_port(s + at, mid - at, names, &lo) ||
			    value_port(dash + 1, end - mid - 1, names, &hi) || lo > hi)
				return -EINVAL;
		}
		if (set.n == KFILTER_PORTS || ports_insert(&set, lo, hi))
			return -EINVAL;
		at = end + 1;
	}
	*out = set;
	return 0;
}

static void ports_complement(struct port_set *set)
{
	struct port_set out = { 0 };
	uint32_t next = 0;

	for (unsigned i = 0; i < set->n; i++) {
		if (set->r[i].lo > next) {
			out.r[out.n].lo = (uint16_t)next;
			out.r[out.n++].hi = (uint16_t)(set->r[i].lo - 1);
		}
		next = set->r[i].hi + 1u;
	}
	if (next <= 65535) {
		out.r[out.n].lo = (uint16_t)next;
		out.r[out.n++].hi = 65535;
	}
	*set = out;
}

int filter_ports_compare(struct port_set *set, enum compare op)
{
	uint32_t v = set->r[0].lo, lo = 0, hi = 65535;

	if (op == CMP_EQ)
		return 0;
	if (op == CMP_NE) {
		ports_complement(set);
		return 0;
	}
	if (set->n != 1 || set->r[0].lo != set->r[0].hi)
		return -EINVAL;
	if (op == CMP_GT || op == CMP_GE)
		lo = v + (op == CMP_GT);
	else
		hi = v - (op == CMP_LT);
	set->n = 0;
	if (lo <= 65535 && hi <= 65535) /* "< 0" and "> 65535" hold for none */
		return ports_insert(set, lo, hi);
	return 0;
}

int filter_ports_union(struct port_set *a, const struct port_set *b)
{
	struct port_set out = *a;

	for (unsigned i = 0; i < b->n; i++)
		if (ports_insert(&out, b->r[i].lo, b->r[i].hi))
			return -ENOSPC;
	*a = out;
	return 0;
}

/* ---- addresses ----------------------------------------------------------------- */

static const uint8_t v4_mapped[12] = { [10] = 0xff, [11] = 0xff };

/* iproute's short form: "10" and "192.168" are read with zeros behind, if a prefix follows. */
static bool addr_v4(const char *s, bool short_form, uint8_t out[4])
{
	char full[VALUE_MAX + 8];
	size_t len = strlen(s);
	int dots = 0;

	for (const char *p = s; *p; p++)
		dots += *p == '.';
	if (dots > 3 || (dots < 3 && !short_form) || len >= VALUE_MAX)
		return false;
	memcpy(full, s, len + 1);
	for (; dots < 3; dots++, len += 2)
		memcpy(full + len, ".0", 3);
	return inet_pton(AF_INET, full, out) == 1;
}

static bool is_mapped(const uint8_t addr[16])
{
	return !memcmp(addr, v4_mapped, sizeof(v4_mapped));
}

void filter_value_addr_is(struct filter *out, const uint8_t addr[16])
{
	memcpy(out->addr.bytes, addr, 16);
	out->addr.bits = 128;
	out->addr.v4 = is_mapped(addr);
}

int filter_value_addr(struct filter *out, const char *s, unsigned len)
{
	char text[VALUE_MAX];
	uint64_t bits = 0;
	uint8_t v4[4];
	char *slash;

	if (!value_copy(text, s, len))
		return -EINVAL;
	slash = strchr(text, '/');
	if (slash) {
		*slash = '\0';
		if (filter_value_number(slash + 1, strlen(slash + 1), 128, &bits))
			return -EINVAL;
	}
	if (addr_v4(text, slash != NULL, v4)) {
		if (bits > 32)
			return -EINVAL;
		memcpy(out->addr.bytes, v4_mapped, 12);
		memcpy(out->addr.bytes + 12, v4, 4);
		out->addr.v4 = true;
		out->addr.bits = 96 + (slash ? bits : 32);
		return 0;
	}
	if (inet_pton(AF_INET6, text, out->addr.bytes) != 1)
		return -EINVAL;
	out->addr.bits = slash ? bits : 128;
	/* ::ffff:1.2.3.4 is the IPv4 address; ::/0 is every IPv6 one, and those only. */
	out->addr.v4 = out->addr.bits >= 96 && is_mapped(out->addr.bytes);
	return 0;
}

/* ---- words --------------------------------------------------------------------- */

#define ALL_STATES (((1u << ST_COUNT) - 1) & ~(1u << ST_NONE))
#define SYN_RECV_STATES (1u << ST_SYN_RECV | 1u << ST_NEW_SYN_RECV)
#define CONNECTED (ALL_STATES & ~(1u << ST_LISTEN | 1u << ST_CLOSED))
#define BUCKET (SYN_RECV_STATES | 1u << ST_TIME_WAIT)

/* ss's groups, and its names that are in none of our three spellings. */
static const struct {
	const char *name;
	uint32_t states;
} state_groups[] = {
	{ "all", ALL_STATES },
	{ "connected", CONNECTED },
	{ "synchronized", CONNECTED & ~(1u << ST_SYN_SENT) },
	{ "bucket", BUCKET },
	{ "big", ALL_STATES & ~BUCKET },
	{ "established", 1u << ST_ESTABLISHED },
	{ "estab", 1u << ST_ESTABLISHED },
	{ "syn-recv", SYN_RECV_STATES },
	{ "listen", 1u << ST_LISTEN },
	{ "listening", 1u << ST_LISTEN },
	{ "close", 1u << ST_CLOSED },
	{ "closed", 1u << ST_CLOSED },
	{ "unconnected", 1u << ST_CLOSED },
};

int filter_value_states(const char *s, unsigned len, uint32_t *out)
{
	enum tcp_state st;

	for (unsigned i = 0; i < sizeof(state_groups) / sizeof(state_groups[0]); i++) {
		if (value_is(s, len, state_groups[i].name)) {
			*out = state_groups[i].states;
			return 0;
		}
	}
	st = word_to_state(s, len);
	if (st <= ST_NONE || st >= ST_COUNT)
		return -EINVAL;
	*out = st == ST_SYN_RECV || st == ST_NEW_SYN_RECV ? SYN_RECV_STATES : 1u << st;
	return 0;
}

int filter_value_role(const char *s, unsigned len, uint64_t *out)
{
	for (unsigned r = 0; r < ROLE_COUNT; r++) {
		if (value_is(s, len, word_role(r))) {
			*out = r;
			return 0;
		}
	}
	return -EINVAL;
}

/* Words compare with '-' and '_' as one and without regard to case. */
static bool value_is_word(const char *s, unsigned len, const char *word)
{
	if (strlen(word) != len)
		return false;
	for (unsigned i = 0; i < len; i++) {
		int a = s[i] == '-' ? '_' : tolower((unsigned char)s[i]);
		int b = word[i] == '-' ? '_' : tolower((unsigned char)word[i]);

		if (a != b)
			return false;
	}
	return true;
}

#define TEARDOWN_RESETS (1u << TD_RESET_SENT | 1u << TD_RESET_RECEIVED)

/* Words that are wider than one of the interface's own. A "normal" handshake is no verdict
 * on a connection that was then reset: "normal" asks about the end alone. */
static const struct {
	const char *name;
	uint32_t handshake, teardown, end_reason, conn_state;
} verdict_groups[] = {
	{ "normal", .teardown = 1u << TD_NORMAL },
	{ "reset", .teardown = TEARDOWN_RESETS, .end_reason = 1u << END_RESET },
	{ "timeout", .handshake = 1u << HS_TIMED_OUT, .teardown = 1u << TD_TIMED_OUT,
	  .end_reason = 1u << END_SYN_TIMEOUT | 1u << END_RETRANSMIT_TIMEOUT |
			1u << END_USER_TIMEOUT | 1u << END_KEEPALIVE_TIMEOUT |
			1u << END_ZERO_WINDOW_TIMEOUT | 1u << END_FIN_WAIT_2_TIMEOUT },
};

static uint32_t verdict_mask(const char *s, unsigned len, unsigned count,
			     const char *(*word)(unsigned))
{
	uint32_t mask = 0;

	for (unsigned i = 0; i < count; i++)
		if (value_is_word(s, len, word(i)))
			mask |= 1u << i;
	return mask;
}

int filter_value_verdict(struct filter *out, const char *s, unsigned len)
{
	for (unsigned i = 0; i < sizeof(verdict_groups) / sizeof(verdict_groups[0]); i++) {
		if (!value_is_word(s, len, verdict_groups[i].name))
			continue;
		out->verdict.handshake = verdict_groups[i].handshake;
		out->verdict.teardown = verdict_groups[i].teardown;
		out->verdict.end_reason = verdict_groups[i].end_reason;
		out->verdict.conn_state = verdict_groups[i].conn_state;
		return 0;
	}
	out->verdict.handshake = verdict_mask(s, len, HS_KINDS, word_handshake);
	out->verdict.teardown = verdict_mask(s, len, TD_KINDS, word_teardown);
	out->verdict.end_reason = verdict_mask(s, len, END_REASONS, word_end_reason);
	out->verdict.conn_state = verdict_mask(s, len, CS_COUNT, word_conn_state);
	if (!(out->verdict.handshake | out->verdict.teardown | out->verdict.end_reason |
	      out->verdict.conn_state))
		return -EINVAL;
	return 0;
}
