/* admit_task: what can be wrong with a task and with the things that groups and tasks share: conditions, networks. Services
 * are in admit_service.c. Wordings are those that clients of the API know, where they know one. */
#include <errno.h>

#include "sched/constraint.h"
#include "sched/problems.h"

#define AMOUNT_MAX (INT64_C(1) << 40) /* of any resource, so that sums of them cannot overflow */
#define TASK_NAME_MAX 128

static void validate_operands(
    struct problems *p, const char *what, unsigned n, const char *l, const char *op, const char *r)
{
	cleanup_err struct err e = ERR_INIT;
	struct constraint_test t;
	struct problems inner = {.a = p->a};
	if (constraint_test_init(&t, l, op, r, &e)) {
		problems_add(&inner, "%s", err_str(&e));
	} else {
		bool needs = t.op != CONSTRAINT_DISTINCT_HOSTS;
		bool needs_right = needs && t.op < CONSTRAINT_IS_SET;
		constraint_test_release(&t);
		if (needs && str_empty(l))
			problems_add(&inner, "No LTarget provided but is required by constraint");
		if (needs_right && str_empty(r) && t.op > CONSTRAINT_NE)
			problems_add(&inner, "Operator \"%s\" requires an RTarget", op);
		if (t.op == CONSTRAINT_DISTINCT_PROPERTY && !str_empty(r)) {
			char *end;
			long count = strtol(r, &end, 10);
			if (*end)
				problems_add(&inner, "Failed to convert RTarget \"%.64s\" to uint64", r);
			else if (count < 1)
				problems_add(&inner, "Distinct Property must have an allowed count of 1 or greater; got %ld < 1",
				    count);
		}
	}
	problems_nest(p, &inner, "%s %u validation failed: ", what, n);
}

void validate_constraints(struct problems *p, const struct objs *constraints, const struct objs *affinities)
{
	OBJS_EACH (constraints, struct constraint, c)
		validate_operands(p, "Constraint", c_i + 1, c->ltarget, c->operand, c->rtarget);
	OBJS_EACH (affinities, struct affinity, f) {
		int op = constraint_op(f->operand);
		validate_operands(p, "Affinity", f_i + 1, f->ltarget, f->operand, f->rtarget);
		if (op == CONSTRAINT_DISTINCT_HOSTS || op == CONSTRAINT_DISTINCT_PROPERTY)
			problems_add(p, "Affinity %u validation failed: Unknown affinity operator \"%s\"", f_i + 1, f->operand);
		if (f->weight == 0)
			problems_add(p, "Affinity weight cannot be zero");
		else if (f->weight < -100 || f->weight > 100)
			problems_add(p, "Affinity weight must be within the range [-100,100]");
	}
}

void validate_spreads(struct problems *p, const struct objs *spreads)
{
	OBJS_EACH (spreads, struct spread, s) {
		struct problems inner = {.a = p->a};
		struct map values = MAP_INIT;
		int64_t sum = 0;
		if (str_empty(s->attribute))
			problems_add(&inner, "Missing spread attribute");
		if (s->weight <= 0 || s->weight > 100)
			problems_add(&inner, "Spread stanza must have a positive weight from 0 to 100");
		for (uint32_t i = 0; i < s->spread_target.n; i++) {
			struct spread_target *t = s->spread_target.v[i];
			if (map_set(&values, str_or(t->value, ""), t))
				problems_add(&inner, "Spread target value \"%s\" already defined", str_or(t->value, ""));
			if (t->percent < 0 || t->percent > 100)
				problems_add(&inner, "Spread target percentage for value \"%s\" must be between 0 and 100",
				    t->value ? t->value : "");
			else
				sum += t->percent;
		}
		map_free(&values);
		if (sum > 100)
			problems_add(&inner, "Sum of spread target percentages must not be greater than 100%%; got %lld%%",
			    (long long)sum);
		problems_nest(p, &inner, "Spread %u validation failed: ", s_i + 1);
	}
}

/* ---- networks ---- */

