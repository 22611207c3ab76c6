#include "agent/alloc_services.h"

#include <errno.h>

#include "agent/task_env.h"
#include "discovery/services.h"

/* ---- variables ---- */

/* The words that names of services have always known, besides the variables of the task. */
static void add_words(struct services_scope *s)
{
	const struct services_source *src = s->src;
	const char *job = str_empty(src->job->name) ? src->job->id : src->job->name;
	const char *task = s->task ? s->task : "group";
	const struct {
		const char *key, *value;
	} words[] = {
		{ "JOB", job },
		{ "TASKGROUP", src->group->name },
		{ "TASK", task },
		{ "BASE", arena_printf(s->arena, "%s-%s-%s", job, src->group->name, task) },
	};

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (!strmap_get(&s->env, words[i].key))
			strmap_set(s->arena, &s->env, words[i].key, words[i].value);
}

/* The agent's own environment has no part in it: what stands in Consul follows from the job and the node alone. */
static struct services_scope scope_of(const struct services_source *src, const struct task *task, struct arena *a)
{
	struct services_scope s = { .src = src, .task = task ? task->name : NULL, .arena = a };
	const char *dir = src->alloc_dir && task ? arena_printf(a, "%s/%s/%s", src->alloc_dir, src->alloc->id, task->name) : NULL;
	const struct task_env_source env = {
		.alloc = src->alloc,
		.job = src->job,
		.group = src->group,
		.task = task,
		.node = src->node,
		.region = src->region,
		.alloc_dir = src->alloc_dir ? arena_printf(a, "%s/%s/alloc", src->alloc_dir, src->alloc->id) : NULL,
		.task_dir = dir ? arena_printf(a, "%s/local", dir) : NULL,
		.secrets_dir = dir ? arena_printf(a, "%s/secrets", dir) : NULL,
		.bind_ip = src->bind_ip,
	};

	task_env_build(&env, a, &s.env);
	add_words(&s);
	return s;
}

const char *services_fill(const struct services_scope *s, const char *text)
{
	return str_or(task_env_expand(&s->env, s->src->node, text, s->arena), "");
}

static void fill_list(const struct services_scope *s, const struct strs *from, struct strs *out)
{
	for (uint32_t i = 0; i < from->n; i++)
		strs_push(s->arena, out, services_fill(s, from->v[i]));
}

static void fill_map(const struct services_scope *s, const struct strmap *from, struct strmap *out)
{
	for (uint32_t i = 0; i < from->n; i++)
		strmap_set(s->arena, out, services_fill(s, from->v[i].key), services_fill(s, from->v[i].value));
}

/* ---- addresses ---- */

struct place {
	const char *ip;
	int64_t value, to;
};

/* An address that the allocation was given before the node got another one is of no use any more: the node's first one is where
 * ports are now. */
static const char *address_now(const struct services_source *src, const char *ip)
{
	const struct node_resources *r = src->node ? src->node->node_resources : NULL;

	if (str_empty(ip))
		return str_or(src->bind_ip, "");
	if (!r || !r->networks.n)
		return ip;
	OBJS_EACH(&r->networks, struct network, n) {
		if (str_eq(n->ip, ip))
			return ip;
	}
	return ((const struct network *)r->networks.v[0])->ip;
}

static bool find_in_network(const struct services_source *src, const struct network *n, const char *label, struct place *out)
{
	const struct objs *lists[] = { &n->reserved_ports, &n->dynamic_ports };

	for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
		OBJS_EACH(lists[l], struct port, p) {
			if (str_eq(p->label, label)) {
				*out = (struct place){ address_now(src, n->ip), p->value, p->to };
				return true;
			}
		}
	}
	return false;
}

