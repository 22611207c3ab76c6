/*
 * server_role: how a server with a shared journal comes to lead and ceases to. Its core is a follower's until the replica
 * has the lock; when the lock is lost, everything that rests on it is failed, and a new follower begins.
 */
#include <assert.h>
#include <errno.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/journal_consul.h"
#include "daemon/server_internal.h"

#define LEADER_HEARD_WITHIN (10 * SECOND)

bool server_leads(const struct server *s)
{
	return s->role == ROLE_LEADS && !s->left;
}

bool server_is_read(const struct server *s)
{
	return s->role == ROLE_LEADS || (s->role == ROLE_FOLLOWS && replica_is_read(s->replica) && !server_is_halted(s));
}

bool server_is_halted(const struct server *s)
{
	return s->replica && replica_state(s->replica) == REPLICA_HALTED;
}

const char *server_leader(const struct server *s)
{
	return s->replica ? replica_leader(s->replica) : s->config.config->advertise_http;
}

bool server_knows_leader(const struct server *s)
{
	return *server_leader(s) && server_last_contact(s) < LEADER_HEARD_WITHIN;
}

struct replica *server_replica(const struct server *s)
{
	return s->replica;
}

const char *server_trouble(const struct server *s)
{
	if (s->trouble)
		return s->trouble;
	return s->replica ? replica_trouble(s->replica) : "";
}

int64_t server_last_contact(const struct server *s)
{
	struct kvlog_position p;

	if (s->role == ROLE_LEADS)
		return server_silence(s);
	replica_position(s->replica, &p);
	return p.at ? MAX(0, clock_now() - p.at) : HOUR;
}

static void tell(struct server *s)
{
	watch_wake(s->watch, watch_leader());
	server_kick(s);
	if (s->config.on_role)
		s->config.on_role(s->config.arg);
}

/* ---- to lead ---- */

static void on_core(void *arg, struct core *core)
{
	struct server *s = arg;

	assert(s->role == ROLE_FOLLOWS);
	core_close(s->core);
	s->core = core;
	server_watch_core(s);
	/* What changed between the two, nobody has noted. */
	watch_wake_all(s->watch);
	server_kick(s);
}

static void on_followed(void *arg)
{
	server_kick(arg);
}

static void on_lead(void *arg, struct core *core, struct journal *j)
{
	struct server *s = arg;
	cleanup_err struct err e = ERR_INIT;

	assert(s->core == core);
	s->journal = j;
	if (server_begin_leading(s, &e) < 0)
		server_fail(s, err_str(&e));
	watch_wake_all(s->watch);
	tell(s);
}

/* ---- to cease ---- */

void server_step_down(struct server *s, const char *why)
{
	cleanup_free char *text = NULL;

	if (s->role != ROLE_LEADS)
		return;
	s->role = ROLE_STEPS_DOWN;
	s->journal->ops->interrupt(s->journal);
	text = xasprintf("this server lost its leadership (%s); what was asked for may have been done or not", why);
	server_fail_rests(s, text);
	server_kick(s);
}

void server_go_on_stepping_down(struct server *s)
{
	uint64_t seq;

	server_fail_rests(s, "this server lost its leadership; what was asked for may have been done or not");
	seq = journal_consul_seq(s->journal);
	server_end_leading(s);
	s->role = ROLE_FOLLOWS;
	free(STEAL(s->trouble));
	watch_wake_all(s->watch);
	if (!s->left)
		replica_rejoin(s->replica, s->core, seq);
	tell(s);
}

static void on_lost(void *arg, const char *why)
{
	server_step_down(arg, why);
}

static void on_state(void *arg)
{
	struct server *s = arg;

	if (!s->replica)
		return; /* it is being made */
	if (server_is_halted(s) && !s->halted) {
		s->halted = true;
		s->config.on_newer(s->config.arg, replica_trouble(s->replica));
	}
	tell(s);
}

static void on_missing_check(void *arg)
{
	struct server *s = arg;

	s->config.on_missing_check(s->config.arg);
}

void server_start_replica(struct server *s)
{
	static const struct replica_ops ops = {
	    .on_core = on_core,
	    .on_followed = on_followed,
	    .on_lead = on_lead,
	    .on_lost = on_lost,
	    .on_state = on_state,
	    .on_missing_check = on_missing_check,
	};
	const struct config *c = s->config.config;
	char id[UUID_STR];
	const struct replica_config rc = {
	    .prefix = c->consul.kv_prefix,
	    .check_id = s->check_id,
	    .ttl = s->config.check_ttl,
	    .me = {
	        .feature = KVLOG_FEATURE,
	        .id = uuid_format(s->config.id, id),
	        .name = c->name,
	        .address = c->advertise_http,
	        .has = UINT64_MAX,
	    },
	    .core = s->core_config,
	};

	s->role = ROLE_FOLLOWS;
	s->core = core_new(&s->core_config);
	server_watch_core(s);
	s->replica = replica_new(s->base, s->config.consul, &rc, &ops, s);
}

/* ---- an orderly leave ---- */

void server_leave(struct server *s, void (*done)(void *arg), void *arg)
{
	if (!s->replica) {
		done(arg);
		return;
	}
	s->left = done;
	s->left_arg = arg;
	server_kick(s);
}
