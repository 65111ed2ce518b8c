/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recordings as a source: feeds the pipeline what the live run fed its own, in the
 * same order, and comes back where the live run looked at its clock, so that a view
 * does at the same places what it did then.
 *
 * Several files are merged by time; a snapshot is never torn by another file's
 * events. Never: a clock is read.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/pipeline/pipeline.h"
#include "replay.h"

enum { RECORDS_A_POLL = 4096 };

/* The deck whose record comes next; NULL when all are over. */
static struct deck *next_deck(struct replay *r)
{
	struct deck *first = NULL;

	for (unsigned i = 0; i < r->ndecks; i++) {
		struct deck *d = &r->decks[i];

		if (!d->has_next)
			continue;
		if (d->in_snapshot)
			return d;
		if (!first || d->ts_ns < first->ts_ns)
			first = d;
	}
	return first;
}

static int bad_event(struct replay *r, const struct deck *d)
{
	snprintf(r->info.error, sizeof(r->info.error),
		 "%s: frame at offset %llu, byte %u: an event that cannot be", d->tape.name,
		 (unsigned long long)d->tape.offset,
		 d->tape.reader.at - (unsigned)sizeof(struct event));
	return -EBADMSG;
}

static bool of_first_host_alone(const struct event *e)
{
	/* Its clock is the stream's; limits of a host or a process have no room for a second. */
	return e->kind == EV_CLOCK || e->kind == EV_LOST || (e->kind == EV_FACT && !e->netns);
}

static int feed_event(struct replay *r, struct pipeline *p, struct deck *d)
{
	const struct event *e = d->next.data;
	struct event copy;

	if (e->kind == EV_SNAPSHOT_BEGIN)
		d->in_snapshot = r->ndecks > 1;
	else if (e->kind == EV_SNAPSHOT_END)
		d->in_snapshot = false;
	if (d->shift_ns || d->host) {
		if (d->host && of_first_host_alone(e))
			return 0;
		copy = *e;
		replay_translate(d, &copy);
		e = &copy;
	}
	if (e->ts_ns > r->last_ns)
		r->last_ns = e->ts_ns;
	return pipeline_feed(p, e, sizeof(*e)) ? bad_event(r, d) : 0;
}

/* As the live run knew it; and what did not get into the file is missing here too. */
static void apply_stats(const struct replay *r, struct pipeline *p, const struct rec_stats *in)
{
	struct stats *st = pipeline_stats_mut(p);

	st->bpf_ns = in->bpf_ns;
	st->bpf_runs = in->bpf_runs;
	st->wakeups = in->wakeups;
	st->user_cpu_ns = in->user_cpu_ns;
	st->hooks_attached = in->hooks_attached;
	st->hooks_missing = in->hooks_missing;
	st->full_mode = in->full_mode;
	st->lost[LOSS_OUTPUT_SLOW] = in->output_slow + r->gaps;
	st->lost[LOSS_MALFORMED] = in->malformed;
}

static void tell_gap(struct replay *r, struct pipeline *p, const uint64_t *gap)
{
	struct event e = {.kind = EV_LOST, .ts_ns = r->last_ns};

	e.extra.lost.reason = LOSS_OUTPUT_SLOW;
	e.extra.lost.count = gap[1];
	r->gaps += gap[1];
	pipeline_feed(p, &e, sizeof(e));
}

static void take_finish(struct replay *r, const struct deck *d, uint64_t now_ns)
{
	now_ns += (uint64_t)d->shift_ns;
	if (now_ns > r->info.end_ns)
		r->info.end_ns = now_ns;
	r->finished = r->ndecks == 1;
}

/* 1: an event was fed; 0: another record; -errno. */
static int dispatch(struct replay *r, struct pipeline *p, struct deck *d)
{
	const uint64_t *words = d->next.data;
	int err;

	switch (d->next.type) {
	case REC_EVENT:
		err = feed_event(r, p, d);
		return err ? err : 1;
	case REC_CGROUP:
		pipeline_tell_cgroup(p, words[0] ^ (uint64_t)d->host << 56,
				     record_string(&d->next, 8, 0));
		break;
	case REC_STACK:
		pipeline_tell_stack(p, words[0] ^ (uint64_t)d->host << 56,
				    record_string(&d->next, 8, 0));
		break;
	case REC_ASKED:
		pipeline_lookup_asked(p, words[0] ^ (uint64_t)d->host << 56);
		break;
	case REC_ROUND:
		r->info.at = REPLAY_ROUND;
		r->info.now_ns = d->ts_ns;
		break;
	case REC_INTERVAL:
		r->info.at = REPLAY_INTERVAL;
		break;
	case REC_STATS:
		if (!d->host)
			apply_stats(r, p, d->next.data);
		break;
	case REC_FINISH:
		take_finish(r, d, words[0]);
		break;
	case REC_GAP:
		tell_gap(r, p, words);
		break;
	default: /* a preamble again: another file's that was written on */
		break;
	}
	return 0;
}

