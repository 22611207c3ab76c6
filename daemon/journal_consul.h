/*
 * journal_consul: the journal of a leader over the fenced log in Consul's KV (discovery/kvlog.h). Commits run on the journal's
 * thread and last as long as Consul takes; a lost lock ends them with -ESTALE.
 */
#ifndef DAEMON_JOURNAL_CONSUL_H
#define DAEMON_JOURNAL_CONSUL_H

#include "discovery/kvlog.h"
#include "sched/journal.h"

/* Takes over the writer. index: of the last entry in the log. */
struct journal *journal_consul_new(struct kvlog_writer *w, uint64_t index);
uint64_t journal_consul_seq(const struct journal *j); /* of the last batch that is known to be in the log; not while the thread works */

#endif
