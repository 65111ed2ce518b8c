/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP daemon, driven by the session's loop: libmicrohttpd with its own epoll
 * descriptor and no thread.
 *
 * Always: a request is whole within HTTP_DEADLINE_MS or its connection is cut; places
 * are bounded; what is refused is told as JSON. Never: waits for a client, or answers a
 * browser that came under a name that is not ours (DNS rebinding).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../core/filter/filter.h"
#include "server.h"

static enum MHD_Result serve_metrics(struct server *v, struct MHD_Connection *c, const char *rest)
{
	struct buf b = {0};

	server_refresh(v);
	server_metrics(v, &b);
	return http_answer(c, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", &b);
}

/* A path that ends in '/' has more behind it; the rest is handed over. The last row takes all. */
static const struct route {
	const char *path;
	enum MHD_Result (*answer)(struct server *v, struct MHD_Connection *c, const char *rest);
} routes[] = {
	{"/metrics", serve_metrics},
	{"/api/v1/connections", api_connections},
	{"/api/v1/connections/", api_connection},
	{"/api/v1/stuck", api_stuck},
	{"/api/v1/states", api_states},
	{"/events", events_open},
	{"/healthz", api_health},
	{NULL, page_answer},
};

/* ---- answers --------------------------------------------------------------------------- */

void http_headers(struct MHD_Response *r)
{
	MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(r, "Cache-Control", "no-store");
	MHD_add_response_header(r, "Referrer-Policy", "no-referrer");
}

enum MHD_Result http_answer(struct MHD_Connection *c, unsigned status, const char *type,
			    struct buf *b)
{
	struct MHD_Response *r;
	enum MHD_Result result;

	if (b->failed) {
		buf_free(b);
		return MHD_NO;
	}
	r = MHD_create_response_from_buffer(b->len, b->data, MHD_RESPMEM_MUST_FREE);
	if (!r) {
		buf_free(b);
		return MHD_NO;
	}
	http_headers(r);
	MHD_add_response_header(r, "Content-Type", type);
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(r, "Allow", "GET, HEAD");
	if (status == MHD_HTTP_UNAUTHORIZED)
		MHD_add_response_header(r, "WWW-Authenticate", "Basic realm=\"tcptrail\"");
	if (status == MHD_HTTP_CONTENT_TOO_LARGE)
		MHD_add_response_header(r, "Connection", "close");
	result = MHD_queue_response(c, status, r);
	MHD_destroy_response(r);
	return result;
}

enum MHD_Result http_error(struct MHD_Connection *c, unsigned status, const char *message)
{
	struct buf b = {0};
	struct jsonw w;

	json_begin(&w, &b);
	json_open(&w, "error");
	json_u64(&w, "status", status);
	json_str(&w, "message", message);
	json_close(&w);
	json_end(&w);
	return http_answer(c, status, "application/json", &b);
}

bool http_filter(struct MHD_Connection *c, struct filter **out, enum MHD_Result *result)
{
	const char *text = MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, "filter");
	char *words[1], line[FILTER_MESSAGE_LEN + FILTER_TOKEN_LEN + 32];
	struct filter_error err = {0};

	*out = NULL;
	if (!text || !*text)
		return true;
	if (strlen(text) > FILTER_MAX) {
		*result = http_error(c, MHD_HTTP_BAD_REQUEST, "filter: longer than 4096 bytes");
		return false;
	}
	words[0] = (char *)text;
	if (!filter_parse(out, 1, words, &err))
		return true;
	if (err.word >= 0)
		snprintf(line, sizeof(line), "filter '%s': %s", err.token, err.message);
	else
		snprintf(line, sizeof(line), "filter: %s, but it ends there", err.message);
	*result = http_error(c, MHD_HTTP_BAD_REQUEST, line);
	return false;
}

/* ---- who may ask ------------------------------------------------------------------------- */

/* In a time that says nothing of how much was right. */
static bool same(const char *a, const char *b)
{
	size_t n = strlen(b), m = strlen(a);
	unsigned char diff = n != m;

	for (size_t i = 0; i < m; i++)
		diff |= (unsigned char)(a[i] ^ b[n ? i % n : 0]);
	return !diff;
}

static bool allowed(const struct serve_config *cfg, struct MHD_Connection *c)
{
	const char *said = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Authorization");
	char pair[SECRET_LEN * 2], *user, *password = NULL;
	size_t n;
	bool ok = false;

	if (!cfg->secret[0])
		return true;
	if (said && !strncasecmp(said, "Bearer ", 7))
		return !strchr(cfg->secret, ':') && same(said + 7, cfg->secret);
	user = MHD_basic_auth_get_username_password(c, &password);
	n = user ? strlen(user) : 0;
	if (user && password && n + strlen(password) + 2 < sizeof(pair)) {
		memcpy(pair, user, n);
		pair[n] = ':';
		memcpy(pair + n + 1, password, strlen(password) + 1);
		/* A token is also taken as the password, whatever the name: browsers know no other. */
		ok = same(strchr(cfg->secret, ':') ? pair : password, cfg->secret);
	}
	MHD_free(user);
	MHD_free(password);
	return ok;
}

