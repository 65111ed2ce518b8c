/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One row of .eh_frame (DWARF 5, section 6.4; Linux Standard Base Core, "Exception
 * Frames"): only the canonical frame address, only where it is counted from the
 * stack pointer. Enough for a system call's wrapper, which has no frame pointer.
 *
 * The file is anybody's: every byte is read through a cursor that ends where the
 * entry ends, and a cursor that ran over its end says nothing more.
 */
#include <gelf.h>
#include <libelf.h>
#include <stdbool.h>
#include <string.h>

#include "unwind.h"

enum {
	SECTION_BYTES = 64 << 20,
	RSP = 7,                 /* its number in DWARF, System V ABI for x86-64 */
	REMEMBERED = 8,
	FAR = 1 << 16,
	PCREL_SDATA4 = 0x1b,     /* DW_EH_PE_pcrel | DW_EH_PE_sdata4: what linkers write */
};

struct cursor {
	const uint8_t *at, *end;
	bool over;
};

struct row {
	uint64_t reg;
	int64_t offset;
};

struct cie {
	uint64_t code_align;
	struct cursor rules;
	bool plain;              /* pointers are PCREL_SDATA4, no signal frame */
};

static uint64_t take(struct cursor *c, unsigned n)
{
	uint64_t v = 0;

	if ((size_t)(c->end - c->at) < n) {
		c->over = true;
		c->at = c->end;
		return 0;
	}
	memcpy(&v, c->at, n); /* little-endian, as the files are that it is asked for */
	c->at += n;
	return v;
}

static uint64_t leb(struct cursor *c)
{
	uint64_t v = 0, byte;

	for (unsigned shift = 0; shift < 63; shift += 7) {
		byte = take(c, 1);
		v |= (byte & 127) << shift;
		if (!(byte & 128))
			return v;
	}
	c->over = true;
	return 0;
}

static struct cursor part(struct cursor *c, uint64_t n)
{
	struct cursor p = {.at = c->at, .end = c->at};

	if (n > (uint64_t)(c->end - c->at)) {
		c->over = p.over = true;
		return p;
	}
	p.end += n;
	c->at += n;
	return p;
}

/* ---- an entry ------------------------------------------------------------------------- */

/* Version 1, augmentation "zR" or with P, L before it: what compilers write. */
static bool read_cie(struct cursor c, struct cie *out)
{
	char augmentation[8] = "";
	struct cursor data;
	unsigned n = 0;

	take(&c, 4);
	if (take(&c, 1) != 1)
		return false;
	while (n < sizeof(augmentation) - 1 && (augmentation[n] = (char)take(&c, 1)))
		n++;
	out->code_align = leb(&c);
	leb(&c); /* the data's: registers are not followed */
	leb(&c); /* which one is the return address */
	if (strcmp(augmentation, "zR"))
		return false;
	data = part(&c, leb(&c));
	out->plain = take(&data, 1) == PCREL_SDATA4;
	out->rules = c;
	return !c.over && !data.over;
}

/* The first opcodes carry an argument in themselves. */
enum { ADVANCE = 0x40, OFFSET = 0x80, RESTORE = 0xc0 };

/* How many numbers follow the others; 0xff: not known, or nothing that is followed here. */
static const uint8_t numbers[0x40] = {
	[0x00] = 0,    [0x01] = 0xff, [0x05] = 2,    [0x06] = 1,    [0x07] = 1,    [0x08] = 1,
	[0x09] = 2,    [0x0f] = 0xff, [0x10] = 0xff, [0x11] = 2,    [0x12] = 0xff, [0x13] = 0xff,
	[0x14] = 2,    [0x15] = 2,    [0x16] = 0xff, [0x2e] = 1,    [0x2f] = 0xff,
};

static uint64_t advance(struct cursor *c, unsigned op)
{
	return op >= ADVANCE ? op & 63 : take(c, op == 2 ? 1 : op == 3 ? 2 : 4);
}

static bool apply(struct cursor *c, unsigned op, struct row *row)
{
	unsigned n;

	switch (op) {
	case 0x0c: /* def_cfa */
		row->reg = leb(c);
		row->offset = (int64_t)leb(c);
		return true;
	case 0x0d: /* def_cfa_register */
		row->reg = leb(c);
		return true;
	case 0x0e: /* def_cfa_offset */
		row->offset = (int64_t)leb(c);
		return true;
	}
	n = op >= RESTORE ? 0 : op >= OFFSET ? 1 : op > 0x16 && op < 0x2e ? 0xff : numbers[op];
	for (unsigned i = 0; i < n && n != 0xff; i++)
		leb(c);
	return n != 0xff && (op < 0x40 ? op <= 0x2e : true);
}

/* Runs rules until they are of a place behind `upto`. */
static bool run(struct cursor c, const struct cie *cie, uint64_t at, uint64_t upto, struct row *row)
{
	struct row kept[REMEMBERED];
	unsigned nkept = 0;

	while (c.at < c.end && !c.over) {
		unsigned op = (unsigned)take(&c, 1);

		if ((op >= ADVANCE && op < OFFSET) || (op >= 2 && op <= 4)) {
			at += advance(&c, op) * cie->code_align;
			if (at > upto)
				return !c.over;
		} else if (op == 0x0a) { /* remember_state */
			if (nkept == REMEMBERED)
				return false;
			kept[nkept++] = *row;
		} else if (op == 0x0b) { /* restore_state */
			if (!nkept)
				return false;
			*row = kept[--nkept];
		} else if (!apply(&c, op, row)) {
			return false;
		}
	}
	return !c.over;
}

/* ---- the section ------------------------------------------------------------------------ */

/* An entry's CIE stands so many bytes before the field that says so. */
static bool cie_of(const struct cursor *section, const uint8_t *field, uint64_t back,
		   struct cie *out)
{
	struct cursor c = {.end = section->end};

	if (back > (uint64_t)(field - section->at))
		return false;
	c.at = field - back;
	c = part(&c, take(&c, 4));
	return !c.over && read_cie(c, out) && out->plain;
}

static int return_in(const struct cursor *section, uint64_t section_address, uint64_t address)
{
	struct cursor all = *section;

	while (all.at < all.end) {
		struct cursor c = part(&all, take(&all, 4));
		const uint8_t *field = c.at;
		struct row row = {0};
		struct cie cie;
		uint64_t back = take(&c, 4), begin, size;

		if (all.over || c.over)
			return -1;
		if (!back)
			continue; /* a CIE */
		begin = section_address + (uint64_t)(c.at - section->at);
		begin += (uint64_t)(int64_t)(int32_t)take(&c, 4);
		size = take(&c, 4);
		if (c.over || address < begin || address - begin >= size)
			continue;
		if (!cie_of(section, field, back, &cie))
			return -1;
		part(&c, leb(&c));
		if (c.over || !run(cie.rules, &cie, begin, begin, &row) ||
		    !run(c, &cie, begin, address, &row))
			return -1;
		return row.reg == RSP && row.offset >= 8 && row.offset < FAR ? (int)row.offset - 8
									     : -1;
	}
	return -1;
}

static int return_from(Elf *elf, uint64_t address)
{
	Elf_Scn *scn = NULL;
	GElf_Ehdr eh;
	GElf_Shdr sh;
	size_t names;

	if (!gelf_getehdr(elf, &eh) || eh.e_machine != EM_X86_64 || elf_getshdrstrndx(elf, &names))
		return -1;
	while ((scn = elf_nextscn(elf, scn))) {
		const char *name = gelf_getshdr(scn, &sh) ? elf_strptr(elf, names, sh.sh_name)
							  : NULL;
		Elf_Data *data;
		struct cursor all;

		if (!name || strcmp(name, ".eh_frame") || sh.sh_size > SECTION_BYTES)
			continue;
		data = elf_rawdata(scn, NULL);
		if (!data || !data->d_buf)
			return -1;
		all = (struct cursor){.at = data->d_buf,
				      .end = (const uint8_t *)data->d_buf + data->d_size};
		return return_in(&all, sh.sh_addr, address);
	}
	return -1;
}

int unwind_return_at(int fd, uint64_t address)
{
	Elf *elf = elf_version(EV_CURRENT) != EV_NONE ? elf_begin(fd, ELF_C_READ, NULL) : NULL;
	int at = -1;

	if (elf && elf_kind(elf) == ELF_K_ELF)
		at = return_from(elf, address);
	elf_end(elf);
	return at;
}
