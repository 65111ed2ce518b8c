/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From an address in an executable file to the function that it lies in, as far as
 * the file's own symbols (.symtab, else .dynsym) go.
 *
 * The file is anybody's: every size is checked, and what it costs has a bound.
 */
#ifndef TCPTRAIL_SYMBOLS_H
#define TCPTRAIL_SYMBOLS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct symbols;

/* The files whose symbols are kept: at most so many, and so many symbols; then all are read anew. */
enum { SYMBOL_FILES = 64, SYMBOLS_KEPT = 4 << 20 };

struct symbol_file {
	dev_t dev;
	ino_t ino;
	int64_t mtime_ns;
	struct symbols *symbols;
};

struct symbol_files {
	struct symbol_file files[SYMBOL_FILES];
	unsigned len;
	uint64_t kept;
};

void symbol_files_close(struct symbol_files *f);
/* The symbols of the file behind fd, which stays the caller's and is read now. NULL: it is no
 * ELF file, or memory is out. Valid until the next call. */
const struct symbols *symbols_of(struct symbol_files *f, int fd);

/* A place in the file, as the address that it has for itself (what addr2line takes); false where
 * the file loads nothing there. */
bool symbols_address(const struct symbols *s, uint64_t file_offset, uint64_t *address);
/* The function around this address; NULL: none says that it is there. */
const char *symbols_name(const struct symbols *s, uint64_t address);

#endif
