/*
 * link_local: each request is an op: made by the call, kept in a list until its answer was delivered or the link
 * closes. A work op first waits in the watch, unless there is news already.
 */
#include "daemon/link_local.h"

#include <errno.h>

#include "base/clock.h"
#include "daemon/farewell.h"

struct local {
	struct server_link link;
	struct server *server;
	char *address;
	struct uuid node; /* of the last registration */
	struct op *ops;
};

struct op {
	struct local *local;
	struct op *next, **prev;
	struct rest rest;
	struct waiter waiter;
	struct arena *arena;
	struct err err;
	struct node_hello *hello;
	struct node_work *work;
	bool is_work;
	uint64_t since;
	link_done_fn *done;
	void *arg;
};

static void op_free(struct op *op)
{
	server_rest_cancel(&op->rest);
	watch_remove(server_watch(op->local->server), &op->waiter);
	*op->prev = op->next;
	if (op->next)
		op->next->prev = op->prev;
	err_clear(&op->err);
	arena_free(op->arena);
	free(op);
}

static struct op *op_new(struct server_link *link, link_done_fn *done, void *arg)
{
	struct local *l = CONTAINER_OF(link, struct local, link);
	struct op *op = xcalloc(1, sizeof(*op));

	op->local = l;
	op->arena = arena_new();
	op->done = done;
	op->arg = arg;
	op->next = l->ops;
	op->prev = &l->ops;
	if (l->ops)
		l->ops->prev = &op->next;
	l->ops = op;
	return op;
}

static void on_rest(struct rest *r)
{
	struct op *op = CONTAINER_OF(r, struct op, rest);
	struct link_answer answer = {.err = op->err, .hello = op->hello, .work = op->work};
	struct arena *arena = STEAL(op->arena);
	struct err err = op->err;
	link_done_fn *done = op->done;
	void *arg = op->arg;

	/* The op goes first: the callback may close the link. */
	if (r->failure && !answer.err.code) {
		err_set(&err, -EAGAIN, "%s", r->failure);
		answer = (struct link_answer){.err = err};
	}
	op->err = ERR_INIT;
	op_free(op);
	done(arg, &answer);
	err_clear(&err);
	arena_free(arena);
}

static void finish(struct op *op)
{
	struct server *s = op->local->server;

	server_rest(s, &op->rest, core_state(server_core(s))->index, true, on_rest);
}

static void say_hello(struct op *op, const struct core_node_reply *reply)
{
	op->hello = MODEL_NEW(op->arena, node_hello);
	MODEL_SET(node_hello, op->hello, index, (int64_t)reply->index);
	MODEL_SET(node_hello, op->hello, heartbeat_ttl, reply->heartbeat_ttl);
	if (reply->report)
		MODEL_SET(node_hello, op->hello, report, (int64_t)reply->report);
	strs_push(op->arena, &op->hello->servers, op->local->address);
	MODEL_SET(node_hello, op->hello, cluster_id,
	    uuid_format(core_state(server_core(op->local->server))->cluster_id, arena_alloc(op->arena, UUID_STR)));
}

static void node_register(struct server_link *link, const struct node *node, link_done_fn *done, void *arg)
{
	struct op *op = op_new(link, done, arg);
	struct core_node_reply reply;

	if (uuid_parse(node->id ? node->id : "", &op->local->node) < 0)
		err_set(&op->err, -EINVAL, "node id \"%s\" is no UUID", node->id ? node->id : "");
	else if (core_node_register(server_core(op->local->server), node, server_now(op->local->server), &reply, &op->err) >= 0)
		say_hello(op, &reply);
	finish(op);
}

static void heartbeat(struct server_link *link, link_done_fn *done, void *arg)
{
	struct op *op = op_new(link, done, arg);
	struct core_node_reply reply;

	if (core_node_heartbeat(server_core(op->local->server), op->local->node, server_now(op->local->server), &reply, &op->err) >= 0)
		say_hello(op, &reply);
	finish(op);
}

static void give_work(struct op *op)
{
	cleanup_arena struct arena *a = arena_new();
	struct node_work *work = MODEL_NEW(a, node_work);

	/* A copy: what it is made of belongs to the state, which goes on changing while the answer waits for its commit. */
	core_node_work(server_core(op->local->server), a, op->local->node, op->since, work);
	op->work = model_copy(op->arena, &type_node_work, work);
	finish(op);
}

static void on_wake(struct waiter *w, bool expired)
{
	(void)expired;
	give_work(CONTAINER_OF(w, struct op, waiter));
}

static void work(struct server_link *link, uint64_t index, int64_t wait, link_done_fn *done, void *arg)
{
	struct op *op = op_new(link, done, arg);
	struct local *l = op->local;
	const struct node_entry *n = state_node(core_state(server_core(l->server)), l->node);

	op->since = index;
	if (!n) {
		err_set(&op->err, -ENOENT, "the server does not know this node");
		finish(op);
	} else if (!index || n->alloc_index > index) {
		give_work(op);
	} else {
		watch_add(server_watch(l->server), &op->waiter, watch_id(WATCH_NODE_WORK, l->node), wait, on_wake);
	}
}

static void update(struct server_link *link, const struct alloc_updates *u, link_done_fn *done, void *arg)
{
	struct op *op = op_new(link, done, arg);
	uint64_t index;

	if (core_allocs_update(server_core(op->local->server), op->local->node, u, server_now(op->local->server), &index, &op->err) >= 0)
		say_hello(op, &(struct core_node_reply){.index = index});
	finish(op);
}

static void farewell(struct server_link *link, const struct node_farewell *f, link_done_fn *done, void *arg)
{
	struct op *op = op_new(link, done, arg);

	op->hello = MODEL_NEW(op->arena, node_hello);
	if (farewell_take(server_core(op->local->server), op->local->node, f, op->arena, op->hello, &op->err) < 0)
		op->hello = NULL;
	finish(op);
}

static const char *server_address(struct server_link *link)
{
	return CONTAINER_OF(link, struct local, link)->address;
}

static void close_link(struct server_link *link)
{
	struct local *l = CONTAINER_OF(link, struct local, link);

	while (l->ops)
		op_free(l->ops);
	free(l->address);
	free(l);
}

static const struct server_link_ops ops = {
    .node_register = node_register,
    .heartbeat = heartbeat,
    .work = work,
    .update = update,
    .farewell = farewell,
    .server = server_address,
    .close = close_link,
};

struct server_link *link_local_new(struct server *s, const char *address)
{
	struct local *l = xcalloc(1, sizeof(*l));

	l->link.ops = &ops;
	l->server = s;
	l->address = xstrdup(address);
	return &l->link;
}
