#include "packaging/scale-in/turn.h"

#include <errno.h>
#include <libgen.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/file.h"
#include "packaging/scale-in/node_link.h"
#include "packaging/scale-in/provider.h"
#include "packaging/scale-in/state_file.h"

#define TOLD_AGAIN  (10 * MINUTE) /* what goes on being wrong is said again */
#define LOOK_MOST   (10 * SECOND) /* a spot instance has two minutes */
#define REFUSED_FOR MINUTE        /* the metadata may run ahead of the hook */

/* What goes wrong with one of the peers, so that it is said once and not at every turn. */
struct trouble {
	char *said;
	int64_t at;
};

struct turns {
	const struct settings *settings;
	struct provider *provider;
	struct node_link *node;
	struct course course;
	struct buf written; /* the state file's text */
	struct pace look, agent, extend, release;
	struct trouble with_look, with_agent, with_extend, with_release, with_file;
	int64_t remaining, refused_since;
	bool node_known;
};

static double chance(void)
{
	uint32_t v;

	return getrandom(&v, sizeof(v), GRND_NONBLOCK) == (ssize_t)sizeof(v) ? (double)v / 4294967296.0 : 0.5;
}

/* ---- what goes wrong ---- */

/* The same sentence, but for numbers: how long something took, which try it was. */
static bool is_same(const char *a, const char *b)
{
	for (;; a++, b++) {
		a += strspn(a, "0123456789");
		b += strspn(b, "0123456789");
		if (*a != *b || !*a)
			return *a == *b;
	}
}

static void tell(struct trouble *t, const char *what, const struct err *e)
{
	int64_t now = clock_monotonic();

	if (t->said && is_same(t->said, err_str(e)) && now - t->at < TOLD_AGAIN)
		return;
	free(t->said);
	t->said = xstrdup(err_str(e));
	t->at = now;
	log_warn("scale-in", "%s: %s; trying again", what, t->said);
}

static void is_well(struct trouble *t, const char *what)
{
	if (t->said)
		log_info("scale-in", "%s: it works again", what);
	free(t->said);
	*t = (struct trouble){0};
}

/* ---- what must survive ---- */

static int save(struct turns *t, struct err *e)
{
	struct buf text = BUF_INIT;
	int rc = 0;

	state_file_put(&text, &t->course);
	if (text.len != t->written.len || memcmp(text.data, t->written.data, text.len) != 0)
		rc = state_file_write(t->settings->state_file, &text, e);
	if (rc >= 0) {
		buf_free(&t->written);
		t->written = text;
	} else {
		buf_free(&text);
	}
	return rc;
}

/* A course that is not written down goes on: after a restart it is found again by what the provider and the agent say. */
static void save_or_tell(struct turns *t)
{
	cleanup_err struct err e = ERR_INIT;

	if (save(t, &e) < 0)
		tell(&t->with_file, "state file", &e);
	else
		is_well(&t->with_file, "state file");
}

int turns_new(const struct settings *s, struct turns **out, struct err *e)
{
	struct turns *t = xcalloc(1, sizeof(*t));
	cleanup_free char *path = xstrdup(s->state_file);
	cleanup_err struct err own = ERR_INIT;
	int rc = dir_make(dirname(path), 0700, e);

	t->settings = s;
	t->remaining = -1;
	course_init(&t->course);
	t->course.longest = s->drain.deadline;
	if (rc >= 0 && state_file_read(s->state_file, &t->course, &own) < 0 && own.code != -ENOENT)
		log_warn("scale-in", "%s; beginning without it", err_str(&own));
	if (rc >= 0)
		rc = save(t, e);
	if (rc < 0) {
		turns_free(t);
		return rc;
	}
	t->node = node_link_new(s);
	t->provider = provider_find(s->provider)->open(s);
	log_info("scale-in", "provider %s, agent %s, phase %s%s%s", s->provider, s->agent.address, phase_name(t->course.phase),
	    t->course.phase != PHASE_IDLE ? ": " : "", t->course.phase != PHASE_IDLE ? t->course.reason : "");
	*out = t;
	return 0;
}

