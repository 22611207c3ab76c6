/*
 * version: version numbers and the lists of conditions on them that `version` and `semver` constraints hold, with the
 * ordering of Semantic Versioning 2.0 (numbers first, a pre-release below its release, build data ignored).
 */
#ifndef SCHED_VERSION_H
#define SCHED_VERSION_H

#include "base/err.h"

#define VERSION_SEGMENTS 8

struct version {
	int64_t segments[VERSION_SEGMENTS]; /* missing ones are 0 */
	int n;                              /* how many were written */
	const char *pre;                    /* into the text that was parsed; NULL when there is none */
	size_t pre_len;
};

/* "1.2.3", "v1.2", "1.0.0-beta.2+build5". strict: a pre-release needs its hyphen (semver). The result points into s.
 * -EINVAL with a sentence. */
int version_parse(const char *s, size_t len, bool strict, struct version *out, struct err *e);
int version_cmp(const struct version *a, const struct version *b);

/*
 * A list such as ">= 1.2, < 2.0" or "~> 1.4". With semver `~>` is refused and pre-releases are ordered like others;
 * without it a pre-release satisfies an ordering only when the condition names a pre-release of the same version.
 * Returns 1 when v satisfies it, 0 when it does not, -EINVAL with a sentence when the list is not one. v may be NULL: the
 * list is only checked.
 */
int version_satisfies(const struct version *v, const char *list, bool semver, struct err *e);

#endif
