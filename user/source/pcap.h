/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packet captures (pcap, pcapng) as a source, and a look at the packets themselves
 * for the one view that shows them.
 */
#ifndef TCPTRAIL_SOURCE_PCAP_H
#define TCPTRAIL_SOURCE_PCAP_H

#include "source.h"

struct flow_mark;
struct wire_segment;

/* Valid during the call. */
struct pcap_packet {
	uint64_t number; /* counts from 1, all packets of the capture */
	uint64_t ts_ns;	 /* wall clock */
	uint32_t length; /* of the frame on the wire */
	const struct wire_segment *segment;
	const struct flow_mark *mark;
};

typedef void (*pcap_packet_fn)(void *ctx, const struct pcap_packet *p);

/* As source_from_open() hands them on. Takes the files. 0 or -errno with a line in msg. */
int source_pcap_open(struct source **out, FILE *const *files, const char *const *names, unsigned n,
		     char *msg, size_t msg_len);

/* fn is called for each TCP packet, after its events were fed. False: s is no capture. */
bool source_pcap_watch(struct source *s, pcap_packet_fn fn, void *ctx);

#endif
