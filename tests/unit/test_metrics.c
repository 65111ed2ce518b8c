/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metrics: bounded whatever processes call themselves, and text that Prometheus
 * takes. Fed through a real pipeline, or by the callbacks alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "write/buf.h"
#include "metrics/metrics.h"
#include "stuck/stuck.h"
#include "metrics/tally.h"

enum { PROCESSES = 10000 };

static const char *no_reason(void *arg, unsigned reason)
{
	return reason == 3 ? "TCP_CLOSE" : "";
}

static const char *unit_of(void *arg, const struct cgroup *g)
{
	return g->unit;
}

static unsigned lines_with(const char *text, const char *start)
{
	unsigned n = 0;

	for (const char *at = text; (at = strstr(at, start)); at += strlen(start))
		n += at == text || at[-1] == '\n';
	return n;
}

static char *write_text(const struct metrics *m, const struct stats *st)
{
	struct metrics_tracer t = {
		.stats = st, .version = "1", .mode = "base", .reset_reason = no_reason};
	struct buf b = {0};

	metrics_write(m, &t, &b);
	buf_char(&b, '\0');
	assert_false(b.failed);
	return b.data;
}

static uint64_t value_of(const char *text, const char *series)
{
	const char *at = strstr(text, series);

	assert_non_null(at);
	return strtoull(at + strlen(series), NULL, 10);
}

static void feed_sock(struct pipeline *p, unsigned i, unsigned kind, unsigned state)
{
	struct event e = {.kind = kind, .cookie = i + 1, .netns = 4026531833u, .new_state = state};

	e.ts_ns = 1000000000ull + i;
	e.flags = EVF_TASK | (state == ST_LISTEN ? EVF_LISTEN : EVF_TCP);
	e.local[10] = e.local[11] = e.peer[10] = e.peer[11] = 0xff;
	e.local[12] = e.peer[12] = 127;
	e.local[15] = e.peer[15] = 1;
	e.lport = (uint16_t)(1024 + i);
	e.pport = state == ST_LISTEN ? 0 : 80;
	e.task.pid = 100 + i;
	e.task.tid = 100 + i;
	snprintf(e.task.comm, sizeof(e.task.comm), "worker-%u", i);
	if (state == ST_LISTEN)
		e.listen.accept_queue = 1;
	assert_int_equal(pipeline_feed(p, &e, sizeof(e)), 0);
}

/* The bounds in the text are those that observations are counted by. */
static void check_bounds(const char *text, const char *series, const double *bounds)
{
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		text = strstr(text, series);
		assert_non_null(text);
		text += strlen(series);
		assert_true(strtod(text, NULL) == bounds[i]);
	}
	text = strstr(text, series);
	assert_non_null(text);
	assert_memory_equal(text + strlen(series), "+Inf\"} 0\n", 9);
}

static void test_bounds(void **state)
{
	const struct stats st = {0};
	struct metrics m;
	char *text;

	assert_int_equal(metrics_init(&m), 0);
	text = write_text(&m, &st);
	check_bounds(text, "tcptrail_handshake_duration_seconds_bucket{role=\"client\",le=\"",
		     handshake_buckets);
	check_bounds(text, "tcptrail_state_duration_seconds_bucket{state=\"fin_wait2\",le=\"",
		     state_buckets);
	assert_non_null(
		strstr(text, "\ntcptrail_handshake_duration_seconds_sum{role=\"client\"} 0\n"));
	assert_non_null(
		strstr(text, "\ntcptrail_stuck_oldest_age_seconds{state=\"close_wait\"} 0\n"));
	free(text);
	metrics_free(&m);
}

/* 10,000 processes, each with a listener of its own name and one connection. */
static void test_names_are_bounded(void **state)
{
	static const struct view_ops ops;
	struct pipeline *p = pipeline_new(&(struct pipeline_config){0}, &ops, NULL);
	struct event mark = {.kind = EV_SNAPSHOT_BEGIN, .ts_ns = 1000000000ull};
	struct stuck_report report = {0};
	struct metrics m;
	char *text;

	assert_int_equal(metrics_init(&m), 0);
	assert_int_equal(pipeline_feed(p, &mark, sizeof(mark)), 0);
	for (unsigned i = 0; i < PROCESSES; i++)
		feed_sock(p, i, EV_HOLDER, ST_LISTEN);
	mark.kind = EV_SNAPSHOT_END;
	mark.ts_ns += PROCESSES;
	assert_int_equal(pipeline_feed(p, &mark, sizeof(mark)), 0);
	metrics_look(&m, &(struct metrics_look){.p = p, .stuck = &report, .workload = unit_of});
	text = write_text(&m, pipeline_stats(p));
	assert_int_equal(
		value_of(text, "tcptrail_connections{state=\"listen\",role=\"listener\"} "),
		PROCESSES);
	assert_int_equal(lines_with(text, "tcptrail_accept_queue_length{"), TALLY_PLACES + 1);
	assert_int_equal(value_of(text, "tcptrail_accept_queue_length{process=\"other\"} "),
			 PROCESSES - TALLY_PLACES);
	assert_true(lines_with(text, "tcptrail_") < 500);
	free(text);
	stuck_free(&report);
	metrics_free(&m);
	pipeline_free(p);
}

