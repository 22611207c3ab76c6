/*
 * journal_thread: runs what blocks beside the loop: commits (fdatasync, or a round trip to Consul) and confirmations that
 * the journal is still ours. It owns no state: the loop says "begin", and is called back on the loop when it is done. While one commit runs the next
 * batch gathers.
 */
#ifndef DAEMON_JOURNAL_THREAD_H
#define DAEMON_JOURNAL_THREAD_H

#include "sched/core.h"

struct event_base;
struct journal_thread;

enum journal_job { JOURNAL_COMMIT, JOURNAL_CONFIRM }; /* core_commit_run(), core_confirm() */
/* rc and e are those of the job; e is valid during the call only. */
typedef void journal_thread_fn(void *arg, enum journal_job job, int rc, const struct err *e);

int journal_thread_start(struct event_base *base, struct core *core, journal_thread_fn *done, void *arg,
    struct journal_thread **out, struct err *e);
void journal_thread_begin(struct journal_thread *t, enum journal_job job); /* not while one runs */
/* Waits for a job under way; its callback is not made any more. Returns the result of the last commit. */
int journal_thread_stop(struct journal_thread *t);

#endif
