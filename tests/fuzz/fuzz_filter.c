/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filter's words, a line each: a filter, or a mistake at one of them. A filter
 * answers of any connection without harm, and what its kernel part would drop it does
 * not want either.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "connection/conn.h"
#include "filter/filter.h"

enum { WORDS = 64 };

static void ask(const struct filter *f, const struct conn *c)
{
	struct filter_subject s = {.conn = c, .now_ns = 90000000000};
	struct kernel_filter k;

	filter_kernel_part(f, &k);
	if (filter_match(f, &s) == FILTER_YES && filter_kernel_drops(&k, c))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conn c = {.cookie = 7, .netns = 4026531840u, .state = ST_CLOSE_WAIT,
			 .lport = 443, .pport = 40000, .role = ROLE_SERVER,
			 .start_ns = 1000000000, .state_ns = 2000000000};
	char *text = malloc(size + 1), *words[WORDS], *save = NULL;
	struct filter_error err = {0};
	struct filter *f = NULL;
	int n = 0;

	memcpy(text, data, size);
	text[size] = '\0';
	for (char *w = strtok_r(text, "\n", &save); w && n < WORDS; w = strtok_r(NULL, "\n", &save))
		words[n++] = w;
	memcpy(c.local, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\1", 16);
	memcpy(c.peer, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\2", 16);
	if (filter_parse(&f, n, words, &err)) {
		if (err.word >= n || !err.message[0])
			abort();
	} else if (f) {
		ask(f, &c);
		memcpy(c.local, "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16);
		c.lport = 8080;
		ask(f, &c);
	}
	filter_free(f);
	free(text);
	return 0;
}
