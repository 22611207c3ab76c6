#include "daemon/replica.h"

#include <errno.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/journal_consul.h"
#include "discovery/leader_session.h"

#define CLAIM_AGAIN   (200 * MILLI)
#define PATIENCE      (1 * SECOND) /* before it is logged what is waited for */
/* A leader that is there puts back at once what was deleted; then who led until now, who has all of it; then who has followed. */
#define RESTORE_PAST  (2 * SECOND)
#define RESTORE_AFTER (4 * SECOND)

const char *const replica_state_names[REPLICA_STATES] = {"reading", "following", "claiming", "leading", "leaving", "halted"};

#define TO(s) (1u << REPLICA_##s)
static const unsigned moves[REPLICA_STATES] = {
    [REPLICA_READING] = TO(FOLLOWING) | TO(LEAVING) | TO(HALTED),
    [REPLICA_FOLLOWING] = TO(CLAIMING) | TO(LEADING) | TO(READING) | TO(LEAVING) | TO(HALTED),
    [REPLICA_CLAIMING] = TO(FOLLOWING) | TO(LEADING) | TO(READING) | TO(LEAVING) | TO(HALTED),
    [REPLICA_LEADING] = TO(READING) | TO(LEAVING),
    [REPLICA_LEAVING] = 0,
    [REPLICA_HALTED] = TO(LEAVING),
};

struct replica {
	struct event_base *base;
	struct consul *consul;
	struct arena *arena; /* of config */
	struct replica_config config;
	const struct replica_ops *ops;
	void *arg;

	enum replica_state state;
	struct leader_session *session;
	struct kvlog_reader *reader; /* NULL while leading */
	struct kvlog_claim *claim;
	struct consul_call *ending;  /* of the session of an earlier life */
	struct event *again;         /* claim once more; also ends the reader, outside of its callbacks */
	struct core *core;           /* the owner's, followed; NULL before the first */
	struct core *next;           /* being read, ours; takes core's place at the end of the log */
	struct {
		const struct core *core; /* the owner's; NULL = none */
		uint64_t seq;
		int64_t at;              /* clock_now() when it ceased to lead */
	} past;
	bool had_all; /* core is a copy of what is past: no other server has read more of the log that is gone */

	struct kvlog_lock lock;      /* head: in lock_arena */
	struct arena *lock_arena;
	int64_t gone_since;          /* monotonic: a log that was read is not there any more; 0 = it is */
	bool may_stand, alone, lost; /* lost: the owner was told, and has yet to rejoin */
	char *waits, *trouble, *session_trouble;
	char *said;          /* of waits, what was logged last */
	int64_t waits_since; /* monotonic; 0 = it may stand */
};

/* ---- what is known ---- */

static void move(struct replica *r, enum replica_state to)
{
	if (r->state == to)
		return;
	if (!(moves[r->state] & 1u << to))
		die("replica: no way from %s to %s", replica_state_names[r->state], replica_state_names[to]);
	log_debug("server", "%s -> %s", replica_state_names[r->state], replica_state_names[to]);
	r->state = to;
	r->ops->on_state(r->arg);
}

static void set_text(char **at, const char *text)
{
	char *copy = text ? xstrdup(text) : NULL;

	free(*at);
	*at = copy;
}

enum replica_state replica_state(const struct replica *r)
{
	return r->state;
}

bool replica_is_read(const struct replica *r)
{
	const struct core *past = r->past.core;

	return r->core || (past && core_state((struct core *)past)->index == core_committed(past));
}

const char *replica_leader(const struct replica *r)
{
	if (r->state == REPLICA_LEADING)
		return r->config.me.address;
	return *r->lock.session && r->lock.head.address ? r->lock.head.address : "";
}

const struct log_head *replica_head(const struct replica *r)
{
	return &r->lock.head;
}

