/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp.state_change, tcp.retransmit, tcp.reset and tcp.drop: one thing that
 * happened to a connection. A row of the table for each kind; what the kinds
 * share is written once around it.
 */
#include "json.h"

#include "../core/connection/words.h"

static void state_change(struct json_face *f, struct jsonw *w, const struct change *ch)
{
	if (ch->from != ST_NONE)
		json_word(w, "previous_state", word_state_otel(ch->from));
	if (ch->state_duration_ns < 0)
		return;
	json_ns(w, "state_duration_ns", ch->state_duration_ns);
	json_word(w, "state_duration_bound", ch->duration_at_least ? "at_least" : "exact");
}

static void retransmit(struct json_face *f, struct jsonw *w, const struct change *ch)
{
	json_open(w, "retransmit");
	json_word(w, "kind", word_retransmit(ch->retransmit));
	json_close(w);
}

static void reset(struct json_face *f, struct jsonw *w, const struct change *ch)
{
	json_open(w, "reset");
	json_word(w, "direction", ch->received ? "received" : "sent");
	if (!ch->received)
		json_rst_reason(f, w, "reason", ch->reason);
	json_close(w);
}

static void drop(struct json_face *f, struct jsonw *w, const struct change *ch)
{
	json_open(w, "drop");
	json_drop_reason(f, w, "reason", ch->reason);
	json_close(w);
}

static const struct {
	const char *name;
	void (*write)(struct json_face *f, struct jsonw *w, const struct change *ch);
} kinds[] = {
	[CHANGE_STATE] = { "tcp.state_change", state_change },
	[CHANGE_RETRANSMIT] = { "tcp.retransmit", retransmit },
	[CHANGE_RESET] = { "tcp.reset", reset },
	[CHANGE_DROP] = { "tcp.drop", drop },
};
_Static_assert(sizeof(kinds) / sizeof(kinds[0]) == CHANGE_KINDS, "a writer for each");

void json_change(struct json_face *f, struct buf *b, const struct conn *c, const struct change *ch)
{
	struct jsonw w;

	json_common(f, &w, b, kinds[ch->kind].name, ch->ts_ns);
	json_close(&w);
	json_network(f, &w, c, ch->kind == CHANGE_STATE ? ch->to : c->state);
	json_tcp(f, &w, c);
	kinds[ch->kind].write(f, &w, ch);
	if (ch->has_seq)
		json_u64(&w, "seq", ch->seq);
	if (ch->trigger != TRIG_UNKNOWN)
		json_word(&w, "trigger", word_trigger(ch->trigger));
	json_proc(f, &w, "actor", ch->actor);
	if (ch->inferred)
		json_bool(&w, "inferred", true);
	json_close(&w);
	json_owner(f, &w, c);
}
