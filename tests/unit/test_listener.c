/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose child it is: one listener, several of one process (SO_REUSEPORT as nginx has it),
 * several of several, and none.
 */
#include "pipeline_rig.h"
#include "process/proc.h"

enum { PORT = 8080 };

/* A listener of this process at 10.0.0.LAST, or at every address. */
static void listens(struct pipeline *p, uint64_t cookie, uint32_t pid, uint8_t last)
{
	struct event e = state(1, cookie, ST_CLOSED, ST_LISTEN);

	e.flags = EVF_TASK;
	e.task.pid = e.task.tid = pid;
	strcpy(e.task.comm, "server");
	set_v4(e.local, last);
	set_v4(e.peer, 0);
	if (!last)
		e.local[12] = 0;
	e.lport = PORT;
	e.pport = 0;
	feed(p, e);
}

/* A child of it, which nobody has touched. */
static const struct conn *arrives(struct pipeline *p, uint64_t cookie)
{
	struct event e = state(5, cookie, ST_LISTEN, ST_SYN_RECV);

	e.lport = PORT;
	e.pport = (uint16_t)(40000 + cookie);
	feed(p, e);
	e = state(6, cookie, ST_SYN_RECV, ST_ESTABLISHED);
	e.lport = PORT;
	e.pport = (uint16_t)(40000 + cookie);
	feed(p, e);
	return conntab_find(pipeline_conns(p), cookie);
}

static uint32_t owner(const struct pipeline *p, const struct conn *c)
{
	return proc_get(pipeline_procs(p), c->owner)->pid;
}

static const struct listener *listener(struct pipeline *p, uint64_t cookie)
{
	return pipeline_listener(p, conntab_find(pipeline_conns(p), cookie));
}

static void one_takes_all(void **st)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){0});

	listens(p, 1, 70, 0);
	listens(p, 2, 80, 9);
	assert_int_equal(owner(p, arrives(p, 10)), 70);
	assert_int_equal(listener(p, 1)->accepted, 1);
	assert_false(listener(p, 1)->shared || listener(p, 2)->shared);
	listens(p, 3, 90, 1); /* its own address goes before every address */
	assert_int_equal(owner(p, arrives(p, 11)), 90);
	assert_int_equal(listener(p, 3)->accepted, 1);
	assert_int_equal(listener(p, 1)->accepted, 1);
	pipeline_free(p);
}

static void several_of_one_process(void **st)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){0});
	const struct conn *c;

	listens(p, 1, 70, 1);
	listens(p, 2, 70, 1);
	listens(p, 3, 80, 9);
	listens(p, 4, 80, 0);
	c = arrives(p, 10);
	assert_int_equal(owner(p, c), 70);
	assert_int_equal(c->role, ROLE_SERVER);
	assert_int_equal(pipeline_listener_of(p, c).count, 2);
	assert_null(pipeline_listener_of(p, c).one);
	assert_true(listener(p, 1)->shared && listener(p, 2)->shared);
	assert_false(listener(p, 3)->shared || listener(p, 4)->shared);
	pipeline_free(p);
}

static void several_of_several(void **st)
{
	struct seen s;
	struct pipeline *p = make(&s, (struct pipeline_config){0});
	const struct conn *c;

	listens(p, 1, 70, 1);
	listens(p, 2, 80, 1);
	listens(p, 3, 70, 1);
	c = arrives(p, 10);
	assert_int_equal(c->role, ROLE_SERVER);
	assert_int_equal(owner(p, c), 0);
	assert_true(listener(p, 1)->shared && listener(p, 2)->shared && listener(p, 3)->shared);
	pipeline_free(p);
}

/* Found in mid-life: that somebody listens there makes it the server's end, however many do. */
static void found_in_mid_life(void **st)
{
	for (uint64_t listeners = 0; listeners <= 2; listeners++) {
		struct seen s;
		struct pipeline *p = make(&s, (struct pipeline_config){0});
		struct event e = state(9, 10, ST_ESTABLISHED, ST_CLOSE_WAIT);
		const struct conn *c;

		for (uint64_t i = 1; i <= listeners; i++)
			listens(p, i, 70, 1);
		e.lport = PORT;
		feed(p, e);
		c = conntab_find(pipeline_conns(p), 10);
		assert_int_equal(c->role == ROLE_SERVER, listeners > 0);
		assert_int_equal(owner(p, c), listeners ? 70 : 0);
		pipeline_free(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_takes_all),
		cmocka_unit_test(several_of_one_process),
		cmocka_unit_test(several_of_several),
		cmocka_unit_test(found_in_mid_life),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
