/*
 * journal_thread: runs core_commit_run() beside the loop, because fdatasync blocks. It owns no state: the loop says
 * "begin" when core_commit_begin() found something, and is called back on the loop when the journal has it. While
 * one commit runs the next batch gathers.
 */
#ifndef DAEMON_JOURNAL_THREAD_H
#define DAEMON_JOURNAL_THREAD_H

#include "sched/core.h"

struct event_base;
struct journal_thread;

/* rc and e are those of core_commit_run(); e is valid during the call only. */
typedef void journal_thread_fn(void *arg, int rc, const struct err *e);

int journal_thread_start(struct event_base *base, struct core *core, journal_thread_fn *done, void *arg,
    struct journal_thread **out, struct err *e);
void journal_thread_begin(struct journal_thread *t);
/* Waits for a commit under way; its callback is not made any more. Returns the result of the last one. */
int journal_thread_stop(struct journal_thread *t);

#endif
