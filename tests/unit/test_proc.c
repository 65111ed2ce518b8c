/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interning of processes, forgetting, cgroups told and wanted, and what the cgroup
 * paths of each runtime say.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "process/proc.h"
#include "event.h"

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))
#define ID64 "3f5c1e0a9b8d7c6e5f4a3b2c1d0e9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c3d2e"
#define OTHER64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct event_task task(uint32_t pid, const char *comm, uint64_t cgroup)
{
	struct event_task t = { .pid = pid, .tid = pid + 1, .uid = 1000, .cgroup = cgroup };

	memcpy(t.comm, comm, strnlen(comm, sizeof(t.comm)));
	return t;
}

static void test_intern(void **state)
{
	struct proctab *t = proctab_new(100);
	struct event_task a = task(10, "nginx", 7), b = task(11, "sixteen-letters!", 7);
	struct event_task none = { 0 };
	uint32_t ia = proc_intern(t, &a, false), ib = proc_intern(t, &b, true);

	assert_true(ia && ib && ia != ib);
	assert_int_equal(proc_intern(t, &a, false), ia);
	a.tid = 999; /* another thread of the same process */
	assert_int_equal(proc_intern(t, &a, false), ia);
	a.comm[10] = 'x'; /* bytes behind the NUL are the kernel's rubbish */
	assert_int_equal(proc_intern(t, &a, false), ia);
	a = task(10, "exec-ed", 7);
	assert_int_not_equal(proc_intern(t, &a, false), ia);
	assert_int_equal(proc_intern(t, &none, false), 0);

	assert_string_equal(proc_get(t, ia)->comm, "nginx");
	assert_string_equal(proc_get(t, ib)->comm, "sixteen-letters!");
	assert_true(proc_get(t, ib)->kthread);
	assert_int_equal(proc_get(t, ib)->pid, 11);
	assert_int_equal(proc_get(t, ib)->uid, 1000);
	assert_int_equal(proc_get(t, 0)->pid, 0);
	assert_string_equal(proc_get(t, 0)->comm, "");
	assert_int_equal(proc_get(t, 4000000000)->pid, 0);
	assert_int_equal(proc_get(NULL, 1)->pid, 0);
	assert_int_equal(proctab_count(t), 3);
	proctab_free(t);
	proctab_free(NULL);
}

static void test_full_and_sweep(void **state)
{
	enum { CAP = 300 };
	struct proctab *t = proctab_new(CAP);
	struct event_task a;
	uint32_t first[CAP];

	for (uint32_t i = 0; i < CAP; i++) {
		a = task(i + 1, "p", 1000 + i / 10);
		first[i] = proc_intern(t, &a, false);
		assert_true(first[i]);
	}
	assert_true(proctab_full(t));
	a = task(5000, "late", 1);
	assert_int_equal(proc_intern(t, &a, false), 0);
	assert_int_equal(proctab_refused(t), 1);
	assert_int_equal(cgroup_set(t, 1000, "/kept"), 0);
	assert_int_equal(cgroup_set(t, 1010, "/forgotten"), 0);

	/* someone still names the first ten and the last */
	proctab_mark_begin(t);
	for (int i = 0; i < 10; i++)
		proctab_mark(t, first[i]);
	proctab_mark(t, first[CAP - 1]);
	proctab_mark(t, 0);
	proctab_mark(t, UINT32_MAX);
	assert_int_equal(proctab_sweep(t), CAP - 11);
	assert_int_equal(proctab_count(t), 11);
	assert_int_equal(proc_get(t, first[3])->pid, 4);
	assert_int_equal(proc_get(t, first[CAP - 1])->pid, CAP);
	assert_int_equal(proc_get(t, first[20])->pid, 0);
	assert_non_null(cgroup_get(t, 1000));
	assert_null(cgroup_get(t, 1010));

	for (uint32_t i = 0; i < CAP - 11; i++) {
		a = task(9000 + i, "new", 77);
		assert_true(proc_intern(t, &a, false));
	}
	assert_true(proctab_full(t));
	for (int i = 0; i < 10; i++) {
		a = task((uint32_t)i + 1, "p", 1000);
		assert_int_equal(proc_intern(t, &a, false), first[i]);
	}
	proctab_free(t);
}

