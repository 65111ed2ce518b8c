/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process that reads one pipe until we are gone. Did we leave the screen on, it
 * restores the terminal: modes, cursor, the screen that was there. Did we leave words
 * for stderr, it says them.
 *
 * Always: without a capability, without a file but the pipes and the terminal; the
 * modes are touched only if they still are what we set, so that a shell that was
 * quicker keeps its own.
 */
#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <term.h>
#include <termios.h>
#include <unistd.h>

#include "../core/write/buf.h"
#include "guard.h"

enum { HELD_BYTES = 1 << 20 };

struct guard {
	pid_t pid;
	int pipe;      /* to the process: 1 the screen is on, 0 it is off; its end is ours */
	int said;      /* what was written to stderr meanwhile; -1: it is no terminal */
	int real;      /* stderr as it was */
	struct buf own; /* what guard_say() found no room for */
};

/* ---- the process ---------------------------------------------------------------------------- */

static void copy(int from, int to)
{
	char piece[4096];
	ssize_t n;

	while (from >= 0 && (n = read(from, piece, sizeof(piece))) > 0)
		if (write(to, piece, (size_t)n) != n)
			return;
}

static void put_capability(const char *name)
{
	char *s = tigetstr(name);

	if (s && s != (char *)-1)
		putp(s);
}

static bool same_modes(const struct termios *a, const struct termios *b)
{
	return a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag &&
	       a->c_cflag == b->c_cflag && a->c_lflag == b->c_lflag &&
	       !memcmp(a->c_cc, b->c_cc, sizeof(a->c_cc));
}

static void restore(int tty, const struct termios *before, const struct termios *ours)
{
	static const char *const capabilities[] = {"sgr0", "rmkx", "cnorm", "rmcup"};
	struct termios now = {0};

	for (unsigned i = 0; i < sizeof(capabilities) / sizeof(capabilities[0]); i++)
		put_capability(capabilities[i]);
	fflush(stdout);
	if (!tcgetattr(tty, &now) && same_modes(&now, ours))
		tcsetattr(tty, TCSANOW, before);
}

static void __attribute__((noreturn)) wait_for_the_end(int in, int said, int err, int tty)
{
	struct termios before = {0}, ours = {0};
	char on = 0;

	for (int s = 1; s < NSIG; s++)
		signal(s, SIG_IGN);
	prctl(PR_SET_NAME, "tcptrail-tty", 0, 0, 0);
	/* It sleeps until then; then it should be before the shell, whose prompt is on the screen. */
	(void)setpriority(PRIO_PROCESS, 0, -20);
	capng_clear(CAPNG_SELECT_BOTH);
	capng_apply(CAPNG_SELECT_BOTH);
	tcgetattr(tty, &before);
	for (;;) {
		char now;
		ssize_t n = read(in, &now, 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		on = now;
		if (on)
			tcgetattr(tty, &ours);
	}
	if (on)
		restore(tty, &before, &ours);
	copy(said, err);
	_exit(0);
}

/* ---- ours -------------------------------------------------------------------------------------- */

/* stderr on the same screen would be written into the picture. */
static int hold_stderr(struct guard *g, int *write_end)
{
	int p[2];

	if (!isatty(STDERR_FILENO))
		return 0;
	if (pipe2(p, O_CLOEXEC | O_NONBLOCK))
		return -1;
	(void)fcntl(p[1], F_SETPIPE_SZ, HELD_BYTES); /* refused: the size it has */
	g->said = p[0];
	*write_end = p[1];
	g->real = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	return g->real < 0 ? -1 : 0;
}

int guard_start(struct guard **out, int tty_fd)
{
	struct guard *g = calloc(1, sizeof(*g));
	int p[2] = {-1, -1}, held = -1, err;
	pid_t pid;

	if (!g)
		return -1;
	g->pipe = g->said = g->real = -1;
	if (pipe2(p, O_CLOEXEC) || hold_stderr(g, &held))
		goto fail;
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		goto fail;
	if (!pid) {
		close(p[1]);
		if (held >= 0)
			close(held);
		wait_for_the_end(p[0], g->said, g->real, tty_fd);
	}
	close(p[0]);
	g->pid = pid;
	g->pipe = p[1];
	if (held >= 0) {
		dup2(held, STDERR_FILENO);
		close(held);
	}
	*out = g;
	return 0;
fail:
	err = errno;
	for (unsigned i = 0; i < 2; i++)
		if (p[i] >= 0)
			close(p[i]);
	if (held >= 0)
		close(held);
	guard_end(g);
	errno = err;
	return -1;
}

/* SIGPIPE is ignored: were the process gone, nothing is lost but its service. */
void guard_screen(struct guard *g, bool on)
{
	char byte = on;

	ssize_t n = write(g->pipe, &byte, 1);

	(void)n;
}

void guard_say(struct guard *g, const char *line, size_t len)
{
	fflush(stderr);
	if (write(STDERR_FILENO, line, len) < 0 && g->said >= 0)
		buf_put(&g->own, line, len); /* the pipe is full */
}

/* It ends by itself when it reads that we did; it is not left behind as a zombie. */
static void dismiss(struct guard *g)
{
	enum { TRIES = 200, STEP_MS = 1 };

	if (g->pipe < 0)
		return;
	close(g->pipe);
	g->pipe = -1;
	for (unsigned i = 0; i < TRIES && waitpid(g->pid, NULL, WNOHANG) == 0; i++)
		poll(NULL, 0, STEP_MS);
}

void guard_end(struct guard *g)
{
	if (!g)
		return;
	fflush(stderr);
	dismiss(g);
	copy(g->said, g->real);
	if (g->own.len && write(g->real, g->own.data, g->own.len) < 0)
		g->own.len = 0; /* nobody is there to be told */
	if (g->said >= 0)
		close(g->said);
	if (g->real >= 0)
		close(g->real);
	buf_free(&g->own);
	free(g);
}
