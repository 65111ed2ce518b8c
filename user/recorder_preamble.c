/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each file of a recording begins with: by whom and on what it was recorded,
 * which hooks there were, and what this kernel's numbers mean.
 */
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "core/stream/recording.h"
#include "recorder_impl.h"
#include "source/source.h"

enum { REASONS = 256 };

static void put_boot(struct buf *text)
{
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
	char id[40] = "";

	if (f && fgets(id, sizeof(id), f))
		buf_printf(text, "boot=%.36s\n", id);
	if (f)
		fclose(f);
}

static void put_meta(struct recorder *r)
{
	struct buf text = {0};
	struct utsname u;

	buf_printf(&text, "tcptrail=%s\ncommand=%s\n", TCPTRAIL_VERSION, r->cfg.command);
	if (!uname(&u)) {
		buf_printf(&text, "kernel=%s %s\n", u.release, u.machine);
		if (!r->cfg.no_hostname)
			buf_printf(&text, "host=%s\n", u.nodename);
	}
	put_boot(&text);
	buf_char(&text, '\0');
	record_put(&r->preamble, REC_META, NULL, 0, text.data, (uint32_t)text.len);
	buf_free(&text);
}

static void put_hooks(struct recorder *r, const struct source *src)
{
	for (unsigned i = 0; i < src->nhooks; i++) {
		const struct hook_info *h = &src->hooks[i];
		struct rec_hook fixed = {.error = h->error, .status = h->status, .full = h->full};
		struct buf text = {0};

		buf_str(&text, h->name);
		buf_char(&text, '\0');
		buf_str(&text, h->attach);
		buf_char(&text, '\0');
		buf_str(&text, h->shows);
		buf_char(&text, '\0');
		record_put(&r->preamble, REC_HOOK, &fixed, sizeof(fixed), text.data,
			   (uint32_t)text.len);
		buf_free(&text);
	}
}

static void put_reasons(struct recorder *r, const struct source *src)
{
	const char *(*const names[])(const struct source *, unsigned) = {
		[REASON_RST] = src->rst_reason,
		[REASON_DROP] = src->drop_reason,
	};

	for (unsigned set = 0; set < REASON_SETS; set++) {
		for (unsigned i = 0; names[set] && i < REASONS; i++) {
			const char *name = names[set](src, i);
			struct rec_reason fixed = {.which = set, .number = i};

			if (name && *name)
				record_put(&r->preamble, REC_REASON, &fixed, sizeof(fixed), name,
					   (uint32_t)strlen(name) + 1);
		}
	}
}

static int64_t clock_offset(void)
{
	struct timespec real, mono;

	clock_gettime(CLOCK_REALTIME, &real);
	clock_gettime(CLOCK_MONOTONIC, &mono);
	return (real.tv_sec - mono.tv_sec) * 1000000000LL + real.tv_nsec - mono.tv_nsec;
}

void recorder_preamble(struct recorder *r, const struct source *src, uint64_t interval_ns)
{
	struct rec_begin begin = {
		.started_ns = r->now_ns,
		.interval_ns = interval_ns,
		.clock_offset_ns = clock_offset(),
		.flags = (src->full_mode ? BEGIN_FULL_MODE : 0) |
			 (r->cfg.filtered ? BEGIN_FILTERED : 0),
	};

	put_meta(r);
	put_hooks(r, src);
	put_reasons(r, src);
	record_put(&r->preamble, REC_BEGIN, &begin, sizeof(begin), NULL, 0);
}
