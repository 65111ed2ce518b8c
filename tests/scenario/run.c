/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the process of a scenario waits, forks and ends.
 *
 * Every process of a scenario dies with its parent (PR_SET_PDEATHSIG), so that
 * killing the supervisor leaves nothing behind: no process, no namespace.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "scenario.h"

__attribute__((format(printf, 2, 0)))
static void run_why(struct run *r, const char *fmt, va_list args)
{
	vsnprintf(r->why, sizeof(r->why), fmt, args);
}

void run_fail(struct run *r, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	run_why(r, fmt, args);
	va_end(args);
	_exit(1);
}

void run_skip(struct run *r, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	run_why(r, fmt, args);
	va_end(args);
	_exit(EXIT_SKIP);
}

void pause_ms(unsigned ms)
{
	struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

void run_hold(struct run *r)
{
	struct pollfd end = {.fd = STDIN_FILENO, .events = POLLIN};
	char byte;

	if (!r->release) {
		pause_ms(r->hold_ms);
		return;
	}
	dprintf(STDERR_FILENO, "scenario %s: held\n", r->scenario->name);
	while (poll(&end, 1, (int)r->hold_ms) > 0 && read(STDIN_FILENO, &byte, 1) > 0)
		;
}

pid_t run_fork(struct run *r)
{
	pid_t parent = getpid();
	pid_t pid = fork();

	if (pid < 0)
		run_fail(r, "fork: errno %d", errno);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
	}
	return pid;
}

void run_wait(struct run *r, pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			run_fail(r, "waitpid: errno %d", errno);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return;
	if (WIFEXITED(status))
		_exit(WEXITSTATUS(status)); /* r->why is the child's */
	if (WTERMSIG(status) != SIGKILL)
		run_fail(r, "a process of the scenario died of signal %d", WTERMSIG(status));
}
