/*
 * alloc_run: one allocation on this client: its folders, its tasks in their order, its status and health as the
 * servers see them, its record on disk. Owned by the client (agent/client.c). An allocation ends when all its tasks
 * are dead, and only its own tasks, its desired state, or the servers forgetting it make them stop.
 */
#ifndef AGENT_ALLOC_RUN_H
#define AGENT_ALLOC_RUN_H

#include "agent/cgroup.h"
#include "agent/client.h"
#include "agent/task_run.h"
#include "base/heap.h"

struct event;
struct presence;
struct registry;

struct job_ref { /* one version of a job, shared by its allocations */
	uint32_t refs;
	struct arena *arena;
	const struct job *job;
	struct map *in; /* the table that it leaves with its last reference, by key */
	char *key;
};
void job_ref_release(struct job_ref *r);

struct run_host { /* what allocations need of their client; outlives them */
	struct event_base *base;
	const struct client_config *config;
	const struct node *node;
	const struct cgroup_host *cgroups;
	const char *records; /* <state>/allocs */
	struct registry *registry; /* NULL without Consul (agent/registry.h) */
	/* Something that the servers or the disk should know has changed; called often, must only take note. */
	void (*on_change)(void *arg, struct alloc_run *a);
	void *arg;
	struct run_counts *counts;
};

struct run_counts { /* tasks of this agent's life */
	uint64_t started, failed, complete, restarted, oom_killed;
};

struct alloc_run {
	const struct run_host *host;
	char *id, *record_dir;
	struct arena *arena;
	struct allocation *model; /* as the servers described it; without job, metrics and task states */
	struct job_ref *job;
	const struct task_group *group;
	struct task_run **tasks;
	uint32_t n;
	uint64_t index;     /* AllocModifyIndex of `model` */
	bool set_up;        /* folders are there, ports were free */
	bool stop_asked;    /* the servers want it stopped, or forgot it */
	bool stop_wanted;   /* and Consul has forgotten it, and the group's shutdown_delay is over */
	bool ending;        /* its tasks are being stopped, whoever wants it */
	bool stepping, again, restoring;
	int health;         /* -1, 0 = not known yet, 1 */
	int64_t health_at;  /* Unix ns */
	int64_t healthy_since; /* monotonic: all tasks run since; 0 = not now */
	int64_t health_deadline;
	struct event *stop_timer, *health_timer;
	int64_t ended_at;   /* Unix ns; 0 while a task lives */
	const char *told; /* status and health that were described last; NULL = none */
	int told_health;
	struct presence *presence; /* in Consul; of agent/registry.h, NULL = none */
	/* of the client */
	bool unsaved;       /* the record on disk is older than this */
	bool queued;        /* waits to be reported */
	uint64_t version, reported, acked; /* counts changes; what was sent; what the servers have */
	struct heap_item removable; /* in the table's heap once it has ended and the servers know that */
	bool gone;          /* the servers forgot it: removed when it has ended */
	uint64_t mentioned; /* number of the servers' last answer that named it */
};

/* A new one; nothing is started before alloc_run_begin. model is copied; takes over a reference of job. */
int alloc_run_new(const struct run_host *host, const struct allocation *model, struct job_ref *job,
    struct alloc_run **out, struct err *e);
void alloc_run_free(struct alloc_run *a); /* processes go on */

/* Takes up the record of an earlier agent; adopts processes. record may be NULL: only keepers' records are looked at. */
void alloc_run_restore(struct alloc_run *a, const struct alloc_record *record);
/* Starts what is to start. */
void alloc_run_begin(struct alloc_run *a);
/* The servers changed it in place: job version, desired state. */
void alloc_run_update(struct alloc_run *a, const struct allocation *model, struct job_ref *job);
void alloc_run_stop(struct alloc_run *a, const char *why);

/* A task has changed: decides about the others. */
void alloc_run_changed(struct alloc_run *a);
/* Entries in Consul have gone, or have been waited for long enough. */
void alloc_run_left(struct alloc_run *a);
/* Something that is to be told and saved, without consequences for other tasks. */
void alloc_run_touch(struct alloc_run *a);
int alloc_run_save(struct alloc_run *a, struct err *e); /* writes the record of the tasks now */

bool alloc_run_ended(const struct alloc_run *a);
bool alloc_run_wants_stop(const struct allocation *model);
struct task_run *alloc_run_task(const struct alloc_run *a, const char *name);
/* Whether its status or health is another than the servers were told; events alone are no news. */
bool alloc_run_has_news(const struct alloc_run *a);
/* What the servers are told; points into a and the arena. */
void alloc_run_describe(struct alloc_run *a, struct arena *arena, struct alloc_update *out);

#endif
