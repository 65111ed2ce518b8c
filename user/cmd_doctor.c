/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tcptrail doctor`: what this kernel has, what is missing and the remedy, and
 * what the tracer costs here. Everything that can be said without privileges is
 * said without them; the exit status is 2 when the tracer could not run.
 *
 * Not a session: it opens the source itself, traces itself and is gone.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor.h"
#include "options.h"
#include "output/views.h"

int cmd_doctor(const struct options *o)
{
	struct doctor *d = calloc(1, sizeof(*d));
	int status;

	if (!d) {
		fprintf(stderr, "tcptrail: doctor: %s\n", strerror(ENOMEM));
		return 2;
	}
	doctor_facts(d, o);
	doctor_measure(d, o);
	if (!d->opened)
		doctor_plan(d, o);
	if (o->format == OUT_JSON)
		doctor_show_json(d, o);
	else
		doctor_show_text(d, o);
	status = d->opened && !d->measure_error ? 0 : 2;
	free(d);
	return status;
}
