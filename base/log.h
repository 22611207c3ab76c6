/*
 * log: one line per event to stderr (and to whoever follows /v1/agent/monitor):
 *   2026-11-22T10:16:32.926Z [INFO]  server: node 2e015db1 registered
 * The component is the noun in front ("server", "client", "alloc 2e015db1"). Secrets never come
 * here. Lines that are written faster than a follower reads are dropped for that follower and
 * counted.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/util.h"

enum log_level { LOG_TRACE, LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* Reads "TRACE".."ERROR" in any case; -EINVAL for another word. */
int log_level_parse(const char *word, enum log_level *out);
const char *log_level_name(enum log_level level);
void log_set_level(enum log_level level);
enum log_level log_get_level(void);
void log_set_json(bool json);
void log_line(enum log_level level, const char *component, const char *fmt, ...) PRINTF(3, 4);
#define log_trace(c, ...) log_line(LOG_TRACE, c, __VA_ARGS__)
#define log_debug(c, ...) log_line(LOG_DEBUG, c, __VA_ARGS__)
#define log_info(c, ...)  log_line(LOG_INFO, c, __VA_ARGS__)
#define log_warn(c, ...)  log_line(LOG_WARN, c, __VA_ARGS__)
#define log_error(c, ...) log_line(LOG_ERROR, c, __VA_ARGS__)

/* A sink sees every line at or above its level, whatever the level of stderr. */
typedef void log_sink_fn(void *arg, enum log_level level, const char *line, size_t len);
struct log_sink {
	struct log_sink *next;
	enum log_level level;
	bool json; /* lines as JSON objects, whatever the form of stderr */
	log_sink_fn *fn;
	void *arg;
};
void log_sink_add(struct log_sink *sink); /* the caller owns the sink and removes it again */
void log_sink_remove(struct log_sink *sink);

#endif
