/* admit_validate: what can be wrong with a canonical job, job and groups; tasks are in sched/admit_task.c. */
#include <ctype.h>
#include <errno.h>

#include "base/buf.h"
#include "base/clock.h"
#include "sched/absence.h"
#include "sched/admit.h"
#include "sched/drain.h"
#include "sched/problems.h"
#include "sched/state.h"

#define ID_MAX    1024
#define DISK_MAX  (INT64_C(1) << 40) /* MB */
#define GROUPS_MAX 10000 /* their numbers are stored in 16 bits */
#define COUNT_MAX 50000 /* allocations of one job, when the limits name no other number */

/* ---- policies of a group ---- */

static void check_restart(struct problems *p, const struct restart_policy *r)
{
	struct problems inner = {.a = p->a};
	char interval[DURATION_STR], delay[DURATION_STR];
	duration_format(r->interval, interval);
	duration_format(r->delay, delay);
	if (!str_eq(r->mode, "fail") && !str_eq(r->mode, "delay"))
		problems_add(&inner, "Unsupported restart mode: \"%s\"", r->mode);
	if (r->attempts < 0)
		problems_add(&inner, "Restart attempts can not be less than 0 (got %lld)", (long long)r->attempts);
	if (r->attempts == 0 && str_eq(r->mode, "delay"))
		problems_add(&inner, "Restart policy \"delay\" with 0 attempts is ambiguous");
	if (r->interval < 5 * SECOND)
		problems_add(&inner, "Interval can not be less than 5s (got %s)", interval);
	if (r->delay < 0)
		problems_add(&inner, "Delay can not be less than 0 (got %s)", delay);
	else if (r->attempts > 0 && r->delay > r->interval / r->attempts)
		problems_add(&inner, "Nomad can't restart the TaskGroup %lld times in an interval of %s with a delay of %s",
		    (long long)r->attempts, interval, delay);
	problems_nest(p, &inner, "%s", "");
}

static void check_reschedule(struct problems *p, const struct reschedule_policy *r, enum job_type type)
{
	struct problems inner = {.a = p->a};
	char text[DURATION_STR], text2[DURATION_STR];
	if (!r || (r->attempts <= 0 && !r->unlimited))
		return;
	if (type == JOB_SYSTEM || type == JOB_SYSBATCH)
		problems_add(&inner, "System jobs should not have a reschedule policy");
	if (!str_eq(r->delay_function, "constant") && !str_eq(r->delay_function, "exponential") &&
	    !str_eq(r->delay_function, "fibonacci"))
		problems_add(&inner, "Invalid delay function \"%s\", must be one of [\"constant\" \"exponential\" \"fibonacci\"]",
		    r->delay_function);
	if (r->delay < 5 * SECOND)
		problems_add(&inner, "Delay cannot be less than 5s (got %s)", duration_format(r->delay, text));
	if (r->unlimited && r->attempts > 0)
		problems_add(&inner, "Reschedule Policy with unlimited = true and attempts = %lld is ambiguous",
		    (long long)r->attempts);
	if (!r->unlimited && r->interval < 15 * SECOND)
		problems_add(&inner, "Interval cannot be less than 15s (got %s)", duration_format(r->interval, text));
	if (!str_eq(r->delay_function, "constant") && r->max_delay < r->delay)
		problems_add(&inner, "Max Delay cannot be less than Delay %s (got %s)", duration_format(r->delay, text),
		    duration_format(r->max_delay, text2));
	problems_nest(p, &inner, "%s", "");
}

