#include "agent/task_run.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/util.h>
#include <signal.h>
#include <sys/stat.h>

#include "agent/alloc_run.h"
#include "agent/registry.h"
#include "agent/signals.h"
#include "agent/stray.h"
#include "agent/task_launch.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"

#define KILL_TIMEOUT_DEFAULT (5 * SECOND)
#define KILL_AGAIN           (5 * SECOND)  /* SIGKILL is repeated: a task in uninterruptible sleep dies later */
#define ADOPT_LOOK           (20 * MILLI) /* how often an adopted keeper's record is looked at for its task */
#define ARENA_SLACK          8192

#define BIT(p) (1u << (p))
static const struct {
	const char *name;
	const char *api; /* TaskState.State */
	unsigned next;   /* legal moves */
} phases[TASK_PHASES] = {
	[TASK_PENDING] = { "pending", "pending", BIT(TASK_STARTING) | BIT(TASK_BACKOFF) | BIT(TASK_DEAD) },
	[TASK_STARTING] = { "starting", "pending", BIT(TASK_RUNNING) | BIT(TASK_BACKOFF) | BIT(TASK_DEAD) },
	[TASK_RUNNING] = { "running", "running",
	    BIT(TASK_STOPPING) | BIT(TASK_KILLING) | BIT(TASK_BACKOFF) | BIT(TASK_DEAD) },
	[TASK_STOPPING] = { "stopping", "running", BIT(TASK_KILLING) | BIT(TASK_BACKOFF) | BIT(TASK_DEAD) },
	[TASK_KILLING] = { "killing", "running", BIT(TASK_BACKOFF) | BIT(TASK_DEAD) },
	[TASK_BACKOFF] = { "backoff", "pending", BIT(TASK_STARTING) | BIT(TASK_BACKOFF) | BIT(TASK_DEAD) },
	[TASK_DEAD] = { "dead", "dead", 0 },
};

const char *task_phase_name(enum task_phase p)
{
	return p < TASK_PHASES ? phases[p].name : "unknown";
}

static void move(struct task_run *t, enum task_phase to)
{
	assert(phases[t->phase].next & BIT(to));
	log_debug("client", "allocation %.8s: task \"%s\": %s -> %s", t->alloc->id, t->name, phases[t->phase].name,
	    phases[to].name);
	t->phase = to;
	if (!str_eq(t->state->state, phases[to].api))
		MODEL_SET(task_state, t->state, state, phases[to].api);
	if (to == TASK_DEAD)
		MODEL_SET(task_state, t->state, finished_at, t->exited_at ? t->exited_at : clock_now());
}

bool task_run_has_process(const struct task_run *t)
{
	return t->phase >= TASK_STARTING && t->phase <= TASK_KILLING;
}

/* ---- life ---- */

struct task_run *task_run_new(struct alloc_run *alloc, const struct task *def)
{
	struct task_run *t = xcalloc(1, sizeof(*t));

	t->alloc = alloc;
	t->def = def;
	t->name = xstrdup(def->name);
	t->record = xasprintf("%s/%s.run", alloc->record_dir, def->name);
	t->role = lifecycle_role(def->lifecycle);
	t->arena = arena_new();
	t->state = MODEL_NEW(t->arena, task_state);
	MODEL_SET(task_state, t->state, state, phases[TASK_PENDING].api);
	MODEL_SET(task_state, t->state, failed, false);
	return t;
}

void task_run_free(struct task_run *t)
{
	if (!t)
		return;
	if (t->keeper)
		keeper_release(t->keeper);
	if (t->timer)
		event_free(t->timer);
	arena_free(t->arena);
	free(t->name);
	free(t->record);
	free(t);
}

/* Events come and go; the arena is renewed before the old ones pile up. */
static void renew_arena(struct task_run *t)
{
	if (arena_size(t->arena) < 4 * ARENA_SLACK)
		return;
	struct arena *fresh = arena_new();

	t->state = model_copy(fresh, &type_task_state, t->state);
	arena_free(t->arena);
	t->arena = fresh;
}

void task_run_event(struct task_run *t, enum task_event_kind kind, const char *text, int64_t duration)
{
	renew_arena(t);
	task_event_add(t->arena, t->state, kind, clock_now(), text, duration);
	alloc_run_touch(t->alloc);
}

void task_run_record(const struct task_run *t, struct task_record *out)
{
	*out = (struct task_record){
		.name = t->name,
		.phase = t->phase,
		.starts = t->starts,
		.restarts = t->restarts,
		.restart_at = t->restart_at,
		.restart_asked = t->restart_asked,
		.state = t->state,
	};
}

/* ---- timer ---- */