static void validate_port(struct problems *p, struct port *port, struct map *labels, struct map *statics)
{
	char number[24];
	const char *label = port->label ? port->label : "";
	if (str_empty(label))
		problems_add(p, "Port label cannot be empty");
	else if (map_set(labels, label, port))
		problems_add(p, "Port label %s already in use", label);
	if (port->value < 0)
		problems_add(p, "Port %s (%lld) cannot be less than 0", label, (long long)port->value);
	if (port->value > 65535)
		problems_add(p, "Port %s (%lld) cannot be greater than 65535", label, (long long)port->value);
	if (port->to < -1)
		problems_add(p, "Port \"%s\" cannot be mapped to negative value %lld", label, (long long)port->to);
	if (port->to > 65535)
		problems_add(p, "Port \"%s\" cannot be mapped to a port (%lld) greater than 65535", label, (long long)port->to);
	if (port->value > 0 && !port->ignore_collision) {
		snprintf(number, sizeof(number), "%lld", (long long)port->value);
		if (map_set(statics, number, port))
			problems_add(p, "Static port %s already reserved by %s", number, label);
	}
}

void validate_network(struct problems *p, const struct task_group *g)
{
	struct map labels = MAP_INIT, statics = MAP_INIT;
	struct problems inner = {.a = p->a};
	if (g->networks.n > 1)
		problems_add(&inner, "Only one network block is allowed, found %u", g->networks.n);
	OBJS_EACH (&g->networks, struct network, n) {
		static const char *const modes[] = {"", "none", "bridge", "host", NULL};
		if (!problems_one_of(n->mode ? n->mode : "", modes) && !str_starts(n->mode, "cni/"))
			problems_add(&inner, "Unknown network mode \"%s\": expected host, bridge, none or cni/<name>", n->mode);
		OBJS_EACH (&n->reserved_ports, struct port, r)
			validate_port(&inner, r, &labels, &statics);
		OBJS_EACH (&n->dynamic_ports, struct port, d)
			validate_port(&inner, d, &labels, &statics);
	}
	OBJS_EACH (&g->tasks, struct task, t) {
		if (!t->resources)
			continue;
		/* Labels of different tasks may be the same, static ports may not. */
		OBJS_EACH (&t->resources->networks, struct network, tn) {
			struct map own = MAP_INIT;
			OBJS_EACH (&tn->reserved_ports, struct port, tr)
				validate_port(&inner, tr, &own, &statics);
			OBJS_EACH (&tn->dynamic_ports, struct port, td)
				validate_port(&inner, td, &own, &statics);
			map_free(&own);
		}
	}
	map_free(&labels);
	map_free(&statics);
	problems_nest(p, &inner, "Task group network validation failed: ");
}

/* ---- tasks ---- */

static void validate_resources(struct problems *p, const struct resources *r)
{
	const struct {
		const char *what;
		int64_t value;
	} amounts[] = {{"CPU", r->cpu}, {"Cores", r->cores}, {"MemoryMB", r->memory_mb}, {"MemoryMaxMB", r->memory_max_mb},
	    {"DiskMB", r->disk_mb}, {"SecretsMB", r->secrets_mb}};
	struct problems minimum = {.a = p->a}, all = {.a = p->a};
	if (r->cores > 0 && r->cpu > 0)
		problems_add(&all, "Task can only ask for 'cpu' or 'cores' resource, not both.");
	if (r->cores <= 0 && r->cpu < 1)
		problems_add(&minimum, "minimum CPU value is 1; got %lld", (long long)r->cpu);
	if (r->memory_mb < 10)
		problems_add(&minimum, "minimum MemoryMB value is 10; got %lld", (long long)r->memory_mb);
	problems_nest(&all, &minimum, "%s", "");
	if (r->memory_max_mb > 0 && r->memory_max_mb < r->memory_mb)
		problems_add(&all, "MemoryMaxMB value (%lld) should be larger than MemoryMB value (%lld)",
		    (long long)r->memory_max_mb, (long long)r->memory_mb);
	for (size_t i = 0; i < ARRAY_LEN(amounts); i++)
		if (amounts[i].value > AMOUNT_MAX || (i > 2 && amounts[i].value < 0))
			problems_add(&all, "%s value %lld is out of range: expected 0 to %lld", amounts[i].what,
			    (long long)amounts[i].value, (long long)AMOUNT_MAX);
	OBJS_EACH (&r->devices, struct requested_device, d)
		if (str_empty(d->name) || d->count < 1)
			problems_add(&all, "device %u: a device needs a name and a count of 1 or more", d_i + 1);
	problems_nest(p, &all, "%s", "");
}

