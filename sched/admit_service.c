/* admit_service: what can be wrong with services and their checks. Wordings are those that clients of the API know, where
 * they know one. What the client fills in (${...}) is looked at no further. */
#include <ctype.h>

#include "sched/problems.h"

/* Of Consul's meta data, less what drover writes there itself. */
#define META_MAX       54
#define META_KEY_MAX   128
#define META_VALUE_MAX 512

static bool is_open(const char *s)
{
	return s && strstr(s, "${");
}

/* ---- checks ---- */

static const struct check_kind {
	const char *type;
	bool needs_port, is_run; /* is_run: by Consul or by the client, at an interval and with a timeout */
	bool counts;             /* results in a row can be asked for */
} kinds[] = {
    {"http", true, true, true},
    {"tcp", true, true, true},
    {"grpc", true, true, true},
    {"script", false, true, false},
    {"ttl", false, false, false},
};

static const struct check_kind *find_kind(const char *type)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (str_eq(kinds[i].type, type))
			return &kinds[i];
	return NULL;
}

static const char *rhythm_problem(const struct check *k, const struct check_kind *kind)
{
	if (!k->interval)
		return "missing required value interval. Interval cannot be less than 1s";
	if (k->interval < SECOND)
		return "interval (less than 1s) cannot be lower than 1s";
	if (!kind->is_run)
		return NULL;
	if (!k->timeout)
		return "missing required value timeout. Timeout cannot be less than 1s";
	if (k->timeout < SECOND)
		return "timeout is lower than required minimum timeout 1s";
	return NULL;
}

static const char *count_problem(struct arena *a, const struct check *k, const struct check_kind *kind)
{
	const struct {
		const char *name;
		int64_t value;
	} counts[] = {{"success_before_passing", k->success_before_passing},
	    {"failures_before_warning", k->failures_before_warning}, {"failures_before_critical", k->failures_before_critical}};

	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		if (counts[i].value < 0)
			return arena_printf(a, "%s must be non-negative", counts[i].name);
		if (counts[i].value && !kind->counts)
			return arena_printf(a, "%s not supported for check of type \"%s\"", counts[i].name, k->type);
	}
	return NULL;
}

static const char *on_update_problem(struct arena *a, const char *word)
{
	static const char *const words[] = {"", "require_healthy", "ignore_warnings", "ignore", NULL};

	if (problems_one_of(str_or(word, ""), words))
		return NULL;
	return arena_printf(a, "on_update must be \"require_healthy\", \"ignore_warnings\" or \"ignore\"; not \"%s\"", word);
}

static const char *address_mode_problem(struct arena *a, const struct check *k)
{
	static const char *const modes[] = {"", "host", "driver", "alloc", NULL};

	if (problems_one_of(str_or(k->address_mode, ""), modes))
		return NULL;
	return arena_printf(a, "invalid address_mode \"%s\", must be \"host\", \"driver\" or \"alloc\"", k->address_mode);
}

static const char *check_problem(struct arena *a, const struct check *k)
{
	static const char *const statuses[] = {"", "passing", "warning", "critical", NULL};
	const struct check_kind *kind = find_kind(k->type);
	const char *problem;

	if (!kind)
		return arena_printf(a, "invalid type (+%s), must be one of \"http\", \"tcp\", \"grpc\", \"script\" or \"ttl\" type",
		    str_or(k->type, ""));
	if (str_eq(k->type, "http") && (str_empty(k->path) || strstr(k->path, "..")))
		return "http type must have a valid http path";
	if (str_eq(k->type, "http") && !str_empty(k->protocol) && !is_open(k->protocol) && !str_eq(k->protocol, "http") &&
	    !str_eq(k->protocol, "https"))
		return arena_printf(a, "invalid protocol \"%s\", must be \"http\" or \"https\"", k->protocol);
	if (str_eq(k->type, "script") && str_empty(k->command))
		return "script type must have a valid script path";
	problem = rhythm_problem(k, kind);
	if (problem)
		return problem;
	if (!problems_one_of(str_or(k->initial_status, ""), statuses))
		return arena_printf(a, "invalid initial check state (%s), must be one of \"passing\", \"warning\", \"critical\" or "
		                       "empty", k->initial_status);
	if (k->check_restart && k->check_restart->limit < 0)
		return "check_restart limit must be 0 or greater";
	if (k->expose)
		return "expose needs a connect block, which is not supported";
	problem = count_problem(a, k, kind);
	if (!problem)
		problem = on_update_problem(a, k->on_update);
	return problem ? problem : address_mode_problem(a, k);
}

/* ---- ports ---- */

/* A label that somebody has to define: not a number, and nothing that is filled in later. */
static bool is_unknown_label(const struct group_view *v, const char *label)
{
	return !str_empty(label) && !isdigit((unsigned char)label[0]) && !is_open(label) && !map_get(&v->labels, label);
}

/* What a check of the service refers to: a port, a task. */
static const char *reference_problem(
    struct arena *a, const struct group_view *v, const struct task *task, const struct service *s, const struct check *k)
{
	const struct check_kind *kind = find_kind(k->type);
	const char *runs_in = !str_empty(k->task_name) ? k->task_name : !str_empty(s->task_name) ? s->task_name : NULL;

