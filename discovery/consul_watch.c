/*
 * consul_watch: one blocking read after the other, with a timer between: for the pace, for the back-off after a failure, or
 * for the poll of what has no index. Reporting is the last thing done with an answer, so the watch may be ended there.
 */
#include "discovery/consul_internal.h"

#include <event2/event.h>

#include "base/clock.h"

#define BURST       5 /* reads at once before the pace counts */
#define FIRST_RETRY (500 * MILLI)
#define LAST_RETRY  (8 * SECOND)

struct consul_watch {
	TAILQ_ENTRY(consul_watch) list;
	struct consul *owner;
	struct arena *arena; /* of the arguments */
	struct consul_watch_config config;
	struct event *timer;
	struct consul_call *call;
	bool answered;      /* at least once */
	bool unheard;       /* the last read got no answer at all, not even a refusal */
	uint64_t hash;      /* of the last answer */
	int64_t due;        /* monotonic: when the next read would be due if there were no bursts */
	int failure;        /* code of the failure that was reported last; 0 after an answer */
	char *error;
	struct consul_watch_state state;
};

/* FNV-1a: what differs by accident differs here. */
static uint64_t hash_answer(const struct consul_answer *a)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325) ^ (uint64_t)a->status;

	for (size_t i = 0; i < a->raw_len; i++)
		h = (h ^ (unsigned char)a->raw[i]) * UINT64_C(0x100000001b3);
	return h;
}

static void wait_for(struct consul_watch *w, int64_t delay)
{
	delay = MAX(delay, 0);
	w->state.next_try = clock_now() + delay;
	event_add(w->timer, &(struct timeval){delay / SECOND, delay % SECOND / 1000});
}

/* Returns whether it is to be reported. */
static bool take_failure(struct consul_watch *w, const struct consul_answer *a)
{
	bool is_another = a->err.code != w->failure;
	int64_t delay = MIN(FIRST_RETRY << MIN(w->state.failures, 10), LAST_RETRY);

	w->state.failures++;
	w->state.last_failure = clock_now();
	w->state.index = 0; /* so that Consul answers at once when it is back */
	w->failure = a->err.code;
	w->unheard = !a->status;
	free(w->error);
	w->error = xstrdup(err_str(&a->err));
	w->state.error = w->error;
	wait_for(w, consul_jitter(w->owner, delay));
	return is_another;
}

static bool take_answer(struct consul_watch *w, const struct consul_answer *a)
{
	uint64_t hash = hash_answer(a);
	bool news = !w->answered || hash != w->hash || w->failure;

	w->answered = true;
	w->hash = hash;
	w->failure = 0;
	w->state.failures = 0;
	w->state.last_answer = clock_now();
	w->state.index = a->index < w->state.index ? 0 : a->index;
	if (a->index)
		wait_for(w, w->due - (BURST - 1) * w->config.pace - clock_monotonic());
	else
		wait_for(w, consul_jitter(w->owner, w->config.poll));
	return news;
}

static void on_answer(void *arg, const struct consul_answer *a)
{
	struct consul_watch *w = arg;

	w->call = NULL;
	bool news = a->err.code ? take_failure(w, a) : take_answer(w, a);

	if (!news)
		return;
	w->state.reports++;
	w->config.report(w->config.arg, a);
}

static void on_timer(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct consul_watch *w = arg;

	w->state.reads++;
	w->state.next_try = 0;
	w->due = MAX(w->due, clock_monotonic()) + w->config.pace;
	w->config.args.index = w->state.index;
	w->call = consul_call(w->owner, w->config.op, &w->config.args, on_answer, w);
}

static const char *const *copy_query(struct arena *a, const char *const *query)
{
	size_t n = 0;

	while (query && query[n])
		n += 2;
	const char **copy = arena_alloc(a, (n + 1) * sizeof(*copy));

	for (size_t i = 0; i < n; i++)
		copy[i] = arena_strdup(a, query[i] ? query[i] : "");
	return copy;
}

struct consul_watch *consul_watch(struct consul *c, const struct consul_watch_config *config)
{
	struct consul_watch *w = xcalloc(1, sizeof(*w));
	const struct consul_args *args = &config->args;

	w->owner = c;
	w->arena = arena_new();
	w->config = *config;
	w->config.args = (struct consul_args){
	    .name = arena_strdup(w->arena, args->name),
	    .query = copy_query(w->arena, args->query),
	    .datacenter = arena_strdup(w->arena, args->datacenter),
	    .stale = args->stale,
	    .consistent = args->consistent,
	    .max_body = args->max_body,
	    .wait = config->wait,
	};
	w->config.pace = config->pace ? config->pace : SECOND;
	w->config.poll = config->poll ? config->poll : 10 * SECOND;
	w->state.error = "";
	w->timer = evtimer_new(c->base, on_timer, w);
	TAILQ_INSERT_TAIL(&c->watches, w, list);
	wait_for(w, 0);
	return w;
}

void consul_unwatch(struct consul_watch *w)
{
	if (!w)
		return;
	TAILQ_REMOVE(&w->owner->watches, w, list);
	consul_cancel(w->call);
	event_free(w->timer);
	free(w->error);
	arena_free(w->arena);
	free(w);
}

void consul_watch_hurry_all(struct consul *c)
{
	struct consul_watch *w;

	TAILQ_FOREACH(w, &c->watches, list)
		if (w->state.failures && w->unheard && !w->call && w->state.next_try > clock_now() + FIRST_RETRY)
			wait_for(w, consul_jitter(c, FIRST_RETRY));
}

void consul_watch_end_all(struct consul *c)
{
	while (!TAILQ_EMPTY(&c->watches))
		consul_unwatch(TAILQ_FIRST(&c->watches));
}

void consul_watch_state(const struct consul_watch *w, struct consul_watch_state *out)
{
	*out = w->state;
}