static void step_killing(struct task_run *t);
static void launch(struct task_run *t);
static void look_again(struct task_run *t);

/* What is still there, and what it is doing, as far as /proc tells. */
static char *describe_stuck(const struct task_run *t)
{
	int pid = t->keeper ? keeper_pid(t->keeper) : 0;
	cleanup_free char *path = xasprintf("/proc/%d/stat", pid);
	cleanup_buf struct buf stat = BUF_INIT;
	struct err e cleanup_err = ERR_INIT;
	const char *state = NULL;

	if (pid > 0 && file_read(path, 4096, &stat, &e) == 0 && (state = strrchr(stat.data, ')')) && state[1])
		state += 2;
	if (!state || *state == 'Z')
		return xasprintf("Sent SIGKILL %ds ago; processes that the task has started are still there", (int)(KILL_AGAIN / SECOND));
	return xasprintf("Sent SIGKILL %ds ago; process %d is still there, in state %c%s", (int)(KILL_AGAIN / SECOND), pid, *state,
	    *state == 'D' ? " (uninterruptible sleep: it waits for a device or a file system)" : "");
}

static void kill_hard(struct task_run *t)
{
	struct err e cleanup_err = ERR_INIT;
	struct timeval again = { .tv_sec = KILL_AGAIN / SECOND };

	if (t->sigkilled && !t->stuck) {
		cleanup_free char *what = describe_stuck(t);

		log_warn("client", "allocation %.8s: task \"%s\": %s", t->alloc->id, t->name, what);
		task_run_event(t, EVENT_STUCK, what, 0);
		t->stuck = true;
	}
	t->sigkilled = true;
	if (t->keeper && keeper_kill(t->keeper, &e) < 0)
		log_warn("client", "allocation %.8s: task \"%s\": %s", t->alloc->id, t->name, err_str(&e));
	evtimer_add(t->timer, &again);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct task_run *t = arg;

	(void)fd;
	(void)what;
	switch (t->phase) {
	case TASK_STOPPING:
		step_killing(t);
		break;
	case TASK_STARTING:
		look_again(t);
		break;
	case TASK_KILLING:
		kill_hard(t);
		break;
	case TASK_BACKOFF:
		launch(t);
		break;
	default:
		break;
	}
}

static void set_timer(struct task_run *t, int64_t delay)
{
	if (delay < 0) {
		if (t->timer)
			evtimer_del(t->timer);
		return;
	}
	struct timeval tv = { .tv_sec = delay / SECOND, .tv_usec = delay % SECOND / 1000 };

	if (!t->timer)
		t->timer = evtimer_new(t->alloc->host->base, on_timer, t);
	evtimer_add(t->timer, &tv);
}

/* ---- ends ---- */

static double jitter(void)
{
	uint32_t r;

	evutil_secure_rng_get_bytes(&r, sizeof(r));
	return r / 4294967296.0;
}

static void drop_keeper(struct task_run *t)
{
	if (t->keeper)
		keeper_release(t->keeper);
	t->keeper = NULL;
}

/* What was observed goes to disk. The keeper's record stays until the next start or the end of the allocation: the
 * phase on disk says whether it still means something. */
static void settle(struct task_run *t)
{
	struct err e cleanup_err = ERR_INIT;

	drop_keeper(t);
	task_launch_clean(t);
	if (alloc_run_save(t->alloc, &e) < 0)
		log_warn("client", "allocation %.8s: task \"%s\": %s", t->alloc->id, t->name, err_str(&e));
	alloc_run_changed(t->alloc);
}

static void bury(struct task_run *t, bool failed)
{
	set_timer(t, -1);
	if (failed) {
		MODEL_SET(task_state, t->state, failed, true);
		t->alloc->host->counts->failed++;
	} else {
		t->alloc->host->counts->complete++;
	}
	move(t, TASK_DEAD);
}

static const struct restart_policy *restart_policy(const struct task_run *t)
{
	return t->def->restart_policy ? t->def->restart_policy : t->alloc->group->restart_policy;
}

