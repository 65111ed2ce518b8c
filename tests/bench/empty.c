/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attaches the empty program, says "attached" on stderr and sleeps until a signal
 * ends it: the floor of the benchmark. It reads nothing and holds nothing but its
 * link, which ends with it.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "empty.skel.h"

int main(void)
{
	struct empty *skel = empty__open_and_load();

	if (!skel || empty__attach(skel)) {
		fprintf(stderr, "empty: %s\n", strerror(errno));
		return 2;
	}
	fprintf(stderr, "attached\n");
	pause();
	return 0;
}
