/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a Kubernetes node's log directories call its containers: names that are taken and
 * names that are not, and a directory that somebody else fills.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "../../user/source/pods.c" /* the source's, so not in the core's archive */

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define UID "1234abcd-0000-1111-2222-0123456789ab"
#define HASH "0123456789abcdef0123456789abcdef"

static void test_logs(void **state)
{
	static const struct {
		const char *file, *name; /* NULL: not taken */
	} rows[] = {
		{ "web-0_shop_nginx-" ID ".log", "shop/web-0/nginx" },
		{ "a.b_default_side-car-" ID ".log", "default/a.b/side-car" },
		{ "web-0_shop_-" ID ".log", NULL },
		{ "_shop_nginx-" ID ".log", NULL },
		{ "web-0__nginx-" ID ".log", NULL },
		{ "web-0_nginx-" ID ".log", NULL },
		{ "a_b_c_d-" ID ".log", NULL },
		{ "web-0_shop_nginx-" ID, NULL },
		{ "web-0_shop_nginx" ID ".log", NULL },
		{ "web-0_shop_nginx-" ID "0.log", NULL },
		{ "web-0_shop_nginx-X" ID ".log", NULL },
		{ "web\"0_shop_nginx-" ID ".log", NULL },
		{ "web\n0_shop_nginx-" ID ".log", NULL },
		{ "w\xc3\xa9_shop_nginx-" ID ".log", NULL },
		{ "Web_shop_nginx-" ID ".log", NULL },
		{ ID ".log", NULL }, { ".log", NULL }, { "", NULL }, { "..", NULL },
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char id[PODNAME_ID_LEN + 1] = "-", name[PODNAME_LEN] = "-";

		assert_true(podname_of_log(rows[i].file, id, name) == !!rows[i].name);
		assert_string_equal(name, rows[i].name ? rows[i].name : "-");
		assert_string_equal(id, rows[i].name ? ID : "-");
	}
}

static void test_dirs(void **state)
{
	static const struct {
		const char *dir, *uid, *name;
	} rows[] = {
		{ "shop_web-0_" UID, UID, "shop/web-0" },
		{ "kube-system_etcd-node_" HASH, HASH, "kube-system/etcd-node" },
		{ "shop_web-0_" UID "0", NULL, NULL },
		{ "shop_web-0_1234abcd_0000_1111_2222_0123456789ab", NULL, NULL },
		{ "shop_web-0_", NULL, NULL }, { "shop", NULL, NULL }, { ".", NULL, NULL },
		{ "../x_y_" HASH, NULL, NULL },
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char uid[PODNAME_UID_LEN + 1] = "-", name[PODNAME_LEN] = "-";

		assert_true(podname_of_dir(rows[i].dir, uid, name) == !!rows[i].name);
		assert_string_equal(name, rows[i].name ? rows[i].name : "-");
		assert_string_equal(uid, rows[i].uid ? rows[i].uid : "-");
	}
}

/* Longer than there is room for: cut, never past the end. */
static void test_long(void **state)
{
	char file[512], id[PODNAME_ID_LEN + 1], name[PODNAME_LEN];
	int pod = 253;

	snprintf(file, sizeof(file), "%0*d_%063d_%063d-" ID ".log", pod, 7, 7, 7);
	assert_true(podname_of_log(file, id, name));
	assert_int_equal(strlen(name), PODNAME_LEN - 1);
	snprintf(file, sizeof(file), "%0*d_%063d_%064d-" ID ".log", 10, 7, 7, 7);
	assert_false(podname_of_log(file, id, name));
}

static void entry(const char *root, const char *kind, const char *name)
{
	char path[600];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", root, kind);
	(void)mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/%s/%s", root, kind, name);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
}

static void test_node(void **state)
{
	char root[] = "/tmp/test_pods.XXXXXX", command[64];
	const uint64_t s = 1000000000;
	struct pods *p;

	assert_non_null(mkdtemp(root));
	p = pods_new(root);
	assert_non_null(p);
	assert_string_equal(pods_name(p, ID, UID, 1 * s), ""); /* no such directories */
	entry(root, "containers", "web-0_shop_nginx-" ID ".log");
	entry(root, "containers", "rubbish");
	entry(root, "pods", "shop_web-0_" UID);
	assert_string_equal(pods_name(p, ID, UID, 2 * s), ""); /* looked a second ago */
	assert_string_equal(pods_name(p, ID, UID, 12 * s), "shop/web-0/nginx");
	assert_string_equal(pods_name(p, "", UID, 12 * s), "shop/web-0");
	assert_string_equal(pods_name(p, "", "", 12 * s), "");
	for (unsigned i = 0; i < PODS_MAX + 10; i++) {
		char name[100];

		snprintf(name, sizeof(name), "p%u_n_c-%08x%.56s.log", i, i, ID);
		entry(root, "containers", name);
	}
	assert_string_equal(pods_name(p, HASH, "", 30 * s), "");
	assert_true(p->len <= PODS_MAX);
	pods_free(p);
	snprintf(command, sizeof(command), "rm -r %s", root);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_logs),
		cmocka_unit_test(test_dirs),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_node),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
