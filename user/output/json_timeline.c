/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp.timeline: the steps of a connection in their order, each with what it has:
 * a table row says what a kind of step keeps in its two spare words.
 */
#include "json.h"

#include "../core/connection/words.h"

enum aux { AUX_NONE, AUX_PROC, AUX_RETRANSMIT, AUX_RST, AUX_DROP, AUX_ERRNO };

static const uint8_t aux_of[] = {
	[STEP_STATE] = AUX_PROC,
	[STEP_RETRANSMIT] = AUX_RETRANSMIT,
	[STEP_RST_SENT] = AUX_RST,
	[STEP_RST_RECEIVED] = AUX_NONE,
	[STEP_ACCEPT] = AUX_PROC,
	[STEP_CLOSE] = AUX_PROC,
	[STEP_DROP] = AUX_DROP,
	[STEP_ERROR] = AUX_ERRNO,
	[STEP_SYN_IN] = AUX_NONE,
	[STEP_SYNACK_SENT] = AUX_NONE,
	[STEP_FIN_IN] = AUX_NONE,
	[STEP_ABORT] = AUX_PROC,
};
_Static_assert(sizeof(aux_of) / sizeof(aux_of[0]) == STEP_KINDS, "what each step keeps");

static void aux_member(struct json_face *f, struct jsonw *w, const struct step *s)
{
	switch (aux_of[s->kind]) {
	case AUX_PROC:
		json_proc(f, w, "actor", s->aux);
		break;
	case AUX_RETRANSMIT:
		json_word(w, "kind", word_retransmit(s->aux));
		break;
	case AUX_RST:
		json_rst_reason(f, w, "reason", s->aux);
		break;
	case AUX_DROP:
		json_drop_reason(f, w, "reason", s->aux);
		break;
	case AUX_ERRNO:
		if (s->aux)
			json_word(w, "error", word_errno(s->aux));
		break;
	}
}

void json_timeline(struct json_face *f, struct jsonw *w, const struct conn *c)
{
	const struct conntab *t = pipeline_conns(f->s->p);

	json_array(w, "timeline");
	for (unsigned i = 0; i < c->steps_len; i++) {
		const struct step *s = conntab_step(t, c, i);

		json_open(w, NULL);
		json_u64(w, "offset_ns", s->at);
		if (s->kind < STEP_KINDS) {
			json_word(w, "event", word_step(s->kind));
			if (s->state != ST_NONE)
				json_word(w, "state", word_state_otel(s->state));
			if (s->trigger != TRIG_UNKNOWN)
				json_word(w, "trigger", word_trigger(s->trigger));
			aux_member(f, w, s);
			if (s->seq)
				json_u64(w, "seq", s->seq);
		}
		json_close(w);
	}
	json_array_end(w);
	if (conn_end(c)->steps_dropped)
		json_u64(w, "timeline_dropped", conn_end(c)->steps_dropped);
}
