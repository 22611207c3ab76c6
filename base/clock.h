/*
 * clock: the texts of instants and durations. Instants are nanoseconds since 1970 UTC, durations
 * nanoseconds. Only the daemon and the agent call clock_now(); the scheduler gets time as an
 * argument.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/err.h"

int64_t clock_now(void);       /* wall clock */
int64_t clock_monotonic(void); /* for deadlines inside one process */

/* Go's duration language: "1h30m", "-1.5s", "100ms", "2us", "7ns", "0". -EINVAL otherwise,
 * -ERANGE past 292 years. */
int duration_parse(const char *s, int64_t *out);
/* Go's canonical form: "1h30m0s", "15s", "1.5ms", "0s". Returns out. */
#define DURATION_STR 32
const char *duration_format(int64_t ns, char out[DURATION_STR]);

/* RFC 3339 with up to nanoseconds; zero is "0001-01-01T00:00:00Z" as in Go, and is read back as 0. */
#define TIME_STR 40
const char *time_format_rfc3339(int64_t t, char out[TIME_STR]); /* UTC, trailing zeros dropped */
int time_parse_rfc3339(const char *s, int64_t *out);
/* Local time with offset to the second, as the command line prints: 2026-11-22T10:16:32Z. "" for 0. */
const char *time_format_local(int64_t t, char out[TIME_STR]);
/* At most two units and a suffix: "3m12s ago", "1d2h ago", "5s from now", "0s ago". */
const char *time_format_relative(int64_t t, int64_t now, char out[TIME_STR]);

#endif
