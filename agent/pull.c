#include "agent/pull.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/util.h>

#include "base/clock.h"
#include "base/log.h"

#define WORK_WAIT        (5 * MINUTE)
#define RETRY_FIRST      (100 * MILLI)
#define RETRY_MAX        (15 * SECOND)
#define WAKE_SPREAD      (200 * MILLI)
#define TTL_DEFAULT      (10 * SECOND)
#define REPORT_GATHER    (100 * MILLI) /* what is not urgent waits for company */
#define SPIN_LIMIT       (20 * MILLI)  /* an unchanged answer faster than this is no blocking read */
#define SPIN_PAUSE       (200 * MILLI)

enum channel_kind { CHANNEL_CONTROL, CHANNEL_WORK, CHANNEL_REPORT, CHANNELS };

struct channel { /* one kind of call */
	struct pull *pull;
	struct event *timer;
	bool busy;
	unsigned failures;
};

struct ticket { /* a call under way */
	struct pull *pull;
	struct ticket *next;
	enum channel_kind kind;
	struct arena *arena; /* of a report */
	uint64_t asked;      /* index */
	int64_t at;
};

struct pull {
	struct event_base *base;
	struct server_link *link;
	const struct node *node;
	const struct pull_ops *ops;
	void *arg;
	struct channel channels[CHANNELS];
	struct ticket *tickets;
	bool registered;
	bool node_changed;        /* since it was registered */
	bool has_reports, urgent; /* what waits to be reported */
	bool report_now;          /* a report is scheduled for this turn */
	uint64_t index, seen; /* next question; highest answer */
	int64_t ttl, last_heartbeat;
	int64_t contact; /* monotonic, of the last good answer */
	int64_t pace;    /* the longest pause between heartbeats; 0 = none */
	char *trouble; /* why we are not joined */
};

static void schedule(struct pull *p, enum channel_kind kind, int64_t delay)
{
	struct timeval tv = { .tv_sec = delay / SECOND, .tv_usec = delay % SECOND / 1000 };

	evtimer_add(p->channels[kind].timer, &tv);
}

static double jitter(void)
{
	uint32_t r;

	evutil_secure_rng_get_bytes(&r, sizeof(r));
	return r / 4294967296.0;
}

static int64_t pause_after(unsigned failures)
{
	int64_t d = RETRY_FIRST << MIN(failures, 8u);

	return (int64_t)((double)MIN(d, RETRY_MAX) * (0.75 + 0.5 * jitter()));
}

/* ---- tickets ---- */

static struct ticket *ticket_new(struct pull *p, enum channel_kind kind)
{
	struct ticket *t = xcalloc(1, sizeof(*t));

	t->pull = p;
	t->kind = kind;
	t->at = clock_monotonic();
	t->next = p->tickets;
	p->tickets = t;
	p->channels[kind].busy = true;
	return t;
}

/* The call is over: frees the ticket and says whose it was. */
static struct pull *ticket_close(struct ticket *t)
{
	struct pull *p = t->pull;

	for (struct ticket **at = &p->tickets; *at; at = &(*at)->next) {
		if (*at == t) {
			*at = t->next;
			break;
		}
	}
	p->channels[t->kind].busy = false;
	arena_free(t->arena);
	free(t);
	return p;
}

static void trouble(struct pull *p, enum channel_kind kind, const struct err *e)
{
	static const char *const what[] = { "registering", "asking for work", "reporting" };
	struct channel *ch = &p->channels[kind];

	/* Once when it begins and then rarely: a server that is away for an hour is not worth a thousand lines. */
	if (ch->failures == 0 || ch->failures % 20 == 0)
		log_warn("client", "%s: %s; trying again", what[kind], err_str(e));
	ch->failures++;
	if (e->code == -ENOENT) {
		p->registered = false;
		schedule(p, CHANNEL_CONTROL, ch->failures > 1 ? pause_after(ch->failures) : 0);
	}
	free(p->trouble);
	p->trouble = xasprintf("waiting for the servers: %s", err_str(e));
}

static void fine(struct pull *p, enum channel_kind kind)
{
	p->channels[kind].failures = 0;
	p->contact = clock_monotonic();
	free(p->trouble);
	p->trouble = NULL;
}

