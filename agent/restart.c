#include "agent/restart.h"

#include "base/clock.h"

bool restart_on_success(const char *job_type, const struct lifecycle *lifecycle)
{
	if (lifecycle && str_eq(lifecycle->hook, "poststop"))
		return false;
	if (lifecycle && !str_empty(lifecycle->hook))
		return lifecycle->sidecar;
	return !str_eq(job_type, "batch") && !str_eq(job_type, "sysbatch");
}

static int64_t with_jitter(int64_t delay, double jitter)
{
	return delay + (int64_t)((double)delay * 0.25 * jitter);
}

static void decide(struct restart_decision *out, enum restart_verdict verdict, int64_t delay, const char *reason)
{
	out->verdict = verdict;
	out->delay = MAX(delay, 0);
	snprintf(out->reason, sizeof(out->reason), "%s", reason);
}

void restart_decide(struct restart_tracker *t, const struct restart_policy *policy, bool on_success,
    enum restart_cause cause, int64_t now, double jitter, struct restart_decision *out)
{
	if (cause == RESTART_ASKED) {
		decide(out, RESTART_AGAIN, 0, "");
		return;
	}
	if (cause == RESTART_EXIT_OK && !on_success) {
		decide(out, RESTART_DONE, 0, "Restart unnecessary as task terminated successfully");
		return;
	}
	if (cause == RESTART_UNRECOVERABLE) {
		decide(out, RESTART_FAIL, 0, "Error was unrecoverable");
		return;
	}
	if (!policy || policy->attempts <= 0) {
		decide(out, RESTART_FAIL, 0, "Policy allows no restarts");
		return;
	}
	/* A clock that was set back must not keep a window open for ever. */
	if (!t->window_start || now - t->window_start > policy->interval || now < t->window_start) {
		t->window_start = now;
		t->count = 0;
	}
	t->count++;
	if (t->count <= policy->attempts) {
		decide(out, RESTART_AGAIN, with_jitter(policy->delay, jitter), "Restart within policy");
		return;
	}
	char interval[DURATION_STR], text[sizeof(out->reason)];
	duration_format(policy->interval, interval);
	if (str_eq(policy->mode, "delay")) {
		snprintf(text, sizeof(text), "Exceeded allowed attempts %lld in interval %s and mode is \"delay\"",
		    (long long)policy->attempts, interval);
		decide(out, RESTART_AGAIN, with_jitter(t->window_start + policy->interval - now, jitter), text);
		return;
	}
	snprintf(text, sizeof(text), "Exceeded allowed attempts %lld in interval %s and mode is \"fail\"",
	    (long long)policy->attempts, interval);
	decide(out, RESTART_FAIL, 0, text);
}
