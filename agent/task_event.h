/*
 * task_event: the events of a task as the API shows them: type, message and details are what tools and people match
 * on. A task keeps its newest ten.
 */
#ifndef AGENT_TASK_EVENT_H
#define AGENT_TASK_EVENT_H

#include "base/model.h"

#define TASK_EVENTS_MAX 10

enum task_event_kind {
	EVENT_RECEIVED,
	EVENT_SETUP,
	EVENT_SETUP_FAILURE,    /* text: what failed */
	EVENT_VALIDATION,       /* text: what is wrong with the driver's config */
	EVENT_DRIVER_FAILURE,   /* text */
	EVENT_STARTED,
	EVENT_TERMINATED,       /* see task_event_exit */
	EVENT_RESTARTING,       /* text: reason, duration: delay */
	EVENT_NOT_RESTARTING,   /* text: reason */
	EVENT_KILLING,          /* duration: kill timeout */
	EVENT_STUCK,            /* text: what is still there after SIGKILL */
	EVENT_KILLED,
	EVENT_SIGNALING,        /* text: name of the signal */
	EVENT_RESTART_SIGNALED, /* text: reason */
	EVENT_SIBLING_FAILED,   /* text: name of the sibling */
	EVENT_LEADER_DEAD,
	EVENT_MAIN_DEAD,
	EVENT_ALLOC_UNHEALTHY,  /* text */
	EVENT_DISCONNECTED,     /* text: how long no server has answered */
	EVENT_RECONNECTED,
	EVENT_NOT_REGISTERED,   /* text: which service, and why Consul does not have it */
};

/* Appends to state->events, in its arena; texts are copied. Returns the event. */
struct task_event *task_event_add(struct arena *a, struct task_state *state, enum task_event_kind kind, int64_t now,
    const char *text, int64_t duration);

struct task_event_exit {
	int code;   /* as a shell has it: 128 + signal when a signal ended it */
	int signal;
	bool oom;
	bool unknown;        /* nobody saw how it ended */
	const char *message; /* more about it, or NULL */
};
struct task_event *task_event_add_exit(struct arena *a, struct task_state *state, int64_t now,
    const struct task_event_exit *exit);

#endif
