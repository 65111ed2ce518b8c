/* SPDX-License-Identifier: Apache-2.0 */
/* The system calls that are left to a run that is set up: docs/security.md. */
#ifndef TCPTRAIL_CONFINE_H
#define TCPTRAIL_CONFINE_H

#include <stdbool.h>
#include <stddef.h>

/* For the rest of this process. records: it writes a recording, whose files come and go. 0, or
 * -errno with a line in msg. */
int confine_enter(bool records, char *msg, size_t msg_len);

#endif
