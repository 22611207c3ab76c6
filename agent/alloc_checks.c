/* alloc_checks: the checks of a service, as Consul is to run them, or as the client runs them and reports. */
#include <errno.h>

#include "agent/alloc_services.h"
#include "discovery/services.h"

/* What a script check may be late by before Consul takes it for critical. */
#define SCRIPT_SLACK (31 * SECOND)

struct check_kind {
	const char *type;
	bool needs_port;
	/* address: "10.0.0.1:80", "[::1]:80"; NULL without a port */
	void (*fill)(const struct services_scope *s, const struct check *spec, const char *address, struct wanted_check *w);
};

static void set_rhythm(const struct check *spec, struct consul_check_registration *r)
{
	MODEL_SET(consul_check_registration, r, interval, spec->interval);
	MODEL_SET(consul_check_registration, r, timeout, spec->timeout);
}

static void set_tls(const struct services_scope *s, const struct check *spec, struct consul_check_registration *r)
{
	if (spec->tls_skip_verify)
		MODEL_SET(consul_check_registration, r, tls_skip_verify, true);
	if (!str_empty(spec->tls_server_name))
		MODEL_SET(consul_check_registration, r, tls_server_name, services_fill(s, spec->tls_server_name));
}

static void fill_http(const struct services_scope *s, const struct check *spec, const char *address, struct wanted_check *w)
{
	struct consul_check_registration *r = w->reg;
	const char *protocol = services_fill(s, spec->protocol), *path = services_fill(s, spec->path);

	set_rhythm(spec, r);
	set_tls(s, spec, r);
	MODEL_SET(consul_check_registration, r, http, arena_printf(s->arena, "%s://%s%s%s",
	    str_empty(protocol) ? "http" : protocol, address, *path == '/' ? "" : "/", path));
	if (!str_empty(spec->method))
		MODEL_SET(consul_check_registration, r, method, services_fill(s, spec->method));
	if (!str_empty(spec->body))
		MODEL_SET(consul_check_registration, r, body, services_fill(s, spec->body));
	for (uint32_t i = 0; i < spec->header.n; i++) {
		struct strs values = { 0 };

		for (uint32_t k = 0; k < spec->header.v[i].value.n; k++)
			strs_push(s->arena, &values, services_fill(s, spec->header.v[i].value.v[k]));
		hdrmap_set(s->arena, &r->header, services_fill(s, spec->header.v[i].key), values);
	}
}

static void fill_tcp(const struct services_scope *s UNUSED, const struct check *spec, const char *address,
    struct wanted_check *w)
{
	set_rhythm(spec, w->reg);
	MODEL_SET(consul_check_registration, w->reg, tcp, address);
}

static void fill_grpc(const struct services_scope *s, const struct check *spec, const char *address, struct wanted_check *w)
{
	const char *service = services_fill(s, spec->grpc_service);

	set_rhythm(spec, w->reg);
	set_tls(s, spec, w->reg);
	MODEL_SET(consul_check_registration, w->reg, grpc,
	    str_empty(service) ? address : arena_printf(s->arena, "%s/%s", address, service));
	if (spec->grpc_use_tls)
		MODEL_SET(consul_check_registration, w->reg, grpc_use_tls, true);
}

/* Run by the client in the task's context; Consul only waits for its word. */
static void fill_script(const struct services_scope *s, const struct check *spec, const char *address UNUSED,
    struct wanted_check *w)
{
	MODEL_SET(consul_check_registration, w->reg, ttl, spec->interval + SCRIPT_SLACK);
	w->command = services_fill(s, spec->command);
	for (uint32_t i = 0; i < spec->args.n; i++)
		strs_push(s->arena, &w->args, services_fill(s, spec->args.v[i]));
}

/* The task reports by itself, within `interval`; it finds the check by the id of the job file, or by its service. */
static void fill_ttl(const struct services_scope *s, const struct check *spec, const char *address UNUSED,
    struct wanted_check *w)
{
	MODEL_SET(consul_check_registration, w->reg, ttl, spec->interval);
	if (!str_empty(spec->id))
		MODEL_SET(consul_check_registration, w->reg, check_id, services_fill(s, spec->id));
}

