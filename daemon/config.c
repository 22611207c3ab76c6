/*
 * config: defaults, single options by name, and what follows from the rest.
 */
#include "daemon/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "daemon/config_options.h"

struct config *config_new(void)
{
	struct arena *a = arena_new();
	struct config *c = arena_alloc(a, sizeof(*c));
	cleanup_err struct err e = ERR_INIT;

	c->arena = a;
	c->given = arena_alloc(a, config_n_options * sizeof(*c->given));
	for (size_t i = 0; i < config_n_options; i++) {
		if (config_options[i].unset && option_apply(c, &config_options[i], config_options[i].unset, &e) < 0)
			die("default of %s: %s", config_options[i].name, err_str(&e));
		c->given[i] = false;
	}
	return c;
}

void config_free(struct config *c)
{
	if (c)
		arena_free(c->arena);
}

static const struct option *find(const char *name)
{
	for (size_t i = 0; i < config_n_options; i++) {
		const struct option *o = &config_options[i];
		size_t n = strlen(o->section);

		if (n ? strncmp(name, o->section, n) == 0 && name[n] == '.' && str_eq(name + n + 1, o->name) : str_eq(name, o->name))
			return o;
	}
	return NULL;
}

static bool was_set(const struct config *c, const char *name)
{
	for (uint32_t i = 0; i < c->set.n; i += 2)
		if (str_eq(c->set.v[i], name))
			return true;
	return false;
}

int config_set(struct config *c, const char *name, const char *text, struct err *e)
{
	const struct option *o = find(name);

	if (!o)
		return err_set(e, -EINVAL, "no option \"%s\"", name);
	if (o->type == OPT_LIST && !was_set(c, name))
		*(struct strs *)(void *)((char *)c + o->offset) = (struct strs){0};
	strs_push(c->arena, &c->set, name);
	strs_push(c->arena, &c->set, text);
	return option_apply(c, o, text, e);
}

bool config_given(const struct config *c, const char *name)
{
	const struct option *o = find(name);

	return o && c->given[o - config_options];
}

int config_add_meta(struct config *c, const char *pair, struct err *e)
{
	const char *eq = strchr(pair, '=');

	if (!eq || eq == pair)
		return err_set(e, -EINVAL, "-meta: expected key=value, got \"%s\"", pair);
	strs_push(c->arena, &c->set, "client.meta");
	strs_push(c->arena, &c->set, pair);
	strmap_set(c->arena, &c->client.meta, arena_strndup(c->arena, pair, (size_t)(eq - pair)), arena_strdup(c->arena, eq + 1));
	return 0;
}

/* ---- what follows from the rest ---- */

static int finish_dev(struct config *c, struct err *e)
{
	char dir[] = "/tmp/drover-dev-XXXXXX";

	c->server.enabled = c->client.enabled = true;
	if (!config_given(c, "bind_addr"))
		c->bind_addr = "127.0.0.1";
	if (!config_given(c, "server.journal"))
		c->server.journal = c->data_dir ? "file" : "memory";
	if (!config_given(c, "client.gc_disk_usage_threshold"))
		c->client.gc_disk_usage_threshold = 99;
	if (!config_given(c, "client.gc_inode_usage_threshold"))
		c->client.gc_inode_usage_threshold = 99;
	if (!strmap_get(&c->drivers_enabled, "raw_exec"))
		strmap_set(c->arena, &c->drivers_enabled, "raw_exec", "true");
	if (c->data_dir)
		return 0;
	if (!mkdtemp(dir))
		return err_set(e, -errno, "%s: %s", dir, strerror(errno));
	c->data_dir = arena_strdup(c->arena, dir);
	c->temporary_data = true;
	return 0;
}

/* The address that packets to the world would leave from; nothing is sent. */
static const char *outward_address(struct arena *a)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)}, from;
	socklen_t len = sizeof(from);
	cleanup_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char text[INET_ADDRSTRLEN];

	inet_pton(AF_INET, "192.0.2.1", &to.sin_addr);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ||
	    getsockname(fd, (struct sockaddr *)&from, &len) < 0 || !inet_ntop(AF_INET, &from.sin_addr, text, sizeof(text)))
		return "127.0.0.1";
	return arena_strdup(a, text);
}

static bool has_port(const char *host)
{
	const char *colon = strrchr(host, ':');

	return colon && (*host != '[' || colon[-1] == ']') && (strchr(host, ':') == colon || *host == '[');
}

static void finish_advertise(struct config *c)
{
	const char *host = c->advertise_http;

	if (str_empty(host)) {
		bool any = str_eq(c->bind_addr, "0.0.0.0") || str_eq(c->bind_addr, "::");

		host = any ? outward_address(c->arena) : c->bind_addr;
	}
	if (!has_port(host))
		host = arena_printf(c->arena, strchr(host, ':') && *host != '[' ? "[%s]:%d" : "%s:%d", host, c->http_port);
	c->advertise_http = host;
}

static int check_paths(struct config *c, struct err *e)
{
	const struct {
		const char *name, *path;
	} paths[] = {
	    {"data_dir", c->data_dir},
	    {"client { alloc_dir }", c->client.alloc_dir},
	    {"client { state_dir }", c->client.state_dir},
	};

	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		if (!str_empty(paths[i].path) && paths[i].path[0] != '/')
			return err_set(e, -EINVAL, "%s must be given as an absolute path: got %s", paths[i].name, paths[i].path);
	return 0;
}

