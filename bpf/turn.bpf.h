/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Two programs take turns: the kernel does not run a program on top of itself, so what happens on
 * top of the first one (a timer tick interrupts it in a task, and softirqs run there: hundreds of
 * delayed ACKs perhaps) is told by a second one behind it on the same tracepoint. The second one
 * has to know whether the first was run for this event. One struct turn a processor.
 *
 * Always: an event is told once. Where marks that an interruption left behind meet a second one in
 * the few instructions between the kernel's own mark of a running program and ours, one event may
 * be told by neither, and the kernel's count of misses says so: never by both.
 * tests/unit/test_turn.c interrupts each step.
 *
 * It rests on this: softirqs come on top of tasks and do not interrupt each other.
 */
#ifndef TCPTRAIL_TURN_BPF_H
#define TCPTRAIL_TURN_BPF_H

/* What a test puts between two steps. */
#ifndef TURN_STEP
#define TURN_STEP() \
	do {        \
	} while (0)
#endif

struct turn {
	volatile __u64 latest; /* whose first program ran here last; 0 once its second one did */
	volatile __u8 inside;  /* the first program is running here now */
	volatile __u8 beneath; /* `latest` took the place of one whose second is still to come */
	volatile __u8 begun;   /* both programs are attached, and the first has seen that */
};

static __always_inline void turn_enter(struct turn *t, __u64 sk)
{
	t->inside = 1;
	TURN_STEP();
	t->begun = 1;
	TURN_STEP();
	if (t->latest)
		t->beneath = 1;
	TURN_STEP();
	t->latest = sk;
	TURN_STEP();
}

static __always_inline void turn_leave(struct turn *t)
{
	t->inside = 0;
}

/* In the second program: was the first one run for this event? */
static __always_inline int turn_was(struct turn *t, __u64 sk)
{
	if (!t->begun)
		return 1;
	TURN_STEP();
	if (t->inside)
		return 0;
	TURN_STEP();
	if (t->latest == sk) {
		TURN_STEP();
		t->latest = 0;
		return 1;
	}
	TURN_STEP();
	if (t->beneath) {
		TURN_STEP();
		t->beneath = 0;
		return 1;
	}
	return 0; /* the first one lies beneath, where it has not left its mark yet, or has taken it */
}

#endif
