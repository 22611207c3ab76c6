#include "agent/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include "base/file.h"

enum { V2 = 1, MEMORY = 2, ACCT = 4, CPU = 8 };

static const struct {
	const char *name; /* below the root */
	unsigned has;
} v1_trees[] = {{"memory", MEMORY}, {"cpuacct", ACCT}, {"cpu", CPU}};

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

/* ---- what there is ---- */

/* Where systemd put us, as seen from the v2 root: "system.slice/drover.service"; "" at the top. Owned. */
static char *own_group(void)
{
	cleanup_buf struct buf text = BUF_INIT;

	if (file_read("/proc/self/cgroup", 65536, &text, NULL) < 0 || !text.len)
		return xstrdup("");
	char *line = strncmp(text.data, "0::/", 4) == 0 ? text.data + 4 : strstr(text.data, "\n0::/");

	if (!line)
		return xstrdup("");
	line += *line == '\n' ? 5 : 0;
	return xstrndup(line, strcspn(line, "\n"));
}

/* Controllers for the groups below folder. A group that holds processes cannot pass them on (but for the root), so that
 * an agent in its own delegated group first moves into a leaf of it. */
static void enable_v2(const char *folder)
{
	static const char *const wanted[] = {"+cpu", "+memory", "+pids"};

	for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
		put_file(folder, "cgroup.subtree_control", wanted[i]);
}

static void move_to_leaf(const char *own)
{
	cleanup_free char *leaf = path_join(own, "agent");

	if (mkdir(leaf, 0755) == 0 || errno == EEXIST)
		put_file(leaf, "cgroup.procs", "0");
}

static bool make_parent(struct cgroup_host *h, const char *root, const char *parent, unsigned has)
{
	cleanup_free char *folder = path_join(root, parent), *procs = path_join(folder, "cgroup.procs");

	if ((mkdir(folder, 0755) < 0 && errno != EEXIST) || access(procs, W_OK) < 0)
		return false;
	struct cgroup_tree *t = &h->trees[h->n++];

	snprintf(t->folder, sizeof(t->folder), "%s", folder);
	t->has = has;
	return true;
}

static bool try_v2(struct cgroup_host *h, const char *root, const char *parent)
{
	cleanup_free char *mark = path_join(root, "cgroup.controllers"), *own = own_group(), *below = path_join(root, own);
	const struct {
		const char *folder;
		bool delegated;
	} places[] = {{root, false}, {below, true}};

	if (!exists(mark))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		if (!make_parent(h, places[i].folder, parent, V2))
			continue;
		struct cgroup_tree *t = &h->trees[h->n - 1];
		cleanup_buf struct buf text = BUF_INIT;

		if (places[i].delegated && *own)
			move_to_leaf(places[i].folder);
		enable_v2(places[i].folder);
		enable_v2(t->folder);
		if (get_file(t->folder, "cgroup.subtree_control", &text) == 0) {
			t->has |= strstr(text.data, "memory") ? MEMORY : 0;
			t->has |= strstr(text.data, "cpu") ? CPU : 0;
		}
		return true;
	}
	return false;
}

