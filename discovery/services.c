/*
 * services: an item for each service that is wanted, or that is still to be removed. An item has at most one call under way;
 * pump() starts what is due and sets the timer for what comes next.
 */
#include "discovery/services.h"

#include <errno.h>

#include <event2/event.h>
#include <event2/util.h>

#include "base/clock.h"
#include "base/map.h"
#include "discovery/services_compare.h"

enum { MAX_CALLS = 8 };
#define INTERVAL    (30 * SECOND)
#define SETTLE      (15 * SECOND)
#define RETRY_FIRST SECOND
#define RETRY_MAX   (30 * SECOND)
#define REPORT_SLACK (15 * SECOND) /* left of a long TTL when a report is repeated */
#define REPORT_TIMEOUT (5 * SECOND)

enum todo { TODO_NOTHING, TODO_REGISTER, TODO_REMOVE, TODO_CHECKS /* remove checks that nobody wants, then register */ };

struct report { /* a TTL check */
	struct report *next;
	char *check_id, *status, *output;
	int64_t period, due; /* monotonic */
	struct services *owner;
	struct item *item;
	struct consul_call *call;
};

struct item {
	struct services *owner;
	char *id;
	struct arena *arena;                          /* of want */
	const struct consul_service_registration *want; /* NULL: it is to be removed */
	enum todo todo;
	bool present, differs;
	struct consul_call *call;
	bool again; /* it changed while the call was under way */
	bool altered; /* by us: checks of its earlier description have to go once it is registered */
	char *stray; /* TODO_CHECKS: the check to remove first */
	char *error;
	unsigned failures;
	int64_t due; /* monotonic: not before */
	int64_t since;
	int64_t done_at; /* monotonic: end of the last call */
};

struct services {
	struct event_base *base;
	struct consul *consul;
	struct arena *arena; /* of config */
	struct services_config config;
	const struct services_ops *ops;
	void *arg;
	char *cluster;
	struct map items; /* id -> struct item */
	struct report *reports;
	unsigned calls;

	struct event *timer, *compare_timer, *leave_timer;
	struct consul_call *compare; /* the part of a comparison that is under way */
	struct arena *seen_arena;
	struct consul_services *seen; /* its first part's answer */
	int64_t compare_began;        /* monotonic */
	bool compare_again;           /* asked for while one was under way */
	int64_t removed_at;           /* monotonic: an item went last */
	int64_t started;
	bool troubled;
	void (*left)(void *arg);
	void *left_arg;
};

static void pump(struct services *s);
static void start_compare(struct services *s);

static void set_timer(struct event *timer, int64_t after)
{
	const struct timeval tv = {after / SECOND, after % SECOND / 1000};

	evtimer_add(timer, &tv);
}

/* ---- items ---- */

static void item_free(struct item *it)
{
	consul_cancel(it->call);
	arena_free(it->arena);
	free(it->id);
	free(it->stray);
	free(it->error);
	free(it);
}

static struct item *item_get(struct services *s, const char *id)
{
	struct item *it = map_get(&s->items, id);

	if (it)
		return it;
	it = xcalloc(1, sizeof(*it));
	it->owner = s;
	it->id = xstrdup(id);
	it->since = clock_now();
	map_set(&s->items, id, it);
	return it;
}

static void item_drop(struct services *s, struct item *it)
{
	map_del(&s->items, it->id);
	item_free(it);
}

static void plan(struct item *it, enum todo todo)
{
	it->todo = todo;
	if (it->call)
		it->again = true;
	else
		set_timer(it->owner->timer, 0);
}

static void set_trouble(struct services *s, const struct err *e)
{
	if (!e && !s->troubled)
		return;
	s->troubled = e != NULL;
	s->ops->on_trouble(s->arg, e);
}

/* Consul itself is away, as opposed to refusing one thing. */
static bool is_away(const struct err *e)
{
	return e->code == -ECONNREFUSED || e->code == -ETIMEDOUT || e->code == -EAGAIN || e->code == -EIO || e->code == -ENOENT;
}

