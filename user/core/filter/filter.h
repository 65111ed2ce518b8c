/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The FILTER language (ss's grammar and ours) and what of it the kernel can do.
 */
#ifndef TCPTRAIL_FILTER_H
#define TCPTRAIL_FILTER_H

#include <stdbool.h>
#include <stdint.h>
#include "connection/conn.h"
#include "process/proc.h"
#include "connection/verdict.h"

struct filter;
struct holders;

enum { FILTER_TOKEN_LEN = 64, FILTER_MESSAGE_LEN = 256 };

struct filter_error {
	int word;                         /* index into argv words where it went wrong; -1: at the end */
	char token[FILTER_TOKEN_LEN];     /* what stands there (raw bytes), "" at the end */
	char message[FILTER_MESSAGE_LEN]; /* what was expected */
};

/* How names become numbers: files, NSS and the network are not for the core, so the caller lends
 * these. Each may be NULL, and is where nobody may wait for it, or a stranger asks. */
struct filter_names {
	/* The number, or -1 for "no such name". */
	long (*port)(const char *service);
	long (*uid)(const char *user);
	long (*dev)(const char *interface); /* its index */
	/* The addresses of a host (IPv4 mapped), of one family (4, 6) or of both (0), into the
	 * first of out; how many, at most max. 0: none. */
	unsigned (*host)(const char *name, int family, uint8_t (*out)[16], unsigned max);
};

/* words: argv-style FILTER (each may hold blanks and parentheses inside). *out is NULL for an
 * empty filter. 0, or -EINVAL (-ENOMEM) with *err filled and *out untouched. Numbers only. */
int filter_parse(struct filter **out, int nwords, char *const *words, struct filter_error *err);
/* The same, with names of services and users; names may be NULL. */
int filter_parse_names(struct filter **out, int nwords, char *const *words,
		       const struct filter_names *names, struct filter_error *err);
void filter_free(struct filter *f);
/* f = f AND g; takes both. Either may be NULL. For the letters -p -u -L -D -P -4 -6 --cgroup ...
 * NULL when memory is out (both are freed) or when both are NULL. */
struct filter *filter_and(struct filter *f, struct filter *g);
/* The same with OR: a letter given twice asks for either. */
struct filter *filter_or(struct filter *f, struct filter *g);
/* Does any part of it ask how the connection went? Such a part is unknown while it lives. */
bool filter_asks_verdict(const struct filter *f);
/* Does it ask for nothing but states, addresses, ports, family and namespace, which every minisock
 * has? f NULL: it does. */
bool filter_asks_tuple(const struct filter *f);
/* Does a FILTER begin with this word? (The command line may leave the command out.) */
bool filter_starts(const char *word);

/* What options make, one term each. NULL: out of memory. */
struct filter *filter_term_pid(uint32_t pid);
struct filter *filter_term_uid(uint32_t uid);
struct filter *filter_term_comm(const char *comm);
struct filter *filter_term_netns(uint32_t inode);
struct filter *filter_term_cgroup(const char *path);
struct filter *filter_term_family(int v4_or_v6); /* 4 or 6 */
/* which: 1 local, 2 peer, 3 either. list: "80,443,8000-8010". -EINVAL with err. */
int filter_term_ports(struct filter **out, int which, const char *list, struct filter_error *err);
int filter_term_ports_names(struct filter **out, int which, const char *list,
			    const struct filter_names *names, struct filter_error *err);

/* Three-valued, as facts arrive late: a verdict is only known at the end, an owner perhaps never. */
enum filter_result { FILTER_NO, FILTER_YES, FILTER_UNKNOWN };

struct filter_subject {
	const struct conn *conn;
	const struct proctab *procs;   /* may be NULL: no owner is known */
	const struct verdict *verdict; /* NULL while it lives */
	uint64_t now_ns;
	/* Not NULL: pid, uid, comm and cgroup ask for any process that holds it, and for its owner
	 * where none does. */
	const struct holders *holders;
};
/* f NULL: YES. `age` is the time in the present state while it lives and the whole life once
 * there is a verdict. */
enum filter_result filter_match(const struct filter *f, const struct filter_subject *s);

/* The part that is a plain conjunction and that the kernel can decide on each event without
 * being wrong. Absent parts are 0. Ports are lists of ranges. */
enum { KFILTER_PORTS = 16 };
struct kernel_filter {
	uint32_t pid;
	uint32_t uid;               /* never set by filter_kernel_part(): see there */
	bool has_uid;
	uint32_t netns;
	uint8_t family;             /* 0, 4 or 6 */
	uint8_t nlocal, npeer, neither;
	struct {
		uint16_t lo, hi;
	} local[KFILTER_PORTS], peer[KFILTER_PORTS], either[KFILTER_PORTS];
	const char *cgroup_path;    /* the source resolves it to an id */
};
void filter_kernel_part(const struct filter *f, struct kernel_filter *out);
/* The kernel lets a connect() through whose local port is not chosen yet. Once it is: will it
 * send no more of this connection? Then there is nothing to keep. */
bool filter_kernel_drops(const struct kernel_filter *k, const struct conn *c);

#endif
