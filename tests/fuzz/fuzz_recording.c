/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The recording reader: any bytes as a file. It gives records, says where it was cut,
 * or one line with an offset; what it gives is what the format promises.
 *
 * links: user/source/tape.c user/source/zframe.c
 * libs: -lzstd
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "source/tape.h"

static void look_at(const struct record *rec)
{
	size_t seen = 0;

	if ((uintptr_t)rec->data % 8)
		abort();
	if (rec->type == REC_EVENT && rec->size != sizeof(struct event))
		abort();
	if (rec->type == REC_HOOK)
		for (unsigned i = 0; i < 3; i++)
			seen += strlen(record_string(rec, sizeof(struct rec_hook), i));
	if (rec->type == REC_CGROUP || rec->type == REC_STACK)
		seen += strlen(record_string(rec, 8, 0));
	if (seen > rec->size)
		abort();
}

/* At this level the frames' contents: a checksum is not guessed. */
static void read_plain(const uint8_t *data, size_t size)
{
	size_t n = size & ~(size_t)7;
	uint8_t *plain = aligned_alloc(8, n ? n : 8);
	struct record_reader r = {.data = plain, .size = (uint32_t)n};
	struct record rec;
	int rc;

	memcpy(plain, data, n);
	while ((rc = record_next(&r, &rec)) > 0)
		look_at(&rec);
	if (rc && (rc != -EBADMSG || !r.what || r.at > n))
		abort();
	free(plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char msg[256] = "";
	struct record rec;
	struct tape t;
	FILE *f;
	int rc;

	if (!size)
		return 0;
	read_plain(data, size);
	f = fmemopen((void *)data, size, "r");
	if (!f)
		return 0;
	rc = tape_open(&t, f, "file", msg, sizeof(msg));
	if (!rc) {
		while ((rc = tape_next(&t, &rec, msg, sizeof(msg))) > 0)
			look_at(&rec);
		if (!rc && t.closed == t.cut && t.frames)
			abort();
		tape_close(&t);
	}
	if (rc && !strstr(msg, "offset"))
		abort();
	return 0;
}
