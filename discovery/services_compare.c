#include "discovery/services_compare.h"

#include "base/codec.h"
#include "base/map.h"

/* ---- what is sent ---- */

/* Not for secrets: tells one description from another. */
const char *services_check_id(const char *service_id, const struct consul_check_registration *c, struct arena *a)
{
	cleanup_buf struct buf b = BUF_INIT;
	uint32_t parts[5];

	buf_printf(&b, "%s\n", service_id);
	codec_put(&b, &type_consul_check_registration, c);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		parts[i] = hash_bytes(b.data, b.len);
		buf_printf(&b, "%u", parts[i]);
	}
	return arena_printf(a, "_nomad-check-%08x%08x%08x%08x%08x", parts[0], parts[1], parts[2], parts[3], parts[4]);
}

struct consul_service_registration *services_complete(const struct consul_service_registration *given,
    const struct services_config *c, const char *cluster, struct arena *a)
{
	struct consul_service_registration *r = model_copy(a, &type_consul_service_registration, given);

	strmap_set(a, &r->meta, SERVICES_SOURCE, "drover");
	strmap_set(a, &r->meta, SERVICES_OWNER, c->owner);
	strmap_set(a, &r->meta, SERVICES_AGENT, c->agent);
	strmap_set(a, &r->meta, SERVICES_ADDRESS, c->address);
	if (!str_empty(c->folder))
		strmap_set(a, &r->meta, SERVICES_FOLDER, c->folder);
	if (!str_empty(cluster))
		strmap_set(a, &r->meta, SERVICES_CLUSTER, cluster);
	OBJS_EACH(&r->checks, struct consul_check_registration, check)
		if (str_empty(check->check_id))
			MODEL_SET(consul_check_registration, check, check_id, services_check_id(r->id, check, a));
	return r;
}

/* ---- what is there ---- */

/* The end of the variable that begins at or after s; NULL when there is none. *open is its begin. */
static const char *find_variable(const char *s, const char **open)
{
	*open = strstr(s, "${");
	const char *close = *open ? strchr(*open, '}') : NULL;

	return close ? close + 1 : NULL;
}

/* The pieces between variables are looked for from the left, which finds them when anything does; the last one is the end. */
bool services_text_equal(const char *want, const char *present)
{
	const char *open, *after;

	want = str_or(want, "");
	present = str_or(present, "");
	for (bool first = true; (after = find_variable(want, &open)); first = false) {
		cleanup_free char *piece = xstrndup(want, (size_t)(open - want));
		const char *at = first ? (str_starts(present, piece) ? present : NULL) : strstr(present, piece);

		if (!at)
			return false;
		present = at + strlen(piece);
		want = after;
		if (!find_variable(want, &open))
			return strlen(present) >= strlen(want) && str_eq(present + strlen(present) - strlen(want), want);
	}
	return str_eq(want, present);
}

static bool same_strs(const struct strs *a, const struct strs *b)
{
	if (a->n != b->n)
		return false;
	for (uint32_t i = 0; i < a->n; i++)
		if (!services_text_equal(a->v[i], b->v[i]))
			return false;
	return true;
}

static bool same_map(const struct strmap *a, const struct strmap *b)
{
	if (a->n != b->n)
		return false;
	for (uint32_t i = 0; i < a->n; i++) {
		bool open = strstr(a->v[i].key, "${") != NULL; /* its place in the order is not known */

		if (!open && !services_text_equal(a->v[i].value, strmap_get(b, a->v[i].key)))
			return false;
		if (!open && !strmap_get(b, a->v[i].key))
			return false;
	}
	return true;
}

/* Consul fills in 1 and 1, and shows none when only these hold. */
static bool same_weights(const struct consul_weights *a, const struct consul_weights *b)
{
	int64_t ap = a ? a->passing : 1, aw = a ? a->warning : 1, bp = b ? b->passing : 1, bw = b ? b->warning : 1;

	return ap == bp && aw == bw;
}

/* Consul adds addresses of its own (lan_ipv4, ...): the wanted ones have to be among them. */
static bool has_addresses(const struct objmap *want, const struct objmap *present)
{
	for (uint32_t i = 0; i < want->n; i++) {
		const struct consul_address *w = want->v[i].value, *p = objmap_get(present, want->v[i].key);

		if (!p || !services_text_equal(w->address, p->address) || w->port != p->port)
			return false;
	}
	return true;
}

