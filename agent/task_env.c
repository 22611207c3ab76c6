#include "agent/task_env.h"

#include <ctype.h>

/* The agent's own variables that no task gets: credentials, and what steers agents. */
#define ENV_DENYLIST                                                                                                   \
	"CONSUL_TOKEN,CONSUL_HTTP_TOKEN,CONSUL_HTTP_TOKEN_FILE,CONSUL_HTTP_AUTH,VAULT_TOKEN,NOMAD_*,DROVER_*,AWS_ACCESS_KEY_ID,"        \
	"AWS_SECRET_ACCESS_KEY,AWS_SESSION_TOKEN,GOOGLE_APPLICATION_CREDENTIALS,NOTIFY_SOCKET,LISTEN_FDS,LISTEN_PID,"   \
	"LISTEN_FDNAMES,WATCHDOG_USEC,WATCHDOG_PID"

#define TARGET_MAX 512 /* longest ${...} that is looked at */

static bool name_matches(const char *list, const char *name, size_t len)
{
	for (const char *p = list; *p;) {
		size_t n = strcspn(p, ",");
		size_t from = strspn(p, " ");
		const char *word = p + MIN(from, n);
		size_t wlen = n - MIN(from, n);

		if (wlen && word[wlen - 1] == '*' ? len >= wlen - 1 && !strncmp(word, name, wlen - 1)
		                                  : wlen == len && !strncmp(word, name, len))
			return true;
		p += n + (p[n] == ',');
	}
	return false;
}

static void put_host_env(const struct task_env_source *src, struct arena *a, struct strmap *out)
{
	const char *deny = src->env_denylist ? src->env_denylist : ENV_DENYLIST;

	for (const char *const *e = src->host_env; e && *e; e++) {
		const char *eq = strchr(*e, '=');

		if (!eq || eq == *e || name_matches(deny, *e, (size_t)(eq - *e)))
			continue;
		strmap_set(a, out, arena_strndup(a, *e, (size_t)(eq - *e)), eq + 1);
	}
}

/* Letters, digits and _ stay, the rest becomes _. */
static char *clean_name(struct arena *a, const char *prefix, const char *name)
{
	char *s = arena_printf(a, "%s%s", prefix, name);

	for (char *p = s + strlen(prefix); *p; p++)
		if (!isalnum((unsigned char)*p) && *p != '_')
			*p = '_';
	return s;
}

static void put(struct arena *a, struct strmap *out, const char *key, const char *value)
{
	if (!str_empty(value))
		strmap_set(a, out, key, value);
}

static void put_number(struct arena *a, struct strmap *out, const char *key, int64_t n)
{
	if (n > 0)
		strmap_set(a, out, key, arena_printf(a, "%lld", (long long)n));
}

void task_env_meta(const struct job *j, const struct task_group *g, const struct task *t, struct arena *a,
    struct strmap *out)
{
	const struct strmap *levels[] = { j ? &j->meta : NULL, g ? &g->meta : NULL, t ? &t->meta : NULL };

	for (size_t l = 0; l < ARRAY_LEN(levels); l++)
		for (uint32_t i = 0; levels[l] && i < levels[l]->n; i++)
			strmap_set(a, out, levels[l]->v[i].key, levels[l]->v[i].value);
}

static void put_meta(const struct task_env_source *src, struct arena *a, struct strmap *out)
{
	struct strmap meta = { 0 };

	task_env_meta(src->job, src->group, src->task, a, &meta);
	for (uint32_t i = 0; i < meta.n; i++) {
		const char *value = task_env_expand(out, src->node, meta.v[i].value, a);
		char *upper = arena_strdup(a, meta.v[i].key);

		for (char *p = upper; *p; p++)
			*p = (char)toupper((unsigned char)*p);
		strmap_set(a, out, clean_name(a, "NOMAD_META_", upper), value);
		strmap_set(a, out, clean_name(a, "NOMAD_META_", meta.v[i].key), value);
	}
}

/* All variables of one port label. `to` is the port inside the task's network, which here is the host's. */
static void put_port(struct arena *a, struct strmap *out, const char *label, const char *ip, int64_t value, int64_t to,
    const char *device)
{
	const char *mapped = arena_printf(a, "%lld", (long long)(to > 0 ? to : value));
	const char *host = arena_printf(a, "%lld", (long long)value);
	bool v6 = strchr(ip, ':') != NULL;
	const char *addr = arena_printf(a, v6 ? "[%s]:%s" : "%s:%s", ip, host);
	const struct {
		const char *prefix, *value;
	} vars[] = {
		{ "NOMAD_IP_", ip },
		{ "NOMAD_PORT_", mapped },
		{ "NOMAD_ADDR_", addr },
		{ "NOMAD_HOST_IP_", ip },
		{ "NOMAD_HOST_PORT_", host },
		{ "NOMAD_HOST_ADDR_", addr },
		{ "NOMAD_ALLOC_IP_", ip },
		{ "NOMAD_ALLOC_PORT_", mapped },
		{ "NOMAD_ALLOC_ADDR_", arena_printf(a, v6 ? "[%s]:%s" : "%s:%s", ip, mapped) },
	};

	for (size_t i = 0; i < ARRAY_LEN(vars); i++)
		strmap_set(a, out, clean_name(a, vars[i].prefix, label), vars[i].value);
	if (!str_empty(device))
		strmap_set(a, out, clean_name(a, "NOMAD_ALLOC_INTERFACE_", label), device);
}

