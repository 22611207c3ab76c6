/*
 * api_absent: what this version has none of. Where an empty answer is the truth it is given, so that clients which ask for
 * everything go on; everything else says 501 and why. Nothing here pretends.
 */
#include "daemon/api.h"
#include "daemon/jwriter.h"

/* The sentence is the route's help. */
static void not_available(struct call *c)
{
	call_error(c, 501, "%s", call_route(c)->help);
}

static void no_acl(struct call *c)
{
	call_error(c, 400, "ACL support disabled");
}

/* ---- volumes and plugins ---- */

static void list_none(struct call *c)
{
	if (!str_empty(call_query(c, "type")))
		call_set_index(c, call_state(c)->table_index[TABLE_CONFIG]);
	buf_puts(call_out(c), "[]");
	call_json(c, 200);
}

static void no_volume(struct call *c)
{
	call_set_index(c, call_state(c)->table_index[TABLE_CONFIG]);
	call_error(c, 404, "volume not found");
}

static void no_plugin(struct call *c)
{
	call_set_index(c, call_state(c)->table_index[TABLE_CONFIG]);
	call_error(c, 404, "plugin not found");
}

/* ---- namespaces: "default" and no other ---- */

static void put_default(struct jwriter *w)
{
	jw_begin(w, '{');
	jw_int(w, "CreateIndex", 1);
	jw_str(w, "Description", "Default shared namespace");
	jw_int(w, "ModifyIndex", 1);
	jw_str(w, "Name", "default");
	jw_str(w, "Quota", "");
	jw_end(w, '}');
}

static void list_namespaces(struct call *c)
{
	struct jwriter w = jw_new(call_out(c), call_indent(c));
	const char *prefix = call_query(c, "prefix");

	jw_begin(&w, '[');
	if (!prefix || str_starts("default", prefix)) {
		jw_item(&w);
		put_default(&w);
	}
	jw_end(&w, ']');
	call_set_index(c, 1);
	call_json(c, 200);
}

static void read_namespace(struct call *c)
{
	struct jwriter w = jw_new(call_out(c), call_indent(c));

	call_set_index(c, 1);
	if (!str_eq(call_param(c, "name"), "default")) {
		call_error(c, 404, "Namespace not found");
		return;
	}
	put_default(&w);
	call_json(c, 200);
}

static void delete_namespace(struct call *c)
{
	if (str_eq(call_param(c, "name"), "default"))
		call_error(c, 500, "can not delete default namespace");
	else
		not_available(c);
}

#define READ  (ROUTE_GET | ROUTE_SERVER)
#define WRITE (ROUTE_PUT | ROUTE_SERVER)
#define ALL   (ROUTE_GET | ROUTE_PUT | ROUTE_DELETE | ROUTE_SERVER)

static const char no_namespaces[] = "this version has the namespace \"default\" and no other";
static const char no_scaling[] = "this version does not keep scaling policies apart from their jobs";
static const char no_snapshots[] = "this version has no snapshots of its state to save or restore over HTTP";
static const char no_autopilot[] = "this version has one server and nothing to heal between servers";
static const char no_enterprise[] = "this belongs to no version of drover";

const struct route routes_absent[] = {
    {ALL, "/v1/acl/bootstrap", no_acl, no_acl, no_acl, "access control is off"},
    {ALL, "/v1/acl/policies", no_acl, no_acl, no_acl, "access control is off"},
    {ALL, "/v1/acl/policy/:name", no_acl, no_acl, no_acl, "access control is off"},
    {ALL, "/v1/acl/tokens", no_acl, no_acl, no_acl, "access control is off"},
    {ALL, "/v1/acl/token", no_acl, no_acl, no_acl, "access control is off"},
    {ALL, "/v1/acl/token/:id", no_acl, no_acl, no_acl, "access control is off"},
    {READ, "/v1/volumes", list_none, NULL, NULL, "there are no volumes"},
    {READ, "/v1/plugins", list_none, NULL, NULL, "there are no plugins"},
    {READ, "/v1/volume/csi/:id", no_volume, NULL, NULL, "there are no volumes"},
    {READ, "/v1/plugin/csi/:id", no_plugin, NULL, NULL, "there are no plugins"},
    {READ, "/v1/namespaces", list_namespaces, NULL, NULL, "the namespaces: \"default\""},
    {ALL, "/v1/namespace/:name", read_namespace, not_available, delete_namespace, no_namespaces},
    {WRITE, "/v1/namespace", NULL, not_available, NULL, no_namespaces},
    {READ, "/v1/scaling/policies", not_available, NULL, NULL, no_scaling},
    {READ, "/v1/scaling/policy/:id", not_available, NULL, NULL, no_scaling},
    {WRITE, "/v1/deployment/promote/:id", NULL, not_available, NULL, "this version does not promote deployments"},
    {WRITE, "/v1/deployment/fail/:id", NULL, not_available, NULL, "this version does not fail deployments by request"},
    {WRITE, "/v1/deployment/pause/:id", NULL, not_available, NULL, "this version does not pause deployments"},
    {WRITE, "/v1/deployment/unblock/:id", NULL, not_available, NULL, "this version does not unblock deployments"},
    {WRITE, "/v1/deployment/allocation-health/:id", NULL, not_available, NULL,
        "this version does not take the health of allocations from outside"},
    {WRITE, "/v1/search/fuzzy", NULL, not_available, NULL, "this version searches by prefix only: POST /v1/search"},
    {READ, "/v1/event/stream", not_available, NULL, NULL, "this version has no event stream; use blocking queries"},
    {ALL, "/v1/operator/snapshot", not_available, not_available, NULL, no_snapshots},
    {ALL, "/v1/operator/autopilot/configuration", not_available, not_available, NULL, no_autopilot},
    {READ, "/v1/operator/autopilot/health", not_available, NULL, NULL, no_autopilot},
    {READ, "/v1/client/allocation/:id/exec", not_available, NULL, NULL, "this version does not run commands in allocations"},
    {READ, "/v1/client/allocation/:id/snapshot", not_available, NULL, NULL, "this version does not move the disks of allocations"},
    {ROUTE_GET, "/v1/agent/host", not_available, NULL, NULL, "this version does not report on its host; see /v1/client/stats"},
    {ROUTE_GET, "/v1/agent/pprof/:kind", not_available, NULL, NULL, "profiles of a Go program; this is none"},
    {ROUTE_GET | ROUTE_PUT, "/v1/agent/keyring/:what", not_available, not_available, NULL,
        "there is no gossip between agents and so no key for it"},
    {READ, "/v1/operator/license", not_available, NULL, NULL, no_enterprise},
    {READ, "/v1/quotas", not_available, NULL, NULL, no_enterprise},
    {READ, "/v1/sentinel/policies", not_available, NULL, NULL, no_enterprise},
    {READ, "/v1/recommendations", not_available, NULL, NULL, no_enterprise},
    {.pattern = NULL},
};
