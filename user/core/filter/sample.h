/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 1 in N connections, and always the same ones: decided by the two endpoints alone.
 */
#ifndef TCPTRAIL_SAMPLE_H
#define TCPTRAIL_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

/* Is this connection one of the 1 in `rate` that are kept? The same for both of its ends, on
 * whichever host (where no NAT stands between), for every record of it and in every run: FNV-1a
 * over the endpoints, the smaller first as in Community ID, then mixed. Ports in host order; 0:
 * not known, and decided without it. rate 0 and 1: every one. */
bool sample_keeps(uint64_t rate, const uint8_t local[16], uint16_t lport, const uint8_t peer[16],
		  uint16_t pport);

#endif
