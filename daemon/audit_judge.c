/* audit_judge: what should stand, held against what does. */
#include "daemon/audit_internal.h"

#include "agent/alloc_services.h"
#include "base/codec.h"
#include "base/clock.h"
#include "daemon/members.h"
#include "discovery/services_compare.h"

#define MOTION          (5 * SECOND) /* what changed so shortly before is not judged */
#define MAX_DIFFERENCES 1000

/* ---- the report ---- */

static struct audit_difference *add(struct audit *au, const char *kind, const char *id, const char *name)
{
	struct audit_report *r = au->report;
	struct audit_difference *d = MODEL_NEW(au->arena, audit_difference);

	MODEL_SET(audit_difference, d, kind, kind);
	MODEL_SET(audit_difference, d, service_id, arena_strdup(au->arena, id));
	MODEL_SET(audit_difference, d, service, arena_strdup(au->arena, str_or(name, "")));
	if (r->differences.n < MAX_DIFFERENCES)
		objs_push(au->arena, &r->differences, d);
	else
		MODEL_SET(audit_report, r, omitted, r->omitted + 1);
	return d;
}

static void place(struct audit *au, struct audit_difference *d, const char *alloc, const char *node, const char *consul_node,
    const char *reason)
{
	MODEL_SET(audit_difference, d, alloc_id, arena_strdup(au->arena, str_or(alloc, "")));
	MODEL_SET(audit_difference, d, node_name, arena_strdup(au->arena, str_or(node, "")));
	MODEL_SET(audit_difference, d, consul_node, arena_strdup(au->arena, str_or(consul_node, "")));
	MODEL_SET(audit_difference, d, reason, arena_strdup(au->arena, reason));
}

/* Once for each node and reason. */
static void note(struct audit *au, const char *node, const char *reason)
{
	const char *key = arena_printf(au->arena, "%s\n%s", node, reason);
	struct audit_note *n;

	if (map_get(&au->noted, key))
		return;
	map_set(&au->noted, key, au);
	n = MODEL_NEW(au->arena, audit_note);
	MODEL_SET(audit_note, n, node_name, arena_strdup(au->arena, node));
	MODEL_SET(audit_note, n, reason, arena_strdup(au->arena, reason));
	objs_push(au->arena, &au->report->not_judged, n);
}

/* ---- nodes ---- */

static const char *node_name(const struct node_entry *n)
{
	return n && n->spec->name ? n->spec->name : "";
}

static const char *consul_name(const struct node_entry *n)
{
	return strmap_get(&n->spec->attributes, "unique.consul.name");
}

/* Where entries of the node stand. NULL: it cannot be judged, which is noted. */
static struct side *side_of(struct audit *au, const struct node_entry *n)
{
	const char *name = consul_name(n);
	struct side *s = str_empty(name) ? NULL : map_get(&au->by_name, name);

	if (str_empty(name))
		note(au, node_name(n), "its client has no Consul, or has not heard from it yet");
	else if (!s)
		note(au, node_name(n), arena_printf(au->arena, "Consul does not know its node %s: its Consul agent is gone", name));
	else if (s->error)
		note(au, node_name(n), arena_printf(au->arena, "Consul's node %s cannot be read: %s", name, s->error));
	return s && !s->error ? s : NULL;
}

/* "10.0.0.1" of "10.0.0.1:4646", "::1" of "[::1]:4646". */
static const char *host_of(struct arena *a, const char *address)
{
	const char *colon = strrchr(str_or(address, ""), ':');
	size_t n = colon ? (size_t)(colon - address) : strlen(str_or(address, ""));

	if (n > 1 && *address == '[')
		return arena_strndup(a, address + 1, n - 2);
	return arena_strndup(a, str_or(address, ""), n);
}

static int64_t port_of(const char *address)
{
	const char *colon = strrchr(str_or(address, ""), ':');

	return colon ? atoi(colon + 1) : 0;
}

/* ---- one entry ---- */

/* Of what stands there, without the marks that only the client knows. */
static struct consul_service *unmarked(struct arena *a, const struct consul_service *s)
{
	static const char *const marks[] = {SERVICES_SOURCE, SERVICES_OWNER, SERVICES_CLUSTER, SERVICES_AGENT, SERVICES_ADDRESS, SERVICES_FOLDER};
	struct consul_service *copy = arena_copy(a, s, sizeof(*s));

	copy->meta = (struct strmap){0};
	for (uint32_t i = 0; i < s->meta.n; i++) {
		bool mark = false;

		for (size_t k = 0; k < ARRAY_LEN(marks); k++)
			mark |= str_eq(marks[k], s->meta.v[i].key);
		if (!mark)
			strmap_set(a, &copy->meta, s->meta.v[i].key, s->meta.v[i].value);
	}
	return copy;
}

static bool is_open(const struct wanted_service *w)
{
	cleanup_buf struct buf b = BUF_INIT;

	codec_put(&b, &type_consul_service_registration, w->reg);
	return memmem(b.data, b.len, "${", 2) != NULL;
}

