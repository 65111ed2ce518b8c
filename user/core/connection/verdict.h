/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the facts of a connection to the interface's defined words. Pure: the same
 * conn gives the same verdict; nothing is stored.
 */
#ifndef TCPTRAIL_VERDICT_H
#define TCPTRAIL_VERDICT_H

#include "conn.h"

enum handshake_kind {
	HS_UNSEEN, HS_NORMAL, HS_SIMULTANEOUS, HS_FAST_OPEN, HS_COOKIE,
	HS_REFUSED, HS_TIMED_OUT, HS_ABORTED, HS_PENDING, HS_KINDS,
};

enum teardown_kind {
	TD_OPEN, TD_NORMAL, TD_HALF_CLOSED, TD_SIMULTANEOUS, TD_RESET_SENT, TD_RESET_RECEIVED,
	TD_TIMED_OUT, TD_ORPHANED, TD_KILLED, TD_ABORTED, TD_UNSEEN,
	TD_KINDS,
};

enum initiator { INIT_NONE, INIT_LOCAL, INIT_PEER, INIT_BOTH, INIT_KERNEL, INIT_COUNT };

enum end_reason {
	END_UNKNOWN, END_FIN, END_RESET, END_REFUSED, END_SYN_TIMEOUT, END_RETRANSMIT_TIMEOUT,
	END_USER_TIMEOUT, END_KEEPALIVE_TIMEOUT, END_ZERO_WINDOW_TIMEOUT, END_FIN_WAIT_2_TIMEOUT,
	END_LINGER_RESET, END_UNREAD_DATA_RESET, END_LISTENER_CLOSED, END_HALF_OPEN, END_ICMP,
	END_KILLED, END_NETNS_DESTROYED, END_REASONS,
};

/* Zeek's conn_state. */
enum conn_state {
	CS_S0, CS_S1, CS_SF, CS_REJ, CS_S2, CS_S3, CS_RSTO, CS_RSTR, CS_RSTOS0, CS_RSTRH,
	CS_SH, CS_SHR, CS_OTH, CS_COUNT,
};

/* Durations in ns; -1: not known (the field is then absent). */
struct verdict {
	enum handshake_kind handshake;
	enum teardown_kind teardown;
	enum initiator initiator;
	enum end_reason end_reason;
	enum conn_state conn_state;
	int64_t duration_ns;         /* start to end */
	int64_t handshake_ns;
	int64_t syn_to_synack_ns;
	int64_t synack_to_ack_ns;
	int64_t accept_wait_ns;
	int64_t half_close_ns;
	int64_t teardown_ns;         /* first FIN or RST to the end */
	int64_t time_wait_ns;
	/* by side of the connection, not by side of the host; valid if the flag is set */
	bool has_client_isn, has_server_isn, has_client_fin, has_server_fin;
	uint32_t client_isn, server_isn, client_fin_seq, server_fin_seq;
};

void verdict_of(const struct conn *c, struct verdict *v);

const char *word_handshake(unsigned kind);
const char *word_teardown(unsigned kind);
const char *word_initiator(unsigned i);
const char *word_end_reason(unsigned r);
const char *word_conn_state(unsigned s);

/* One line for people: what a conn_state means ("normal establishment and termination"). */
const char *word_conn_state_meaning(unsigned s);

#endif