/* The group's ports first, then those of the service's own task, then of any. */
static bool find_label(const struct services_scope *s, const char *label, struct place *out)
{
	const struct services_source *src = s->src;
	const struct allocated_resources *r = src->alloc->allocated_resources;

	if (!r)
		return false;
	if (r->shared) {
		OBJS_EACH(&r->shared->ports, struct alloc_port, p) {
			if (str_eq(p->label, label)) {
				*out = (struct place){ address_now(src, p->host_ip), p->value, p->to };
				return true;
			}
		}
		OBJS_EACH(&r->shared->networks, struct network, n) {
			if (find_in_network(src, n, label, out))
				return true;
		}
	}
	for (int any = 0; any < 2; any++) {
		for (uint32_t i = 0; i < r->tasks.n; i++) {
			const struct alloc_task_resources *t = r->tasks.v[i].value;

			if (!any && !str_eq(r->tasks.v[i].key, s->task))
				continue;
			OBJS_EACH(&t->networks, struct network, n) {
				if (find_in_network(src, n, label, out))
					return true;
			}
		}
	}
	return false;
}

/* Of an allocation that has a network at all. */
static const char *own_address(const struct services_scope *s)
{
	const struct allocated_resources *r = s->src->alloc->allocated_resources;
	const struct alloc_task_resources *t = r && s->task ? objmap_get(&r->tasks, s->task) : NULL;

	if (r && r->shared && r->shared->networks.n)
		return address_now(s->src, ((const struct network *)r->shared->networks.v[0])->ip);
	if (t && t->networks.n)
		return address_now(s->src, ((const struct network *)t->networks.v[0])->ip);
	return "";
}

static bool port_number(const char *text, int64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoll(text, &end, 10);
	return end != text && !*end && !errno && *out > 0 && *out < 65536;
}

int services_place(const struct services_scope *s, const char *mode, const char *label, const char **ip, int64_t *port,
    struct err *e)
{
	const struct network_status *net = s->src->alloc->network_status;
	bool inside = str_eq(mode, "alloc");
	struct place p = { .ip = own_address(s) };

	if (str_eq(mode, "driver"))
		return err_set(e, -ENOTSUP, "address_mode = \"driver\" needs a driver that gives the task a network of its own, and "
		    "this client has none; use \"host\"");
	if (inside && (!net || str_empty(net->address)))
		return err_set(e, -ENOTSUP, "address_mode = \"alloc\" needs a network of the allocation's own, and this one shares its "
		    "host's; use \"host\"");
	if (!str_empty(label) && !find_label(s, label, &p)) {
		if (!port_number(label, &p.value))
			return err_set(e, -ENOENT, "port label \"%s\" is none of this allocation's", label);
		p.ip = str_empty(p.ip) ? str_or(s->src->bind_ip, "") : p.ip;
	}
	*ip = inside ? net->address : p.ip;
	*port = inside && p.to > 0 ? p.to : p.value;
	return 0;
}

/* "10.0.0.1:80", "[::1]:80" or an address alone. */
static struct consul_address *tagged_address(const struct services_scope *s, const char *text)
{
	struct consul_address *out = MODEL_NEW(s->arena, consul_address);
	const char *full = services_fill(s, text), *colon = strrchr(full, ':');
	int64_t port = 0;
	bool with_port = colon && port_number(colon + 1, &port) && (full[0] == '[' || strchr(full, ':') == colon);
	const char *host = with_port ? arena_strndup(s->arena, full, (size_t)(colon - full)) : full;
	size_t n = strlen(host);

	if (n > 2 && host[0] == '[' && host[n - 1] == ']')
		host = arena_strndup(s->arena, host + 1, n - 2);
	MODEL_SET(consul_address, out, address, host);
	if (port)
		MODEL_SET(consul_address, out, port, port);
	return out;
}

/* ---- one service ---- */

static const char *make_id(const struct services_scope *s, const char *name, const struct service *spec)
{
	return arena_printf(s->arena, "_nomad-task-%s-%s%s-%s-%s", s->src->alloc->id, s->task ? "" : "group-",
	    s->task ? s->task : s->src->group->name, name, services_fill(s, spec->port_label));
}

static bool is_canary(const struct services_source *src)
{
	return src->alloc->deployment_status && src->alloc->deployment_status->canary;
}

