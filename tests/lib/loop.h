/* loop: a libevent loop for tests that wait for callbacks. */
#ifndef TESTS_LIB_LOOP_H
#define TESTS_LIB_LOOP_H

#include "base/util.h"

struct event_base;

struct event_base *loop_new(void);
void loop_free(struct event_base *base);
/* Runs the loop until *done is not zero; fails the test after 30 s, which is a bound and no measure. */
void loop_until(struct event_base *base, const int *done);
void loop_for(struct event_base *base, int64_t ns);

#endif