static const struct check_kind kinds[] = {
	{ "http", true, fill_http },
	{ "tcp", true, fill_tcp },
	{ "grpc", true, fill_grpc },
	{ "script", false, fill_script },
	{ "ttl", false, fill_ttl },
};

static const struct check_kind *find_kind(const char *type)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (str_eq(kinds[i].type, type))
			return &kinds[i];
	return NULL;
}

/* A check is where its service is unless it says otherwise; an address that the service was given counts for it too. */
static const char *check_address(const struct services_scope *s, const struct service *service, const struct check *spec,
    const char **problem)
{
	const char *label = services_fill(s, str_empty(spec->port_label) ? service->port_label : spec->port_label);
	const char *given = str_empty(spec->address_mode) ? services_fill(s, service->address) : "", *ip;
	struct err e cleanup_err = ERR_INIT;
	int64_t port;

	if (services_place(s, spec->address_mode, label, &ip, &port, &e) < 0)
		*problem = arena_strdup(s->arena, err_str(&e));
	else if (!port)
		*problem = "neither it nor its service has a port";
	if (*problem)
		return NULL;
	if (!str_empty(given))
		ip = given;
	return arena_printf(s->arena, strchr(ip, ':') ? "[%s]:%lld" : "%s:%lld", ip, (long long)port);
}

static void set_counts(const struct check *spec, struct consul_check_registration *r)
{
	if (spec->success_before_passing > 0)
		MODEL_SET(consul_check_registration, r, success_before_passing, spec->success_before_passing);
	if (spec->failures_before_warning > 0)
		MODEL_SET(consul_check_registration, r, failures_before_warning, spec->failures_before_warning);
	if (spec->failures_before_critical > 0)
		MODEL_SET(consul_check_registration, r, failures_before_critical, spec->failures_before_critical);
	if (!str_empty(spec->initial_status))
		MODEL_SET(consul_check_registration, r, status, spec->initial_status);
}

static const char *add_check(const struct services_scope *s, struct wanted_service *w, const struct check *spec)
{
	const struct check_kind *kind = find_kind(spec->type);
	struct wanted_check *c = arena_alloc(s->arena, sizeof(*c));
	const char *address = NULL, *problem = NULL;

	if (!kind)
		return arena_printf(s->arena, "check \"%s\": type \"%s\" is unknown", spec->name, str_or(spec->type, ""));
	if (kind->needs_port)
		address = check_address(s, w->spec, spec, &problem);
	if (problem)
		return arena_printf(s->arena, "check \"%s\": %s", str_or(spec->name, ""), problem);
	c->spec = spec;
	c->reg = MODEL_NEW(s->arena, consul_check_registration);
	c->task = !str_empty(spec->task_name) ? spec->task_name : !str_empty(w->spec->task_name) ? w->spec->task_name : s->task;
	c->restart = spec->check_restart && spec->check_restart->limit > 0 ? spec->check_restart : NULL;
	MODEL_SET(consul_check_registration, c->reg, name, services_fill(s, spec->name));
	if (!str_empty(spec->notes))
		MODEL_SET(consul_check_registration, c->reg, notes, services_fill(s, spec->notes));
	set_counts(spec, c->reg);
	kind->fill(s, spec, address, c);
	if (!MODEL_HAS(consul_check_registration, c->reg, check_id))
		MODEL_SET(consul_check_registration, c->reg, check_id, services_check_id(w->id, c->reg, s->arena));
	objs_push(s->arena, &w->reg->checks, c->reg);
	objs_push(s->arena, &w->checks, c);
	return NULL;
}

const char *services_add_checks(const struct services_scope *s, struct wanted_service *w)
{
	const char *problem = NULL;

	OBJS_EACH(&w->spec->checks, struct check, spec) {
		if (!problem)
			problem = add_check(s, w, spec);
	}
	return problem;
}
