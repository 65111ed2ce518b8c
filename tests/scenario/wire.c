/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two namespaces, and a process that carries every frame between them: what holds
 * a SYN back until the other SYN is out, cuts the line, or repeats a segment long
 * after. It decides order, which a loss (loss.c) cannot.
 *
 *   left w0 ---- m0 [carrier] m1 ---- w1 right
 *
 * The carrier has a packet socket on m0 and m1, in a namespace of its own, and is
 * told what to do through shared memory. It parses no more than it must: the frame
 * may have any length, everything is checked before it is read.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "scenario.h"

enum { FRAME_MAX = 2048, HELD_MAX = 16, SIDES = 2, POLL_MS = 2, WAIT_MS = 20000 };

struct frame {
	int side;               /* came in here, goes out at the other */
	size_t len;
	unsigned char bytes[FRAME_MAX];
};

struct wire_control {
	atomic_int rule;        /* enum wire_rule */
	atomic_uint held, cut;
	atomic_uint repeats_asked, repeats_done;
	struct frame kept[HELD_MAX];
	struct frame data;      /* the last one with payload */
};

/* What of a frame matters here; false: not TCP over IPv4, pass it on. */
static bool frame_tcp(const struct frame *f, struct iphdr *ip, struct tcphdr *tcp, size_t *payload)
{
	size_t at = ETH_HLEN, head;

	if (f->len < at + sizeof(*ip) || f->bytes[12] != 0x08 || f->bytes[13] != 0x00)
		return false;
	memcpy(ip, f->bytes + at, sizeof(*ip));
	at += ip->ihl * 4u;
	if (ip->protocol != IPPROTO_TCP || ip->ihl < 5 || f->len < at + sizeof(*tcp))
		return false;
	memcpy(tcp, f->bytes + at, sizeof(*tcp));
	head = ip->ihl * 4u + tcp->doff * 4u;
	*payload = ntohs(ip->tot_len) > head ? ntohs(ip->tot_len) - head : 0;
	return true;
}

static uint16_t checksum(const void *data, size_t len)
{
	const unsigned char *b = data;
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)(b[i] << 8 | b[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

/* RFC 792: destination unreachable, with the header and 8 bytes of what was refused. */
static void frame_refuse(const struct frame *f, const struct iphdr *ip, int fd)
{
	struct {
		struct ethhdr eth;
		struct iphdr ip;
		struct icmphdr icmp;
		unsigned char quote[28];
	} __attribute__((packed)) out = {0};

	if (ip->ihl != 5)
		return;
	memcpy(out.eth.h_dest, f->bytes + ETH_ALEN, ETH_ALEN);
	memcpy(out.eth.h_source, f->bytes, ETH_ALEN);
	out.eth.h_proto = htons(ETH_P_IP);
	out.ip = (struct iphdr){.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_ICMP,
				.tot_len = htons(sizeof(out) - ETH_HLEN),
				.saddr = ip->daddr, .daddr = ip->saddr};
	out.ip.check = checksum(&out.ip, sizeof(out.ip));
	out.icmp.type = ICMP_DEST_UNREACH;
	out.icmp.code = ICMP_PKT_FILTERED;
	memcpy(out.quote, f->bytes + ETH_HLEN, sizeof(out.quote));
	out.icmp.checksum = checksum(&out.icmp, sizeof(out.icmp) + sizeof(out.quote));
	send(fd, &out, sizeof(out), 0);
}

/* One frame against the rule of the moment. */
static void frame_carry(struct wire_control *c, const struct frame *f, const int fds[SIDES])
{
	enum wire_rule rule = (enum wire_rule)atomic_load(&c->rule);
	unsigned held = atomic_load(&c->held);
	struct iphdr ip;
	struct tcphdr tcp = {0};
	size_t payload = 0;
	bool is_tcp = frame_tcp(f, &ip, &tcp, &payload), hold;

	if (rule == WIRE_CUT) {
		atomic_fetch_add(&c->cut, is_tcp);
		return;
	}
	if (is_tcp && payload)
		c->data = *f;
	if (is_tcp && rule == WIRE_REFUSE && tcp.syn) {
		frame_refuse(f, &ip, fds[f->side]);
		return;
	}
	hold = (rule == WIRE_HOLD_SYN && tcp.syn && !tcp.ack) || (rule == WIRE_HOLD_FIN && tcp.fin);
	if (is_tcp && held < HELD_MAX && hold) {
		c->kept[held] = *f;
		atomic_store(&c->held, held + 1);
		return;
	}
	send(fds[!f->side], f->bytes, f->len, 0);
}

static void wire_carry(struct wire_control *c, const int fds[SIDES])
{
	struct pollfd p[SIDES] = {
		{.fd = fds[0], .events = POLLIN},
		{.fd = fds[1], .events = POLLIN},
	};
	struct frame f;

	for (;;) {
		int ready = poll(p, SIDES, POLL_MS);
		enum wire_rule rule = (enum wire_rule)atomic_load(&c->rule);

		if (rule == WIRE_PASS) {
			for (unsigned i = 0; i < atomic_load(&c->held); i++)
				send(fds[!c->kept[i].side], c->kept[i].bytes, c->kept[i].len, 0);
			atomic_store(&c->held, 0);
		}
		if (atomic_load(&c->repeats_asked) != atomic_load(&c->repeats_done)) {
			if (c->data.len)
				send(fds[!c->data.side], c->data.bytes, c->data.len, 0);
			atomic_fetch_add(&c->repeats_done, 1);
		}
		for (f.side = 0; ready > 0 && f.side < SIDES; f.side++) {
			ssize_t n;

			if (!(p[f.side].revents & POLLIN))
				continue;
			n = recv(fds[f.side], f.bytes, sizeof(f.bytes), 0);
			f.len = n > 0 ? (size_t)n : 0;
			if (f.len)
				frame_carry(c, &f, fds);
		}
	}
}

static int wire_tap(struct run *r, const char *ifname)
{
	struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	int one = 1, fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));

	if (fd < 0)
		run_skip(r, "no packet sockets: errno %d", errno);
	a.sll_ifindex = (int)if_nametoindex(ifname);
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		run_fail(r, "packet socket on %s: errno %d", ifname, errno);
	/* not what we send ourselves; from 4.20 on */
	setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one));
	return fd;
}