void replica_position(const struct replica *r, struct kvlog_position *out)
{
	*out = (struct kvlog_position){0};
	if (r->reader)
		kvlog_reader_position(r->reader, out);
	if (!r->core && r->past.core)
		out->at = r->past.at;
}

const char *replica_trouble(const struct replica *r)
{
	if (r->trouble)
		return r->trouble;
	if (r->session_trouble)
		return r->session_trouble;
	if (r->gone_since)
		return "the log in Consul is gone; who has read it writes it anew";
	return r->waits && !r->lock.exists ? r->waits : "";
}

static void keep_lock(struct replica *r, const struct kvlog_lock *lock)
{
	struct arena *a = arena_new();
	struct log_head *head = model_copy(a, &type_log_head, &lock->head);

	r->lock = *lock;
	r->lock.head = *head;
	arena_free(r->lock_arena);
	r->lock_arena = a;
}

/* ---- the lock ---- */

static void set_again(struct replica *r, int64_t after)
{
	const struct timeval tv = {after / SECOND, after % SECOND / 1000};

	evtimer_add(r->again, &tv);
}

/* The log is read up to the head that was claimed: from here on this server writes it. */
static void lead(struct replica *r)
{
	cleanup_err struct err e = ERR_INIT;
	struct log_head head = kvlog_claimed_head(&r->lock, &r->config.me);
	struct kvlog_writer *w;
	struct journal *j;

	core_close(STEAL(r->next));
	w = kvlog_writer_new(r->consul, r->config.prefix, &head, leader_session_id(r->session));
	if (r->gone_since)
		kvlog_set_incomplete(w);
	r->gone_since = 0;
	j = journal_consul_new(w, (uint64_t)head.index);
	kvlog_reader_free(STEAL(r->reader));
	if (core_lead(r->core, j, clock_now(), &e) < 0)
		die("a core that has followed the log cannot lead: %s", err_str(&e));
	log_info("server", "this server is the leader, from entry %lld on", (long long)head.index);
	move(r, REPLICA_LEADING);
	r->ops->on_lead(r->arg, STEAL(r->core), j);
}

static void on_ended(void *arg, const struct consul_answer *answer)
{
	struct replica *r = arg;

	(void)answer; /* when it failed, the lock is seen to be held still, and it is tried again */
	r->ending = NULL;
	set_again(r, CLAIM_AGAIN);
}

/* The lock is held by this server, but not by this process: by one that was killed. The check that its session hangs on is
 * ours again and passes, so the session would never end by itself. */
static void end_earlier_session(struct replica *r)
{
	if (!r->ending)
		r->ending = consul_call(r->consul, &consul_session_destroy, &(struct consul_args){.name = r->lock.session}, on_ended, r);
}

static void on_claimed(void *arg, const struct err *e)
{
	struct replica *r = arg;

	r->claim = NULL;
	if (r->state != REPLICA_CLAIMING)
		return;
	if (e->code == 0) {
		lead(r);
		return;
	}
	log_debug("server", "the leader lock was not taken: %s", err_str(e));
	move(r, REPLICA_FOLLOWING);
	set_again(r, CLAIM_AGAIN);
}

/* There is no log, and it may not be begun. A moment of that belongs to every start. */
static void say_waits(struct replica *r)
{
	int64_t waited = clock_monotonic() - r->waits_since;

	if (!r->waits || str_eq(r->waits, r->said))
		return;
	if (waited < PATIENCE) {
		set_again(r, PATIENCE - waited);
		return;
	}
	log_info("server", "%s", r->waits);
	set_text(&r->said, r->waits);
}

/* A log that was read and is not there any more: whether it may be begun anew, where it ended. */
static bool may_restore(struct replica *r)
{
	int64_t left = r->gone_since + (r->had_all ? RESTORE_PAST : RESTORE_AFTER) - clock_monotonic();

	if (left > 0)
		set_again(r, left);
	return left <= 0;
}