/* cpu and cpuacct are often one hierarchy with two names. */
static bool is_same_folder(const char *a, const char *b)
{
	struct stat x, y;

	return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static void try_v1(struct cgroup_host *h, const char *root, const char *parent)
{
	for (size_t i = 0; i < ARRAY_LEN(v1_trees) && h->n < CGROUP_TREES; i++) {
		cleanup_free char *top = path_join(root, v1_trees[i].name);

		if (!exists(top) || !make_parent(h, top, parent, v1_trees[i].has))
			continue;
		for (uint32_t k = 0; k + 1 < h->n; k++) {
			if (is_same_folder(h->trees[k].folder, h->trees[h->n - 1].folder)) {
				h->trees[k].has |= v1_trees[i].has;
				h->n--;
				break;
			}
		}
	}
}

static unsigned all_bits(const struct cgroup_host *h)
{
	unsigned has = 0;

	for (uint32_t i = 0; i < h->n; i++)
		has |= h->trees[i].has;
	return has;
}

void cgroup_detect(struct cgroup_host *h, const char *root, const char *parent)
{
	cleanup_free char *unified = path_join(root, "unified");
	const char *name = str_empty(parent) ? NULL : parent + (*parent == '/');

	*h = (struct cgroup_host){0};
	snprintf(h->parent, sizeof(h->parent), "%s", name ? name : "drover.slice");
	if (!try_v2(h, root, h->parent)) {
		if (!name)
			snprintf(h->parent, sizeof(h->parent), "drover");
		try_v2(h, unified, h->parent);
		try_v1(h, root, h->parent);
	}
	unsigned has = all_bits(h);

	h->limits = (has & MEMORY) && (has & CPU);
	h->version = has & V2 ? CGROUP_V2 : (has & MEMORY) && (has & ACCT) ? CGROUP_V1 : CGROUP_NONE;
	if (h->version == CGROUP_NONE)
		h->n = 0;
}

/* ---- groups of a task ---- */

static char *task_folder(const struct cgroup_tree *t, const char *alloc_id, const char *task)
{
	return xasprintf("%s/%s.%.150s.scope", t->folder, alloc_id, task);
}

/* Whether a task enters this tree. */
static bool is_used(const struct cgroup_host *h, const struct cgroup_tree *t, const struct cgroup_limits *limits)
{
	if (t->has & V2)
		return true;
	if (limits && t->has & (MEMORY | CPU))
		return true;
	return h->version == CGROUP_V1 && t->has & (MEMORY | ACCT);
}

/* One MHz is one share; v2's weight is the kernel's own conversion of shares. */
static int set_limits(const struct cgroup_tree *t, const char *folder, const struct cgroup_limits *l, struct err *e)
{
	bool v2 = t->has & V2;
	int64_t shares = MIN(MAX(l->cpu_mhz, 2), 262144);
	char text[32];
	int r = 0;

	if (t->has & CPU && l->cpu_mhz > 0) {
		snprintf(text, sizeof(text), "%lld", (long long)(v2 ? 1 + (shares - 2) * 9999 / 262142 : shares));
		put_file(folder, v2 ? "cpu.weight" : "cpu.shares", text);
	}
	if (t->has & MEMORY && l->memory_mb > 0) {
		snprintf(text, sizeof(text), "%lld", (long long)l->memory_mb << 20);
		r = put_file(folder, v2 ? "memory.max" : "memory.limit_in_bytes", text);
		/* Swap would only put the end off; where it is not accounted there is no such file. */
		if (v2)
			put_file(folder, "memory.swap.max", "0");
		else
			put_file(folder, "memory.memsw.limit_in_bytes", text);
	}
	return r < 0 ? err_set(e, r, "cannot limit memory in %s: %s", folder, strerror(-r)) : 0;
}

static int make_one(const struct cgroup_tree *t, const char *folder, const struct cgroup_limits *limits,
    struct keeper_spec *spec, uint32_t *n, struct arena *a, struct err *e)
{
	/* A fresh one, so that its counts are this run's; one that cannot be removed yet is used as it is. */
	if (mkdir(folder, 0755) < 0 && (errno != EEXIST || (rmdir(folder) == 0 && mkdir(folder, 0755) < 0)))
		return err_set(e, -errno, "cannot make the cgroup %s: %s", folder, strerror(errno));
	if (t->has & V2)
		spec->cgroup = arena_strdup(a, folder);
	else
		spec->cgroup_procs[(*n)++] = arena_printf(a, "%s/cgroup.procs", folder);
	if (t->has & MEMORY)
		spec->cgroup_oom = arena_printf(a, "%s/%s", folder, t->has & V2 ? "memory.events" : "memory.oom_control");
	return limits ? set_limits(t, folder, limits, e) : 0;
}

int cgroup_make(const struct cgroup_host *h, const char *alloc_id, const char *task, const struct cgroup_limits *limits,
    struct keeper_spec *spec, struct arena *a, struct err *e)
{
	uint32_t n = 0;

	if (limits && !h->limits)
		return err_set(e, -ENOTSUP, "limits of cpu and memory need cgroups that this agent can write, with the cpu and "
		    "memory controllers");
	for (uint32_t i = 0; i < h->n; i++) {
		cleanup_free char *folder = task_folder(&h->trees[i], alloc_id, task);
		int r = is_used(h, &h->trees[i], limits) ? make_one(&h->trees[i], folder, limits, spec, &n, a, e) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

int cgroup_remove(const struct cgroup_host *h, const char *alloc_id, const char *task)
{
	int first = 0;

	for (uint32_t i = 0; i < h->n; i++) {
		cleanup_free char *folder = task_folder(&h->trees[i], alloc_id, task);

		if (rmdir(folder) < 0 && errno != ENOENT && !first)
			first = -errno;
	}
	return first;
}

void cgroup_kill(const struct cgroup_host *h, const char *alloc_id, const char *task)
{
	for (uint32_t i = 0; i < h->n; i++) {
		cleanup_free char *folder = task_folder(&h->trees[i], alloc_id, task);
		cleanup_buf struct buf procs = BUF_INIT;

		if (put_file(folder, "cgroup.kill", "1") == 0 || get_file(folder, "cgroup.procs", &procs) < 0)
			continue;
		for (char *rest = procs.data, *line; (line = strsep(&rest, "\n"));)
			if (atoi(line) > 1)
				kill(atoi(line), SIGKILL);
	}
}

/* ---- use ---- */

static void cpu_v2(const char *folder, struct cgroup_usage *u)
{
	cleanup_buf struct buf text = BUF_INIT;

	if (get_file(folder, "cpu.stat", &text) < 0)
		return;
	u->has_cpu = true;
	u->cpu_user = keyed(&text, "user_usec") * 1000;
	u->cpu_system = keyed(&text, "system_usec") * 1000;
	u->throttled_periods = keyed(&text, "nr_throttled");
	u->throttled_time = keyed(&text, "throttled_usec") * 1000;
}

static void memory_v2(const char *folder, struct cgroup_usage *u)
{
	cleanup_buf struct buf text = BUF_INIT;

	if (get_file(folder, "memory.stat", &text) < 0)
		return;
	u->has_memory = true;
	u->memory_usage = number(folder, "memory.current");
	u->memory_max = number(folder, "memory.peak");
	u->memory_swap = number(folder, "memory.swap.current");
	u->memory_rss = keyed(&text, "anon");
	u->memory_cache = keyed(&text, "file");
}

static void cpu_v1(const char *folder, struct cgroup_usage *u)
{
	cleanup_buf struct buf text = BUF_INIT;
	int64_t tick = SECOND / sysconf(_SC_CLK_TCK);

	if (get_file(folder, "cpuacct.stat", &text) < 0)
		return;
	u->has_cpu = true;
	u->cpu_user = keyed(&text, "user") * tick;
	u->cpu_system = keyed(&text, "system") * tick;
}

static void memory_v1(const char *folder, struct cgroup_usage *u)
{
	cleanup_buf struct buf text = BUF_INIT;

	if (get_file(folder, "memory.stat", &text) < 0)
		return;
	u->has_memory = true;
	u->memory_usage = number(folder, "memory.usage_in_bytes");
	u->memory_max = number(folder, "memory.max_usage_in_bytes");
	u->memory_rss = keyed(&text, "rss");
	u->memory_cache = keyed(&text, "cache");
	u->memory_swap = keyed(&text, "swap");
}

void cgroup_usage(const struct cgroup_host *h, const char *alloc_id, const char *task, struct cgroup_usage *out)
{
	struct cgroup_usage u = {0};

	for (uint32_t i = 0; i < h->n; i++) {
		const struct cgroup_tree *t = &h->trees[i];
		cleanup_free char *folder = task_folder(t, alloc_id, task);

		if (t->has & V2) {
			cpu_v2(folder, &u);
			memory_v2(folder, &u);
			continue;
		}
		if (t->has & ACCT && !u.has_cpu)
			cpu_v1(folder, &u);
		if (t->has & MEMORY && !u.has_memory)
			memory_v1(folder, &u);
	}
	*out = u;
}