static void test_cgroups(void **state)
{
	struct proctab *t = proctab_new(10);
	struct event_task a = task(1, "a", 501), b = task(2, "b", 502), c = task(3, "c", 501);
	char longest[5000];
	uint64_t w1, w2;

	proc_intern(t, &a, false);
	proc_intern(t, &b, false);
	proc_intern(t, &c, false);
	w1 = cgroup_wanted(t);
	w2 = cgroup_wanted(t);
	assert_true((w1 == 501 && w2 == 502) || (w1 == 502 && w2 == 501));
	assert_int_equal(cgroup_wanted(t), 0);
	assert_null(cgroup_get(t, 501)); /* asked is not told */
	assert_int_equal(cgroup_set(t, 501, "/system.slice/nginx.service"), 0);
	assert_string_equal(cgroup_get(t, 501)->unit, "nginx.service");
	assert_string_equal(cgroup_get(t, 501)->path, "/system.slice/nginx.service");
	assert_int_equal(cgroup_get(t, 501)->id, 501);
	assert_int_equal(cgroup_set(t, 501, "/docker/" ID64), 0);
	assert_string_equal(cgroup_get(t, 501)->container, ID64);
	assert_string_equal(cgroup_get(t, 501)->unit, "");

	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(cgroup_set(t, 501, longest), -E2BIG);
	assert_string_equal(cgroup_get(t, 501)->path, "/docker/" ID64);
	assert_int_equal(cgroup_set(t, 0, "/"), -E2BIG);
	assert_null(cgroup_get(t, 0));

	/* told before anybody names it; bounded like the rest */
	for (uint64_t id = 600; id < 608; id++)
		assert_int_equal(cgroup_set(t, id, "/x"), 0);
	assert_int_equal(cgroup_set(t, 700, "/x"), -ENOMEM);
	assert_int_equal(cgroup_wanted(t), 0);
	proctab_free(t);
}

