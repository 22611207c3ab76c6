/* check: what the test programs of kit share. A failed check is named and counted; main() returns check_result(). */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <string.h>

#include "../kit.h"

static int checks, failures;

#define CHECK(condition) check((condition), #condition, __FILE__, __LINE__)

static inline void check(bool holds, const char *text, const char *file, int line)
{
	checks++;
	if (holds)
		return;
	failures++;
	fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, text);
}

static inline int check_result(void)
{
	fprintf(stderr, "%d checks, %d failed\n", checks, failures);
	return failures ? 1 : 0;
}

#endif
