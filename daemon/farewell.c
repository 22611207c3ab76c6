#include "daemon/farewell.h"

#include <errno.h>

#include "base/clock.h"

/* Somebody has taken it out of service: it stays so when its agent is back. */
static bool is_out_of_service(struct core *core, struct uuid node)
{
	const struct node_entry *n = state_node(core_state(core), node);
	const struct drain_metadata *m = n ? n->spec->last_drain : NULL;

	return n && !n->eligible && !(m && str_eq(strmap_get(&m->meta, CORE_DRAIN_UNTIL), CORE_DRAIN_RESTART));
}

static int set_drain(struct core *core, struct uuid node, const struct drain_spec *spec, struct arena *a, struct err *e)
{
	struct strmap meta = {0};
	const struct core_drain_request req = {.spec = spec, .meta = &meta};
	struct strs evals = {0};
	uint64_t index;

	strmap_set(a, &meta, "message", "the agent stops");
	strmap_set(a, &meta, "set_by", "the node itself");
	if (!is_out_of_service(core, node))
		strmap_set(a, &meta, CORE_DRAIN_UNTIL, CORE_DRAIN_RESTART);
	return core_node_drain(core, node, &req, clock_now(), &evals, a, &index, e);
}

int farewell_take(struct core *core, struct uuid node, const struct node_farewell *f, struct arena *a,
    struct node_hello *hello, struct err *e)
{
	const struct drain_answer *d;
	uint64_t index;
	int rc = 0;

	if (f->drain_spec)
		rc = set_drain(core, node, f->drain_spec, a, e);
	if (rc >= 0 && f->leave)
		rc = core_node_leave(core, node, clock_now(), &index, e);
	if (rc < 0)
		return rc;
	d = core_drain(core, node, clock_now(), a);
	if (!d)
		return err_set(e, -ENOENT, "node not found");
	MODEL_SET(node_hello, hello, index, (int64_t)core_state(core)->index);
	MODEL_SET(node_hello, hello, drain_status, d->status ? d->status : "");
	MODEL_SET(node_hello, hello, drain_remaining, d->remaining);
	return 0;
}
