/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Community ID v1 (github.com/corelight/community-id-spec), seed 0: the flow hash
 * that Zeek, Suricata and Wireshark print, to join records across tools.
 */
#ifndef TCPTRAIL_COMMUNITY_H
#define TCPTRAIL_COMMUNITY_H

#include <stdint.h>

enum { COMMUNITY_ID_LEN = 30 }; /* "1:" and 28 of base64 */

/* Of a TCP flow between a:ap and b:bp (16-byte addresses, v4-mapped for IPv4); the same whichever
 * end is named first. NUL-terminated. 0, or -EINVAL when one end is IPv4 and the other not. */
int community_id(char out[32], const uint8_t a[16], uint16_t ap, const uint8_t b[16], uint16_t bp);

/* The hash costs as much as the rest of a record, and a connection has many records at two ends:
 * the last few flows are remembered. Start with zeros. */
enum { COMMUNITY_CACHE = 1024 };
struct community_cache {
	struct community_entry {
		uint8_t a[16], b[16];
		uint16_t ap, bp;
		char id[32];      /* "": nothing here */
	} entries[COMMUNITY_CACHE];
};

/* The same, valid until the next call; NULL where community_id() has an error. */
const char *community_cached(struct community_cache *cache, const uint8_t a[16], uint16_t ap,
			     const uint8_t b[16], uint16_t bp);

#endif
