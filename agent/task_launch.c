#include "agent/task_launch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "agent/alloc_dir.h"
#include "agent/alloc_run.h"
#include "agent/driver.h"
#include "agent/task_env.h"
#include "base/log.h"

#define CHECKED_DRIVERS     "exec,qemu,java" /* drivers whose tasks may not run as ... */
#define DENIED_USERS        "root,Administrator"
#define LOG_FILES_DEFAULT   10
#define LOG_FILE_MB_DEFAULT 10

/* ---- what this client can do ---- */

static bool has_network(const struct task_group *g)
{
	OBJS_EACH(&g->networks, struct network, n) {
		if (!str_empty(n->mode) && !str_eq(n->mode, "host"))
			return true;
	}
	return false;
}

static bool has_connect(const struct task_group *g)
{
	OBJS_EACH(&g->services, struct service, s) {
		if (s->connect)
			return true;
	}
	return false;
}

/* What a job file can ask for and this version does not do. A task that needs it must not run without it. */
static int check_wishes(const struct task *t, const struct task_group *g, struct err *e)
{
	const struct {
		bool wanted;
		const char *sentence;
	} wishes[] = {
		{ t->artifacts.n > 0, "artifact blocks are not supported yet by this client" },
		{ t->templates.n > 0, "template blocks are not supported yet by this client" },
		{ t->volume_mounts.n > 0 || g->volumes.n > 0,
		    "volume and volume_mount blocks are not supported yet by this client" },
		{ t->vault != NULL, "vault blocks are not supported yet by this client" },
		{ t->dispatch_payload && !str_empty(t->dispatch_payload->file),
		    "dispatch_payload blocks are not supported yet by this client" },
		{ t->secrets.n > 0, "secret blocks are not supported yet by this client" },
		{ t->identity || t->identities.n > 0, "identity blocks are not supported yet by this client" },
		{ t->schedule != NULL, "schedule blocks are not supported yet by this client" },
		{ t->csi_plugin_config != NULL, "csi_plugin blocks are not supported yet by this client" },
		{ t->resources && t->resources->devices.n > 0, "device blocks are not supported yet by this client" },
		{ t->resources && t->resources->cores > 0,
		    "resources { cores } are not supported yet by this client; use cpu" },
		{ has_network(g), "network modes other than \"host\" are not supported yet by this client" },
		{ has_connect(g), "connect blocks are not supported yet by this client" },
		{ g->max_run_duration > 0, "max_run_duration is not supported yet by this client" },
	};

	for (size_t i = 0; i < ARRAY_LEN(wishes); i++)
		if (wishes[i].wanted)
			return err_set(e, -ENOTSUP, "%s", wishes[i].sentence);
	return 0;
}

static int check_driver(const char *name, const struct node *node, struct err *e)
{
	const struct driver_info *info = node ? objmap_get(&node->drivers, name ? name : "") : NULL;
	struct buf have cleanup_buf = BUF_INIT;

	if (driver_find(name ? name : "") && info && info->detected && info->healthy)
		return 0;
	for (uint32_t i = 0; node && i < node->drivers.n; i++) {
		const struct driver_info *d = node->drivers.v[i].value;

		if (d->detected && d->healthy)
			buf_printf(&have, "%s%s", have.len ? ", " : "", node->drivers.v[i].key);
	}
	return err_set(e, -ENOTSUP, "driver \"%s\" is not available on this client%s; available: %s", name ? name : "",
	    driver_find(name ? name : "") ? ": it is not enabled or not healthy" : "", have.len ? have.data : "none");
}

int task_launch_check(const struct task *def, const struct task_group *g, const struct node *node, struct err *e)
{
	int r = check_wishes(def, g, e);

	return r ? r : check_driver(def->driver, node, e);
}

/* options { "user.denylist" = "root,...", "user.checked_drivers" = "exec,..." } */
static int check_user(const struct task *def, const struct client_config *c, struct err *e)
{
	const char *checked = strmap_get(&c->options, "user.checked_drivers"), *denied = strmap_get(&c->options, "user.denylist");

	if (str_empty(def->user) || !client_option_lists(checked ? checked : CHECKED_DRIVERS, def->driver ? def->driver : "") ||
	    !client_option_lists(denied ? denied : DENIED_USERS, def->user))
		return 0;
	return err_set(e, -EPERM, "running as user \"%s\" is disallowed: the client's option user.denylist names it", def->user);
}

/* ---- ports ---- */

