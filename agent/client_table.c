#include "agent/client_table.h"

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <sys/stat.h>

#include "agent/alloc_dir.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"

#define BEGIN_BUDGET (5 * MILLI) /* spent on starting allocations in one turn of the loop */

/* ---- begin ---- */

static void on_begin(evutil_socket_t fd, short what, void *arg)
{
	struct client_table *t = arg;
	int64_t until = clock_monotonic() + BEGIN_BUDGET;

	(void)fd;
	(void)what;
	do {
		struct alloc_run *a = t->waiting_head < t->waiting_n ? t->waiting[t->waiting_head++] : NULL;

		if (a)
			alloc_run_begin(a);
	} while (t->waiting_head < t->waiting_n && clock_monotonic() < until);
	if (t->waiting_head < t->waiting_n)
		evtimer_add(t->begin, &(struct timeval){ 0 });
	else
		t->waiting_n = t->waiting_head = 0;
}

static void begin_soon(struct client_table *t, struct alloc_run *a)
{
	if (t->waiting_n == t->waiting_cap) {
		t->waiting_cap = t->waiting_cap ? 2 * t->waiting_cap : 16;
		t->waiting = xrealloc(t->waiting, t->waiting_cap, sizeof(struct alloc_run *));
	}
	t->waiting[t->waiting_n++] = a;
	if (!t->begin)
		t->begin = evtimer_new(t->host.base, on_begin, t);
	if (!evtimer_pending(t->begin, NULL))
		evtimer_add(t->begin, &(struct timeval){ 0 });
}

static void begin_never(struct client_table *t, const struct alloc_run *a)
{
	for (size_t i = t->waiting_head; i < t->waiting_n; i++)
		if (t->waiting[i] == a)
			t->waiting[i] = NULL;
}

/* ---- life ---- */

void client_table_release(struct client_table *t)
{
	const char *key;
	void *value;

	for (uint32_t i = 0; map_next(&t->allocs, &i, &key, &value);)
		alloc_run_free(value);
	map_free(&t->allocs);
	heap_free(&t->removable);
	map_free(&t->jobs); /* empty by now: references went with the allocations */
	trash_free(t->trash);
	trash_free(t->record_trash);
	t->trash = t->record_trash = NULL;
	if (t->begin)
		event_free(t->begin);
	free(t->waiting);
}

/* ---- jobs ---- */

/* A job that was purged and registered again starts at version 0 again, hence the indexes. */
static char *job_key(const struct job *j)
{
	return xasprintf("%s/%s@%lld/%lld/%lld", j->namespace ? j->namespace : "", j->id ? j->id : "",
	    (long long)j->version, (long long)j->create_index, (long long)j->job_modify_index);
}

static struct job_ref *share_job(struct client_table *t, const struct job *j)
{
	cleanup_free char *key = job_key(j);
	struct job_ref *r = map_get(&t->jobs, key);

	if (!r) {
		r = xcalloc(1, sizeof(*r));
		r->arena = arena_new();
		r->job = model_copy(r->arena, &type_job, j);
		r->in = &t->jobs;
		r->key = STEAL(key);
		map_set(&t->jobs, r->key, r);
	}
	r->refs++;
	return r;
}

static const struct job *find_job(const struct node_work *w, const struct allocation *m)
{
	const struct job *only = NULL;
	int same = 0;

	if (m->job)
		return m->job;
	OBJS_EACH(&w->jobs, struct job, j) {
		if (!str_eq(j->id, m->job_id) ||
		    !str_eq(str_empty(j->namespace) ? "default" : j->namespace, str_empty(m->namespace) ? "default" : m->namespace))
			continue;
		if (MODEL_HAS(allocation, m, job_version) && j->version == m->job_version)
			return j;
		only = j;
		same++;
	}
	return same == 1 && !MODEL_HAS(allocation, m, job_version) ? only : NULL;
}

/* ---- restore ---- */

/* Whether keepers wrote anything here: then the tasks have been started. */
static bool has_runs(const char *dir)
{
	DIR *d = opendir(dir);
	bool found = false;

	for (struct dirent *de = d ? readdir(d) : NULL; de && !found; de = readdir(d)) {
		size_t n = strlen(de->d_name);

		found = n > 4 && str_eq(de->d_name + n - 4, ".run");
	}
	if (d)
		closedir(d);
	return found;
}

