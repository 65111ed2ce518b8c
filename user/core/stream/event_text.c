/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text form of an event: its time, its kind, then name=value for every field
 * that is not zero. One table says where each field lies and which kinds have it,
 * so that writing and reading cannot disagree.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "event_text.h"
#include "connection/words.h"

enum form { NUMBER, STATE, ADDRESS, NAME };

/* Which union member a field belongs to; 0: every record has it. */
enum part {
	EVERY,
	TCP,
	LISTEN,
	TASK,
	X_STATE,
	X_SEG,
	X_REQ,
	X_TW,
	X_RESET,
	X_SOCK,
	X_LOOKUP,
	X_LOST,
	X_RAW,
	X_FACT,
};

struct field {
	const char *name;
	uint16_t offset;
	uint8_t size;
	uint8_t form;
	uint8_t part;
};

#define F(name_, member, form_, part_)                                                             \
	{                                                                                          \
		name_, offsetof(struct event, member), sizeof(((struct event *)0)->member), form_, \
			part_                                                                      \
	}

static const struct field fields[] = {
	F("cookie", cookie, NUMBER, EVERY),
	F("netns", netns, NUMBER, EVERY),
	F("flags", flags, NUMBER, EVERY),
	F("old", old_state, STATE, EVERY),
	F("new", new_state, STATE, EVERY),
	F("local", local, ADDRESS, EVERY),
	F("lport", lport, NUMBER, EVERY),
	F("peer", peer, ADDRESS, EVERY),
	F("pport", pport, NUMBER, EVERY),
	F("sk_uid", sk_uid, NUMBER, EVERY),
	F("snd_una", tcp.snd_una, NUMBER, TCP),
	F("snd_nxt", tcp.snd_nxt, NUMBER, TCP),
	F("write_seq", tcp.write_seq, NUMBER, TCP),
	F("rcv_nxt", tcp.rcv_nxt, NUMBER, TCP),
	F("copied_seq", tcp.copied_seq, NUMBER, TCP),
	F("srtt_us", tcp.srtt_us, NUMBER, TCP),
	F("min_rtt_us", tcp.min_rtt_us, NUMBER, TCP),
	F("segs_in", tcp.segs_in, NUMBER, TCP),
	F("segs_out", tcp.segs_out, NUMBER, TCP),
	F("total_retrans", tcp.total_retrans, NUMBER, TCP),
	F("bytes_acked", tcp.bytes_acked, NUMBER, TCP),
	F("bytes_received", tcp.bytes_received, NUMBER, TCP),
	F("rto_us", tcp.rto_us, NUMBER, TCP),
	F("mss", tcp.mss, NUMBER, TCP),
	F("snd_wscale", tcp.snd_wscale, NUMBER, TCP),
	F("rcv_wscale", tcp.rcv_wscale, NUMBER, TCP),
	F("options", tcp.options, NUMBER, TCP),
	F("ca_state", tcp.ca_state, NUMBER, TCP),
	F("pending", tcp.pending, NUMBER, TCP),
	F("retransmits", tcp.retransmits, NUMBER, TCP),
	F("probes_out", tcp.probes_out, NUMBER, TCP),
	F("backoff", tcp.backoff, NUMBER, TCP),
	F("shutdown", tcp.shutdown, NUMBER, TCP),
	F("err", tcp.err, NUMBER, TCP),
	F("snd_wnd", tcp.snd_wnd, NUMBER, TCP),
	F("accept_queue", listen.accept_queue, NUMBER, LISTEN),
	F("accept_limit", listen.accept_limit, NUMBER, LISTEN),
	F("syn_queue", listen.syn_queue, NUMBER, LISTEN),
	F("syn_young", listen.syn_young, NUMBER, LISTEN),
	F("drops", listen.drops, NUMBER, LISTEN),
	F("fastopen_limit", listen.fastopen_limit, NUMBER, LISTEN),
	F("pid", task.pid, NUMBER, TASK),
	F("tid", task.tid, NUMBER, TASK),
	F("uid", task.uid, NUMBER, TASK),
	F("cgroup", task.cgroup, NUMBER, TASK),
	F("comm", task.comm, NAME, TASK),
	F("bound_dev", task.bound_dev, NUMBER, EVERY),
	F("user_timeout_ms", extra.state.user_timeout_ms, NUMBER, X_STATE),
	F("seq", extra.seg.seq, NUMBER, X_SEG),
	F("end_seq", extra.seg.end_seq, NUMBER, X_SEG),
	F("tcp_flags", extra.seg.tcp_flags, NUMBER, X_SEG),
	F("len", extra.seg.len, NUMBER, X_SEG),
	F("mib", extra.seg.mib, NUMBER, X_SEG),
	F("isn_local", extra.req.isn_local, NUMBER, X_REQ),
	F("isn_peer", extra.req.isn_peer, NUMBER, X_REQ),
	F("expires_ms", extra.req.expires_ms, NUMBER, X_REQ),
	F("retries", extra.req.retries, NUMBER, X_REQ),
	F("type", extra.req.type, NUMBER, X_REQ),
	F("req_mss", extra.req.mss, NUMBER, X_REQ),
	F("timeo_ms", extra.tw.timeo_ms, NUMBER, X_TW),
	F("expires_ms", extra.tw.expires_ms, NUMBER, X_TW),
	F("substate", extra.tw.substate, STATE, X_TW),
	F("reason", extra.reset.reason, NUMBER, X_RESET),
	F("seq", extra.reset.seq, NUMBER, X_RESET),
	F("ack_seq", extra.reset.ack_seq, NUMBER, X_RESET),
	F("tcp_flags", extra.reset.tcp_flags, NUMBER, X_RESET),
	F("has_skb", extra.reset.has_skb, NUMBER, X_RESET),
	F("fd", extra.sock.fd, NUMBER, X_SOCK),
	F("expires_ms", extra.sock.expires_ms, NUMBER, X_SOCK),
	F("timer", extra.sock.timer, NUMBER, X_SOCK),
	F("retries", extra.sock.retries, NUMBER, X_SOCK),
	F("age_ms", extra.sock.age_ms, NUMBER, X_SOCK),
	F("found", extra.lookup.found, NUMBER, X_LOOKUP),
	F("expires_ms", extra.lookup.expires_ms, NUMBER, X_LOOKUP),
	F("state", extra.lookup.state, STATE, X_LOOKUP),
	F("timer", extra.lookup.timer, NUMBER, X_LOOKUP),
	F("retries", extra.lookup.retries, NUMBER, X_LOOKUP),
	F("count", extra.lost.count, NUMBER, X_LOST),
	F("reason", extra.lost.reason, NUMBER, X_LOST),
	F("value", extra.raw[0], NUMBER, X_RAW),
	F("value", extra.fact.value, NUMBER, X_FACT),
	F("fact", extra.fact.id, NUMBER, X_FACT),
};

