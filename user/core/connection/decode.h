/* SPDX-License-Identifier: Apache-2.0 */
/* The only door for records: nothing behind it checks a range again. */
#ifndef TCPTRAIL_DECODE_H
#define TCPTRAIL_DECODE_H

#include <stdint.h>
#include "event.h"

/* Checks a record as a ring buffer or a file gave it. 0 and *out, which points into data (aligned
 * to 8 by the caller), or -EBADMSG with *out untouched. */
int event_decode(const void *data, uint32_t size, const struct event **out);

#endif
