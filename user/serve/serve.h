/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tcptrail serve`: the view whose readers are HTTP clients. One thread: the session's own
 * loop turns the server between two reads of the ring, so nothing here is locked and
 * nothing here waits for a client.
 */
#ifndef TCPTRAIL_SERVE_H
#define TCPTRAIL_SERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "../core/write/buf.h"

struct options;
struct view;

enum { SERVE_PORT = 29293, SECRET_LEN = 256 };

/* Where to listen and who may ask; made before the tracer is (listen.c). */
struct serve_config {
	struct sockaddr_storage addr;
	socklen_t addr_len;
	bool loopback;
	bool listens; /* false: --textfile alone */
	char secret
		[SECRET_LEN]; /* "user:password" for Basic, else a bearer token; "" nobody is asked */
	struct buf cert, key; /* PEM, ends with NUL; empty: no TLS */
	const char *cert_path, *key_path;
	const char *textfile; /* NULL: none */
};

/* 0, or -EINVAL with one line in msg: what was wrong and what was expected. */
int serve_configure(struct serve_config *c, const struct options *o, char *msg, size_t len);
/* The socket that listens, not blocking; or -EINVAL with one line in msg. */
int serve_listen(const struct serve_config *c, char *msg, size_t len);
void serve_config_free(struct serve_config *c);

/* The view. It reads the configuration from a place of its own: set before session_run(). */
int serve_run(const struct options *o, struct serve_config *c);

#endif
