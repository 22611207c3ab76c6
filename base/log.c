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

static void put_json(struct buf *b, enum log_level level, const char *when, const char *component, const char *text)
{
	static const char *const words[] = {"trace", "debug", "info", "warn", "error"};

	put_json_member(b, "{\"@level\":", words[level]);
	put_json_member(b, ",\"@message\":", text);
	put_json_member(b, ",\"@module\":", component);
	put_json_member(b, ",\"@timestamp\":", when);
	buf_puts(b, "}\n");
}

static void put_text(struct buf *b, enum log_level level, const char *when, const char *component, const char *text)
{
	size_t start;

	/* The words are padded to one width: "[INFO] " and "[ERROR]". */
	buf_printf(b, "%s [%s]%*s %s: ", when, level_names[level], 5 - (int)strlen(level_names[level]), "", component);
	start = b->len;
	buf_puts(b, text);
	/* One event is one line, whatever a stranger put into it. */
	for (size_t i = start; i < b->len; i++)
		if (b->data[i] == '\n' || b->data[i] == '\r')
			b->data[i] = ' ';
	buf_putc(b, '\n');
}

/* The line in one of its two forms, made when it is first wanted. */
struct line {
	enum log_level level;
	const char *component;
	char when[TIME_STR];
	struct buf message, forms[2]; /* text, JSON */
};

static const struct buf *form(struct line *l, bool json)
{
	const char *message = l->message.data ? l->message.data : "";

	if (!l->forms[json].len)
		(json ? put_json : put_text)(&l->forms[json], l->level, l->when, l->component, message);
	return &l->forms[json];
}

void log_line(enum log_level level, const char *component, const char *fmt, ...)
{
	struct line l = {.level = level, .component = component};
	int saved = errno;
	va_list ap;

	if (inside || !wanted(level))
		return;
	inside = true;
	stamp(l.when);
	va_start(ap, fmt);
	buf_vprintf(&l.message, fmt, ap);
	va_end(ap);
	if (level >= stderr_level)
		(void)!file_write_all(STDERR_FILENO, form(&l, as_json)->data, form(&l, as_json)->len);
	pthread_mutex_lock(&lock);
	for (struct log_sink *s = sinks; s; s = s->next)
		if (level >= s->level)
			s->fn(s->arg, level, form(&l, s->json)->data, form(&l, s->json)->len);
	pthread_mutex_unlock(&lock);
	buf_free(&l.message);
	buf_free(&l.forms[0]);
	buf_free(&l.forms[1]);
	inside = false;
	errno = saved;
}