const char *services_difference(const struct consul_service_registration *want, const struct consul_service *present)
{
	if (!services_text_equal(want->name, present->service))
		return "name";
	if (want->port != present->port)
		return "port";
	if (!services_text_equal(want->address, present->address))
		return "address";
	if (!want->enable_tag_override && !same_strs(&want->tags, &present->tags))
		return "tags";
	if (want->enable_tag_override != present->enable_tag_override)
		return "enable_tag_override";
	if (!same_map(&want->meta, &present->meta))
		return "meta";
	if (!same_weights(want->weights, present->weights))
		return "weights";
	if (!str_eq(want->kind, present->kind))
		return "kind";
	if (!has_addresses(&want->tagged_addresses, &present->tagged_addresses))
		return "tagged_addresses";
	return NULL;
}

static const char *show_strs(const struct strs *l, struct arena *a)
{
	cleanup_buf struct buf b = BUF_INIT;

	for (uint32_t i = 0; i < l->n; i++)
		buf_printf(&b, "%s%s", i ? "," : "", l->v[i]);
	return arena_strdup(a, b.data ? b.data : "");
}

static const char *show_map(const struct strmap *m, struct arena *a)
{
	cleanup_buf struct buf b = BUF_INIT;

	for (uint32_t i = 0; i < m->n; i++)
		buf_printf(&b, "%s%s=%s", i ? "," : "", m->v[i].key, m->v[i].value);
	return arena_strdup(a, b.data ? b.data : "");
}

void services_show(const char *field, const struct consul_service_registration *want, const struct consul_service *present,
    struct arena *a, const char **want_text, const char **present_text)
{
	const struct {
		const char *field, *want, *present;
	} rows[] = {
	    {"name", want->name, present->service},
	    {"port", arena_printf(a, "%lld", (long long)want->port), arena_printf(a, "%lld", (long long)present->port)},
	    {"address", want->address, present->address},
	    {"tags", show_strs(&want->tags, a), show_strs(&present->tags, a)},
	    {"meta", show_map(&want->meta, a), show_map(&present->meta, a)},
	    {"kind", want->kind, present->kind},
	};

	*want_text = *present_text = "";
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (!str_eq(rows[i].field, field))
			continue;
		*want_text = str_or(rows[i].want, "");
		*present_text = str_or(rows[i].present, "");
	}
}

static const struct consul_check_registration *find_check(const struct consul_service_registration *want, const char *id)
{
	OBJS_EACH(&want->checks, struct consul_check_registration, c)
		if (str_eq(c->check_id, id))
			return c;
	return NULL;
}

const char *services_check_difference(
    const struct consul_service_registration *want, const struct consul_checks_by_id *present)
{
	OBJS_EACH(&want->checks, struct consul_check_registration, c) {
		const struct consul_check *p = objmap_get(&present->items, c->check_id);

		if (!p || !str_eq(p->service_id, want->id) || !str_eq(p->name, c->name) || !str_eq(p->notes, c->notes))
			return c->check_id;
	}
	for (uint32_t i = 0; i < present->items.n; i++) {
		const struct consul_check *p = present->items.v[i].value;

		if (str_eq(p->service_id, want->id) && !find_check(want, p->check_id))
			return p->check_id;
	}
	return NULL;
}

bool services_is_ours(const struct consul_service *present, const struct services_config *c, const char *cluster)
{
	const struct strmap *m = &present->meta;

	if (!str_eq(strmap_get(m, SERVICES_SOURCE), "drover") || !strmap_get(m, SERVICES_OWNER))
		return false;
	return str_eq(strmap_get(m, SERVICES_OWNER), c->owner) || str_eq(strmap_get(m, SERVICES_ADDRESS), c->address) ||
	    (!str_empty(cluster) && str_eq(strmap_get(m, SERVICES_CLUSTER), cluster) &&
	        str_eq(strmap_get(m, SERVICES_AGENT), c->agent) && str_eq(strmap_get(m, SERVICES_FOLDER), c->folder));
}
