/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the two packet tables (text, JSON) share: is a packet wanted, which step of
 * its connection's life it is, and what else can be said of it.
 */
#ifndef TCPTRAIL_PACKETS_H
#define TCPTRAIL_PACKETS_H

#include <stdbool.h>

#include "../core/connection/conn.h"
#include "../session.h"
#include "../source/pcap.h"

/* Asks the session's capture to hand every packet to fn. False, after a line on stderr: this is
 * no capture, and the session is told to stop. */
bool packets_watch(struct session *s, pcap_packet_fn fn, void *view);

/* Does the FILTER want one of its ends? */
bool packets_wanted(const struct session *s, const struct pcap_packet *p);
/* The sending end as a connection of its own: addresses, ports, state, role. */
void packets_sender(const struct pcap_packet *p, struct conn *out);

/* "handshake 1/3", "teardown 2+3/4", "retransmission", "half-closed data" ...; else "data", "ACK". */
const char *packets_step(const struct pcap_packet *p);
/* The i-th thing that can be said of it, as Wireshark has it ("TCP Retransmission"); NULL past the
 * last. word: the same for machines. */
const char *packets_note(const struct pcap_packet *p, unsigned i, const char **word);

#endif
