/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network namespaces, links and system controls, by system call: no ip, no
 * sysctl program need be there.
 *
 * Everything here happens in a namespace that this scenario made; net_sysctl() in
 * the namespace that the program was started in is refused. A namespace has no
 * name and is held by descriptors only: it goes when the scenario's processes go.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/veth.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scenario.h"

enum { WAIT_MS = 20000, LOOK_MS = 10 };

int net_open(struct run *r)
{
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		run_fail(r, "/proc/self/ns/net: errno %d", errno);
	return fd;
}

void net_enter(struct run *r, int netns)
{
	if (setns(netns, CLONE_NEWNET) < 0)
		run_fail(r, "setns: errno %d", errno);
}

uint64_t net_inode(void)
{
	struct stat st;

	return stat("/proc/self/ns/net", &st) == 0 ? st.st_ino : 0;
}

/* 0: there is none. */
static unsigned net_state(struct run *r, unsigned local, unsigned peer)
{
	FILE *f = fopen("/proc/self/net/tcp", "re");
	unsigned from, to, state, found = 0;
	char line[256];

	if (!f)
		run_fail(r, "/proc/self/net/tcp: errno %d", errno);
	while (!found && fgets(line, sizeof(line), f))
		if (sscanf(line, " %*u: %*x:%x %*x:%x %x", &from, &to, &state) == 3 &&
		    from == local && to == peer)
			found = state;
	fclose(f);
	return found;
}

void net_await_state(struct run *r, const struct end *e, unsigned state)
{
	unsigned local = ntohs(((const struct sockaddr_in *)&e->local)->sin_port);
	unsigned peer = ntohs(((const struct sockaddr_in *)&e->peer)->sin_port), now;

	for (unsigned ms = 0; (now = net_state(r, local, peer)) != state; ms += LOOK_MS) {
		if (ms > WAIT_MS)
			run_fail(r, "port %u is in state %u, not in %u", local, now, state);
		pause_ms(LOOK_MS);
	}
}

static int net_socket(struct run *r)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		run_fail(r, "socket: errno %d", errno);
	return fd;
}

void net_up(struct run *r, const char *ifname, const char *address)
{
	struct ifreq req = {0};
	struct sockaddr_in in = {.sin_family = AF_INET};
	int fd = net_socket(r);

	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", ifname);
	if (address) {
		inet_pton(AF_INET, address, &in.sin_addr);
		memcpy(&req.ifr_addr, &in, sizeof(in));
		if (ioctl(fd, SIOCSIFADDR, &req) < 0)
			run_fail(r, "address of %s: errno %d", ifname, errno);
		inet_pton(AF_INET, "255.255.255.0", &in.sin_addr);
		memcpy(&req.ifr_netmask, &in, sizeof(in));
		if (ioctl(fd, SIOCSIFNETMASK, &req) < 0)
			run_fail(r, "netmask of %s: errno %d", ifname, errno);
	}
	req.ifr_flags = IFF_UP | IFF_RUNNING;
	if (ioctl(fd, SIOCSIFFLAGS, &req) < 0)
		run_fail(r, "%s up: errno %d", ifname, errno);
	close(fd);
}

void net_loopback_up(struct run *r)
{
	net_up(r, "lo", NULL);
}

void net_unshare(struct run *r)
{
	if (unshare(CLONE_NEWNET) < 0)
		run_skip(r, "no network namespace of its own: errno %d", errno);
	net_loopback_up(r);
}

/* A frame that somebody else carries has no hardware left to finish its checksum. */
void net_plain(struct run *r, const char *ifname)
{
	static const uint32_t commands[] = {ETHTOOL_STXCSUM, ETHTOOL_STSO, ETHTOOL_SGSO};
	int fd = net_socket(r);

	for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		struct ethtool_value off = {.cmd = commands[i], .data = 0};
		struct ifreq req = {.ifr_data = (void *)&off};

		snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", ifname);
		if (ioctl(fd, SIOCETHTOOL, &req) < 0 && i == 0)
			run_fail(r, "checksums of %s: errno %d", ifname, errno);
	}
	close(fd);
}

void net_sysctl(struct run *r, const char *name, const char *value)
{
	char path[128];
	struct stat first, ours;
	int fd;

	/* the supervisor is still where the program was started */
	snprintf(path, sizeof(path), "/proc/%d/ns/net", getppid());
	if (stat(path, &first) < 0 || stat("/proc/self/ns/net", &ours) < 0 ||
	    first.st_ino == ours.st_ino)
		run_fail(r, "%s: not in a namespace of our own", name);
	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		run_skip(r, "this kernel has no %s: errno %d", name, errno);
	if (write(fd, value, strlen(value)) < 0)
		run_fail(r, "%s: errno %d", name, errno);
	close(fd);
}

struct link_request {
	struct nlmsghdr head;
	struct ifinfomsg link;
	char attributes[256];
};

static struct rtattr *link_attribute(struct link_request *q, unsigned short type, const void *data,
				     size_t len)
{
	struct rtattr *a = (void *)((char *)q + NLMSG_ALIGN(q->head.nlmsg_len));

	a->rta_type = type;
	a->rta_len = (unsigned short)RTA_LENGTH(len);
	if (len)
		memcpy(RTA_DATA(a), data, len);
	q->head.nlmsg_len = NLMSG_ALIGN(q->head.nlmsg_len) + (uint32_t)RTA_ALIGN(a->rta_len);
	return a;
}

static void link_nest_end(struct link_request *q, struct rtattr *nest)
{
	nest->rta_len = (unsigned short)((char *)q + q->head.nlmsg_len - (char *)nest);
}

/* The kernel's answer: 0 or -errno. */
static int link_ask(struct link_request *q)
{
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
		char rest[256];
	} answer;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	int rc = -errno;

	if (fd < 0)
		return rc;
	rc = -EIO;
	if (send(fd, q, q->head.nlmsg_len, 0) > 0 &&
	    recv(fd, &answer, sizeof(answer), 0) >= (ssize_t)NLMSG_LENGTH(sizeof(answer.error)) &&
	    answer.head.nlmsg_type == NLMSG_ERROR)
		rc = answer.error.error;
	close(fd);
	return rc;
}

void net_veth(struct run *r, const char *here, int netns, const char *there)
{
	struct link_request q = {
		.head = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)),
			 .nlmsg_type = RTM_NEWLINK,
			 .nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK},
		.link = {.ifi_family = AF_UNSPEC},
	};
	struct ifinfomsg peer_link = {.ifi_family = AF_UNSPEC};
	struct rtattr *info, *data, *peer;
	uint32_t target = (uint32_t)netns;
	int rc;

	link_attribute(&q, IFLA_IFNAME, here, strlen(here) + 1);
	info = link_attribute(&q, IFLA_LINKINFO, NULL, 0);
	link_attribute(&q, IFLA_INFO_KIND, "veth", 4);
	data = link_attribute(&q, IFLA_INFO_DATA, NULL, 0);
	peer = link_attribute(&q, VETH_INFO_PEER, &peer_link, sizeof(peer_link));
	link_attribute(&q, IFLA_IFNAME, there, strlen(there) + 1);
	link_attribute(&q, IFLA_NET_NS_FD, &target, sizeof(target));
	link_nest_end(&q, peer);
	link_nest_end(&q, data);
	link_nest_end(&q, info);
	rc = link_ask(&q);
	if (rc == -EOPNOTSUPP)
		run_skip(r, "this kernel has no veth");
	if (rc)
		run_fail(r, "veth: errno %d", -rc);
}