/* Without a secret only this host's own names will do. */
static bool host_is_ours(const struct serve_config *cfg, const char *host)
{
	static const char *const ours[] = {"localhost", "127.0.0.1", "[::1]", "::1"};
	size_t n, bracket;

	if (cfg->secret[0] || !host)
		return true;
	bracket = host[0] == '[' ? strcspn(host, "]/") : 0;
	n = bracket + strcspn(host + bracket, ":/");
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (strlen(ours[i]) == n && !strncasecmp(host, ours[i], n))
			return true;
	return n > 4 && !strncmp(host, "127.", 4) && strspn(host, "0123456789.") == n;
}

/* ---- a request --------------------------------------------------------------------------- */

static struct http_conn *conn_of(struct MHD_Connection *c)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

bool http_is_head(struct MHD_Connection *c)
{
	const struct http_conn *h = conn_of(c);

	return h && h->head;
}

/* As it came: what is handed on has its escapes resolved, and would end at a NUL. */
static void *on_target(void *cls, const char *target, struct MHD_Connection *c)
{
	struct http_conn *h = conn_of(c);

	if (h)
		h->has_nul = strstr(target, "%00") != NULL;
	return NULL; /* on_request()'s *seen */
}

static enum MHD_Result count_host(void *cls, enum MHD_ValueKind kind, const char *key,
				  const char *value)
{
	*(unsigned *)cls += !strcasecmp(key, "Host");
	return MHD_YES;
}

/* NULL: none. RFC 9112, 3.2: HTTP/1.1 needs one Host, and nothing takes two. */
static const char *mistake_in(struct MHD_Connection *c, const char *version)
{
	const struct http_conn *h = conn_of(c);
	unsigned hosts = 0;

	MHD_get_connection_values(c, MHD_HEADER_KIND, count_host, &hosts);
	if (hosts > 1 || (!hosts && strcmp(version, "HTTP/1.1") >= 0))
		return "Host: expected once";
	if (h && h->has_nul)
		return "%00: no path and no FILTER has a NUL in it";
	return NULL;
}

/* RFC 9112, 3.2.2: where the target is a whole URL, its authority is what Host would be. */
static const char *path_of(const char *target, const char **host)
{
	static const char *const schemes[] = {"http://", "https://"};

	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		size_t n = strlen(schemes[i]);

		if (strncasecmp(target, schemes[i], n))
			continue;
		*host = target + n;
		target += n + strcspn(target + n, "/");
		return *target ? target : "/";
	}
	return target;
}

static enum MHD_Result answer(struct server *v, struct MHD_Connection *c, const char *target,
			      const char *method, const char *version)
{
	const char *host = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Host");
	const char *url = path_of(target, &host), *mistake = mistake_in(c, version);

	if (mistake)
		return http_error(c, MHD_HTTP_BAD_REQUEST, mistake);
	if (!host_is_ours(v->cfg, host))
		return http_error(c, MHD_HTTP_FORBIDDEN,
				  "Host: expected localhost or a loopback address");
	if (!allowed(v->cfg, c))
		return http_error(c, MHD_HTTP_UNAUTHORIZED,
				  "a user and password, or a bearer token, "
				  "is needed");
	if (strcmp(method, "GET") && strcmp(method, "HEAD"))
		return http_error(c, MHD_HTTP_METHOD_NOT_ALLOWED, "expected GET or HEAD");
	for (const struct route *r = routes;; r++) {
		size_t n = r->path ? strlen(r->path) : 0;

		if (!r->path)
			return r->answer(v, c, url);
		if (r->path[n - 1] == '/' ? !strncmp(url, r->path, n) : !strcmp(url, r->path))
			return r->answer(v, c, url + n);
	}
}

static bool says_too_large(struct MHD_Connection *c)
{
	const char *length = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Content-Length");

	return length && strtoull(length, NULL, 10) > HTTP_BODY_MAX;
}

/* Called when the headers are there, for each piece of a body, and when all is there. */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *target,
				  const char *method, const char *version, const char *data,
				  size_t *size, void **seen)
{
	struct server *v = cls;
	struct http_conn *h = conn_of(c);
	uintptr_t body = (uintptr_t)*seen;

	if (!body) {
		if (h)
			h->idle = false;
		if (says_too_large(c)) {
			if (h)
				h->answering = true;
			return http_error(c, MHD_HTTP_CONTENT_TOO_LARGE, "no request needs a body");
		}
		*seen = (void *)1;
		return MHD_YES;
	}
	if (*size) {
		body += *size;
		*size = 0;
		*seen = (void *)body;
		return body > HTTP_BODY_MAX ? MHD_NO : MHD_YES;
	}
	v->requests++;
	if (h) {
		h->answering = true;
		h->head = !strcmp(method, "HEAD");
	}
	return answer(v, c, target, method, version);
}

