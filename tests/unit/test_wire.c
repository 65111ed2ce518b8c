/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames put together by hand, through every kind of link: what stands before the IP
 * header is found, what was cut off is absent, lengths that contradict each other are
 * no segment.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "wire/wire.h"

struct frame {
	uint8_t bytes[256];
	uint32_t len;
};

static void put(struct frame *f, const void *bytes, uint32_t len)
{
	assert_true(f->len + len <= sizeof(f->bytes));
	memcpy(f->bytes + f->len, bytes, len);
	f->len += len;
}

#define PUT(f, ...)                                                                                \
	do {                                                                                       \
		const uint8_t put_bytes[] = {__VA_ARGS__};                                         \
		put(f, put_bytes, sizeof(put_bytes));                                              \
	} while (0)

/* Ports 1000 to 80, seq 0x01020304, ack 0x05060708, SYN|ACK, MSS 1460, wscale 7, SACK, payload. */
static void put_tcp(struct frame *f, uint8_t payload)
{
	PUT(f, 0x03, 0xe8, 0, 80, 1, 2, 3, 4, 5, 6, 7, 8, 0x80, 0x12, 0xfa, 0xf0, 0, 0, 0, 0);
	PUT(f, 2, 4, 0x05, 0xb4, 4, 2, 1, 1, 3, 3, 7, 0);
	for (uint8_t i = 0; i < payload; i++)
		PUT(f, i);
}

enum { TCP_BYTES = 32, PAYLOAD = 5 };

static void put_ipv4(struct frame *f)
{
	PUT(f, 0x45, 0, 0, 20 + TCP_BYTES + PAYLOAD, 0x12, 0x34, 0x40, 0, 64, 6, 0, 0);
	PUT(f, 10, 0, 0, 1, 10, 0, 0, 2);
	put_tcp(f, PAYLOAD);
}

static void put_ipv6(struct frame *f, uint8_t next, uint8_t extra)
{
	static const uint8_t src[16] = {0x20, 1, 0x0d, 0xb8, [15] = 1};
	static const uint8_t dst[16] = {0x20, 1, 0x0d, 0xb8, [15] = 2};

	PUT(f, 0x60, 0, 0, 0, 0, (uint8_t)(TCP_BYTES + PAYLOAD + extra), next, 64);
	put(f, src, 16);
	put(f, dst, 16);
}

