#include "agent/fingerprint.h"

#include "agent/driver.h"
#include "base/clock.h"
#include "base/file.h"

static void (*const probes[])(struct fingerprint *f) = {
	fingerprint_host,
	fingerprint_cpu,
	fingerprint_memory,
	fingerprint_cgroup,
	fingerprint_storage,
	fingerprint_network,
	fingerprint_drivers,
};

void fingerprint_set(struct fingerprint *f, const char *key, const char *fmt, ...)
{
	char value[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(value, sizeof(value), fmt, ap);
	va_end(ap);
	if (*value)
		strmap_set(f->arena, &f->node->attributes, arena_strdup(f->arena, key), arena_strdup(f->arena, value));
}

int fingerprint_read(const struct fingerprint *f, const char *path, struct buf *out)
{
	cleanup_free char *full = xasprintf("%s%s", f->root, path);
	cleanup_fclose FILE *file = fopen(full, "re");

	/* Not file_read(): files of /proc say that they are empty. */
	out->max = 1 << 20;
	buf_clear(out);
	while (file) {
		char *room = buf_room(out, 8192);
		size_t n = room ? fread(room, 1, 8192, file) : 0;

		if (!n)
			break;
		out->len += n;
	}
	buf_puts(out, "");
	if (out->data)
		out->data[out->len] = '\0';
	return file && out->len ? 0 : -1;
}

char *fingerprint_line(struct arena *a, const char *text, const char *key, char sep)
{
	size_t n = strlen(key);

	for (const char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		if (strncmp(line, key, n))
			continue;
		const char *p = line + n + strspn(line + n, " \t");

		if (*p != sep)
			continue;
		p += 1 + strspn(p + 1, " \t\"");
		size_t len = strcspn(p, "\n");

		while (len && strchr(" \t\"\r", p[len - 1]))
			len--;
		return arena_strndup(a, p, len);
	}
	return NULL;
}

/* ---- drivers ---- */

static bool truthy(const char *word)
{
	return str_eq(word, "true") || str_eq(word, "1");
}

static bool driver_enabled(const struct client_config *c, const char *name)
{
	const char *allow = strmap_get(&c->options, "driver.allowlist");
	char option[96];

	if ((!str_empty(allow) && !client_option_lists(allow, name)) || client_option_lists(strmap_get(&c->options, "driver.denylist"), name))
		return false;
	snprintf(option, sizeof(option), "driver.%s.enable", name);
	return truthy(strmap_get(&c->drivers_enabled, name)) || truthy(strmap_get(&c->options, option));
}

void fingerprint_drivers(struct fingerprint *f)
{
	for (const struct driver_ops *const *d = drivers; *d; d++) {
		struct driver_info *info = MODEL_NEW(f->arena, driver_info);

		(*d)->fingerprint(info, f->arena, driver_enabled(f->config, (*d)->name));
		MODEL_SET(driver_info, info, update_time, clock_now());
		objmap_set(f->arena, &f->node->drivers, (*d)->name, info);
		if (!info->detected || !info->healthy)
			continue;
		for (uint32_t i = 0; i < info->attributes.n; i++)
			fingerprint_set(f, info->attributes.v[i].key, "%s", info->attributes.v[i].value);
		/* Job files of old match "1" here, whatever the driver calls its own attribute. */
		fingerprint_set(f, arena_printf(f->arena, "driver.%s", (*d)->name), "1");
	}
}

/* ---- computed class ---- */

static uint64_t mix(uint64_t h, const char *s) /* FNV-1a, the terminating zero included */
{
	const uint8_t *p = (const uint8_t *)(s ? s : "");

	do {
		h = (h ^ *p) * UINT64_C(1099511628211);
	} while (*p++);
	return h;
}

static uint64_t mix_map(uint64_t h, const struct strmap *m)
{
	for (uint32_t i = 0; i < m->n; i++)
		if (!str_starts(m->v[i].key, "unique.") && !str_eq(m->v[i].key, "nomad.advertise.address"))
			h = mix(mix(h, m->v[i].key), m->v[i].value);
	return mix(h, "");
}

uint64_t fingerprint_class(const struct node *n)
{
	uint64_t h = UINT64_C(14695981039346656037);

	h = mix(mix(mix(h, n->datacenter), n->node_class), n->node_pool);
	return mix_map(mix_map(h, &n->attributes), &n->meta);
}

/* ---- the node ---- */

static void set_reserved(struct fingerprint *f)
{
	struct arena *a = f->arena;
	struct node_reserved *r = MODEL_NEW(a, node_reserved);

	r->cpu = MODEL_NEW(a, node_cpu);
	r->memory = MODEL_NEW(a, node_memory);
	r->disk = MODEL_NEW(a, node_disk);
	r->networks = MODEL_NEW(a, node_reserved_networks);
	MODEL_SET(node_cpu, r->cpu, cpu_shares, f->config->reserved.cpu);
	MODEL_SET(node_memory, r->memory, memory_mb, f->config->reserved.memory_mb);
	MODEL_SET(node_disk, r->disk, disk_mb, f->config->reserved.disk_mb);
	MODEL_SET(node_reserved_networks, r->networks, reserved_host_ports,
	    f->config->reserved_ports ? f->config->reserved_ports : "");
	for (size_t bit = 0; bit < 4; bit++)
		r->has |= UINT64_C(1) << bit;
	MODEL_SET(node, f->node, reserved_resources, r);
}

static void set_resources(struct fingerprint *f)
{
	struct arena *a = f->arena;
	struct node_resources *r = MODEL_NEW(a, node_resources);

	MODEL_SET(node_resources, r, cpu, MODEL_NEW(a, node_cpu));
	MODEL_SET(node_resources, r, memory, MODEL_NEW(a, node_memory));
	MODEL_SET(node_resources, r, disk, MODEL_NEW(a, node_disk));
	MODEL_SET(node_resources, r, min_dynamic_port, f->config->min_dynamic_port);
	MODEL_SET(node_resources, r, max_dynamic_port, f->config->max_dynamic_port);
	MODEL_SET(node, f->node, node_resources, r);
}

/* Reuses the caller's strings: they live as long as the client's configuration. */
static void set_identity(struct fingerprint *f)
{
	const struct client_config *c = f->config;
	struct node *n = f->node;

	MODEL_SET(node, n, datacenter, c->datacenter ? c->datacenter : "dc1");
	MODEL_SET(node, n, name, c->name ? c->name : "");
	MODEL_SET(node, n, http_addr, c->http_addr ? c->http_addr : "");
	MODEL_SET(node, n, node_class, c->node_class ? c->node_class : "");
	MODEL_SET(node, n, node_pool, str_empty(c->node_pool) ? "default" : c->node_pool);
	MODEL_SET(node, n, cgroup_parent, c->cgroup_parent ? c->cgroup_parent : "");
	if (!str_empty(c->service_name))
		fingerprint_set(f, "drover.service", "%s", c->service_name);
	for (uint32_t i = 0; i < c->meta.n; i++)
		strmap_set(f->arena, &n->meta, c->meta.v[i].key, c->meta.v[i].value);
	n->has |= MODEL_BIT(node, meta) | MODEL_BIT(node, attributes) | MODEL_BIT(node, drivers);
}

void fingerprint_set_class(struct fingerprint *f)
{
	MODEL_SET(node, f->node, computed_class,
	    arena_printf(f->arena, "v1:%llu", (unsigned long long)fingerprint_class(f->node)));
}

void fingerprint_node(struct fingerprint *f)
{
	set_identity(f);
	set_resources(f);
	set_reserved(f);
	for (size_t i = 0; i < ARRAY_LEN(probes); i++)
		probes[i](f);
	fingerprint_set_class(f);
}
