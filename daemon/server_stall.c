/*
 * server_stall: a journal that does not answer, and time that does not pass as it should. The journal counts as silent from the
 * begin of the first job that it has not answered; by the length of that silence the server refuses first writes, then
 * everything: others may have taken over, and whoever asks here must find them. What the silence, a stop of the process or a
 * jump of the clock kept nodes from saying does not count against them.
 */
#include <errno.h>
#include <stdlib.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/server_internal.h"

/* Of a shared journal: */
#define STALL_AFTER    (2 * SECOND)  /* no new writes */
#define ISOLATED_AFTER (10 * SECOND) /* nothing at all but stale reads */
#define CONFIRM_WITHIN (5 * SECOND)  /* answers fail that wait longer for a confirmation */
#define COMMIT_WITHIN  (10 * SECOND) /* or for a commit */
#define PROOF_AFTER    (3 * SECOND)  /* without a job: a confirmation, so that an idle leader too notices that it is none */
#define JUMP           SECOND        /* of the clock; less is the usual drift */

static void set_timer(struct event *timer, int64_t after)
{
	const struct timeval tv = {after / SECOND, after % SECOND / 1000};

	evtimer_add(timer, &tv);
}

int64_t server_silence(const struct server *s)
{
	if (s->role != ROLE_LEADS || !s->unanswered || !core_is_shared(s->core))
		return 0;
	return clock_monotonic() - s->unanswered;
}

bool server_is_stalled(const struct server *s)
{
	return server_silence(s) > STALL_AFTER;
}

static const char *consul_error(const struct server *s, struct consul_stats *stats)
{
	consul_stats(s->config.consul, stats);
	return stats->last_failure > stats->last_answer ? stats->last_error : "no answer yet";
}

int server_check(const struct server *s, bool write, struct err *e)
{
	int64_t silent = server_silence(s);
	struct consul_stats stats;

	if (s->left)
		return err_set(e, -EAGAIN, "this server is leaving; try again, another one takes over");
	if (silent <= (write ? STALL_AFTER : ISOLATED_AFTER))
		return 0;
	if (write)
		return err_set(e, -EAGAIN, "nothing can be written: Consul, which keeps the journal, has not answered for %lld s (%s); "
		    "running work is not touched; try again later", (long long)(silent / SECOND), consul_error(s, &stats));
	return err_set(e, -EAGAIN, "Consul has not confirmed for %lld s that this server still leads (%s); ask with ?stale for what it "
	    "knew last", (long long)(silent / SECOND), consul_error(s, &stats));
}

bool server_is_stuck(const struct server *s)
{
	return server_is_stalled(s) && core_state(s->core)->index > core_committed(s->core);
}

void server_on_answer(struct server *s)
{
	s->answered = clock_monotonic();
	s->unanswered = s->retry_at = 0;
	if (!s->isolated)
		return;
	core_excuse(s->core, s->answered - s->isolated);
	s->isolated = 0;
}

/* ---- each second ---- */

/* Answers that have waited for too long, in order of arrival. */
static void fail_the_patient(struct server *s)
{
	int64_t now = clock_monotonic();
	struct consul_stats stats;
	struct rest *r;

	while ((r = server_first_resting(s))) {
		bool unwritten = r->index > core_committed(s->core);
		cleanup_free char *text = NULL;

		if (now - r->since < (unwritten ? COMMIT_WITHIN : CONFIRM_WITHIN))
			break;
		if (unwritten)
			text = xasprintf("Consul has not said whether it has written this: it may take effect or not (%s)",
			    consul_error(s, &stats));
		else
			text = xasprintf("Consul does not confirm that this server still leads (%s); ask with ?stale for what it knew last",
			    consul_error(s, &stats));
		server_fail_rest(r, text);
	}
}

void server_on_pulse(evutil_socket_t fd, short what, void *arg)
{
	struct server *s = arg;
	int64_t now = clock_monotonic();

	(void)fd;
	(void)what;
	if (s->role != ROLE_LEADS || !core_is_shared(s->core))
		return;
	set_timer(s->pulse, SECOND);
	fail_the_patient(s);
	if (!s->isolated && server_silence(s) > ISOLATED_AFTER) {
		s->isolated = now;
		log_warn("server", "Consul does not answer: whoever asks here is sent away until it does");
		watch_wake_all(s->watch); /* those who wait for news wait for another server's */
	}
	if (s->unanswered || s->isolated || now - s->answered > PROOF_AFTER)
		server_kick(s);
}

bool server_wants_proof(const struct server *s)
{
	return core_is_shared(s->core) && (s->unanswered || clock_monotonic() - s->answered > PROOF_AFTER);
}

void server_begin_pulse(struct server *s)
{
	s->answered = clock_monotonic();
	s->unanswered = s->isolated = s->retry_at = 0;
	s->clock_ahead = clock_now() - s->answered;
	if (core_is_shared(s->core))
		set_timer(s->pulse, SECOND);
}

/* ---- time ---- */

void server_check_clock(struct server *s)
{
	int64_t ahead = clock_now() - clock_monotonic(), jump = ahead - s->clock_ahead;

	s->clock_ahead = ahead;
	if (llabs(jump) < JUMP)
		return;
	log_warn("server", "the clock was set %s by %.1f s", jump > 0 ? "forward" : "back", (double)llabs(jump) / 1e9);
	core_excuse(s->core, jump);
}

int64_t server_now(struct server *s)
{
	if (s->role == ROLE_LEADS)
		server_check_clock(s);
	return clock_now();
}

void server_check_stop(struct server *s)
{
	int64_t late = clock_monotonic() - s->timer_due;

	if (late < JUMP)
		return;
	log_warn("server", "this process stood still for %.1f s or more", (double)late / 1e9);
	core_excuse(s->core, late);
}