void turns_free(struct turns *t)
{
	struct trouble *all[] = {&t->with_look, &t->with_agent, &t->with_extend, &t->with_release, &t->with_file};

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		free(all[i]->said);
	if (t->provider)
		t->provider->ops->close(t->provider);
	node_link_free(t->node);
	course_free(&t->course);
	buf_free(&t->written);
	free(t);
}

/* ---- looking ---- */

static bool look_at_provider(struct turns *t, int64_t now, struct wish *out)
{
	cleanup_err struct err e = ERR_INIT;
	const char *machine;
	int rc;

	if (!pace_is_due(&t->look, now))
		return false;
	rc = t->provider->ops->machine(t->provider, &machine, &e);
	if (rc >= 0 && course_is_of(&t->course, machine, NULL))
		log_warn("scale-in", "what %s remembers is of another machine; beginning anew", t->settings->state_file);
	if (rc >= 0)
		rc = t->provider->ops->look(t->provider, out, &e);
	if (rc < 0) {
		tell(&t->with_look, t->settings->provider, &e);
		pace_failed(&t->look, clock_monotonic(), LOOK_MOST, chance());
		return false;
	}
	is_well(&t->with_look, t->settings->provider);
	pace_succeeded(&t->look, now, t->settings->interval);
	return true;
}

/* Of the agent nothing is wanted while nobody wants the machine, except once, to say early that something is wrong with it. */
static bool look_at_node(struct turns *t, int64_t now, struct drain_view *out)
{
	cleanup_err struct err e = ERR_INIT;
	bool idle = t->course.phase == PHASE_IDLE;
	const char *id;
	int rc;

	if ((idle && t->node_known) || !pace_is_due(&t->agent, now))
		return false;
	rc = node_link_find(t->node, &id, &e);
	if (rc >= 0 && course_is_of(&t->course, NULL, id))
		log_warn("scale-in", "the agent has become another node, %.8s; beginning anew", id);
	if (rc >= 0 && !t->node_known)
		log_info("scale-in", "this machine is node %s", id);
	if (rc >= 0)
		t->node_known = true;
	if (rc >= 0 && !idle)
		rc = node_link_look(t->node, id, out, &e);
	if (rc < 0) {
		tell(&t->with_agent, "agent", &e);
		pace_failed(&t->agent, clock_monotonic(), LOOK_MOST, chance());
		return false;
	}
	is_well(&t->with_agent, "agent");
	if (idle)
		return false; /* the next look is not kept waiting */
	pace_succeeded(&t->agent, now, t->settings->interval);
	if (out->status == DRAIN_ACTIVE && out->remaining != t->remaining)
		log_info("scale-in", "allocations left on the node: %lld", (long long)out->remaining);
	t->remaining = out->remaining;
	return true;
}

/* ---- doing ---- */

static void drain(struct turns *t)
{
	cleanup_err struct err e = ERR_INIT;
	struct course *c = &t->course;
	int64_t deadline = course_deadline(c);
	char text[TIME_STR];

	if (node_link_drain(t->node, c->node, deadline, c->reason, &e) < 0) {
		tell(&t->with_agent, "setting the drain", &e);
		pace_failed(&t->agent, clock_monotonic(), LOOK_MOST, chance());
		return;
	}
	log_info("scale-in", "node %.8s is being drained, %s%s: %s", c->node, deadline ? "until " : "as long as it takes",
	    deadline ? time_format_rfc3339(deadline, text) : "", c->reason);
	course_drain_is_set(c);
	t->agent.next = 0;
}

static void undrain(struct turns *t)
{
	cleanup_err struct err e = ERR_INIT;

	if (node_link_undrain(t->node, t->course.node, &e) < 0) {
		tell(&t->with_agent, "taking the drain back", &e);
		pace_failed(&t->agent, clock_monotonic(), LOOK_MOST, chance());
		return;
	}
	course_is_undrained(&t->course);
}