/* ---- register and heartbeat ---- */

static int64_t paced(const struct pull *p, int64_t pause)
{
	return p->pace ? MIN(p->pace, pause) : pause;
}

static void on_hello(struct pull *p, const struct node_hello *hello)
{
	p->last_heartbeat = clock_now();
	if (hello && hello->heartbeat_ttl > 0)
		p->ttl = hello->heartbeat_ttl;
	/* Not in step with all the others; and three times within a ttl, so that with the link's time before it asks a second server
	 * one that hangs is left before half of it is over. */
	schedule(p, CHANNEL_CONTROL, p->node_changed ? 0 : paced(p, (int64_t)((double)p->ttl * (0.27 + 0.06 * jitter()))));
	if (hello && p->ops->on_hello)
		p->ops->on_hello(p->arg, hello);
}

static void on_registered(void *arg, const struct link_answer *answer)
{
	struct pull *p = ticket_close(arg);

	if (answer->err.code) {
		trouble(p, CHANNEL_CONTROL, &answer->err);
		schedule(p, CHANNEL_CONTROL, pause_after(p->channels[CHANNEL_CONTROL].failures));
		return;
	}
	fine(p, CHANNEL_CONTROL);
	p->registered = true;
	log_info("client", "node registration complete");
	on_hello(p, answer->hello);
	/* Everything is asked for anew: these servers may know less, or more, than those before. */
	p->index = 0;
	p->ops->on_registered(p->arg);
	schedule(p, CHANNEL_WORK, 0);
	schedule(p, CHANNEL_REPORT, 0);
}

static void on_heartbeat(void *arg, const struct link_answer *answer)
{
	struct pull *p = ticket_close(arg);

	if (answer->err.code) {
		trouble(p, CHANNEL_CONTROL, &answer->err);
		if (answer->err.code != -ENOENT)
			schedule(p, CHANNEL_CONTROL, paced(p, MIN(pause_after(p->channels[CHANNEL_CONTROL].failures), p->ttl / 4)));
		return;
	}
	fine(p, CHANNEL_CONTROL);
	on_hello(p, answer->hello);
}

/* They knew it already: nothing but the node itself is told anew. */
static void on_renewed(void *arg, const struct link_answer *answer)
{
	struct pull *p = ((struct ticket *)arg)->pull;

	p->node_changed |= answer->err.code != 0;
	on_heartbeat(arg, answer);
}

static void step_control(struct pull *p)
{
	struct ticket *t = ticket_new(p, CHANNEL_CONTROL);

	if (p->registered && !p->node_changed)
		p->link->ops->heartbeat(p->link, on_heartbeat, t);
	else
		p->link->ops->node_register(p->link, p->node, p->registered ? on_renewed : on_registered, t);
	p->node_changed = false;
}

void pull_pace(struct pull *p, int64_t pace)
{
	bool faster = pace && (!p->pace || pace < p->pace);

	p->pace = pace;
	if (faster && p->registered && !p->channels[CHANNEL_CONTROL].busy)
		schedule(p, CHANNEL_CONTROL, pace);
}

void pull_renew(struct pull *p)
{
	p->node_changed = true;
	if (p->registered && !p->channels[CHANNEL_CONTROL].busy)
		schedule(p, CHANNEL_CONTROL, 0);
}

/* ---- work ---- */

static void on_work(void *arg, const struct link_answer *answer)
{
	const struct ticket *t = arg;
	uint64_t asked = t->asked;
	int64_t took = clock_monotonic() - t->at;
	struct pull *p = ticket_close(arg);

	if (answer->err.code || !answer->work) {
		trouble(p, CHANNEL_WORK, &answer->err);
		schedule(p, CHANNEL_WORK, pause_after(p->channels[CHANNEL_WORK].failures));
		return;
	}
	fine(p, CHANNEL_WORK);
	uint64_t index = (uint64_t)answer->work->index;

	p->ops->on_work(p->arg, answer->work, index < p->seen, answer->work->complete);
	p->seen = MAX(p->seen, index);
	/* A registration meanwhile has set the question back to 0: it stays there until that is answered. */
	if (p->index == asked)
		p->index = index;
	schedule(p, CHANNEL_WORK, index == asked && took < SPIN_LIMIT ? SPIN_PAUSE : 0);
}

