/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A capture as a source: packets from libpcap, through the wire's parser and the
 * flows, to the same events that a kernel tells.
 *
 * Several files are merged by time (rotated sets). Time is the packets': the
 * event's clock is the wall clock, so the offset between the two is 0. A file that
 * was cut is read up to the cut, and that is said; one that is wrong ends the run
 * with a line that says where.
 */
#include <errno.h>
#include <fcntl.h>
#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/flow/flow.h"
#include "core/pipeline/pipeline.h"
#include "core/wire/wire.h"
#include "pcap.h"

enum {
	BATCH = 4096, /* packets for one poll() */
	READ_ROOM = 64 << 10,
	FLOWS = 262144,
	ERROR_LEN = PCAP_ERRBUF_SIZE,
};
static const uint64_t BATCH_NS = 50000000; /* ... or so much of the capture's time */
static const uint64_t TICK_NS = 200000000;

/* One file that is being merged. */
struct reel {
	FILE *file;
	char *room;   /* its buffer; NULL: stdio's own */
	pcap_t *pcap;
	const char *name;
	enum wire_link link;
	const struct pcap_pkthdr *head; /* what comes; NULL: nothing any more */
	const u_char *data;
	uint64_t ts_ns;
	uint64_t packets;
};

struct capture {
	struct source source; /* first: ops get this pointer */
	struct replay_info info;
	struct flowtab *flows;
	struct pipeline *p; /* during poll() */
	struct reel *reels;
	unsigned nreels;
	uint64_t tick_ns, number;
	uint64_t results[WIRE_RESULTS];
	uint64_t refused; /* told so far */
	bool begun, finished;
	pcap_packet_fn watch;
	void *watcher;
};

static const struct {
	int dlt;
	enum wire_link link;
} links[] = {
	{DLT_EN10MB, LINK_ETHERNET}, {DLT_LINUX_SLL, LINK_SLL}, {DLT_LINUX_SLL2, LINK_SLL2},
	{DLT_RAW, LINK_RAW},	     {DLT_IPV4, LINK_RAW},	{DLT_IPV6, LINK_RAW},
	{DLT_NULL, LINK_NULL},	     {DLT_LOOP, LINK_NULL},
};

/* ---- one file ------------------------------------------------------------------ */

static uint64_t packet_ns(const struct pcap_pkthdr *h)
{
	/* opened with nanosecond precision: tv_usec holds them */
	uint64_t s = h->ts.tv_sec > 0 ? (uint64_t)h->ts.tv_sec : 0;
	uint64_t ns = h->ts.tv_usec > 0 ? (uint64_t)h->ts.tv_usec : 0;

	return (s & UINT32_MAX) * 1000000000ULL + ns % 1000000000ULL;
}

static void note_cut(const struct reel *r, const char *why)
{
	long at = ftell(r->file);

	fprintf(stderr, "tcptrail: %s: cut", r->name);
	if (at >= 0)
		fprintf(stderr, " at offset %ld", at);
	fprintf(stderr, ", after packet %llu: %s\n", (unsigned long long)r->packets, why);
}

static int reel_wrong(struct capture *c, const struct reel *r, const char *why)
{
	long at = ftell(r->file);

	snprintf(c->info.error, sizeof(c->info.error), "%s: offset %ld, after packet %llu: %s",
		 r->name, at, (unsigned long long)r->packets, why);
	return -EBADMSG;
}

/* The packet that comes next, or none. 0 or -EBADMSG. */
static int reel_next(struct capture *c, struct reel *r)
{
	struct pcap_pkthdr *head;
	const u_char *data;
	int n = pcap_next_ex(r->pcap, &head, &data);

	r->head = NULL;
	if (n == 1) {
		r->head = head;
		r->data = data;
		r->ts_ns = packet_ns(head);
		r->packets++;
		return 0;
	}
	if (n == PCAP_ERROR_BREAK)
		return 0;
	/* What libpcap calls truncated is a file that ends in the middle of something. */
	if (strstr(pcap_geterr(r->pcap), "truncated")) {
		note_cut(r, pcap_geterr(r->pcap));
		return 0;
	}
	return reel_wrong(c, r, pcap_geterr(r->pcap));
}