static const uint8_t extra_part[EV_KIND_MAX] = {
	[EV_STATE] = X_STATE,	 [EV_RETRANSMIT] = X_SEG,     [EV_SYNACK_RETRANSMIT] = X_REQ,
	[EV_RST_SENT] = X_RESET, [EV_RST_RECEIVED] = X_RESET, [EV_DROP] = X_RESET,
	[EV_SYN_IN] = X_REQ,	 [EV_REQ_NEW] = X_REQ,	      [EV_SYNACK_SENT] = X_REQ,
	[EV_REQ_GONE] = X_REQ,	 [EV_REQ_REFUSED] = X_REQ,    [EV_TW_ENTER] = X_TW,
	[EV_TW_LEAVE] = X_TW,	 [EV_TW_SEGMENT] = X_SEG,     [EV_PROBE] = X_SEG,
	[EV_SOCK] = X_SOCK,	 [EV_REQ_SOCK] = X_REQ,	      [EV_TW_SOCK] = X_TW,
	[EV_HOLDER] = X_SOCK,	 [EV_TW_LOOKUP] = X_LOOKUP,   [EV_SNAPSHOT_BEGIN] = X_RAW,
	[EV_LOST] = X_LOST,	 [EV_CLOCK] = X_RAW,	      [EV_RST_SEGMENT] = X_SEG,
	[EV_FACT] = X_FACT,	 [EV_DESTROY] = X_STATE,    [EV_STACK] = X_RAW,
};

static bool has_field(const struct event *e, const struct field *f)
{
	switch (f->part) {
	case EVERY:
		return true;
	case TCP:
		return e->flags & EVF_TCP;
	case LISTEN:
		return e->flags & EVF_LISTEN;
	case TASK:
		return e->flags & EVF_TASK;
	default:
		return extra_part[e->kind] == f->part;
	}
}

/* To people a request sock is in SYN_RECEIVED as its child is; here the two are not the same. */
static const char request_sock[] = "NEW_SYN_RECV";

static uint64_t number_get(const struct event *e, const struct field *f)
{
	uint64_t v = 0;

	memcpy(&v, (const char *)e + f->offset, f->size); /* little-endian hosts: BPF's too */
	return v;
}

