/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One recording, read frame by frame.
 *
 * Always: a file that ends early gives every record of its whole frames, then says
 * where it was cut; what is wrong in any other way is one line with the file's name
 * and the offset. Never: a byte of a frame is looked at before its checksum was.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tape.h"
#include "zframe.h"

static int tape_bad(const struct tape *t, uint64_t at, const char *what, char *msg, size_t msg_len)
{
	snprintf(msg, msg_len, "%s: offset %llu: %s", t->name, (unsigned long long)at, what);
	return -EBADMSG;
}

/* 1: all of it; 0: the file ends before; -errno. */
static int tape_read(struct tape *t, void *out, size_t size, char *msg, size_t msg_len)
{
	if (fread(out, 1, size, t->f) == size)
		return 1;
	if (!ferror(t->f))
		return 0;
	snprintf(msg, msg_len, "%s: %s", t->name, strerror(errno));
	return errno ? -errno : -EIO;
}

static int tape_head(struct tape *t, char *msg, size_t msg_len)
{
	struct recording_head head = {0};
	const char *what;
	unsigned at;
	int rc = tape_read(t, &head, sizeof(head), msg, msg_len);

	if (rc < 0)
		return rc;
	rc = recording_head_check(&head, &what, &at);
	if (rc)
		return tape_bad(t, at, what, msg, msg_len);
	t->next_offset = sizeof(head);
	return 0;
}

int tape_open(struct tape *t, FILE *f, const char *name, char *msg, size_t msg_len)
{
	int err;

	memset(t, 0, sizeof(*t));
	t->f = f;
	t->name = name;
	t->z = zframe_new();
	if (!t->z) {
		snprintf(msg, msg_len, "%s: %s", name, strerror(ENOMEM));
		err = -ENOMEM;
	} else {
		err = tape_head(t, msg, msg_len);
	}
	if (err)
		tape_close(t);
	return err;
}

void tape_close(struct tape *t)
{
	if (t->f && t->f != stdin)
		fclose(t->f);
	zframe_free(t->z);
	free(t->packed);
	free(t->plain);
	t->f = NULL;
	t->z = NULL;
	t->packed = t->plain = NULL;
}

static bool tape_room(uint8_t **data, uint32_t *cap, uint32_t size)
{
	uint8_t *more;

	if (size <= *cap)
		return true;
	more = realloc(*data, size);
	if (!more)
		return false;
	*data = more;
	*cap = size;
	return true;
}

static int tape_end(struct tape *t, bool cut)
{
	t->over = true;
	t->cut = cut;
	return 0;
}

/* A crash may leave zeros where a frame was to be. */
static bool all_zero(const struct recording_frame *head)
{
	static const struct recording_frame zero;

	return !memcmp(head, &zero, sizeof(zero));
}

/* The head of the next frame: 1, 0 at the end. */
static int tape_frame_head(struct tape *t, struct recording_frame *head, char *msg, size_t msg_len)
{
	const char *what;
	unsigned at;
	size_t n = fread(head, 1, sizeof(*head), t->f);

	t->offset = t->next_offset;
	if (n < sizeof(*head) && ferror(t->f)) {
		snprintf(msg, msg_len, "%s: %s", t->name, strerror(errno));
		return errno ? -errno : -EIO;
	}
	if (!n || (n == sizeof(*head) && all_zero(head)))
		return tape_end(t, !t->closed);
	if (n < sizeof(*head) && !t->closed)
		return tape_end(t, true);
	if (t->closed)
		return tape_bad(t, t->offset, "something follows the recording's end", msg,
				msg_len);
	if (recording_frame_check(head, &what, &at))
		return tape_bad(t, t->offset + at, what, msg, msg_len);
	t->next_offset = t->offset + sizeof(*head) + head->packed;
	return 1;
}

static int tape_frame(struct tape *t, char *msg, size_t msg_len)
{
	struct recording_frame head;
	const char *what;
	int rc = tape_frame_head(t, &head, msg, msg_len);

	if (rc <= 0)
		return rc;
	if (!tape_room(&t->packed, &t->packed_cap, head.packed) ||
	    !tape_room(&t->plain, &t->plain_cap, head.plain)) {
		snprintf(msg, msg_len, "%s: %s", t->name, strerror(ENOMEM));
		return -ENOMEM;
	}
	rc = tape_read(t, t->packed, head.packed, msg, msg_len);
	if (rc <= 0)
		return rc ? rc : tape_end(t, true);
	if (zframe_unpack(t->z, t->plain, head.plain, t->packed, head.packed, &what))
		return tape_bad(t, t->offset, what, msg, msg_len);
	t->reader = (struct record_reader){.data = t->plain, .size = head.plain};
	t->in_frame = head.records;
	t->frames++;
	return 1;
}

int tape_next(struct tape *t, struct record *out, char *msg, size_t msg_len)
{
	int rc;

	while (!t->over) {
		rc = record_next(&t->reader, out);
		if (rc < 0) {
			snprintf(msg, msg_len, "%s: frame at offset %llu, byte %u: %s", t->name,
				 (unsigned long long)t->offset, t->reader.at, t->reader.what);
			return rc;
		}
		if (rc > 0) {
			t->records++;
			t->closed |= out->type == REC_CLOSED;
			return 1;
		}
		if (t->reader.count != t->in_frame)
			return tape_bad(t, t->offset, "a frame with another number of records",
					msg, msg_len);
		rc = tape_frame(t, msg, msg_len);
		if (rc <= 0)
			return rc;
	}
	return 0;
}