static int check(struct config *c, struct err *e)
{
	if (!c->server.enabled && !c->client.enabled)
		return err_set(e, -EINVAL, "Must specify either server, client or dev mode for the agent.");
	if (str_empty(c->data_dir))
		return err_set(e, -EINVAL, "Must specify data directory: data_dir in the configuration, or -data-dir");
	bool shared = str_eq(c->server.journal, "consul");

	if (c->server.enabled && !str_eq(c->server.journal, "file") && !str_eq(c->server.journal, "memory") && !shared)
		return err_set(e, -EINVAL, "server { journal = \"%s\" }: expected \"file\", \"memory\" or \"consul\"", c->server.journal);
	if (c->server.enabled && shared && !c->consul.configured)
		return err_set(e, -EINVAL, "server { journal = \"consul\" } needs a consul {} block that says where Consul is");
	if (c->server.enabled && !shared && c->server.bootstrap_expect != 1)
		return err_set(e, -EINVAL, "server { bootstrap_expect = %d }: the \"%s\" journal is for one server", c->server.bootstrap_expect,
		    c->server.journal);
	if (c->client.enabled && !c->server.enabled && !c->client.servers.n && !(c->consul.configured && c->consul.client_auto_join))
		return err_set(e, -EINVAL, "client { servers } is empty and the agent is not a server itself; name at least one "
		    "\"host:port\", or a consul {} block through which servers are found%s",
		    c->consul.configured ? " (it has client_auto_join = false)" : "");
	if (c->client.min_dynamic_port > c->client.max_dynamic_port)
		return err_set(e, -EINVAL, "client { min_dynamic_port = %lld } is above max_dynamic_port = %lld",
		    (long long)c->client.min_dynamic_port, (long long)c->client.max_dynamic_port);
	if (c->server.job_default_priority > c->server.job_max_priority)
		return err_set(e, -EINVAL, "server { job_default_priority = %lld } is above job_max_priority = %lld",
		    (long long)c->server.job_default_priority, (long long)c->server.job_max_priority);
	if (!str_eq(c->tls.min_version, "tls12") && !str_eq(c->tls.min_version, "tls13"))
		return err_set(e, -EINVAL, "tls { tls_min_version = \"%s\" }: expected \"tls12\" or \"tls13\"", c->tls.min_version);
	if (c->tls.http && str_empty(c->tls.ca_file))
		return err_set(e, -EINVAL, "tls { http = true } needs ca_file, by which agents know each other");
	return check_paths(c, e);
}

static struct config *copy_options(const struct config *c)
{
	struct config *copy = arena_alloc(c->arena, sizeof(*copy));

	copy->arena = c->arena;
	for (size_t i = 0; i < config_n_options; i++)
		option_copy(copy, c, &config_options[i]);
	return copy;
}

int config_finish(struct config *c, struct err *e)
{
	char host[256];
	int rc;

	c->as_read = copy_options(c);
	rc = c->dev ? finish_dev(c, e) : 0;

	if (rc >= 0)
		rc = check(c, e);
	if (rc < 0)
		return rc;
	if (str_empty(c->name)) {
		if (gethostname(host, sizeof(host)) < 0)
			return err_set(e, -errno, "host name: %s; set name", strerror(errno));
		host[sizeof(host) - 1] = '\0';
		c->name = arena_strdup(c->arena, host);
	}
	if (str_empty(c->client.alloc_dir))
		c->client.alloc_dir = arena_printf(c->arena, "%s/alloc", c->data_dir);
	if (str_empty(c->client.state_dir))
		c->client.state_dir = arena_printf(c->arena, "%s/client", c->data_dir);
	if (str_empty(c->consul.kv_prefix))
		c->consul.kv_prefix = arena_printf(c->arena, "drover/%s", c->region);
	finish_advertise(c);
	return 0;
}

/* ---- reading it again ---- */

int config_read_again(const struct config *now, struct config **out, struct err *e)
{
	struct config *c = config_new();
	int rc = 0;

	for (uint32_t i = 0; i < now->paths.n && rc >= 0; i++)
		rc = config_read(c, now->paths.v[i], e);
	for (uint32_t i = 0; i < now->set.n && rc >= 0; i += 2)
		rc = str_eq(now->set.v[i], "client.meta") ? config_add_meta(c, now->set.v[i + 1], e)
		                                          : config_set(c, now->set.v[i], now->set.v[i + 1], e);
	if (rc < 0)
		config_free(c);
	else
		*out = c;
	return rc;
}

void config_take_changes(struct config *now, const struct config *next, config_told_fn *told, void *arg)
{
	struct config *was = (struct config *)now->as_read; /* in the arena of now */

	for (size_t i = 0; i < config_n_options; i++) {
		const struct option *o = &config_options[i];
		cleanup_buf struct buf name = BUF_INIT, old = BUF_INIT, new = BUF_INIT;

		option_put_value(&old, was, o);
		option_put_value(&new, next, o);
		if (str_eq(old.data, new.data))
			continue;
		option_put_name(&name, o);
		if (o->live) {
			option_copy(was, next, o);
			option_copy(now, next, o);
		}
		told(arg, name.data, o->secret ? "(a secret)" : new.data, o->live);
	}
}

void config_list(struct buf *out)
{
	for (size_t i = 0; i < config_n_options; i++) {
		const struct option *o = &config_options[i];

		buf_printf(out, "%s%s%s\t%s\t%s\t%s\n", o->section, *o->section ? "." : "", o->name, option_type_name(o->type),
		    o->unset ? o->unset : "", o->help);
	}
}