static int step(struct replay *r, struct pipeline *p)
{
	struct deck *d = next_deck(r);
	int n, rc;

	if (!d)
		return -ENODATA;
	n = dispatch(r, p, d);
	if (n < 0)
		return n;
	rc = deck_next(d, r->info.error, sizeof(r->info.error));
	return rc < 0 ? rc : n;
}

static int replay_poll(struct source *s, struct pipeline *p, int timeout_ms)
{
	struct replay *r = (struct replay *)s;
	int fed = 0, n;

	r->info.at = REPLAY_MORE;
	for (int i = 0; i < RECORDS_A_POLL && r->info.at == REPLAY_MORE; i++) {
		if (r->finished)
			return -ENODATA;
		n = step(r, p);
		if (n < 0)
			return n;
		fed += n;
	}
	return fed;
}

/* The live run's figures at this place. Behind its end they are what is left: those that the view
 * closed with, then all the rest, so that what is wrong there is found. */
static void replay_stats(struct source *s, struct pipeline *p)
{
	struct replay *r = (struct replay *)s;
	bool found = false;

	while (r->finished && !found && r->decks[0].has_next) {
		found = !r->told_stats && r->decks[0].next.type == REC_STATS;
		if (step(r, p) < 0)
			break;
	}
	r->told_stats = r->finished;
}

static int replay_fd(const struct source *s)
{
	return -1;
}

static void replay_close(struct source *s)
{
	if (s)
		replay_forget((struct replay *)s);
}

static const char *reason_name(const struct source *s, enum rec_reasons set, unsigned reason)
{
	const struct replay *r = (const struct replay *)s;

	return reason < REPLAY_REASONS ? r->reasons[set][reason] : NULL;
}

static const char *replay_rst_reason(const struct source *s, unsigned reason)
{
	return reason_name(s, REASON_RST, reason);
}

static const char *replay_drop_reason(const struct source *s, unsigned reason)
{
	return reason_name(s, REASON_DROP, reason);
}

static const struct source_ops replay_ops = {
	.name = "replay",
	.poll = replay_poll,
	.fd = replay_fd,
	.stats = replay_stats,
	.close = replay_close,
};

static struct replay *replay_new(unsigned n)
{
	struct replay *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->decks = calloc(n, sizeof(*r->decks));
	if (!r->decks) {
		free(r);
		return NULL;
	}
	r->source = (struct source){
		.ops = &replay_ops,
		.replay = &r->info,
		.hooks = r->hooks,
		.rst_reason = replay_rst_reason,
		.drop_reason = replay_drop_reason,
	};
	return r;
}

static void describe(struct replay *r)
{
	const struct deck *d = &r->decks[0];

	r->source.full_mode = d->begin.flags & BEGIN_FULL_MODE;
	r->info.started_ns = d->begin.started_ns;
	r->info.now_ns = d->begin.started_ns;
	r->info.command = d->command;
	r->info.filtered = d->begin.flags & BEGIN_FILTERED;
	r->info.interval_ns = r->ndecks == 1 ? d->begin.interval_ns : 0;
}

int source_replay_open(struct source **out, FILE *const *files, const char *const *names,
		       unsigned n, char *msg, size_t msg_len)
{
	struct replay *r = replay_new(n);
	int err = r ? 0 : -ENOMEM;

	for (unsigned i = 0; i < n; i++) {
		if (!err)
			err = tape_open(&r->decks[r->ndecks++].tape, files[i], names[i], msg,
					msg_len);
		else if (files[i] != stdin)
			fclose(files[i]);
	}
	for (unsigned i = 0; i < n && !err; i++)
		err = replay_preamble(r, &r->decks[i], msg, msg_len);
	if (!err && n > 1)
		err = replay_align(r, msg, msg_len);
	if (err) {
		if (r)
			replay_forget(r);
		return err;
	}
	describe(r);
	*out = &r->source;
	return 0;
}