static void on_complete(void *cls, struct MHD_Connection *c, void **seen,
			enum MHD_RequestTerminationCode how)
{
	struct http_conn *h = conn_of(c);

	if (!h)
		return;
	h->since_ns = server_now();
	h->idle = true;
	h->answering = false;
}

/* ---- connections --------------------------------------------------------------------------- */

static void on_connection(void *cls, struct MHD_Connection *c, void **context,
			  enum MHD_ConnectionNotificationCode what)
{
	struct server *v = cls;
	struct http_conn *h = *context;

	if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (h)
			memset(h, 0, sizeof(*h));
		*context = NULL;
		return;
	}
	for (unsigned i = 0; i < HTTP_CONNECTIONS; i++) {
		const union MHD_ConnectionInfo *info;

		h = &v->conns[i];
		if (h->c)
			continue;
		info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
		*h = (struct http_conn){
			.c = c, .fd = info ? info->connect_fd : -1, .since_ns = server_now()};
		*context = h;
		return;
	}
}

/* The library's own time-out starts again with each byte; this one does not. */
static void cut_late(struct server *v, uint64_t now)
{
	unsigned used = 0;
	uint64_t limit_ms;

	for (unsigned i = 0; i < HTTP_CONNECTIONS; i++)
		used += v->conns[i].c != NULL;
	limit_ms = used > HTTP_CONNECTIONS * 3 / 4 ? HTTP_CROWDED_MS : HTTP_DEADLINE_MS;
	for (unsigned i = 0; used && i < HTTP_CONNECTIONS; i++) {
		struct http_conn *h = &v->conns[i];

		if (h->c && !h->answering && h->fd >= 0 &&
		    now - h->since_ns > limit_ms * 1000000ull) {
			shutdown(h->fd, SHUT_RDWR);
			h->fd = -1;
		}
	}
}

/* A large answer goes out in several steps; what is left after HTTP_STEPS waits for a round. */
void http_turn(struct server *v)
{
	MHD_UNSIGNED_LONG_LONG ms = 0;

	if (!v->daemon)
		return;
	events_turn(v, server_now());
	cut_late(v, server_now());
	for (unsigned i = 0; i < HTTP_STEPS; i++) {
		MHD_run(v->daemon);
		if (MHD_get_timeout(v->daemon, &ms) != MHD_YES || ms)
			break;
	}
}

/* ---- the daemon ----------------------------------------------------------------------------- */

/* What the library has to say is about clients, not about the tracer. */
static void no_log(void *arg, const char *fmt, va_list ap)
{
}

int http_start(struct server *v, char *msg, size_t len)
{
	const struct serve_config *cfg = v->cfg;
	bool tls = cfg->cert.len > 0;
	struct MHD_OptionItem secure[] = {
		{MHD_OPTION_HTTPS_MEM_CERT, 0, cfg->cert.data},
		{MHD_OPTION_HTTPS_MEM_KEY, 0, cfg->key.data},
		{MHD_OPTION_END, 0, NULL},
	};
	struct MHD_OptionItem plain[] = {{MHD_OPTION_END, 0, NULL}};
	int fd = serve_listen(cfg, msg, len);

	if (fd < 0)
		return fd;
	v->daemon = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG |
			(tls ? MHD_USE_TLS : 0u),
		0, NULL, NULL, on_request, v, MHD_OPTION_EXTERNAL_LOGGER, no_log, NULL,
		MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned)HTTP_CONNECTIONS,
		MHD_OPTION_CONNECTION_TIMEOUT, 30u, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)32768, MHD_OPTION_NOTIFY_COMPLETED, on_complete, v,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, v, MHD_OPTION_URI_LOG_CALLBACK,
		on_target, v, MHD_OPTION_ARRAY,
		tls ? secure : plain, MHD_OPTION_END);
	if (!v->daemon) {
		/* It does not say why, nor does errno. Whether the socket is closed by now depends on
		 * how far it came; the process ends. */
		if (tls)
			snprintf(msg, len,
				 "--tls-cert, --tls-key: '%s', '%s': expected a certificate and "
				 "its own private key, in PEM and without a password",
				 cfg->cert_path, cfg->key_path);
		else
			snprintf(msg, len, "serve: the HTTP server does not start");
		return -EINVAL;
	}
	v->epoll_fd = MHD_get_daemon_info(v->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
	return 0;
}

void http_stop(struct server *v)
{
	if (!v->daemon)
		return;
	events_close(v);
	MHD_run(v->daemon); /* what was resumed must be seen before the end */
	MHD_stop_daemon(v->daemon);
	v->daemon = NULL;
}