static struct present *find(struct audit *au, const char *alloc, const struct side *side, const char *id)
{
	for (struct present *p = map_get(&au->by_alloc, alloc); p; p = p->other)
		if (p->side == side && services_text_equal(id, p->service->id))
			return p;
	return NULL;
}

static void compare(struct audit *au, const struct wanted_service *w, const struct present *p, const char *alloc, const char *node)
{
	cleanup_arena struct arena *a = arena_new();
	const struct consul_service *have = unmarked(a, p->service);
	const char *field = services_difference(w->reg, have), *want_text = "", *have_text = "", *check = NULL;
	struct audit_difference *d;

	/* Ids of checks follow from what they are: with a variable in it, nobody but the client knows them. */
	if (!field && !is_open(w))
		check = services_check_difference(w->reg, &p->side->checks);
	if (!field && !check)
		return;
	d = add(au, "differs", p->service->id, p->service->service);
	place(au, d, alloc, node, p->side->name, "");
	MODEL_SET(audit_difference, d, field, check ? arena_printf(au->arena, "check %s", check) : field);
	if (field)
		services_show(field, w->reg, have, au->arena, &want_text, &have_text);
	MODEL_SET(audit_difference, d, want, want_text);
	MODEL_SET(audit_difference, d, have, have_text);
}

/* ---- allocations ---- */

static void pardon(struct audit *au, const char *alloc)
{
	for (struct present *p = map_get(&au->by_alloc, alloc); p; p = p->other)
		p->judged = true;
}

static enum task_stand stand_of(void *arg, const char *task)
{
	const struct alloc *al = arg;
	const struct task_state *s = al->extra ? objmap_get(&al->extra->task_states, task) : NULL;

	if (s && str_eq(s->state, "running"))
		return TASK_IS_UP;
	return s && str_eq(s->state, "dead") && !s->failed ? TASK_IS_DONE : TASK_IS_DOWN;
}

static bool has_services(const struct task_group *g)
{
	if (g->services.n)
		return true;
	OBJS_EACH(&g->tasks, struct task, t)
		if (t->services.n)
			return true;
	return false;
}

static void judge_running(struct audit *au, const struct alloc *al, const char *id, struct side *side)
{
	cleanup_arena struct arena *a = arena_new();
	const struct services_source src = {
	    .alloc = alloc_view(a, al, false),
	    .job = al->version->spec,
	    .group = alloc_group(al),
	    .node = al->node->spec,
	    .region = au->d->config->region,
	    .bind_ip = host_of(a, al->node->spec->http_addr),
	};
	struct objs list = {0};

	alloc_services(&src, a, &list);
	OBJS_EACH(&list, struct wanted_service, w)
	{
		struct present *p;

		if (!w->reg || !alloc_services_stand(src.group, w, stand_of, (void *)al))
			continue;
		MODEL_SET(audit_report, au->report, judged, au->report->judged + 1);
		p = find(au, id, side, w->id);
		if (p) {
			p->judged = true;
			compare(au, w, p, id, node_name(al->node));
		} else {
			place(au, add(au, "missing", w->id, w->name), id, node_name(al->node), side->name, "its task runs");
		}
	}
}

void audit_judge_alloc(struct audit *au, const struct alloc *al)
{
	const struct node_entry *n = al->node;
	bool live = alloc_is_live(al), runs = al->desired == DESIRED_RUN && al->observed == OBSERVED_RUNNING;
	struct side *side;
	char id[UUID_STR];

	uuid_format(al->id, id);
	if (!has_services(alloc_group(al)))
		return; /* whatever stands there of it is stray */
	if (al->modify_time > au->started - MOTION || (live && !runs)) {
		if (live || map_get(&au->by_alloc, id))
			MODEL_SET(audit_report, au->report, moving, au->report->moving + 1);
		pardon(au, id);
	} else if (n && n->status != NODE_READY) {
		if (live || map_get(&au->by_alloc, id))
			note(au, node_name(n), "it is down: what stands in Consul of its allocations stays until it is back, or until its Consul agent is gone");
		pardon(au, id);
	} else if (runs && n) {
		side = side_of(au, n);
		if (side)
			judge_running(au, al, id, side);
		else
			pardon(au, id);
	}
}

/* ---- agents ---- */

bool audit_is_client(const struct present *p)
{
	return str_starts(str_or(p->service->id, ""), "_drover-client-");
}

/* The entry of the client: by its name, and of several the one with its address. */
static struct present *find_client(struct audit *au, const struct node_entry *n, const struct side *side, const char *host)
{
	const char *service = strmap_get(&n->spec->attributes, "drover.service");
	struct present *found = NULL;

	for (struct present *p = map_get(&au->clients, node_name(n)); p; p = p->other)
		if (p->side == side && !p->judged && str_eq(p->service->service, service) &&
		    (!found || str_eq(p->service->address, host)))
			found = p;
	return found;
}

