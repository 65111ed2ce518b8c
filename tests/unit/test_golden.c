/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Golden timelines: recorded events in (tests/golden/NAME.events), what the core
 * made of them out (NAME.expect). Every change and every record is one line, so a
 * difference shows as a diff.
 *
 *   test_golden            compares all
 *   test_golden --print F  prints what F gives, to look at and to keep
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "write/buf.h"
#include "stream/event_text.h"
#include "pipeline/pipeline.h"
#include "connection/words.h"

#ifndef GOLDEN_DIR
#define GOLDEN_DIR "tests/golden"
#endif

struct printer {
	struct buf out;
	struct pipeline *p;
};

static void print_ends(struct printer *pr, const struct conn *c)
{
	buf_endpoint(&pr->out, c->local, c->lport);
	buf_str(&pr->out, " > ");
	buf_endpoint(&pr->out, c->peer, c->pport);
}

static void on_change(void *view, const struct conn *c, const struct change *ch)
{
	static const char *const kinds[] = {"state", "retransmit", "reset", "drop"};
	struct printer *pr = view;

	buf_printf(&pr->out, "%s %s ", kinds[ch->kind], word_role(c->role));
	print_ends(pr, c);
	buf_printf(&pr->out, " %s %s %s", word_state_rfc(ch->from), word_state_rfc(ch->to),
		   word_trigger(ch->trigger));
	if (ch->kind == CHANGE_RETRANSMIT)
		buf_printf(&pr->out, " %s", word_retransmit(ch->retransmit));
	if (ch->kind == CHANGE_RESET)
		buf_printf(&pr->out, " %s reason=%u", ch->received ? "received" : "sent",
			   ch->reason);
	if (ch->actor)
		buf_printf(&pr->out, " by=%s", proc_get(pipeline_procs(pr->p), ch->actor)->comm);
	if (ch->inferred)
		buf_str(&pr->out, " inferred");
	buf_char(&pr->out, '\n');
}

static void print_seq(struct printer *pr, const char *name, bool has, uint32_t seq)
{
	if (has)
		buf_printf(&pr->out, " %s=%u", name, seq);
}

static void print_ns(struct printer *pr, const char *name, int64_t ns)
{
	if (ns >= 0)
		buf_printf(&pr->out, " %s=%lld", name, (long long)ns);
}

static void on_end(void *view, const struct conn *c, const struct verdict *v)
{
	struct printer *pr = view;

	buf_printf(&pr->out, "connection %s ", word_role(c->role));
	print_ends(pr, c);
	buf_printf(&pr->out, " %s handshake=%s teardown=%s initiator=%s reason=%s owner=%s",
		   word_conn_state(v->conn_state), word_handshake(v->handshake),
		   word_teardown(v->teardown), word_initiator(v->initiator),
		   word_end_reason(v->end_reason), proc_get(pipeline_procs(pr->p), c->owner)->comm);
	print_seq(pr, "client_isn", v->has_client_isn, v->client_isn);
	print_seq(pr, "server_isn", v->has_server_isn, v->server_isn);
	print_seq(pr, "client_fin", v->has_client_fin, v->client_fin_seq);
	print_seq(pr, "server_fin", v->has_server_fin, v->server_fin_seq);
	print_ns(pr, "duration", v->duration_ns);
	print_ns(pr, "handshake_ns", v->handshake_ns);
	print_ns(pr, "half_close", v->half_close_ns);
	print_ns(pr, "accept_wait", v->accept_wait_ns);
	print_ns(pr, "time_wait", v->time_wait_ns);
	buf_printf(&pr->out, " sent=%llu received=%llu evidence=%u incomplete=%u\n",
		   (unsigned long long)c->bytes_sent, (unsigned long long)c->bytes_received,
		   c->evidence, c->incomplete);
	for (unsigned i = 0; i < c->steps_len; i++) {
		const struct step *s = conntab_step(pipeline_conns(pr->p), c, i);

		buf_printf(&pr->out, "  +%llu %s %s %s %u\n", (unsigned long long)s->at,
			   word_step(s->kind), word_state_rfc(s->state), word_trigger(s->trigger),
			   s->seq);
	}
}

