/*
 * admit: the defaults of a job, as a server stores it. What is wrong with a job is said by admit_validate.c. Defaults that
 * depend on the type of the job are rows of one table; filling in twice changes nothing.
 */
#include "sched/admit.h"

#include <ctype.h>

#include "sched/state.h"

#define DEFAULT_STR(c, obj, field, v)                                                              \
	do {                                                                                       \
		if (str_empty((obj)->field))                                                       \
			MODEL_SET(c, obj, field, v);                                               \
	} while (0)
/* Takes from another object of the same type what this one does not have. */
#define INHERIT(c, obj, from, field)                                                               \
	do {                                                                                       \
		if ((from) && MODEL_HAS(c, from, field))                                           \
			MODEL_DEFAULT(c, obj, field, (from)->field);                               \
	} while (0)

struct type_defaults {
	int64_t restart_attempts, restart_interval;
	bool reschedules;
	int64_t attempts, interval, delay, max_delay;
	const char *delay_function;
	bool unlimited;
};
static const struct type_defaults by_type[] = {
    [JOB_SERVICE] = {2, 30 * MINUTE, true, 0, 0, 30 * SECOND, HOUR, "exponential", true},
    [JOB_BATCH] = {3, 24 * HOUR, true, 1, 24 * HOUR, 5 * SECOND, 0, "constant", false},
    [JOB_SYSTEM] = {2, 30 * MINUTE, false, 0, 0, 0, 0, "", false},
    [JOB_SYSBATCH] = {3, 24 * HOUR, false, 0, 0, 0, 0, "", false},
};

struct context {
	struct arena *a;
	const struct job *job;
	const struct type_defaults *d; /* of the type; a service's for a type that does not exist */
	bool service;
};

static void fill_operand(struct objs *constraints)
{
	OBJS_EACH (constraints, struct constraint, c)
		DEFAULT_STR(constraint, c, operand, "=");
}

static void fill_affinities(struct objs *affinities)
{
	OBJS_EACH (affinities, struct affinity, f) {
		DEFAULT_STR(affinity, f, operand, "=");
		MODEL_DEFAULT(affinity, f, weight, 50);
	}
}

static void fill_spreads(struct objs *spreads)
{
	OBJS_EACH (spreads, struct spread, s)
		MODEL_DEFAULT(spread, s, weight, 50);
}

/* ---- policies ---- */

static void inherit_restart(struct restart_policy *p, const struct restart_policy *from)
{
	INHERIT(restart_policy, p, from, attempts);
	INHERIT(restart_policy, p, from, interval);
	INHERIT(restart_policy, p, from, delay);
	INHERIT(restart_policy, p, from, mode);
	INHERIT(restart_policy, p, from, render_templates);
}

static void fill_restart(const struct context *c, struct task_group *g)
{
	if (!g->restart_policy)
		g->restart_policy = MODEL_NEW(c->a, restart_policy);
	struct restart_policy *p = g->restart_policy;
	MODEL_DEFAULT(restart_policy, p, attempts, c->d->restart_attempts);
	MODEL_DEFAULT(restart_policy, p, interval, c->d->restart_interval);
	MODEL_DEFAULT(restart_policy, p, delay, 15 * SECOND);
	DEFAULT_STR(restart_policy, p, mode, "fail");
}

static void fill_reschedule(const struct context *c, struct task_group *g)
{
	const struct reschedule_policy *from = c->job->reschedule;
	struct reschedule_policy *p = g->reschedule_policy;
	if (!c->d->reschedules && !from && !p)
		return;
	if (!p)
		p = g->reschedule_policy = MODEL_NEW(c->a, reschedule_policy);
	INHERIT(reschedule_policy, p, from, attempts);
	INHERIT(reschedule_policy, p, from, interval);
	INHERIT(reschedule_policy, p, from, delay);
	INHERIT(reschedule_policy, p, from, delay_function);
	INHERIT(reschedule_policy, p, from, max_delay);
	INHERIT(reschedule_policy, p, from, unlimited);
	/* Attempts that were given are meant to count, and without a limit there are none to count. */
	if (MODEL_HAS(reschedule_policy, p, attempts) && p->attempts > 0)
		MODEL_DEFAULT(reschedule_policy, p, unlimited, false);
	MODEL_DEFAULT(reschedule_policy, p, attempts, p->unlimited ? 0 : c->d->attempts);
	MODEL_DEFAULT(reschedule_policy, p, interval, c->d->interval);
	MODEL_DEFAULT(reschedule_policy, p, delay, c->d->delay);
	DEFAULT_STR(reschedule_policy, p, delay_function, c->d->delay_function);
	MODEL_DEFAULT(reschedule_policy, p, max_delay, c->d->max_delay);
	MODEL_DEFAULT(reschedule_policy, p, unlimited, c->d->unlimited);
}