/* The process is gone, or there never was one: again, or dead. */
static void ended(struct task_run *t, enum restart_cause cause)
{
	const struct job *job = t->alloc->job->job;
	const struct restart_policy *policy = restart_policy(t);
	struct restart_decision d;
	int64_t now = clock_now();

	set_timer(t, -1);
	t->sigkilled = t->stuck = false;
	if (t->stop_wanted) {
		if (cause != RESTART_START_FAILED && cause != RESTART_UNRECOVERABLE)
			task_run_event(t, EVENT_KILLED, NULL, 0);
		bury(t, false);
		settle(t);
		return;
	}
	if (t->restart_asked)
		cause = t->restart_asked == TASK_RESTART_FREE ? RESTART_ASKED : RESTART_EXIT_FAILED;
	t->restart_asked = TASK_RESTART_NONE;
	restart_decide(&t->restarts, policy, restart_on_success(job->type, t->def->lifecycle), cause, now, jitter(), &d);
	switch (d.verdict) {
	case RESTART_AGAIN:
		task_run_event(t, EVENT_RESTARTING, d.reason, d.delay);
		MODEL_SET(task_state, t->state, restarts, t->state->restarts + 1);
		MODEL_SET(task_state, t->state, last_restart, now);
		t->alloc->host->counts->restarted++;
		move(t, TASK_BACKOFF);
		t->restart_at = now + d.delay;
		settle(t);
		/* Its allocation may have decided otherwise meanwhile. */
		if (t->phase == TASK_BACKOFF)
			set_timer(t, d.delay);
		break;
	case RESTART_FAIL:
		task_run_event(t, EVENT_NOT_RESTARTING, d.reason, 0);
		bury(t, true);
		settle(t);
		break;
	case RESTART_DONE:
		bury(t, false);
		settle(t);
		break;
	}
}

static void mark_started(struct task_run *t)
{
	set_timer(t, -1);
	move(t, TASK_RUNNING);
	t->exited_at = 0;
	MODEL_SET(task_state, t->state, started_at, clock_now());
	t->alloc->host->counts->started++;
	task_run_event(t, EVENT_STARTED, NULL, 0);
}

static void on_exited(struct task_run *t, const struct keeper_exit *x)
{
	struct task_event_exit ev = { .code = x->signal ? 128 + x->signal : x->code, .signal = x->signal, .oom = x->oom };

	if (t->phase == TASK_STARTING) /* it ran and ended while nobody watched */
		mark_started(t);
	if (x->lost) {
		ev = (struct task_event_exit){ .code = -1, .unknown = true,
			.message = x->rebooted ? "the machine was restarted while the task ran"
			                       : "the process that held the task (drover-keeper) was killed, and the task with it" };
		/* Whatever the holder left behind must not run beside the next attempt. */
		cgroup_kill(t->alloc->host->cgroups, t->alloc->id, t->name);
	}
	t->alloc->host->counts->oom_killed += x->oom;
	renew_arena(t);
	t->exited_at = x->at ? x->at : clock_now();
	task_event_add_exit(t->arena, t->state, t->exited_at, &ev);
	alloc_run_touch(t->alloc);
	ended(t, !x->lost && !x->code && !x->signal ? RESTART_EXIT_OK : RESTART_EXIT_FAILED);
}

static void on_started(struct task_run *t)
{
	if (t->phase != TASK_STARTING)
		return;
	mark_started(t);
	if (t->stop_wanted || t->restart_asked)
		step_killing(t); /* nothing of it stands in Consul yet */
	alloc_run_changed(t->alloc);
}

static void on_keeper(void *arg, struct keeper *k, enum keeper_event event, const struct keeper_exit *x)
{
	struct task_run *t = arg;

	(void)k;
	switch (event) {
	case KEEPER_STARTED:
		on_started(t);
		break;
	case KEEPER_START_FAILED:
		task_run_event(t, EVENT_DRIVER_FAILURE, x->error ? x->error : "the task could not be started", 0);
		ended(t, task_launch_may_work_later(-x->error_code) ? RESTART_START_FAILED : RESTART_UNRECOVERABLE);
		break;
	case KEEPER_EXITED:
		on_exited(t, x);
		break;
	}
}

/* ---- start ---- */

static void launch(struct task_run *t)
{
	struct err e cleanup_err = ERR_INIT;
	struct keeper *k = NULL;
	enum task_event_kind what = EVENT_DRIVER_FAILURE;
	bool first = t->phase == TASK_PENDING;
	int r = 0;

	if (first)
		task_run_event(t, EVENT_SETUP, "Building Task Directory", 0);
	move(t, TASK_STARTING);
	t->starts++;
	/* A start that is not on disk would be made a second time by the agent's successor. For the first one the
	 * record of the allocation is enough: a keeper's record beside a task that is pending is that start. */
	if (!first)
		r = alloc_run_save(t->alloc, &e);
	if (r == 0 && mkdir(t->alloc->record_dir, 0700) < 0 && errno != EEXIST) /* the disk was full when it was to be made */
		r = err_set(&e, -errno, "cannot make %s: %s", t->alloc->record_dir, strerror(errno));
	if (r == 0)
		r = task_launch(t, on_keeper, &k, &what, &e);
	if (r == 0) {
		t->keeper = k;
		return;
	}
	log_warn("client", "allocation %.8s: task \"%s\": cannot start: %s", t->alloc->id, t->name, err_str(&e));
	task_run_event(t, what, err_str(&e), 0);
	ended(t, task_launch_may_work_later(r) ? RESTART_START_FAILED : RESTART_UNRECOVERABLE);
}

