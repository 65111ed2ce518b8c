/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seeds for the fuzz targets from the golden files:
 *   seeds OUT_DIRECTORY FILE.events|FILE.ttr...
 * gives OUT/replay/NAME-V for several views V, and OUT/recording/NAME.
 *
 * links: user/source/tape.c user/source/zframe.c
 * libs: -lzstd
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "stream/event_text.h"
#include "source/tape.h"
#include "source/zframe.h"

enum { VIEWS = 16 };

static void write_file(const char *dir, const char *sub, const char *name, unsigned n,
		       const struct buf *head, const struct buf *b)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s/%s-%u", dir, sub, name, n);
	f = fopen(path, "w");
	if (!f || (head->len && fwrite(head->data, head->len, 1, f) != 1) ||
	    (b->len && fwrite(b->data, b->len, 1, f) != 1) || fclose(f)) {
		perror(path);
		exit(1);
	}
}

static void from_text(FILE *f, struct buf *plain)
{
	const char *at, *what;
	struct event e;
	char line[4096];

	while (fgets(line, sizeof(line), f)) {
		if (event_text_read(&e, line, &at, &what))
			continue;
		record_put(plain, REC_EVENT, &e, sizeof(e), NULL, 0);
		if (e.kind == EV_TICK)
			record_put_u64(plain, REC_ROUND, e.ts_ns);
	}
}

static void from_recording(FILE *f, const char *name, struct buf *plain)
{
	char msg[256];
	struct record rec;
	struct tape t;

	if (tape_open(&t, f, name, msg, sizeof(msg))) {
		fprintf(stderr, "%s\n", msg);
		exit(1);
	}
	while (tape_next(&t, &rec, msg, sizeof(msg)) > 0)
		if (rec.type != REC_HOOK && rec.type != REC_REASON)
			record_put(plain, rec.type, rec.data, rec.size, NULL, 0);
	tape_close(&t);
}

static void write_seeds(const char *dir, const char *name, const struct buf *plain)
{
	struct zframe *z = zframe_new();
	struct recording_head head;
	struct buf file = {0}, none = {0};

	for (unsigned view = 0; view < VIEWS; view++) {
		char first[8] = {(char)view, (char)(view % 3 ? 0 : 100)};
		const struct buf pick = {.data = first, .len = sizeof(first)};

		write_file(dir, "replay", name, view, &pick, plain);
	}
	recording_head_fill(&head);
	buf_put(&file, (const char *)&head, sizeof(head));
	if (z && plain->len < RECORDING_PLAIN_MAX)
		zframe_pack(z, &file, plain->data, (uint32_t)plain->len);
	write_file(dir, "recording", name, 0, &none, &file);
	write_file(dir, "recording", name, 1, &none, plain);
	zframe_free(z);
	buf_free(&file);
}

int main(int argc, char **argv)
{
	for (int i = 2; i < argc; i++) {
		const char *slash = strrchr(argv[i], '/'), *dot = strrchr(argv[i], '.');
		struct buf plain = {0};
		FILE *f = fopen(argv[i], "r");

		if (!f || !dot) {
			perror(argv[i]);
			return 1;
		}
		if (!strcmp(dot, ".ttr")) {
			from_recording(f, argv[i], &plain);
		} else {
			from_text(f, &plain);
			fclose(f);
		}
		write_seeds(argv[1], slash ? slash + 1 : argv[i], &plain);
		buf_free(&plain);
	}
	return 0;
}
