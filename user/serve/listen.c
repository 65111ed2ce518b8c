/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where to listen and who may ask: --listen, --auth, --tls-cert, --tls-key.
 *
 * Always: an address that others can reach is taken only together with a secret and a
 * certificate; a port has one listener, so that no scrape meets another tracer. Secrets come from files, as a command line is everybody's to read.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../options.h"
#include "serve.h"

enum { PEM_MAX = 1 << 20 };

static int read_file(const char *option, const char *path, struct buf *out, char *msg, size_t len)
{
	FILE *f = fopen(path, "re");
	char piece[4096];
	size_t n;

	if (!f) {
		snprintf(msg, len, "%s: '%s': %s", option, path, strerror(errno));
		return -EINVAL;
	}
	while ((n = fread(piece, 1, sizeof(piece), f)) > 0 && out->len < PEM_MAX)
		buf_put(out, piece, n);
	if (ferror(f) || out->failed || !out->len || out->len >= PEM_MAX) {
		snprintf(msg, len, "%s: '%s': expected a file with something in it", option, path);
		fclose(f);
		return -EINVAL;
	}
	fclose(f);
	buf_char(out, '\0');
	return 0;
}

/* ADDRESS, PORT, ADDRESS:PORT, [ADDRESS]:PORT */
static bool split(const char *text, char *host, size_t size, const char **port)
{
	const char *colon = strrchr(text, ':');
	size_t n = strlen(text);

	*port = NULL;
	if (text[0] == '[') {
		const char *end = strchr(text, ']');

		if (!end || (end[1] && end[1] != ':'))
			return false;
		*port = end[1] ? end + 2 : NULL;
		text++;
		n = (size_t)(end - text);
	} else if (colon && strchr(text, ':') == colon) {
		*port = colon + 1;
		n = (size_t)(colon - text);
	} else if (!colon && strspn(text, "0123456789") == n) {
		*port = text;
		n = 0;
	}
	if (n >= size)
		return false;
	memcpy(host, text, n);
	host[n] = '\0';
	if (!n || !strcmp(host, "localhost"))
		snprintf(host, size, "127.0.0.1");
	return true;
}

static bool is_loopback(const struct sockaddr_storage *a)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)a;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)a;

	if (a->ss_family == AF_INET)
		return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
	return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

static int parse_listen(struct serve_config *c, const char *text, char *msg, size_t len)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST}, *found;
	char host[128], number[8];
	const char *port = NULL;
	unsigned long p = SERVE_PORT;
	char *end = NULL;

	if (!split(text, host, sizeof(host), &port) ||
	    (port && (strlen(port) > 5 || !*port || strspn(port, "0123456789") != strlen(port) ||
		      (p = strtoul(port, &end, 10)) > 65535 || !p)))
		goto wrong;
	snprintf(number, sizeof(number), "%lu", p);
	if (getaddrinfo(host, number, &hints, &found))
		goto wrong;
	memcpy(&c->addr, found->ai_addr, found->ai_addrlen);
	c->addr_len = found->ai_addrlen;
	freeaddrinfo(found);
	c->loopback = is_loopback(&c->addr);
	return 0;
wrong:
	snprintf(msg, len,
		 "--listen: '%s': expected ADDRESS, PORT or ADDRESS:PORT such as "
		 "127.0.0.1:29293 or [::1]:29293",
		 text);
	return -EINVAL;
}

static int read_secret(struct serve_config *c, const char *path, char *msg, size_t len)
{
	struct buf b = {0};
	size_t n;
	int err = read_file("--auth", path, &b, msg, len);

	if (err)
		goto out;
	n = strcspn(b.data, "\r\n");
	if (!n || n >= SECRET_LEN) {
		snprintf(msg, len,
			 "--auth: '%s': expected user:password or a token in its first line, "
			 "up to 255 bytes",
			 path);
		err = -EINVAL;
		goto out;
	}
	memcpy(c->secret, b.data, n);
	c->secret[n] = '\0';
out:
	buf_free(&b);
	return err;
}

