/* annotate: words of the diff that say what a change costs. */
#include "sched/annotate.h"

#include "base/map.h"
#include "sched/update.h"

static void annotate_count(struct arena *a, struct diff_object *g)
{
	for (uint32_t i = 0; i < g->fields.n; i++) {
		struct diff_field *f = g->fields.v[i];
		if (!str_eq(f->name, "Count") || f->type == DIFF_NONE)
			continue;
		long long was = strtoll(f->old ? f->old : "0", NULL, 10), is = strtoll(f->new ? f->new : "0", NULL, 10);
		if (is != was)
			strs_push(a, &f->annotations, is > was ? "forces create" : "forces destroy");
	}
}

static void annotate_tasks(struct arena *a, struct diff_object *g, bool destructive)
{
	for (uint32_t i = 0; i < g->tasks.n; i++) {
		struct diff_object *t = g->tasks.v[i];
		if (t->type == DIFF_NONE)
			continue;
		const char *words = g->type == DIFF_ADDED ? "forces create"
		    : g->type == DIFF_DELETED             ? "forces destroy"
		    : destructive                         ? "forces create/destroy update"
		                                          : "forces in-place update";
		strs_push(a, &t->annotations, words);
	}
}

static void set_updates(struct arena *a, struct diff_object *g, const struct desired_updates *u)
{
	const struct {
		const char *name;
		int64_t n;
	} rows[] = {{"canary", u->canary}, {"create", u->place}, {"create/destroy update", u->destructive_update},
	    {"destroy", u->stop}, {"ignore", u->ignore}, {"in-place update", u->in_place_update}, {"migrate", u->migrate}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].n)
			intmap_set(a, &g->updates, rows[i].name, rows[i].n);
}

static struct map groups_by_name(const struct job *j)
{
	struct map m = MAP_INIT;
	for (uint32_t i = 0; j && i < j->task_groups.n; i++)
		map_set(&m, ((struct task_group *)j->task_groups.v[i])->name, j->task_groups.v[i]);
	return m;
}

void annotate_diff(struct arena *a, struct job_diff *d, const struct plan_annotations *p, const struct job *old,
    const struct job *new_job)
{
	struct map before = groups_by_name(old), after = groups_by_name(new_job);
	for (uint32_t i = 0; i < d->task_groups.n; i++) {
		struct diff_object *g = d->task_groups.v[i];
		const struct desired_updates *u = p ? objmap_get(&p->desired_tg_updates, g->name) : NULL;
		const struct task_group *was = map_get(&before, g->name), *is = map_get(&after, g->name);
		if (u)
			set_updates(a, g, u);
		annotate_count(a, g);
		annotate_tasks(a, g, was && is && update_is_destructive(old, was, new_job, is));
	}
	map_free(&before);
	map_free(&after);
}
