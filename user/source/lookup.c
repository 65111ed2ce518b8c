/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sock_diag, asked for exactly one socket.
 *
 * An answer "no such socket" must be sure: a kernel without the tcp_diag module
 * says the same, so at open it is asked whether there is one, and if not nothing
 * is ever asked again.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "core/pipeline/pipeline.h"
#include "lookup.h"

struct ask {
	struct nlmsghdr nlh;
	struct inet_diag_req_v2 req;
};

uint32_t lookup_own_netns(void)
{
	struct stat st;

	return stat("/proc/self/ns/net", &st) ? 0 : (uint32_t)st.st_ino;
}

static bool is_mapped(const uint8_t addr[16])
{
	static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};

	return !memcmp(addr, prefix, sizeof(prefix));
}

static void ask_fill(struct ask *a, const struct lookup_request *r, uint16_t type, uint32_t seq)
{
	struct inet_diag_sockid *id = &a->req.id;

	memset(a, 0, sizeof(*a));
	a->nlh.nlmsg_len = sizeof(*a);
	a->nlh.nlmsg_type = type;
	a->nlh.nlmsg_flags = NLM_F_REQUEST | (type == SOCK_DESTROY ? NLM_F_ACK : 0);
	a->nlh.nlmsg_seq = seq;
	a->req.sdiag_protocol = IPPROTO_TCP;
	a->req.idiag_states = ~0U;
	id->idiag_sport = htons(r->lport);
	id->idiag_dport = htons(r->pport);
	id->idiag_if = r->bound_dev;
	id->idiag_cookie[0] = id->idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	if (!(r->cookie & EVENT_OWN_ID)) {
		id->idiag_cookie[0] = (uint32_t)r->cookie;
		id->idiag_cookie[1] = (uint32_t)(r->cookie >> 32);
	}
	if (is_mapped(r->local) && is_mapped(r->peer)) {
		a->req.sdiag_family = AF_INET;
		memcpy(id->idiag_src, r->local + 12, 4);
		memcpy(id->idiag_dst, r->peer + 12, 4);
	} else {
		a->req.sdiag_family = AF_INET6;
		memcpy(id->idiag_src, r->local, 16);
		memcpy(id->idiag_dst, r->peer, 16);
	}
}

/* idiag_timer is a number of inet_diag's own (inet_sk_diag_fill()); 3 is a minisock's. */
static uint8_t timer_of(const struct inet_diag_msg *m)
{
	switch (m->idiag_timer) {
	case 1:
		return TIMER_RETRANSMIT;
	case 2:
		return m->idiag_state == ST_FIN_WAIT_2 ? TIMER_FIN_WAIT_2 : TIMER_KEEPALIVE;
	case 4:
		return TIMER_PERSIST;
	default:
		return TIMER_NONE;
	}
}

/* One message from the kernel: 0 with *out, -ENOENT, -EAGAIN if it answers another question. */
static int answer_read(const struct nlmsghdr *nlh, ssize_t len, uint32_t seq,
		       struct lookup_answer *out)
{
	const struct inet_diag_msg *m;

	if (len < (ssize_t)sizeof(*nlh) || nlh->nlmsg_len > (size_t)len)
		return -EBADMSG;
	if (nlh->nlmsg_seq != seq)
		return -EAGAIN;
	if (nlh->nlmsg_type == NLMSG_ERROR) {
		const struct nlmsgerr *e = NLMSG_DATA(nlh);

		if (nlh->nlmsg_len < NLMSG_LENGTH(sizeof(*e)))
			return -EBADMSG;
		/* ESTALE: another socket has the tuple now. */
		return e->error == -ESTALE ? -ENOENT : e->error;
	}
	if (nlh->nlmsg_len < NLMSG_LENGTH(sizeof(*m)))
		return -EBADMSG;
	m = NLMSG_DATA(nlh);
	out->found = true;
	out->state = m->idiag_state;
	out->expires_ms = m->idiag_timer ? m->idiag_expires : 0;
	out->timer = timer_of(m);
	out->retries = m->idiag_retrans;
	return 0;
}

