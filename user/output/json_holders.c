/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp.holders: who holds a socket, as the newest snapshot told. A record has the first few;
 * a server's listener may be shared by hundreds of workers.
 */
#include "json.h"

#include "../core/process/holders.h"
#include "../core/process/proc.h"

enum { HOLDERS_TOLD = 16 };

static void put_holder(struct jsonw *w, const struct proctab *procs, const struct holder *h)
{
	const struct proc *p = proc_get(procs, h->proc);
	const struct cgroup *g = cgroup_get(procs, p->cgroup);

	if (!p->pid)
		return;
	json_open(w, NULL);
	json_u64(w, "pid", p->pid);
	json_strn(w, "name", p->comm, PROC_COMM_LEN);
	json_u64(w, "fd", h->fd);
	if (g && g->path[0])
		json_str(w, "cgroup", g->path);
	json_close(w);
}

uint32_t json_holders(struct json_face *f, struct jsonw *w, const struct conn *c)
{
	const struct proctab *procs = pipeline_procs(f->s->p);
	struct holder held[HOLDERS_TOLD];
	uint32_t n = holders_get(pipeline_holders(f->s->p), c->cookie, held, HOLDERS_TOLD);

	if (!n)
		return 0;
	json_array(w, "holders");
	for (uint32_t i = 0; i < n && i < HOLDERS_TOLD; i++)
		put_holder(w, procs, &held[i]);
	json_array_end(w);
	return n;
}
