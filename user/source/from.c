/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --from: opens the files, looks at how they begin, and hands them to the source that
 * reads them. A kind of file is a row.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/stream/recording.h"
#include "pcap.h"
#include "replay.h"

enum { MAGIC = 4 };

static const struct {
	char magic[MAGIC + 1];
	int (*open)(struct source **out, FILE *const *files, const char *const *names, unsigned n,
		    char *msg, size_t msg_len);
} kinds[] = {
	{"\x89TTR", source_replay_open},
	{"\xd4\xc3\xb2\xa1", source_pcap_open}, /* pcap: microseconds, in either byte order */
	{"\xa1\xb2\xc3\xd4", source_pcap_open},
	{"\x4d\x3c\xb2\xa1", source_pcap_open}, /* nanoseconds */
	{"\xa1\xb2\x3c\x4d", source_pcap_open},
	{"\x34\xcd\xb2\xa1", source_pcap_open}, /* with longer packet headers */
	{"\xa1\xb2\xcd\x34", source_pcap_open},
	{"\n\r\r\n", source_pcap_open},         /* pcapng */
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

/* Which row this file is of, without taking a byte of it; KINDS: of none. */
static unsigned kind_of(FILE *f)
{
	char magic[MAGIC];
	size_t n = fread(magic, 1, sizeof(magic), f);

	for (size_t i = n; i; i--)
		ungetc((unsigned char)magic[i - 1], f);
	for (unsigned i = 0; i < KINDS; i++)
		if (n == MAGIC && !memcmp(magic, kinds[i].magic, MAGIC))
			return i;
	return KINDS;
}

static int open_one(const char *path, FILE **out, unsigned *kind, char *msg, size_t msg_len)
{
	FILE *f = strcmp(path, "-") ? fopen(path, "re") : stdin;

	if (!f) {
		snprintf(msg, msg_len, "%s: %s", path, strerror(errno));
		return -errno;
	}
	*out = f;
	*kind = kind_of(f);
	if (ferror(f)) {
		snprintf(msg, msg_len, "%s: %s", path, strerror(errno));
		return -EIO;
	}
	if (*kind < KINDS)
		return 0;
	snprintf(msg, msg_len, "%s: offset 0: neither a recording nor a capture", path);
	return -EBADMSG;
}

int source_from_open(struct source **out, const char *const *paths, unsigned n, char *msg,
		     size_t msg_len)
{
	FILE *files[REPLAY_FILES] = {0};
	unsigned kind = KINDS, this = KINDS, opened = 0;
	int err = n > REPLAY_FILES ? -E2BIG : 0;

	for (; opened < n && !err; opened++) {
		err = open_one(paths[opened], &files[opened], &this, msg, msg_len);
		if (!err && opened && kinds[this].open != kinds[kind].open) {
			snprintf(msg, msg_len, "%s: recordings and captures do not go together",
				 paths[opened]);
			err = -EINVAL;
		}
		kind = this;
	}
	if (!err)
		return kinds[kind].open(out, files, paths, n, msg, msg_len);
	for (unsigned i = 0; i < opened; i++)
		if (files[i] && files[i] != stdin)
			fclose(files[i]);
	return err;
}