void event_text_write(struct buf *b, const struct event *e)
{
	static const uint8_t zero[16];

	buf_u64(b, e->ts_ns);
	buf_char(b, ' ');
	buf_str(b, word_event(e->kind));
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		const struct field *f = &fields[i];
		const char *at = (const char *)e + f->offset;

		if (!has_field(e, f) || !memcmp(at, zero, f->size))
			continue;
		buf_char(b, ' ');
		buf_str(b, f->name);
		buf_char(b, '=');
		if (f->form == STATE)
			buf_str(b, number_get(e, f) == ST_NEW_SYN_RECV
					   ? request_sock
					   : word_state_rfc(number_get(e, f)));
		else if (f->form == ADDRESS)
			buf_addr(b, (const uint8_t *)at);
		else if (f->form == NAME)
			for (unsigned j = 0; j < f->size; j++)
				buf_printf(b, "%02x", (unsigned char)at[j]);
		else
			buf_u64(b, number_get(e, f));
	}
	buf_char(b, '\n');
}

/* --- reading ------------------------------------------------------------------- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int name_set(char *at, unsigned size, const char *s, size_t len)
{
	if (len != 2 * (size_t)size)
		return -EINVAL;
	for (unsigned i = 0; i < size; i++) {
		int hi = hex_digit(s[2 * i]), lo = hex_digit(s[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return -EINVAL;
		at[i] = (char)(hi << 4 | lo);
	}
	return 0;
}

static int address_set(uint8_t *at, const char *s)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	uint8_t v4[4];

	if (inet_pton(AF_INET6, s, at) == 1)
		return 0;
	if (inet_pton(AF_INET, s, v4) != 1)
		return -EINVAL;
	memcpy(at, mapped, sizeof(mapped));
	memcpy(at + 12, v4, sizeof(v4));
	return 0;
}

static int value_set(struct event *e, const struct field *f, const char *s, size_t len)
{
	char *at = (char *)e + f->offset, word[64], *end;
	uint64_t v;

	if (len == 0 || len >= sizeof(word))
		return -EINVAL;
	memcpy(word, s, len);
	word[len] = '\0';
	if (f->form == NAME)
		return name_set(at, f->size, s, len);
	if (f->form == ADDRESS)
		return address_set((uint8_t *)at, word);
	if (f->form == STATE) {
		v = strcmp(word, request_sock) ? word_to_state(word, (unsigned)len)
					       : ST_NEW_SYN_RECV;
	} else {
		errno = 0;
		v = strtoull(word, &end, 10);
		if (*end || errno)
			return -EINVAL;
	}
	if (f->size < 8 && v >> (8 * f->size))
		return -EINVAL;
	memcpy(at, &v, f->size);
	return 0;
}

static const struct field *field_named(const struct event *e, const char *s, size_t len)
{
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (has_field(e, &fields[i]) && strlen(fields[i].name) == len &&
		    !memcmp(fields[i].name, s, len))
			return &fields[i];
	return NULL;
}

static enum event_kind kind_named(const char *s, size_t len)
{
	for (unsigned k = 1; k < EV_KIND_MAX; k++)
		if (strlen(word_event(k)) == len && !memcmp(word_event(k), s, len))
			return k;
	return EV_NONE;
}

static const char *skip_blanks(const char *s)
{
	return s + strspn(s, " \t\r\n");
}

int event_text_read(struct event *e, const char *line, const char **error, const char **what)
{
	const char *s = skip_blanks(line);
	char *end;
	size_t len;

	if (!*s || *s == '#')
		return -EAGAIN;
	memset(e, 0, sizeof(*e));
	*error = s;
	*what = "expected the time in nanoseconds";
	e->ts_ns = strtoull(s, &end, 10);
	if (end == s || *end != ' ')
		return -EINVAL;
	s = *error = skip_blanks(end);
	*what = "expected an event kind";
	len = strcspn(s, " \t\r\n");
	e->kind = kind_named(s, len);
	if (e->kind == EV_NONE)
		return -EINVAL;
	for (s = skip_blanks(s + len); *s; s = skip_blanks(s + len)) {
		const char *eq = strchr(s, '=');
		const struct field *f = eq ? field_named(e, s, (size_t)(eq - s)) : NULL;

		*error = s;
		*what = "expected name=value of a field that this kind has";
		len = strcspn(s, " \t\r\n");
		if (!f || value_set(e, f, eq + 1, len - (size_t)(eq + 1 - s)))
			return -EINVAL;
	}
	return 0;
}
