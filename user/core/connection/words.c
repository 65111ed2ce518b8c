/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every word that people and machines read for an enum of ours.
 *
 * Each table is indexed by its enum and as long as it; static_assert holds that.
 * An index may come from a file: out of range, or a hole, reads "unknown" and
 * never leaves the table. JSON's words are a contract: add, never change.
 */
#include <assert.h>
#include <string.h>
#include <strings.h>

#include "words.h"
#include "event.h"

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))
#define ROOM(table, count) static_assert(LENGTH(table) == (count), #table " misses a word")

static const char *const states_ss[] = {
	[ST_NONE] = "UNKNOWN",
	[ST_ESTABLISHED] = "ESTAB",
	[ST_SYN_SENT] = "SYN-SENT",
	[ST_SYN_RECV] = "SYN-RECV",
	[ST_FIN_WAIT_1] = "FIN-WAIT-1",
	[ST_FIN_WAIT_2] = "FIN-WAIT-2",
	[ST_TIME_WAIT] = "TIME-WAIT",
	[ST_CLOSED] = "CLOSED",
	[ST_CLOSE_WAIT] = "CLOSE-WAIT",
	[ST_LAST_ACK] = "LAST-ACK",
	[ST_LISTEN] = "LISTEN",
	[ST_CLOSING] = "CLOSING",
	[ST_NEW_SYN_RECV] = "SYN-RECV",
};
ROOM(states_ss, ST_COUNT);

/* The semantic convention's values of network.connection.state. */
static const char *const states_otel[] = {
	[ST_NONE] = "unknown",
	[ST_ESTABLISHED] = "established",
	[ST_SYN_SENT] = "syn_sent",
	[ST_SYN_RECV] = "syn_received",
	[ST_FIN_WAIT_1] = "fin_wait_1",
	[ST_FIN_WAIT_2] = "fin_wait_2",
	[ST_TIME_WAIT] = "time_wait",
	[ST_CLOSED] = "closed",
	[ST_CLOSE_WAIT] = "close_wait",
	[ST_LAST_ACK] = "last_ack",
	[ST_LISTEN] = "listen",
	[ST_CLOSING] = "closing",
	[ST_NEW_SYN_RECV] = "syn_received",
};
ROOM(states_otel, ST_COUNT);

/* The label values of node_tcp_connection_states. */
static const char *const states_prom[] = {
	[ST_NONE] = "unknown",
	[ST_ESTABLISHED] = "established",
	[ST_SYN_SENT] = "syn_sent",
	[ST_SYN_RECV] = "syn_recv",
	[ST_FIN_WAIT_1] = "fin_wait1",
	[ST_FIN_WAIT_2] = "fin_wait2",
	[ST_TIME_WAIT] = "time_wait",
	[ST_CLOSED] = "close",
	[ST_CLOSE_WAIT] = "close_wait",
	[ST_LAST_ACK] = "last_ack",
	[ST_LISTEN] = "listen",
	[ST_CLOSING] = "closing",
	[ST_NEW_SYN_RECV] = "syn_recv",
};
ROOM(states_prom, ST_COUNT);

/* RFC 9293, section 3.3.2, with underscores as everybody writes them. */
static const char *const states_rfc[] = {
	[ST_NONE] = "UNKNOWN",
	[ST_ESTABLISHED] = "ESTABLISHED",
	[ST_SYN_SENT] = "SYN_SENT",
	[ST_SYN_RECV] = "SYN_RECEIVED",
	[ST_FIN_WAIT_1] = "FIN_WAIT_1",
	[ST_FIN_WAIT_2] = "FIN_WAIT_2",
	[ST_TIME_WAIT] = "TIME_WAIT",
	[ST_CLOSED] = "CLOSED",
	[ST_CLOSE_WAIT] = "CLOSE_WAIT",
	[ST_LAST_ACK] = "LAST_ACK",
	[ST_LISTEN] = "LISTEN",
	[ST_CLOSING] = "CLOSING",
	[ST_NEW_SYN_RECV] = "SYN_RECEIVED",
};
ROOM(states_rfc, ST_COUNT);

static const char *const roles[] = {
	[ROLE_UNKNOWN] = "unknown",
	[ROLE_CLIENT] = "client",
	[ROLE_SERVER] = "server",
	[ROLE_LISTENER] = "listener",
};
ROOM(roles, ROLE_COUNT);

static const char *const triggers[] = {
	[TRIG_UNKNOWN] = "unknown",
	[TRIG_SYSCALL] = "syscall",
	[TRIG_PACKET] = "packet",
	[TRIG_TIMER] = "timer",
	[TRIG_ABORT] = "abort",
};
ROOM(triggers, TRIG_COUNT);

static const char *const retransmit_kinds[] = {
	[RT_SYN] = "syn",
	[RT_SYNACK] = "synack",
	[RT_TIMEOUT] = "timeout",
	[RT_FAST] = "fast",
	[RT_SLOW_START] = "slow_start",
	[RT_TAIL_LOSS_PROBE] = "tail_loss_probe",
	[RT_ZERO_WINDOW_PROBE] = "zero_window_probe",
	[RT_KEEPALIVE] = "keepalive",
};
ROOM(retransmit_kinds, RT_COUNT);

static const char *const steps[] = {
	[STEP_STATE] = "state",
	[STEP_RETRANSMIT] = "retransmit",
	[STEP_RST_SENT] = "reset_sent",
	[STEP_RST_RECEIVED] = "reset_received",
	[STEP_ACCEPT] = "accept",
	[STEP_CLOSE] = "close",
	[STEP_DROP] = "drop",
	[STEP_ERROR] = "error",
	[STEP_SYN_IN] = "syn_received",
	[STEP_SYNACK_SENT] = "synack_sent",
	[STEP_FIN_IN] = "fin_received",
	[STEP_ABORT] = "abort",
};
ROOM(steps, STEP_KINDS);