static void fill_migrate(const struct context *c, struct task_group *g)
{
	const struct migrate_strategy *from = c->job->migrate;
	struct migrate_strategy *m = g->migrate;
	if (!c->service && !from && !m)
		return;
	if (!m)
		m = g->migrate = MODEL_NEW(c->a, migrate_strategy);
	INHERIT(migrate_strategy, m, from, max_parallel);
	INHERIT(migrate_strategy, m, from, health_check);
	INHERIT(migrate_strategy, m, from, min_healthy_time);
	INHERIT(migrate_strategy, m, from, healthy_deadline);
	MODEL_DEFAULT(migrate_strategy, m, max_parallel, 1);
	DEFAULT_STR(migrate_strategy, m, health_check, "checks");
	MODEL_DEFAULT(migrate_strategy, m, min_healthy_time, 10 * SECOND);
	MODEL_DEFAULT(migrate_strategy, m, healthy_deadline, 5 * MINUTE);
}

static bool is_empty_update(const struct update_strategy *u)
{
	return !u->stagger && !u->max_parallel && !u->min_healthy_time && !u->healthy_deadline && str_empty(u->health_check);
}

static void fill_update(const struct context *c, struct task_group *g)
{
	const struct update_strategy *from = c->job->update;
	struct update_strategy *u = g->update;
	/* The stored form of a job without updates holds an object of zeros: reading it back must not make one. */
	if (!c->service && from && is_empty_update(from))
		from = NULL;
	if (!c->service && !from && !u)
		return;
	if (!u)
		u = g->update = MODEL_NEW(c->a, update_strategy);
	INHERIT(update_strategy, u, from, stagger);
	INHERIT(update_strategy, u, from, max_parallel);
	INHERIT(update_strategy, u, from, health_check);
	INHERIT(update_strategy, u, from, min_healthy_time);
	INHERIT(update_strategy, u, from, healthy_deadline);
	INHERIT(update_strategy, u, from, progress_deadline);
	INHERIT(update_strategy, u, from, auto_revert);
	INHERIT(update_strategy, u, from, auto_promote);
	INHERIT(update_strategy, u, from, canary);
	MODEL_DEFAULT(update_strategy, u, stagger, 30 * SECOND);
	MODEL_DEFAULT(update_strategy, u, max_parallel, 1);
	DEFAULT_STR(update_strategy, u, health_check, "checks");
	MODEL_DEFAULT(update_strategy, u, min_healthy_time, 10 * SECOND);
	MODEL_DEFAULT(update_strategy, u, healthy_deadline, 5 * MINUTE);
	MODEL_DEFAULT(update_strategy, u, progress_deadline, 10 * MINUTE);
	MODEL_DEFAULT(update_strategy, u, auto_revert, false);
	MODEL_DEFAULT(update_strategy, u, auto_promote, false);
	MODEL_DEFAULT(update_strategy, u, canary, 0);
}

/* What is stored at the job are only the two numbers from which a rolling update once was made; the groups have the rest. */
static void fill_job_update(struct arena *a, struct job *j, bool service)
{
	const struct update_strategy *given = j->update;
	struct update_strategy *u = MODEL_NEW(a, update_strategy);
	bool some = service || (given && !is_empty_update(given));
	int64_t stagger = some ? 30 * SECOND : 0, parallel = some ? 1 : 0;
	if (given && MODEL_HAS(update_strategy, given, stagger))
		stagger = given->stagger;
	if (given && MODEL_HAS(update_strategy, given, max_parallel))
		parallel = given->max_parallel;
	MODEL_SET(update_strategy, u, stagger, stagger);
	MODEL_SET(update_strategy, u, max_parallel, parallel);
	j->update = u;
}

/* ---- services ---- */

static const char *fill_name(const struct context *c, const char *name, const char *group, const char *task)
{
	const char *base = arena_printf(c->a, "%s-%s-%s", c->job->name, group, task);
	const struct {
		const char *var, *value;
	} vars[] = {{"${JOB}", c->job->name}, {"${TASKGROUP}", group}, {"${TASK}", task}, {"${BASE}", base}};
	cleanup_buf struct buf b = BUF_INIT;
	for (const char *s = name; *s;) {
		size_t i = 0;
		while (i < ARRAY_LEN(vars) && !str_starts(s, vars[i].var))
			i++;
		if (i < ARRAY_LEN(vars)) {
			buf_puts(&b, vars[i].value);
			s += strlen(vars[i].var);
		} else {
			buf_putc(&b, *s++);
		}
	}
	return arena_strndup(c->a, b.data ? b.data : "", b.len);
}

