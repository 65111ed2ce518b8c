/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses, times and quantities as text, into a buf. Hand-written, since these
 * are most of the cost of a line: no printf, no inet_ntop, no gmtime.
 *
 * Only buf_clock() asks the C library, for the local time zone; nothing here
 * reads a clock.
 */
#include <string.h>
#include <time.h>

#include "buf.h"

static const uint64_t SECOND_NS = 1000000000;

/* Room for any text made here: the longest is a scoped v6 endpoint of 47 bytes. */
enum { TEXT_MAX = 64 };

static char *put2(char *p, unsigned v)
{
	memcpy(p, buf_digits + v * 2, 2);
	return p + 2;
}

static char *put3(char *p, unsigned v)
{
	*p++ = (char)('0' + v / 100);
	return put2(p, v % 100);
}

/* Without leading zeros; below 10^9. */
static char *put_small(char *p, uint32_t v)
{
	char tmp[10], *q = tmp + sizeof(tmp);
	size_t n;

	do {
		*--q = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	n = (size_t)(tmp + sizeof(tmp) - q);
	memcpy(p, q, n);
	return p + n;
}

bool addr_is_v4(const uint8_t addr[16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	return !memcmp(addr, mapped, sizeof(mapped));
}

bool addr_is_loopback(const uint8_t addr[16])
{
	static const uint8_t one[16] = {[15] = 1};

	return addr_is_v4(addr) ? addr[12] == 127 : !memcmp(addr, one, sizeof(one));
}

static char *put_v4(char *p, const uint8_t *a)
{
	for (int i = 0; i < 4; i++) {
		unsigned v = a[i];

		if (v >= 100)
			p = put3(p, v);
		else if (v >= 10)
			p = put2(p, v);
		else
			*p++ = (char)('0' + v);
		*p++ = '.';
	}
	return p - 1;
}

/* The leftmost longest run of at least two zero groups (RFC 5952, 4.2.2 and 4.2.3). */
static void longest_zeros(const uint16_t g[8], int *at, int *length)
{
	*at = -1;
	*length = 1;
	for (int i = 0, run = 0; i < 8; i++) {
		run = g[i] ? 0 : run + 1;
		if (run > *length) {
			*length = run;
			*at = i - run + 1;
		}
	}
}

static char *put_v6(char *p, const uint8_t *a)
{
	uint16_t g[8];
	int zeros, length;

	for (int i = 0; i < 8; i++)
		g[i] = (uint16_t)(a[2 * i] << 8 | a[2 * i + 1]);
	longest_zeros(g, &zeros, &length);
	for (int i = 0; i < 8; i++) {
		if (i == zeros) {
			*p++ = ':';
			*p++ = ':';
			i += length - 1;
			continue;
		}
		if (i && i != zeros + length)
			*p++ = ':';
		for (int shift = g[i] > 0xfff ? 12 : g[i] > 0xff ? 8 : g[i] > 0xf ? 4 : 0;
		     shift >= 0; shift -= 4)
			*p++ = "0123456789abcdef"[g[i] >> shift & 15];
	}
	return p;
}

static char *put_addr(char *p, const uint8_t addr[16])
{
	return addr_is_v4(addr) ? put_v4(p, addr + 12) : put_v6(p, addr);
}

void buf_addr(struct buf *b, const uint8_t addr[16])
{
	if (buf_room(b, TEXT_MAX))
		b->len = (size_t)(put_addr(b->data + b->len, addr) - b->data);
}

void buf_endpoint(struct buf *b, const uint8_t addr[16], uint16_t port)
{
	bool v4 = addr_is_v4(addr);
	char *p;

	if (!buf_room(b, TEXT_MAX))
		return;
	p = b->data + b->len;
	if (!v4)
		*p++ = '[';
	p = put_addr(p, addr);
	if (!v4)
		*p++ = ']';
	*p++ = ':';
	b->len = (size_t)(put_small(p, port) - b->data);
}

/* v / unit to three significant figures, no trailing zeros behind the point. False when it
 * rounds up to `limit` units: the next unit says it better. */
static bool put_scaled(char **at, uint64_t v, uint64_t unit, unsigned limit)
{
	unsigned decimals = v < 10 * unit ? 2 : v < 100 * unit ? 1 : 0;
	unsigned scale = decimals == 2 ? 100 : decimals == 1 ? 10 : 1;
	/* unit is at least 1000 and v below 1000 units (60 s is below 2^36 ns): no overflow */
	uint64_t n = (v * scale + unit / 2) / unit;
	char *p = *at;

	if (n >= (uint64_t)limit * scale)
		return false;
	if (decimals == 2 && n >= 1000) { /* 9.996 is 10 */
		n /= 10;
		scale = 10;
	}
	p = put_small(p, (uint32_t)(n / scale));
	n %= scale;
	if (n) {
		*p++ = '.';
		if (scale == 100) {
			*p++ = (char)('0' + n / 10);
			n %= 10;
		}
		if (n)
			*p++ = (char)('0' + n);
	}
	*at = p;
	return true;
}

static char *put_pair(char *p, uint64_t v, unsigned per, char big, char small)
{
	p = put_small(p, (uint32_t)(v / per));
	*p++ = big;
	p = put2(p, (unsigned)(v % per));
	*p++ = small;
	return p;
}

/* Past a minute: m s, h m, d h, each cut to what the pair can say. */
static char *put_long(char *p, uint64_t ns)
{
	uint64_t s = (ns + SECOND_NS / 2) / SECOND_NS;

	if (s < 3600)
		return put_pair(p, s, 60, 'm', 's');
	if (s < 86400)
		return put_pair(p, s / 60, 60, 'h', 'm');
	return put_pair(p, s / 3600, 24, 'd', 'h');
}

void buf_duration(struct buf *b, uint64_t ns)
{
	static const struct {
		uint64_t unit;
		unsigned limit;
		char name[3];
	} units[] = { { 1000, 1000, "us" }, { 1000000, 1000, "ms" }, { 1000000000, 60, "s" } };
	char *p;

	if (!buf_room(b, TEXT_MAX))
		return;
	p = b->data + b->len;
	if (ns > UINT64_MAX - SECOND_NS)
		ns = UINT64_MAX - SECOND_NS;
	if (ns < 1000) {
		p = put_small(p, (uint32_t)ns);
		memcpy(p, "ns", 2);
		b->len = (size_t)(p + 2 - b->data);
		return;
	}
	for (unsigned i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (ns >= units[i].unit * units[i].limit ||
		    !put_scaled(&p, ns, units[i].unit, units[i].limit))
			continue;
		for (const char *s = units[i].name; *s; s++)
			*p++ = *s;
		b->len = (size_t)(p - b->data);
		return;
	}
	b->len = (size_t)(put_long(p, ns) - b->data);
}

void buf_bytes(struct buf *b, uint64_t n)
{
	static const char prefixes[] = "kMGTPE";
	uint64_t unit = 1000;
	unsigned i = 0;
	uint64_t tenths;

	if (n < 1000) {
		buf_u64(b, n);
		buf_str(b, " B");
		return;
	}
	while (n / unit >= 1000 && prefixes[i + 1]) {
		unit *= 1000;
		i++;
	}
	/* what would round to 1000.0 of a unit is 1.0 of the next */
	tenths = n / (unit / 10) + (n % (unit / 10) >= unit / 20);
	if (tenths >= 9995 && prefixes[i + 1]) {
		tenths = 10;
		i++;
	}
	if (tenths < 1000) {
		buf_u64(b, tenths / 10);
		buf_char(b, '.');
		buf_char(b, (char)('0' + tenths % 10));
	} else {
		buf_u64(b, (tenths + 5) / 10);
	}
	buf_char(b, ' ');
	buf_char(b, prefixes[i]);
	buf_char(b, 'B');
}

/* Days since 1970-01-01 to a date, proleptic Gregorian. Years begin in March, so that the leap
 * day is the last of its year; eras of 400 years have 146097 days. */
static void civil(uint64_t days, unsigned *year, unsigned *month, unsigned *day)
{
	uint64_t z = days + 719468; /* from 0000-03-01 */
	unsigned era = (unsigned)(z / 146097), doe = (unsigned)(z % 146097);
	unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	unsigned mp = (5 * doy + 2) / 153;

	*day = doy - (153 * mp + 2) / 5 + 1;
	*month = mp < 10 ? mp + 3 : mp - 9;
	*year = yoe + era * 400 + (*month <= 2);
}

void buf_rfc3339(struct buf *b, uint64_t realtime_ns)
{
	uint64_t s = realtime_ns / SECOND_NS;
	unsigned us = (unsigned)(realtime_ns % SECOND_NS / 1000);
	unsigned tod = (unsigned)(s % 86400), year, month, day;
	char *p;

	if (!buf_room(b, TEXT_MAX))
		return;
	civil(s / 86400, &year, &month, &day); /* 2^64 ns ends in 2554: four digits suffice */
	p = put2(b->data + b->len, year / 100);
	p = put2(p, year % 100);
	*p++ = '-';
	p = put2(p, month);
	*p++ = '-';
	p = put2(p, day);
	*p++ = 'T';
	p = put2(p, tod / 3600);
	*p++ = ':';
	p = put2(p, tod / 60 % 60);
	*p++ = ':';
	p = put2(p, tod % 60);
	*p++ = '.';
	p = put3(p, us / 1000);
	p = put3(p, us % 1000);
	*p++ = 'Z';
	b->len = (size_t)(p - b->data);
}

void buf_clock(struct buf *b, uint64_t realtime_ns)
{
	time_t t = (time_t)(realtime_ns / SECOND_NS);
	struct tm tm = { 0 };
	char *p;

	if (!buf_room(b, TEXT_MAX))
		return;
	localtime_r(&t, &tm);
	p = put2(b->data + b->len, (unsigned)tm.tm_hour);
	*p++ = ':';
	p = put2(p, (unsigned)tm.tm_min);
	*p++ = ':';
	p = put2(p, (unsigned)tm.tm_sec);
	*p++ = '.';
	p = put3(p, (unsigned)(realtime_ns % SECOND_NS / 1000000));
	b->len = (size_t)(p - b->data);
}
