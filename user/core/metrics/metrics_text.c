/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metrics as Prometheus text 0.0.4: HELP and TYPE once for each family, then its
 * series. Series that exist at all are there from the first scrape on, at 0, so that
 * rate() sees the first increase; names of processes and workloads come as they come.
 *
 * Always: label values are valid UTF-8 with \, " and newline escaped, whatever a process
 * calls itself.
 */
#include <stddef.h>
#include <string.h>

#include "write/buf.h"
#include "metrics.h"
#include "connection/words.h"

const double handshake_buckets[HISTOGRAM_BUCKETS] = {
	0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 3, 7};
const double state_buckets[HISTOGRAM_BUCKETS] = {0.001, 0.01, 0.1, 0.5, 1,   5,	  10,
						 30,	60,   120, 300, 900, 3600};

/* The same as they stand in the text: a hundred of them in every scrape are not formatted anew. */
static const char *const handshake_le[HISTOGRAM_BUCKETS] = {
	"0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025", "0.05",
	"0.1",	  "0.25",  "0.5",    "1",     "3",    "7"};
static const char *const state_le[HISTOGRAM_BUCKETS] = {
	"0.001", "0.01", "0.1", "0.5", "1", "5", "10", "30", "60", "120", "300", "900", "3600"};

static void family(struct buf *b, const char *name, const char *type, const char *help)
{
	buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Hostile bytes become a label's value. */
static void put_value(struct buf *b, const char *s)
{
	size_t n = strlen(s);

	for (size_t i = 0; i < n;) {
		unsigned len = utf8_length(s + i, n - i);

		if (!len)
			buf_str(b, "\xef\xbf\xbd");
		else if (s[i] == '\n')
			buf_str(b, "\\n");
		else if (s[i] == '"' || s[i] == '\\')
			buf_put(b, s[i] == '"' ? "\\\"" : "\\\\", 2);
		else
			buf_put(b, s + i, len);
		i += len ? len : 1;
	}
}

static void label(struct buf *b, bool *any, const char *key, const char *value)
{
	buf_char(b, *any ? ',' : '{');
	buf_str(b, key);
	buf_str(b, "=\"");
	put_value(b, value);
	buf_char(b, '"');
	*any = true;
}

/* name{k1="v1",k2="v2"} value; k2 NULL: one label; k1 NULL: none. */
static void series(struct buf *b, const char *name, const char *k1, const char *v1, const char *k2,
		   const char *v2, uint64_t value)
{
	bool any = false;

	buf_str(b, name);
	if (k1)
		label(b, &any, k1, v1);
	if (k2)
		label(b, &any, k2, v2);
	buf_str(b, any ? "} " : " ");
	buf_u64(b, value);
	buf_char(b, '\n');
}

/* Request sockets are SYN_RECV to everyone but the kernel; CLOSED is no state of a socket. */
static bool own_state(unsigned s)
{
	return s != ST_NONE && s != ST_NEW_SYN_RECV;
}

static void put_connections(const struct metrics *m, struct buf *b)
{
	static const char name[] = "tcptrail_connections";

	family(b, name, "gauge",
	       "Sockets in each TCP state. role is unknown where the handshake was "
	       "not seen, and of TIME_WAIT once the connection has been written.");
	for (unsigned s = 1; s < ST_COUNT; s++)
		for (unsigned r = 0; r < ROLE_COUNT; r++)
			if (own_state(s) && s != ST_CLOSED &&
			    (s == ST_LISTEN) == (r == ROLE_LISTENER))
				series(b, name, "state", word_state_prom(s), "role", word_role(r),
				       m->connections[s][r]);
}

/* RFC 9293, figure 5: these are there from the start. */
static bool is_arc(unsigned from, unsigned to)
{
	static const uint16_t arcs[ST_COUNT] = {
		[ST_CLOSED] = 1 << ST_SYN_SENT | 1 << ST_LISTEN,
		[ST_LISTEN] = 1 << ST_SYN_RECV | 1 << ST_CLOSED,
		[ST_SYN_SENT] = 1 << ST_ESTABLISHED | 1 << ST_CLOSED,
		[ST_SYN_RECV] = 1 << ST_ESTABLISHED | 1 << ST_CLOSED,
		[ST_ESTABLISHED] = 1 << ST_FIN_WAIT_1 | 1 << ST_CLOSE_WAIT | 1 << ST_CLOSED,
		[ST_FIN_WAIT_1] = 1 << ST_FIN_WAIT_2 | 1 << ST_CLOSING | 1 << ST_TIME_WAIT,
		[ST_FIN_WAIT_2] = 1 << ST_TIME_WAIT,
		[ST_CLOSING] = 1 << ST_TIME_WAIT,
		[ST_CLOSE_WAIT] = 1 << ST_LAST_ACK,
		[ST_LAST_ACK] = 1 << ST_CLOSED,
	};

	return arcs[from] & 1 << to;
}

static void put_transitions(const struct stats *st, struct buf *b)
{
	static const char name[] = "tcptrail_state_transitions_total";

	family(b, name, "counter", "Transitions between TCP states.");
	for (unsigned from = 1; from < ST_COUNT; from++)
		for (unsigned to = 1; to < ST_COUNT; to++)
			if (own_state(from) && own_state(to) && from != to &&
			    (is_arc(from, to) || st->transitions[from][to]))
				series(b, name, "from", word_state_prom(from), "to",
				       word_state_prom(to), st->transitions[from][to]);
}

static void put_lives(const struct metrics *m, const struct stats *st, struct buf *b)
{
	static const char opened[] = "tcptrail_connections_opened_total";
	static const char closed[] = "tcptrail_connections_closed_total";
	static const char failed[] = "tcptrail_connect_failures_total";

	family(b, opened, "counter", "Connections whose beginning was seen.");
	for (unsigned r = 0; r < ROLE_COUNT; r++)
		if (r == ROLE_CLIENT || r == ROLE_SERVER)
			series(b, opened, "role", word_role(r), NULL, NULL,
			       st->connections_opened[r]);
	family(b, closed, "counter", "Connections that ended, by Zeek's conn_state.");
	for (unsigned r = 0; r < ROLE_COUNT; r++)
		for (unsigned s = 0; s < CS_COUNT; s++)
			if (m->closed[r][s] ||
			    (s == CS_SF && (r == ROLE_CLIENT || r == ROLE_SERVER)))
				series(b, closed, "role", word_role(r), "conn_state",
				       word_conn_state(s), m->closed[r][s]);
	family(b, failed, "counter", "connect() that did not reach ESTABLISHED.");
	for (unsigned r = 0; r < END_REASONS; r++)
		if (m->failures[r] || r == END_REFUSED || r == END_SYN_TIMEOUT)
			series(b, failed, "reason", word_end_reason(r), NULL, NULL, m->failures[r]);
}

static void put_segments(const struct metrics *m, const struct metrics_tracer *t, struct buf *b)
{
	static const char again[] = "tcptrail_retransmits_total",
			  resets[] = "tcptrail_resets_total";
	static const char *const directions[] = {"sent", "received"};

	family(b, again, "counter", "Segments sent again.");
	for (unsigned k = 0; k < RT_COUNT; k++)
		series(b, again, "kind", word_retransmit(k), NULL, NULL, t->stats->retransmits[k]);
	family(b, resets, "counter", "RST segments, with the kernel's reason where it has one.");
	for (unsigned d = 0; d < 2; d++) {
		/* Numbers without a name are told together. */
		uint64_t nameless = m->resets[d][METRIC_REASONS];

		for (unsigned r = 0; r < METRIC_REASONS; r++) {
			const char *word = r ? t->reset_reason(t->arg, r) : NULL;

			if (!word || !word[0])
				nameless += m->resets[d][r];
			else if (m->resets[d][r])
				series(b, resets, "direction", directions[d], "reason", word,
				       m->resets[d][r]);
		}
		series(b, resets, "direction", directions[d], "reason", "unknown", nameless);
	}
}

static void put_seconds(struct buf *b, uint64_t ns)
{
	if (ns)
		buf_printf(b, "%.9g", (double)ns / 1e9);
	else
		buf_char(b, '0');
}

static void bucket(struct buf *b, const char *name, const char *key, const char *value,
		   const char *le, uint64_t n)
{
	bool any = false;

	buf_str(b, name);
	buf_str(b, "_bucket");
	label(b, &any, key, value);
	label(b, &any, "le", le);
	buf_str(b, "} ");
	buf_u64(b, n);
	buf_char(b, '\n');
}

static void put_histogram(struct buf *b, const char *name, const char *key, const char *value,
			  const struct histogram *h, const char *const *le)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		n += h->at_most[i];
		bucket(b, name, key, value, le[i], n);
	}
	bucket(b, name, key, value, "+Inf", h->count);
	buf_printf(b, "%s_sum{%s=\"%s\"} ", name, key, value);
	put_seconds(b, h->sum_ns);
	buf_printf(b, "\n%s_count{%s=\"%s\"} ", name, key, value);
	buf_u64(b, h->count);
	buf_char(b, '\n');
}