/* One question, one answer: 0, or what the kernel says. */
static int talk(struct lookup *l, const struct lookup_request *r, uint16_t type,
		struct lookup_answer *out)
{
	union {
		struct nlmsghdr nlh;
		char bytes[4096];
	} in;
	struct ask a;
	int err = -EAGAIN;

	ask_fill(&a, r, type, ++l->seq);
	if (send(l->fd, &a, sizeof(a), 0) != (ssize_t)sizeof(a))
		return -errno;
	for (int tries = 0; err == -EAGAIN && tries < 8; tries++) {
		ssize_t n = recv(l->fd, &in, sizeof(in), 0);

		if (n < 0)
			return -errno;
		err = answer_read(&in.nlh, n, l->seq, out);
	}
	return err;
}

static int ask(struct lookup *l, const struct lookup_request *r, struct lookup_answer *out)
{
	struct lookup_answer got = {};
	int err = talk(l, r, SOCK_DIAG_BY_FAMILY, &got);

	if (err && err != -ENOENT)
		return err;
	*out = got;
	return 0;
}

/* The code that ends a list: 0, or why there is none; -EBADMSG for anything else. */
static int list_end(const struct nlmsghdr *nlh, ssize_t len, uint32_t seq)
{
	int code;

	if (len < (ssize_t)NLMSG_LENGTH(sizeof(code)) || nlh->nlmsg_len > (size_t)len ||
	    nlh->nlmsg_len < NLMSG_LENGTH(sizeof(code)) || nlh->nlmsg_seq != seq ||
	    (nlh->nlmsg_type != NLMSG_DONE && nlh->nlmsg_type != NLMSG_ERROR))
		return -EBADMSG;
	memcpy(&code, NLMSG_DATA(nlh), sizeof(code));
	return code;
}

/* Does anybody answer for TCP here? Asked for a list of the sockets in no state: tcp_diag gives an
 * empty one at once, and where it is missing the list ends with an error. Nobody sees this question;
 * a socket of our own to be found would be seen by every tracer. */
static bool answers(struct lookup *l)
{
	const struct lookup_request none = {.cookie = EVENT_OWN_ID};
	union {
		struct nlmsghdr nlh;
		char bytes[512];
	} in;
	struct ask a;
	ssize_t n;

	ask_fill(&a, &none, SOCK_DIAG_BY_FAMILY, ++l->seq);
	a.nlh.nlmsg_flags |= NLM_F_DUMP;
	a.req.sdiag_family = AF_INET;
	a.req.idiag_states = 0;
	if (send(l->fd, &a, sizeof(a), 0) != (ssize_t)sizeof(a))
		return false;
	n = recv(l->fd, &in, sizeof(in), 0);
	return n > 0 && !list_end(&in.nlh, n, l->seq);
}

void lookup_open(struct lookup *l)
{
	const struct timeval limit = {.tv_usec = 200000};

	l->netns = lookup_own_netns();
	l->seq = 0;
	l->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (l->fd < 0)
		return;
	if (setsockopt(l->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) || !answers(l))
		lookup_close(l);
}

void lookup_close(struct lookup *l)
{
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
}

int lookup_ask(struct lookup *l, const struct lookup_request *req, struct lookup_answer *out)
{
	struct lookup_answer got;
	int err;

	if (l->fd < 0 || (req->netns && req->netns != l->netns))
		return -EOPNOTSUPP;
	err = ask(l, req, &got);
	if (err)
		return err;
	/* Asked without a cookie, another socket may have the tuple now. */
	if (got.state != ST_FIN_WAIT_2 && got.state != ST_TIME_WAIT)
		got = (struct lookup_answer){};
	*out = got;
	return 0;
}

int lookup_any(struct lookup *l, const struct lookup_request *req, struct lookup_answer *out)
{
	if (l->fd < 0 || (req->netns && req->netns != l->netns))
		return -EOPNOTSUPP;
	return ask(l, req, out);
}

int lookup_destroy(struct lookup *l, const struct lookup_request *req)
{
	struct lookup_answer unused = {};

	if (l->fd < 0 || (req->netns && req->netns != l->netns))
		return -EOPNOTSUPP;
	return talk(l, req, SOCK_DESTROY, &unused);
}