/* ---- reports of TTL checks ---- */

static struct report **find_report(struct services *s, const char *check_id)
{
	struct report **at = &s->reports;

	while (*at && !str_eq((*at)->check_id, check_id))
		at = &(*at)->next;
	return at;
}

static void drop_report(struct report **at)
{
	struct report *r = *at;

	*at = r->next;
	consul_cancel(r->call);
	free(r->check_id);
	free(r->status);
	free(r->output);
	free(r);
}

static void drop_reports(struct services *s, const struct item *it)
{
	for (struct report **at = &s->reports; *at;) {
		if ((*at)->item == it)
			drop_report(at);
		else
			at = &(*at)->next;
	}
}

static void on_reported(void *arg, const struct consul_answer *answer)
{
	struct report *r = arg;

	r->call = NULL;
	if (answer->err.code == -ENOENT && r->item->present) {
		/* Consul forgot: register again, with this state. */
		r->item->present = false;
		plan(r->item, TODO_REGISTER);
	} else if (answer->err.code) {
		r->due = MIN(r->due, clock_monotonic() + RETRY_FIRST);
		set_timer(r->owner->timer, RETRY_FIRST);
	}
}

static void send_report(struct report *r)
{
	cleanup_arena struct arena *a = arena_new();
	struct consul_check_update *u = MODEL_NEW(a, consul_check_update);

	MODEL_SET(consul_check_update, u, status, r->status);
	MODEL_SET(consul_check_update, u, output, r->output);
	r->due = clock_monotonic() + r->period;
	consul_cancel(r->call);
	r->call = consul_call(r->owner->consul, &consul_check_update,
	    &(struct consul_args){.name = r->check_id, .object = u, .timeout = MIN(r->period, REPORT_TIMEOUT)}, on_reported, r);
}

/* Sends what is due; the next instant. */
static int64_t pump_reports(struct services *s, int64_t now)
{
	int64_t next = NEVER;

	for (struct report *r = s->reports; r; r = r->next) {
		if (!r->item->present)
			continue; /* sent when it is registered */
		if (r->due <= now)
			send_report(r);
		next = MIN(next, r->due);
	}
	return next;
}

static struct item *item_of_check(struct services *s, const char *check_id, int64_t *ttl)
{
	const char *key;
	void *value;

	for (uint32_t i = 0; map_next(&s->items, &i, &key, &value);) {
		struct item *it = value;

		if (!it->want)
			continue;
		OBJS_EACH(&it->want->checks, struct consul_check_registration, c)
			if (str_eq(c->check_id, check_id)) {
				*ttl = c->ttl;
				return it;
			}
	}
	return NULL;
}

void services_report(struct services *s, const char *check_id, const char *status, const char *output)
{
	struct report **at = find_report(s, check_id), *r = *at;
	int64_t ttl = 0;

	if (!r) {
		struct item *it = item_of_check(s, check_id, &ttl);

		if (!it)
			return;
		r = *at = xcalloc(1, sizeof(*r));
		r->owner = s;
		r->item = it;
		r->check_id = xstrdup(check_id);
		r->period = MAX(MAX(ttl / 3, ttl - REPORT_SLACK), SECOND / 5);
	} else if (str_eq(r->status, status) && str_eq(r->output, output)) {
		return;
	}
	free(r->status);
	free(r->output);
	r->status = xstrdup(status);
	r->output = xstrdup(output);
	r->due = 0;
	set_timer(s->timer, 0);
}

/* ---- calls for items ---- */

static void on_gone(struct services *s, struct item *it)
{
	cleanup_free char *id = xstrdup(it->id);

	s->removed_at = it->done_at;
	item_drop(s, it);
	s->ops->on_event(s->arg, id, SERVICES_REMOVED, NULL);
	if (s->left && !s->items.n) {
		void (*left)(void *) = STEAL(s->left);

		left(s->left_arg);
	}
}