static void validate_template(struct problems *p, const struct template_block *b, unsigned n)
{
	static const char *const modes[] = {"noop", "restart", "signal", "script", NULL};
	struct problems inner = {.a = p->a};
	if (str_empty(b->source_path) && str_empty(b->embedded_tmpl))
		problems_add(&inner, "Must specify a source path or have an embedded template");
	if (str_empty(b->dest_path))
		problems_add(&inner, "Must specify a destination for the template");
	if (!problems_one_of(b->change_mode, modes))
		problems_add(&inner, "Unknown change mode \"%s\": expected noop, restart, signal or script", b->change_mode);
	if (str_eq(b->change_mode, "signal") && str_empty(b->change_signal))
		problems_add(&inner, "Must specify signal value when change mode is signal");
	if (b->splay < 0)
		problems_add(&inner, "Must specify positive splay value");
	problems_nest(p, &inner, "Template %u validation failed: ", n);
}

static void validate_task_parts(struct problems *p, const struct task_group *g, const struct task *t)
{
	OBJS_EACH (&t->artifacts, struct artifact, f) {
		struct problems inner = {.a = p->a};
		if (str_empty(f->getter_source))
			problems_add(&inner, "source must be specified");
		problems_nest(p, &inner, "Artifact %u validation failed: ", f_i + 1);
	}
	OBJS_EACH (&t->templates, struct template_block, b)
		validate_template(p, b, b_i + 1);
	if (t->dispatch_payload && str_empty(t->dispatch_payload->file))
		problems_add(p, "Dispatch Payload validation failed: file must be given");
	if (t->lifecycle) {
		static const char *const hooks[] = {"prestart", "poststart", "poststop", NULL};
		if (str_empty(t->lifecycle->hook))
			problems_add(p, "Lifecycle validation failed: no lifecycle hook provided");
		else if (!problems_one_of(t->lifecycle->hook, hooks))
			problems_add(p, "Lifecycle validation failed: invalid hook: %s", t->lifecycle->hook);
	}
	OBJS_EACH (&t->volume_mounts, struct volume_mount, m)
		if (!objmap_get(&g->volumes, m->volume ? m->volume : ""))
			problems_add(p, "Volume Mount (%u) references undefined volume %s", m_i, m->volume ? m->volume : "");
}

void validate_task(struct problems *p, const struct group_view *v, const struct task *t)
{
	const struct task_group *g = v->g;
	const struct log_config *log = t->log_config;
	if (str_empty(t->name))
		problems_add(p, "Missing task name");
	else if (strpbrk(t->name, "/\\") || str_eq(t->name, ".") || str_eq(t->name, "..") || str_eq(t->name, "alloc"))
		problems_add(p, "Task name cannot include slashes nor be \"alloc\": it names a folder");
	else if (strlen(t->name) > TASK_NAME_MAX)
		problems_add(p, "Task name is longer than %d characters", TASK_NAME_MAX);
	problems_name(p, "Task name", t->name);
	if (str_empty(t->driver))
		problems_add(p, "Missing task driver");
	if (t->kill_timeout < 0)
		problems_add(p, "KillTimeout must be a positive value");
	if (t->shutdown_delay < 0)
		problems_add(p, "ShutdownDelay must be a positive value");
	validate_resources(p, t->resources);
	if (log->max_files < 1)
		problems_add(p, "minimum number of files is 1; got %lld", (long long)log->max_files);
	if (log->max_file_size_mb < 1)
		problems_add(p, "minimum file size is 1MB; got %lld", (long long)log->max_file_size_mb);
	int64_t logs;
	if (__builtin_mul_overflow(log->max_files, log->max_file_size_mb, &logs) || logs > g->ephemeral_disk->size_mb)
		problems_add(p, "log storage (%lld MB) must be less than requested disk capacity (%lld MB)",
		    (long long)logs,
		    (long long)g->ephemeral_disk->size_mb);
	validate_constraints(p, &t->constraints, &t->affinities);
	validate_services(p, v, t, &t->services);
	validate_task_parts(p, g, t);
}
