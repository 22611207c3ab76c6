/* api_capacity: how much there is, what would fit, and what is missing. */
#include "daemon/api.h"
#include "sched/admit.h"
#include "sched/capacity.h"

static void read_capacity(struct call *c)
{
	const char *name = call_query(c, "job");
	const struct state *s = call_state(c);
	struct job_entry *j = str_empty(name) ? NULL : state_job(s, call_namespace(c), name);
	struct admit_limits limits;
	struct capacity *now;

	if (!str_empty(name) && !j) {
		call_error(c, 404, "job not found");
		return;
	}
	now = capacity_now(s, call_arena(c));
	api_limits(c, &limits);
	if (j)
		now->job = capacity_of_job(s, j, limits.max_count, call_now(c), call_arena(c));
	call_set_index(c, s->index);
	api_answer(c, &type_capacity, now);
}

const struct route routes_capacity[] = {
    {ROUTE_GET | ROUTE_SERVER, "/v1/nodes/capacity", read_capacity, NULL, NULL,
        "how much there is, what is missing for pending work, and how many more of job= would fit"},
    {0, NULL, NULL, NULL, NULL, NULL},
};
