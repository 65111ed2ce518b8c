/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Community ID against what Wireshark 4.0's own post-dissector prints for the same
 * packets, and the specification's baseline flow (128.232.110.120 to
 * 66.35.250.204). Both ends of each flow must agree.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "write/community.h"

static void parse(uint8_t out[16], const char *text)
{
	memset(out, 0, 16);
	if (strchr(text, ':')) {
		assert_int_equal(inet_pton(AF_INET6, text, out), 1);
		return;
	}
	out[10] = out[11] = 0xff;
	assert_int_equal(inet_pton(AF_INET, text, out + 12), 1);
}

static void test_vectors(void **state)
{
	static const struct {
		const char *a;
		uint16_t ap;
		const char *b;
		uint16_t bp;
		const char *id;
	} flows[] = {
		{ "128.232.110.120", 34855, "66.35.250.204", 80, "1:LQU9qZlK+B5F3KDmev6m5PMibrg=" },
		{ "192.168.1.1", 1234, "10.0.0.1", 80, "1:czR9dzsG9ai9w2zdqjaspgSYsHo=" },
		{ "127.0.0.1", 40000, "127.0.0.1", 443, "1:zKwXEDULx4mp1OHTCIvxDrfCuwo=" },
		{ "127.0.0.1", 7, "127.0.0.1", 7, "1:/w2nCm+YPQ9tIVpBv5slTaBW5Qc=" },
		{ "10.1.1.1", 256, "10.1.1.1", 255, "1:kxbdJUKetKVUNUlxJcFwTWSvsv0=" },
		{ "2001:db8::1", 51000, "2001:db8::ff", 443, "1:8C58wmkKi7Cn7WO1oSvdv4kSCiU=" },
		{ "::1", 65535, "::1", 1, "1:9q2IaTXPFzPl7cES6jIKA1AMwbM=" },
		{ "fe80::200:86ff:fe05:80da", 1022, "fe80::260:97ff:fe07:69ea", 22,
		  "1:gS2aYcRwGJWe7UratL8/84dclq4=" },
	};

	for (size_t i = 0; i < sizeof(flows) / sizeof(flows[0]); i++) {
		uint8_t a[16], b[16];
		char id[32];

		parse(a, flows[i].a);
		parse(b, flows[i].b);
		assert_int_equal(community_id(id, a, flows[i].ap, b, flows[i].bp), 0);
		assert_string_equal(id, flows[i].id);
		assert_int_equal(strlen(id), COMMUNITY_ID_LEN);
		memset(id, 'x', sizeof(id));
		assert_int_equal(community_id(id, b, flows[i].bp, a, flows[i].ap), 0);
		assert_string_equal(id, flows[i].id);
	}
}

static void test_mixed_families(void **state)
{
	char id[32] = "untouched";
	uint8_t a[16], b[16];

	parse(a, "10.0.0.1");
	parse(b, "2001:db8::1");
	assert_int_equal(community_id(id, a, 1, b, 2), -EINVAL);
	assert_int_equal(community_id(id, b, 1, a, 2), -EINVAL);
	assert_string_equal(id, "untouched");
}

/* Many more flows than the cache holds, each asked from both ends: never another flow's. */
static void test_cache(void **state)
{
	struct community_cache *cache = test_calloc(1, sizeof(*cache));
	uint8_t a[16], b[16];
	char id[32];

	parse(a, "10.0.0.1");
	parse(b, "10.0.0.2");
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 5000; i++) {
			uint16_t port = (uint16_t)(1024 + i);

			a[13] = (uint8_t)(i % 7);
			assert_int_equal(community_id(id, a, port, b, 443), 0);
			assert_string_equal(community_cached(cache, a, port, b, 443), id);
			assert_string_equal(community_cached(cache, b, 443, a, port), id);
		}
	}
	parse(b, "::1");
	assert_null(community_cached(cache, a, 1, b, 2));
	test_free(cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_mixed_families),
		cmocka_unit_test(test_cache),
	};

	return cmocka_run_group_tests_name("community", tests, NULL, NULL);
}
