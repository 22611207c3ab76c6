#include "agent/client.h"

#include <errno.h>
#include <event2/event.h>
#include <sys/stat.h>

#include "agent/client_table.h"
#include "agent/fingerprint.h"
#include "agent/pull.h"
#include "agent/self_drain.h"
#include "agent/registry.h"
#include "agent/signals.h"
#include "agent/silence.h"
#include "agent/stray.h"
#include "agent/usage.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"

#define REPORT_BATCH   256        /* allocations in one report */
#define GC_INTERVAL    (1 * MINUTE)
#define GC_BUDGET      (5 * MILLI) /* spent on removing in one turn of the loop */
#define END_POLL       (20 * MILLI)
#define SAVE_RETRY     (1 * SECOND)
#define SAVE_BUDGET    (5 * MILLI) /* spent on saving in one turn of the loop */
#define SAVE_DELAY     (100 * MILLI) /* of what a successor could also find out by itself: that a task has come up */

struct client {
	struct event_base *base;
	const struct client_config *config; /* of `kept` */
	struct client_config kept;
	struct client_table table;
	struct server_link *link;
	struct pull *pull;
	struct self_drain *drain; /* the agent is to stop */
	struct arena *arena; /* of the node and the configuration */
	struct node *node;
	char *state_dir, *records;
	char *cluster; /* id; NULL = not known yet */
	int64_t noted; /* node_hello.report of the last return */
	int64_t asked, told; /* node_hello.report that is not answered yet, and that the report under way answers; 0 = none */
	struct alloc_run **queue; /* allocations with something to report or to save */
	size_t queue_n, queue_cap;
	struct event *flush, *gc, *end;
	struct silence *silence;
	bool strays_ended;
	bool gc_all; /* whatever the limits, until all of it is gone */
	void (*on_end)(void *);
	void *on_end_arg;
	struct usage *usage;
	double mhz; /* of one core */
	struct cgroup_host cgroups;
	struct run_counts counts;
};

/* ---- changes: report at once; what is not needed to find a process again is saved a little later ---- */

static void on_change(void *arg, struct alloc_run *a)
{
	struct client *c = arg;

	if (!a->queued) {
		if (c->queue_n == c->queue_cap) {
			c->queue_cap = c->queue_cap ? 2 * c->queue_cap : 16;
			c->queue = xrealloc(c->queue, c->queue_cap, sizeof(struct alloc_run *));
		}
		c->queue[c->queue_n++] = a;
		a->queued = true;
	}
	if (c->pull)
		pull_push(c->pull, alloc_run_has_news(a));
	if (c->flush && !evtimer_pending(c->flush, NULL)) {
		struct timeval soon = { .tv_usec = SAVE_DELAY / 1000 };

		evtimer_add(c->flush, &soon);
	}
}

static void unqueue(void *arg, struct alloc_run *a)
{
	struct client *c = arg;

	for (size_t i = 0; i < c->queue_n && a->queued; i++) {
		if (c->queue[i] != a)
			continue;
		memmove(c->queue + i, c->queue + i + 1, (--c->queue_n - i) * sizeof(struct alloc_run *));
		return;
	}
}

/* Saves what is unsaved, as much as fits into the budget; ns until it is to be called again, -1 = all is saved. */
static int64_t save_some(struct client *c, int64_t budget)
{
	int64_t until = clock_monotonic() + budget;

	for (size_t i = 0; i < c->queue_n; i++) {
		struct err e cleanup_err = ERR_INIT;

		if (!c->queue[i]->unsaved)
			continue;
		if (alloc_run_save(c->queue[i], &e) < 0) {
			log_warn("client", "cannot save the record of an allocation: %s", err_str(&e));
			return SAVE_RETRY;
		}
		if (clock_monotonic() >= until)
			return 0;
	}
	return -1;
}

static void on_flush(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct client *c = arg;
	int64_t again = save_some(c, SAVE_BUDGET);
	struct timeval tv = { .tv_sec = again / SECOND, .tv_usec = again % SECOND / 1000 };

	if (again >= 0)
		evtimer_add(c->flush, &tv);
}

static bool collect(void *arg, struct arena *arena, struct alloc_updates *out)
{
	struct client *c = arg;

	c->told = c->queue_n <= REPORT_BATCH ? c->asked : 0;
	if (c->told)
		MODEL_SET(alloc_updates, out, complete, c->told);
	for (size_t i = 0; i < c->queue_n && out->allocs.n < REPORT_BATCH; i++) {
		struct alloc_run *a = c->queue[i];
		struct alloc_update *u = MODEL_NEW(arena, alloc_update);

		alloc_run_describe(a, arena, u);
		a->reported = a->version;
		objs_push(arena, &out->allocs, u);
	}
	out->has |= MODEL_BIT(alloc_updates, allocs);
	return out->allocs.n > 0 || c->told;
}

