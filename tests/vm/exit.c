/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ends the virtual machine and tells QEMU the verdict, through the isa-debug-exit
 * device at port 0xf4: `exit N` makes QEMU exit with ((16 + N) << 1) | 1, so that
 * a pass is 33. A panic and a power-off both exit 0 and a hang is killed by the
 * caller's time limit: none of them can look like a pass.
 *
 * `exit -` says "open" and reads N from stdin when the port is open: a kernel that is locked down
 * meanwhile opens it no more. A program of its own because the packaged kernels have no /dev/port.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <unistd.h>

enum { DEBUG_EXIT_PORT = 0xf4, DEBUG_EXIT_BASE = 16, DEBUG_EXIT_MAX = 63 };

int main(int argc, char **argv)
{
	int rc = argc == 2 ? atoi(argv[1]) : DEBUG_EXIT_MAX;

	sync();
	if (ioperm(DEBUG_EXIT_PORT, 4, 1)) {
		perror("ioperm");
		return 1;
	}
	if (argc == 2 && !strcmp(argv[1], "-")) {
		puts("open");
		fflush(stdout);
		if (scanf("%d", &rc) != 1)
			rc = DEBUG_EXIT_MAX;
	}
	if (rc < 0 || rc > DEBUG_EXIT_MAX)
		rc = DEBUG_EXIT_MAX;
	outb((unsigned char)(DEBUG_EXIT_BASE + rc), DEBUG_EXIT_PORT);
	return 1; /* only outside of the VM */
}
