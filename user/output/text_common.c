/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layout and the small words of all text views.
 *
 * A column is a promise about where it starts, not about how long a value may
 * be: an IPv6 endpoint moves its neighbours to the right and truncates nothing,
 * and the first column that fits again is back in its place. A process's name
 * alone is cut (-w has it whole): every row of a long one would be out of place.
 *
 * Never printf here: a busy host prints tens of thousands of these a second.
 */
#include "text.h"

#include <limits.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../core/pipeline/pipeline.h"
#include "../core/process/proc.h"
#include "../core/connection/words.h"

/* Into a pipe always the same, whatever the terminal is. */
static int width_of(const struct session *s)
{
	struct winsize w;

	if (s->o->wide)
		return INT_MAX;
	if (!s->out || !sink_is_tty(s->out) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &w))
		return TEXT_WIDTH;
	return w.ws_col > TEXT_WIDTH ? w.ws_col : TEXT_WIDTH;
}

void text_init(struct text *t, struct session *s)
{
	*t = (struct text){
		.s = s,
		.procs = s->p ? pipeline_procs(s->p) : NULL,
		.wide = s->o->wide,
		.wall_clock = s->o->wall_clock,
		.width = width_of(s),
	};
	paint_init(&t->paint, s->o);
}

void line_begin(struct line *l, const struct text *t, struct buf *b)
{
	*l = (struct line){.paint = &t->paint, .b = b, .start = b->len};
}

void line_to(struct line *l, int col)
{
	int at = line_col(l);

	buf_fill(l->b, ' ', at < col ? col - at : at > 0);
}

void line_right(struct line *l, size_t from, int end)
{
	struct buf *b = l->b;
	int col = line_col(l);
	int before = col - (int)(b->len - from); /* what was written has one byte a column */
	int pad = end - col;
	size_t n = b->len - from;

	if (pad < 1)
		pad = before > 0;
	if (!pad || !buf_room(b, (size_t)pad))
		return;
	for (size_t i = n; i-- > 0;)
		b->data[from + i + (size_t)pad] = b->data[from + i];
	for (int i = 0; i < pad; i++)
		b->data[from + (size_t)i] = ' ';
	b->len += (size_t)pad;
}

void line_put_right(struct line *l, const char *s, int end)
{
	size_t from = l->b->len;

	buf_str(l->b, s);
	line_right(l, from, end);
}

void line_word(struct line *l, enum ink ink, const char *s)
{
	if (ink != INK_NONE)
		line_ink(l, ink);
	buf_str(l->b, s);
	if (ink != INK_NONE)
		line_ink(l, INK_NONE);
}

void line_safe(struct line *l, const char *s, size_t max)
{
	size_t from = l->b->len;

	buf_safe(l->b, s, max);
	for (size_t i = from; i < l->b->len; i++)
		l->extra += (l->b->data[i] & 0xc0) == 0x80;
}

void line_cut(struct line *l, int from, int end)
{
	struct buf *b = l->b;

	if (end <= from)
		end = from + 1;
	if (line_col(l) <= end)
		return;
	while (line_col(l) >= end && b->len > l->start)
		l->extra -= ((unsigned char)b->data[--b->len] & 0xc0) == 0x80;
	line_glyph(l, GL_ELLIPSIS);
}

void line_end(struct line *l)
{
	buf_char(l->b, '\n');
}

struct mark line_mark(struct line *l)
{
	struct mark m = {l->b->len, l->extra};

	buf_char(l->b, ' ');
	return m;
}

void line_fold(struct line *l, struct mark m, int width, int indent)
{
	struct buf *b = l->b;
	char *at;

	if (line_col(l) <= width || m.at >= b->len || !buf_room(b, (size_t)indent))
		return;
	at = b->data + m.at;
	memmove(at + 1 + indent, at + 1, b->len - m.at - 1);
	memset(at + 1, ' ', (size_t)indent);
	*at = '\n';
	b->len += (size_t)indent;
	l->start = m.at + 1;
	l->extra -= m.extra;
}

void line_unless_wider(struct line *l, struct mark m, int width)
{
	if (line_col(l) <= width)
		return;
	l->b->len = m.at;
	l->extra = m.extra;
}

/* v in exactly `digits` digits. */
static void digits(struct buf *b, uint64_t v, int n)
{
	char s[20];

	for (int i = n; i-- > 0; v /= 10)
		s[i] = (char)('0' + v % 10);
	buf_put(b, s, (size_t)n);
}

/* Seven columns for as long as they suffice: what a long run needs is not its microseconds. */
static void put_seconds(struct line *l, bool before, uint64_t ns)
{
	static const struct {
		uint64_t below_s, unit_ns;
		int decimals;
	} scale[] = {{1000, 1000000, 3}, {10000, 10000000, 2}, {100000, 100000000, 1}};
	uint64_t s = ns / 1000000000;
	size_t from = l->b->len;

	if (before)
		buf_char(l->b, '-');
	buf_u64(l->b, s);
	for (unsigned i = 0; i < sizeof(scale) / sizeof(scale[0]); i++) {
		if (s >= scale[i].below_s)
			continue;
		buf_char(l->b, '.');
		digits(l->b, ns % 1000000000 / scale[i].unit_ns, scale[i].decimals);
		break;
	}
	line_right(l, from, TEXT_TIME_WIDTH);
}

void text_set_base(struct text *t, uint64_t ts_ns)
{
	uint64_t started = t->s ? session_started(t->s) : 0;

	t->base_ns = started ? started : ts_ns;
	t->has_base = true;
}

