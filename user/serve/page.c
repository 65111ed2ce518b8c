/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The live page lies in the program: four files, taken in by the assembler as they
 * are. No network but our own is needed to show it.
 */
#include <string.h>

#include "server.h"

#define EMBED(name, file)                                                                          \
	__asm__(".section .rodata\n"                                                               \
		".hidden " #name "\n.hidden " #name "_end\n"                                       \
		".globl " #name "\n.globl " #name "_end\n" #name ":\n"                             \
		".incbin \"user/serve/page/" file "\"\n" #name "_end:\n"                           \
		".byte 0\n.previous\n");                                                           \
	extern const unsigned char(name)[] __attribute__((visibility("hidden")));                   \
	extern const unsigned char name##_end[] __attribute__((visibility("hidden")))

EMBED(page_index, "index.html");
EMBED(page_app, "app.js");
EMBED(page_draw, "draw.js");
EMBED(page_style, "style.css");

static const struct page_file {
	const char *path, *type;
	const unsigned char *data, *end;
} files[] = {
	{"/", "text/html; charset=utf-8", page_index, page_index_end},
	{"/app.js", "text/javascript; charset=utf-8", page_app, page_app_end},
	{"/draw.js", "text/javascript; charset=utf-8", page_draw, page_draw_end},
	{"/style.css", "text/css; charset=utf-8", page_style, page_style_end},
};

static const struct page_file *find(const char *path)
{
	for (unsigned i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (!strcmp(files[i].path, path))
			return &files[i];
	return NULL;
}

enum MHD_Result page_answer(struct server *v, struct MHD_Connection *c, const char *path)
{
	const struct page_file *f = find(path);
	struct MHD_Response *r;
	enum MHD_Result result;

	if (!f)
		return http_error(c, MHD_HTTP_NOT_FOUND,
				  "no such page; there are /, /metrics, /api/v1/connections, "
				  "/api/v1/stuck, /api/v1/states, /events, /healthz");
	r = MHD_create_response_from_buffer((size_t)(f->end - f->data), (void *)f->data,
					    MHD_RESPMEM_PERSISTENT);
	if (!r)
		return MHD_NO;
	http_headers(r);
	MHD_add_response_header(r, "Content-Type", f->type);
	MHD_add_response_header(r, "Content-Security-Policy",
				"default-src 'none'; script-src 'self'; style-src 'self'; "
				"connect-src 'self'; img-src 'self' data:; base-uri 'none'; "
				"form-action 'none'; frame-ancestors 'none'");
	result = MHD_queue_response(c, MHD_HTTP_OK, r);
	MHD_destroy_response(r);
	return result;
}