static int probe(const char *ip, int64_t port, const char *label, struct err *e)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };
	bool is_v6 = inet_pton(AF_INET6, ip, &v6.sin6_addr) == 1;
	const int on = 1;

	if (!is_v6 && inet_pton(AF_INET, ip, &v4.sin_addr) != 1)
		v4.sin_addr.s_addr = htonl(INADDR_ANY);
	cleanup_close int fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* Connections of an earlier task that linger in TIME_WAIT do not count. */
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return 0;
	int r = is_v6 ? bind(fd, (struct sockaddr *)(void *)&v6, sizeof(v6))
	              : bind(fd, (struct sockaddr *)(void *)&v4, sizeof(v4));

	if (r < 0 && errno == EADDRINUSE)
		return err_set(e, -EADDRINUSE, "port %lld (\"%s\") is already in use on this machine by something that is not an "
		    "allocation", (long long)port, label);
	return 0; /* other failures (a privileged port, an address that comes later) are the task's to see */
}

static int probe_network(const struct network *n, const char *bind_ip, struct err *e)
{
	const struct objs *lists[] = { &n->reserved_ports, &n->dynamic_ports };

	for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
		OBJS_EACH(lists[l], struct port, p) {
			if (p->value > 0 && p->value < 65536 && !p->ignore_collision &&
			    probe(str_empty(n->ip) ? bind_ip : n->ip, p->value, p->label, e) < 0)
				return -EADDRINUSE;
		}
	}
	return 0;
}

int task_launch_probe_ports(const struct allocation *a, const char *bind_ip, struct err *e)
{
	const struct allocated_resources *r = a->allocated_resources;

	bind_ip = bind_ip ? bind_ip : "";
	if (!r)
		return 0;
	if (r->shared && r->shared->ports.n) {
		OBJS_EACH(&r->shared->ports, struct alloc_port, p) {
			if (p->value > 0 && p->value < 65536 && !p->ignore_collision &&
			    probe(str_empty(p->host_ip) ? bind_ip : p->host_ip, p->value, p->label, e) < 0)
				return -EADDRINUSE;
		}
	} else if (r->shared) {
		OBJS_EACH(&r->shared->networks, struct network, n) {
			if (probe_network(n, bind_ip, e) < 0)
				return -EADDRINUSE;
		}
	}
	for (uint32_t i = 0; i < r->tasks.n; i++) {
		const struct alloc_task_resources *t = r->tasks.v[i].value;

		OBJS_EACH(&t->networks, struct network, n) {
			if (probe_network(n, bind_ip, e) < 0)
				return -EADDRINUSE;
		}
	}
	return 0;
}

/* ---- start ---- */

bool task_launch_may_work_later(int code)
{
	static const int passing[] = { ENOMEM, EAGAIN, EMFILE, ENFILE, ENOSPC, EDQUOT, EINTR, ETXTBSY, EIO, EBUSY };

	for (size_t i = 0; i < ARRAY_LEN(passing); i++)
		if (code == -passing[i])
			return true;
	return false;
}

static void build_env(const struct task_run *t, const struct alloc_paths *paths, struct arena *a, struct strmap *out)
{
	const struct alloc_run *al = t->alloc;
	const struct client_config *c = al->host->config;
	const char *denylist = strmap_get(&c->options, "env.denylist");
	const struct task_env_source src = {
		.alloc = al->model,
		.job = al->job->job,
		.group = al->group,
		.task = t->def,
		.node = al->host->node,
		.region = c->region,
		.alloc_dir = paths->shared,
		.task_dir = paths->local,
		.secrets_dir = paths->secrets,
		.parent_cgroup = al->host->cgroups->version == CGROUP_NONE ? "" : al->host->cgroups->parent,
		.bind_ip = c->bind_ip,
		.host_env = (const char *const *)environ,
		.env_denylist = denylist ? denylist : strmap_get(&c->options, "env.blacklist"),
	};

	task_env_build(&src, a, out);
}

/* The resources that the servers granted, in the form drivers read. */
static struct resources *granted(const struct task_run *t, struct arena *a)
{
	const struct allocated_resources *r = t->alloc->model->allocated_resources;
	const struct alloc_task_resources *own = r ? objmap_get(&r->tasks, t->name) : NULL;
	struct resources *out = MODEL_NEW(a, resources);

	if (own && own->cpu)
		MODEL_SET(resources, out, cpu, own->cpu->cpu_shares);
	if (own && own->memory) {
		MODEL_SET(resources, out, memory_mb, own->memory->memory_mb);
		MODEL_SET(resources, out, memory_max_mb, own->memory->memory_max_mb);
	}
	return out;
}

static void set_logs(const struct task_run *t, const struct alloc_paths *paths, struct arena *a, struct keeper_spec *spec)
{
	const struct log_config *l = t->def->log_config;

	spec->log_folder = arena_strdup(a, paths->logs);
	spec->log_names[0] = arena_printf(a, "%s.stdout", t->name);
	spec->log_names[1] = arena_printf(a, "%s.stderr", t->name);
	spec->max_files = l && l->max_files > 0 ? l->max_files : LOG_FILES_DEFAULT;
	spec->max_file_size = (l && l->max_file_size_mb > 0 ? l->max_file_size_mb : LOG_FILE_MB_DEFAULT) << 20;
	spec->logs_disabled = l && l->disabled;
}

