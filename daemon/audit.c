/*
 * audit: may we look? -> the nodes of Consul -> services and checks of each, some at a time -> every allocation, in slices
 * -> the rest -> the report.
 */
#include "daemon/audit_internal.h"

#include <errno.h>

#include <event2/event.h>

#include "base/clock.h"

#define SLICE    (4 * MILLI)
#define AT_ONCE  8 /* nodes that are read at a time */
#define FILTER   "Meta[\"external-source\"] == \"drover\""

static void pump(struct audit *au);

const struct state *audit_state(const struct audit *au)
{
	return core_state(server_core(au->d->server));
}

/* ---- the end ---- */

static void audit_free(struct audit *au)
{
	consul_cancel(au->call);
	for (uint32_t i = 0; i < au->n_sides; i++)
		consul_cancel(au->sides[i].call);
	for (uint32_t i = 0; i < au->answers.n; i++)
		arena_free(au->answers.v[i]);
	event_free(au->timer);
	map_free(&au->by_name);
	map_free(&au->by_alloc);
	map_free(&au->clients);
	map_free(&au->noted);
	free(au->allocs);
	arena_free(au->arena);
	free(au);
}

static void finish(struct audit *au, const struct err *e)
{
	static const struct err none;

	au->done(au->arg, e ? NULL : au->report, e ? e : &none);
	audit_free(au);
}

static void fail(struct audit *au, int code, const char *sentence)
{
	cleanup_err struct err e = ERR_INIT;

	err_set(&e, code, "%s", sentence);
	finish(au, &e);
}

/* ---- the allocations ---- */

static bool take_alloc(void *arg, struct alloc *al)
{
	struct audit *au = arg;

	au->allocs[au->n_allocs++] = al->id;
	return true;
}

static void judge_some(struct audit *au)
{
	int64_t until = clock_monotonic() + SLICE;

	while (au->next_alloc < au->n_allocs) {
		const struct alloc *al = state_alloc(audit_state(au), au->allocs[au->next_alloc++]);

		if (al)
			audit_judge_alloc(au, al);
		if (clock_monotonic() < until)
			continue;
		evtimer_add(au->timer, &(struct timeval){0});
		return;
	}
	audit_judge_rest(au);
	finish(au, NULL);
}

static void on_timer(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct audit *au = arg;
	uint32_t n = state_count_allocs(audit_state(au));

	if (!server_leads(au->d->server) && !server_is_read(au->d->server)) {
		fail(au, -EAGAIN, "the server has lost its state to read from; ask again");
		return;
	}
	if (!au->allocs) {
		au->allocs = xcalloc(n + 1, sizeof(*au->allocs));
		state_each_alloc(audit_state(au), take_alloc, au);
	}
	judge_some(au);
}

/* ---- the catalog ---- */

/* The answer's memory becomes the audit's. */
static void keep(struct audit *au, const struct consul_answer *answer)
{
	objs_push(au->arena, &au->answers, consul_keep(answer));
}

static void take_service(struct audit *au, struct side *side, const struct consul_service *s)
{
	struct present *p = arena_alloc(au->arena, sizeof(*p));
	const char *alloc = strmap_get(&s->meta, SERVICES_ALLOC);

	if (!str_eq(strmap_get(&s->meta, SERVICES_SOURCE), "drover"))
		return;
	p->service = s;
	p->side = side;
	p->next = au->all;
	au->all = p;
	if (alloc)
		p->other = map_set(&au->by_alloc, alloc, p);
	else if (audit_is_client(p))
		p->other = map_set(&au->clients, str_or(strmap_get(&s->meta, SERVICES_AGENT), ""), p);
}

static void side_done(struct side *s, const struct err *e)
{
	struct audit *au = s->owner;

	if (e && e->code)
		s->error = arena_strdup(au->arena, err_str(e));
	au->busy--;
	pump(au);
}

static void on_checks(void *arg, const struct consul_answer *answer)
{
	struct side *s = arg;
	const struct consul_checks *checks = answer->object;

	s->call = NULL;
	if (!answer->err.code && checks) {
		OBJS_EACH(&checks->items, struct consul_check, c)
			objmap_set(s->owner->arena, &s->checks.items, c->check_id, c);
		keep(s->owner, answer);
	}
	side_done(s, &answer->err);
}