static const uint8_t mac[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

static void is_ours(enum wire_link link, const struct frame *f)
{
	struct wire_segment s;

	memset(&s, 0xa5, sizeof(s));
	assert_int_equal(wire_parse(&s, link, f->bytes, f->len, f->len), WIRE_TCP);
	assert_int_equal(s.sport, 1000);
	assert_int_equal(s.dport, 80);
	assert_int_equal(s.seq, 0x01020304);
	assert_int_equal(s.ack, 0x05060708);
	assert_int_equal(s.flags, WIRE_SYN | WIRE_ACK);
	assert_int_equal(s.window, 0xfaf0);
	assert_int_equal(s.len, PAYLOAD);
	assert_int_equal(s.has & (WIRE_HAS_MSS | WIRE_HAS_WSCALE | WIRE_HAS_SACK_OK),
			 WIRE_HAS_MSS | WIRE_HAS_WSCALE | WIRE_HAS_SACK_OK);
	assert_int_equal(s.mss, 1460);
	assert_int_equal(s.wscale, 7);
	assert_int_equal(s.src[15], 1);
	assert_int_equal(s.dst[15], 2);
	assert_int_equal(s.v6, s.src[0] == 0x20);
}

static void test_links(void **state)
{
	struct frame ethernet = {0}, vlan = {0}, twice = {0}, sll = {0}, sll2 = {0}, raw = {0};
	struct frame null = {0}, null_swapped = {0};

	put(&ethernet, mac, 12);
	PUT(&ethernet, 0x08, 0x00);
	put_ipv4(&ethernet);
	is_ours(LINK_ETHERNET, &ethernet);
	put(&vlan, mac, 12);
	PUT(&vlan, 0x81, 0x00, 0, 5, 0x08, 0x00);
	put_ipv4(&vlan);
	is_ours(LINK_ETHERNET, &vlan);
	put(&twice, mac, 12); /* 802.1ad outside, 802.1Q inside */
	PUT(&twice, 0x88, 0xa8, 0, 5, 0x81, 0x00, 0, 6, 0x08, 0x00);
	put_ipv4(&twice);
	is_ours(LINK_ETHERNET, &twice);
	PUT(&sll, 0, 0, 3, 4, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0x08, 0x00);
	put_ipv4(&sll);
	is_ours(LINK_SLL, &sll);
	PUT(&sll2, 0x08, 0x00, 0, 0, 0, 0, 0, 1, 3, 4, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0);
	put_ipv4(&sll2);
	is_ours(LINK_SLL2, &sll2);
	put_ipv4(&raw);
	is_ours(LINK_RAW, &raw);
	PUT(&null, 2, 0, 0, 0);
	put_ipv4(&null);
	is_ours(LINK_NULL, &null);
	PUT(&null_swapped, 0, 0, 0, 2);
	put_ipv4(&null_swapped);
	is_ours(LINK_NULL, &null_swapped);
}

static void test_ipv6(void **state)
{
	struct frame plain = {0}, options = {0}, fragment = {0};
	struct wire_segment s;

	put_ipv6(&plain, 6, 0);
	put_tcp(&plain, PAYLOAD);
	is_ours(LINK_RAW, &plain);
	put_ipv6(&options, 0, 24); /* hop-by-hop, routing, destination options, then TCP */
	PUT(&options, 43, 0, 1, 4, 0, 0, 0, 0);
	PUT(&options, 60, 0, 0, 0, 0, 0, 0, 0);
	PUT(&options, 6, 0, 1, 4, 0, 0, 0, 0);
	put_tcp(&options, PAYLOAD);
	is_ours(LINK_RAW, &options);
	put_ipv6(&fragment, 44, 8);
	PUT(&fragment, 6, 0, 0x05, 0x00, 0, 0, 0, 9); /* at 1280: not the first */
	put_tcp(&fragment, PAYLOAD);
	assert_int_equal(wire_parse(&s, LINK_RAW, fragment.bytes, fragment.len, fragment.len),
			 WIRE_FRAGMENT);
}

/* Cut anywhere, nothing is guessed: with TCP's flags and window a segment, before them none. */
static void test_snapped(void **state)
{
	enum { FLAGS_END = 14 + 20 + 16 };
	struct frame f = {0};
	struct wire_segment s;

	put(&f, mac, 12);
	PUT(&f, 0x08, 0x00);
	put_ipv4(&f);
	for (uint32_t captured = 0; captured < f.len; captured++) {
		enum wire_result r = wire_parse(&s, LINK_ETHERNET, f.bytes, captured, f.len);

		if (captured < FLAGS_END) {
			assert_int_not_equal(r, WIRE_TCP);
			continue;
		}
		assert_int_equal(r, WIRE_TCP);
		assert_int_equal(s.len, PAYLOAD); /* by the IP header, captured or not */
		assert_true(!(s.has & WIRE_HAS_MSS) || captured >= 14 + 20 + 24);
	}
}

static void test_bad(void **state)
{
	static const struct {
		uint8_t at, value;
		enum wire_result want;
	} damages[] = {
		{0, 0x55, WIRE_OTHER},			     /* IP version 5 */
		{0, 0x44, WIRE_BAD},			     /* a header of 16 bytes */
		{3, 10, WIRE_BAD},			     /* shorter than its own header */
		{9, 17, WIRE_OTHER},			     /* UDP */
		{7, 9, WIRE_FRAGMENT}, {32, 0x40, WIRE_BAD}, /* a TCP header of 16 bytes */
		{32, 0xf0, WIRE_BAD},			     /* longer than the packet */
	};
	struct wire_segment s;

	for (unsigned i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		struct frame f = {0};
		enum wire_result r;

		put_ipv4(&f);
		f.bytes[damages[i].at] = damages[i].value;
		r = wire_parse(&s, LINK_RAW, f.bytes, f.len, f.len);
		if (r != damages[i].want)
			fail_msg("byte %u = %#x: %d, not %d", damages[i].at, damages[i].value, r,
				 damages[i].want);
	}
}

/* An option that claims to be longer than what is left, or to be of no length at all. */
static void test_options_lie(void **state)
{
	static const uint8_t lies[][2] = {{2, 40}, {2, 0}, {8, 1}, {5, 255}, {3, 0}};
	struct wire_segment s;

	for (unsigned i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct frame f = {0};

		put_ipv4(&f);
		f.bytes[40] = lies[i][0];
		f.bytes[41] = lies[i][1];
		assert_int_equal(wire_parse(&s, LINK_RAW, f.bytes, f.len, f.len), WIRE_TCP);
		assert_int_equal(s.has, 0);
		assert_int_equal(s.len, PAYLOAD);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_links),	    cmocka_unit_test(test_ipv6),
		cmocka_unit_test(test_snapped),	    cmocka_unit_test(test_bad),
		cmocka_unit_test(test_options_lie),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
