#include "packaging/scale-in/course.h"

#include <assert.h>
#include <errno.h>

#include "base/clock.h"
#include "base/log.h"

#define BIT(p) (1u << (p))

static const struct {
	const char *name;
	unsigned from; /* phases that may become this one */
} phases[] = {
    [PHASE_IDLE] = {"idle", BIT(PHASE_RETURNING)},
    [PHASE_DRAINING] = {"draining", BIT(PHASE_IDLE) | BIT(PHASE_HELD) | BIT(PHASE_RELEASING) | BIT(PHASE_RETURNING)},
    [PHASE_HELD] = {"held", BIT(PHASE_DRAINING) | BIT(PHASE_RELEASING)},
    [PHASE_RELEASING] = {"releasing", BIT(PHASE_DRAINING) | BIT(PHASE_HELD) | BIT(PHASE_RELEASED)},
    [PHASE_RELEASED] = {"released", BIT(PHASE_DRAINING) | BIT(PHASE_HELD) | BIT(PHASE_RELEASING)},
    [PHASE_RETURNING] = {"returning",
	BIT(PHASE_DRAINING) | BIT(PHASE_HELD) | BIT(PHASE_RELEASING) | BIT(PHASE_RELEASED)},
};

const char *phase_name(enum phase p)
{
	return phases[p].name;
}

bool phase_parse(const char *name, enum phase *out)
{
	for (size_t i = 0; i < ARRAY_LEN(phases); i++) {
		if (str_eq(phases[i].name, name)) {
			*out = (enum phase)i;
			return true;
		}
	}
	return false;
}

static void move(struct course *c, enum phase to, const char *why)
{
	assert(phases[to].from & BIT(c->phase));
	log_info("scale-in", "%s -> %s: %s", phases[c->phase].name, phases[to].name, why);
	c->phase = to;
}

static void set(char **slot, const char *text)
{
	if (*slot && str_eq(*slot, text))
		return;
	free(*slot);
	*slot = xstrdup(str_or(text, ""));
}

void course_init(struct course *c)
{
	*c = (struct course){.machine = xstrdup(""), .node = xstrdup(""), .reason = xstrdup("")};
}

void course_free(struct course *c)
{
	free(c->machine);
	free(c->node);
	free(c->reason);
	*c = (struct course){0};
}

void wish_free(struct wish *w)
{
	free(w->reason);
	*w = (struct wish){0};
}

bool course_is_of(struct course *c, const char *machine, const char *node)
{
	bool other = (machine && *c->machine && !str_eq(c->machine, machine)) || (node && *c->node && !str_eq(c->node, node));
	bool forget = other && c->phase != PHASE_IDLE;

	if (other) {
		int64_t longest = c->longest;

		course_free(c);
		course_init(c);
		c->longest = longest;
	}
	if (machine)
		set(&c->machine, machine);
	if (node)
		set(&c->node, node);
	return forget;
}

/* ---- what was seen ---- */

static bool is_leaving(const struct course *c)
{
	return c->phase != PHASE_IDLE && c->phase != PHASE_RETURNING;
}

static void must_leave(struct course *c, const struct wish *w, int64_t now)
{
	if (!is_leaving(c)) {
		c->since = now;
		c->deadline = 0;
		c->hooked = c->drain_set = c->confirmed = false;
		move(c, PHASE_DRAINING, str_or(w->reason, "the machine is wanted"));
		set(&c->reason, w->reason);
	}
	if (w->hooked && !c->hooked) {
		set(&c->reason, w->reason);
		c->hooked = true;
		if (c->phase == PHASE_RELEASED)
			move(c, PHASE_RELEASING, str_or(w->reason, "somebody waits for that"));
	}
	if (w->deadline && (!c->deadline || w->deadline < c->deadline)) {
		c->deadline = w->deadline;
		c->drain_set = false;
		set(&c->reason, w->reason);
		if (c->phase == PHASE_HELD)
			move(c, PHASE_DRAINING, str_or(w->reason, "the machine has a deadline"));
	}
}

static void take_wish(struct course *c, const struct wish *w, int64_t now)
{
	if (w->word == WISH_LEAVE)
		must_leave(c, w, now);
	/* What holds the machine ends by its own word alone; a notice that nobody waits for ends when it is gone. */
	else if (is_leaving(c) && (w->word == WISH_STAY || !c->hooked))
		move(c, PHASE_RETURNING, w->word == WISH_STAY ? str_or(w->reason, "the machine stays") : "the notice is gone");
}

static void take_drain(struct course *c, const struct drain_view *d)
{
	bool taken = d->status == DRAIN_CANCELLED || (d->status == DRAIN_DONE && d->node_eligible);
	bool empty = d->status == DRAIN_DONE && d->node_ready && !d->node_eligible;

	switch (c->phase) {
	case PHASE_IDLE:
	case PHASE_RETURNING:
		return;
	case PHASE_DRAINING:
		/* One that was asked for in vain, as far as anybody knew, and all the same took place. */
		if (!c->drain_set && d->ours && d->started_at >= c->since && empty)
			c->drain_set = true;
		if (!c->drain_set)
			return;
		if (empty)
			move(c, PHASE_RELEASING, "the node is empty");
		else if (taken)
			move(c, PHASE_HELD, "somebody cancelled the drain; it goes on when somebody drains the node again");
		else if (d->status == DRAIN_NONE)
			c->drain_set = false;
		return;
	case PHASE_HELD:
		if (empty)
			move(c, PHASE_RELEASING, "the node is empty");
		else if (d->status == DRAIN_ACTIVE)
			move(c, PHASE_DRAINING, "somebody drains the node again");
		return;
	case PHASE_RELEASING:
		if (d->status == DRAIN_ACTIVE || taken)
			move(c, taken ? PHASE_HELD : PHASE_DRAINING, "somebody else has the node");
		return;
	case PHASE_RELEASED:
		return;
	}
}

