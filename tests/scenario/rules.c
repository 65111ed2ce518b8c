/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A packet filter's rules, in a namespace of the scenario's own: nft is asked, for
 * what it says to the kernel is no business of ours. Where there is no nft, or the
 * kernel refuses the rule, the scenario is skipped with a reason.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scenario.h"

enum { NO_NFT = 127 };

/* Where nft is, whatever PATH says. */
static void rules_exec(int from)
{
	static const char *const places[] = {"/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft",
					     "/bin/nft"};
	int nowhere = open("/dev/null", O_WRONLY);

	dup2(from, STDIN_FILENO);
	dup2(nowhere, STDOUT_FILENO);
	dup2(nowhere, STDERR_FILENO);
	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		execl(places[i], "nft", "-f", "-", (char *)NULL);
	_exit(NO_NFT);
}

static void rules_ask(struct run *r, const char *script)
{
	int ends[2], status = 0;
	pid_t nft;

	if (pipe2(ends, O_CLOEXEC) < 0)
		run_fail(r, "pipe: errno %d", errno);
	nft = run_fork(r);
	if (nft == 0)
		rules_exec(ends[0]);
	close(ends[0]);
	if (write(ends[1], script, strlen(script)) != (ssize_t)strlen(script))
		run_fail(r, "a pipe to nft: errno %d", errno);
	close(ends[1]);
	while (waitpid(nft, &status, 0) < 0)
		if (errno != EINTR)
			run_fail(r, "waitpid: errno %d", errno);
	if (WIFEXITED(status) && WEXITSTATUS(status) == NO_NFT)
		run_skip(r, "nft is not installed");
	if (status)
		run_skip(r, "nft or this kernel refuses: %s", script);
}

void rules_set(struct run *r, const char *hook, const char *fmt, ...)
{
	char rule[160], script[320];
	va_list args;

	va_start(args, fmt);
	vsnprintf(rule, sizeof(rule), fmt, args);
	va_end(args);
	snprintf(script, sizeof(script),
		 "table inet scenario { chain %s { type filter hook %s priority 0; %s; }; }\n", hook,
		 hook, rule);
	rules_ask(r, script);
}

void rules_clear(struct run *r)
{
	rules_ask(r, "delete table inet scenario\n");
}
