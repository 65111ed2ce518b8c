/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every word of the interface, by its enum: three spellings of the states (ss,
 * OpenTelemetry, node_exporter) and one of everything else. Static strings; an
 * index out of range gives "unknown".
 */
#ifndef TCPTRAIL_WORDS_H
#define TCPTRAIL_WORDS_H

#include "conn.h"

const char *word_state_ss(unsigned state);   /* FIN-WAIT-2, ESTAB: tables */
const char *word_state_otel(unsigned state); /* fin_wait_2, established: JSON */
const char *word_state_prom(unsigned state); /* fin_wait2: metric labels */
const char *word_state_rfc(unsigned state);  /* FIN_WAIT_2, ESTABLISHED: ladders and the diagram */
const char *word_role(unsigned role);
const char *word_trigger(unsigned trigger);
const char *word_retransmit(unsigned kind);
const char *word_step(unsigned kind);
const char *word_time_wait(unsigned end);
const char *word_timer(unsigned timer);      /* enum event_timer */
const char *word_loss(unsigned reason);      /* enum loss_reason */
const char *word_event(unsigned kind);       /* enum event_kind, for -v and golden text */
const char *word_errno(unsigned err);        /* ECONNREFUSED ...; "" for 0 */

/* A state in any of the spellings, case-insensitively; also ss's groups are NOT
 * here (filter.c). Returns the state, or ST_NONE when it is no state. */
enum tcp_state word_to_state(const char *s, unsigned len);

#endif