/* stdio reads a file by the page, and a fifth of all the time went into that. Its buffer can only
 * be chosen before the first byte is read, so the file is opened once more; a pipe stays as it is. */
static void reel_widen(struct reel *r)
{
	int fd = fseek(r->file, 0, SEEK_SET) ? -1 : fcntl(fileno(r->file), F_DUPFD_CLOEXEC, 0);
	FILE *again = fd < 0 ? NULL : fdopen(fd, "r");

	if (!again) {
		if (fd >= 0)
			close(fd);
		return;
	}
	r->room = malloc(READ_ROOM);
	if (r->room)
		setvbuf(again, r->room, _IOFBF, READ_ROOM);
	if (r->file != stdin)
		fclose(r->file);
	r->file = again;
}

static int reel_open(struct reel *r, char *msg, size_t len)
{
	char why[ERROR_LEN] = "";
	int dlt;

	reel_widen(r);
	r->pcap =
		pcap_fopen_offline_with_tstamp_precision(r->file, PCAP_TSTAMP_PRECISION_NANO, why);
	if (!r->pcap) {
		snprintf(msg, len, "%s: offset 0: %s", r->name, why);
		return -EBADMSG;
	}
	dlt = pcap_datalink(r->pcap);
	for (unsigned i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (links[i].dlt == dlt)
			r->link = links[i].link;
	if (r->link == LINK_NONE) {
		const char *name = pcap_datalink_val_to_name(dlt);

		snprintf(msg, len,
			 "%s: link type %d (%s): expected Ethernet, Linux cooked, raw IP or "
			 "loopback",
			 r->name, dlt, name ? name : "unknown");
		return -EPROTONOSUPPORT;
	}
	return 0;
}

/* ---- packets to events --------------------------------------------------------- */

static void feed(void *ctx, const struct event *e)
{
	struct capture *c = ctx;

	pipeline_feed(c->p, e, sizeof(*e));
}

static void feed_small(struct capture *c, enum event_kind kind, uint64_t ts_ns, uint64_t value)
{
	struct event e = {.kind = (uint8_t)kind, .ts_ns = ts_ns};

	e.extra.raw[0] = value;
	feed(c, &e);
}

/* Flows for which there was no room: as connections that found none. */
static void feed_refused(struct capture *c, uint64_t ts_ns)
{
	uint64_t refused = flowtab_stats(c->flows)->refused;
	struct event e = {.kind = EV_LOST, .ts_ns = ts_ns};

	if (refused == c->refused)
		return;
	e.extra.lost.count = refused - c->refused;
	e.extra.lost.reason = LOSS_TABLE_FULL;
	c->refused = refused;
	feed(c, &e);
}

static void tick(struct capture *c, uint64_t ts_ns)
{
	if (!c->begun) {
		feed_small(c, EV_CLOCK, ts_ns, 0);
		pipeline_stats_mut(c->p)->full_mode = true; /* probes and SYNs are seen */
		c->begun = true;
	}
	if (ts_ns < c->tick_ns)
		return;
	c->tick_ns = ts_ns + TICK_NS;
	feed_refused(c, ts_ns);
	feed_small(c, EV_TICK, ts_ns, 0);
}

static void take_packet(struct capture *c, const struct reel *r)
{
	struct flow_mark mark;
	struct wire_segment s;
	enum wire_result got = wire_parse(&s, r->link, r->data, r->head->caplen, r->head->len);

	c->number++;
	c->results[got]++;
	tick(c, r->ts_ns);
	if (got != WIRE_TCP)
		return;
	flowtab_segment(c->flows, &s, r->ts_ns, c->watch ? &mark : NULL);
	if (c->watch)
		c->watch(c->watcher, &(struct pcap_packet){.number = c->number,
							   .ts_ns = r->ts_ns,
							   .length = r->head->len,
							   .segment = &s,
							   .mark = &mark});
}

static struct reel *earliest(const struct capture *c)
{
	struct reel *first = NULL;

	for (unsigned i = 0; i < c->nreels; i++)
		if (c->reels[i].head && (!first || c->reels[i].ts_ns < first->ts_ns))
			first = &c->reels[i];
	return first;
}

static void finish(struct capture *c)
{
	uint64_t now = pipeline_now(c->p);

	if (c->finished)
		return;
	c->finished = true;
	flowtab_finish(c->flows, now);
	feed_refused(c, now);
	if (!c->results[WIRE_TCP] && c->number)
		fprintf(stderr, "tcptrail: %s: %llu packets, none of them TCP\n", c->reels[0].name,
			(unsigned long long)c->number);
}

static int capture_poll(struct source *s, struct pipeline *p, int timeout_ms)
{
	struct capture *c = (struct capture *)s;
	struct reel *r = earliest(c);
	uint64_t until = r ? r->ts_ns + BATCH_NS : 0;
	int n = 0, err;

	c->p = p;
	for (; r && n < BATCH && (!n || r->ts_ns < until); n++) {
		take_packet(c, r);
		err = reel_next(c, r);
		if (err)
			return err;
		r = earliest(c);
	}
	if (r)
		return n;
	finish(c);
	return n ? n : -ENODATA;
}

static void capture_stats(struct source *s, struct pipeline *p)
{
	pipeline_stats_mut(p)->full_mode = true;
}

static void capture_close(struct source *s)
{
	struct capture *c = (struct capture *)s;

	for (unsigned i = 0; i < c->nreels; i++) {
		if (c->reels[i].pcap)
			pcap_close(c->reels[i].pcap); /* and its file */
		else if (c->reels[i].file && c->reels[i].file != stdin)
			fclose(c->reels[i].file);
		free(c->reels[i].room);
	}
	flowtab_free(c->flows);
	free(c->reels);
	free(c);
}

static const char *capture_drop_reason(const struct source *s, unsigned reason)
{
	return reason == 1 ? "delayed_duplicate" : "";
}

static const struct source_ops ops = {
	.name = "capture",
	.poll = capture_poll,
	.stats = capture_stats,
	.close = capture_close,
};

bool source_pcap_watch(struct source *s, pcap_packet_fn fn, void *ctx)
{
	struct capture *c = (struct capture *)s;

	if (!s || s->ops != &ops)
		return false;
	c->watch = fn;
	c->watcher = ctx;
	return true;
}

int source_pcap_open(struct source **out, FILE *const *files, const char *const *names, unsigned n,
		     char *msg, size_t msg_len)
{
	struct capture *c = calloc(1, sizeof(*c));
	int err = -ENOMEM;

	if (!c)
		return err;
	c->reels = calloc(n, sizeof(*c->reels));
	c->flows = flowtab_new(FLOWS, feed, c);
	if (!c->reels || !c->flows)
		goto out;
	c->nreels = n;
	for (unsigned i = 0; i < n; i++) {
		c->reels[i].file = files[i];
		c->reels[i].name = names[i];
	}
	c->source.ops = &ops;
	c->source.replay = &c->info;
	c->source.full_mode = true;
	c->source.drop_reason = capture_drop_reason;
	c->info.at = REPLAY_ROUND;
	c->info.no_rounds = true;
	c->info.command = "";
	err = 0;
	for (unsigned i = 0; i < n && !err; i++) {
		err = reel_open(&c->reels[i], msg, msg_len);
		if (!err && (err = reel_next(c, &c->reels[i])))
			snprintf(msg, msg_len, "%s", c->info.error);
	}
	c->info.started_ns = earliest(c) ? earliest(c)->ts_ns : 0;
out:
	if (err)
		capture_close(&c->source);
	else
		*out = &c->source;
	return err;
}
