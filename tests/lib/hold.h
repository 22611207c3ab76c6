/* hold: one keeper with a real task, for the tests of agent/keeper.h and of what the keeper does with output. */
#ifndef TESTS_LIB_HOLD_H
#define TESTS_LIB_HOLD_H

#include <event2/event.h>
#include <unistd.h>

#include "agent/keeper.h"

struct hold {
	struct event_base *base;
	struct arena *arena;
	char dir[64]; /* also the task's working folder */
	char *logs, *record;
	struct keeper *k;
	struct keeper_spec spec; /* may be changed before the start */
	bool started, failed, exited;
	struct keeper_exit exit;
	char error[800];
};

/* cmocka fixtures; the task is killed at the end. */
int hold_open(void **state);
int hold_close(void **state);
#define HELD(f) cmocka_unit_test_setup_teardown(f, hold_open, hold_close)

/* Runs the loop until the expression is true or 15 seconds have passed, and then fails. */
#define until(h, expression)                                                                                           \
	do {                                                                                                           \
		for (int tries_ = 0; tries_ < 3000 && !(expression); tries_++)                                         \
			event_base_loop((h)->base, EVLOOP_NONBLOCK), usleep(5000);                                     \
		if (!(expression))                                                                                     \
			fail_msg("did not happen: %s", #expression);                                                   \
	} while (0)

keeper_fn hold_on_event; /* arg: the hold */
void hold_start(struct hold *h, const char *script); /* /bin/sh -c script; start number 1 */
void hold_run(struct hold *h, const char *script);   /* and waits for its end */
/* The agent is killed: nothing of it is left but the record. */
void hold_forget(struct hold *h);
int hold_adopt(struct hold *h, uint64_t start);
/* A file of the log folder, "" when there is none; its number of bytes. */
char *hold_log(struct hold *h, const char *name);
/* The number in a file of the working folder, 0 when there is none. */
int hold_number(struct hold *h, const char *name);
bool hold_alive(int pid); /* and no zombie */

#endif