	if (kind->needs_port && str_empty(k->port_label) && str_empty(s->port_label))
		return arena_printf(a, "neither it nor its service \"%s\" has a port", str_or(s->name, ""));
	if (is_unknown_label(v, k->port_label))
		return arena_printf(a, "port label \"%s\" is not defined in the group's network", k->port_label);
	if (!str_empty(k->task_name) && !map_get(&v->tasks, k->task_name))
		return arena_printf(a, "refers to non-existent task %s", k->task_name);
	if (str_eq(k->type, "script") && !task && !runs_in)
		return "a script check of a group's service must name the task that it runs in (task = \"...\")";
	return NULL;
}

/* ---- services ---- */

/* Labels of letters, digits and inner hyphens; what the client will fill in is not looked at. */
static bool is_service_name(const char *s)
{
	size_t n = 0;
	for (const char *p = s; *p; p++) {
		if (p[0] == '$' && p[1] == '{' && strchr(p, '}')) {
			p = strchr(p, '}');
			continue;
		}
		if (!isalnum((unsigned char)*p) && *p != '-')
			return false;
		n++;
	}
	return n < 64 && s[0] != '-' && s[0] && s[strlen(s) - 1] != '-';
}

/* Consul's rules, told before it refuses. */
static void validate_meta(struct problems *p, const struct strmap *meta)
{
	if (meta->n > META_MAX)
		problems_add(p, "Service meta has %u keys; at most %d are possible", meta->n, META_MAX);
	for (uint32_t i = 0; i < meta->n; i++) {
		const char *key = meta->v[i].key, *value = str_or(meta->v[i].value, "");
		bool ok = *key && strlen(key) <= META_KEY_MAX;
		for (const char *c = key; *c; c++)
			ok &= isalnum((unsigned char)*c) || *c == '-' || *c == '_';
		if (!ok && !is_open(key))
			problems_add(p, "Service meta key \"%.140s\" must be 1 to %d letters, digits, \"-\" or \"_\"", key, META_KEY_MAX);
		if (strlen(value) > META_VALUE_MAX && !is_open(value))
			problems_add(p, "Service meta value of \"%.140s\" is longer than %d characters", key, META_VALUE_MAX);
	}
}

static void validate_place(struct problems *p, const struct group_view *v, const struct service *s)
{
	static const char *const modes[] = {"auto", "host", "driver", "alloc", "", NULL};

	if (!problems_one_of(str_or(s->address_mode, ""), modes))
		problems_add(p, "Service address_mode must be \"auto\", \"host\", \"driver\" or \"alloc\"; not \"%s\"", s->address_mode);
	else if (!str_empty(s->address) && !str_empty(s->address_mode) && !str_eq(s->address_mode, "auto"))
		problems_add(p, "Service address_mode must be \"auto\" if address is set");
	if (!str_empty(s->provider) && !str_eq(s->provider, "consul"))
		problems_add(p, "Service provider \"%s\" is not supported: services are registered in Consul (provider = \"consul\")",
		    s->provider);
	if (!str_empty(s->cluster) && !str_eq(s->cluster, "default"))
		problems_add(p, "Service cluster \"%s\" is not supported: an agent knows one Consul", s->cluster);
	if (s->connect)
		problems_add(p, "Service connect blocks are not supported");
	if (!str_empty(s->task_name) && !map_get(&v->tasks, s->task_name))
		problems_add(p, "Service refers to non-existent task %s", s->task_name);
	if (on_update_problem(p->a, s->on_update))
		problems_add(p, "Service %s", on_update_problem(p->a, s->on_update));
	if (s->weights && (s->weights->passing < 0 || s->weights->passing > 65535 || s->weights->warning < 0 ||
	                      s->weights->warning > 65535))
		problems_add(p, "Service weights must be within 0 and 65535");
}

static void validate_checks(struct problems *p, const struct group_view *v, const struct task *task, const struct service *s)
{
	struct map names = MAP_INIT;
	for (uint32_t i = 0; i < s->checks.n; i++) {
		struct check *k = s->checks.v[i];
		const char *name = str_or(k->name, ""), *problem = check_problem(p->a, k);
		if (!problem)
			problem = reference_problem(p->a, v, task, s, k);
		if (problem)
			problems_add(p, "Check %s invalid: %s", name, problem);
		if (task && map_set(&names, name, k))
			problems_add(p, "check \"%s\" is duplicate", name);
	}
	map_free(&names);
}

void validate_services(
    struct problems *p, const struct group_view *v, const struct task *task, const struct objs *services)
{
	struct map seen = MAP_INIT;
	OBJS_EACH (services, struct service, s) {
		struct problems inner = {.a = p->a};
		const char *name = str_or(s->name, "");
		if (!is_service_name(name))
			problems_add(&inner,
			    "Service name must be valid per RFC 1123 and can contain only alphanumeric characters or dashes: "
			    "\"%s\"", name);
		if (map_set(&seen, arena_printf(p->a, "%s\n%s", name, str_or(s->port_label, "")), s))
			problems_add(&inner, "service \"%s\" is duplicate", name);
		validate_place(&inner, v, s);
		validate_meta(&inner, &s->meta);
		validate_meta(&inner, &s->canary_meta);
		validate_checks(&inner, v, task, s);
		/* A port that nobody defines is told only of a service that is right otherwise: the first thing is first. */
		if (!inner.list.n && is_unknown_label(v, s->port_label))
			problems_add(&inner, "port label \"%s\" referenced by service is not defined in the group's network",
			    s->port_label);
		problems_nest(p, &inner, "Service[%u] %s validation failed: ", s_i, name);
	}
	map_free(&seen);
}