static void on_node(void *arg, const struct consul_answer *answer)
{
	struct side *s = arg;
	struct audit *au = s->owner;
	const struct consul_node_services *node = answer->object;

	s->call = NULL;
	if (answer->err.code || !node || !node->services.n) {
		side_done(s, &answer->err);
		return;
	}
	for (uint32_t i = 0; i < node->services.n; i++)
		take_service(au, s, node->services.v[i].value);
	keep(au, answer);
	s->call = consul_call(au->d->consul, &consul_health_node, &(struct consul_args){.name = s->name}, on_checks, s);
}

static void pump(struct audit *au)
{
	static const char *const query[] = {"filter", FILTER, NULL};

	while (au->busy < AT_ONCE && au->next_side < au->n_sides) {
		struct side *s = &au->sides[au->next_side++];

		au->busy++;
		s->call = consul_call(
		    au->d->consul, &consul_catalog_node, &(struct consul_args){.name = s->name, .query = query}, on_node, s);
	}
	if (!au->busy && au->next_side == au->n_sides)
		evtimer_add(au->timer, &(struct timeval){0});
}

static void on_nodes(void *arg, const struct consul_answer *answer)
{
	struct audit *au = arg;
	const struct consul_nodes *nodes = answer->object;

	au->call = NULL;
	if (answer->err.code || !nodes) {
		finish(au, &answer->err);
		return;
	}
	au->sides = arena_alloc(au->arena, (nodes->items.n + 1) * sizeof(*au->sides));
	OBJS_EACH(&nodes->items, struct consul_node, n)
	{
		struct side *s = &au->sides[au->n_sides++];

		s->owner = au;
		s->name = n->node;
		map_set(&au->by_name, s->name, s);
	}
	keep(au, answer);
	pump(au);
}

/* ---- whether what we see is all there is ---- */

static void on_rights(void *arg, const struct consul_answer *answer)
{
	struct audit *au = arg;
	const struct consul_acl_questions *said = answer->object;
	bool off = answer->err.code == -EACCES && strstr(err_str(&answer->err), "ACL support disabled");

	au->call = NULL;
	if (answer->err.code && !off) {
		finish(au, &answer->err);
		return;
	}
	for (uint32_t i = 0; said && i < said->items.n; i++) {
		if (((const struct consul_acl_question *)said->items.v[i])->allow)
			continue;
		fail(au, -EACCES, "the Consul token of this server may not read all nodes and services, so that what it does not see may "
		                  "be there all the same; `drover consul preflight` prints the rights that it needs");
		return;
	}
	au->call = consul_call(au->d->consul, &consul_catalog_nodes, &(struct consul_args){0}, on_nodes, au);
}

static void ask_rights(struct audit *au)
{
	static const char *const resources[] = {"node", "service"};
	struct consul_acl_questions *q = MODEL_NEW(au->arena, consul_acl_questions);

	for (size_t i = 0; i < ARRAY_LEN(resources); i++) {
		struct consul_acl_question *one = MODEL_NEW(au->arena, consul_acl_question);

		MODEL_SET(consul_acl_question, one, resource, resources[i]);
		MODEL_SET(consul_acl_question, one, segment, "drover-audit");
		MODEL_SET(consul_acl_question, one, access, "read");
		objs_push(au->arena, &q->items, one);
	}
	au->call = consul_call(au->d->consul, &consul_acl_authorize, &(struct consul_args){.object = q}, on_rights, au);
}

/* ---- life ---- */

static void on_refused(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	fail(arg, -ENOTSUP, "the server has no Consul: its configuration has no consul {} block");
}

struct audit *audit_start(const struct daemon *d, audit_done_fn *done, void *arg)
{
	struct audit *au = xcalloc(1, sizeof(*au));

	au->d = d;
	au->arena = arena_new();
	au->done = done;
	au->arg = arg;
	au->started = clock_now();
	au->report = MODEL_NEW(au->arena, audit_report);
	au->timer = evtimer_new(d->base, d->server && d->consul ? on_timer : on_refused, au);
	if (d->server && d->consul)
		ask_rights(au);
	else
		evtimer_add(au->timer, &(struct timeval){0});
	return au;
}

void audit_cancel(struct audit *au)
{
	if (au)
		audit_free(au);
}
