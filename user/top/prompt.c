/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filter's line: what is typed is a FILTER after each key, and holds at once when
 * it is one; what is wrong with it stands beside it, and the last good one holds on.
 */
#include <net/if.h>
#include <netdb.h>
#include <string.h>
#include <arpa/inet.h>

#include "top_impl.h"

/* A service's number from the host's own table. */
static long port_of(const char *service)
{
	const struct servent *s = getservbyname(service, "tcp");

	return s ? ntohs((uint16_t)s->s_port) : -1;
}

static long index_of(const char *interface)
{
	unsigned index = if_nametoindex(interface);

	return index ? (long)index : -1;
}

/* No host's name: a resolver may take seconds, and one types. */
static bool parse(struct top *v, const char *text, struct filter **out)
{
	static const struct filter_names names = {.port = port_of, .dev = index_of};
	struct prompt *p = &v->prompt;
	char line[FILTER_TEXT], *words[] = {line};
	struct filter_error err = {0};

	snprintf(line, sizeof(line), "%s", text);
	p->error[0] = '\0';
	*out = NULL;
	if (!line[strspn(line, " ")])
		return true;
	if (!filter_parse_names(out, 1, words, &names, &err))
		return true;
	if (err.word >= 0)
		snprintf(p->error, sizeof(p->error), "'%s': %s", err.token, err.message);
	else
		snprintf(p->error, sizeof(p->error), "%s, but it ends there", err.message);
	return false;
}

/* Another filter: what was counted was counted by the old one. */
static void apply(struct top *v, const char *text)
{
	struct filter *f;

	if (!strcmp(text, v->filter_text)) {
		v->prompt.error[0] = '\0';
		return;
	}
	if (!parse(v, text, &f))
		return;
	filter_free(v->filter);
	v->filter = f;
	v->stuck.query.filter = f;
	snprintf(v->filter_text, sizeof(v->filter_text), "%s", text);
	counts_forget(v);
	v->stuck_due = true;
	v->conns.follows = false;
	v->conns.selected = v->conns.offset = 0;
	v->conns.cookie = 0;
}

void prompt_open(struct top *v)
{
	struct prompt *p = &v->prompt;

	if (v->paused) {
		say(v, true, "paused: p goes on, then /");
		return;
	}
	*p = (struct prompt){.open = true};
	snprintf(p->text, sizeof(p->text), "%s", v->filter_text);
	snprintf(p->before, sizeof(p->before), "%s", v->filter_text);
	p->len = p->at = (unsigned)strlen(p->text);
}

/* ---- editing: bytes of UTF-8, moved over by whole characters ------------------------------ */

static unsigned char_before(const struct prompt *p)
{
	unsigned n = 0;

	while (n < p->at && (n == 0 || ((unsigned char)p->text[p->at - n] & 0xc0) == 0x80))
		n++;
	return n;
}

static unsigned char_after(const struct prompt *p)
{
	unsigned n = utf8_length(p->text + p->at, p->len - p->at);

	return n ? n : p->at < p->len;
}

static void delete_at(struct prompt *p, unsigned at, unsigned n)
{
	memmove(p->text + at, p->text + at + n, p->len - at - n + 1);
	p->len -= n;
	p->at = at;
}

static void insert(struct prompt *p, int key)
{
	static const struct {
		int below;
		unsigned char lead;
	} lengths[] = {{0x80, 0}, {0x800, 0xc0}, {0x10000, 0xe0}, {0x110000, 0xf0}};
	char bytes[4];
	unsigned n = 0;

	while (n < 4 && key >= lengths[n].below)
		n++;
	if (key < ' ' || key == 127 || n == 4 || p->len + n + 1 >= sizeof(p->text))
		return;
	for (unsigned i = n; i > 0; i--, key >>= 6)
		bytes[i] = (char)(0x80 | (key & 0x3f));
	bytes[0] = (char)(lengths[n].lead | key);
	memmove(p->text + p->at + n + 1, p->text + p->at, p->len - p->at + 1);
	memcpy(p->text + p->at, bytes, n + 1);
	p->len += n + 1;
	p->at += n + 1;
}

static void delete_word(struct prompt *p)
{
	unsigned from = p->at;

	while (from && p->text[from - 1] == ' ')
		from--;
	while (from && p->text[from - 1] != ' ')
		from--;
	delete_at(p, from, p->at - from);
}

static void edit(struct prompt *p, int key)
{
	unsigned n;

	switch (key) {
	case KEY_IS_BACKSPACE:
		n = char_before(p);
		delete_at(p, p->at - n, n);
		break;
	case KEY_IS_DELETE:
		delete_at(p, p->at, char_after(p));
		break;
	case KEY_IS_LEFT:
		p->at -= char_before(p);
		break;
	case KEY_IS_RIGHT:
		p->at += char_after(p);
		break;
	case KEY_IS_HOME:
	case 'A' & 31:
		p->at = 0;
		break;
	case KEY_IS_END:
	case 'E' & 31:
		p->at = p->len;
		break;
	case 'U' & 31:
		delete_at(p, 0, p->at);
		break;
	case 'W' & 31:
		delete_word(p);
		break;
	default:
		insert(p, key);
	}
}

void prompt_key(struct top *v, int key)
{
	struct prompt *p = &v->prompt;

	if (key == KEY_IS_ESC || key == ('C' & 31)) {
		apply(v, p->before);
		p->open = false;
		return;
	}
	if (key == KEY_IS_ENTER) {
		p->open = p->error[0] != '\0'; /* until it is right, or given up */
		return;
	}
	edit(p, key);
	apply(v, p->text);
}

/* The text, and what is wrong with it to the right; a long one shows its end up to the cursor. */
void prompt_draw(struct top *v, int y, int *cursor)
{
	struct prompt *p = &v->prompt;
	int w = screen_cols(v->screen), room = w - 2, from = 0, at;

	if (p->error[0])
		room = w / 2;
	at = screen_columns(v->screen, p->text, p->at);
	while (at > room - 1 && from < (int)p->at) {
		from++;
		while ((p->text[from] & 0xc0) == 0x80)
			from++;
		at = screen_columns(v->screen, p->text + from, p->at - (unsigned)from);
	}
	buf_char(&v->b, '/');
	put(v, y, 0, 1, LOOK_BOLD);
	buf_str(&v->b, p->text + from);
	put(v, y, 1, room, LOOK_PLAIN);
	*cursor = 1 + at;
	if (!p->error[0])
		return;
	buf_safe(&v->b, p->error, sizeof(p->error));
	at = 3 + screen_columns(v->screen, p->text + from, p->len - (unsigned)from);
	at = at > room + 2 ? room + 2 : at;
	put(v, y, at, w - at, LOOK_BAD);
}