static void restore_one(struct client_table *t, const char *id)
{
	cleanup_free char *dir = path_join(t->host.records, id);
	struct arena *arena cleanup_arena = arena_new();
	struct err e cleanup_err = ERR_INIT;
	struct client_record rec;
	struct alloc_run *a = NULL;

	client_state_load(dir, arena, &rec);
	if (rec.trouble)
		log_warn("client", "allocation %.8s: %s", id, rec.trouble);
	/* Without a word about its tasks it may be new or long over: the servers say. What was started is looked at now. */
	if (!rec.alloc || (!rec.state && !has_runs(dir))) {
		log_info("client", "allocation %.8s: waiting for the servers to describe it", id);
		return;
	}
	struct job_ref *job = share_job(t, rec.alloc->job);

	if (!str_eq(rec.alloc->id, id) || alloc_run_new(&t->host, rec.alloc, job, &a, &e) < 0) {
		log_warn("client", "allocation %.8s: cannot be restored: %s", id, err_str(&e));
		job_ref_release(job);
		return;
	}
	map_set(&t->allocs, a->id, a);
	alloc_run_restore(a, rec.state);
	begin_soon(t, a);
}

void client_table_restore(struct client_table *t)
{
	DIR *d = opendir(t->host.records);

	for (struct dirent *de = d ? readdir(d) : NULL; de; de = readdir(d))
		if (de->d_name[0] != '.')
			restore_one(t, de->d_name);
	if (d)
		closedir(d);
	if (t->allocs.n)
		log_info("client", "restored %u allocations", t->allocs.n);
}

/* ---- apply ---- */

/* "lost" is what the servers say of one whose node was silent: it holds its room until we say that it has ended, also when we
 * know nothing of it. */
static bool server_says_ended(const struct allocation *m)
{
	return str_eq(m->client_status, "complete") || str_eq(m->client_status, "failed");
}

/* The servers saw it start here, and we know nothing of it (our disk was lost): says so instead of running it twice. */
static bool record_from_server(const struct allocation *m, const struct task_group *g, struct arena *arena,
    struct alloc_record *out)
{
	bool any = false;

	*out = (struct alloc_record){ .tasks = arena_alloc(arena, (g->tasks.n + 1) * sizeof(struct task_record)) };
	OBJS_EACH(&g->tasks, struct task, task) {
		struct task_state *s = objmap_get(&m->task_states, task->name);

		if (!s || !s->started_at)
			continue;
		any = true;
		out->tasks[out->n++] = (struct task_record){
			.name = task->name,
			.phase = str_eq(s->state, "dead") ? TASK_DEAD : TASK_RUNNING,
			.state = s,
		};
	}
	return any;
}

static void save_alloc(const struct alloc_run *a, struct err *e)
{
	if (client_state_save_alloc(a->record_dir, a->model, a->job->job, e) < 0)
		log_warn("client", "allocation %.8s: %s", a->id, err_str(e));
}

static void add(struct client_table *t, const struct allocation *m, const struct job *j)
{
	cleanup_free char *dir = path_join(t->host.records, m->id);
	struct arena *arena cleanup_arena = arena_new();
	struct err e cleanup_err = ERR_INIT;
	struct alloc_record record;
	struct alloc_run *a = NULL;
	struct job_ref *job = share_job(t, j);

	if (alloc_run_new(&t->host, m, job, &a, &e) < 0) {
		log_error("client", "allocation %.8s: cannot be run: %s", m->id, err_str(&e));
		job_ref_release(job);
		return;
	}
	bool existed = mkdir(dir, 0700) < 0 && errno == EEXIST;

	save_alloc(a, &e);
	map_set(&t->allocs, a->id, a);
	a->mentioned = t->answers;
	if (record_from_server(m, a->group, arena, &record)) {
		log_warn("client", "allocation %.8s: it ran here, but its record is gone", a->id);
		alloc_run_restore(a, &record);
	} else if (existed) {
		alloc_run_restore(a, NULL);
	}
	begin_soon(t, a);
}

/* It is over for the servers, and we have but its folders. */
static void remove_left(struct client_table *t, const char *id)
{
	cleanup_free char *dir = path_join(t->host.records, id);
	struct err e cleanup_err = ERR_INIT;

	if (access(dir, F_OK) == 0 && (trash_put(t->trash, id, &e) < 0 || trash_put(t->record_trash, id, &e) < 0))
		log_warn("client", "allocation %.8s: %s", id, err_str(&e));
}