static void put_network_ports(struct arena *a, struct strmap *out, const struct network *n, const char *task,
    const char *bind_ip)
{
	const struct objs *lists[] = { &n->reserved_ports, &n->dynamic_ports };
	const char *ip = str_empty(n->ip) ? bind_ip : n->ip;

	for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
		OBJS_EACH(lists[l], struct port, p) {
			const char *label = task ? arena_printf(a, "%s_%s", task, p->label) : p->label;

			if (!str_empty(p->label) && p->value > 0)
				put_port(a, out, label, ip, p->value, p->to, n->device);
		}
	}
}

static void put_ports(const struct task_env_source *src, struct arena *a, struct strmap *out)
{
	const struct allocated_resources *r = src->alloc->allocated_resources;
	const char *bind_ip = src->bind_ip ? src->bind_ip : "", *device = NULL;

	if (!r)
		return;
	if (r->shared) {
		OBJS_EACH(&r->shared->networks, struct network, n) {
			put_network_ports(a, out, n, NULL, bind_ip);
			device = n->device;
		}
		OBJS_EACH(&r->shared->ports, struct alloc_port, p) {
			if (!str_empty(p->label) && p->value > 0)
				put_port(a, out, p->label, str_empty(p->host_ip) ? bind_ip : p->host_ip, p->value, p->to, device);
		}
	}
	/* Networks of tasks are the old form: the task's own labels plain, those of its siblings with their name. */
	for (uint32_t i = 0; i < r->tasks.n; i++) {
		const struct alloc_task_resources *t = r->tasks.v[i].value;
		bool own = src->task && str_eq(r->tasks.v[i].key, src->task->name);

		OBJS_EACH(&t->networks, struct network, n) {
			put_network_ports(a, out, n, own ? NULL : r->tasks.v[i].key, bind_ip);
		}
	}
}

static void put_limits(const struct task_env_source *src, struct arena *a, struct strmap *out)
{
	const struct allocated_resources *r = src->alloc->allocated_resources;
	const struct alloc_task_resources *t = r && src->task ? objmap_get(&r->tasks, src->task->name) : NULL;

	if (!t)
		return;
	if (t->memory) {
		put_number(a, out, "NOMAD_MEMORY_LIMIT", t->memory->memory_mb);
		put_number(a, out, "NOMAD_MEMORY_MAX_LIMIT", t->memory->memory_max_mb);
	}
	if (!t->cpu)
		return;
	put_number(a, out, "NOMAD_CPU_LIMIT", t->cpu->cpu_shares);
	const struct value *cores = t->cpu->reserved_cores;

	if (cores && cores->kind == VAL_LIST && cores->n) {
		char *list = arena_strdup(a, "");

		for (uint32_t i = 0; i < cores->n; i++)
			if (cores->items[i]->kind == VAL_INT)
				list = arena_printf(a, "%s%s%lld", list, *list ? "," : "",
				    (long long)cores->items[i]->i);
		put(a, out, "NOMAD_CPU_CORES", list);
	}
}

/* The number in "job.group[3]". */
static const char *alloc_index(struct arena *a, const char *name)
{
	const char *open = name ? strrchr(name, '[') : NULL;
	size_t n = open ? strspn(open + 1, "0123456789") : 0;

	return n ? arena_strndup(a, open + 1, n) : "0";
}

static void put_names(const struct task_env_source *src, struct arena *a, struct strmap *out)
{
	const struct allocation *al = src->alloc;
	const char *id = al->id ? al->id : "";
	const struct {
		const char *key, *value;
	} vars[] = {
		{ "NOMAD_ALLOC_DIR", src->alloc_dir },
		{ "NOMAD_TASK_DIR", src->task_dir },
		{ "NOMAD_SECRETS_DIR", src->secrets_dir },
		{ "NOMAD_ALLOC_ID", id },
		{ "NOMAD_SHORT_ALLOC_ID", arena_strndup(a, id, MIN(strlen(id), (size_t)8)) },
		{ "NOMAD_ALLOC_NAME", al->name },
		{ "NOMAD_ALLOC_INDEX", alloc_index(a, al->name) },
		{ "NOMAD_TASK_NAME", src->task ? src->task->name : NULL },
		{ "NOMAD_GROUP_NAME", src->group ? src->group->name : al->task_group },
		{ "NOMAD_JOB_ID", src->job->id },
		{ "NOMAD_JOB_NAME", str_empty(src->job->name) ? src->job->id : src->job->name },
		{ "NOMAD_JOB_PARENT_ID", src->job->parent_id },
		{ "NOMAD_DC", src->node ? src->node->datacenter : NULL },
		{ "NOMAD_REGION", src->region },
		{ "NOMAD_NAMESPACE", str_empty(al->namespace) ? "default" : al->namespace },
		{ "NOMAD_PARENT_CGROUP", src->parent_cgroup },
	};

	for (size_t i = 0; i < ARRAY_LEN(vars); i++)
		put(a, out, vars[i].key, vars[i].value);
}