static void test_places_stay(void **state)
{
	struct tally t = {0};
	char name[16], first[TALLY_NAME_LEN];

	for (unsigned round = 0; round < 3; round++) {
		tally_clear(&t);
		for (unsigned i = 0; i < 100; i++) {
			snprintf(name, sizeof(name), "p%u", i);
			/* Who has a little more changes each round; nobody twice as much. */
			tally_add(&t, name, 1, 100 + (i + round * 37) % 100);
		}
		tally_settle(&t);
		if (!round)
			strcpy(first, t.places[0]);
		assert_string_equal(t.places[0], first);
	}
	tally_clear(&t);
	tally_add(&t, "p1", 1, 1);
	tally_settle(&t);
	assert_string_equal(t.places[0][0] ? t.places[0] : "p1", "p1");
	assert_int_equal(t.top[TALLY_PLACES].total, 0);
	tally_free(&t);
}

static void test_sum_is_kept(void **state)
{
	struct tally t = {0};
	uint64_t sum = 0;
	char name[16];

	for (unsigned i = 0; i < 3 * TALLY_NAMES; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		tally_add(&t, name, i % TALLY_COLUMNS, 1);
	}
	tally_settle(&t);
	assert_true(t.len <= TALLY_NAMES);
	for (unsigned i = 0; i <= TALLY_PLACES; i++)
		sum += t.top[i].total;
	assert_int_equal(sum, 3 * TALLY_NAMES);
	tally_free(&t);
}

/* Two series of one name would make Prometheus refuse the whole scrape. */
static void test_hostile_names(void **state)
{
	struct metrics m;
	struct stats st = {0};
	char *text;

	assert_int_equal(metrics_init(&m), 0);
	tally_add(&m.accept_queue, "other", 0, 5);
	tally_add(&m.accept_queue, "a\"b\\c\nd", 0, 1);
	tally_add(&m.accept_queue, "\xff", 0, 2);
	tally_add(&m.accept_queue, "\xfe", 0, 3);
	tally_settle(&m.accept_queue);
	text = write_text(&m, &st);
	assert_int_equal(value_of(text, "tcptrail_accept_queue_length{process=\"other\"} "), 5);
	assert_int_equal(value_of(text, "tcptrail_accept_queue_length{process=\"\xef\xbf\xbd\"} "),
			 5);
	assert_int_equal(
		value_of(text, "tcptrail_accept_queue_length{process=\"a\\\"b\\\\c\\nd\"} "), 1);
	assert_int_equal(lines_with(text, "tcptrail_accept_queue_length{"), 3);
	free(text);
	metrics_free(&m);
}

static void test_counters(void **state)
{
	struct conn c = {.role = ROLE_CLIENT};
	struct change ch = {.kind = CHANGE_STATE, .from = ST_CLOSE_WAIT, .to = ST_LAST_ACK};
	struct verdict v = {
		.conn_state = CS_REJ, .end_reason = END_REFUSED, .teardown = TD_ABORTED};
	struct stats st = {0};
	struct metrics m;
	char *text;

	assert_int_equal(metrics_init(&m), 0);
	ch.state_duration_ns = 45000000000ll;
	metrics_change(&m, &c, &ch);
	ch.duration_at_least = true; /* not known: not counted */
	metrics_change(&m, &c, &ch);
	ch = (struct change){.kind = CHANGE_RESET, .reason = 3};
	metrics_change(&m, &c, &ch);
	ch = (struct change){.kind = CHANGE_RESET, .received = true, .reason = 4000000};
	metrics_change(&m, &c, &ch);
	metrics_conn_end(&m, &c, &v);
	text = write_text(&m, &st);
	assert_int_equal(value_of(text, "tcptrail_connect_failures_total{reason=\"refused\"} "), 1);
	assert_int_equal(
		value_of(text,
			 "tcptrail_connections_closed_total{role=\"client\",conn_state=\"REJ\"} "),
		1);
	assert_int_equal(
		value_of(text, "tcptrail_resets_total{direction=\"sent\",reason=\"TCP_CLOSE\"} "),
		1);
	assert_int_equal(
		value_of(text, "tcptrail_resets_total{direction=\"received\",reason=\"unknown\"} "),
		1);
	assert_int_equal(
		value_of(text,
			 "tcptrail_state_duration_seconds_bucket{state=\"close_wait\",le=\"30\"} "),
		0);
	assert_int_equal(
		value_of(text,
			 "tcptrail_state_duration_seconds_bucket{state=\"close_wait\",le=\"60\"} "),
		1);
	assert_int_equal(value_of(text, "tcptrail_state_duration_seconds_bucket{state=\"close_"
					"wait\",le=\"+Inf\"} "),
			 1);
	assert_int_equal(
		value_of(text, "tcptrail_state_duration_seconds_sum{state=\"close_wait\"} "), 45);
	free(text);
	metrics_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_names_are_bounded), cmocka_unit_test(test_places_stay),
		cmocka_unit_test(test_sum_is_kept),	  cmocka_unit_test(test_hostile_names),
		cmocka_unit_test(test_counters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
