/* fingerprint_consul: what the Consul agent of this machine says of itself. It may answer late, or be another one later. */
#include "agent/fingerprint.h"


static const char *yes_no(bool b)
{
	return b ? "true" : "false";
}

bool fingerprint_consul(struct fingerprint *f, const struct consul_agent_self *self)
{
	const struct consul_agent_config *c = self->config;
	const struct consul_agent_debug *d = self->debug;
	const struct {
		const char *key, *value;
	} found[] = {
		{ "consul.version", c->version },
		{ "consul.revision", c->revision },
		{ "consul.datacenter", c->datacenter },
		{ "consul.server", yes_no(c->server) },
		{ "consul.connect", d ? yes_no(d->connect_enabled) : NULL },
		{ "consul.grpc", d && d->grpc_port ? arena_printf(f->arena, "%lld", (long long)d->grpc_port) : NULL },
		{ "consul.dns.port", d && d->dns_port ? arena_printf(f->arena, "%lld", (long long)d->dns_port) : NULL },
		{ "unique.consul.name", c->node_name },
	};
	bool changed = false;

	for (size_t i = 0; i < ARRAY_LEN(found); i++) {
		if (str_eq(found[i].value, strmap_get(&f->node->attributes, found[i].key)))
			continue;
		changed = true;
		strmap_set(f->arena, &f->node->attributes, found[i].key, arena_strdup(f->arena, str_or(found[i].value, "")));
	}
	if (changed)
		fingerprint_set_class(f);
	return changed;
}
