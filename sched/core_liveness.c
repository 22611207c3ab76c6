/* Who is alive: heartbeats, silence, leaving. */
#include <errno.h>

#include "sched/absence.h"
#include "sched/core_internal.h"

static int find_node(const struct core *c, struct uuid id, struct node_entry **n, struct err *e)
{
	*n = state_node(c->state, id);
	return *n ? 0 : err_set(e, -ENOENT, "node not found");
}

void core_node_heard(struct core *c, struct node_entry *n, int64_t now, uint64_t index, struct core_node_reply *out)
{
	int64_t ttl = nodes_ttl(&c->config, c->state->n_nodes, n->id, now);
	nodes_heard(&c->nodes, n, now, ttl, c->config.heartbeat_grace);
	*out = (struct core_node_reply){.heartbeat_ttl = ttl, .index = index, .report = core_node_report(n)};
}

int core_node_heartbeat(struct core *c, struct uuid id, int64_t now, struct core_node_reply *out, struct err *e)
{
	struct node_entry *n;
	int r = find_node(c, id, &n, e);
	if (r)
		return r;
	uint64_t index = c->state->index, written = 0;
	if (n->status == NODE_DOWN || n->status == NODE_DISCONNECTED) {
		cleanup_arena struct arena *a = arena_new();
		core_begin(c, now);
		core_put_return(c, a, n, "Node reregistered by heartbeat", now);
		r = core_append(c, &index, e);
		if (r)
			return r;
		written = index;
	}
	core_node_heard(c, n, now, index, out);
	out->written = written;
	return 0;
}

void core_node_doubt(struct core *c, struct uuid id, int64_t now)
{
	struct node_entry *n = state_node(c->state, id);
	if (n && n->status != NODE_DOWN && n->status != NODE_DISCONNECTED)
		nodes_doubt(&c->nodes, n, now, nodes_ttl(&c->config, c->state->n_nodes, id, now), c->config.heartbeat_grace);
}

void core_node_missed(struct core *c, struct node_entry *n, int64_t now)
{
	cleanup_arena struct arena *a = arena_new();
	core_begin(c, now);
	entry_node_status(&c->entry, n->id, absence_status(n),
	    n->doubted ? "Node heartbeat missed, and Consul does not see its machine" : "Node heartbeat missed");
	core_put_node_evals(c, a, n, 0, now, NULL);
	/* A journal that has no room now is asked again; until then the node only counts as late. */
	if (core_append(c, NULL, NULL))
		nodes_expect(&c->nodes, n, now + 5 * SECOND);
}

int core_node_leave(struct core *c, struct uuid id, int64_t now, uint64_t *index, struct err *e)
{
	struct node_entry *n;
	int r = find_node(c, id, &n, e);
	*index = c->state->index;
	if (r || n->status == NODE_DOWN)
		return r;
	cleanup_arena struct arena *a = arena_new();
	core_begin(c, now);
	entry_node_status(&c->entry, id, NODE_DOWN, "Node left");
	core_put_node_evals(c, a, n, 0, now, NULL);
	return core_append(c, index, e);
}
