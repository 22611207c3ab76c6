#include "agent/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include "base/file.h"

/* The v1 controllers that a task's group is made in. The first two are needed, the others are welcome. */
static const char *const v1_controllers[] = {"memory", "cpuacct", "cpu", "freezer"};

static bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

static int put_file(const char *folder, const char *name, const char *text)
{
	cleanup_free char *path = path_join(folder, name);
	cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static int get_file(const char *folder, const char *name, struct buf *out)
{
	cleanup_free char *path = path_join(folder, name);
	int r = file_read(path, 65536, out, NULL);

	return r < 0 ? r : out->len ? 0 : -ENODATA;
}

/* "key 123" lines; 0 when the key is not there. */
static int64_t keyed(const struct buf *text, const char *key)
{
	size_t n = strlen(key);

	for (const char *p = text->len ? text->data : NULL; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
		if (strncmp(p, key, n) == 0 && p[n] == ' ')
			return strtoll(p + n, NULL, 10);
	return 0;
}

static int64_t number(const char *folder, const char *name)
{
	cleanup_buf struct buf text = BUF_INIT;

	return get_file(folder, name, &text) < 0 ? 0 : strtoll(text.data, NULL, 10);
}

/* Where systemd put us, as seen from the v2 root: "/system.slice/drover.service". "" at the top. */
static void own_group(char *out, size_t size)
{
	cleanup_buf struct buf text = BUF_INIT;

	out[0] = 0;
	if (file_read("/proc/self/cgroup", 65536, &text, NULL) < 0 || !text.len)
		return;
	char *line = strncmp(text.data, "0::", 3) == 0 ? text.data : strstr(text.data, "\n0::");

	if (!line)
		return;
	line = strchr(line, '/');
	if (line)
		snprintf(out, size, "%.*s", (int)strcspn(line, "\n"), strcmp(line, "/\n") ? line : "");
}

/* A group may have children with controllers only when it holds no process itself: the agent moves into a leaf. */
static void enable_v2(struct cgroup_host *h, const char *folder)
{
	static const char *const wanted[] = {"+cpu", "+memory", "+pids"};

	for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
		put_file(folder, "cgroup.subtree_control", wanted[i]);
	cleanup_buf struct buf text = BUF_INIT;

	if (get_file(folder, "cgroup.subtree_control", &text) == 0)
		h->limits = strstr(text.data, "memory") && strstr(text.data, "cpu");
}

static bool try_v2(struct cgroup_host *h, const char *root, const char *parent)
{
	char own[200];

	cleanup_free char *controllers = path_join(root, "cgroup.controllers");

	if (!exists(controllers))
		return false;
	own_group(own, sizeof(own));
	/* With a delegated subtree (systemd's Delegate=yes) our groups are below our own, else at the top. */
	const char *places[] = {"", own};

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		cleanup_free char *name = xasprintf("%s%s%s", places[i] + (*places[i] == '/'), *places[i] ? "/" : "", parent);
		cleanup_free char *folder = path_join(root, name);

		if (mkdir(folder, 0755) < 0 && errno != EEXIST)
			continue;
		cleanup_free char *procs = path_join(folder, "cgroup.procs");

		if (access(procs, W_OK) < 0)
			continue;
		snprintf(h->root, sizeof(h->root), "%s", root);
		snprintf(h->parent, sizeof(h->parent), "%s", name);
		h->version = CGROUP_V2;
		cleanup_free char *above = xasprintf("%s/%s", root, places[i] + (*places[i] == '/'));

		enable_v2(h, above);
		enable_v2(h, folder);
		return true;
	}
	return false;
}

static bool try_v1(struct cgroup_host *h, const char *root, const char *parent)
{
	for (size_t i = 0; i < ARRAY_LEN(v1_controllers); i++) {
		cleanup_free char *folder = xasprintf("%s/%s/%s", root, v1_controllers[i], parent);
		cleanup_free char *procs = path_join(folder, "cgroup.procs");
		bool made = mkdir(folder, 0755) == 0 || errno == EEXIST;

		if (i < 2 && (!made || access(procs, W_OK) < 0))
			return false;
	}
	snprintf(h->root, sizeof(h->root), "%s", root);
	snprintf(h->parent, sizeof(h->parent), "%s", parent);
	h->version = CGROUP_V1;
	h->limits = true;
	return true;
}

void cgroup_detect(struct cgroup_host *h, const char *root, const char *parent)
{
	memset(h, 0, sizeof(*h));
	cleanup_free char *unified = path_join(root, "unified");
	cleanup_free char *controllers = path_join(root, "cgroup.controllers");
	const char *name = str_empty(parent) ? NULL : parent + (*parent == '/');

	if (exists(controllers)) {
		if (try_v2(h, root, name ? name : "drover.slice"))
			return;
	}
	/* Hybrid: v1 has the controllers, v2 is there without them and would account for nothing. */
	if (try_v1(h, root, name ? name : "drover"))
		return;
	if (!try_v2(h, unified, name ? name : "drover.slice"))
		h->version = CGROUP_NONE;
}

const char *cgroup_version_name(enum cgroup_version v)
{
	static const char *const names[] = {"none", "v1", "v2"};

	return names[v];
}

static char *task_folder(const struct cgroup_host *h, const char *controller, const char *alloc_id, const char *task)
{
	char clean[160];
	size_t n = 0;

	for (const char *p = task; *p && n < sizeof(clean) - 1; p++)
		clean[n++] = *p == '/' ? '_' : *p;
	clean[n] = 0;
	return xasprintf("%s%s%s/%s/%s.%s.scope", h->root, controller ? "/" : "", controller ? controller : "", h->parent,
	    alloc_id, clean);
}

static int make_folder(const char *folder, struct err *e)
{
	if (mkdir(folder, 0755) < 0 && errno != EEXIST)
		return err_set(e, -errno, "cannot make the cgroup %s: %s", folder, strerror(errno));
	return 0;
}

/* Shares follow Nomad's convention: one MHz is one share; v2's weight is the kernel's own conversion of it. */
static void set_limits(const struct cgroup_host *h, const char *cpu_folder, const char *memory_folder,
    const struct keeper_limits *l)
{
	char text[32];
	bool v2 = h->version == CGROUP_V2;
	int64_t shares = MAX(l->cpu_mhz, 2), memory = l->memory_max_mb > 0 ? l->memory_max_mb : l->memory_mb;

	shares = MIN(shares, 262144);
	snprintf(text, sizeof(text), "%lld", (long long)(v2 ? 1 + (shares - 2) * 9999 / 262142 : shares));
	put_file(cpu_folder, v2 ? "cpu.weight" : "cpu.shares", text);
	if (memory > 0) {
		snprintf(text, sizeof(text), "%lld", (long long)memory << 20);
		put_file(memory_folder, v2 ? "memory.max" : "memory.limit_in_bytes", text);
	}
}

int cgroup_make(const struct cgroup_host *h, const char *alloc_id, const char *task, const struct keeper_limits *limits,
    struct keeper_spec *spec, struct arena *a, struct err *e)
{
	cleanup_free char *cpu = NULL, *memory = NULL;
	uint32_t n = 0;

	if (h->version == CGROUP_NONE)
		return 0;
	if (h->version == CGROUP_V2) {
		memory = task_folder(h, NULL, alloc_id, task);
		int r = make_folder(memory, e);

		if (r < 0)
			return r;
		spec->cgroup_procs[n++] = arena_printf(a, "%s/cgroup.procs", memory);
	}
	for (size_t i = 0; h->version == CGROUP_V1 && i < ARRAY_LEN(v1_controllers); i++) {
		cleanup_free char *folder = task_folder(h, v1_controllers[i], alloc_id, task);
		int r = make_folder(folder, i < 2 ? e : NULL);

		if (r < 0 && i < 2)
			return r;
		if (r < 0)
			continue;
		spec->cgroup_procs[n++] = arena_printf(a, "%s/cgroup.procs", folder);
		if (str_eq(v1_controllers[i], "memory"))
			memory = xstrdup(folder);
		if (str_eq(v1_controllers[i], "cpu"))
			cpu = xstrdup(folder);
	}
	spec->cgroup = arena_strdup(a, memory);
	if (limits && h->limits)
		set_limits(h, cpu ? cpu : memory, memory, limits);
	return 0;
}

/* Calls fn for each folder of the task; returns the first error. */
static int each_folder(const struct cgroup_host *h, const char *alloc_id, const char *task, int (*fn)(const char *folder))
{
	int first = 0;

	if (h->version == CGROUP_NONE)
		return 0;
	for (size_t i = 0; i < (h->version == CGROUP_V1 ? ARRAY_LEN(v1_controllers) : 1); i++) {
		cleanup_free char *folder =
		    task_folder(h, h->version == CGROUP_V1 ? v1_controllers[i] : NULL, alloc_id, task);
		int r = fn(folder);

		if (r < 0 && !first)
			first = r;
	}
	return first;
}

static int remove_folder(const char *folder)
{
	return rmdir(folder) < 0 && errno != ENOENT ? -errno : 0;
}

static int kill_folder(const char *folder)
{
	cleanup_buf struct buf procs = BUF_INIT;

	if (put_file(folder, "cgroup.kill", "1") == 0 || get_file(folder, "cgroup.procs", &procs) < 0)
		return 0;
	for (char *rest = procs.data, *line; (line = strsep(&rest, "\n"));)
		if (atoi(line) > 1)
			kill(atoi(line), SIGKILL);
	return 0;
}

int cgroup_remove(const struct cgroup_host *h, const char *alloc_id, const char *task)
{
	return each_folder(h, alloc_id, task, remove_folder);
}

void cgroup_kill(const struct cgroup_host *h, const char *alloc_id, const char *task)
{
	each_folder(h, alloc_id, task, kill_folder);
}

static int usage_v2(const char *folder, struct cgroup_usage *u)
{
	cleanup_buf struct buf cpu = BUF_INIT, memory = BUF_INIT;

	if (get_file(folder, "cpu.stat", &cpu) < 0)
		return -ENOENT;
	u->cpu_user = keyed(&cpu, "user_usec") * 1000;
	u->cpu_system = keyed(&cpu, "system_usec") * 1000;
	u->throttled_periods = keyed(&cpu, "nr_throttled");
	u->throttled_time = keyed(&cpu, "throttled_usec") * 1000;
	if (get_file(folder, "memory.stat", &memory) < 0)
		return -ENOENT; /* no memory controller here: /proc knows better */
	u->memory_usage = number(folder, "memory.current");
	u->memory_max = number(folder, "memory.peak");
	u->memory_swap = number(folder, "memory.swap.current");
	u->memory_rss = keyed(&memory, "anon");
	u->memory_cache = keyed(&memory, "file");
	return 0;
}

static int usage_v1(const struct cgroup_host *h, const char *alloc_id, const char *task, struct cgroup_usage *u)
{
	cleanup_free char *cpuacct = task_folder(h, "cpuacct", alloc_id, task);
	cleanup_free char *memory = task_folder(h, "memory", alloc_id, task);
	cleanup_free char *cpu = task_folder(h, "cpu", alloc_id, task);
	cleanup_buf struct buf text = BUF_INIT, stat = BUF_INIT, quota = BUF_INIT;
	int64_t tick = SECOND / sysconf(_SC_CLK_TCK);

	if (get_file(cpuacct, "cpuacct.stat", &text) < 0 || get_file(memory, "memory.stat", &stat) < 0)
		return -ENOENT;
	u->cpu_user = keyed(&text, "user") * tick;
	u->cpu_system = keyed(&text, "system") * tick;
	if (get_file(cpu, "cpu.stat", &quota) == 0) {
		u->throttled_periods = keyed(&quota, "nr_throttled");
		u->throttled_time = keyed(&quota, "throttled_time");
	}
	u->memory_usage = number(memory, "memory.usage_in_bytes");
	u->memory_max = number(memory, "memory.max_usage_in_bytes");
	u->memory_rss = keyed(&stat, "rss");
	u->memory_cache = keyed(&stat, "cache");
	u->memory_swap = keyed(&stat, "swap");
	return 0;
}

int cgroup_usage(const struct cgroup_host *h, const char *alloc_id, const char *task, struct cgroup_usage *out)
{
	struct cgroup_usage u = {0};
	int r = -ENOENT;

	if (h->version == CGROUP_V2) {
		cleanup_free char *folder = task_folder(h, NULL, alloc_id, task);

		r = usage_v2(folder, &u);
	} else if (h->version == CGROUP_V1) {
		r = usage_v1(h, alloc_id, task, &u);
	}
	if (r == 0)
		*out = u;
	return r;
}