static void check_update(struct problems *p, const struct update_strategy *u)
{
	struct problems inner = {.a = p->a};
	char a[DURATION_STR], b[DURATION_STR];
	if (!u)
		return;
	if (!str_eq(u->health_check, "checks") && !str_eq(u->health_check, "task_states") &&
	    !str_eq(u->health_check, "manual"))
		problems_add(&inner, "Invalid health check given: \"%s\"", u->health_check);
	if (u->max_parallel < 0)
		problems_add(&inner, "Max parallel can not be less than zero: %lld < 0", (long long)u->max_parallel);
	if (u->canary < 0)
		problems_add(&inner, "Canary count can not be less than zero: %lld < 0", (long long)u->canary);
	if (u->canary == 0 && u->auto_promote)
		problems_add(&inner, "Auto Promote requires a Canary count greater than zero");
	if (u->min_healthy_time < 0)
		problems_add(&inner, "Minimum healthy time may not be less than zero: %s",
		    duration_format(u->min_healthy_time, a));
	if (u->healthy_deadline <= 0)
		problems_add(&inner, "Healthy deadline must be greater than zero: %s", duration_format(u->healthy_deadline, a));
	if (u->progress_deadline < 0)
		problems_add(&inner, "Progress deadline must be zero or greater: %s", duration_format(u->progress_deadline, a));
	if (u->min_healthy_time >= u->healthy_deadline)
		problems_add(&inner, "Minimum healthy time must be less than healthy deadline: %s > %s",
		    duration_format(u->min_healthy_time, a), duration_format(u->healthy_deadline, b));
	if (u->progress_deadline && u->healthy_deadline >= u->progress_deadline)
		problems_add(&inner, "Healthy deadline must be less than progress deadline: %s > %s",
		    duration_format(u->healthy_deadline, a), duration_format(u->progress_deadline, b));
	if (u->stagger <= 0)
		problems_add(&inner, "Stagger must be greater than zero: %s", duration_format(u->stagger, a));
	problems_nest(p, &inner, "%s", "");
}

static void check_migrate(struct problems *p, const struct migrate_strategy *m)
{
	struct problems inner = {.a = p->a};
	char a[DURATION_STR], b[DURATION_STR];
	if (!m)
		return;
	if (m->max_parallel < 0)
		problems_add(&inner, "MaxParallel must be >= 0 but found %lld", (long long)m->max_parallel);
	if (!str_eq(m->health_check, "checks") && !str_eq(m->health_check, "task_states"))
		problems_add(&inner, "HealthCheck must be one of: \"checks\", \"task_states\"; got \"%s\"", m->health_check);
	if (m->min_healthy_time < 0)
		problems_add(&inner, "MinHealthyTime is %s and must be >= 0", duration_format(m->min_healthy_time, a));
	if (m->healthy_deadline < 0)
		problems_add(&inner, "HealthyDeadline is %s and must be >= 0", duration_format(m->healthy_deadline, a));
	if (m->min_healthy_time > m->healthy_deadline)
		problems_add(&inner, "MinHealthyTime must be less than HealthyDeadline: %s > %s",
		    duration_format(m->min_healthy_time, a), duration_format(m->healthy_deadline, b));
	problems_nest(p, &inner, "%s", "");
}

/* What a typing error would turn into work that is cut off. */
static void check_drain(struct problems *p, const struct strmap *meta)
{
	const char *word = strmap_get(meta, DRAIN_META);

	if (word && !str_eq(word, DRAIN_FINISH))
		problems_add(p, "meta " DRAIN_META " must be \"" DRAIN_FINISH "\", which leaves batch work to finish when a node is drained; got \"%s\"", word);
}

static void check_disconnect(struct problems *p, const struct task_group *g)
{
	const struct disconnect_strategy *d = g->disconnect;
	char a[DURATION_STR];
	int64_t lost = d ? d->lost_after : g->max_client_disconnect;
	int64_t stop = d ? d->stop_on_client_after : g->stop_after_client_disconnect;
	if (lost < 0)
		problems_add(p, "%s cannot be negative: %s", d ? "lost_after" : "max_client_disconnect", duration_format(lost, a));
	if (stop < 0)
		problems_add(p, "%s cannot be negative: %s", d ? "stop_on_client_after" : "stop_after_client_disconnect",
		    duration_format(stop, a));
	if (lost > 0 && stop > 0)
		problems_add(p, "%s", d ? "only one of lost_after and stop_on_client_after may be given: what is stopped is not waited for"
		                             : "only one of max_client_disconnect and stop_after_client_disconnect may be given");
	if (d && !str_empty(d->reconcile) && !absence_keep_is_known(d->reconcile))
		problems_add(p, "reconcile is \"%s\"; expected best_score, keep_original, keep_replacement or longest_running",
		    d->reconcile);
	if (d && (g->max_client_disconnect || g->stop_after_client_disconnect || g->prevent_reschedule_on_lost))
		problems_add(p, "max_client_disconnect, stop_after_client_disconnect and prevent_reschedule_on_lost may not be given "
		                     "beside a disconnect block, which takes their place");
}

