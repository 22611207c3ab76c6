/*
 * raw_exec: runs a command as it is: no isolation, the agent's own user unless the task names another. Off unless the
 * configuration enables it.
 */
#include <errno.h>
#include <fnmatch.h>
#include <sys/stat.h>

#include "agent/driver.h"

enum config_kind { CONFIG_STR, CONFIG_STRS, CONFIG_INT, CONFIG_REFUSED };

static const struct config_key {
	const char *name;
	enum config_kind kind;
	const char *expected;
} config_keys[] = {
    {"command", CONFIG_STR, "a string, the program to start"},
    {"args", CONFIG_STRS, "a list of strings"},
    {"work_dir", CONFIG_STR, "a string, a folder of the task"},
    {"oom_score_adj", CONFIG_INT, "a whole number from -1000 to 1000"},
    {"denied_envvars", CONFIG_STRS, "a list of names, * stands for anything"},
    {"cgroup_v1_override", CONFIG_REFUSED, "left out: it is not supported by this client"},
    {"cgroup_v2_override", CONFIG_REFUSED, "left out: it is not supported by this client"},
};

static void raw_exec_fingerprint(struct driver_info *out, struct arena *a, bool enabled)
{
	MODEL_SET(driver_info, out, detected, enabled);
	MODEL_SET(driver_info, out, healthy, enabled);
	MODEL_SET(driver_info, out, health_description, enabled ? "Healthy" : "disabled");
	if (enabled)
		strmap_set(a, &out->attributes, "driver.raw_exec", "true");
}

static bool is_kind(const struct value *v, enum config_kind kind)
{
	switch (kind) {
	case CONFIG_STR:
		return v->kind == VAL_STR;
	case CONFIG_INT:
		return v->kind == VAL_INT;
	case CONFIG_REFUSED:
		return false;
	case CONFIG_STRS:
		if (v->kind != VAL_LIST)
			return false;
		for (uint32_t i = 0; i < v->n; i++)
			if (v->items[i]->kind != VAL_STR && v->items[i]->kind != VAL_INT && v->items[i]->kind != VAL_BOOL &&
			    v->items[i]->kind != VAL_FLOAT)
				return false;
		return true;
	}
	return false;
}

static const struct config_key *find_key(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(config_keys); i++)
		if (str_eq(config_keys[i].name, name))
			return &config_keys[i];
	return NULL;
}

static int raw_exec_validate(const struct value *config, struct err *e)
{
	const struct value *command = config && config->kind == VAL_MAP ? value_get(config, "command") : NULL;

	/* First what is there: a key that is written wrong explains one that is missing. */
	for (uint32_t i = 0; config && config->kind == VAL_MAP && i < config->n; i++) {
		const struct config_key *k = find_key(config->keys[i]);

		if (!k)
			return err_set(e, -EINVAL,
			    "driver raw_exec: config has an unknown key \"%s\"; it knows command, args, work_dir, "
			    "oom_score_adj, denied_envvars",
			    config->keys[i]);
		if (config->items[i]->kind != VAL_NULL && !is_kind(config->items[i], k->kind))
			return err_set(e, -EINVAL, "driver raw_exec: config key \"%s\" must be %s", k->name, k->expected);
	}
	if (!command || command->kind != VAL_STR || !command->n)
		return err_set(e, -EINVAL, "driver raw_exec: config has no \"command\", the program to start");
	const struct value *oom = value_get(config, "oom_score_adj");

	if (oom && oom->kind == VAL_INT && (oom->i < -1000 || oom->i > 1000))
		return err_set(e, -EINVAL, "driver raw_exec: oom_score_adj is %lld, allowed is -1000 to 1000", (long long)oom->i);
	return 0;
}

static const char *text_of(const struct value *v, struct arena *a)
{
	switch (v->kind) {
	case VAL_STR:
		return v->s;
	case VAL_INT:
		return arena_printf(a, "%lld", (long long)v->i);
	case VAL_FLOAT:
		return arena_printf(a, "%.15g", v->f);
	default:
		return v->kind == VAL_BOOL && v->b ? "true" : "false";
	}
}

static bool is_denied(const struct value *denied, const char *name)
{
	for (uint32_t i = 0; denied && denied->kind == VAL_LIST && i < denied->n; i++)
		if (denied->items[i]->kind == VAL_STR && fnmatch(denied->items[i]->s, name, 0) == 0)
			return true;
	return false;
}

/* A program that the job brought along comes first: <task>/local, then the task's folder; other names are left to PATH. */
static const char *find_own(const struct driver_task *t, const char *command, struct arena *a)
{
	static const char *const places[] = {"/local/", "/"};

	for (size_t i = 0; *command != '/' && i < ARRAY_LEN(places); i++) {
		const char *full = arena_printf(a, "%s%s%s", t->task_dir, places[i], command);
		struct stat st;

		if (stat(full, &st) == 0 && S_ISREG(st.st_mode))
			return full;
	}
	return command;
}

static int set_work_dir(const struct driver_task *t, const struct value *work, struct keeper_spec *spec, struct arena *a,
    struct err *e)
{
	struct stat st;

	spec->work_dir = t->task_dir;
	if (work && work->kind == VAL_STR && work->n)
		spec->work_dir = work->s[0] == '/' ? work->s : arena_printf(a, "%s/%s", t->task_dir, work->s);
	if (stat(spec->work_dir, &st) < 0 || !S_ISDIR(st.st_mode))
		return err_set(e, -ENOENT, "driver raw_exec: work_dir \"%s\" is not a folder", spec->work_dir);
	return 0;
}

static int raw_exec_prepare(const struct driver_task *t, struct keeper_spec *spec, struct arena *a, struct err *e)
{
	const struct value *config = t->config, *args = value_get(config, "args"), *oom = value_get(config, "oom_score_adj"),
	                   *denied = value_get(config, "denied_envvars");

	spec->command = find_own(t, value_get(config, "command")->s, a);
	for (uint32_t i = 0; args && args->kind == VAL_LIST && i < args->n; i++)
		strs_push(a, &spec->args, text_of(args->items[i], a));
	for (uint32_t i = 0; i < t->env->n; i++)
		if (!is_denied(denied, t->env->v[i].key))
			strs_push(a, &spec->env, arena_printf(a, "%s=%s", t->env->v[i].key, t->env->v[i].value));
	if (oom && oom->kind == VAL_INT)
		spec->oom_score_adj = (int)oom->i;
	return set_work_dir(t, value_get(config, "work_dir"), spec, a, e);
}

const struct driver_ops driver_raw_exec = {
    .name = "raw_exec",
    .fingerprint = raw_exec_fingerprint,
    .validate = raw_exec_validate,
    .prepare = raw_exec_prepare,
};