void text_time(const struct text *t, struct line *l, uint64_t ts_ns)
{
	if (t->wall_clock)
		buf_clock(l->b, session_realtime(t->s, ts_ns));
	else
		put_seconds(l, ts_ns < t->base_ns,
			    ts_ns < t->base_ns ? t->base_ns - ts_ns : ts_ns - t->base_ns);
}

void text_clock_line(const struct text *t, struct buf *b, uint64_t ts_ns)
{
	if (!t->wall_clock)
		return;
	buf_clock(b, session_realtime(t->s, ts_ns));
	buf_char(b, '\n');
}

void text_owner(const struct text *t, struct line *l, uint32_t proc, int pid_end, int comm_end)
{
	const struct proc *p = proc_get(t->procs, proc);
	size_t from = l->b->len;
	int col;

	if (p->pid)
		buf_u64(l->b, p->pid);
	else
		buf_char(l->b, '-');
	line_right(l, from, pid_end);
	buf_char(l->b, ' ');
	col = line_col(l);
	if (p->pid)
		line_safe(l, p->comm, PROC_COMM_LEN);
	else
		buf_char(l->b, '-');
	line_cut(l, col, comm_end);
}

void text_proc(const struct text *t, struct line *l, uint32_t proc)
{
	const struct proc *p = proc_get(t->procs, proc);

	if (!p->pid) {
		buf_char(l->b, '-');
		return;
	}
	line_safe(l, p->comm, PROC_COMM_LEN);
	buf_char(l->b, '[');
	buf_u64(l->b, p->pid);
	buf_char(l->b, ']');
}

void text_host(struct line *l, uint32_t netns, bool elsewhere)
{
	line_str(l, elsewhere ? "network namespace " : "the host");
	if (elsewhere)
		buf_u64(l->b, netns);
}

/* Names are hostile bytes too, but the resolver made them safe. */
void text_endpoint(const struct text *t, struct line *l, const uint8_t addr[16], uint16_t port)
{
	if (t->s && t->s->names)
		session_endpoint(t->s, l->b, addr, port);
	else
		buf_endpoint(l->b, addr, port);
}

enum glyph text_role_glyph(unsigned role)
{
	return role == ROLE_CLIENT ? GL_OUT : role == ROLE_SERVER ? GL_IN : GL_BETWEEN;
}

void text_ends(const struct text *t, struct line *l, const struct conn *c, int port_end)
{
	size_t from;

	if (c->role == ROLE_LISTENER) {
		if (!t->wide)
			line_to(l, port_end - TEXT_PORT_WIDTH);
		from = l->b->len;
		text_endpoint(t, l, c->local, c->lport);
		if (t->wide)
			line_right(l, from, port_end);
		return;
	}
	from = l->b->len;
	if (!c->lport) /* connect() has just begun: no port yet */
		buf_char(l->b, '-');
	else if (t->wide)
		text_endpoint(t, l, c->local, c->lport);
	else if (t->s)
		session_port(t->s, l->b, c->lport);
	else
		buf_u64(l->b, c->lport);
	line_right(l, from, port_end);
	if (t->wide)
		buf_char(l->b, ' ');
	line_glyph(l, text_role_glyph(c->role));
	if (t->wide)
		buf_char(l->b, ' ');
	text_endpoint(t, l, c->peer, c->pport);
}

/* n / unit to three figures. unit divides by 100. */
static void three_figures(struct buf *b, uint64_t n, uint64_t unit)
{
	uint64_t whole = n / unit, rest = n % unit;

	buf_u64(b, whole);
	if (whole >= 100)
		return;
	buf_char(b, '.');
	if (whole >= 10)
		digits(b, rest / (unit / 10), 1);
	else
		digits(b, rest / (unit / 100), 2);
}

/* The unit that leaves less than a thousand of it. */
static uint64_t size_unit(uint64_t n, char *name)
{
	static const char names[] = "kMGTPE";
	uint64_t unit = 1000;
	unsigned i = 0;

	while (n / unit >= 1000 && names[i + 1]) {
		unit *= 1000;
		i++;
	}
	*name = names[i];
	return unit;
}

void text_size(struct buf *b, uint64_t n)
{
	char name;

	if (n < 10000) {
		buf_u64(b, n);
		return;
	}
	three_figures(b, n, size_unit(n, &name));
	buf_char(b, name);
}

void text_size_short(struct buf *b, uint64_t n)
{
	uint64_t unit;
	char name;

	if (n < 10000) {
		buf_u64(b, n);
		return;
	}
	unit = size_unit(n, &name);
	buf_u64(b, n / unit);
	if (n / unit < 10) {
		buf_char(b, '.');
		digits(b, n % unit / (unit / 10), 1);
	}
	buf_char(b, name);
}

void text_ms(struct buf *b, int64_t ns)
{
	uint64_t us = (uint64_t)ns / 1000;

	if (ns < 0) {
		buf_char(b, '-');
		return;
	}
	if (us < 1000) {
		buf_str(b, "0.");
		digits(b, us, 3);
		return;
	}
	three_figures(b, us, 1000);
}

void text_duration(struct buf *b, int64_t ns)
{
	if (ns < 0)
		buf_char(b, '-');
	else
		buf_duration(b, (uint64_t)ns);
}

unsigned text_retransmits(const struct conn *c)
{
	unsigned n = 0;

	for (unsigned i = 0; i < RT_COUNT; i++)
		n += conn_end(c)->retransmits[i];
	return n;
}