static void fill_check_restart(const struct context *c, struct check *k, const struct check_restart *from)
{
	if (!k->check_restart && !from)
		return;
	if (!k->check_restart)
		k->check_restart = MODEL_NEW(c->a, check_restart);
	INHERIT(check_restart, k->check_restart, from, limit);
	INHERIT(check_restart, k->check_restart, from, grace);
	INHERIT(check_restart, k->check_restart, from, ignore_warnings);
	MODEL_DEFAULT(check_restart, k->check_restart, grace, 1 * SECOND);
}

static void fill_services(const struct context *c, struct objs *services, const char *group, const char *task)
{
	OBJS_EACH (services, struct service, s) {
		DEFAULT_STR(service, s, name, arena_printf(c->a, "%s-%s-%s", c->job->name, group, task));
		MODEL_SET(service, s, name, fill_name(c, s->name, group, task));
		DEFAULT_STR(service, s, address_mode, "auto");
		DEFAULT_STR(service, s, on_update, "require_healthy");
		DEFAULT_STR(service, s, provider, "consul");
		OBJS_EACH (&s->checks, struct check, k) {
			DEFAULT_STR(check, k, name, arena_printf(c->a, "service: \"%s\" check", s->name));
			DEFAULT_STR(check, k, on_update, s->on_update);
			fill_check_restart(c, k, s->check_restart);
		}
	}
}

/* ---- tasks ---- */

static void fill_networks(struct objs *networks)
{
	OBJS_EACH (networks, struct network, n) {
		MODEL_DEFAULT(network, n, mbits, 0);
		OBJS_EACH (&n->reserved_ports, struct port, p)
			DEFAULT_STR(port, p, host_network, "default");
		OBJS_EACH (&n->dynamic_ports, struct port, q)
			DEFAULT_STR(port, q, host_network, "default");
	}
}

static void fill_resources(const struct context *c, struct task *t)
{
	if (!t->resources)
		t->resources = MODEL_NEW(c->a, resources);
	struct resources *r = t->resources;
	MODEL_DEFAULT(resources, r, cores, 0);
	MODEL_DEFAULT(resources, r, cpu, r->cores > 0 ? 0 : 100);
	MODEL_DEFAULT(resources, r, memory_mb, 300);
	MODEL_DEFAULT(resources, r, memory_max_mb, 0);
	MODEL_DEFAULT(resources, r, disk_mb, 0);
	MODEL_DEFAULT(resources, r, iops, 0);
	fill_networks(&r->networks);
	OBJS_EACH (&r->devices, struct requested_device, d) {
		MODEL_DEFAULT(requested_device, d, count, 1);
		fill_operand(&d->constraints);
		fill_affinities(&d->affinities);
	}
}

static const char *upper(struct arena *a, const char *s)
{
	char *copy = arena_strdup(a, s);
	for (char *p = copy; *p; p++)
		*p = (char)toupper((unsigned char)*p);
	return copy;
}

static void fill_templates(const struct context *c, struct task *t)
{
	OBJS_EACH (&t->templates, struct template_block, b) {
		MODEL_DEFAULT(template_block, b, source_path, "");
		MODEL_DEFAULT(template_block, b, dest_path, "");
		MODEL_DEFAULT(template_block, b, embedded_tmpl, "");
		DEFAULT_STR(template_block, b, change_mode, "restart");
		MODEL_DEFAULT(template_block, b, change_signal, "");
		if (str_eq(b->change_mode, "signal"))
			MODEL_SET(template_block, b, change_signal, upper(c->a, b->change_signal));
		MODEL_DEFAULT(template_block, b, splay, 5 * SECOND);
		DEFAULT_STR(template_block, b, perms, "0644");
		DEFAULT_STR(template_block, b, left_delim, "{{");
		DEFAULT_STR(template_block, b, right_delim, "}}");
		MODEL_DEFAULT(template_block, b, envvars, false);
		MODEL_DEFAULT(template_block, b, vault_grace, 0);
	}
	OBJS_EACH (&t->artifacts, struct artifact, f) {
		DEFAULT_STR(artifact, f, getter_mode, "any");
		DEFAULT_STR(artifact, f, relative_dest, "local/");
	}
	if (t->vault) {
		MODEL_DEFAULT(vault, t->vault, env, true);
		MODEL_DEFAULT(vault, t->vault, namespace, "");
		DEFAULT_STR(vault, t->vault, change_mode, "restart");
		MODEL_DEFAULT(vault, t->vault, change_signal, "");
	}
}