static bool is_settled(const struct audit *au, const struct node_entry *n)
{
	return n->status == NODE_READY && n->status_since <= au->started - MOTION;
}

static bool judge_client(void *arg, struct node_entry *n)
{
	struct audit *au = arg;
	const char *service = strmap_get(&n->spec->attributes, "drover.service"), *host = host_of(au->arena, n->spec->http_addr);
	struct side *side = is_settled(au, n) && service ? side_of(au, n) : NULL;
	struct present *found = side ? find_client(au, n, side, host) : NULL;
	struct audit_difference *d;

	if (!side)
		return true;
	MODEL_SET(audit_report, au->report, judged, au->report->judged + 1);
	if (!found) {
		place(au, add(au, "missing", "_drover-client-*", service), "", node_name(n), side->name, "the client runs");
		return true;
	}
	found->judged = true;
	if (str_eq(found->service->address, host) && found->service->port == port_of(n->spec->http_addr))
		return true;
	d = add(au, "differs", found->service->id, service);
	place(au, d, "", node_name(n), side->name, "");
	MODEL_SET(audit_difference, d, field, "address");
	MODEL_SET(audit_difference, d, want, arena_strdup(au->arena, n->spec->http_addr));
	MODEL_SET(audit_difference, d, have,
	    arena_printf(au->arena, "%s:%lld", str_or(found->service->address, ""), (long long)found->service->port));
	return true;
}

/* What is left of one that is down, or new, is nobody's fault. */
static bool pardon_client(void *arg, struct node_entry *n)
{
	struct audit *au = arg;

	for (struct present *p = map_get(&au->clients, node_name(n)); p && !is_settled(au, n); p = p->other)
		p->judged = true;
	return true;
}

static struct present *find_own(struct audit *au, const char *id)
{
	for (struct present *p = au->all; p; p = p->next)
		if (str_eq(p->service->id, id))
			return p;
	return NULL;
}

/* The servers are known by their entries: one whose check fails is named, and this one's own must be there. */
static void judge_servers(struct audit *au)
{
	const struct config *c = au->d->config;
	struct member *list;
	uint32_t n;

	members_list(au->d->members, au->arena, &list, &n);
	for (uint32_t i = 0; i < n; i++) {
		const char *id = list[i].self ? members_server_service(au->d, au->arena) : list[i].service_id;
		struct present *p = find_own(au, id);

		if (p)
			p->judged = true;
		if (list[i].self && !p && (c->consul.auto_advertise || str_eq(c->server.journal, "consul")))
			place(au, add(au, "missing", id, c->consul.server_service_name), "", c->name, "", "the server runs");
		if (!list[i].self && !str_eq(list[i].status, "alive"))
			note(au, list[i].name, "a server that does not answer; `drover server force-leave` forgets it");
		MODEL_SET(audit_report, au->report, judged, au->report->judged + 1);
	}
}

/* ---- strays ---- */

static const char *why_stray(struct audit *au, const struct present *p, const struct alloc *al)
{
	if (!strmap_get(&p->service->meta, SERVICES_ALLOC))
		return audit_is_client(p) ? "no such client is registered" : "no agent of this cluster wants it";
	if (!al)
		return "its allocation does not exist";
	if (!alloc_is_live(al))
		return arena_printf(au->arena, "its allocation is %s", observed_names[al->observed]);
	if (al->node && !str_eq(consul_name(al->node), p->side->name))
		return "its allocation runs elsewhere";
	return "its task does not run, or has no such service";
}

static void judge_stray(struct audit *au, struct present *p)
{
	const char *cluster = strmap_get(&p->service->meta, SERVICES_CLUSTER), *alloc = strmap_get(&p->service->meta, SERVICES_ALLOC);
	const struct alloc *al = NULL;
	char ours[UUID_STR];
	struct uuid id;

	if (alloc && uuid_parse(alloc, &id) == 0)
		al = state_alloc(audit_state(au), id);
	if (!al && (str_empty(cluster) || !str_eq(cluster, uuid_format(audit_state(au)->cluster_id, ours))))
		return; /* another cluster's */
	if (str_starts(str_or(p->service->id, ""), "_drover-server-"))
		return; /* judged as a member, or of another log */
	place(au, add(au, "stray", p->service->id, p->service->service), alloc, al ? node_name(al->node) : "", p->side->name,
	    why_stray(au, p, al));
}

void audit_judge_rest(struct audit *au)
{
	judge_servers(au);
	state_each_node(audit_state(au), judge_client, au);
	state_each_node(audit_state(au), pardon_client, au);
	for (struct present *p = au->all; p; p = p->next)
		if (!p->judged)
			judge_stray(au, p);
	for (uint32_t i = 0; i < au->n_sides; i++)
		if (au->sides[i].error)
			note(au, "", arena_printf(au->arena, "Consul's node %s cannot be read: %s", au->sides[i].name, au->sides[i].error));
}