/* The driver's config with its variables replaced, found valid. */
static int read_config(const struct task_run *t, const struct strmap *env, struct arena *a, struct value **out, struct err *e)
{
	*out = task_env_expand_value(env, t->alloc->host->node, t->def->config, a);
	return driver_find(t->def->driver)->validate(*out, e);
}

static int prepare(struct task_run *t, const struct alloc_paths *paths, const struct strmap *env,
    const struct value *config, struct arena *a, struct keeper_spec *spec, struct err *e)
{
	const struct driver_task dt = {
		.alloc_id = t->alloc->id,
		.task_name = t->name,
		.user = str_empty(t->def->user) ? NULL : t->def->user,
		.task = t->def,
		.config = config,
		.env = env,
		.task_dir = paths->task,
		.resources = granted(t, a),
	};
	int r = driver_find(t->def->driver)->prepare(&dt, spec, a, e);

	if (r)
		return r;
	spec->user = dt.user;
	spec->open_files = t->alloc->host->config->task_files;
	if (!spec->work_dir)
		spec->work_dir = paths->task;
	set_logs(t, paths, a, spec);
	return 0;
}

/* For a kill that misses nothing and for accounting, without which a task runs all the same; and for the memory limit
 * where the client's options want one, without which it does not. */
static int make_cgroup(const struct task_run *t, struct keeper_spec *spec, struct arena *a, struct err *e)
{
	const char *option = arena_printf(a, "driver.%s.memory_limit", t->def->driver);
	const struct resources *r = granted(t, a);
	const struct cgroup_limits limits = {
		.cpu_mhz = r->cpu,
		.memory_mb = r->memory_max_mb > 0 ? r->memory_max_mb : r->memory_mb,
	};
	bool limited = str_eq(strmap_get(&t->alloc->host->config->options, option), "true");
	int code = cgroup_make(t->alloc->host->cgroups, t->alloc->id, t->name, limited ? &limits : NULL, spec, a, e);

	if (code < 0 && !limited) {
		log_debug("client", "allocation %.8s: task \"%s\" runs without a cgroup: %s", t->alloc->id, t->name, err_str(e));
		err_clear(e);
		return 0;
	}
	return code;
}

static int launch_in(struct task_run *t, const struct alloc_paths *paths, keeper_fn *fn, struct keeper **out,
    enum task_event_kind *what, struct err *e)
{
	struct arena *a cleanup_arena = arena_new();
	struct keeper_spec spec = { 0 };
	struct strmap env;
	struct value *config;
	int r;

	*what = EVENT_SETUP_FAILURE;
	if ((r = task_launch_check(t->def, t->alloc->group, t->alloc->host->node, e)) ||
	    (r = check_user(t->def, t->alloc->host->config, e)) || (r = alloc_dir_make_task(paths, t->def->user, e)))
		return r;
	build_env(t, paths, a, &env);
	*what = EVENT_VALIDATION;
	if ((r = read_config(t, &env, a, &config, e)))
		return r;
	*what = EVENT_DRIVER_FAILURE;
	if ((r = prepare(t, paths, &env, config, a, &spec, e)) || (r = make_cgroup(t, &spec, a, e)))
		return r;
	return keeper_start(t->alloc->host->base, t->record, t->starts, &spec, fn, t, out, e);
}

int task_launch(struct task_run *t, keeper_fn *fn, struct keeper **out, enum task_event_kind *what, struct err *e)
{
	struct alloc_paths paths = { 0 };

	*what = EVENT_SETUP_FAILURE;
	int r = alloc_paths_init(&paths, t->alloc->host->config->alloc_dir, t->alloc->id, t->name, e);

	if (r == 0)
		r = launch_in(t, &paths, fn, out, what, e);
	alloc_paths_free(&paths);
	return r;
}

static int context_in(struct task_run *t, const struct alloc_paths *paths, struct arena *a, struct keeper_spec *spec,
    struct err *e)
{
	struct strmap env;
	struct value *config;
	int r;

	build_env(t, paths, a, &env);
	if ((r = read_config(t, &env, a, &config, e)) || (r = prepare(t, paths, &env, config, a, spec, e)) ||
	    (r = make_cgroup(t, spec, a, e)))
		return r;
	spec->work_dir = arena_strdup(a, spec->work_dir);
	return 0;
}

int task_launch_context(struct task_run *t, struct arena *a, struct keeper_spec *spec, struct err *e)
{
	struct alloc_paths paths = { 0 };
	int r = alloc_paths_init(&paths, t->alloc->host->config->alloc_dir, t->alloc->id, t->name, e);

	if (r == 0)
		r = context_in(t, &paths, a, spec, e);
	alloc_paths_free(&paths);
	return r;
}

void task_launch_clean(struct task_run *t)
{
	const struct cgroup_host *h = t->alloc->host->cgroups;

	if (cgroup_remove(h, t->alloc->id, t->name) == -EBUSY)
		cgroup_kill(h, t->alloc->id, t->name);
}