static void extend(struct turns *t)
{
	cleanup_err struct err e = ERR_INIT;
	int64_t heartbeat = t->settings->heartbeat;

	if (!pace_is_due(&t->extend, clock_monotonic()))
		return;
	if (t->provider->ops->extend(t->provider, &t->course, t->remaining, &e) < 0) {
		tell(&t->with_extend, "heartbeat", &e);
		pace_failed(&t->extend, clock_monotonic(), heartbeat, chance());
		return;
	}
	is_well(&t->with_extend, "heartbeat");
	log_debug("scale-in", "heartbeat: the machine is waited for");
	course_is_extended(&t->course);
	/* Many machines that go at once do not go on asking at once. */
	pace_succeeded(&t->extend, clock_monotonic(), heartbeat - (int64_t)((double)(heartbeat / 10) * chance()));
}

/*
 * That nobody waits is the answer to a completion that had arrived before, too, so it ends the matter; but until a heartbeat
 * has been accepted it may also mean that the hook is not there yet.
 */
static void release(struct turns *t)
{
	cleanup_err struct err e = ERR_INIT;
	int64_t now = clock_monotonic();
	int rc;

	if (!pace_is_due(&t->release, now))
		return;
	rc = t->provider->ops->release(t->provider, &t->course, &e);
	if (rc == -ENOENT && !t->refused_since)
		t->refused_since = now;
	if (rc == -ENOENT && (t->course.confirmed || now - t->refused_since >= REFUSED_FOR)) {
		log_warn("scale-in", "completion: %s; nobody waits for this machine any more", err_str(&e));
		rc = 0;
	}
	if (rc < 0) {
		tell(&t->with_release, "completion", &e);
		pace_failed(&t->release, clock_monotonic(), PACE_MOST, chance());
		return;
	}
	is_well(&t->with_release, "completion");
	course_is_released(&t->course);
}

/* A departure begins with nothing due later than at once. */
static void begin(struct turns *t)
{
	t->agent = t->extend = t->release = (struct pace){0};
	t->refused_since = 0;
	t->remaining = -1;
}

static int64_t next_turn(const struct turns *t, unsigned todo)
{
	const struct {
		bool wanted;
		int64_t at;
	} dates[] = {
	    {true, t->look.next},
	    {t->course.phase != PHASE_IDLE || !t->node_known, t->agent.next},
	    {todo & TODO_EXTEND, t->extend.next},
	    {todo & TODO_RELEASE, t->release.next},
	};
	int64_t next = NEVER;

	for (size_t i = 0; i < ARRAY_LEN(dates); i++)
		if (dates[i].wanted)
			next = MIN(next, dates[i].at);
	return MAX(next - clock_monotonic(), 10 * MILLI);
}

int64_t turns_take(struct turns *t)
{
	struct wish wish = {0};
	struct drain_view view = {0};
	bool was_idle = t->course.phase == PHASE_IDLE || t->course.phase == PHASE_RETURNING;
	bool has_wish = look_at_provider(t, clock_monotonic(), &wish);
	bool has_view = look_at_node(t, clock_monotonic(), &view);
	unsigned todo = course_step(&t->course, has_wish ? &wish : NULL, has_view ? &view : NULL, clock_now());

	wish_free(&wish);
	if (was_idle && t->course.phase != PHASE_IDLE)
		begin(t);
	save_or_tell(t);
	if (todo & TODO_DRAIN)
		drain(t);
	if (todo & TODO_UNDRAIN)
		undrain(t);
	if (todo & TODO_RELEASE)
		release(t);
	if (todo & TODO_EXTEND && t->course.phase != PHASE_RELEASED)
		extend(t);
	save_or_tell(t);
	return next_turn(t, todo);
}