static void on_failed(struct item *it, const struct err *e)
{
	struct services *s = it->owner;
	bool new = !it->error || !str_eq(it->error, err_str(e));
	int64_t pause = MIN(RETRY_FIRST << MIN(it->failures, 5u), RETRY_MAX);

	it->failures++;
	it->due = clock_monotonic() + pause;
	free(it->error);
	it->error = xstrdup(err_str(e));
	if (is_away(e))
		set_trouble(s, e);
	if (new)
		s->ops->on_event(s->arg, it->id, SERVICES_FAILED, e);
}

static void settle(struct item *it)
{
	it->failures = 0;
	it->due = 0;
	free(STEAL(it->error));
	set_trouble(it->owner, NULL);
}

static void on_item_done(void *arg, const struct consul_answer *answer)
{
	struct item *it = arg;
	struct services *s = it->owner;
	bool fine = !answer->err.code || (it->todo != TODO_REGISTER && answer->err.code == -ENOENT);
	bool again = it->again;

	it->call = NULL;
	it->again = false;
	it->done_at = clock_monotonic();
	s->calls--;
	if (!fine) {
		on_failed(it, &answer->err);
	} else {
		settle(it);
		if (again) {
			/* what it is now is done next */
		} else if (it->todo == TODO_REMOVE) {
			on_gone(s, it);
		} else if (it->todo == TODO_CHECKS) {
			it->todo = TODO_REGISTER;
		} else {
			it->todo = TODO_NOTHING;
			it->present = true;
			it->differs = false;
			it->since = clock_now();
			/* Registered anew, a TTL check has its first state: what it was told is told again. */
			for (struct report *r = s->reports; r; r = r->next)
				if (r->item == it)
					r->due = 0;
			if (STEAL(it->altered))
				services_kick(s);
			s->ops->on_event(s->arg, it->id, SERVICES_REGISTERED, NULL);
		}
	}
	set_timer(s->timer, 0);
}

static void start_item(struct services *s, struct item *it)
{
	const struct consul_op *op = it->todo == TODO_REGISTER ? &consul_service_register
	    : it->todo == TODO_CHECKS                          ? &consul_check_deregister
	                                                       : &consul_service_deregister;
	const struct consul_args args = {
	    .name = it->todo == TODO_CHECKS ? it->stray : it->id,
	    .object = it->todo == TODO_REGISTER ? it->want : NULL,
	};

	s->calls++;
	it->call = consul_call(s->consul, op, &args, on_item_done, it);
}

static void pump(struct services *s)
{
	int64_t now = clock_monotonic(), next = NEVER;
	const char *key;
	void *value;

	for (uint32_t i = 0; map_next(&s->items, &i, &key, &value);) {
		struct item *it = value;

		if (it->todo == TODO_NOTHING || it->call)
			continue;
		if (it->due > now)
			next = MIN(next, it->due);
		else if (s->calls < MAX_CALLS)
			start_item(s, it);
	}
	next = MIN(next, pump_reports(s, now));
	if (next != NEVER)
		set_timer(s->timer, MAX(next - now, MILLI));
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	pump(arg);
}

/* ---- the comparison ---- */

static void plan_compare(struct services *s)
{
	int64_t interval = s->config.interval;
	uint32_t r;

	evutil_secure_rng_get_bytes(&r, sizeof(r));
	set_timer(s->compare_timer, interval * 3 / 4 + (int64_t)((double)interval / 2 * r / 4294967296.0));
}

static void end_compare(struct services *s)
{
	arena_free(STEAL(s->seen_arena));
	s->seen = NULL;
	if (STEAL(s->compare_again))
		set_timer(s->compare_timer, 0);
	else
		plan_compare(s);
}

static void compare_failed(struct services *s, const struct err *e)
{
	set_trouble(s, e);
	end_compare(s);
}

