/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a recording says before its first event: where it comes from, which hooks the
 * tracer had, how that kernel names its reasons.
 *
 * Only the first file's is the source's; the others are read for their clock and host.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "replay.h"

int deck_next(struct deck *d, char *msg, size_t msg_len)
{
	int rc = tape_next(&d->tape, &d->next, msg, msg_len);
	uint64_t ts;

	d->has_next = rc > 0;
	if (!rc && d->tape.cut && d->has_begin)
		fprintf(stderr, "tcptrail: %s: cut at offset %llu: shown is what comes before\n",
			d->tape.name, (unsigned long long)d->tape.offset);
	if (rc <= 0)
		return rc;
	if (d->next.type == REC_EVENT)
		ts = ((const struct event *)d->next.data)->ts_ns;
	else if (d->next.type == REC_ROUND)
		ts = *(const uint64_t *)d->next.data;
	else
		return rc;
	d->ts_ns = ts + (uint64_t)d->shift_ns;
	return rc;
}

static void take_text(char *out, size_t size, const char *text, const char *key)
{
	const char *value;
	int n = record_meta(text, key, &value);

	if (n >= 0)
		snprintf(out, size, "%.*s", n, value);
}

static void take_meta(struct deck *d, const struct record *rec)
{
	const char *text = rec->data;

	take_text(d->boot, sizeof(d->boot), text, "boot");
	take_text(d->host_name, sizeof(d->host_name), text, "host");
	take_text(d->kernel, sizeof(d->kernel), text, "kernel");
	take_text(d->command, sizeof(d->command), text, "command");
}

static int take_hook(struct replay *r, const struct record *rec)
{
	const struct rec_hook *h = rec->data;
	uint32_t size = rec->size - (uint32_t)sizeof(*h);
	unsigned i = r->source.nhooks;
	const char *words;

	if (i == REPLAY_HOOKS || h->status > HOOK_REFUSED)
		return 0;
	r->hook_words[i] = malloc(size);
	if (!r->hook_words[i])
		return -ENOMEM;
	words = memcpy(r->hook_words[i], h + 1, size);
	r->hooks[i] = (struct hook_info){.full = h->full, .status = h->status, .error = h->error};
	r->hooks[i].name = words;
	words += strlen(words) + 1;
	r->hooks[i].attach = words;
	r->hooks[i].shows = words + strlen(words) + 1;
	r->source.nhooks++;
	return 0;
}

static int take_reason(struct replay *r, const struct record *rec)
{
	const struct rec_reason *reason = rec->data;
	char **slot;

	if (reason->number >= REPLAY_REASONS)
		return 0;
	slot = &r->reasons[reason->which][reason->number];
	free(*slot);
	*slot = strdup(record_string(rec, sizeof(*reason), 0));
	return *slot ? 0 : -ENOMEM;
}

static int take(struct replay *r, struct deck *d, const struct record *rec)
{
	bool first = d == r->decks;

	switch (rec->type) {
	case REC_META:
		take_meta(d, rec);
		return 0;
	case REC_HOOK:
		return first ? take_hook(r, rec) : 0;
	case REC_REASON:
		return first ? take_reason(r, rec) : 0;
	case REC_BEGIN:
		memcpy(&d->begin, rec->data, sizeof(d->begin));
		d->has_begin = true;
		return 0;
	default:
		return 0;
	}
}

int replay_preamble(struct replay *r, struct deck *d, char *msg, size_t msg_len)
{
	int rc, err;

	while (!d->has_begin) {
		rc = deck_next(d, msg, msg_len);
		if (rc < 0)
			return rc;
		if (!rc) {
			snprintf(msg, msg_len, "%s: cut at offset %llu: no records before it",
				 d->tape.name, (unsigned long long)d->tape.offset);
			return -EBADMSG;
		}
		if (d->next.type != REC_META && d->next.type != REC_HOOK &&
		    d->next.type != REC_REASON && d->next.type != REC_BEGIN) {
			snprintf(msg, msg_len,
				 "%s: offset %llu: records before the recording begins",
				 d->tape.name, (unsigned long long)d->tape.offset);
			return -EBADMSG;
		}
		err = take(r, d, &d->next);
		if (err) {
			snprintf(msg, msg_len, "%s: %s", d->tape.name, strerror(-err));
			return err;
		}
	}
	d->ts_ns = d->begin.started_ns;
	rc = deck_next(d, msg, msg_len);
	return rc < 0 ? rc : 0;
}

void replay_forget(struct replay *r)
{
	for (unsigned i = 0; i < r->ndecks; i++)
		tape_close(&r->decks[i].tape);
	for (unsigned i = 0; i < REPLAY_HOOKS; i++)
		free(r->hook_words[i]);
	for (unsigned set = 0; set < REASON_SETS; set++)
		for (unsigned i = 0; i < REPLAY_REASONS; i++)
			free(r->reasons[set][i]);
	free(r->decks);
	free(r);
}