static const char *const time_wait_ends[] = {
	[TW_NONE] = "none",
	[TW_RUNNING] = "running",
	[TW_EXPIRED] = "expired",
	[TW_REUSED] = "reused",
	[TW_KILLED] = "killed",
};
ROOM(time_wait_ends, TW_ENDS);

static const char *const timers[] = {
	[TIMER_NONE] = "none",
	[TIMER_RETRANSMIT] = "retransmit",
	[TIMER_PERSIST] = "persist",
	[TIMER_KEEPALIVE] = "keepalive",
	[TIMER_FIN_WAIT_2] = "fin_wait_2",
	[TIMER_TIME_WAIT] = "time_wait",
	[TIMER_DELAYED_ACK] = "delayed_ack",
	[TIMER_LOSS_PROBE] = "loss_probe",
	[TIMER_SYNACK] = "synack",
};
ROOM(timers, TIMER_MAX);

static const char *const losses[] = {
	[LOSS_RING_FULL] = "ring_full",
	[LOSS_RECURSION] = "recursion",
	[LOSS_TABLE_FULL] = "table_full",
	[LOSS_OUTPUT_SLOW] = "output_slow",
	[LOSS_MALFORMED] = "malformed",
	[LOSS_STACK_LIMIT] = "stack_limit",
	[LOSS_END_UNSEEN] = "end_unseen",
};
ROOM(losses, LOSS_REASONS);

static const char *const events[] = {
	[EV_NONE] = "none",
	[EV_STATE] = "state",
	[EV_RETRANSMIT] = "retransmit",
	[EV_SYNACK_RETRANSMIT] = "synack_retransmit",
	[EV_RST_SENT] = "rst_sent",
	[EV_RST_RECEIVED] = "rst_received",
	[EV_ERROR] = "error",
	[EV_DROP] = "drop",
	[EV_SYN_IN] = "syn_in",
	[EV_REQ_NEW] = "req_new",
	[EV_SYNACK_SENT] = "synack_sent",
	[EV_REQ_GONE] = "req_gone",
	[EV_REQ_REFUSED] = "req_refused",
	[EV_ACCEPT] = "accept",
	[EV_TW_ENTER] = "tw_enter",
	[EV_TW_LEAVE] = "tw_leave",
	[EV_TW_SEGMENT] = "tw_segment",
	[EV_PROBE] = "probe",
	[EV_ABORT] = "abort",
	[EV_SOCK] = "sock",
	[EV_REQ_SOCK] = "req_sock",
	[EV_TW_SOCK] = "tw_sock",
	[EV_HOLDER] = "holder",
	[EV_TICK] = "tick",
	[EV_TW_LOOKUP] = "tw_lookup",
	[EV_SNAPSHOT_BEGIN] = "snapshot_begin",
	[EV_SNAPSHOT_END] = "snapshot_end",
	[EV_LOST] = "lost",
	[EV_CLOCK] = "clock",
	[EV_RST_SEGMENT] = "rst_segment",
	[EV_FACT] = "fact",
	[EV_DESTROY] = "destroy",
	[EV_STACK] = "stack",
};
ROOM(events, EV_KIND_MAX);

static const char *pick(const char *const *table, size_t length, unsigned i)
{
	return i < length && table[i] ? table[i] : "unknown";
}

#define WORD(name, table)                                                                          \
	const char *word_##name(unsigned i)                                                        \
	{                                                                                          \
		return pick(table, LENGTH(table), i);                                              \
	}

WORD(state_ss, states_ss)
WORD(state_otel, states_otel)
WORD(state_prom, states_prom)
WORD(state_rfc, states_rfc)
WORD(role, roles)
WORD(trigger, triggers)
WORD(retransmit, retransmit_kinds)
WORD(step, steps)
WORD(time_wait, time_wait_ends)
WORD(timer, timers)
WORD(loss, losses)
WORD(event, events)

const char *word_errno(unsigned err)
{
	const char *name;

	if (!err)
		return "";
	name = err <= 4095 ? strerrorname_np((int)err) : NULL; /* the kernel's MAX_ERRNO */
	return name ? name : "unknown";
}

/* Spellings that are in no table but in the fingers of those who type filters. */
static const struct {
	const char *word;
	enum tcp_state state;
} aliases[] = {
	{ "listening", ST_LISTEN },
	{ "unconn", ST_CLOSED },
	{ "syn_rcvd", ST_SYN_RECV },
};

/* Equal but for case, and for '-' where the other has '_'. */
static bool same_word(const char *s, unsigned len, const char *word)
{
	for (unsigned i = 0; i < len; i++, word++) {
		char a = s[i] == '-' ? '_' : s[i];
		char b = *word == '-' ? '_' : *word;

		if (!b || strncasecmp(&a, &b, 1))
			return false;
	}
	return !*word;
}

enum tcp_state word_to_state(const char *s, unsigned len)
{
	for (unsigned st = ST_ESTABLISHED; st < ST_NEW_SYN_RECV; st++)
		if (same_word(s, len, states_ss[st]) || same_word(s, len, states_otel[st]) ||
		    same_word(s, len, states_prom[st]) || same_word(s, len, states_rfc[st]))
			return st;
	for (unsigned i = 0; i < LENGTH(aliases); i++)
		if (same_word(s, len, aliases[i].word))
			return aliases[i].state;
	return ST_NONE;
}
