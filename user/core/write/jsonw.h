/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A streaming JSON writer over struct buf: it knows commas and escaping, the
 * caller knows the shape. Keys are literals that need no escaping.
 */
#ifndef TCPTRAIL_JSONW_H
#define TCPTRAIL_JSONW_H

#include "buf.h"

struct jsonw {
	struct buf *b;
	bool comma;   /* the next member needs one */
};

void json_begin(struct jsonw *w, struct buf *b);       /* starts a record: '{' */
void json_end(struct jsonw *w);                        /* '}' and newline */
void json_open(struct jsonw *w, const char *key);      /* "key":{  (key NULL in arrays) */
void json_close(struct jsonw *w);                      /* } */
void json_array(struct jsonw *w, const char *key);     /* "key":[ */
void json_array_end(struct jsonw *w);
void json_u64(struct jsonw *w, const char *key, uint64_t v);
void json_i64(struct jsonw *w, const char *key, int64_t v);
void json_bool(struct jsonw *w, const char *key, bool v);
void json_str(struct jsonw *w, const char *key, const char *s);                 /* escaped */
void json_strn(struct jsonw *w, const char *key, const char *s, size_t max);    /* hostile: invalid UTF-8 becomes U+FFFD */
void json_word(struct jsonw *w, const char *key, const char *s);                /* our own literal: not escaped */
/* A string that the caller writes between the two, of characters that need no escaping. */
void json_quote(struct jsonw *w, const char *key);
void json_unquote(struct jsonw *w);
void json_hex(struct jsonw *w, const char *key, uint64_t v);                    /* "1f" */
void json_double(struct jsonw *w, const char *key, double v, int decimals);

#endif