static void judge_wanted(struct item *it, const struct consul_service *present, const struct consul_checks_by_id *checks)
{
	const char *stray = present ? services_check_difference(it->want, checks) : NULL;
	const char *field = present ? services_difference(it->want, present) : NULL;

	if (it->call || it->todo != TODO_NOTHING || it->done_at >= it->owner->compare_began)
		return; /* something is being done about it, or was since we looked */
	it->present = present != NULL;
	it->differs = stray || field;
	if (present && !it->differs)
		return;
	free(it->stray);
	it->stray = stray ? xstrdup(stray) : NULL;
	/* Registering a service leaves its other checks alone, and a check that differs keeps what it was. */
	plan(it, stray ? TODO_CHECKS : TODO_REGISTER);
}

static void judge_present(struct services *s, const char *id, const struct consul_service *present)
{
	bool settled = clock_monotonic() - s->started >= s->config.settle && s->removed_at < s->compare_began;

	if (map_get(&s->items, id) || !settled || !services_is_ours(present, &s->config, s->cluster))
		return;
	struct item *it = item_get(s, id);

	it->present = true;
	plan(it, TODO_REMOVE);
}

static void on_checks(void *arg, const struct consul_answer *answer)
{
	struct services *s = arg;
	const struct consul_checks_by_id *checks = answer->object;
	const char *key;
	void *value;

	s->compare = NULL;
	if (answer->err.code || !checks) {
		compare_failed(s, &answer->err);
		return;
	}
	set_trouble(s, NULL);
	for (uint32_t i = 0; map_next(&s->items, &i, &key, &value);)
		if (((struct item *)value)->want)
			judge_wanted(value, objmap_get(&s->seen->items, key), checks);
	for (uint32_t i = 0; i < s->seen->items.n; i++)
		judge_present(s, s->seen->items.v[i].key, s->seen->items.v[i].value);
	end_compare(s);
}

static void on_services(void *arg, const struct consul_answer *answer)
{
	struct services *s = arg;

	s->compare = NULL;
	if (answer->err.code || !answer->object) {
		compare_failed(s, &answer->err);
		return;
	}
	s->seen = answer->object;
	s->seen_arena = STEAL(((struct consul_answer *)answer)->arena);
	s->compare = consul_call(s->consul, &consul_agent_checks, &(struct consul_args){0}, on_checks, s);
}

static void start_compare(struct services *s)
{
	if (s->compare) {
		s->compare_again = true;
		return;
	}
	s->compare_began = clock_monotonic();
	s->compare = consul_call(s->consul, &consul_agent_services, &(struct consul_args){0}, on_services, s);
}

static void on_compare_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	start_compare(arg);
}

void services_kick(struct services *s)
{
	set_timer(s->compare_timer, 0);
}

/* ---- what is wanted ---- */

void services_want(struct services *s, const struct consul_service_registration *r)
{
	struct item *it = item_get(s, r->id);
	struct arena *a = arena_new();
	struct consul_service_registration *want = services_complete(r, &s->config, s->cluster, a);

	if (it->want && model_equal(&type_consul_service_registration, it->want, want, 0)) {
		arena_free(a);
		return;
	}
	arena_free(it->arena);
	it->arena = a;
	it->want = want;
	it->differs = it->present;
	it->due = 0;
	it->altered |= it->present;
	plan(it, TODO_REGISTER);
}

bool services_unwant(struct services *s, const char *id)
{
	struct item *it = map_get(&s->items, id);

	if (!it || !it->want)
		return false;
	drop_reports(s, it);
	it->want = NULL;
	it->due = 0;
	plan(it, TODO_REMOVE);
	return true;
}

void services_remove(struct services *s, const char *id)
{
	if (services_unwant(s, id))
		return;
	struct item *it = item_get(s, id);

	if (it->todo != TODO_REMOVE)
		plan(it, TODO_REMOVE);
}