/* Called in a namespace of the scenario's own, which becomes the carrier's; returns in the
 * left one. */
void wire_open(struct run *r, struct wire *w)
{
	static const char *const address[SIDES] = {"10.99.0.1", "10.99.0.2"};
	static const char *const outer[SIDES] = {"w0", "w1"}, *const inner[SIDES] = {"m0", "m1"};
	int middle = net_open(r), side[SIDES], fds[SIDES];

	w->control = mmap(NULL, sizeof(*w->control), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (w->control == MAP_FAILED)
		run_fail(r, "mmap: errno %d", errno);
	for (int i = 0; i < SIDES; i++) {
		net_unshare(r);
		side[i] = net_open(r);
		net_enter(r, middle);
		net_veth(r, inner[i], side[i], outer[i]);
		net_up(r, inner[i], NULL);
		fds[i] = wire_tap(r, inner[i]);
		net_enter(r, side[i]);
		net_plain(r, outer[i]);
		net_up(r, outer[i], address[i]);
		net_enter(r, middle);
	}
	inet_pton(AF_INET, address[0], &w->left_address);
	inet_pton(AF_INET, address[1], &w->right_address);
	w->left = side[0];
	w->right = side[1];
	w->carrier = run_fork(r);
	if (w->carrier == 0) {
		close(side[0]);
		close(side[1]);
		wire_carry(w->control, fds);
	}
	close(fds[0]);
	close(fds[1]);
	close(middle);
	net_enter(r, w->left);
}

void wire_rule(struct run *r, struct wire *w, enum wire_rule rule)
{
	atomic_store(&w->control->rule, rule);
	if (rule != WIRE_PASS)
		return;
	for (unsigned ms = 0; atomic_load(&w->control->held); ms += POLL_MS) {
		if (ms > WAIT_MS)
			run_fail(r, "the carrier does not let go");
		pause_ms(POLL_MS);
	}
}

void wire_await_held(struct run *r, struct wire *w, unsigned frames)
{
	for (unsigned ms = 0; atomic_load(&w->control->held) < frames; ms += POLL_MS) {
		if (ms > WAIT_MS)
			run_fail(r, "%u of %u frames held", atomic_load(&w->control->held), frames);
		pause_ms(POLL_MS);
	}
}

void wire_await_cut(struct run *r, struct wire *w, unsigned frames)
{
	for (unsigned ms = 0; atomic_load(&w->control->cut) < frames; ms += POLL_MS) {
		if (ms > WAIT_MS)
			run_fail(r, "%u of %u frames cut", atomic_load(&w->control->cut), frames);
		pause_ms(POLL_MS);
	}
}

void wire_repeat(struct run *r, struct wire *w)
{
	unsigned asked = atomic_fetch_add(&w->control->repeats_asked, 1) + 1;

	for (unsigned ms = 0; atomic_load(&w->control->repeats_done) < asked; ms += POLL_MS) {
		if (ms > WAIT_MS)
			run_fail(r, "the carrier does not repeat");
		pause_ms(POLL_MS);
	}
	if (!w->control->data.len)
		run_fail(r, "there was no data to repeat");
}

static void wire_address(struct sockaddr_storage *a, struct in_addr host, uint16_t port)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = host};

	memset(a, 0, sizeof(*a));
	memcpy(a, &in, sizeof(in));
}

/* The client on the left, the server on the right; returns in the left namespace. */
void wire_pair(struct run *r, const struct wire *w, struct pair *p, const char *conn)
{
	struct sockaddr_storage a;
	int listener;

	wire_address(&a, w->right_address, r->port);
	net_enter(r, w->right);
	listener = sock_new(r, AF_INET);
	sock_bind(r, listener, &a);
	if (listen(listener, 16) < 0)
		run_fail(r, "listen: errno %d", errno);
	p->s = end_new(r, conn, ROLE_SERVER);
	net_enter(r, w->left);
	p->c = end_new(r, conn, ROLE_CLIENT);
	p->client = sock_new(r, AF_INET);
	sock_connect_start(r, p->client, &a);
	sock_connect_finish(r, p->client, WAIT_MS);
	p->server = sock_accept(r, listener);
	close(listener);
	p->listener = -1;
	end_describe(r, p->c, p->client);
	end_describe(r, p->s, p->server);
}
