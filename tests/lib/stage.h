/* stage: what the tests of the client say about a play (tests/lib/play.h): waiting for a status, reading events. */
#ifndef TESTS_LIB_STAGE_H
#define TESTS_LIB_STAGE_H

#include "tests/lib/play.h"

#include <sys/types.h>

#define ID1 PLAY_ID1
#define ID2 PLAY_ID2

/* cmocka fixtures: a play with a started client; ends what it left running. */
int stage_open(void **state);
int stage_close(void **state);
#define STAGED(f) cmocka_unit_test_setup_teardown(f, stage_open, stage_close)

/* Fails the test when another final status comes first or ten seconds pass. */
void wait_status(struct play *x, const char *id, const char *status);
/* Runs the loop until the expression is true or ten seconds have passed, and then fails. */
#define wait_until(x, expression)                                                                                      \
	do {                                                                                                           \
		for (int tries_ = 0; tries_ < 1000 && !(expression); tries_++)                                         \
			play_run_ms(x, 10);                                                                            \
		if (!(expression))                                                                                     \
			fail_msg("did not happen: %s", #expression);                                                   \
	} while (0)

const struct task_state *task_of(struct play *x, const char *id, const char *task);
/* "Received,Task Setup,Started,Terminated" */
const char *events_of(struct play *x, const char *id, const char *task);
const struct task_event *event_of(struct play *x, const char *id, const char *task, const char *type);
/* The number that task "t" wrote first to its stdout. */
pid_t pid_written(struct play *x, const char *id);
/* The process still runs and is no zombie. */
bool is_alive(pid_t pid);
/* The record of the keeper of task "t" (agent/keeper_proto.h). */
char *run_path(struct play *x, const char *id);
/* The pid in its line "keeper" or "task". */
pid_t pid_in_run(struct play *x, const char *id, const char *line);

#endif
