#include "agent/lifecycle.h"

enum lifecycle_role lifecycle_role(const struct lifecycle *l)
{
	static const struct {
		const char *hook;
		enum lifecycle_role plain, sidecar;
	} roles[] = {
		{ "prestart", ROLE_PRESTART, ROLE_PRESTART_SIDECAR },
		{ "poststart", ROLE_POSTSTART, ROLE_POSTSTART_SIDECAR },
		{ "poststop", ROLE_POSTSTOP, ROLE_POSTSTOP },
	};
	for (size_t i = 0; l && i < ARRAY_LEN(roles); i++)
		if (str_eq(l->hook, roles[i].hook))
			return l->sidecar ? roles[i].sidecar : roles[i].plain;
	return ROLE_MAIN;
}

bool lifecycle_is_sidecar(enum lifecycle_role role)
{
	return role == ROLE_PRESTART_SIDECAR || role == ROLE_POSTSTART_SIDECAR;
}

/* The wave in which a task is stopped: the leader goes first, so that helpers serve it to its end. */
static int stop_wave(const struct lifecycle_task *t)
{
	if (t->leader)
		return 0;
	return lifecycle_is_sidecar(t->role) ? 2 : 1;
}

static void find_reason(const struct lifecycle_task *tasks, uint32_t n, bool stop_wanted, struct lifecycle_plan *plan)
{
	bool mains = false, mains_live = false;

	*plan = (struct lifecycle_plan){ .reason = stop_wanted ? WHY_STOPPED : WHY_NONE };
	for (uint32_t i = 0; i < n && !stop_wanted; i++) {
		const struct lifecycle_task *t = &tasks[i];

		if (t->role == ROLE_MAIN) {
			mains = true;
			mains_live |= t->stage != STAGE_DEAD;
		}
		if (t->stage != STAGE_DEAD || t->role == ROLE_POSTSTOP)
			continue;
		if (t->failed && plan->reason != WHY_SIBLING_FAILED)
			*plan = (struct lifecycle_plan){ WHY_SIBLING_FAILED, i };
		else if (t->leader && plan->reason == WHY_NONE)
			plan->reason = WHY_LEADER_DEAD;
	}
	if (plan->reason == WHY_NONE && mains && !mains_live)
		plan->reason = WHY_MAIN_DEAD;
}

static void stop_by_waves(const struct lifecycle_task *tasks, uint32_t n, enum lifecycle_order *orders)
{
	int wave = 3;

	for (uint32_t i = 0; i < n; i++)
		if (tasks[i].role != ROLE_POSTSTOP && tasks[i].stage == STAGE_ACTIVE)
			wave = MIN(wave, stop_wave(&tasks[i]));
	for (uint32_t i = 0; i < n; i++) {
		if (tasks[i].role == ROLE_POSTSTOP)
			continue;
		if (tasks[i].stage == STAGE_WAITING)
			orders[i] = ORDER_SKIP;
		else if (tasks[i].stage == STAGE_ACTIVE && stop_wave(&tasks[i]) == wave)
			orders[i] = ORDER_STOP;
	}
}

static void start_by_gates(const struct lifecycle_task *tasks, uint32_t n, enum lifecycle_order *orders)
{
	bool main_gate = true, poststart_gate = true;

	for (uint32_t i = 0; i < n; i++) {
		const struct lifecycle_task *t = &tasks[i];

		if (t->role == ROLE_PRESTART)
			main_gate &= t->stage == STAGE_DEAD;
		else if (t->role == ROLE_PRESTART_SIDECAR)
			main_gate &= t->up || t->started;
		else if (t->role == ROLE_MAIN)
			poststart_gate &= t->up || t->started;
	}
	for (uint32_t i = 0; i < n; i++) {
		const bool open[] = {
			[ROLE_PRESTART] = true,
			[ROLE_PRESTART_SIDECAR] = true,
			[ROLE_MAIN] = main_gate,
			[ROLE_POSTSTART] = main_gate && poststart_gate,
			[ROLE_POSTSTART_SIDECAR] = main_gate && poststart_gate,
			[ROLE_POSTSTOP] = false,
		};
		if (tasks[i].stage == STAGE_WAITING && open[tasks[i].role])
			orders[i] = ORDER_START;
	}
}

void lifecycle_decide(const struct lifecycle_task *tasks, uint32_t n, bool stop_wanted, enum lifecycle_order *orders,
    struct lifecycle_plan *plan)
{
	bool others_dead = true, anything_started = false;

	for (uint32_t i = 0; i < n; i++) {
		orders[i] = ORDER_NONE;
		if (tasks[i].role == ROLE_POSTSTOP)
			continue;
		others_dead &= tasks[i].stage == STAGE_DEAD;
		anything_started |= tasks[i].started;
	}
	find_reason(tasks, n, stop_wanted, plan);
	if (others_dead) {
		/* What never ran leaves nothing to clean up after. */
		for (uint32_t i = 0; i < n; i++)
			if (tasks[i].role == ROLE_POSTSTOP && tasks[i].stage == STAGE_WAITING)
				orders[i] = anything_started ? ORDER_START : ORDER_SKIP;
		return;
	}
	if (plan->reason != WHY_NONE)
		stop_by_waves(tasks, n, orders);
	else
		start_by_gates(tasks, n, orders);
}