void task_env_build(const struct task_env_source *src, struct arena *a, struct strmap *out)
{
	static const struct strmap none;
	struct strmap env = { 0 };
	const struct strmap *own = src->task ? &src->task->env : &none;

	put_host_env(src, a, &env);
	put_names(src, a, &env);
	put_limits(src, a, &env);
	put_ports(src, a, &env);
	put_meta(src, a, &env);
	/* Two rounds, so that one variable of the job file may use another, whatever their order. */
	for (uint32_t i = 0; i < own->n; i++)
		if (!str_starts(own->v[i].key, "NOMAD_") || !strmap_get(&env, own->v[i].key))
			strmap_set(a, &env, own->v[i].key, task_env_expand(&env, src->node, own->v[i].value, a));
	for (uint32_t i = 0; i < own->n; i++) {
		const char *v = strmap_get(&env, own->v[i].key);

		if (v && strstr(v, "${") && str_eq(v, own->v[i].value))
			strmap_set(a, &env, own->v[i].key, task_env_expand(&env, src->node, v, a));
	}
	*out = env;
}

const char *task_env_node_target(const struct node *node, const char *target)
{
	if (!node)
		return NULL;
	if (str_starts(target, "attr."))
		return strmap_get(&node->attributes, target + strlen("attr."));
	if (str_starts(target, "meta."))
		return strmap_get(&node->meta, target + strlen("meta."));
	const struct {
		const char *name, *value;
	} fixed[] = {
		{ "node.unique.id", node->id },
		{ "node.unique.name", node->name },
		{ "node.datacenter", node->datacenter },
		{ "node.class", node->node_class },
		{ "node.pool", node->node_pool },
	};
	for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
		if (str_eq(target, fixed[i].name))
			return fixed[i].value ? fixed[i].value : "";
	return NULL;
}

/* What stands between ${ and }: a variable, env["K"], or a target of the node. */
static const char *lookup(const struct strmap *env, const struct node *node, const char *p, size_t n)
{
	static const char quoted[] = "env[\"";
	char name[TARGET_MAX];

	while (n && *p == ' ')
		p++, n--;
	while (n && p[n - 1] == ' ')
		n--;
	if (!n || n >= sizeof(name))
		return NULL;
	memcpy(name, p, n);
	name[n] = '\0';
	if (str_starts(name, quoted) && n > strlen(quoted) + 1 && !strcmp(name + n - 2, "\"]")) {
		name[n - 2] = '\0';
		const char *v = strmap_get(env, name + strlen(quoted));

		return v ? v : "";
	}
	const char *v = strmap_get(env, name);

	if (!v && str_eq(name, "node.region"))
		v = strmap_get(env, "NOMAD_REGION");
	return v ? v : task_env_node_target(node, name);
}

const char *task_env_expand(const struct strmap *env, const struct node *node, const char *s, struct arena *a)
{
	const char *open = s ? strstr(s, "${") : NULL;

	if (!open)
		return s;
	struct buf b CLEANUP(buf_free) = BUF_INIT;

	for (; open; open = strstr(s, "${")) {
		const char *close = strchr(open, '}');

		if (!close)
			break;
		const char *v = lookup(env, node, open + 2, (size_t)(close - open - 2));

		buf_put(&b, s, (size_t)(open - s));
		if (v)
			buf_puts(&b, v);
		else
			buf_put(&b, open, (size_t)(close + 1 - open));
		s = close + 1;
	}
	buf_puts(&b, s);
	return arena_strdup(a, b.data ? b.data : "");
}

struct value *task_env_expand_value(const struct strmap *env, const struct node *node, const struct value *v,
    struct arena *a)
{
	if (!v)
		return NULL;
	if (v->kind == VAL_STR)
		return value_str(a, task_env_expand(env, node, v->s, a));
	if (v->kind != VAL_LIST && v->kind != VAL_MAP)
		return value_copy(a, v);
	struct value **items = arena_alloc(a, (v->n + 1) * sizeof(*items));

	for (uint32_t i = 0; i < v->n; i++)
		items[i] = task_env_expand_value(env, node, v->items[i], a);
	return v->kind == VAL_LIST ? value_list(a, items, v->n) : value_map(a, v->keys, items, v->n);
}