void task_run_start(struct task_run *t)
{
	if (t->phase == TASK_PENDING)
		launch(t);
}

void task_run_skip(struct task_run *t)
{
	if (t->phase != TASK_PENDING)
		return;
	bury(t, false);
	alloc_run_touch(t->alloc);
}

void task_run_fail_setup(struct task_run *t, const char *sentence)
{
	if (t->phase != TASK_PENDING)
		return;
	task_run_event(t, EVENT_SETUP_FAILURE, sentence, 0);
	bury(t, true);
}

/* ---- stop ---- */

static int64_t kill_timeout(const struct task_run *t)
{
	int64_t timeout = MODEL_HAS(task, t->def, kill_timeout) ? t->def->kill_timeout : KILL_TIMEOUT_DEFAULT;
	int64_t most = t->alloc->host->config->max_kill_timeout;

	return MAX(most > 0 ? MIN(timeout, most) : timeout, 0);
}

static void step_killing(struct task_run *t)
{
	int64_t timeout = kill_timeout(t);
	struct err e cleanup_err = ERR_INIT;
	int signal = SIGINT;

	if (!str_empty(t->def->kill_signal) && signal_parse(t->def->kill_signal, &signal, &e) < 0)
		log_warn("client", "allocation %.8s: task \"%s\": kill_signal: %s; SIGINT is sent", t->alloc->id, t->name,
		    err_str(&e));
	if (t->stop_wanted)
		task_run_event(t, EVENT_KILLING, NULL, timeout);
	move(t, TASK_KILLING);
	if (t->keeper && keeper_signal(t->keeper, signal, &e) < 0)
		log_debug("client", "allocation %.8s: task \"%s\": %s", t->alloc->id, t->name, err_str(&e));
	set_timer(t, timeout);
}

static void add_reason(struct task_run *t, enum lifecycle_reason reason, const char *sibling)
{
	if (reason == WHY_SIBLING_FAILED)
		task_run_event(t, EVENT_SIBLING_FAILED, sibling, 0);
	else if (reason == WHY_LEADER_DEAD)
		task_run_event(t, EVENT_LEADER_DEAD, NULL, 0);
	else if (reason == WHY_MAIN_DEAD)
		task_run_event(t, EVENT_MAIN_DEAD, NULL, 0);
}

/* Out of Consul first, then time for traffic to go elsewhere, then the signal. */
static void begin_stopping(struct task_run *t, int64_t delay, bool delay_only_if_listed)
{
	registry_sync(t->alloc);
	t->leaving = registry_is_leaving(t->alloc, t->name);
	t->delay = t->leaving || !delay_only_if_listed ? delay : 0;
	if (!t->leaving && t->delay <= 0) {
		step_killing(t);
		return;
	}
	move(t, TASK_STOPPING);
	if (!t->leaving)
		set_timer(t, t->delay);
	alloc_run_touch(t->alloc);
}

void task_run_left(struct task_run *t)
{
	if (t->phase != TASK_STOPPING || !t->leaving || registry_is_leaving(t->alloc, t->name))
		return;
	t->leaving = false;
	if (t->delay > 0)
		set_timer(t, t->delay);
	else
		step_killing(t);
}

void task_run_stop(struct task_run *t, enum lifecycle_reason reason, const char *sibling, bool at_once)
{
	int64_t delay = at_once ? 0 : t->def->shutdown_delay;

	if (t->phase == TASK_PENDING) {
		task_run_skip(t);
		return;
	}
	if (t->stop_wanted || t->phase == TASK_DEAD)
		return;
	t->stop_wanted = true;
	t->restart_asked = TASK_RESTART_NONE;
	add_reason(t, reason, sibling);
	switch (t->phase) {
	case TASK_BACKOFF: /* waits to restart: nothing runs */
		task_run_event(t, EVENT_KILLING, NULL, 0);
		bury(t, false);
		settle(t);
		break;
	case TASK_STARTING:
		t->kill_at = clock_monotonic() + kill_timeout(t);
		set_timer(t, ADOPT_LOOK);
		break;
	case TASK_RUNNING:
		begin_stopping(t, delay, false);
		break;
	default: /* it is being killed for a restart already: it ends, and stays down */
		break;
	}
}

