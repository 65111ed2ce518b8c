/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tcptrail serve`: HTTP: /metrics, JSON, a live page.
 *
 * What is wrong with the options is one line and exit 2, before anything is traced or
 * listened to.
 */
#include <stdio.h>

#include "commands.h"
#include "options.h"
#include "serve/serve.h"

const char cmd_serve_help[] =
	"/                         the live page\n"
	"/metrics                  Prometheus text 0.0.4\n"
	"/api/v1/connections       ?filter=FILTER&limit=N&cursor=N; /ID its timeline and ladder\n"
	"/api/v1/stuck             findings, ?filter=FILTER&min_age=SECONDS\n"
	"/api/v1/states            sockets per state, transitions, the last five minutes\n"
	"/events                   records as server-sent events, ?filter=FILTER\n"
	"/healthz                  that it runs, and what it lost\n"
	"On 127.0.0.1 port 29293. Another host's address is taken only with --auth and TLS.\n"
	"A FILTER on the command line holds for all of it; of opened connections alone its\n"
	"kernel-side part, as their ports and owners may not be known yet.\n";

int cmd_serve(const struct options *o)
{
	struct serve_config c;
	char msg[512];
	int status;

	if (serve_configure(&c, o, msg, sizeof(msg))) {
		fprintf(stderr, "tcptrail: %s\n", msg);
		return 2;
	}
	status = serve_run(o, &c);
	serve_config_free(&c);
	return status;
}
