/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zstd around a frame of a recording.
 *
 * Always: a frame is one zstd frame that knows its content's size and checksum, and
 * depends on nothing before it. Never: more is unpacked than the frame's head said.
 */
#include <errno.h>
#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "core/stream/recording.h"
#include "zframe.h"

enum { LEVEL = 1 /* events repeat themselves: higher levels win little and cost much */ };

struct zframe {
	ZSTD_CCtx *pack;
	ZSTD_DCtx *unpack;
};

struct zframe *zframe_new(void)
{
	struct zframe *z = calloc(1, sizeof(*z));

	if (!z)
		return NULL;
	z->pack = ZSTD_createCCtx();
	z->unpack = ZSTD_createDCtx();
	if (!z->pack || !z->unpack ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(z->pack, ZSTD_c_compressionLevel, LEVEL)) ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(z->pack, ZSTD_c_checksumFlag, 1))) {
		zframe_free(z);
		return NULL;
	}
	return z;
}

void zframe_free(struct zframe *z)
{
	if (!z)
		return;
	ZSTD_freeCCtx(z->pack);
	ZSTD_freeDCtx(z->unpack);
	free(z);
}

int zframe_pack(struct zframe *z, struct buf *out, const void *plain, uint32_t size)
{
	size_t cap = ZSTD_compressBound(size), n, was = out->len;
	struct recording_frame head;

	if (!buf_room(out, sizeof(head) + cap))
		return -ENOMEM;
	n = ZSTD_compress2(z->pack, out->data + was + sizeof(head), cap, plain, size);
	if (ZSTD_isError(n))
		return -EIO;
	recording_frame_fill(&head, (uint32_t)n, size, record_count(plain, size));
	buf_put(out, (const char *)&head, sizeof(head));
	out->len += n;
	return 0;
}

int zframe_unpack(struct zframe *z, void *out, uint32_t plain, const void *packed,
		  uint32_t packed_size, const char **what)
{
	unsigned long long size = ZSTD_getFrameContentSize(packed, packed_size);
	size_t n;

	*what = "a frame that does not unpack to the size it says";
	if (size != plain)
		return -EBADMSG;
	n = ZSTD_decompressDCtx(z->unpack, out, plain, packed, packed_size);
	if (n == plain)
		return 0;
	if (ZSTD_isError(n) && ZSTD_getErrorCode(n) == ZSTD_error_checksum_wrong)
		*what = "a frame whose checksum is wrong";
	else if (ZSTD_isError(n))
		*what = "a frame that does not unpack";
	return -EBADMSG;
}
