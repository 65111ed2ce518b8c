/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A capture file of anybody's, as --from opens it: it is read to its end, or it is
 * refused with a line that says why.
 * links: user/source/pcap.c
 * libs: -lpcap
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/pipeline/pipeline.h"
#include "source/pcap.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	stderr = fopen("/dev/null", "w"); /* the notices of files that were cut */
	return 0;
}

static void on_packet(void *ctx, const struct pcap_packet *p)
{
	uint64_t *last = ctx;

	if (p->number <= *last)
		abort();
	*last = p->number;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct view_ops ops;
	struct pipeline_config cfg = {.max_connections = 256, .want_steps = true};
	const char *name = "fuzz";
	struct pipeline *p = pipeline_new(&cfg, &ops, NULL);
	FILE *f = size ? fmemopen((void *)data, size, "r") : NULL;
	struct source *s = NULL;
	uint64_t last = 0;
	char msg[256] = "";
	int n = 0;

	if (!f)
		goto out;
	if (source_pcap_open(&s, &f, &name, 1, msg, sizeof(msg))) {
		if (!msg[0])
			abort();
		goto out;
	}
	if (!source_pcap_watch(s, on_packet, &last))
		abort();
	while ((n = s->ops->poll(s, p, 0)) >= 0)
		;
	if (n != -ENODATA && !s->replay->error[0])
		abort();
	s->ops->close(s);
	pipeline_finish(p, 0);
out:
	pipeline_free(p);
	return 0;
}