static const struct view_ops printer_ops = {.change = on_change, .conn_end = on_end};

static void run_file(FILE *f, struct buf *out)
{
	struct pipeline_config cfg = {.emit_open = true, .want_steps = true};
	struct printer pr = {0};
	struct event e;
	const char *at, *what;
	char line[4096];
	unsigned n = 0;

	pr.p = pipeline_new(&cfg, &printer_ops, &pr);
	assert_non_null(pr.p);
	while (fgets(line, sizeof(line), f)) {
		int rc = event_text_read(&e, line, &at, &what);

		n++;
		if (rc == 0)
			assert_int_equal(pipeline_feed(pr.p, &e, sizeof(e)), 0);
		else if (!strncmp(line, "#until reaped", 13))
			cfg.until_reaped = true;
		else if (rc != -11)
			fail_msg("line %u: %s at '%s'", n, what, at);
	}
	pipeline_finish(pr.p, pipeline_now(pr.p));
	pipeline_free(pr.p);
	*out = pr.out;
	buf_char(out, '\0');
}

static FILE *open_golden(const char *name, const char *ext)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s.%s", GOLDEN_DIR, name, ext);
	return fopen(path, "r");
}

/* GOLDEN_UPDATE=1: what is given now is what must be given; look at the difference. */
static void update_one(const char *name, const struct buf *out)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.expect", GOLDEN_DIR, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(out->data, f);
	fclose(f);
}

static void compare_one(const char *name)
{
	FILE *in = open_golden(name, "events"), *want = open_golden(name, "expect");
	struct buf out = {0};
	char *expected = NULL;
	size_t cap = 0;
	ssize_t len;

	assert_non_null(in);
	if (!want)
		fail_msg("%s has no .expect", name);
	run_file(in, &out);
	if (getenv("GOLDEN_UPDATE"))
		update_one(name, &out);
	len = getdelim(&expected, &cap, '\0', want);
	if (len < 0 || strcmp(expected, out.data)) {
		print_message("--- %s: expected\n%s--- got\n%s", name, expected ? expected : "",
			      out.data);
		fail();
	}
	free(expected);
	buf_free(&out);
	fclose(in);
	fclose(want);
}

static void golden_files(void **state)
{
	DIR *d = opendir(GOLDEN_DIR);
	struct dirent *de;
	unsigned n = 0;

	assert_non_null(d);
	while ((de = readdir(d))) {
		char *dot = strrchr(de->d_name, '.');

		if (!dot || strcmp(dot, ".events"))
			continue;
		*dot = '\0';
		compare_one(de->d_name);
		n++;
	}
	closedir(d);
	assert_true(n > 0);
}

/* text -> event -> text is the same line. */
static void text_round_trip(void **state)
{
	static const char line[] =
		"1000 state cookie=7 netns=5 flags=33 old=ESTABLISHED new=FIN_WAIT_1 "
		"local=10.0.0.1 "
		"lport=40000 peer=2001:db8::1 pport=443 snd_una=12 bytes_acked=4294967297 pid=0\n";
	struct event e;
	struct buf b = {0};
	const char *at, *what;

	assert_int_equal(event_text_read(&e, line, &at, &what), 0);
	assert_int_equal(e.tcp.bytes_acked, 4294967297ULL);
	event_text_write(&b, &e);
	buf_char(&b, '\0');
	assert_int_equal(strncmp(b.data, line, strlen(line) - 7), 0);
	buf_free(&b);
	assert_int_equal(event_text_read(&e, "1000 nonsense", &at, &what), -22);
	assert_int_equal(event_text_read(&e, "1000 state lport=65536", &at, &what), -22);
	assert_int_equal(event_text_read(&e, "1000 tick snd_una=1", &at, &what), -22);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden_files),
		cmocka_unit_test(text_round_trip),
	};

	if (argc == 3 && !strcmp(argv[1], "--print")) {
		FILE *f = fopen(argv[2], "r");
		struct buf out = {0};

		if (!f)
			return 2;
		run_file(f, &out);
		fputs(out.data, stdout);
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
