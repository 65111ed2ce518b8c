/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far above the stack pointer a function's caller is, at one place in it, as the
 * file's .eh_frame says.
 */
#ifndef TCPTRAIL_UNWIND_H
#define TCPTRAIL_UNWIND_H

#include <stdint.h>

/* Bytes from the stack pointer to the return address at this address of the ELF file behind fd
 * (x86-64); -1: it does not say so, or says it in a way that is not read here. */
int unwind_return_at(int fd, uint64_t address);

#endif
