/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NDJSON to OTLP-JSON: one pass over a record that a writer has just made.
 *
 * Objects become dotted attribute names, as OpenTelemetry writes them; arrays stay arrays,
 * and the objects in them lists of keys. Strings are copied as they stand: they are escaped
 * already.
 *
 * Always: every member of the record is an attribute, but @timestamp, which is the log
 * record's own time. Never: a tree; nor more depth than DEPTH, whatever comes in.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "otlp.h"

enum { DEPTH = 16, PATH_MAX_LEN = 256 };

/* OTLP's SeverityNumber: the first of four of each name. */
enum { SEVERITY_INFO = 9, SEVERITY_WARN = 13, SEVERITY_ERROR = 17 };

struct span {
	const char *s; /* with its quotes; NULL: not there */
	size_t len;
};

struct otlp {
	struct buf *out;
	const char *p, *end;
	char path[PATH_MAX_LEN]; /* "tcp.handshake.kind" */
	size_t path_len;
	unsigned depth;
	bool comma, bad;
	struct span time, name, severity, explanation;
};

/* ---- reading --------------------------------------------------------------------------- */

static bool at(const struct otlp *o, char c)
{
	return !o->bad && o->p < o->end && *o->p == c;
}

static bool take(struct otlp *o, char c)
{
	if (!at(o, c))
		return false;
	o->p++;
	return true;
}

static void expect(struct otlp *o, char c)
{
	if (!take(o, c))
		o->bad = true;
}

/* A string with its quotes. */
static struct span string(struct otlp *o)
{
	struct span s = { .s = o->p };

	expect(o, '"');
	while (!o->bad && !at(o, '"')) {
		o->p += at(o, '\\') ? 2 : 1;
		if (o->p >= o->end)
			o->bad = true;
	}
	expect(o, '"');
	s.len = o->bad ? 0 : (size_t)(o->p - s.s);
	return s;
}

/* A number, true or false. */
static struct span bare(struct otlp *o)
{
	struct span s = { .s = o->p };

	while (o->p < o->end && !strchr(",}] \n", *o->p))
		o->p++;
	s.len = (size_t)(o->p - s.s);
	o->bad |= !s.len;
	return s;
}

static bool has(struct span s, const char *chars)
{
	for (size_t i = 0; i < s.len; i++)
		if (strchr(chars, s.s[i]))
			return true;
	return false;
}

/* ---- values ---------------------------------------------------------------------------- */

static void value(struct otlp *o);

static void wrapped(struct otlp *o, const char *before, struct span s, const char *after)
{
	buf_str(o->out, before);
	buf_put(o->out, s.s, s.len);
	buf_str(o->out, after);
}

static void number(struct otlp *o)
{
	struct span s = bare(o);

	if (*s.s == 't' || *s.s == 'f')
		wrapped(o, "{\"boolValue\":", s, "}");
	else if (has(s, ".eE"))
		wrapped(o, "{\"doubleValue\":", s, "}");
	else
		wrapped(o, "{\"intValue\":\"", s, "\"}");
}

static void array(struct otlp *o)
{
	expect(o, '[');
	buf_str(o->out, "{\"arrayValue\":{\"values\":[");
	for (bool first = true; !o->bad && !at(o, ']'); first = false) {
		if (!first) {
			expect(o, ',');
			buf_char(o->out, ',');
		}
		value(o);
	}
	expect(o, ']');
	buf_str(o->out, "]}}");
}

/* An object within an array. */
static void list_of_keys(struct otlp *o)
{
	expect(o, '{');
	buf_str(o->out, "{\"kvlistValue\":{\"values\":[");
	for (bool first = true; !o->bad && !at(o, '}'); first = false) {
		if (!first) {
			expect(o, ',');
			buf_char(o->out, ',');
		}
		wrapped(o, "{\"key\":", string(o), ",\"value\":");
		expect(o, ':');
		value(o);
		buf_char(o->out, '}');
	}
	expect(o, '}');
	buf_str(o->out, "]}}");
}

static void value(struct otlp *o)
{
	if (o->bad || o->p >= o->end || o->depth >= DEPTH) {
		o->bad = true;
		return;
	}
	o->depth++;
	if (*o->p == '"')
		wrapped(o, "{\"stringValue\":", string(o), "}");
	else if (*o->p == '[')
		array(o);
	else if (*o->p == '{')
		list_of_keys(o);
	else
		number(o);
	o->depth--;
}

/* ---- attributes ------------------------------------------------------------------------ */

static bool path_is(const struct otlp *o, const char *name)
{
	return o->path_len == strlen(name) && !memcmp(o->path, name, o->path_len);
}

