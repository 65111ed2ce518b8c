/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words of a verdict, as the interface spells them, and Zeek's meanings.
 * A table each, as long as its enum.
 */
#include "verdict.h"

#define WORD(table, i) ((i) < sizeof(table) / sizeof((table)[0]) ? (table)[i] : "unknown")

static const char *const handshakes[] = {
	[HS_UNSEEN] = "unseen",	      [HS_NORMAL] = "normal",	[HS_SIMULTANEOUS] = "simultaneous",
	[HS_FAST_OPEN] = "fast_open", [HS_COOKIE] = "cookie",	[HS_REFUSED] = "refused",
	[HS_TIMED_OUT] = "timed_out", [HS_ABORTED] = "aborted", [HS_PENDING] = "pending",
};
_Static_assert(sizeof(handshakes) / sizeof(handshakes[0]) == HS_KINDS, "a word for each");

static const char *const teardowns[] = {
	[TD_OPEN] = "open",
	[TD_NORMAL] = "normal",
	[TD_HALF_CLOSED] = "half_closed",
	[TD_SIMULTANEOUS] = "simultaneous",
	[TD_RESET_SENT] = "reset_sent",
	[TD_RESET_RECEIVED] = "reset_received",
	[TD_TIMED_OUT] = "timed_out",
	[TD_ORPHANED] = "orphaned",
	[TD_KILLED] = "killed",
	[TD_ABORTED] = "aborted",
	[TD_UNSEEN] = "unseen",
};
_Static_assert(sizeof(teardowns) / sizeof(teardowns[0]) == TD_KINDS, "a word for each");

static const char *const initiators[] = {
	[INIT_NONE] = "none", [INIT_LOCAL] = "local",	[INIT_PEER] = "peer",
	[INIT_BOTH] = "both", [INIT_KERNEL] = "kernel",
};
_Static_assert(sizeof(initiators) / sizeof(initiators[0]) == INIT_COUNT, "a word for each");

static const char *const end_reasons[] = {
	[END_UNKNOWN] = "unknown",
	[END_FIN] = "fin",
	[END_RESET] = "reset",
	[END_REFUSED] = "refused",
	[END_SYN_TIMEOUT] = "syn_timeout",
	[END_RETRANSMIT_TIMEOUT] = "retransmit_timeout",
	[END_USER_TIMEOUT] = "user_timeout",
	[END_KEEPALIVE_TIMEOUT] = "keepalive_timeout",
	[END_ZERO_WINDOW_TIMEOUT] = "zero_window_timeout",
	[END_FIN_WAIT_2_TIMEOUT] = "fin_wait_2_timeout",
	[END_LINGER_RESET] = "linger_reset",
	[END_UNREAD_DATA_RESET] = "unread_data_reset",
	[END_LISTENER_CLOSED] = "listener_closed",
	[END_HALF_OPEN] = "half_open",
	[END_ICMP] = "icmp",
	[END_KILLED] = "killed",
	[END_NETNS_DESTROYED] = "netns_destroyed",
};
_Static_assert(sizeof(end_reasons) / sizeof(end_reasons[0]) == END_REASONS, "a word for each");

static const struct {
	const char *word, *meaning;
} conn_states[] = {
	[CS_S0] = {"S0", "connection attempt, no reply"},
	[CS_S1] = {"S1", "established, no FIN seen"},
	[CS_SF] = {"SF", "normal establishment and termination"},
	[CS_REJ] = {"REJ", "connection attempt refused"},
	[CS_S2] = {"S2", "established, the client closed, the server did not answer"},
	[CS_S3] = {"S3", "established, the server closed, the client did not answer"},
	[CS_RSTO] = {"RSTO", "established, the client reset it"},
	[CS_RSTR] = {"RSTR", "established, the server reset it"},
	[CS_RSTOS0] = {"RSTOS0", "the client sent SYN, then RST"},
	[CS_RSTRH] = {"RSTRH", "the server sent SYN+ACK, then RST"},
	[CS_SH] = {"SH", "the client sent SYN, then FIN"},
	[CS_SHR] = {"SHR", "the server sent SYN+ACK, then FIN"},
	[CS_OTH] = {"OTH", "neither its beginning nor its end was seen"},
};
_Static_assert(sizeof(conn_states) / sizeof(conn_states[0]) == CS_COUNT, "a word for each");

const char *word_handshake(unsigned kind)
{
	return WORD(handshakes, kind);
}

const char *word_teardown(unsigned kind)
{
	return WORD(teardowns, kind);
}

const char *word_initiator(unsigned i)
{
	return WORD(initiators, i);
}

const char *word_end_reason(unsigned r)
{
	return WORD(end_reasons, r);
}

const char *word_conn_state(unsigned s)
{
	return s < CS_COUNT ? conn_states[s].word : "OTH";
}

const char *word_conn_state_meaning(unsigned s)
{
	return s < CS_COUNT ? conn_states[s].meaning : "";
}