void services_set_cluster(struct services *s, const char *cluster_id)
{
	const char *key;
	void *value;

	if (str_eq(s->cluster, cluster_id))
		return;
	free(s->cluster);
	s->cluster = xstrdup(cluster_id);
	for (uint32_t i = 0; map_next(&s->items, &i, &key, &value);) {
		struct item *it = value;

		if (it->want) {
			struct arena *a = arena_new();
			struct consul_service_registration *want = services_complete(it->want, &s->config, s->cluster, a);

			arena_free(it->arena);
			it->arena = a;
			it->want = want;
			plan(it, TODO_REGISTER);
		}
	}
}

static void on_leave_timer(evutil_socket_t fd, short what, void *arg)
{
	struct services *s = arg;

	(void)fd;
	(void)what;
	if (s->left) {
		void (*left)(void *) = STEAL(s->left);

		left(s->left_arg);
	}
}

void services_leave(struct services *s, int64_t wait, void (*done)(void *arg), void *arg)
{
	const char *key;
	void *value;

	evtimer_del(s->compare_timer);
	s->left = done;
	s->left_arg = arg;
	for (uint32_t i = 0; map_next(&s->items, &i, &key, &value);)
		services_unwant(s, key);
	set_timer(s->leave_timer, s->items.n ? wait : 0);
}

/* ---- life ---- */

/* It may have been emptied. */
static void on_return(void *arg)
{
	services_kick(arg);
}

struct services *services_new(struct event_base *base, struct consul *c, const struct services_config *config,
    const struct services_ops *ops, void *arg)
{
	struct services *s = xcalloc(1, sizeof(*s));

	s->base = base;
	s->consul = c;
	s->arena = arena_new();
	s->config = (struct services_config){
	    .owner = arena_strdup(s->arena, config->owner),
	    .agent = arena_strdup(s->arena, config->agent),
	    .address = arena_strdup(s->arena, config->address),
	    .folder = arena_strdup(s->arena, config->folder),
	    .interval = config->interval ? config->interval : INTERVAL,
	    .settle = config->settle ? config->settle : SETTLE,
	};
	s->ops = ops;
	s->arg = arg;
	s->started = clock_monotonic();
	s->timer = evtimer_new(base, on_timer, s);
	s->compare_timer = evtimer_new(base, on_compare_timer, s);
	s->leave_timer = evtimer_new(base, on_leave_timer, s);
	if (!s->timer || !s->compare_timer || !s->leave_timer)
		die("out of memory");
	/* The first comparison that removes anything comes as soon as it may. */
	set_timer(s->compare_timer, s->config.settle);
	consul_on_return(c, on_return, s);
	return s;
}

void services_free(struct services *s)
{
	const char *key;
	void *value;

	if (!s)
		return;
	consul_on_return(s->consul, NULL, NULL);
	while (s->reports)
		drop_report(&s->reports);
	for (uint32_t i = 0; map_next(&s->items, &i, &key, &value);)
		item_free(value);
	map_free(&s->items);
	consul_cancel(s->compare);
	arena_free(s->seen_arena);
	event_free(s->timer);
	event_free(s->compare_timer);
	event_free(s->leave_timer);
	free(s->cluster);
	arena_free(s->arena);
	free(s);
}

static int by_id(const void *a, const void *b)
{
	return strcmp(((const struct services_item *)a)->id, ((const struct services_item *)b)->id);
}

void services_list(const struct services *s, struct arena *a, struct services_item **out, uint32_t *n)
{
	struct services_item *list = arena_alloc(a, (s->items.n + 1) * sizeof(*list));
	uint32_t count = 0;
	const char *key;
	void *value;

	for (uint32_t i = 0; map_next(&s->items, &i, &key, &value);) {
		const struct item *it = value;

		list[count++] = (struct services_item){
		    .id = arena_strdup(a, it->id),
		    .name = it->want ? arena_strdup(a, it->want->name) : "",
		    .wanted = it->want != NULL,
		    .present = it->present,
		    .differs = it->differs,
		    .error = it->error ? arena_strdup(a, it->error) : "",
		    .since = it->since,
		};
	}
	qsort(list, count, sizeof(*list), by_id);
	*out = list;
	*n = count;
}
