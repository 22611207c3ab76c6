#include "daemon/consul_rights.h"

enum when { ALWAYS, SHARED_JOURNAL, ADVERTISED, SWEEPING };
enum name { ALL, KV_PREFIX, SERVER_SERVICE };

static const struct row {
	unsigned roles;
	enum when when;
	const char *resource;
	enum name name;
	bool prefix;
	const char *access, *why;
} rows[] = {
    {CONSUL_OF_CLIENT, ALWAYS, "agent", ALL, true, "read", "to learn which node of Consul this machine is"},
    {CONSUL_OF_SERVER | CONSUL_OF_CLIENT, ALWAYS, "node", ALL, true, "read", "to see where services are and how their checks are"},
    {CONSUL_OF_SERVER, ALWAYS, "service", ALL, true, "read", "to find the other servers, and for the audit"},
    {CONSUL_OF_SERVER, ADVERTISED, "service", SERVER_SERVICE, false, "write", "to register the server itself"},
    {CONSUL_OF_SERVER, SWEEPING, "service", ALL, true, "write", "to remove what machines that are gone have left (sweep_after)"},
    {CONSUL_OF_CLIENT, ALWAYS, "service", ALL, true, "write", "to register the services of jobs, whatever they are called"},
    {CONSUL_OF_SERVER, SHARED_JOURNAL, "key", KV_PREFIX, true, "write", "for the journal that the servers share"},
    {CONSUL_OF_SERVER, SHARED_JOURNAL, "session", ALL, true, "write", "for the lock of the leader"},
};

static bool applies(const struct row *r, const struct config *c, unsigned roles)
{
	bool shared = str_eq(c->server.journal, "consul");

	if (!(r->roles & roles))
		return false;
	switch (r->when) {
	case SHARED_JOURNAL:
		return shared;
	case ADVERTISED:
		return shared || c->consul.auto_advertise;
	case SWEEPING:
		return c->consul.sweep_after > 0;
	case ALWAYS:
		return true;
	}
	return true;
}

static const char *segment_of(const struct row *r, const struct config *c, struct arena *a)
{
	switch (r->name) {
	case KV_PREFIX:
		return arena_printf(a, "%s/", str_empty(c->consul.kv_prefix) ? arena_printf(a, "drover/%s", c->region) : c->consul.kv_prefix);
	case SERVER_SERVICE:
		return c->consul.server_service_name;
	case ALL:
		return "";
	}
	return "";
}

/* Whether to have x is to have y as well. */
static bool includes(const struct consul_right *x, const struct consul_right *y)
{
	bool wider = x->prefix ? str_starts(y->segment, x->segment) : !y->prefix && str_eq(x->segment, y->segment);

	return str_eq(x->resource, y->resource) && wider && (str_eq(x->access, "write") || str_eq(y->access, "read"));
}

void consul_rights(const struct config *c, unsigned roles, struct arena *a, struct objs *out)
{
	struct objs all = {0};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct consul_right *r = arena_alloc(a, sizeof(*r));

		if (!applies(&rows[i], c, roles))
			continue;
		*r = (struct consul_right){rows[i].resource, segment_of(&rows[i], c, a), rows[i].prefix, rows[i].access, rows[i].why};
		objs_push(a, &all, r);
	}
	for (uint32_t i = 0; i < all.n; i++) {
		bool needed = true;

		for (uint32_t k = 0; k < all.n; k++)
			needed &= k == i || !includes(all.v[k], all.v[i]) || (k > i && includes(all.v[i], all.v[k]));
		if (needed)
			objs_push(a, out, all.v[i]);
	}
}

void consul_rights_policy(const struct objs *rights, struct buf *out)
{
	OBJS_EACH(rights, const struct consul_right, r)
		buf_printf(out, "%s%s \"%s\" {\n  policy = \"%s\"\n}\n", r->resource, r->prefix ? "_prefix" : "", r->segment, r->access);
}

struct consul_acl_questions *consul_rights_questions(const struct objs *rights, struct arena *a)
{
	struct consul_acl_questions *q = MODEL_NEW(a, consul_acl_questions);

	OBJS_EACH(rights, const struct consul_right, r)
	{
		struct consul_acl_question *one = MODEL_NEW(a, consul_acl_question);

		MODEL_SET(consul_acl_question, one, resource, r->resource);
		MODEL_SET(consul_acl_question, one, segment, r->prefix ? arena_printf(a, "%sdrover-preflight", r->segment) : r->segment);
		MODEL_SET(consul_acl_question, one, access, r->access);
		objs_push(a, &q->items, one);
	}
	return q;
}

/* ---- where Consul is ---- */

void config_consul(const struct config *c, struct arena *a, struct consul_config *out)
{
	*out = (struct consul_config){
	    .address = config_given(c, "consul.address") ? c->consul.address : NULL,
	    .token = c->consul.token,
	    .token_file = c->consul.token_file,
	    .tls = {
	        .ca_file = c->consul.ca_file,
	        .cert_file = c->consul.cert_file,
	        .key_file = c->consul.key_file,
	        .server_name = c->consul.tls_server_name,
	        .skip_verify = !c->consul.verify_ssl,
	    },
	};
	if (out->address && c->consul.ssl && !strstr(out->address, "://"))
		out->address = arena_printf(a, "https://%s", out->address);
	consul_config_defaults(out, a);
}
