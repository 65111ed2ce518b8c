/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ladder's rows as JSON: what the text view draws with characters, for whoever draws
 * it otherwise. Nothing is decided here; core/ladder.c has.
 */
#include "../core/connection/words.h"
#include "server.h"

static const char *const directions[] = {
	[LADDER_TEXT] = "text",	  [LADDER_RIGHT] = "right",	[LADDER_LEFT] = "left",
	[LADDER_CROSS] = "cross", [LADDER_CROSSED] = "crossed", [LADDER_SPAN] = "span",
};
static const char *const sides[] = {
	[LADDER_AT_LEFT] = "left",
	[LADDER_AT_RIGHT] = "right",
	[LADDER_AT_MIDDLE] = "middle",
};

static void state(struct jsonw *w, const char *key, unsigned st, bool known)
{
	if (st == ST_NONE)
		return;
	json_open(w, key);
	json_word(w, "state", word_state_rfc(st));
	json_bool(w, "observed", known);
	json_close(w);
}

static void row(struct jsonw *w, const struct ladder_row *r)
{
	json_open(w, NULL);
	if (!r->no_time)
		json_u64(w, "at_ns", r->at_ns);
	json_word(w, "direction", directions[r->dir]);
	json_word(w, "side", sides[r->side]);
	if (r->dashed)
		json_bool(w, "inferred", true);
	if (r->lost)
		json_bool(w, "lost", true);
	state(w, "left", r->left_state, r->left_known);
	state(w, "right", r->right_state, r->right_known);
	if (r->label[0])
		json_str(w, "label", r->label);
	if (r->note[0])
		json_str(w, "note", r->note);
	json_close(w);
}

static void end(struct jsonw *w, const char *key, const struct ladder_end *e)
{
	if (!e)
		return;
	json_open(w, key);
	json_word(w, "role", word_role(e->conn.role));
	json_quote(w, "endpoint");
	buf_endpoint(w->b, e->conn.local, e->conn.lport);
	json_unquote(w);
	json_close(w);
}

void ladder_json(struct jsonw *w, const struct ladder *l)
{
	const struct ladder_end *one = l->left ? l->left : l->right;

	json_open(w, "ladder");
	json_bool(w, "roles_known", l->roles_known);
	json_bool(w, "handshake_unseen", l->unseen);
	json_u64(w, "rows_dropped", l->dropped);
	end(w, "left", l->left);
	end(w, "right", l->right);
	if (one && !(l->left && l->right)) {
		json_quote(w, "far_endpoint");
		buf_endpoint(w->b, one->conn.peer, one->conn.pport);
		json_unquote(w);
	}
	json_array(w, "rows");
	for (unsigned i = 0; i < l->len; i++)
		row(w, &l->rows[i]);
	json_array_end(w);
	json_close(w);
}
