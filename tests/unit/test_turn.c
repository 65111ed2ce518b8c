/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bpf/turn.bpf.h, interrupted at each step: two programs on a tracepoint as the kernel runs them
 * (none on top of itself, which it counts), events in a task, and events of a softirq on top of
 * them wherever one may begin.
 */
#include <linux/types.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void step(void);

#define TURN_STEP() step()
#include "../../bpf/turn.bpf.h"

enum { OUTER = 3, CUTS = 3, BURST = 2, SOCKETS = 3, EVENTS = OUTER + CUTS * BURST };

enum { FIRST, SECOND, PROGRAMS };

static struct {
	struct turn turn;
	unsigned active[PROGRAMS], missed, taken_over;
	unsigned steps;                /* so far, of the task's events */
	unsigned cut[CUTS];            /* after which of them a softirq comes */
	unsigned sk[EVENTS];           /* whose: first the task's, then the bursts' */
	unsigned ncuts, done, depth;
	unsigned now;                  /* the task's event that is under way */
	unsigned told[EVENTS];
} m;

static void first(unsigned event)
{
	turn_enter(&m.turn, 1 + m.sk[event]);
	m.told[event]++;
	step();
	turn_leave(&m.turn);
}

static void second(unsigned event)
{
	if (turn_was(&m.turn, 1 + m.sk[event]))
		return;
	m.taken_over++;
	m.told[event]++;
}

/* As __bpf_trace_run() does. */
static void run(unsigned program, unsigned event)
{
	step();
	if (++m.active[program] == 1) {
		step();
		(program == FIRST ? first : second)(event);
		step();
	} else if (program == FIRST) {
		m.missed++;
	}
	m.active[program]--;
	step();
}

static void happen(unsigned event)
{
	run(FIRST, event);
	run(SECOND, event);
}

static void step(void)
{
	if (m.depth)
		return;
	m.steps++;
	for (unsigned i = 0; i < m.ncuts; i++) {
		unsigned *sk = &m.sk[OUTER + i * BURST];

		if (m.cut[i] != m.steps)
			continue;
		m.depth = 1;
		for (unsigned k = 0; k < BURST; k++) {
			if (sk[k] == m.sk[m.now]) /* that one is locked */
				sk[k] = SOCKETS;
			happen(OUTER + i * BURST + k);
		}
		m.depth = 0;
		m.done++;
	}
}

/* One world: how many events nobody told. */
static unsigned live(void)
{
	unsigned untold = 0, events = OUTER + m.ncuts * BURST;

	memset(&m.turn, 0, sizeof(m.turn));
	memset(m.told, 0, sizeof(m.told));
	m.steps = m.done = m.missed = m.taken_over = 0;
	m.turn.begun = 1;
	for (m.now = 0; m.now < OUTER; m.now++)
		happen(m.now);
	for (unsigned i = 0; i < events && m.done == m.ncuts; i++) {
		assert_in_range(m.told[i], 0, 1);
		untold += !m.told[i];
	}
	if (m.done == m.ncuts)
		assert_int_equal(m.missed - m.taken_over, untold);
	return m.done == m.ncuts ? untold : 0;
}

static unsigned length_of_it(void)
{
	m.ncuts = 0;
	live();
	return m.steps;
}

static void sockets(unsigned code)
{
	for (unsigned i = 0; i < EVENTS; i++, code /= SOCKETS)
		m.sk[i] = code % SOCKETS;
}

static void test_one_interruption_loses_nothing(void **state)
{
	unsigned codes = 1, steps;

	for (unsigned i = 0; i < OUTER + BURST; i++)
		codes *= SOCKETS;
	sockets(0);
	steps = length_of_it();
	assert_true(steps > 40);
	m.ncuts = 1;
	for (unsigned code = 0; code < codes; code++) {
		sockets(code);
		for (m.cut[0] = 1; m.cut[0] <= steps; m.cut[0]++) {
			assert_int_equal(live(), 0);
			assert_int_equal(m.done, 1);
		}
	}
}

/* Sockets are used again, and those of a softirq may be a task's next. */
static void test_three_tell_no_event_twice_and_count_all(void **state)
{
	unsigned steps, untold = 0, worlds = 0;

	sockets(0);
	steps = length_of_it();
	m.ncuts = CUTS;
	for (unsigned code = 0; code < 1u << 6; code++)
		for (unsigned a = 1; a <= steps; a++)
			for (unsigned b = a + 1; b <= steps; b++)
				for (unsigned c = b + 1; c <= steps; c++) {
					for (unsigned i = 0; i < EVENTS; i++)
						m.sk[i] = code >> i % 6 & 1;
					memcpy(m.cut, (unsigned[]){a, b, c}, sizeof(m.cut));
					untold += live();
					worlds++;
				}
	/* Only where leavings of one cut meet a second one in the few steps of a window. */
	print_message("%u of %u worlds' events untold, and counted\n", untold, worlds);
	assert_true(untold * 10 < worlds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_interruption_loses_nothing),
		cmocka_unit_test(test_three_tell_no_event_twice_and_count_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