/* Whether the lock may be asked for at all. */
static bool may_stand(struct replica *r)
{
	if (r->lock.exists)
		return true;
	if (r->gone_since)
		return may_restore(r);
	if (!r->may_stand)
		say_waits(r);
	return r->may_stand;
}

static void consider(struct replica *r)
{
	const char *session = leader_session_id(r->session);

	if (r->state != REPLICA_FOLLOWING || !may_stand(r) || r->claim || !*session)
		return;
	/* A claim whose answer was lost has succeeded. */
	if (str_eq(r->lock.session, session)) {
		lead(r);
		return;
	}
	if (*r->lock.session) {
		if (r->alone && str_eq(r->lock.head.id, r->config.me.id))
			end_earlier_session(r);
		return;
	}
	move(r, REPLICA_CLAIMING);
	r->claim = kvlog_claim(r->consul, r->config.prefix, &r->lock, &r->config.me, session, on_claimed, r);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	consider(arg);
}

void replica_stand(struct replica *r, bool may, const char *why)
{
	if (may)
		r->waits_since = 0;
	else if (!r->waits_since)
		r->waits_since = clock_monotonic();
	r->may_stand = may;
	set_text(&r->waits, may ? NULL : why);
	set_again(r, 0);
}

/* ---- the log ---- */

static void on_restart(void *arg)
{
	struct replica *r = arg;

	core_close(r->next);
	r->next = core_new(&r->config.core);
}

static int on_entry(void *arg, uint64_t index, const void *p, size_t n, struct err *e)
{
	struct replica *r = arg;

	return core_follow(r->next ? r->next : r->core, index, p, n, e);
}

static void note_gone(struct replica *r)
{
	bool gone = !r->lock.exists && r->lock.head.index;

	if (gone && !r->gone_since)
		log_error("server", "the log in Consul is gone: somebody deleted %s/%s; what this server has read, up to entry %lld, is kept and "
		    "written anew", r->config.prefix, KVLOG_LOCK, (long long)r->lock.head.index);
	r->gone_since = !gone ? 0 : r->gone_since ? r->gone_since : clock_monotonic();
}

static void give_core(struct replica *r, struct core *core)
{
	r->past.core = NULL;
	r->core = core;
	r->ops->on_core(r->arg, core);
}

/* Neither the lock is there nor as much of the log as this server knows from when it led: then that is where the log ends. */
static void remember(struct replica *r)
{
	uint64_t read = (uint64_t)r->lock.head.index;

	if (r->lock.exists) {
		r->had_all = false;
		return;
	}
	if (r->past.core && core_committed(r->past.core) > read) {
		r->had_all = true;
		give_core(r, core_copy(r->past.core));
	}
	if (r->had_all) {
		r->lock.head.seq = (int64_t)r->past.seq;
		r->lock.head.index = (int64_t)core_committed(r->core);
	}
}

static void on_lock(void *arg, const struct kvlog_lock *lock)
{
	struct replica *r = arg;
	bool changed = !str_eq(r->lock.session, lock->session);

	keep_lock(r, lock);
	remember(r);
	note_gone(r);
	if (r->next && !r->had_all)
		give_core(r, STEAL(r->next));
	if (r->state == REPLICA_READING)
		move(r, REPLICA_FOLLOWING);
	r->ops->on_followed(r->arg);
	if (changed)
		r->ops->on_state(r->arg);
	/* Not from here: leading ends the reader. */
	set_again(r, 0);
}

static void on_log_trouble(void *arg, const struct err *e)
{
	struct replica *r = arg;

	set_text(&r->trouble, e ? err_str(e) : NULL);
	if (e)
		log_warn("server", "reading the log: %s; trying again", err_str(e));
	else
		log_info("server", "the log can be read again");
	r->ops->on_state(r->arg);
}

static void on_unreadable(void *arg, const struct err *e)
{
	struct replica *r = arg;

	set_text(&r->trouble, err_str(e));
	log_error("server", "the log cannot be read: %s", err_str(e));
	kvlog_claim_cancel(STEAL(r->claim));
	move(r, REPLICA_HALTED);
}

