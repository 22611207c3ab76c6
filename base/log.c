/*
 * log: formats a line once, writes it to stderr with one write(2), and hands it to the sinks.
 * The list of sinks is the process's only state here; a lock guards it, because the helper
 * threads log too. A sink that logs is not called for its own line.
 */
#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"

#include <errno.h>
#include <pthread.h>
#include <strings.h>
#include <time.h>

static const char *const level_names[] = {"TRACE", "DEBUG", "INFO", "WARN", "ERROR"};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct log_sink *sinks;
static enum log_level stderr_level = LOG_INFO;
static bool as_json;
static _Thread_local bool inside;

int log_level_parse(const char *word, enum log_level *out)
{
	for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
		if (strcasecmp(word, level_names[i]) == 0) {
			*out = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *log_level_name(enum log_level level)
{
	return level_names[level];
}

void log_set_level(enum log_level level)
{
	stderr_level = level;
}

enum log_level log_get_level(void)
{
	return stderr_level;
}

void log_set_json(bool json)
{
	as_json = json;
}

void log_sink_add(struct log_sink *sink)
{
	pthread_mutex_lock(&lock);
	sink->next = sinks;
	sinks = sink;
	pthread_mutex_unlock(&lock);
}

void log_sink_remove(struct log_sink *sink)
{
	pthread_mutex_lock(&lock);
	for (struct log_sink **p = &sinks; *p; p = &(*p)->next) {
		if (*p == sink) {
			*p = sink->next;
			break;
		}
	}
	pthread_mutex_unlock(&lock);
}

static bool wanted(enum log_level level)
{
	bool yes = level >= stderr_level;

	pthread_mutex_lock(&lock);
	for (const struct log_sink *s = sinks; s && !yes; s = s->next)
		yes = level >= s->level;
	pthread_mutex_unlock(&lock);
	return yes;
}

static void stamp(char out[TIME_STR])
{
	int64_t now = clock_now();
	time_t sec = now / SECOND;
	struct tm tm;
	size_t n;

	gmtime_r(&sec, &tm);
	n = strftime(out, TIME_STR, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, TIME_STR - n, ".%03uZ", (unsigned)(now % SECOND / MILLI) % 1000);
}

static void put_json_member(struct buf *b, const char *key, const char *value)
{
	buf_puts(b, key);
	json_put_string(b, value, strlen(value));
}

static void put_line(
    struct buf *b, enum log_level level, const char *component, const char *fmt, va_list ap)
{
	char when[TIME_STR];

	stamp(when);
	if (as_json) {
		struct buf text = BUF_INIT;

		buf_vprintf(&text, fmt, ap);
		put_json_member(b, "{\"@level\":", level_names[level]);
		put_json_member(b, ",\"@message\":", text.data ? text.data : "");
		put_json_member(b, ",\"@module\":", component);
		put_json_member(b, ",\"@timestamp\":", when);
		buf_putc(b, '}');
		buf_free(&text);
	} else {
		size_t start;

		/* The words are padded to one width: "[INFO] " and "[ERROR]". */
		buf_printf(b, "%s [%s]%*s %s: ", when, level_names[level],
		    5 - (int)strlen(level_names[level]), "", component);
		start = b->len;
		buf_vprintf(b, fmt, ap);
		/* One event is one line, whatever a stranger put into it. */
		for (size_t i = start; i < b->len; i++)
			if (b->data[i] == '\n' || b->data[i] == '\r')
				b->data[i] = ' ';
	}
	buf_putc(b, '\n');
}

void log_line(enum log_level level, const char *component, const char *fmt, ...)
{
	struct buf b = BUF_INIT;
	int saved = errno;
	va_list ap;

	if (inside || !wanted(level))
		return;
	inside = true;
	va_start(ap, fmt);
	put_line(&b, level, component, fmt, ap);
	va_end(ap);
	if (level >= stderr_level)
		(void)!file_write_all(STDERR_FILENO, b.data, b.len);
	pthread_mutex_lock(&lock);
	for (struct log_sink *s = sinks; s; s = s->next)
		if (level >= s->level)
			s->fn(s->arg, level, b.data, b.len);
	pthread_mutex_unlock(&lock);
	buf_free(&b);
	inside = false;
	errno = saved;
}