static int restart(struct task_run *t, enum task_restart how, const char *why, struct err *e)
{
	if (t->phase != TASK_RUNNING)
		return err_set(e, -ESRCH, "Task not running");
	task_run_event(t, EVENT_RESTART_SIGNALED, why, 0);
	t->restart_asked = how;
	begin_stopping(t, t->def->shutdown_delay, true);
	return alloc_run_save(t->alloc, e);
}

int task_run_restart(struct task_run *t, struct err *e)
{
	return restart(t, TASK_RESTART_FREE, "User requested restart", e);
}

void task_run_restart_failing(struct task_run *t, const char *why)
{
	struct err e cleanup_err = ERR_INIT;

	if (restart(t, TASK_RESTART_COUNTS, why, &e) < 0)
		log_debug("client", "allocation %.8s: task \"%s\": %s", t->alloc->id, t->name, err_str(&e));
}

int task_run_signal(struct task_run *t, int signal, struct err *e)
{
	if (t->phase != TASK_RUNNING && t->phase != TASK_STOPPING)
		return err_set(e, -ESRCH, "Task not running");
	task_run_event(t, EVENT_SIGNALING, signal_name(signal), 0);
	return keeper_signal(t->keeper, signal, e);
}

/* ---- restore ---- */

/* An adopted keeper has no pipe to us: whether its task has come up is seen from its record. Without a keeper the start
 * never came to one: it is made again. */
static void look_again(struct task_run *t)
{
	struct err e cleanup_err = ERR_INIT;

	if (!t->keeper) {
		if (t->stop_wanted) {
			bury(t, false);
			settle(t);
		} else {
			move(t, TASK_BACKOFF);
			launch(t);
		}
		return;
	}
	if (keeper_pid(t->keeper) > 0) {
		on_started(t);
		return;
	}
	if (t->kill_at && clock_monotonic() >= t->kill_at && keeper_kill(t->keeper, &e) < 0)
		log_warn("client", "allocation %.8s: task \"%s\": %s", t->alloc->id, t->name, err_str(&e));
	set_timer(t, ADOPT_LOOK);
}

bool task_run_adopt(struct task_run *t)
{
	struct err e cleanup_err = ERR_INIT;

	if (keeper_adopt(t->alloc->host->base, t->record, &t->starts, on_keeper, t, &t->keeper, &e) < 0) {
		log_debug("client", "allocation %.8s: task \"%s\": %s", t->alloc->id, t->name, err_str(&e));
		t->keeper = NULL;
		return false;
	}
	if (t->phase == TASK_PENDING) /* our record is lost or older, the keeper's is not */
		t->phase = TASK_STARTING;
	if (t->phase == TASK_STARTING)
		set_timer(t, 0);
	return true;
}

static void restore_process(struct task_run *t)
{
	enum task_phase was = t->phase;

	if (!task_run_adopt(t)) {
		struct task_event_exit ev = { .code = -1, .unknown = true, .message = "the record of the process is gone" };

		if (was == TASK_STARTING) {
			set_timer(t, 0);
			return;
		}
		/* Our disk was lost, the process perhaps not: it must not run beside the next one. */
		stray_end(t->record);
		cgroup_kill(t->alloc->host->cgroups, t->alloc->id, t->name);
		task_event_add_exit(t->arena, t->state, clock_now(), &ev);
		t->phase = TASK_RUNNING;
		ended(t, RESTART_EXIT_FAILED);
		return;
	}
	if (was == TASK_STOPPING || was == TASK_KILLING) {
		/* The sequence starts over when the allocation says so; an asked restart goes on from here. */
		t->phase = TASK_RUNNING;
		if (t->restart_asked)
			step_killing(t);
	}
}

void task_run_restore(struct task_run *t, const struct task_record *r)
{
	t->state = model_copy(t->arena, &type_task_state, r->state);
	t->restarts = r->restarts;
	t->starts = r->starts;
	t->restart_asked = r->restart_asked <= TASK_RESTART_COUNTS ? (enum task_restart)r->restart_asked : TASK_RESTART_FREE;
	t->phase = r->phase < TASK_PHASES ? (enum task_phase)r->phase : TASK_PENDING;
	if (task_run_has_process(t)) {
		restore_process(t);
	} else if (t->phase == TASK_PENDING) {
		task_run_adopt(t);
	} else if (t->phase == TASK_BACKOFF) {
		/* A clock that was set back must not make it wait for ever. */
		const struct restart_policy *policy = restart_policy(t);
		int64_t most = policy ? policy->delay + policy->interval : 0, left = r->restart_at - clock_now();

		set_timer(t, MAX(MIN(left, 2 * most), 0));
	}
}