static void apply_one(struct client_table *t, const struct node_work *w, const struct allocation *m, bool stale)
{
	struct alloc_run *a = map_get(&t->allocs, m->id);
	const struct job *j = find_job(w, m);
	uint64_t index = (uint64_t)(m->alloc_modify_index ? m->alloc_modify_index : m->modify_index);

	if (a) {
		a->mentioned = t->answers;
		/* The same or an older word about it: nothing to do, whatever it says. */
		if (index <= a->index || (stale && alloc_run_wants_stop(m)))
			return;
		struct err e cleanup_err = ERR_INIT;
		struct job_ref *job = a->job;

		if (j)
			job = share_job(t, j);
		else
			job->refs++;
		alloc_run_update(a, m, job);
		save_alloc(a, &e);
		return;
	}
	if (server_says_ended(m)) {
		if (!stale)
			remove_left(t, m->id);
		return;
	}
	if (!j) {
		log_warn("client", "allocation %.8s: the servers' answer lacks its job \"%s\"; waiting for the next one", m->id,
		    m->job_id ? m->job_id : "");
		return;
	}
	add(t, m, j);
}

static void forget(struct client_table *t, struct alloc_run *a)
{
	a->gone = true;
	if (!alloc_run_ended(a))
		alloc_run_stop(a, "the servers no longer know it");
	client_table_look(t, a);
}

/* What a whole answer does not name: the servers knew it once, for their index is past its own, and have forgotten it (it
 * was lost to them and collected while we were away). An answer that has not come so far is of servers that lost their
 * state, which is no reason to stop anything. */
static void forget_unnamed(struct client_table *t, uint64_t index)
{
	struct alloc_run **list = xcalloc(t->allocs.n + 1, sizeof(*list));
	size_t n = 0;
	const char *key;
	void *value;

	for (uint32_t i = 0; map_next(&t->allocs, &i, &key, &value);) {
		struct alloc_run *a = value;

		if (a->mentioned == t->answers)
			continue;
		if (a->index && a->index <= index)
			list[n++] = a;
		else
			log_warn("client", "allocation %.8s is unknown to the servers, whose state is older than it; it goes on", a->id);
	}
	for (size_t i = 0; i < n; i++)
		forget(t, list[i]);
	free(list);
}

void client_table_apply(struct client_table *t, const struct node_work *w, bool stale, bool whole)
{
	t->answers++;
	OBJS_EACH(&w->allocs, struct allocation, m) {
		if (alloc_dir_name_ok(m->id))
			apply_one(t, w, m, stale);
	}
	for (uint32_t i = 0; i < w->gone.n && !stale; i++) {
		struct alloc_run *a = map_get(&t->allocs, w->gone.v[i]);

		if (a)
			forget(t, a);
		else if (alloc_dir_name_ok(w->gone.v[i]))
			remove_left(t, w->gone.v[i]);
	}
	if (whole && !stale)
		forget_unnamed(t, (uint64_t)w->index);
}

/* ---- remove ---- */

int client_table_remove(struct client_table *t, struct alloc_run *a, struct err *e)
{
	if (!alloc_run_ended(a))
		return err_set(e, -EBUSY, "allocation %s still runs", a->id);
	/* The record last: what it names is then removed, whenever the agent is killed. */
	int r = trash_put(t->trash, a->id, e);

	if (r == 0)
		r = trash_put(t->record_trash, a->id, e);
	if (r < 0)
		return r;
	if (t->on_remove)
		t->on_remove(t->host.arg, a);
	begin_never(t, a);
	heap_remove(&t->removable, &a->removable);
	map_del(&t->allocs, a->id);
	alloc_run_free(a);
	return 0;
}

void client_table_look(struct client_table *t, struct alloc_run *a)
{
	if (!alloc_run_ended(a))
		return;
	/* What the servers have not heard yet would be forgotten for good. */
	if (a->gone)
		heap_set(&t->removable, &a->removable, INT64_MIN);
	else if (a->acked == a->version)
		heap_set(&t->removable, &a->removable, a->ended_at);
	else
		heap_remove(&t->removable, &a->removable);
}

bool client_table_gc(struct client_table *t, const struct alloc_gc_limits *limits, bool all, int64_t budget)
{
	struct alloc_gc_look at = { .now = clock_now() };
	int64_t until = clock_monotonic() + budget;
	struct heap_item *first;

	alloc_gc_measure(t->host.config->alloc_dir, &at.disk_used, &at.inodes_used);
	while ((first = heap_first(&t->removable))) {
		struct alloc_run *a = CONTAINER_OF(first, struct alloc_run, removable);
		struct err e cleanup_err = ERR_INIT;

		at.total = t->allocs.n;
		if (!a->gone && !all && !alloc_gc_wants(limits, &at, a->ended_at))
			return false;
		if (clock_monotonic() >= until)
			return true;
		heap_remove(&t->removable, first);
		at.removed++;
		if (!a->gone && a->acked != a->version)
			continue; /* it has something to report again, and comes back afterwards */
		if (client_table_remove(t, a, &e) < 0)
			log_warn("client", "cannot remove an ended allocation: %s", err_str(&e));
	}
	return false;
}
