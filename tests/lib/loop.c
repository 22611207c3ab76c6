#include "tests/lib/loop.h"

#include <event2/event.h>

#include "base/clock.h"
#include "tests/lib/test.h"

struct event_base *loop_new(void)
{
	struct event_base *base = event_base_new();

	assert_non_null(base);
	return base;
}

void loop_free(struct event_base *base)
{
	event_base_free(base);
}

static void turn(struct event_base *base)
{
	event_base_loopexit(base, &(struct timeval){.tv_usec = 5000});
	event_base_dispatch(base);
}

void loop_until(struct event_base *base, const int *done)
{
	for (int64_t end = clock_monotonic() + 30 * SECOND; !*done;) {
		turn(base);
		if (clock_monotonic() > end)
			fail_msg("nothing happened within 30 s");
	}
}

void loop_for(struct event_base *base, int64_t ns)
{
	for (int64_t end = clock_monotonic() + ns; clock_monotonic() < end;)
		turn(base);
}
