/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many are in each state, under a FILTER: what it does not want is counted nowhere,
 * TIME_WAIT that no record waits for included, from its beginning to its end.
 */
#include "pipeline_rig.h"
#include "filter/filter.h"

struct world {
	struct seen s;
	struct filter *f;
	struct pipeline *p;
};

static void parse(struct filter **f, const char *text)
{
	char *words[1] = {(char *)text};
	struct filter_error err = {0};

	assert_int_equal(filter_parse(f, 1, words, &err), 0);
}

static void begin(struct world *w, const char *filter)
{
	w->f = NULL;
	if (filter)
		parse(&w->f, filter);
	w->p = make(&w->s, (struct pipeline_config){.filter = w->f});
}

static void end(struct world *w)
{
	pipeline_free(w->p);
	filter_free(w->f);
}

static uint64_t now_in(const struct world *w, const struct filter *also, unsigned state)
{
	uint64_t count[ST_COUNT];

	pipeline_count_states(w->p, also, count);
	return count[state];
}

static void minutes_tick(struct world *w, uint64_t from_s, uint64_t to_s)
{
	for (uint64_t t = from_s; t <= to_s; t++)
		feed(w->p, tick(t * 1000));
}

/* connect() by this process, and on into TIME_WAIT. */
static void lives_of(struct world *w, uint64_t ms, uint64_t cookie, uint32_t pid)
{
	struct event e = state(ms, cookie, ST_CLOSED, ST_SYN_SENT);

	e.flags |= EVF_TASK;
	e.task.pid = e.task.tid = pid;
	strcpy(e.task.comm, "someone");
	feed(w->p, e);
	enter_time_wait_from(w->p, ms + 1, cookie, 1);
}

static void other_ports_are_not_counted(void **st)
{
	static const struct {
		const char *filter;
		unsigned counted;
	} cases[] = {
		{NULL, 2},		   {"sport = 40001", 1},	  {"sport = 9", 0},
		{"not sport = 40001", 1},  {"dst 10.0.0.0/24", 2},	  {"netns = 78", 0},
		{"state time-wait", 2},	   {"sport = 40002 or netns = 78", 1},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world w;

		begin(&w, cases[i].filter);
		enter_time_wait(w.p, 10, 1);
		enter_time_wait(w.p, 20, 2);
		if (now_in(&w, NULL, ST_TIME_WAIT) != cases[i].counted)
			fail_msg("%s", cases[i].filter);
		assert_int_equal(pipeline_time_wait_counted(w.p), cases[i].counted);
		feed(w.p, leave(30000, 2, ST_TIME_WAIT));
		feed(w.p, leave(30000, 1, ST_TIME_WAIT));
		assert_int_equal(now_in(&w, NULL, ST_TIME_WAIT), 0);
		feed(w.p, leave(30001, 1, ST_TIME_WAIT)); /* older than the tracer */
		assert_int_equal(now_in(&w, NULL, ST_TIME_WAIT), 0);
		end(&w);
	}
}

/* A minisock that goes names nobody: who is asked for an owner counts a minute. */
static void an_owners_time_wait_has_its_minute(void **st)
{
	struct world w;

	begin(&w, "pid = 7");
	lives_of(&w, 10, 1, 7);
	lives_of(&w, 20, 2, 8);
	lives_of(&w, 30, 3, 7);
	assert_int_equal(now_in(&w, NULL, ST_TIME_WAIT), 2);
	feed(w.p, leave(40, 2, ST_TIME_WAIT));
	assert_int_equal(now_in(&w, NULL, ST_TIME_WAIT), 2);
	lives_of(&w, 2000, 4, 7); /* after that word, too */
	assert_int_equal(now_in(&w, NULL, ST_TIME_WAIT), 3);
	minutes_tick(&w, 3, 61);
	assert_int_equal(now_in(&w, NULL, ST_TIME_WAIT), 1);
	minutes_tick(&w, 62, 64);
	assert_int_equal(now_in(&w, NULL, ST_TIME_WAIT), 0);
	end(&w);
}

static void what_was_there_before_is_asked_too(void **st)
{
	static const struct {
		const char *filter;
		unsigned counted;
	} cases[] = {{NULL, 1}, {"dport = 443", 1}, {"dport = 80", 0}, {"pid = 7", 0}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct event mark = tick(1), e = state(2, 9, ST_TIME_WAIT, ST_TIME_WAIT);
		struct world w;

		begin(&w, cases[i].filter);
		mark.kind = EV_SNAPSHOT_BEGIN;
		feed(w.p, mark);
		e.kind = EV_TW_SOCK;
		e.flags = 0;
		e.extra.tw.substate = ST_TIME_WAIT;
		e.extra.tw.expires_ms = 30000;
		feed(w.p, e);
		mark.kind = EV_SNAPSHOT_END;
		feed(w.p, mark);
		if (now_in(&w, NULL, ST_TIME_WAIT) != cases[i].counted)
			fail_msg("%s", cases[i].filter);
		minutes_tick(&w, 1, 33);
		assert_int_equal(now_in(&w, NULL, ST_TIME_WAIT), 0);
		end(&w);
	}
}

static void states_and_moves_are_of_what_is_wanted(void **st)
{
	struct filter *also = NULL;
	struct event other;
	struct world w;

	begin(&w, "sport = 40000");
	open_client(w.p, 1);
	feed(w.p, state(3, 2, ST_CLOSED, ST_SYN_SENT));
	other = state(4, 2, ST_SYN_SENT, ST_ESTABLISHED);
	other.lport = 50000;
	feed(w.p, other);
	assert_int_equal(now_in(&w, NULL, ST_ESTABLISHED), 1);
	assert_int_equal(pipeline_stats(w.p)->now_in_state[ST_ESTABLISHED], 2);
	assert_int_equal(pipeline_stats(w.p)->transitions[ST_SYN_SENT][ST_ESTABLISHED], 1);
	other.kind = EV_RST_SENT;
	feed(w.p, other);
	assert_int_equal(pipeline_stats(w.p)->resets[0], 0);
	other.cookie = 1;
	feed(w.p, other);
	assert_int_equal(pipeline_stats(w.p)->resets[0], 1);
	parse(&also, "dport = 80");
	assert_int_equal(now_in(&w, also, ST_ESTABLISHED), 0);
	filter_free(also);
	parse(&also, "dport = 443");
	assert_int_equal(now_in(&w, also, ST_ESTABLISHED), 1);
	filter_free(also);
	end(&w);
}

/* Only counted: another filter cannot be asked of it, and gets none. */
static void another_filter_gets_no_time_wait(void **st)
{
	struct filter *also = NULL;
	struct world w;

	begin(&w, NULL);
	enter_time_wait(w.p, 10, 1);
	parse(&also, "dport = 443");
	assert_int_equal(now_in(&w, also, ST_TIME_WAIT), 0);
	assert_int_equal(now_in(&w, NULL, ST_TIME_WAIT), 1);
	filter_free(also);
	end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(other_ports_are_not_counted),
		cmocka_unit_test(an_owners_time_wait_has_its_minute),
		cmocka_unit_test(what_was_there_before_is_asked_too),
		cmocka_unit_test(states_and_moves_are_of_what_is_wanted),
		cmocka_unit_test(another_filter_gets_no_time_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