/* Is a block of this kind in it? The library that reads them says of no mistake whose it is. */
static int check_pem(const char *option, const char *path, const struct buf *pem,
		     const char *kind, const char *expected, char *msg, size_t len)
{
	if (strstr(pem->data, "-----BEGIN ") && strstr(pem->data, kind))
		return 0;
	snprintf(msg, len, "%s: '%s': expected %s in PEM", option, path, expected);
	return -EINVAL;
}

static int read_tls(struct serve_config *c, const struct serve_options *o, char *msg, size_t len)
{
	int err;

	if (!o->tls_cert && !o->tls_key)
		return 0;
#ifdef TCPTRAIL_NO_TLS
	snprintf(msg, len,
		 "--tls-cert: this static program has no TLS; use the one of the package, or "
		 "a TLS proxy before a loopback address");
	return -EINVAL;
#endif
	if (!o->tls_cert || !o->tls_key) {
		snprintf(msg, len, "--tls-cert, --tls-key: expected both");
		return -EINVAL;
	}
	c->cert_path = o->tls_cert;
	c->key_path = o->tls_key;
	err = read_file("--tls-cert", o->tls_cert, &c->cert, msg, len);
	if (!err)
		err = check_pem("--tls-cert", o->tls_cert, &c->cert, "CERTIFICATE-----",
				"a certificate", msg, len);
	if (!err)
		err = read_file("--tls-key", o->tls_key, &c->key, msg, len);
	if (!err)
		err = check_pem("--tls-key", o->tls_key, &c->key, "PRIVATE KEY-----",
				"a private key", msg, len);
	return err;
}

int serve_configure(struct serve_config *c, const struct options *o, char *msg, size_t len)
{
	const struct serve_options *so = &o->serve;
	int err;

	memset(c, 0, sizeof(*c));
	c->textfile = so->textfile;
	c->listens = so->listen || !so->textfile;
	err = parse_listen(c, so->listen ? so->listen : "127.0.0.1", msg, len);
	if (!err && so->auth)
		err = read_secret(c, so->auth, msg, len);
	if (!err)
		err = read_tls(c, so, msg, len);
	if (!err && !c->loopback && (!c->secret[0] || !c->cert.len)) {
		snprintf(msg, len,
			 "--listen: '%s': others can reach it: expected --auth FILE, --tls-cert "
			 "FILE and --tls-key FILE with it, or a loopback address",
			 so->listen);
		err = -EINVAL;
	}
	if (err)
		serve_config_free(c);
	return err;
}

/* SO_REUSEADDR takes a port that only waits in TIME_WAIT and none that somebody listens on;
 * SO_REUSEPORT, which the HTTP library knows as "reuse", would share it. */
int serve_listen(const struct serve_config *c, char *msg, size_t len)
{
	const struct sockaddr *addr = (const struct sockaddr *)&c->addr;
	int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), yes = 1;
	char host[NI_MAXHOST], port[NI_MAXSERV];
	int err;

	if (fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) &&
	    (addr->sa_family != AF_INET6 ||
	     !setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes))) &&
	    !bind(fd, addr, c->addr_len) && !listen(fd, SOMAXCONN))
		return fd;
	err = errno;
	getnameinfo(addr, c->addr_len, host, sizeof(host), port, sizeof(port),
		    NI_NUMERICHOST | NI_NUMERICSERV);
	snprintf(msg, len, "--listen: %s port %s: %s", host, port, strerror(err));
	if (fd >= 0)
		close(fd);
	return -EINVAL;
}

void serve_config_free(struct serve_config *c)
{
	if (c->key.data)
		explicit_bzero(c->key.data, c->key.len);
	explicit_bzero(c->secret, sizeof(c->secret));
	buf_free(&c->cert);
	buf_free(&c->key);
}