/* ---- groups ---- */

static void check_volumes(struct problems *p, const struct task_group *g)
{
	for (uint32_t i = 0; i < g->volumes.n; i++) {
		const struct volume_request *v = g->volumes.v[i].value;
		if (!str_eq(v->type, "host") && !str_eq(v->type, "csi"))
			problems_add(p, "Volume %s has unrecognised type %s", g->volumes.v[i].key, v->type ? v->type : "");
		if (str_empty(v->source))
			problems_add(p, "Volume %s has an empty source", g->volumes.v[i].key);
	}
}

static void add_labels(struct map *labels, const struct objs *networks)
{
	OBJS_EACH (networks, struct network, n) {
		OBJS_EACH (&n->reserved_ports, struct port, r)
			map_set(labels, str_or(r->label, ""), r);
		OBJS_EACH (&n->dynamic_ports, struct port, d)
			map_set(labels, str_or(d->label, ""), d);
	}
}

/* Fills in the view's tasks and labels. */
static void check_tasks(struct problems *p, struct group_view *v)
{
	unsigned leaders = 0;
	add_labels(&v->labels, &v->g->networks);
	OBJS_EACH (&v->g->tasks, struct task, t) {
		uintptr_t first = str_empty(t->name) ? 0 : (uintptr_t)map_get(&v->tasks, t->name);
		leaders += t->leader;
		if (t->resources)
			add_labels(&v->labels, &t->resources->networks);
		if (str_empty(t->name))
			problems_add(p, "Task %u missing name", t_i + 1);
		else if (first)
			problems_add(p, "Task %u redefines '%s' from task %u", t_i + 1, t->name, (unsigned)first);
		else
			map_set(&v->tasks, t->name, (void *)(uintptr_t)(t_i + 1));
	}
	if (leaders > 1)
		problems_add(p, "Only one task may be marked as leader");
}

static void check_group(struct problems *p, const struct job *j, const struct task_group *g, enum job_type type)
{
	struct group_view view = {.g = g};
	if (str_empty(g->name))
		problems_add(p, "Missing task group name");
	problems_name(p, "Task group name", g->name);
	if (g->count < 0)
		problems_add(p, "Task group count can't be negative");
	if (!g->tasks.n)
		problems_add(p, "Missing tasks for task group");
	validate_constraints(p, &g->constraints, &g->affinities);
	check_restart(p, g->restart_policy);
	if ((type == JOB_SYSTEM || type == JOB_SYSBATCH) && (g->spreads.n || j->spreads.n))
		problems_add(p, "System jobs may not have a spread stanza");
	validate_spreads(p, &g->spreads);
	check_reschedule(p, g->reschedule_policy, type);
	if (g->ephemeral_disk->size_mb < 10)
		problems_add(p, "minimum DiskMB value is 10; got %lld", (long long)g->ephemeral_disk->size_mb);
	else if (g->ephemeral_disk->size_mb > DISK_MAX)
		problems_add(p, "DiskMB value %lld is out of range: expected 10 to %lld", (long long)g->ephemeral_disk->size_mb,
		    (long long)DISK_MAX);
	check_update(p, g->update);
	check_migrate(p, g->migrate);
	check_drain(p, &g->meta);
	check_disconnect(p, g);
	if (g->scaling && g->scaling->max && (g->count > g->scaling->max || g->count < g->scaling->min))
		problems_add(p, "Task group count %lld is outside of its scaling limits, %lld to %lld", (long long)g->count,
		    (long long)g->scaling->min, (long long)g->scaling->max);
	check_tasks(p, &view);
	check_volumes(p, g);
	validate_network(p, g);
	struct problems services = {.a = p->a};
	validate_services(&services, &view, NULL, &g->services);
	problems_nest(p, &services, "Task group service validation failed: ");
	OBJS_EACH (&g->tasks, struct task, t) {
		struct problems inner = {.a = p->a};
		validate_task(&inner, &view, t);
		problems_nest(p, &inner, "Task %s validation failed: ", t->name ? t->name : "");
	}
	map_free(&view.tasks);
	map_free(&view.labels);
}

