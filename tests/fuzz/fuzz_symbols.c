/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An executable file as --stack reads it: its symbols, its segments, its unwind table.
 * Nothing may be read outside of it, and no name may come from where no symbol is.
 *
 * links: user/source/symbols.c user/source/unwind.c
 * libs: -lelf -lz
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "source/symbols.h"
#include "source/unwind.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct symbol_files files;
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	const struct symbols *s;
	uint64_t address, word = 0;

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	s = symbols_of(&files, fd);
	for (uint64_t offset = 0; s && offset < size; offset += size / 64 + 1) {
		const char *name = NULL;

		if (!symbols_address(s, offset, &address))
			continue;
		name = symbols_name(s, address);
		if (name && !*name)
			abort();
		if (unwind_return_at(fd, address) > 1 << 16)
			abort();
	}
	memcpy(&word, data, size < sizeof(word) ? size : sizeof(word));
	unwind_return_at(fd, size < sizeof(word) ? 0 : word);
	symbol_files_close(&files);
	close(fd);
	return 0;
}