static const struct kvlog_reader_ops reader_ops = {
    .on_restart = on_restart,
    .on_entry = on_entry,
    .on_lock = on_lock,
    .on_trouble = on_log_trouble,
    .on_unreadable = on_unreadable,
};

static void start_reading(struct replica *r)
{
	r->reader = kvlog_reader_new(r->base, r->consul, r->config.prefix, &reader_ops, r);
}

/* ---- the session ---- */

static void on_session(void *arg, const char *session)
{
	struct replica *r = arg;

	log_debug("server", "session %s is ready", session);
	set_again(r, 0);
}

static void tell_lost(struct replica *r, const char *why)
{
	if (r->lost)
		return;
	r->lost = true;
	log_warn("server", "no longer the leader: %s", why);
	r->ops->on_lost(r->arg, why);
}

static void on_session_lost(void *arg, const char *why)
{
	struct replica *r = arg;

	if (r->state == REPLICA_LEADING)
		tell_lost(r, why);
}

static void on_missing(void *arg)
{
	struct replica *r = arg;

	r->ops->on_missing_check(r->arg);
}

static void on_session_trouble(void *arg, const struct err *e)
{
	struct replica *r = arg;

	set_text(&r->session_trouble, e ? err_str(e) : NULL);
	r->ops->on_state(r->arg);
}

static const struct leader_session_ops session_ops = {
    .on_ready = on_session,
    .on_lost = on_session_lost,
    .on_missing = on_missing,
    .on_trouble = on_session_trouble,
};

void replica_set_alone(struct replica *r, bool alone)
{
	if (alone && !r->alone)
		set_again(r, 0);
	r->alone = alone;
}

void replica_set_feature(struct replica *r, int64_t level)
{
	r->config.me.feature = level;
}

void replica_rejoin(struct replica *r, const struct core *past, uint64_t seq)
{
	if (r->state != REPLICA_LEADING)
		return;
	r->past.core = past;
	r->past.seq = seq;
	r->past.at = clock_now();
	r->lost = r->had_all = false;
	r->gone_since = 0;
	r->lock = (struct kvlog_lock){0};
	move(r, REPLICA_READING);
	start_reading(r);
}

void replica_leave(struct replica *r, void (*done)(void *arg), void *arg)
{
	kvlog_claim_cancel(STEAL(r->claim));
	move(r, REPLICA_LEAVING);
	leader_session_release(r->session, done, arg);
}

/* ---- life ---- */

struct replica *replica_new(struct event_base *base, struct consul *c, const struct replica_config *config,
    const struct replica_ops *ops, void *arg)
{
	struct replica *r = xcalloc(1, sizeof(*r));
	struct leader_session_config session = {
	    .name = "drover leader lock",
	    .check_id = config->check_id,
	    .ttl = config->ttl,
	};

	r->base = base;
	r->consul = c;
	r->arena = arena_new();
	r->config = *config;
	r->config.prefix = arena_strdup(r->arena, config->prefix);
	r->config.me = *(struct log_head *)model_copy(r->arena, &type_log_head, &config->me);
	r->config.core.region = arena_strdup(r->arena, config->core.region);
	r->ops = ops;
	r->arg = arg;
	r->again = evtimer_new(base, on_again, r);
	if (!r->again)
		die("out of memory");
	r->session = leader_session_new(base, c, &session, &session_ops, r);
	start_reading(r);
	return r;
}

void replica_free(struct replica *r)
{
	if (!r)
		return;
	kvlog_claim_cancel(r->claim);
	consul_cancel(r->ending);
	kvlog_reader_free(r->reader);
	leader_session_free(r->session);
	event_free(r->again);
	core_close(r->next);
	arena_free(r->lock_arena);
	arena_free(r->arena);
	free(r->waits);
	free(r->said);
	free(r->trouble);
	free(r->session_trouble);
	free(r);
}