/* What the log record itself has a place for. */
static struct span *own_place(struct otlp *o)
{
	return path_is(o, "@timestamp")		     ? &o->time :
	       path_is(o, "event.name")		     ? &o->name :
	       path_is(o, "tcp.finding.severity")    ? &o->severity :
	       path_is(o, "tcp.finding.explanation") ? &o->explanation :
						       NULL;
}

static void attribute(struct otlp *o)
{
	struct span *own = own_place(o);
	const char *began = o->p;

	if (own && at(o, '"')) {
		*own = string(o);
		if (own == &o->time)
			return;
		o->p = began;
	}
	if (o->comma)
		buf_char(o->out, ',');
	o->comma = true;
	buf_str(o->out, "{\"key\":\"");
	buf_put(o->out, o->path, o->path_len);
	buf_str(o->out, "\",\"value\":");
	value(o);
	buf_char(o->out, '}');
}

/* Members one after the other; an object's own names go on after a dot. */
static void members(struct otlp *o)
{
	size_t above = o->path_len;

	if (++o->depth > DEPTH)
		o->bad = true;
	expect(o, '{');
	for (bool first = true; !o->bad && !at(o, '}'); first = false) {
		struct span key;

		if (!first)
			expect(o, ',');
		key = string(o);
		expect(o, ':');
		if (o->bad || above + key.len >= PATH_MAX_LEN) {
			o->bad = true;
			break;
		}
		if (above)
			o->path[o->path_len++] = '.';
		memcpy(o->path + o->path_len, key.s + 1, key.len - 2);
		o->path_len += key.len - 2;
		if (at(o, '{'))
			members(o);
		else
			attribute(o);
		o->path_len = above;
	}
	expect(o, '}');
	o->depth--;
}

/* ---- the record's own ------------------------------------------------------------------ */

static bool digits(const char *s, unsigned n, int *out)
{
	*out = 0;
	for (; n; n--, s++) {
		if (*s < '0' || *s > '9')
			return false;
		*out = *out * 10 + (*s - '0');
	}
	return true;
}

/* "2026-11-20T18:59:42.123456Z" with its quotes, in nanoseconds since 1970. */
static bool unix_ns(struct span t, uint64_t *ns)
{
	struct tm tm = { 0 };
	int us;

	if (t.len != 29 || !digits(t.s + 1, 4, &tm.tm_year) || !digits(t.s + 6, 2, &tm.tm_mon) ||
	    !digits(t.s + 9, 2, &tm.tm_mday) || !digits(t.s + 12, 2, &tm.tm_hour) ||
	    !digits(t.s + 15, 2, &tm.tm_min) || !digits(t.s + 18, 2, &tm.tm_sec) ||
	    !digits(t.s + 21, 6, &us))
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	*ns = (uint64_t)timegm(&tm) * 1000000000 + (uint64_t)us * 1000;
	return true;
}

static bool span_is(struct span s, const char *word)
{
	return s.s && s.len == strlen(word) + 2 && !memcmp(s.s + 1, word, s.len - 2);
}

static void own_members(struct otlp *o, uint64_t ns)
{
	bool warning = span_is(o->severity, "warning"), critical = span_is(o->severity, "critical");
	struct buf *b = o->out;

	buf_str(b, "\"timeUnixNano\":\"");
	buf_u64(b, ns);
	buf_str(b, "\",\"observedTimeUnixNano\":\"");
	buf_u64(b, ns);
	buf_str(b, "\",\"severityNumber\":");
	buf_u64(b, critical ? SEVERITY_ERROR : warning ? SEVERITY_WARN : SEVERITY_INFO);
	buf_str(b, ",\"severityText\":\"");
	buf_str(b, critical ? "ERROR" : warning ? "WARN" : "INFO");
	wrapped(o, "\",\"eventName\":", o->name, ",");
	wrapped(o, "\"body\":{\"stringValue\":", o->explanation.s ? o->explanation : o->name, "},");
	buf_str(b, "\"traceId\":\"\",\"spanId\":\"\"");
}

int otlp_from_json(struct buf *out, const char *json, size_t len)
{
	struct otlp o = { .out = out, .p = json, .end = json + len };
	uint64_t ns;

	buf_str(out, "{\"resourceLogs\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\","
		     "\"value\":{\"stringValue\":\"tcptrail\"}}]},\"scopeLogs\":[{\"scope\":{"
		     "\"name\":\"tcptrail\",\"version\":\"" TCPTRAIL_VERSION "\"},"
		     "\"logRecords\":[{\"attributes\":[");
	members(&o);
	if (o.bad || !o.name.s || !o.time.s || !unix_ns(o.time, &ns))
		return -EBADMSG;
	buf_str(out, "],");
	own_members(&o, ns);
	buf_str(out, "}]}]}]}\n");
	return 0;
}