/* Marks what the servers have; what changed meanwhile stays in the queue. */
static void on_reported(void *arg, bool accepted)
{
	struct client *c = arg;
	size_t kept = 0;
	bool more = false, news = false;

	if (!accepted)
		return;
	if (c->told == c->asked)
		c->asked = 0;
	for (size_t i = 0; i < c->queue_n; i++) {
		struct alloc_run *a = c->queue[i];

		if (a->reported > a->acked)
			a->acked = a->reported;
		client_table_look(&c->table, a);
		a->queued = a->acked != a->version || a->unsaved;
		if (!a->queued)
			continue;
		c->queue[kept++] = a;
		more |= a->acked != a->version;
		news |= a->acked != a->version && alloc_run_has_news(a);
	}
	c->queue_n = kept;
	if (more)
		pull_push(c->pull, news);
}

static void tell_all(struct client *c)
{
	const char *key;
	void *value;

	for (uint32_t i = 0; map_next(&c->table.allocs, &i, &key, &value);) {
		struct alloc_run *a = value;

		a->version++;
		on_change(c, a);
	}
}

static void on_registered(void *arg)
{
	tell_all(arg);
}

/* ---- work ---- */

static void on_work(void *arg, const struct node_work *work, bool stale, bool whole)
{
	struct client *c = arg;

	client_table_apply(&c->table, work, stale, whole);
	if (heap_first(&c->table.removable) && heap_first(&c->table.removable)->key == INT64_MIN)
		evtimer_add(c->gc, &(struct timeval){ 0 });
	silence_look(c->silence);
	if (whole && !c->strays_ended) {
		c->strays_ended = true;
		stray_end_all(c->records);
	}
}

/* ---- Consul ---- */

/* The cluster marks what is registered; remembered, so that the next start marks it alike from the beginning. */
static void set_cluster(struct client *c, const char *id)
{
	cleanup_free char *path = path_join(c->state_dir, "cluster");
	struct err e cleanup_err = ERR_INIT;

	if (str_empty(id) || str_eq(id, c->cluster))
		return;
	free(c->cluster);
	c->cluster = xstrdup(id);
	services_set_cluster(c->config->services, id);
	if (file_write_atomic(path, id, strlen(id), 0600, false, &e) < 0)
		log_warn("client", "%s", err_str(&e));
}

/* Nobody waited for what went on here: those who look at it later should know why. */
static void note_return(struct client *c)
{
	const char *key;
	void *value;

	log_info("client", "the servers had given this node up; everything is reported");
	for (uint32_t i = 0; map_next(&c->table.allocs, &i, &key, &value);) {
		struct alloc_run *a = value;

		for (uint32_t t = 0; t < a->n; t++)
			if (task_run_has_process(a->tasks[t]))
				task_run_event(a->tasks[t], EVENT_RECONNECTED, NULL, 0);
	}
}

static void on_hello(void *arg, const struct node_hello *hello)
{
	struct client *c = arg;

	if (c->config->services)
		set_cluster(c, hello->cluster_id);
	/* They did not hear us for long, and ask what there is. */
	if (hello->report && hello->report != c->asked) {
		if (hello->report != c->noted)
			note_return(c);
		c->asked = c->noted = hello->report;
		tell_all(c);
		pull_push(c->pull, true);
	}
}

static void on_consul_agent(void *arg, const struct consul_agent_self *self)
{
	struct client *c = arg;
	struct fingerprint f = { .arena = c->arena, .node = c->node, .config = c->config, .root = "" };

	if (fingerprint_consul(&f, self) && c->pull)
		pull_renew(c->pull);
}

static void start_registry(struct client *c)
{
	static const struct registry_ops ops = { .on_agent = on_consul_agent };
	cleanup_free char *path = path_join(c->state_dir, "cluster");
	struct buf id cleanup_buf = BUF_INIT;

	if (!c->config->services)
		return;
	if (access(path, F_OK) == 0 && file_read(path, UUID_STR, &id, NULL) == 0 && id.len)
		services_set_cluster(c->config->services, c->cluster = buf_take(&id));
	c->table.host.registry = registry_new(c->base, c->config->consul, c->config->services, &ops, c);
}