static void put_histograms(const struct metrics *m, struct buf *b)
{
	static const char hs[] = "tcptrail_handshake_duration_seconds";
	static const char st[] = "tcptrail_state_duration_seconds";

	family(b, hs, "histogram", "First SYN to ESTABLISHED, at each end.");
	for (unsigned r = ROLE_CLIENT; r <= ROLE_SERVER; r++)
		put_histogram(b, hs, "role", word_role(r), &m->handshake[r], handshake_le);
	family(b, st, "histogram", "Time spent in each teardown state, told when it is left.");
	for (unsigned s = 0; s < ST_COUNT; s++)
		if (metrics_teardown_state(s))
			put_histogram(b, st, "state", word_state_prom(s), &m->state[s],
				      state_le);
}

/* One series for each name and state that counts anything; the states of a name with none of it
 * are left out, or 21 names would make 250 series. */
static void put_tally(struct buf *b, const char *name, const char *key, const struct tally *t,
		      bool by_state)
{
	for (unsigned i = 0; i <= TALLY_PLACES; i++) {
		const struct tally_entry *e = &t->top[i];

		if (!e->name[0] || (!e->total && !(i == TALLY_PLACES && t->has_other)))
			continue;
		if (!by_state)
			series(b, name, key, e->name, NULL, NULL, e->count[0]);
		for (unsigned s = 1; by_state && s < ST_COUNT && s < TALLY_COLUMNS; s++)
			if (e->count[s])
				series(b, name, "state", word_state_prom(s), key, e->name,
				       e->count[s]);
	}
}

