/* hcl_try: expressions of the job file language in tests: what they come out as, or what is said about them. */
#ifndef TESTS_LIB_HCL_TRY_H
#define TESTS_LIB_HCL_TRY_H

#include "base/hcl.h"

struct hcl_case {
	const char *source;
	const char *result; /* JSON, or "!" and the first line of the problem after the name of the file */
};

/* Such a result, in the arena. */
const char *hcl_try(struct arena *a, const char *source);
/* The name of the value's type, or as above. */
const char *hcl_try_type(struct arena *a, const char *source);

/* Every source must have its result; prints all that do not, and fails the test. */
void expect_hcl(const struct hcl_case *cases, size_t n, const char *(*how)(struct arena *, const char *));
#define EXPECT_HCL(cases)   expect_hcl(cases, ARRAY_LEN(cases), hcl_try)
#define EXPECT_TYPES(cases) expect_hcl(cases, ARRAY_LEN(cases), hcl_try_type)

#endif
