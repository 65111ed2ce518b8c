/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Symbols of ELF files, sorted by address, their names in one piece of memory.
 *
 * Always: a file is read, never mapped: whoever owns it may cut it short while we
 * look. Never: a name for an address outside of the size that its symbol claims.
 */
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/write/buf.h"
#include "symbols.h"

enum {
	SEGMENTS = 32,
	SYMBOLS_MAX = 1 << 20,         /* of one file */
	TABLE_BYTES = 256 << 20,       /* what a section that is read may claim */
	NAME_MAX_LEN = 400,            /* longer ones are cut */
};

struct symbol {
	uint64_t address, size;
	uint32_t name;                 /* in names */
	uint32_t rank;                 /* of several at one address the greatest is shown */
};

struct symbols {
	struct segment {
		uint64_t offset, size, address;
	} segments[SEGMENTS];
	unsigned nsegments;
	struct symbol *sorted;
	uint32_t len;
	struct buf names;
};

static void symbols_free(struct symbols *s)
{
	if (!s)
		return;
	free(s->sorted);
	buf_free(&s->names);
	free(s);
}

void symbol_files_close(struct symbol_files *f)
{
	for (unsigned i = 0; i < f->len; i++)
		symbols_free(f->files[i].symbols);
	f->len = 0;
	f->kept = 0;
}

/* ---- reading ---------------------------------------------------------------------- */

static void read_segments(struct symbols *s, Elf *elf)
{
	GElf_Phdr ph;
	size_t n;

	if (elf_getphdrnum(elf, &n))
		return;
	for (size_t i = 0; i < n && s->nsegments < SEGMENTS; i++) {
		if (!gelf_getphdr(elf, (int)i, &ph) || ph.p_type != PT_LOAD)
			continue;
		s->segments[s->nsegments++] = (struct segment){
			.offset = ph.p_offset, .size = ph.p_filesz, .address = ph.p_vaddr};
	}
}

static bool is_function(const GElf_Sym *sym)
{
	unsigned type = GELF_ST_TYPE(sym->st_info);

	return (type == STT_FUNC || type == STT_GNU_IFUNC) && sym->st_shndx != SHN_UNDEF &&
	       sym->st_value;
}

/* What a programmer wrote (connect, not __connect) before what the library calls it, exported names
 * before the file's own, those with a size before those without. */
static uint32_t rank_of(const GElf_Sym *sym, const char *name)
{
	unsigned bind = GELF_ST_BIND(sym->st_info);

	return (sym->st_size ? 8 : 0) + (name[0] != '_' ? 4 : 0) +
	       (bind == STB_GLOBAL ? 2 : bind == STB_WEAK ? 1 : 0);
}

static void add(struct symbols *s, const GElf_Sym *sym, const char *name)
{
	size_t len = name ? strnlen(name, NAME_MAX_LEN) : 0;

	if (!len)
		return;
	s->sorted[s->len++] = (struct symbol){.address = sym->st_value,
					      .size = sym->st_size,
					      .name = (uint32_t)s->names.len,
					      .rank = rank_of(sym, name)};
	buf_put(&s->names, name, len);
	buf_char(&s->names, '\0');
}

static void read_table(struct symbols *s, Elf *elf, Elf_Scn *scn, const GElf_Shdr *sh)
{
	Elf_Data *data = elf_getdata(scn, NULL);
	size_t n = data && sh->sh_entsize ? data->d_size / sh->sh_entsize : 0;
	GElf_Sym sym;

	if (n > SYMBOLS_MAX)
		n = SYMBOLS_MAX;
	s->sorted = calloc(n ? n : 1, sizeof(*s->sorted));
	for (size_t i = 0; s->sorted && i < n && !s->names.failed; i++)
		if (gelf_getsym(data, (int)i, &sym) && is_function(&sym))
			add(s, &sym, elf_strptr(elf, sh->sh_link, sym.st_name));
	if (s->names.failed)
		s->len = 0;
}

static int by_address(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	if (x->address != y->address)
		return x->address < y->address ? -1 : 1;
	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return x->name < y->name ? 1 : -1;
}

/* The whole table where the file has it, else what it exports. */
static void read_symbols(struct symbols *s, Elf *elf, uint64_t file_size)
{
	Elf_Scn *scn = NULL, *best = NULL;
	GElf_Shdr sh, best_sh = {0};

	while ((scn = elf_nextscn(elf, scn))) {
		if (!gelf_getshdr(scn, &sh) || sh.sh_size > TABLE_BYTES || sh.sh_size > file_size)
			continue;
		if (sh.sh_type != SHT_SYMTAB && (sh.sh_type != SHT_DYNSYM || best))
			continue;
		best = scn;
		best_sh = sh;
		if (sh.sh_type == SHT_SYMTAB)
			break;
	}
	/* Names are read whole: their table is held against the same bound. */
	scn = best ? elf_getscn(elf, best_sh.sh_link) : NULL;
	if (!scn || !gelf_getshdr(scn, &sh) || sh.sh_size > TABLE_BYTES || sh.sh_size > file_size)
		return;
	read_table(s, elf, best, &best_sh);
	if (s->len)
		qsort(s->sorted, s->len, sizeof(*s->sorted), by_address);
}

static struct symbols *read_file(int fd, uint64_t file_size)
{
	struct symbols *s = calloc(1, sizeof(*s));
	Elf *elf;

	if (!s || elf_version(EV_CURRENT) == EV_NONE || !(elf = elf_begin(fd, ELF_C_READ, NULL))) {
		free(s);
		return NULL;
	}
	if (elf_kind(elf) == ELF_K_ELF) {
		read_segments(s, elf);
		read_symbols(s, elf, file_size);
	}
	elf_end(elf);
	return s;
}

const struct symbols *symbols_of(struct symbol_files *f, int fd)
{
	struct symbol_file file;
	struct stat st;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		return NULL;
	file = (struct symbol_file){
		.dev = st.st_dev,
		.ino = st.st_ino,
		.mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec};
	for (unsigned i = 0; i < f->len; i++)
		if (f->files[i].dev == file.dev && f->files[i].ino == file.ino &&
		    f->files[i].mtime_ns == file.mtime_ns)
			return f->files[i].symbols;
	if (f->len == SYMBOL_FILES || f->kept > SYMBOLS_KEPT)
		symbol_files_close(f);
	file.symbols = read_file(fd, (uint64_t)st.st_size);
	if (!file.symbols)
		return NULL;
	f->kept += file.symbols->len;
	f->files[f->len++] = file;
	return file.symbols;
}

/* ---- asking ------------------------------------------------------------------------- */

bool symbols_address(const struct symbols *s, uint64_t file_offset, uint64_t *address)
{
	for (unsigned i = 0; i < s->nsegments; i++) {
		const struct segment *g = &s->segments[i];

		if (file_offset < g->offset || file_offset - g->offset >= g->size)
			continue;
		*address = file_offset - g->offset + g->address;
		return true;
	}
	return false;
}

const char *symbols_name(const struct symbols *s, uint64_t address)
{
	uint32_t lo = 0, hi = s->len;

	while (lo < hi) { /* the first that begins behind it */
		uint32_t mid = lo + (hi - lo) / 2;

		if (s->sorted[mid].address <= address)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!lo)
		return NULL;
	/* One without a size (assembly) reaches as far as the next. */
	if (s->sorted[lo - 1].size && address - s->sorted[lo - 1].address >= s->sorted[lo - 1].size)
		return NULL;
	return s->names.data + s->sorted[lo - 1].name;
}
