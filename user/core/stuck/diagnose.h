/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What hangs, and why: rules over one socket (a row a rule), and over counts of the
 * host. Pure: the same facts give the same findings. Silence alone is no finding.
 */
#ifndef TCPTRAIL_DIAGNOSE_H
#define TCPTRAIL_DIAGNOSE_H

#include <stdbool.h>
#include <stdint.h>

struct buf;
struct conn;
struct listener;
struct proc;
struct sysfacts;

enum finding_kind {
	FIND_NONE,
	FIND_CLOSE_WAIT_LEAK,      /* EOF read, not closed */
	FIND_CLOSE_WAIT_UNREAD,    /* EOF not read */
	FIND_CLOSE_WAIT_BACKLOG,   /* data and EOF unread */
	FIND_NEVER_ACCEPTED,
	FIND_FIN_WAIT_2_HELD,
	FIND_FIN_WAIT_2_ORPHANED,
	FIND_FIN_WAIT_1_PEER_GONE,
	FIND_LAST_ACK_PEER_GONE,
	FIND_CLOSING_STUCK,
	FIND_SYN_UNANSWERED,
	FIND_SYN_QUEUE_PILING,
	FIND_ACCEPT_QUEUE_FULL,
	FIND_PORT_EXHAUSTION,
	FIND_ORPHANS_NEAR_LIMIT,
	FIND_TIME_WAIT_NEAR_LIMIT,
	FIND_PEER_SILENT,
	FIND_ZERO_WINDOW,
	FIND_FD_LIMIT_NEAR,
	FIND_KINDS,
};

enum severity { SEV_NONE, SEV_INFO, SEV_WARNING, SEV_CRITICAL, SEV_COUNT };

/* What a rule may look at. */
struct subject {
	const struct conn *conn;
	const struct listener *listener; /* conn's own, if it listens; may be NULL */
	/* The connection at the other end of conn's tuple on this host; of a SYN_SENT, an old one
	 * that its SYN meets. May be NULL. */
	const struct conn *other;
	uint32_t holders;
	const struct sysfacts *facts;
	uint64_t now_ns;
	int64_t min_age_ns;              /* negative: each rule's own */
};

/* Which rule, and its evidence. Durations in ns, -1 where there is none. */
struct finding {
	enum finding_kind kind;
	enum severity severity;
	bool at_least;        /* of age_ns: a lower bound */
	bool blocked;         /* SYN_SENT: an old connection in CLOSE_WAIT is at the other end;
			       * CLOSE_WAIT: a new connection from its port waits */
	uint64_t age_ns;      /* how long it hangs */
	uint64_t value;       /* bytes, connections, ports, descriptors: what the kind counts */
	uint64_t limit;       /* of value; 0 none */
	uint32_t retries;
	int64_t next_ns;      /* to the next attempt */
	int64_t ends_ns;      /* until the kernel gives up by itself */
};

/* At most `max` findings of this socket; a connection has one at most, a listener may have two.
 * Returns how many. */
enum { DIAGNOSE_MAX = 2 };
unsigned diagnose(const struct subject *s, struct finding *out, unsigned max);

/* A count against a limit (orphans, time_wait, ports, descriptors): false while it is far. */
bool diagnose_limit(enum finding_kind kind, uint64_t value, uint64_t limit, struct finding *out);

/* A socket's age as the rules see it: the state's, or longer where the kernel's timer tells more. */
uint64_t diagnose_age(const struct subject *s, bool *at_least);
/* When the kernel gives it up; -1 never or not known (diagnose_time.c). */
int64_t diagnose_ends(const struct subject *s);

/* --- words (diagnose_text.c) --- */

const char *word_finding(unsigned kind);
const char *word_severity(unsigned severity);
/* The kind of this word; FIND_NONE when it is none. */
enum finding_kind word_to_finding(const char *word);

/* What the sentences speak of: one socket or a group that looks alike. */
struct told {
	const struct finding *finding; /* the worst */
	const struct conn *conn;       /* an example; NULL for the host's */
	const struct sysfacts *facts;
	const struct proc *who;        /* holder, last owner or listener's; NULL unknown */
	int64_t fd;                    /* -1 unknown */
	uint32_t count;                /* how many sockets; 1: conn alone */
	bool spread_peers;             /* of a group: more than one peer */
	bool other_netns;              /* not the one that the user's shell is in */
	uint64_t time_wait;            /* FIND_PORT_EXHAUSTION: how many of value */
};
/* One sentence each, without a full stop. */
void told_explanation(struct buf *b, const struct told *t);
/* The advice alone, and the commands to run, a line each without the last newline; there may be
 * none. told_advice() is both in one sentence. */
void told_remedy(struct buf *b, const struct told *t);
void told_commands(struct buf *b, const struct told *t);
void told_advice(struct buf *b, const struct told *t);

/* --explain KIND (diagnose_explain.c): several lines. */
void finding_explain(struct buf *b, enum finding_kind kind);
/* Seconds after which a rule speaks, if nothing else is asked for. */
unsigned finding_min_age_s(enum finding_kind kind);

#endif