static void fill_words(const struct services_scope *s, const struct service *spec, struct consul_service_registration *r)
{
	bool canary = is_canary(s->src);

	fill_list(s, canary && spec->canary_tags.n ? &spec->canary_tags : &spec->tags, &r->tags);
	fill_map(s, canary && spec->canary_meta.n ? &spec->canary_meta : &spec->meta, &r->meta);
	strmap_set(s->arena, &r->meta, SERVICES_ALLOC, s->src->alloc->id);
	if (spec->enable_tag_override)
		MODEL_SET(consul_service_registration, r, enable_tag_override, true);
	if (!str_empty(spec->kind))
		MODEL_SET(consul_service_registration, r, kind, spec->kind);
	if (spec->weights) {
		struct consul_weights *w = r->weights = MODEL_NEW(s->arena, consul_weights);

		MODEL_SET(consul_weights, w, passing, spec->weights->passing);
		MODEL_SET(consul_weights, w, warning, spec->weights->warning);
	}
	for (uint32_t i = 0; i < spec->tagged_addresses.n; i++)
		objmap_set(s->arena, &r->tagged_addresses, spec->tagged_addresses.v[i].key,
		    tagged_address(s, spec->tagged_addresses.v[i].value));
}

static const char *fill_service(const struct services_scope *s, struct wanted_service *w)
{
	const struct service *spec = w->spec;
	struct consul_service_registration *r = w->reg = MODEL_NEW(s->arena, consul_service_registration);
	struct err e cleanup_err = ERR_INIT;
	const char *ip, *given = services_fill(s, spec->address);
	int64_t port;

	if (spec->connect)
		return "connect blocks are not supported";
	if (!str_empty(spec->provider) && !str_eq(spec->provider, "consul"))
		return arena_printf(s->arena, "provider \"%s\" is not supported; services are registered in Consul", spec->provider);
	if (services_place(s, spec->address_mode, services_fill(s, spec->port_label), &ip, &port, &e) < 0)
		return arena_strdup(s->arena, err_str(&e));
	MODEL_SET(consul_service_registration, r, id, w->id);
	MODEL_SET(consul_service_registration, r, name, w->name);
	MODEL_SET(consul_service_registration, r, address, str_empty(given) ? ip : given);
	MODEL_SET(consul_service_registration, r, port, port);
	fill_words(s, spec, r);
	return services_add_checks(s, w);
}

static void add_all(const struct services_scope *s, const struct objs *specs, struct objs *out)
{
	OBJS_EACH(specs, struct service, spec) {
		struct wanted_service *w = arena_alloc(s->arena, sizeof(*w));

		w->spec = spec;
		w->task = s->task;
		w->name = services_fill(s, spec->name);
		w->id = make_id(s, w->name, spec);
		w->problem = fill_service(s, w);
		if (w->problem)
			w->reg = NULL;
		objs_push(s->arena, out, w);
	}
}

void alloc_services(const struct services_source *src, struct arena *a, struct objs *out)
{
	if (src->group->services.n) {
		struct services_scope s = scope_of(src, NULL, a);

		add_all(&s, &src->group->services, out);
	}
	OBJS_EACH(&src->group->tasks, struct task, t) {
		if (t->services.n) {
			struct services_scope s = scope_of(src, t, a);

			add_all(&s, &t->services, out);
		}
	}
}

/* ---- when ---- */

static bool is_main(const struct task *t)
{
	return !t->lifecycle || str_empty(t->lifecycle->hook);
}

bool alloc_services_stand(const struct task_group *g, const struct wanted_service *w,
    enum task_stand (*of)(void *arg, const char *task), void *arg)
{
	const char *task = w->task ? w->task : w->spec->task_name;
	bool up = false, down = false;

	if (!str_empty(task))
		return of(arg, task) == TASK_IS_UP;
	OBJS_EACH(&g->tasks, struct task, t) {
		enum task_stand stand = is_main(t) ? of(arg, t->name) : TASK_IS_DONE;

		up |= stand == TASK_IS_UP;
		down |= stand == TASK_IS_DOWN;
	}
	return up && !down;
}