/* ---- kinds ---- */

/* Five fields, or six and seven with seconds and year, of the characters that fields are made of; or @word. */
static const char *cron_problem(const char *spec)
{
	static const char *const words[] = {"@annually", "@yearly", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"};
	unsigned fields = 0;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (str_eq(spec, words[i]))
			return NULL;
	for (const char *s = spec; *s;) {
		s += strspn(s, " \t");
		size_t n = strcspn(s, " \t");
		fields += n > 0;
		for (size_t i = 0; i < n; i++)
			if (!isalnum((unsigned char)s[i]) && !strchr("*/,-?#", s[i]))
				return "syntax error in a field";
		s += n;
	}
	return fields < 5 ? "missing field(s)" : fields > 7 ? "too many fields" : NULL;
}

static void check_periodic(struct problems *p, const struct job *j, enum job_type type)
{
	struct problems inner = {.a = p->a};
	const struct periodic_config *c = j->periodic;
	if (!c || !c->enabled)
		return;
	if (type != JOB_BATCH && type != JOB_SYSBATCH)
		problems_add(p, "Periodic can only be used with \"batch\" scheduler");
	if (str_empty(c->spec) && !c->specs.n)
		problems_add(&inner, "Must specify a spec");
	else if (!str_empty(c->spec) && c->specs.n)
		problems_add(&inner, "Only cron or crons may be used, not both");
	if (!str_empty(c->spec) && cron_problem(c->spec))
		problems_add(&inner, "Invalid cron spec \"%s\": %s", c->spec, cron_problem(c->spec));
	for (uint32_t i = 0; i < c->specs.n; i++)
		if (cron_problem(c->specs.v[i]))
			problems_add(&inner, "Invalid cron spec \"%s\": %s", c->specs.v[i], cron_problem(c->specs.v[i]));
	if (!str_eq(c->spec_type, "cron"))
		problems_add(&inner, "Unknown periodic specification type \"%s\"", c->spec_type);
	problems_nest(p, &inner, "%s", "");
}

static void check_parameterized(struct problems *p, const struct job *j, enum job_type type)
{
	const struct parameterized_job *d = j->parameterized_job;
	if (!d)
		return;
	if (type != JOB_BATCH && type != JOB_SYSBATCH)
		problems_add(p, "Parameterized job can only be used with \"batch\" or \"sysbatch\" scheduler");
	if (!str_eq(d->payload, "optional") && !str_eq(d->payload, "required") && !str_eq(d->payload, "forbidden"))
		problems_add(p, "Unknown payload requirement: \"%s\"", d->payload);
	for (uint32_t i = 0; i < d->meta_required.n; i++)
		if (strs_has(&d->meta_optional, d->meta_required.v[i]))
			problems_add(p, "Required and optional meta keys should be disjoint. Following keys exist in both: [%s]",
			    d->meta_required.v[i]);
}

/* ---- the job ---- */

static void check_identity(struct problems *p, const struct job *j, const struct admit_limits *l)
{
	int64_t max = l->max_priority > 0 ? l->max_priority : 100;
	if (str_empty(j->id))
		problems_add(p, "Missing job ID");
	else if (strchr(j->id, ' '))
		problems_add(p, "Job ID contains a space");
	if (j->id && strlen(j->id) > ID_MAX)
		problems_add(p, "Job ID is longer than %d characters", ID_MAX);
	problems_name(p, "Job ID", j->id);
	problems_name(p, "Job name", j->name);
	if (str_empty(j->name))
		problems_add(p, "Missing job name");
	if (name_index(job_type_names, j->type) < 0)
		problems_add(p, "Invalid job type: \"%s\"", j->type);
	if (j->priority < 1 || j->priority > max)
		problems_add(p, "Job priority must be between [1, %lld]", (long long)max);
	if (!j->datacenters.n)
		problems_add(p, "Missing job datacenters");
	for (uint32_t i = 0; i < j->datacenters.n; i++)
		if (str_empty(j->datacenters.v[i]))
			problems_add(p, "Job datacenter must be non-empty string");
	if (!j->task_groups.n)
		problems_add(p, "Missing job task groups");
	if (j->task_groups.n > GROUPS_MAX)
		problems_add(p, "Job has %u task groups; at most %d are possible", j->task_groups.n, GROUPS_MAX);
}

static void check_groups(struct problems *p, const struct job *j, const struct admit_limits *l, enum job_type type)
{
	struct map names = MAP_INIT;
	int64_t total = 0, max = l->max_count > 0 ? l->max_count : COUNT_MAX;
	OBJS_EACH (&j->task_groups, struct task_group, g) {
		uintptr_t first = str_empty(g->name) ? 0 : (uintptr_t)map_get(&names, g->name);
		if (str_empty(g->name))
			problems_add(p, "Job task group %u missing name", g_i + 1);
		else if (first)
			problems_add(p, "Job task group %u redefines '%s' from group %u", g_i + 1, g->name, (unsigned)first);
		else
			map_set(&names, g->name, (void *)(uintptr_t)(g_i + 1));
		if (type == JOB_SYSTEM && g->count > 1)
			problems_add(p, "Job task group %s has count %lld. Count cannot exceed 1 with system scheduler",
			    g->name ? g->name : "", (long long)g->count);
		total += MIN(MAX(g->count, 0), max + 1);
	}
	map_free(&names);
	if (total > max)
		problems_add(p, "Job asks for more than %lld allocations, the most that one job may have (job_max_count)",
		    (long long)max);
}

static void warn_group(struct problems *p, const struct task_group *g)
{
	static const char *const drivers[] = {"raw_exec", "exec", "docker", "java", "qemu", NULL};
	struct problems inner = {.a = p->a};
	if (g->update && g->update->max_parallel > g->count)
		problems_add(&inner,
		    "Update max parallel count is greater than task group count (%lld > %lld). A destructive change would "
		    "result in the simultaneous replacement of all allocations.",
		    (long long)g->update->max_parallel, (long long)g->count);
	OBJS_EACH (&g->tasks, struct task, t)
		if (name_index(drivers, t->driver) < 0)
			problems_add(&inner, "Task \"%s\" uses the driver \"%s\", which is none of drover's own: it waits for a node "
			                     "that has it", t->name, t->driver);
	problems_nest(p, &inner, "Group \"%s\" has warnings: ", g->name);
}

static const char *warnings_text(const struct job *j, struct arena *a)
{
	struct problems w = {.a = a};
	cleanup_buf struct buf b = BUF_INIT;
	OBJS_EACH (&j->task_groups, struct task_group, g)
		warn_group(&w, g);
	if (!w.list.n)
		return "";
	buf_printf(&b, "%u warning(s):\n", w.list.n);
	for (uint32_t i = 0; i < w.list.n; i++)
		buf_printf(&b, "\n* %s", w.list.v[i]);
	return arena_strndup(a, b.data, b.len);
}

int admit_validate(
    const struct job *j, const struct admit_limits *l, const char **warnings, struct arena *a, struct err *e)
{
	struct problems p = {.a = a};
	int known = name_index(job_type_names, j->type);
	enum job_type type = known < 0 ? JOB_SERVICE : (enum job_type)known;
	check_identity(&p, j, l);
	validate_constraints(&p, &j->constraints, &j->affinities);
	validate_spreads(&p, &j->spreads);
	check_drain(&p, &j->meta);
	check_groups(&p, j, l, type);
	OBJS_EACH (&j->task_groups, struct task_group, g) {
		struct problems inner = {.a = a};
		check_group(&inner, j, g, type);
		problems_nest(&p, &inner, "Task group %s validation failed: ", g->name ? g->name : "");
	}
	check_periodic(&p, j, type);
	check_parameterized(&p, j, type);
	if (p.list.n)
		return err_set(e, -EINVAL, "%s", problems_text(&p));
	*warnings = warnings_text(j, a);
	return 0;
}
