/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The states' spellings as ss, OpenTelemetry and node_exporter write them; every
 * other table full and without doubles; hostile indexes answered.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "connection/words.h"
#include "event.h"

static const struct {
	enum tcp_state state;
	const char *ss, *otel, *prom, *rfc;
} spellings[] = {
	{ ST_ESTABLISHED, "ESTAB", "established", "established", "ESTABLISHED" },
	{ ST_SYN_SENT, "SYN-SENT", "syn_sent", "syn_sent", "SYN_SENT" },
	{ ST_SYN_RECV, "SYN-RECV", "syn_received", "syn_recv", "SYN_RECEIVED" },
	{ ST_FIN_WAIT_1, "FIN-WAIT-1", "fin_wait_1", "fin_wait1", "FIN_WAIT_1" },
	{ ST_FIN_WAIT_2, "FIN-WAIT-2", "fin_wait_2", "fin_wait2", "FIN_WAIT_2" },
	{ ST_TIME_WAIT, "TIME-WAIT", "time_wait", "time_wait", "TIME_WAIT" },
	{ ST_CLOSED, "CLOSED", "closed", "close", "CLOSED" },
	{ ST_CLOSE_WAIT, "CLOSE-WAIT", "close_wait", "close_wait", "CLOSE_WAIT" },
	{ ST_LAST_ACK, "LAST-ACK", "last_ack", "last_ack", "LAST_ACK" },
	{ ST_LISTEN, "LISTEN", "listen", "listen", "LISTEN" },
	{ ST_CLOSING, "CLOSING", "closing", "closing", "CLOSING" },
};

static enum tcp_state state_of(const char *word)
{
	return word_to_state(word, (unsigned)strlen(word));
}

static void test_states(void **state)
{
	for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++) {
		enum tcp_state st = spellings[i].state;

		assert_string_equal(word_state_ss(st), spellings[i].ss);
		assert_string_equal(word_state_otel(st), spellings[i].otel);
		assert_string_equal(word_state_prom(st), spellings[i].prom);
		assert_string_equal(word_state_rfc(st), spellings[i].rfc);
		assert_int_equal(state_of(spellings[i].ss), st);
		assert_int_equal(state_of(spellings[i].otel), st);
		assert_int_equal(state_of(spellings[i].prom), st);
		assert_int_equal(state_of(spellings[i].rfc), st);
	}
	assert_string_equal(word_state_ss(ST_NEW_SYN_RECV), "SYN-RECV");
	assert_string_equal(word_state_otel(ST_NEW_SYN_RECV), "syn_received");
}

static void test_reading_states(void **state)
{
	assert_int_equal(state_of("close-WAIT"), ST_CLOSE_WAIT);
	assert_int_equal(state_of("Established"), ST_ESTABLISHED);
	assert_int_equal(state_of("listening"), ST_LISTEN);
	assert_int_equal(state_of("fin-wait-1"), ST_FIN_WAIT_1);
	assert_int_equal(state_of("fin-wait1"), ST_FIN_WAIT_1);
	assert_int_equal(state_of("unconn"), ST_CLOSED);
	assert_int_equal(word_to_state("estab)", 5), ST_ESTABLISHED);
	assert_int_equal(state_of(""), ST_NONE);
	assert_int_equal(state_of("clos"), ST_NONE);
	assert_int_equal(state_of("close-waits"), ST_NONE);
	assert_int_equal(state_of("unknown"), ST_NONE);
	assert_int_equal(word_to_state("listen\0ing", 10), ST_NONE);
}

static void check_table(const char *(*word)(unsigned), unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		assert_true(strlen(word(i)) > 0);
		assert_int_equal(strspn(word(i), "abcdefghijklmnopqrstuvwxyz_0123456789"),
				 strlen(word(i)));
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(word(i), word(j));
	}
	assert_string_equal(word(count), "unknown");
	assert_string_equal(word(UINT32_MAX), "unknown");
}

static void test_tables(void **state)
{
	check_table(word_role, ROLE_COUNT);
	check_table(word_trigger, TRIG_COUNT);
	check_table(word_retransmit, RT_COUNT);
	check_table(word_step, STEP_KINDS);
	check_table(word_time_wait, TW_ENDS);
	check_table(word_timer, TIMER_MAX);
	check_table(word_loss, LOSS_REASONS);
	check_table(word_event, EV_KIND_MAX);
	assert_string_equal(word_state_ss(255), "unknown");
	assert_string_equal(word_state_otel(ST_COUNT), "unknown");
}

static void test_errno(void **state)
{
	assert_string_equal(word_errno(0), "");
	assert_string_equal(word_errno(ECONNREFUSED), "ECONNREFUSED");
	assert_string_equal(word_errno(ETIMEDOUT), "ETIMEDOUT");
	assert_string_equal(word_errno(EHOSTUNREACH), "EHOSTUNREACH");
	assert_string_equal(word_errno(4000), "unknown");
	assert_string_equal(word_errno(UINT32_MAX), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_reading_states),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_errno),
	};

	return cmocka_run_group_tests_name("words", tests, NULL, NULL);
}
