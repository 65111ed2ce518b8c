// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * Full mode: the server's half of a handshake, before there is a socket. Each
 * program is left out where the kernel has no such function; base mode lives
 * without them all.
 */
#include "request.bpf.h"
#include "segment.bpf.h"
#include "stack.bpf.h"

/* tcp_conn_request(rsk_ops, af_ops, sk, skb): a SYN met a listener. */
SEC("fentry/tcp_conn_request")
int BPF_PROG(on_syn_in, void *rsk_ops, void *af_ops, struct sock *sk, struct sk_buff *skb)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct segment s;
	struct event *e;

	if (!tp || !segment_received(&s, skb))
		return 0;
	if (!filter_listener(sk) || !segment_family(&s) || !filter_ports(s.lport, s.pport, false))
		return 0;
	e = emit_begin(EV_SYN_IN);
	if (!e)
		return 0;
	emit_head(e, EV_SYN_IN, TCP_LISTEN, TCP_LISTEN);
	sock_fill(e, sk, tp, sock_flags(sk), true, 0);
	segment_fill(e, &s);
	owner_none(e);
	emit_clear(&e->extra, sizeof(e->extra));
	e->extra.req.isn_peer = s.seq;
	emit_end(e);
	return 0;
}

static __always_inline int request_tell(enum event_kind kind, struct sock *sk,
					struct request_sock *req, __u8 type)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct event *e;

	if (!tp || !request_wanted(sk, req))
		return 0;
	e = emit_begin(kind);
	if (!e)
		return 0;
	request_of(e, kind, sk, tp, req);
	e->extra.req.type = type;
	emit_end(e);
	return 0;
}

SEC("fentry/inet_csk_reqsk_queue_hash_add")
int BPF_PROG(on_request, struct sock *sk, struct request_sock *req)
{
	return request_tell(EV_REQ_NEW, sk, req, 0);
}

/* tcp_make_synack(sk, dst, req, foc, synack_type, syn_skb): NULL when memory is out. */
SEC("fexit/tcp_make_synack")
int BPF_PROG(on_synack, struct sock *sk, void *dst, struct request_sock *req, void *foc, int type,
	     struct sk_buff *syn, struct sk_buff *made)
{
	return made ? request_tell(EV_SYNACK_SENT, sk, req, type) : 0;
}

static __always_inline __u8 request_listener(struct request_sock *req)
{
	struct sock *listener = BPF_CORE_READ(req, __req_common.skc_listener);

	if (!listener)
		return REQUEST_GONE_UNTOLD;
	return BPF_CORE_READ(listener, __sk_common.skc_state) == TCP_LISTEN ? REQUEST_GONE_LISTENS
									    : REQUEST_GONE_LEFT;
}

/* One of three functions, whichever this kernel has; the request is its first or second
 * argument. Its listener is not always another: told without its queues. */
SEC("fentry/inet_csk_reqsk_queue_drop")
int on_request_gone(__u64 *ctx)
{
	struct request_sock *req = (struct request_sock *)ctx[0];
	struct event *e;

	if (cfg.req_gone_arg == 1)
		req = (struct request_sock *)CTX_LOAD(ctx, 1);
	if (!request_in_filter(req))
		return 0;
	e = emit_begin(EV_REQ_GONE);
	if (!e)
		return 0;
	request_alone(e, EV_REQ_GONE, req);
	e->extra.req.type = request_listener(req);
	emit_end(e);
	return 0;
}

/* tcp_check_req(sk, skb, req, ...) gave no child: the accept queue is full, or it was a SYN
 * again or a RST. */
SEC("fexit/tcp_check_req")
int on_request_refused(__u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[0];
	struct request_sock *req = (struct request_sock *)ctx[2];
	__u64 child;

	if (cfg.check_req_args == 6)
		child = CTX_LOAD(ctx, 6);
	else
		child = CTX_LOAD(ctx, 5);
	if (child)
		return 0;
	return request_tell(EV_REQ_REFUSED, sk, req, segment_is_rst((struct sk_buff *)ctx[1]));
}

/* inet_csk_accept(): two arguments from 6.10, four before. */
SEC("fexit/inet_csk_accept")
int on_accept(__u64 *ctx)
{
	struct tcp_sock *tp;
	struct sock *sk;
	struct event *e;

	if (cfg.accept_args == 4)
		sk = (struct sock *)CTX_LOAD(ctx, 4);
	else
		sk = (struct sock *)CTX_LOAD(ctx, 2);
	if (!sk)
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp || !filter_any_owner(sk, tp, false) || (cfg.pid && !filter_mine(sk, true)))
		return 0;
	e = emit_begin(EV_ACCEPT);
	if (!e)
		return 0;
	emit_head(e, EV_ACCEPT, sk->__sk_common.skc_state, sk->__sk_common.skc_state);
	sock_fill(e, sk, tp, sock_flags(sk), false, sk->sk_err);
	emit_clear(&e->extra, sizeof(e->extra));
	owner_current(e);
	emit_end(e);
	if (cfg.stack)
		stack_tell(ctx, sock_cookie(sk), sk->__sk_common.skc_net.net->ns.inum);
	return 0;
}
