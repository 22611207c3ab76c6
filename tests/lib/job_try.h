/* job_try: job files in tests: what they come out as, or what is said about them. */
#ifndef TESTS_LIB_JOB_TRY_H
#define TESTS_LIB_JOB_TRY_H

#include "daemon/jobspec.h"

/* A member of the job ("Meta", "TaskGroups") as compact JSON with sorted keys, the whole job when member is NULL; or "!"
 * and the problems. o may be NULL; the file is named t.nomad when o names none. In the arena. The text is handed over
 * without a zero byte behind it, so that the sanitizer finds reading past its end. */
const char *job_try(struct arena *a, const char *text, const struct jobspec_options *o, const char *member);
const char *job_try_bytes(struct arena *a, const char *text, size_t n, const struct jobspec_options *o, const char *member);

#endif