static void put_stuck(const struct metrics *m, struct buf *b)
{
	static const char stuck[] = "tcptrail_stuck_connections";
	static const char oldest[] = "tcptrail_stuck_oldest_age_seconds";

	family(b, stuck, "gauge", "Sockets with a finding of warning or worse, by who holds them.");
	put_tally(b, stuck, "process", &m->stuck, true);
	family(b, oldest, "gauge", "How long the one that hangs longest hangs, at least; 0: none.");
	for (unsigned s = 1; s < ST_COUNT; s++)
		if (own_state(s) && s != ST_CLOSED) {
			buf_printf(b, "%s{state=\"%s\"} ", oldest, word_state_prom(s));
			put_seconds(b, m->stuck_oldest_ns[s]);
			buf_char(b, '\n');
		}
}

static void put_listeners(const struct metrics *m, struct buf *b)
{
	static const char over[] = "tcptrail_listen_overflows_total";
	static const char queue[] = "tcptrail_accept_queue_length";
	static const char load[] = "tcptrail_workload_connections";

	family(b, over, "counter",
	       "SYNs and final ACKs that a listener threw away (full mode: refused "
	       "for a full queue, at once), since the tracer came; read every 15 to 60 seconds "
	       "while somebody scrapes.");
	for (unsigned i = 0; i <= TALLY_PLACES; i++)
		if (i == TALLY_PLACES || m->overflow_places[i][0])
			series(b, over, "process",
			       i < TALLY_PLACES ? m->overflow_places[i] : "other", NULL, NULL,
			       m->overflows[i]);
	family(b, queue, "gauge", "Connections that wait for accept(), read as overflows are.");
	put_tally(b, queue, "process", &m->accept_queue, false);
	family(b, load, "gauge", "Sockets by systemd unit or Kubernetes container.");
	put_tally(b, load, "workload", &m->workload, true);
}

static void put_tracer(const struct metrics *m, const struct metrics_tracer *t, struct buf *b)
{
	static const char lost[] = "tcptrail_events_lost_total", info[] = "tcptrail_build_info";

	family(b, "tcptrail_events_total", "counter", "Records decoded.");
	series(b, "tcptrail_events_total", NULL, NULL, NULL, NULL, t->stats->events);
	family(b, lost, "counter", "Records that were not seen or not written, by reason.");
	for (unsigned i = 0; i < LOSS_REASONS; i++)
		series(b, lost, "reason", word_loss(i), NULL, NULL, t->lost[i]);
	family(b, "tcptrail_tracked_connections", "gauge", "Entries in the table of connections.");
	series(b, "tcptrail_tracked_connections", NULL, NULL, NULL, NULL, m->tracked);
	family(b, info, "gauge", "Always 1.");
	series(b, info, "version", t->version, "mode", t->mode, 1);
}

void metrics_write(const struct metrics *m, const struct metrics_tracer *t, struct buf *b)
{
	put_connections(m, b);
	put_transitions(t->stats, b);
	put_lives(m, t->stats, b);
	put_segments(m, t, b);
	put_histograms(m, b);
	put_stuck(m, b);
	put_listeners(m, b);
	put_tracer(m, t, b);
}