void client_on_service(struct client *c, const char *id, enum services_event event, const struct err *e)
{
	if (c && c->table.host.registry)
		registry_on_service(c->table.host.registry, id, event, e);
}

static const struct pull_ops pull_ops = {
	.on_hello = on_hello,
	.on_work = on_work,
	.on_registered = on_registered,
	.collect = collect,
	.on_reported = on_reported,
};

/* ---- garbage ---- */

static struct alloc_gc_limits gc_limits(const struct client_config *cfg)
{
	return (struct alloc_gc_limits){
		.max_allocs = cfg->gc_max_allocs,
		.max_age = cfg->gc_max_age,
		.disk_percent = cfg->gc_disk_usage_threshold,
		.inode_percent = cfg->gc_inode_usage_threshold,
	};
}

static void collect_garbage(struct client *c)
{
	const struct alloc_gc_limits limits = gc_limits(c->config);
	bool more = client_table_gc(&c->table, &limits, c->gc_all, GC_BUDGET);
	int64_t interval = more ? 0 : c->config->gc_interval > 0 ? c->config->gc_interval : GC_INTERVAL;
	struct timeval tv = { .tv_sec = interval / SECOND, .tv_usec = interval % SECOND / 1000 };

	c->gc_all &= more;
	evtimer_add(c->gc, &tv);
}

static void on_gc(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	collect_garbage(arg);
}

void client_gc_all(struct client *c)
{
	c->gc_all = true;
	collect_garbage(c);
}

/* ---- configuration ---- */

bool client_option_lists(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = list; p && *p; p += strspn(p, ", ")) {
		size_t len = strcspn(p, ", ");

		if (len == n && !strncmp(p, word, n))
			return true;
		p += len;
	}
	return false;
}

static void copy_map(struct arena *a, struct strmap *to, const struct strmap *from)
{
	*to = (struct strmap){ 0 };
	for (uint32_t i = 0; i < from->n; i++)
		strmap_set(a, to, from->v[i].key, from->v[i].value);
}

static void keep_config(struct client *c, const struct client_config *from)
{
	struct client_config *k = &c->kept;

	*k = *from;
	const char **const texts[] = { &k->service_name, &k->region, &k->datacenter, &k->name, &k->node_class, &k->node_pool, &k->data_dir,
		&k->alloc_dir, &k->state_dir, &k->http_addr, &k->bind_ip, &k->reserved_ports, &k->network_interface, &k->cgroup_parent };

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		*texts[i] = arena_strdup(c->arena, *texts[i]);
	copy_map(c->arena, &k->meta, &from->meta);
	copy_map(c->arena, &k->drivers_enabled, &from->drivers_enabled);
	copy_map(c->arena, &k->options, &from->options);
	c->config = k;
}

/* ---- life ---- */

static int make_folders(struct client *c, struct err *e)
{
	int r;

	if ((r = dir_make(c->state_dir, 0700, e)) || (r = dir_make(c->records, 0700, e)) ||
	    (r = dir_make(c->config->alloc_dir, 0711, e)))
		return r;
	if (chmod(c->state_dir, 0700) < 0)
		return err_set(e, -errno, "cannot make %s private: %s", c->state_dir, strerror(errno));
	return 0;
}

static int make_node(struct client *c, struct err *e)
{
	char id[UUID_STR], secret[UUID_STR];
	int r = client_state_identity(c->state_dir, id, secret, e);

	if (r)
		return r;
	c->node = MODEL_NEW(c->arena, node);
	MODEL_SET(node, c->node, id, arena_strdup(c->arena, id));
	MODEL_SET(node, c->node, secret_id, arena_strdup(c->arena, secret));
	struct fingerprint f = { .arena = c->arena, .node = c->node, .config = c->config, .root = "" };

	fingerprint_node(&f);
	const char *mhz = strmap_get(&c->node->attributes, "cpu.frequency");

	c->mhz = mhz ? strtod(mhz, NULL) : 0;
	return 0;
}

int client_start(struct event_base *base, const struct client_config *cfg, struct server_link *link,
    struct client **out, struct err *e)
{
	struct client *c = xcalloc(1, sizeof(*c));
	int r;