static const struct {
	const char *path, *container, *pod, *unit;
} cgroup_paths[] = {
	{ "/", "", "", "" },
	{ "", "", "", "" },
	{ "/system.slice/nginx.service", "", "", "nginx.service" },
	{ "/system.slice/docker-" ID64 ".scope", ID64, "", "" },
	{ "/docker/" ID64, ID64, "", "" },
	{ "/docker/" ID64 "/system.slice/web.service", ID64, "", "web.service" },
	{ "/docker/" OTHER64 "/kubelet/kubepods/pod12345678-9abc-def0-1234-56789abcdef0/" ID64, ID64,
	  "12345678-9abc-def0-1234-56789abcdef0", "" },
	{ "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-"
	  "pod0f2a1b3c_4d5e_6f70_8192_a3b4c5d6e7f8.slice/cri-containerd-" ID64 ".scope",
	  ID64, "0f2a1b3c-4d5e-6f70-8192-a3b4c5d6e7f8", "" },
	{ "/kubepods.slice/kubepods-pod0f2a1b3c_4d5e_6f70_8192_a3b4c5d6e7f8.slice/crio-" ID64 ".scope",
	  ID64, "0f2a1b3c-4d5e-6f70-8192-a3b4c5d6e7f8", "" },
	{ "/kubepods/besteffort/pod0f2a1b3c-4d5e-6f70-8192-a3b4c5d6e7f8/" ID64, ID64,
	  "0f2a1b3c-4d5e-6f70-8192-a3b4c5d6e7f8", "" },
	{ "/kubepods/burstable/pod0123456789abcdef0123456789abcdef/" ID64, ID64,
	  "0123456789abcdef0123456789abcdef", "" }, /* a static pod */
	{ "/system.slice/containerd.service/kubepods-burstable-"
	  "pod0f2a1b3c_4d5e_6f70_8192_a3b4c5d6e7f8.slice:cri-containerd:" ID64,
	  ID64, "0f2a1b3c-4d5e-6f70-8192-a3b4c5d6e7f8", "" },
	{ "/kubepods/burstable/pod0f2a1b3c-4d5e-6f70-8192-a3b4c5d6e7f8/crio-" ID64, ID64,
	  "0f2a1b3c-4d5e-6f70-8192-a3b4c5d6e7f8", "" }, /* CRI-O, cgroupfs */
	{ "/kubepods/pod0f2a1b3c-4d5e-6f70-8192-a3b4c5d6e7f8/" ID64, ID64,
	  "0f2a1b3c-4d5e-6f70-8192-a3b4c5d6e7f8", "" }, /* guaranteed: no class between */
	{ "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-"
	  "pod0123456789abcdef0123456789abcdef.slice/docker-" ID64 ".scope",
	  ID64, "0123456789abcdef0123456789abcdef", "" },
	{ "/kubepods.slice/kubepods-pod0f2a1b3c_4d5e_6f70_8192_a3b4c5d6e7f8.slice/"
	  "crio-conmon-" ID64 ".scope",
	  "", "0f2a1b3c-4d5e-6f70-8192-a3b4c5d6e7f8",
	  "crio-conmon-3f5c1e0a9b8d7c6e5f4a3b2c1d0e9f8a7b6c5d4e3f2a1b0c9d8" },
	{ "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/"
	  "kubelet-kubepods-burstable-pod0f2a1b3c_4d5e_6f70_8192_a3b4c5d6e7f8.slice/"
	  "cri-containerd-" ID64 ".scope",
	  ID64, "0f2a1b3c-4d5e-6f70-8192-a3b4c5d6e7f8", "" }, /* kind */
	{ "/machine.slice/libpod-" ID64 ".scope/container", ID64, "", "" },
	{ "/machine.slice/libpod-conmon-x.scope", "", "", "libpod-conmon-x.scope" },
	{ "/user.slice/user-1000.slice/user@1000.service/app.slice/app-org.x\\x2dterm-12.scope", "", "",
	  "app-org.x\\x2dterm-12.scope" },
	{ "/user.slice/user-1000.slice/session-3.scope", "", "", "session-3.scope" },
	{ "/system.slice/_cgroup.procs.service", "", "", "cgroup.procs.service" },
	/* what only looks like it */
	{ "/system.slice/podman.service", "", "", "podman.service" },
	{ "/build/3f5c1e0a9b8d", "", "", "" },
	{ "/x" ID64, "", "", "" },
	{ "/" ID64 "0", "", "", "" },
	{ "/kubepods/pod-not-a-uid", "", "", "" },
	{ "/kubepods/pod", "", "", "" },
	{ "/.service", "", "", "" },
	{ "//a//b.scope//", "", "", "b.scope" },
};

static void test_paths(void **state)
{
	for (size_t i = 0; i < LENGTH(cgroup_paths); i++) {
		struct cgroup c;

		memset(&c, 0xa5, sizeof(c));
		cgroup_parse(cgroup_paths[i].path, &c);
		assert_string_equal(c.container, cgroup_paths[i].container);
		assert_string_equal(c.pod_uid, cgroup_paths[i].pod);
		assert_string_equal(c.unit, cgroup_paths[i].unit);
		assert_null(c.path);
	}
}

static void test_long_unit(void **state)
{
	char path[400] = "/system.slice/";
	struct cgroup c;

	memset(path + 14, 'u', 300);
	strcpy(path + 314, ".service");
	cgroup_parse(path, &c);
	assert_int_equal(strlen(c.unit), sizeof(c.unit) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_intern),	cmocka_unit_test(test_full_and_sweep),
		cmocka_unit_test(test_cgroups), cmocka_unit_test(test_paths),
		cmocka_unit_test(test_long_unit),
	};

	return cmocka_run_group_tests_name("proc", tests, NULL, NULL);
}