static void step_work(struct pull *p)
{
	struct ticket *t;

	if (!p->registered)
		return; /* begins again after registration */
	t = ticket_new(p, CHANNEL_WORK);
	t->asked = p->index;
	p->link->ops->work(p->link, p->index, WORK_WAIT, on_work, t);
}

/* ---- reports ---- */

static void on_reported(void *arg, const struct link_answer *answer)
{
	struct pull *p = ticket_close(arg);

	p->ops->on_reported(p->arg, answer->err.code == 0);
	if (answer->err.code) {
		p->has_reports = true;
		trouble(p, CHANNEL_REPORT, &answer->err);
		schedule(p, CHANNEL_REPORT, pause_after(p->channels[CHANNEL_REPORT].failures));
		return;
	}
	fine(p, CHANNEL_REPORT);
	if (p->has_reports)
		pull_push(p, false);
}

static void step_report(struct pull *p)
{
	struct alloc_updates updates = { 0 };

	if (!p->registered || p->channels[CHANNEL_REPORT].busy)
		return;
	struct arena *a = arena_new();

	p->report_now = p->has_reports = p->urgent = false;
	if (!p->ops->collect(p->arg, a, &updates)) {
		arena_free(a);
		return;
	}
	struct ticket *t = ticket_new(p, CHANNEL_REPORT);

	t->arena = a;
	p->link->ops->update(p->link, &updates, on_reported, t);
}

void pull_push(struct pull *p, bool urgent)
{
	struct channel *ch = &p->channels[CHANNEL_REPORT];

	p->has_reports = true;
	p->urgent |= urgent;
	if (!p->registered || ch->busy || ch->failures)
		return;
	/* Adding a timer again takes it back from the queue of this turn: under a stream of changes it would never fire. */
	if (!evtimer_pending(ch->timer, NULL) || (p->urgent && !p->report_now))
		schedule(p, CHANNEL_REPORT, p->urgent ? 0 : REPORT_GATHER);
	p->report_now |= p->urgent;
}

/* ---- life ---- */

/* Somebody may answer who did not before. A fleet does not ask at one instant. */
static void on_link_change(void *arg)
{
	struct pull *p = arg;

	for (int i = 0; i < CHANNELS; i++)
		if (!p->channels[i].busy && (i == CHANNEL_CONTROL || p->channels[i].failures))
			schedule(p, i, (int64_t)(jitter() * (double)WAKE_SPREAD));
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	static void (*const steps[CHANNELS])(struct pull *p) = { step_control, step_work, step_report };
	struct channel *ch = arg;
	size_t kind = (size_t)(ch - ch->pull->channels);

	(void)fd;
	(void)what;
	if (!ch->busy)
		steps[kind](ch->pull);
}

struct pull *pull_start(struct event_base *base, struct server_link *link, const struct node *node,
    const struct pull_ops *ops, void *arg)
{
	struct pull *p = xcalloc(1, sizeof(*p));

	p->base = base;
	p->link = link;
	p->node = node;
	p->ops = ops;
	p->arg = arg;
	p->ttl = TTL_DEFAULT;
	p->trouble = xstrdup("registering with the servers");
	for (int i = 0; i < CHANNELS; i++) {
		p->channels[i].pull = p;
		p->channels[i].timer = evtimer_new(base, on_timer, &p->channels[i]);
	}
	link->on_change = on_link_change;
	link->arg = p;
	schedule(p, CHANNEL_CONTROL, 0);
	return p;
}

void pull_stop(struct pull *p)
{
	if (!p)
		return;
	while (p->tickets)
		ticket_close(p->tickets);
	for (int i = 0; i < CHANNELS; i++)
		event_free(p->channels[i].timer);
	free(p->trouble);
	free(p);
}

int64_t pull_contact(const struct pull *p)
{
	return p->contact;
}

void pull_stats(const struct pull *p, struct client_stats *out)
{
	out->last_heartbeat = p->last_heartbeat;
	out->heartbeat_ttl = p->ttl;
	out->server = p->link->ops->server(p->link);
	out->waiting_for = p->trouble;
}
