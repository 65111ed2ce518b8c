/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A captured frame as the TCP segment in it. Pure; trusts nothing: each length is
 * checked against what was captured, and what was cut off by the snapshot length
 * is absent and not guessed.
 */
#ifndef TCPTRAIL_WIRE_H
#define TCPTRAIL_WIRE_H

#include <stdbool.h>
#include <stdint.h>

/* What stands before the IP header. */
enum wire_link {
	LINK_NONE,
	LINK_ETHERNET,
	LINK_SLL,  /* Linux cooked v1 */
	LINK_SLL2, /* Linux cooked v2 */
	LINK_RAW,  /* nothing: IPv4 or IPv6 */
	LINK_NULL, /* BSD loopback: an address family in somebody's byte order */
	LINK_KINDS,
};

enum wire_result {
	WIRE_TCP,
	WIRE_OTHER,    /* no TCP in it */
	WIRE_FRAGMENT, /* a later fragment: the ports are in the first one */
	WIRE_CUT,      /* the snapshot length or the frame ends before TCP's flags and window */
	WIRE_BAD,      /* lengths that contradict each other */
	WIRE_RESULTS,
};

/* TCP's header flags. */
enum {
	WIRE_FIN = 1,
	WIRE_SYN = 2,
	WIRE_RST = 4,
	WIRE_PSH = 8,
	WIRE_ACK = 16,
	WIRE_URG = 32,
	WIRE_ECE = 64,
	WIRE_CWR = 128,
	WIRE_AE = 256,
};

/* Which options were there (wire_segment.has). */
enum {
	WIRE_HAS_MSS = 1,
	WIRE_HAS_WSCALE = 2,
	WIRE_HAS_SACK_OK = 4,
	WIRE_HAS_TS = 8,
	WIRE_HAS_SACK = 16,
};

enum { WIRE_SACKS = 4 };

struct wire_segment {
	uint8_t src[16], dst[16]; /* IPv4 as v4-mapped */
	uint16_t sport, dport;
	uint32_t seq, ack;
	uint32_t len; /* payload on the wire, whether captured or not */
	uint16_t flags;
	uint16_t window; /* as in the header: not scaled */
	uint16_t mss;
	uint16_t ip_id; /* IPv4's; 0 where there is none */
	uint8_t wscale;
	uint8_t has; /* WIRE_HAS_* */
	uint8_t nsack;
	bool v6;
	uint32_t tsval, tsecr;
	uint32_t sack[WIRE_SACKS][2];
	uint32_t seen_at; /* cooked: which interface, which way; 0 elsewhere */
};

/* data: `captured` bytes of a frame that was `length` bytes long. *out is filled for WIRE_TCP
 * only. */
enum wire_result wire_parse(struct wire_segment *out, enum wire_link link, const uint8_t *data,
			    uint32_t captured, uint32_t length);

#endif
