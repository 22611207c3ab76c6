/*
 * kvlog_play: the parts of stories about the fenced log in a real Consul (discovery/kvlog.h): a reader that remembers what it was
 * handed, sessions, claims, and writers. What goes wrong fails the test.
 */
#ifndef TESTS_LIB_KVLOG_PLAY_H
#define TESTS_LIB_KVLOG_PLAY_H

#include "discovery/kvlog.h"
#include "tests/lib/consul_ask.h"
#include "tests/lib/loop.h"

extern struct asker at; /* begun and ended by the test */

struct follower {
	struct kvlog_reader *reader;
	struct buf entries;  /* "index:length " of each entry, 0 for a snapshot's */
	uint64_t index, restarts, n;
	struct kvlog_lock lock; /* head without its strings */
	char leader[64];
	int locks, troubles, unreadable;
	char sentence[256];
	int refuse; /* so many entries are refused */
};
void follow(struct follower *f, const char *prefix);
void unfollow(struct follower *f);

#define UNTIL(condition)                                                                           \
	do {                                                                                       \
		for (int64_t end_ = clock_monotonic() + 20 * SECOND; !(condition);) {              \
			loop_for(at.base, 5 * MILLI);                                              \
			if (clock_monotonic() > end_)                                              \
				fail_msg("did not happen: %s", #condition);                        \
		}                                                                                  \
	} while (0)

#define ARGS(...) (&(struct consul_args){__VA_ARGS__})

const char *make_session(void); /* one of four that live at a time */
void end_session(const char *id);
int claim(const char *prefix, const struct kvlog_lock *lock, const char *name, const char *session); /* 0 or the error's code */
struct kvlog_writer *writer_of(const char *prefix, const struct kvlog_lock *lock, const char *session);
/* Waits until f sees the lock free, and takes it. */
struct kvlog_writer *lead(const char *prefix, struct follower *f, const char *session);
struct kvlog_run run_of(uint64_t first, uint64_t n, size_t size); /* n entries that do not compress */
int append(struct kvlog_writer *w, uint64_t first, uint64_t n, size_t size, struct err *e);
void put_record(struct kvlog_run *r, const char *text);
void finish_chores(struct kvlog_writer *w);
uint32_t count_keys(const char *below);

#endif
