/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this process may still ask of the kernel once it is set up: a seccomp filter,
 * an allow-list. The programs are loaded, the capabilities gone; what is left is to
 * read, to look up and to write. What is not on the list fails with EPERM, so that a
 * library's detour costs a feature and not the run.
 *
 * Always: no program is started, no file written but those of a recording, of bpf()
 * only what asks. Never: entered before everything that needs more is open.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "confine.h"

static const int plain[] = {
	/* reading, writing, waiting */
	SCMP_SYS(read), SCMP_SYS(pread64), SCMP_SYS(readv), SCMP_SYS(write), SCMP_SYS(writev),
	SCMP_SYS(lseek), SCMP_SYS(_llseek), SCMP_SYS(close), SCMP_SYS(poll), SCMP_SYS(ppoll),
	SCMP_SYS(ppoll_time64), SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_pwait2), SCMP_SYS(eventfd2), SCMP_SYS(pipe2),
	SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime), SCMP_SYS(signalfd4),
	SCMP_SYS(fcntl), SCMP_SYS(fcntl64), SCMP_SYS(dup),
	/* what a file says of itself */
	SCMP_SYS(fstat), SCMP_SYS(fstat64), SCMP_SYS(newfstatat), SCMP_SYS(fstatat64),
	SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(statx), SCMP_SYS(statfs), SCMP_SYS(fstatfs),
	SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(readlink),
	SCMP_SYS(readlinkat), SCMP_SYS(getdents64), SCMP_SYS(getcwd), SCMP_SYS(name_to_handle_at),
	SCMP_SYS(ioctl), SCMP_SYS(fadvise64), SCMP_SYS(inotify_add_watch),
	/* memory, threads (-r), signals, the end */
	SCMP_SYS(brk), SCMP_SYS(mmap), SCMP_SYS(mmap2), SCMP_SYS(munmap), SCMP_SYS(mremap),
	SCMP_SYS(mprotect), SCMP_SYS(madvise), SCMP_SYS(clone), SCMP_SYS(clone3),
	SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(futex), SCMP_SYS(futex_time64),
	SCMP_SYS(set_tid_address), SCMP_SYS(membarrier), SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn), SCMP_SYS(sigaltstack), SCMP_SYS(restart_syscall),
	SCMP_SYS(tgkill), SCMP_SYS(wait4), SCMP_SYS(exit), SCMP_SYS(exit_group),
	/* time and who am I */
	SCMP_SYS(clock_gettime), SCMP_SYS(clock_gettime64), SCMP_SYS(clock_getres),
	SCMP_SYS(clock_nanosleep), SCMP_SYS(clock_nanosleep_time64), SCMP_SYS(nanosleep),
	SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(getpid), SCMP_SYS(gettid),
	SCMP_SYS(getppid), SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid),
	SCMP_SYS(getegid), SCMP_SYS(getrusage), SCMP_SYS(getrandom), SCMP_SYS(uname),
	SCMP_SYS(sysinfo), SCMP_SYS(prlimit64), SCMP_SYS(getrlimit), SCMP_SYS(capget),
	/* sockets that exist, and HTTP's */
	SCMP_SYS(bind), SCMP_SYS(listen), SCMP_SYS(accept4), SCMP_SYS(accept), SCMP_SYS(connect),
	SCMP_SYS(shutdown), SCMP_SYS(getsockname), SCMP_SYS(getpeername), SCMP_SYS(setsockopt),
	SCMP_SYS(getsockopt), SCMP_SYS(sendto), SCMP_SYS(send), SCMP_SYS(recv), SCMP_SYS(recvfrom),
	SCMP_SYS(sendmsg), SCMP_SYS(recvmsg), SCMP_SYS(sendmmsg), SCMP_SYS(sendfile),
};

/* A recording's files are renamed when they are full. */
static const int for_recording[] = {
	SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(unlink),
	SCMP_SYS(unlinkat), SCMP_SYS(fsync), SCMP_SYS(fdatasync), SCMP_SYS(ftruncate),
	SCMP_SYS(ftruncate64), SCMP_SYS(fchmod), SCMP_SYS(open), SCMP_SYS(openat),
};

/* bpf(): what programs counted, a snapshot's next walk. */
static const int bpf_commands[] = {
	BPF_OBJ_GET_INFO_BY_FD, BPF_ITER_CREATE, BPF_MAP_LOOKUP_ELEM, BPF_MAP_GET_NEXT_KEY,
	BPF_LINK_DETACH,
};

/* Names (-r), HTTP, exact lookups of one socket. */
static const int families[] = {AF_INET, AF_INET6, AF_UNIX, AF_NETLINK};

enum { WRITES = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND };

static int allow(scmp_filter_ctx ctx, const int *calls, size_t n)
{
	int err = 0;

	for (size_t i = 0; i < n && !err; i++)
		err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0);
	return err;
}

/* Only where argument 0 is one of these. */
static int allow_first(scmp_filter_ctx ctx, int call, const int *values, size_t n)
{
	int err = 0;

	for (size_t i = 0; i < n && !err; i++) {
		struct scmp_arg_cmp is = {
			.arg = 0, .op = SCMP_CMP_EQ, .datum_a = (scmp_datum_t)values[i]};

		err = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, call, 1, &is);
	}
	return err;
}

static int allow_reading(scmp_filter_ctx ctx)
{
	int err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
				   SCMP_A2(SCMP_CMP_MASKED_EQ, WRITES, 0));

	return err ? err
		   : seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(open), 1,
				      SCMP_A1(SCMP_CMP_MASKED_EQ, WRITES, 0));
}

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

static int fill(scmp_filter_ctx ctx, bool records)
{
	int err = allow(ctx, plain, LENGTH(plain));

	if (!err)
		err = records ? allow(ctx, for_recording, LENGTH(for_recording))
			      : allow_reading(ctx);
	if (!err)
		err = allow_first(ctx, SCMP_SYS(bpf), bpf_commands, LENGTH(bpf_commands));
	if (!err)
		err = allow_first(ctx, SCMP_SYS(socket), families, LENGTH(families));
	return err;
}

/* A sanitizer asks for more at the end than any list should grant. */
#if defined(__SANITIZE_ADDRESS__)
static const bool sanitized = true;
#else
static const bool sanitized = false;
#endif

int confine_enter(bool records, char *msg, size_t msg_len)
{
	scmp_filter_ctx ctx;
	int err;

	if (sanitized)
		return 0;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	if (!ctx)
		return -ENOMEM;
	/* A tree of comparisons: it is passed by every call. Old libraries have only the list. */
	seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	err = fill(ctx, records);
	if (!err)
		err = seccomp_load(ctx);
	seccomp_release(ctx);
	/* Without the kernel's part the capabilities' going is what there is. */
	if (err == -EINVAL && prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0)
		return 0;
	if (err)
		snprintf(msg, msg_len, "cannot set the seccomp filter: %s", strerror(-err));
	return err;
}
