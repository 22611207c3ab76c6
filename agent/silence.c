#include "agent/silence.h"

#include <event2/event.h>
#include <inttypes.h>

#include "agent/keeper.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"

#define LOOK_EVERY (1 * SECOND)
#define LOOK_LEAST (SECOND / 10)
#define PACE_LEAST (SECOND / 2)
#define CONTACT_MAX 128

struct silence {
	const struct client_table *table;
	struct pull *pull;
	char *path;
	int64_t before; /* monotonic: when the servers answered an earlier agent last, or this one began */
	int64_t saved;  /* monotonic: what the file says */
	struct event *timer;
};

/* ---- the file: "<boot id> <monotonic ns>" ---- */

static int64_t load(const char *path)
{
	struct buf text cleanup_buf = BUF_INIT;
	char boot[48];
	int64_t at, now = clock_monotonic();

	if (file_read(path, CONTACT_MAX, &text, NULL) < 0 || !text.len)
		return now;
	/* After a reboot nothing runs that could be stopped. */
	bool ours = sscanf(text.data, "%47s %" SCNd64, boot, &at) == 2 && str_eq(boot, keeper_boot_id());

	return ours && at <= now ? at : now;
}

static int64_t contact(const struct silence *s)
{
	int64_t heard = pull_contact(s->pull);

	return heard ? heard : s->before;
}

static void save(struct silence *s, int64_t at)
{
	struct err e cleanup_err = ERR_INIT;
	char text[CONTACT_MAX];
	int n = snprintf(text, sizeof(text), "%s %" PRId64 "\n", keeper_boot_id(), at);

	if (at <= s->saved)
		return;
	if (file_write_atomic(s->path, text, (size_t)n, 0600, false, &e) < 0)
		log_warn("client", "%s", err_str(&e));
	else
		s->saved = at;
}

/* ---- the look ---- */

static int64_t limit_of(const struct alloc_run *a)
{
	const struct disconnect_strategy *d = a->group->disconnect;

	return d ? d->stop_on_client_after : a->group->stop_after_client_disconnect;
}

static void stop(struct alloc_run *a, int64_t limit)
{
	char duration[DURATION_STR], why[160];

	snprintf(why, sizeof(why), "no server has answered for %s (stop_on_client_after)", duration_format(limit, duration));
	for (uint32_t i = 0; i < a->n; i++)
		if (task_run_has_process(a->tasks[i]))
			task_run_event(a->tasks[i], EVENT_DISCONNECTED, why, 0);
	alloc_run_stop(a, why);
}

void silence_look(struct silence *s)
{
	int64_t since = contact(s), silent = clock_monotonic() - since;
	int64_t shortest = 0;
	const char *key;
	void *value;

	for (uint32_t i = 0; map_next(&s->table->allocs, &i, &key, &value);) {
		struct alloc_run *a = value;
		int64_t limit = limit_of(a);

		if (limit <= 0 || a->stop_asked || alloc_run_ended(a))
			continue;
		shortest = shortest ? MIN(shortest, limit) : limit;
		if (silent >= limit)
			stop(a, limit);
	}
	pull_pace(s->pull, shortest ? MAX(shortest / 3, PACE_LEAST) : 0);
	if (!shortest)
		return;
	save(s, since);
	int64_t next = MAX(MIN(shortest / 8, LOOK_EVERY), LOOK_LEAST);
	const struct timeval later = { .tv_sec = next / SECOND, .tv_usec = next % SECOND / 1000 };

	if (!evtimer_pending(s->timer, NULL))
		evtimer_add(s->timer, &later);
}

static void on_timer(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	silence_look(arg);
}

struct silence *silence_start(struct event_base *base, const char *state_dir, const struct client_table *table, struct pull *pull)
{
	struct silence *s = xcalloc(1, sizeof(*s));

	s->table = table;
	s->pull = pull;
	s->path = path_join(state_dir, "contact");
	s->before = load(s->path);
	s->timer = evtimer_new(base, on_timer, s);
	silence_look(s);
	return s;
}

void silence_stop(struct silence *s)
{
	if (!s)
		return;
	if (s->saved)
		save(s, contact(s));
	event_free(s->timer);
	free(s->path);
	free(s);
}
