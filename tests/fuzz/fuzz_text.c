/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events as text: any line is an event, nothing to feed, or a mistake at a place of
 * that line; what was read is written, and that line is read and written as itself.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "stream/event_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *line = malloc(size + 1);
	const char *at = NULL, *what = NULL;
	struct buf b = {0}, again = {0};
	struct event e;
	int rc;

	memcpy(line, data, size);
	line[size] = '\0';
	rc = event_text_read(&e, line, &at, &what);
	if (rc == -EINVAL && (at < line || at > line + size || !what))
		abort();
	if (rc && rc != -EINVAL && rc != -EAGAIN)
		abort();
	if (!rc) {
		event_text_write(&b, &e);
		buf_char(&b, '\0');
		if (event_text_read(&e, b.data, &at, &what))
			abort();
		event_text_write(&again, &e);
		buf_char(&again, '\0');
		if (strcmp(b.data, again.data))
			abort();
	}
	buf_free(&again);
	buf_free(&b);
	free(line);
	return 0;
}