	c->base = base;
	c->arena = arena_new();
	keep_config(c, cfg);
	cfg = c->config;
	c->state_dir = str_empty(cfg->state_dir) ? xasprintf("%s/client", cfg->data_dir) : xstrdup(cfg->state_dir);
	c->records = xasprintf("%s/allocs", c->state_dir);
	if ((r = make_folders(c, e)) || (r = make_node(c, e))) {
		err_wrap(e, "client");
		client_stop(c);
		return r;
	}
	cgroup_detect(&c->cgroups, "/sys/fs/cgroup", cfg->cgroup_parent);
	c->table.host = (struct run_host){
		.base = base,
		.config = cfg,
		.node = c->node,
		.cgroups = &c->cgroups,
		.records = c->records,
		.counts = &c->counts,
		.on_change = on_change,
		.arg = c,
	};
	c->table.on_remove = unqueue;
	c->table.trash = trash_new(cfg->alloc_dir);
	c->table.record_trash = trash_new(c->records);
	c->usage = usage_new();
	c->flush = evtimer_new(base, on_flush, c);
	c->gc = evtimer_new(base, on_gc, c);
	start_registry(c);
	client_table_restore(&c->table);
	collect_garbage(c);
	c->link = link;
	c->pull = pull_start(base, link, c->node, &pull_ops, c);
	c->silence = silence_start(base, c->state_dir, &c->table, c->pull);
	log_info("client", "started client: node_id=%s", c->node->id);
	*out = c;
	return 0;
}

void client_drain(struct client *c, const struct self_drain_config *config, void (*done)(void *arg, bool complete), void *arg)
{
	/* Whatever makes it register once more is no sign that it is back. */
	MODEL_SET(node, c->node, scheduling_eligibility, "ineligible");
	if (!c->drain)
		c->drain = self_drain_start(c->base, c->link, config, done, arg);
}

void client_stop(struct client *c)
{
	if (!c)
		return;
	self_drain_free(c->drain);
	silence_stop(c->silence);
	c->silence = NULL;
	pull_stop(c->pull);
	c->pull = NULL;
	if (c->flush) {
		save_some(c, NEVER / 2);
		event_free(c->flush);
		c->flush = NULL;
	}
	if (c->gc)
		event_free(c->gc);
	if (c->end)
		event_free(c->end);
	client_table_release(&c->table);
	registry_free(c->table.host.registry);
	usage_free(c->usage);
	arena_free(c->arena);
	free(c->queue);
	free(c->records);
	free(c->state_dir);
	free(c->cluster);
	free(c);
}

static void on_end_poll(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval again = { .tv_usec = END_POLL / 1000 };
	struct client *c = arg;
	const char *key;
	void *value;

	(void)fd;
	(void)what;
	for (uint32_t i = 0; map_next(&c->table.allocs, &i, &key, &value);) {
		if (!alloc_run_ended(value)) {
			evtimer_add(c->end, &again);
			return;
		}
	}
	c->on_end(c->on_end_arg);
}

void client_end(struct client *c, void (*done)(void *), void *arg)
{
	const char *key;
	void *value;

	silence_stop(c->silence);
	c->silence = NULL;
	pull_stop(c->pull);
	c->pull = NULL;
	for (uint32_t i = 0; map_next(&c->table.allocs, &i, &key, &value);)
		alloc_run_stop(value, "the agent ends and keeps nothing");
	c->on_end = done;
	c->on_end_arg = arg;
	c->end = evtimer_new(c->base, on_end_poll, c);
	event_active(c->end, EV_TIMEOUT, 0);
}

const char *client_node_id(const struct client *c)
{
	return c->node->id;
}

const struct node *client_node(const struct client *c)
{
	return c->node;
}

/* ---- what the HTTP layer asks ---- */

static struct alloc_run *find(struct client *c, const char *alloc_id, struct err *e)
{
	struct alloc_run *a = map_get(&c->table.allocs, alloc_id);

	if (!a)
		err_set(e, -ENOENT, "Unknown allocation \"%s\"", alloc_id);
	return a;
}

int client_alloc_stats(struct client *c, const char *alloc_id, struct buf *json, struct err *e)
{
	struct alloc_run *a = find(c, alloc_id, e);

	if (!a)
		return -ENOENT;
	usage_alloc(c->usage, a, c->mhz, json);
	return 0;
}

int client_alloc_services(struct client *c, const char *alloc_id, struct arena *a, struct objs *out, struct err *e)
{
	struct alloc_run *run = find(c, alloc_id, e);

	if (!run)
		return -ENOENT;
	registry_describe(run, a, out);
	return 0;
}

void client_host_stats(struct client *c, struct buf *json)
{
	usage_host(c->usage, c->config->alloc_dir, c->mhz, json);
}