static void fill_task(const struct context *c, struct task_group *g, struct task *t)
{
	fill_resources(c, t);
	fill_operand(&t->constraints);
	fill_affinities(&t->affinities);
	if (!t->restart_policy)
		t->restart_policy = MODEL_NEW(c->a, restart_policy);
	inherit_restart(t->restart_policy, g->restart_policy);
	MODEL_DEFAULT(task, t, kill_timeout, 5 * SECOND);
	if (!t->log_config)
		t->log_config = MODEL_NEW(c->a, log_config);
	MODEL_DEFAULT(log_config, t->log_config, max_files, 10);
	MODEL_DEFAULT(log_config, t->log_config, max_file_size_mb, 10);
	fill_templates(c, t);
	fill_services(c, &t->services, g->name, t->name ? t->name : "");
	OBJS_EACH (&t->volume_mounts, struct volume_mount, m) {
		MODEL_DEFAULT(volume_mount, m, read_only, false);
		DEFAULT_STR(volume_mount, m, propagation_mode, "private");
	}
}

static void fill_group(const struct context *c, struct task_group *g)
{
	MODEL_DEFAULT(task_group, g, name, "");
	MODEL_DEFAULT(task_group, g, count,
	    g->scaling && MODEL_HAS(scaling_policy, g->scaling, min) ? g->scaling->min : 1);
	fill_operand(&g->constraints);
	fill_affinities(&g->affinities);
	fill_spreads(&g->spreads);
	fill_restart(c, g);
	fill_reschedule(c, g);
	fill_migrate(c, g);
	fill_update(c, g);
	if (g->disconnect) {
		MODEL_DEFAULT(disconnect_strategy, g->disconnect, replace, true);
		DEFAULT_STR(disconnect_strategy, g->disconnect, reconcile, "best_score");
	}
	if (!g->ephemeral_disk)
		g->ephemeral_disk = MODEL_NEW(c->a, ephemeral_disk);
	MODEL_DEFAULT(ephemeral_disk, g->ephemeral_disk, sticky, false);
	MODEL_DEFAULT(ephemeral_disk, g->ephemeral_disk, migrate, false);
	MODEL_DEFAULT(ephemeral_disk, g->ephemeral_disk, size_mb, 300);
	if (g->ephemeral_disk->migrate)
		MODEL_SET(ephemeral_disk, g->ephemeral_disk, sticky, true);
	if (!g->consul)
		g->consul = MODEL_NEW(c->a, consul_block);
	MODEL_DEFAULT(consul_block, g->consul, namespace, "");
	fill_networks(&g->networks);
	fill_services(c, &g->services, g->name, "group");
	if (g->scaling)
		MODEL_DEFAULT(scaling_policy, g->scaling, enabled, true);
	OBJS_EACH (&g->tasks, struct task, t)
		fill_task(c, g, t);
}

static void fill_kinds(struct job *j)
{
	if (j->periodic) {
		struct periodic_config *p = j->periodic;
		MODEL_DEFAULT(periodic_config, p, enabled, true);
		MODEL_DEFAULT(periodic_config, p, spec, "");
		DEFAULT_STR(periodic_config, p, spec_type, "cron");
		MODEL_DEFAULT(periodic_config, p, prohibit_overlap, false);
		DEFAULT_STR(periodic_config, p, time_zone, "UTC");
	}
	if (j->parameterized_job)
		DEFAULT_STR(parameterized_job, j->parameterized_job, payload, "optional");
}

void admit_canonicalize(struct job *j, const struct admit_limits *l, struct arena *a)
{
	MODEL_DEFAULT(job, j, id, "");
	DEFAULT_STR(job, j, name, j->id ? j->id : "");
	DEFAULT_STR(job, j, namespace, "default");
	DEFAULT_STR(job, j, region, str_empty(l->region) ? "global" : l->region);
	/* Clients of the API write "global" for "wherever this server is". */
	if (str_eq(j->region, "global") && !str_empty(l->region))
		MODEL_SET(job, j, region, l->region);
	DEFAULT_STR(job, j, type, "service");
	if (!MODEL_HAS(job, j, priority) || !j->priority)
		MODEL_SET(job, j, priority, l->default_priority > 0 ? l->default_priority : 50);
	MODEL_DEFAULT(job, j, all_at_once, false);
	fill_operand(&j->constraints);
	fill_affinities(&j->affinities);
	fill_spreads(&j->spreads);
	fill_kinds(j);
	int type = name_index(job_type_names, j->type);
	struct context c = {a, j, &by_type[type < 0 ? JOB_SERVICE : type], type == JOB_SERVICE};
	OBJS_EACH (&j->task_groups, struct task_group, g)
		fill_group(&c, g);
	/* The groups have taken these over. */
	fill_job_update(a, j, c.service);
	j->reschedule = NULL;
	j->migrate = NULL;
}
