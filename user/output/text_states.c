/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tcptrail states`: RFC 9293's figure 5, all eleven states, with how many sockets
 * are in each now and how many a second go along each arc.
 *
 * The figure is the picture below: {name} is a field as wide as it looks. On a
 * terminal it is redrawn in place, line over line, so that nothing flickers; into
 * a pipe it is printed once an interval.
 */
#include <stdlib.h>
#include <string.h>

#include "text.h"
#include "views.h"

#include "../core/connection/words.h"

static const char figure[] =
	"             listen()        ┌────────────────────┐      connect()\n"
	"           ┌─────────────────┤       CLOSED       ├─────────────────┐\n"
	"           │                 └────────────────────┘                 │ {cd>ss}\n"
	"┌──────────▼─────────┐                                    ┌─────────▼──────────┐\n"
	"│ LISTEN      {li   }│                                    │ SYN_SENT    {ss   }│\n"
	"└──────────┬─────────┘                                    └──┬──────────────┬──┘\n"
	"   rcv SYN │ {li>sr}                        rcv SYN {ss>sr}  │              │\n"
	"┌──────────▼─────────┐◀──────────────────────────────────────┘              │\n"
	"│ SYN_RECEIVED{sr   }│                                         rcv SYN+ACK  │\n"
	"└──┬─────────────┬───┘       ┌────────────────────┐                {ss>es}  │\n"
	"   │             └──────────▶│ ESTABLISHED {es   }│◀────────────────────────┘\n"
	"   │ close()       rcv ACK   └──┬──────────────┬──┘\n"
	"   │ {sr>f1}       {sr>es}      │              │\n"
	"┌──▼─────────────────┐◀─────────┘              └─────────▶┌────────────────────┐\n"
	"│ FIN_WAIT_1  {f1   }│ close()                   rcv FIN  │ CLOSE_WAIT  {cw   }│\n"
	"└──────────┬──────┬──┘ {es>f1}                   {es>cw}  └─────────┬──────────┘\n"
	"ACK {f1>f2}│      └─────────────────────┐ rcv FIN {f1>cl}   close() │ {cw>la}\n"
	"┌──────────▼─────────┐       ┌──────────▼─────────┐       ┌─────────▼──────────┐\n"
	"│ FIN_WAIT_2  {f2   }│       │ CLOSING     {cl   }│       │ LAST_ACK    {la   }│\n"
	"└──────────┬─────────┘       └──────────┬─────────┘       └─────────┬──────────┘\n"
	"   rcv FIN │ {f2>tw}            rcv ACK │ {cl>tw}           rcv ACK │ {la>cd}\n"
	"┌──────────▼─────────┐◀─────────────────┘                 ┌─────────▼──────────┐\n"
	"│ TIME_WAIT   {tw   }├───────────────────────────────────▶│       CLOSED       │\n"
	"└────────────────────┘            2MSL {tw>cd}            └────────────────────┘\n";

/* The same characters in ASCII. */
static const struct {
	const char *utf8;
	char ascii;
} plain[] = {
	{"─", '-'}, {"│", '|'}, {"┌", '+'}, {"┐", '+'}, {"└", '+'}, {"┘", '+'}, {"├", '+'},
	{"┤", '+'}, {"┬", '+'}, {"▼", 'v'}, {"▶", '>'}, {"◀", '<'},
};

static const struct {
	char name[3];
	uint8_t state;
} short_names[] = {
	{"li", ST_LISTEN},     {"ss", ST_SYN_SENT}, {"sr", ST_SYN_RECV},   {"es", ST_ESTABLISHED},
	{"f1", ST_FIN_WAIT_1}, {"f2", ST_FIN_WAIT_2}, {"cw", ST_CLOSE_WAIT}, {"la", ST_LAST_ACK},
	{"cl", ST_CLOSING},    {"tw", ST_TIME_WAIT},  {"cd", ST_CLOSED},
};

struct states_view {
	struct text t;
	bool tty, drawn, snapshot_told;
	uint64_t last_ns;
	uint64_t count[ST_COUNT], count_before[ST_COUNT];
	uint64_t made[ST_COUNT][ST_COUNT]; /* transitions, at the last interval */
	uint64_t delta[ST_COUNT][ST_COUNT];
	double seconds;
};

static void *states_open(struct session *s)
{
	struct states_view *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	text_init(&v->t, s);
	v->tty = sink_is_tty(s->out);
	return v;
}

static uint8_t state_named(const char *name)
{
	for (unsigned i = 0; i < sizeof(short_names) / sizeof(short_names[0]); i++)
		if (!strncmp(short_names[i].name, name, 2))
			return short_names[i].state;
	return ST_NONE;
}

/* Those whose beginning has no event of its own: a child begins in SYN_RCVD, and what is left of
 * TIME_WAIT is what came in less what has been added. */
static uint64_t arc_count(const struct states_view *v, uint8_t from, uint8_t to)
{
	if (from == ST_LISTEN && to == ST_SYN_RECV)
		return v->delta[ST_LISTEN][to] + v->delta[ST_CLOSED][to] + v->delta[ST_NONE][to];
	if (from == ST_TIME_WAIT && to == ST_CLOSED) {
		int64_t in = 0;

		for (unsigned i = 0; i < ST_COUNT; i++)
			in += (int64_t)v->delta[i][ST_TIME_WAIT];
		in -= (int64_t)v->count[ST_TIME_WAIT] - (int64_t)v->count_before[ST_TIME_WAIT];
		return in > 0 ? (uint64_t)in : 0;
	}
	return v->delta[from][to];
}

static void put_rate(struct buf *b, uint64_t n, double seconds)
{
	double rate = seconds > 0 ? (double)n / seconds : 0;
	uint64_t tenths = (uint64_t)(rate * 10 + 0.5);

	if (!n) {
		buf_char(b, '0');
		return;
	}
	if (tenths < 10000) {
		buf_u64(b, tenths / 10);
		buf_char(b, '.');
		buf_u64(b, tenths % 10);
	} else {
		text_size(b, tenths / 10);
	}
	buf_str(b, "/s");
}

/* "{ss   }" the count of a state, right-aligned; "{ss>es}" the rate of an arc. Takes as
 * many columns as it has in the figure. */
static const char *put_field(const struct states_view *v, struct line *l, const char *at)
{
	const char *end = strchr(at, '}') + 1;
	int width = (int)(end - at), col = line_col(l);
	uint8_t from = state_named(at + 1);
	size_t start = l->b->len;

	if (at[3] == '>') {
		uint64_t n = arc_count(v, from, state_named(at + 4));

		line_ink(l, n ? INK_NONE : INK_DIM);
		put_rate(l->b, n, v->seconds);
		line_ink(l, INK_NONE);
		if (line_col(l) < col + width && *end != '\n')
			line_to(l, col + width);
		return end;
	}
	buf_u64(l->b, v->count[from]);
	if (line_col(l) < col + width - 1)
		line_right(l, start, col + width - 1);
	buf_char(l->b, ' ');
	return end;
}

static unsigned utf8_bytes(unsigned char c)
{
	return c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

static const char *put_stroke(struct line *l, const char *at)
{
	unsigned n = utf8_bytes((unsigned char)*at);

	if (n == 1 || l->paint->utf8) {
		buf_put(l->b, at, n);
		l->extra += n - 1;
		return at + n;
	}
	for (unsigned i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		if (!strncmp(plain[i].utf8, at, n))
			buf_char(l->b, plain[i].ascii);
	return at + n;
}

static void end_line(const struct states_view *v, struct line *l)
{
	if (v->tty)
		buf_str(l->b, "\033[K"); /* what the last picture left behind it */
	line_end(l);
	line_begin(l, &v->t, l->b);
}

enum { RATE_WIDTH = sizeof(" 999.9/s,") - 1 };

/* Ways to CLOSED that the figure does not have: resets, refusals, time-outs. */
static void put_shortcuts(const struct states_view *v, struct line *l)
{
	unsigned shown = 0;

	line_str(l, "cut short (RST, refused, timed out): ");
	for (unsigned s = 1; s < ST_COUNT; s++) {
		if (s == ST_LAST_ACK || s == ST_TIME_WAIT || s == ST_LISTEN || s == ST_CLOSED ||
		    !v->delta[s][ST_CLOSED])
			continue;
		if (shown++)
			buf_char(l->b, ',');
		if (line_col(l) + 1 + (int)strlen(word_state_rfc(s)) + RATE_WIDTH > v->t.width) {
			end_line(v, l);
			buf_fill(l->b, ' ', 4);
		} else if (shown > 1) {
			buf_char(l->b, ' ');
		}
		line_str(l, word_state_rfc(s));
		buf_char(l->b, ' ');
		put_rate(l->b, v->delta[s][ST_CLOSED], v->seconds);
	}
	if (!shown)
		buf_char(l->b, '0');
	end_line(v, l);
}

static void draw(struct states_view *v)
{
	struct session *s = v->t.s;
	struct buf *b = sink_begin(s->out);
	struct line l;

	if (v->tty)
		buf_str(b, v->drawn ? "\033[H" : "\033[H\033[2J");
	line_begin(&l, &v->t, b);
	buf_clock(b, session_realtime(s, pipeline_now(s->p)));
	line_str(&l, "  sockets now");
	if (v->seconds > 0) {
		line_str(&l, ", and transitions a second over the last ");
		buf_duration(b, (uint64_t)(v->seconds * 1e9));
	}
	end_line(v, &l);
	for (const char *at = figure; *at;) {
		if (*at == '\n') {
			end_line(v, &l);
			at++;
		} else if (*at == '{') {
			at = put_field(v, &l, at);
		} else {
			at = put_stroke(&l, at);
		}
	}
	put_shortcuts(v, &l);
	if (v->tty)
		buf_str(b, "\033[J");
	else
		buf_char(b, '\n');
	v->drawn = true;
	sink_commit(s->out);
	session_printed(s);
}

static void count(struct states_view *v)
{
	memcpy(v->count_before, v->count, sizeof(v->count));
	pipeline_count_states(v->t.s->p, NULL, v->count);
}

static void states_interval(void *view)
{
	struct states_view *v = view;
	const struct stats *now = pipeline_stats(v->t.s->p);
	uint64_t now_ns = pipeline_now(v->t.s->p);

	for (unsigned i = 0; i < ST_COUNT; i++)
		for (unsigned j = 0; j < ST_COUNT; j++)
			v->delta[i][j] = now->transitions[i][j] - v->made[i][j];
	count(v);
	v->seconds = v->last_ns && now_ns > v->last_ns ? (double)(now_ns - v->last_ns) / 1e9 : 0;
	draw(v);
	memcpy(v->made, now->transitions, sizeof(v->made));
	v->last_ns = now_ns;
}

/* The first picture at once: the counts are true, nothing has moved yet. */
static void states_snapshot_done(void *view)
{
	struct states_view *v = view;

	if (v->snapshot_told)
		return;
	v->snapshot_told = true;
	count(v);
	memcpy(v->made, pipeline_stats(v->t.s->p)->transitions, sizeof(v->made));
	v->last_ns = pipeline_now(v->t.s->p);
	if (v->tty)
		draw(v);
}

static void states_finish(void *view)
{
	struct states_view *v = view;

	if (!v->drawn)
		states_interval(v);
}

static void states_close(void *view)
{
	free(view);
}

static const struct view_ops ops = {.snapshot_done = states_snapshot_done};

const struct view view_states_text = {
	.ops = &ops,
	.open = states_open,
	.interval = states_interval,
	.finish = states_finish,
	.close = states_close,
	.interval_s = 2,
	.child_syn_recv = true,
};
