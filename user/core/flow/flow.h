/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections as a wire shows them: a table of flows and, for each, RFC 9293's
 * state machine of both its ends, driven by the segments that were captured. What
 * an end went through is told as struct event, like a kernel's hooks tell it, so
 * that the same core draws the same life. Pure.
 *
 * A capture has no sockets: an end's cookie is a number of our own (EVENT_OWN_ID)
 * and its namespace is 0.
 */
#ifndef TCPTRAIL_FLOW_H
#define TCPTRAIL_FLOW_H

#include <stdbool.h>
#include <stdint.h>

struct event;
struct flowtab;
struct wire_segment;

/* Takes each event, in order. */
typedef void (*flow_emit_fn)(void *ctx, const struct event *e);

/* What a segment is in its connection's life. */
enum flow_step {
	FLOW_STEP_NONE,
	FLOW_SYN,	  /* handshake 1/3 */
	FLOW_SYNACK,	  /* handshake 2/3 */
	FLOW_ACK,	  /* handshake 3/3 */
	FLOW_SYN_CROSSED, /* the other SYN of a simultaneous open */
	FLOW_FIN_1,	  /* teardown 1/4 */
	FLOW_FIN_1_ACK,	  /* teardown 2/4 */
	FLOW_FIN_2,	  /* teardown 3/4 */
	FLOW_FIN_2_ACK,	  /* teardown 4/4 */
	FLOW_FIN_23,	  /* the ACK of the first FIN rides on the second */
	FLOW_RESET,
	FLOW_REFUSED, /* a RST for a SYN */
	FLOW_STEPS,
};

/* What else can be said of it (flow_mark.notes); several at once. */
enum flow_note {
	FLOW_RETRANSMISSION = 1 << 0,
	FLOW_FAST = 1 << 1,	/* ... after duplicate ACKs or SACKs */
	FLOW_SPURIOUS = 1 << 2, /* ... of what was acknowledged already */
	FLOW_OUT_OF_ORDER = 1 << 3,
	FLOW_KEEPALIVE = 1 << 4,
	FLOW_KEEPALIVE_ACK = 1 << 5,
	FLOW_ZERO_WINDOW = 1 << 6,
	FLOW_ZERO_WINDOW_PROBE = 1 << 7,
	FLOW_ZERO_WINDOW_PROBE_ACK = 1 << 8,
	FLOW_WINDOW_UPDATE = 1 << 9,
	FLOW_DUP_ACK = 1 << 10,
	FLOW_GAP_BEFORE = 1 << 11,	  /* what stands before it was not captured */
	FLOW_ACKED_UNSEEN = 1 << 12,	  /* it acknowledges what was not captured */
	FLOW_DELAYED_DUPLICATE = 1 << 13, /* the very same segment again, from the network */
	FLOW_CAPTURED_TWICE = 1 << 14,	  /* ... from the capture: not counted */
	FLOW_HALF_CLOSED = 1 << 15,	  /* data to an end that has sent its FIN */
	FLOW_PORTS_REUSED = 1 << 16,
	FLOW_NOT_OURS = 1 << 17,  /* outside of the window: no part of this connection */
	FLOW_AFTER_END = 1 << 18, /* both ends were closed */
};

struct flow_mark {
	uint64_t cookie; /* of the sending end; 0: none */
	uint64_t peer_cookie;
	uint32_t flow;	   /* numbered from 1 as they begin; 0: none */
	uint32_t notes;	   /* enum flow_note */
	uint32_t dup_acks; /* FLOW_DUP_ACK: which one */
	uint32_t relative_seq, relative_ack;
	bool relative_known;	   /* false: from where the capture began, as Wireshark has it */
	bool reset_flow;	   /* FLOW_RESET: it ended the connection */
	bool crossed;		   /* FLOW_FIN_2: it had not seen the first FIN */
	uint8_t step;		   /* enum flow_step */
	uint8_t state, peer_state; /* enum tcp_state of both ends, after it */
	uint8_t role;		   /* enum conn_role of the sender */
	int8_t window_shift;	   /* -1: not known */
};

struct flow_stats {
	uint64_t segments, flows, refused, captured_twice;
};

struct flowtab *flowtab_new(uint32_t max_flows, flow_emit_fn emit, void *ctx);
void flowtab_free(struct flowtab *t);

/* One segment, in the order of the capture. mark may be NULL. */
void flowtab_segment(struct flowtab *t, const struct wire_segment *s, uint64_t ts_ns,
		     struct flow_mark *mark);
/* The capture is over: tells the counters of what is still open. */
void flowtab_finish(struct flowtab *t, uint64_t ts_ns);

const struct flow_stats *flowtab_stats(const struct flowtab *t);
uint32_t flowtab_count(const struct flowtab *t);

#endif
