/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exact question to sock_diag: one tuple, one cookie, no walk (4 microseconds).
 * Answers only for the network namespace that the tracer runs in.
 */
#ifndef TCPTRAIL_LOOKUP_H
#define TCPTRAIL_LOOKUP_H

#include <stdbool.h>
#include <stdint.h>

struct lookup_request;

struct lookup {
	int fd;             /* -1: this kernel cannot answer */
	uint32_t netns;     /* ours */
	uint32_t seq;
};

struct lookup_answer {
	bool found;
	uint8_t state;      /* a minisock's substate */
	uint8_t timer;      /* enum event_timer: idiag_timer's retransmit, keepalive, persist */
	uint8_t retries;    /* how often it has fired */
	uint32_t expires_ms;
};

/* Always usable afterwards; without sock_diag every ask gives -EOPNOTSUPP. */
void lookup_open(struct lookup *l);
void lookup_close(struct lookup *l);
/* 0 and *out; -EOPNOTSUPP where it cannot be asked; other -errno. */
int lookup_ask(struct lookup *l, const struct lookup_request *req, struct lookup_answer *out);

/* The same of any socket, whatever its state. */
int lookup_any(struct lookup *l, const struct lookup_request *req, struct lookup_answer *out);
/* Closes the socket of this tuple and cookie (SOCK_DESTROY). 0, -ENOENT, -EPERM, -EOPNOTSUPP. */
int lookup_destroy(struct lookup *l, const struct lookup_request *req);

/* The inode of our own network namespace; 0 if unknown. */
uint32_t lookup_own_netns(void);

#endif
