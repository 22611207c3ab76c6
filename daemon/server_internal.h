/* server_internal: what the files of the server share: the turn (server.c), the change of roles (server_role.c), a journal that does
 * not answer (server_stall.c). */
#ifndef DAEMON_SERVER_INTERNAL_H
#define DAEMON_SERVER_INTERNAL_H

#include <event2/util.h>

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
	struct event *turn, *again, *timer;
	struct event *pulse; /* each second while it leads with a shared journal */
	struct link resting; /* struct rest, in order of arrival */
	bool working, fatal; /* working: the thread has a job */
	bool halted;         /* the owner was told */
	enum journal_job job; /* the last one */
	int64_t work_began, timer_at;
	int64_t timer_due;   /* monotonic: when timer should come */
	int64_t clock_ahead; /* of the wall clock before the monotonic one, as seen last */
	/* Monotonic, 0 = never or not: begin of the first job that the journal has not answered; last answer; since when this server sends
	 * everybody away; when a failed confirmation is tried again. */
	int64_t unanswered, answered, isolated, retry_at;
	uint64_t round;      /* of the job that began last */
	uint64_t confirmed;  /* newest round that showed that the journal was ours */
	char *trouble;       /* of the last confirmation; NULL = none */
	struct server_stats stats;
	void (*left)(void *arg);
	void *left_arg;
};

/* server.c */
int server_begin_leading(struct server *s, struct err *e); /* core and journal are set: starts the thread */
void server_end_leading(struct server *s);                 /* ends thread and journal, retires the core; not while the thread works on Consul */
void server_fail_rests(struct server *s, const char *failure);
void server_fail(struct server *s, const char *why);       /* fatal */
void server_watch_core(struct server *s);                  /* changes of the core wake the watchers */
struct rest *server_first_resting(const struct server *s); /* NULL: nothing rests */
void server_fail_rest(struct rest *r, const char *failure);

/* server_stall.c */
void server_begin_pulse(struct server *s);       /* it leads from here on */
void server_on_pulse(evutil_socket_t fd, short what, void *arg);
void server_on_answer(struct server *s);         /* the journal has answered */
int64_t server_silence(const struct server *s);  /* ns since the begin of what a shared journal has not answered; 0 on others */
bool server_is_stalled(const struct server *s);  /* the journal has not answered for a while */
bool server_wants_proof(const struct server *s); /* a confirmation is due although nobody waits for it */
void server_check_clock(struct server *s);       /* before the core is told the time */
void server_check_stop(struct server *s);        /* when the core's timer comes */

/* server_role.c */
void server_start_replica(struct server *s);
/* The journal is not ours any more. */
void server_step_down(struct server *s, const char *why);
void server_go_on_stepping_down(struct server *s); /* the job has ended */

#endif