/* Does something to one task or to all that run; without a task named it is enough that one could be done. */
static int each_task(struct alloc_run *a, const char *task, int (*fn)(struct task_run *t, int arg, struct err *e), int arg,
    struct err *e)
{
	if (!str_empty(task)) {
		struct task_run *t = alloc_run_task(a, task);

		return t ? fn(t, arg, e) : err_set(e, -ENOENT, "Could not find task named: %s", task);
	}
	struct buf errors cleanup_buf = BUF_INIT;
	unsigned done = 0, failed = 0;

	for (uint32_t i = 0; i < a->n; i++) {
		struct err one cleanup_err = ERR_INIT;

		if (fn(a->tasks[i], arg, &one) == 0) {
			done++;
		} else {
			failed++;
			buf_printf(&errors, "\t* %s\n", err_str(&one));
		}
	}
	if (done || !failed)
		return 0;
	if (failed == 1)
		return err_set(e, -ESRCH, "Task not running");
	return err_set(e, -ESRCH, "%u errors occurred:\n%s\n", failed, errors.data);
}

static int restart_task(struct task_run *t, int arg, struct err *e)
{
	(void)arg;
	return task_run_restart(t, e);
}

int client_alloc_restart(struct client *c, const char *alloc_id, const char *task, bool all_tasks, struct err *e)
{
	struct alloc_run *a = find(c, alloc_id, e);

	/* all_tasks also means tasks that have ended, which this version does not bring back: running ones restart. */
	return a ? each_task(a, all_tasks ? NULL : task, restart_task, 0, e) : -ENOENT;
}

static int signal_task(struct task_run *t, int arg, struct err *e)
{
	return task_run_signal(t, arg, e);
}

int client_alloc_signal(struct client *c, const char *alloc_id, const char *task, const char *signal, struct err *e)
{
	struct alloc_run *a = find(c, alloc_id, e);
	int number = 0;
	int r = a ? signal_parse(str_empty(signal) ? "SIGKILL" : signal, &number, e) : -ENOENT;

	return r ? r : each_task(a, task, signal_task, number, e);
}

int client_alloc_gc(struct client *c, const char *alloc_id, struct err *e)
{
	struct alloc_run *a = find(c, alloc_id, e);

	return a ? client_table_remove(&c->table, a, e) : -ENOENT;
}

int client_alloc_dir(struct client *c, const char *alloc_id, char **path, struct err *e)
{
	struct alloc_run *a = find(c, alloc_id, e);

	if (!a)
		return -ENOENT;
	*path = path_join(c->config->alloc_dir, a->id);
	return 0;
}

bool client_has_task(const struct client *c, const char *alloc_id, const char *task)
{
	struct alloc_run *a = map_get(&c->table.allocs, alloc_id);

	return a && alloc_run_task(a, task);
}

bool client_task_live(struct client *c, const char *alloc_id, const char *task)
{
	struct alloc_run *a = map_get(&c->table.allocs, alloc_id);
	struct task_run *t = a ? alloc_run_task(a, task) : NULL;

	return t && t->phase != TASK_DEAD;
}

void client_each_alloc(const struct client *c, void (*fn)(void *arg, const struct allocation *a, bool ended), void *arg)
{
	const char *key;
	void *value;

	for (uint32_t i = 0; map_next(&c->table.allocs, &i, &key, &value);)
		fn(arg, ((const struct alloc_run *)value)->model, ((const struct alloc_run *)value)->ended_at != 0);
}

static void count_alloc(const struct alloc_run *a, struct client_stats *s)
{
	bool begun = false;

	s->allocs++;
	for (uint32_t t = 0; t < a->n; t++) {
		s->running += a->tasks[t]->phase >= TASK_RUNNING && a->tasks[t]->phase <= TASK_KILLING;
		begun |= a->tasks[t]->phase != TASK_PENDING;
	}
	if (a->ended_at)
		s->terminal++;
	else if (begun)
		s->active++;
	else
		s->pending++;
}

void client_stats(const struct client *c, struct client_stats *out)
{
	const struct run_counts *n = &c->counts;
	struct client_stats s = { .started = n->started, .failed = n->failed, .complete = n->complete,
		.restarted = n->restarted, .oom_killed = n->oom_killed };
	const char *key;
	void *value;

	for (uint32_t i = 0; map_next(&c->table.allocs, &i, &key, &value);)
		count_alloc(value, &s);
	if (c->pull)
		pull_stats(c->pull, &s);
	*out = s;
}