/* The drain that is wanted is there already: set by somebody who is in no less of a hurry, or by us before a restart. */
static bool is_drained_enough(const struct course *c, const struct drain_view *d)
{
	int64_t wanted = course_deadline(c);

	return d->status == DRAIN_ACTIVE && (!wanted || (d->deadline && d->deadline <= wanted));
}

unsigned course_step(struct course *c, const struct wish *wish, const struct drain_view *drain, int64_t now)
{
	unsigned todo = 0;

	if (wish)
		take_wish(c, wish, now);
	if (drain && c->phase == PHASE_DRAINING && !c->drain_set && is_drained_enough(c, drain))
		c->drain_set = true;
	if (drain)
		take_drain(c, drain);
	if (c->phase == PHASE_RELEASING && !c->hooked)
		move(c, PHASE_RELEASED, "nobody waits for that");
	if (c->phase == PHASE_RETURNING && drain) {
		if (drain->ours && (drain->status == DRAIN_ACTIVE || drain->status == DRAIN_DONE))
			todo |= TODO_UNDRAIN;
		else
			move(c, PHASE_IDLE, "there is no drain of ours to take back");
	}
	/* Without a look at what there is, one that somebody set would be overwritten. */
	if (c->phase == PHASE_DRAINING && !c->drain_set && drain)
		todo |= TODO_DRAIN;
	if (c->hooked && (c->phase == PHASE_DRAINING || c->phase == PHASE_HELD || c->phase == PHASE_RELEASING))
		todo |= TODO_EXTEND;
	if (c->phase == PHASE_RELEASING && drain && drain->status == DRAIN_DONE && drain->node_ready)
		todo |= TODO_RELEASE;
	return todo;
}

int64_t course_deadline(const struct course *c)
{
	int64_t own = c->longest ? c->since + c->longest : 0;

	return !own ? c->deadline : !c->deadline ? own : MIN(own, c->deadline);
}

/* ---- what was done ---- */

void course_drain_is_set(struct course *c)
{
	c->drain_set = true;
}

void course_is_undrained(struct course *c)
{
	if (c->phase == PHASE_RETURNING)
		move(c, PHASE_IDLE, "the node takes work again");
}

void course_is_extended(struct course *c)
{
	c->confirmed = true;
}

void course_is_released(struct course *c)
{
	if (c->phase == PHASE_RELEASING)
		move(c, PHASE_RELEASED, "told that the machine is empty");
}

/* ---- what hooks print ---- */

static const struct {
	const char *text;
	enum wish_word word;
} words[] = {{"stay", WISH_STAY}, {"leave", WISH_LEAVE}, {"unknown", WISH_UNSAID}};

/* The next word, and where the text goes on behind it. */
static char *next_word(const char **p)
{
	const char *from = *p + strspn(*p, " \t\r\n");

	*p = from + strcspn(from, " \t\r\n");
	return xstrndup(from, (size_t)(*p - from));
}

int wish_parse(const char *text, struct wish *out, struct err *e)
{
	const char *p = text;
	cleanup_free char *first = next_word(&p);
	struct wish w = {0};
	size_t i = 0;

	while (i < ARRAY_LEN(words) && !str_eq(words[i].text, first))
		i++;
	if (i == ARRAY_LEN(words))
		return err_set(e, -EINVAL, "expected \"stay\", \"leave\" or \"unknown\" as the first word, got \"%.40s\"", first);
	w.word = words[i].word;
	if (w.word == WISH_LEAVE) {
		cleanup_free char *when = next_word(&p);

		w.hooked = true;
		if (*when && !str_eq(when, "-") && time_parse_rfc3339(when, &w.deadline) < 0)
			return err_set(e, -EINVAL,
			    "expected a time like 2026-11-25T12:00:00Z or \"-\" after \"leave\", got \"%.40s\"", when);
	}
	p += strspn(p, " \t\r\n");
	w.reason = *p && *p != '\n' ? xstrndup(p, strcspn(p, "\r\n")) : xstrdup(words[i].text);
	*out = w;
	return 0;
}

/* ---- when to try again ---- */

bool pace_is_due(const struct pace *p, int64_t now)
{
	return now >= p->next;
}

void pace_succeeded(struct pace *p, int64_t now, int64_t again)
{
	*p = (struct pace){.next = now + again};
}

void pace_failed(struct pace *p, int64_t now, int64_t most, double chance)
{
	int64_t delay = PACE_FIRST << MIN(p->failures, 6u);

	delay = MIN(delay, MIN(most, PACE_MOST));
	p->failures += p->failures < 1000;
	p->next = now + delay / 2 + (int64_t)((double)(delay / 2) * chance);
}
