/* server_internal: what the files of the server share: the turn (server.c) and the change of roles (server_role.c). */
#ifndef DAEMON_SERVER_INTERNAL_H
#define DAEMON_SERVER_INTERNAL_H

#include "daemon/journal_thread.h"
#include "daemon/server.h"

struct event;

enum server_role { ROLE_LEADS, ROLE_FOLLOWS, ROLE_STEPS_DOWN /* waits for a job of the journal to end */ };

struct server {
	struct event_base *base;
	struct server_config config;
	struct core_config core_config;
	char *region, *check_id;
	enum server_role role;
	struct journal *journal; /* of a leader, else NULL */
	struct core *core;
	struct watch *watch;
	struct journal_thread *thread; /* NULL with the memory journal, and on a follower */
	struct replica *replica;       /* NULL with a journal of its own */
	struct event *turn, *again, *timer, *patience;
	struct link resting; /* struct rest, in order of arrival */
	bool working, fatal; /* working: the thread has a job */
	int64_t work_began, timer_at;
	uint64_t round;      /* of the job that began last */
	uint64_t confirmed;  /* newest round that showed that the journal was ours */
	char *trouble;       /* of the last confirmation; NULL = none */
	struct server_stats stats;
	void (*left)(void *arg);
	void *left_arg;
};

/* server.c */
int server_begin_leading(struct server *s, struct err *e); /* core and journal are set: starts the thread */
void server_end_leading(struct server *s);                 /* ends thread, core, journal; not while the thread works on Consul */
void server_fail_rests(struct server *s, const char *failure);
void server_fail(struct server *s, const char *why);       /* fatal */
void server_watch_core(struct server *s);                  /* changes of the core wake the watchers */

/* server_role.c */
void server_start_replica(struct server *s);
/* The journal is not ours any more. */
void server_step_down(struct server *s, const char *why);
void server_go_on_stepping_down(struct server *s); /* the job has ended */

#endif
