/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A recording's frame, packed and unpacked: zstd, with its content checksum.
 */
#ifndef TCPTRAIL_ZFRAME_H
#define TCPTRAIL_ZFRAME_H

#include <stddef.h>
#include <stdint.h>

#include "core/write/buf.h"

struct zframe;

struct zframe *zframe_new(void);
void zframe_free(struct zframe *z);

/* Appends the frame's head and its packed bytes to out. 0 or -ENOMEM/-EIO; out as it was then. */
int zframe_pack(struct zframe *z, struct buf *out, const void *plain, uint32_t size);
/* Exactly `plain` bytes from `packed`. 0, or -EBADMSG with *what (static text). */
int zframe_unpack(struct zframe *z, void *out, uint32_t plain, const void *packed,
		  uint32_t packed_size, const char **what);

#endif
