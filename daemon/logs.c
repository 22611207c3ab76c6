/*
 * logs: one struct follow for each stream: a file_stream on one side, a held call on the other. When the peer reads too
 * slowly the file_stream pauses until the connection has drained.
 */
#include "daemon/logs.h"

#include <errno.h>

#include <event2/event.h>

#include "agent/files.h"
#include "base/json.h"
#include "daemon/base64.h"
#include "daemon/daemon.h"
#include "daemon/jwriter.h"

struct follow {
	struct call *call;
	struct client *client;
	struct file_stream *stream;
	struct event *heartbeat, *end;
	char *alloc, *task, *content_type;
	bool plain, begun, sent;
	bool started; /* file_stream_open has returned */
};

static void follow_free(void *arg)
{
	struct follow *f = arg;

	if (f->stream)
		file_stream_close(f->stream);
	if (f->heartbeat)
		event_free(f->heartbeat);
	event_free(f->end);
	free(f->alloc);
	free(f->task);
	free(f->content_type);
	free(f);
}

static bool is_live(void *arg)
{
	const struct follow *f = arg;

	return client_task_live(f->client, f->alloc, f->task);
}

static void begin(struct follow *f, int status, const char *content_type)
{
	if (!f->begun)
		call_set_stream_header(f->call, status, content_type);
	f->begun = true;
}

static bool put_frame(struct follow *f, const struct file_stream_event *ev, const char *event)
{
	cleanup_buf struct buf b = BUF_INIT;
	struct jwriter w = jw_new(&b, 0);

	jw_begin(&w, '{');
	if (ev->n) {
		jw_key(&w, "Data");
		buf_putc(&b, '"');
		base64_put(&b, ev->p, ev->n);
		buf_putc(&b, '"');
	}
	if (ev->file)
		jw_str(&w, "File", ev->file);
	if (event)
		jw_str(&w, "FileEvent", event);
	if (ev->offset)
		jw_int(&w, "Offset", ev->offset);
	jw_end(&w, '}');
	return call_stream_put(f->call, b.data, b.len);
}

static bool put_event(struct follow *f, const struct file_stream_event *ev, const char *event)
{
	begin(f, 200, f->content_type);
	f->sent = true;
	if (!f->plain)
		return put_frame(f, ev, event);
	return event || call_stream_put(f->call, ev->p, ev->n);
}

static bool on_event(void *arg, const struct file_stream_event *ev)
{
	struct follow *f = arg;

	switch (ev->what) {
	case FILE_STREAM_DATA:
		return put_event(f, ev, NULL);
	case FILE_STREAM_TRUNCATED:
		return put_event(f, ev, "file truncated");
	case FILE_STREAM_DELETED:
		return put_event(f, ev, "file deleted");
	case FILE_STREAM_ERROR:
		begin(f, 500, "text/plain; charset=utf-8");
		call_stream_put(f->call, ev->error, strlen(ev->error));
		break;
	case FILE_STREAM_END:
		begin(f, 200, f->content_type);
		break;
	}
	/* Ends from the loop: the stream is still under our feet here. */
	event_active(f->end, 0, 0);
	return false;
}

static void on_end(evutil_socket_t fd, short what, void *arg)
{
	struct follow *f = arg;

	(void)fd;
	(void)what;
	call_stream_end(f->call); /* frees f through follow_free */
}

static void on_heartbeat(evutil_socket_t fd, short what, void *arg)
{
	struct follow *f = arg;

	(void)fd;
	(void)what;
	if (!f->sent && !f->plain) {
		begin(f, 200, f->content_type);
		call_stream_put(f->call, "{}", 2);
	} else if (!f->begun) {
		begin(f, 200, f->content_type);
	}
	f->sent = false;
}

static void on_drain(void *arg)
{
	struct follow *f = arg;

	if (f->stream)
		file_stream_resume(f->stream);
}

static int read_options(struct call *c, struct file_stream_config *fc, bool follow_unset)
{
	const char *origin = call_query(c, "origin");

	if (!str_empty(call_query(c, "offset")) && call_query_int(c, "offset", &fc->offset) < 0)
		return -EINVAL;
	if (!str_empty(origin) && !str_eq(origin, "start") && !str_eq(origin, "end")) {
		call_error(c, 400, "origin must be start or end");
		return -EINVAL;
	}
	fc->from_end = str_eq(origin, "end");
	if (!str_empty(call_query(c, "lines")) && call_query_int(c, "lines", &fc->lines) < 0)
		return -EINVAL;
	return call_query_flag(c, "follow", follow_unset, &fc->follow);
}

static void start(struct call *c, struct file_stream_config *fc, bool plain, const char *content_type)
{
	const struct timeval second = {1, 0};
	struct event_base *base = call_daemon(c)->base;
	cleanup_err struct err e = ERR_INIT;
	struct follow *f = xcalloc(1, sizeof(*f));

	f->call = c;
	f->client = call_daemon(c)->client;
	f->alloc = xstrdup(call_param(c, "id"));
	f->task = xstrdup(fc->task ? fc->task : "");
	f->content_type = xstrdup(content_type);
	f->plain = plain;
	f->end = event_new(base, -1, 0, on_end, f);
	if (!f->end)
		die("out of memory");
	if (fc->task) {
		fc->live = is_live;
		fc->live_arg = f;
	}
	if (file_stream_open(base, fc, on_event, f, &f->stream, &e) < 0) {
		follow_free(f);
		call_error(c, e.code == -ENOENT || e.code == -EISDIR || e.code == -EINVAL ? 400 : 500, "%s", err_str(&e));
		return;
	}
	call_stream_hold(c, follow_free, f);
	call_stream_on_drain(c, on_drain, f);
	if (!fc->follow)
		return;
	f->heartbeat = event_new(base, -1, EV_PERSIST, on_heartbeat, f);
	if (!f->heartbeat || evtimer_add(f->heartbeat, &second) < 0)
		die("out of memory");
}

void logs_get(struct call *c)
{
	cleanup_free char *dir = NULL;
	struct file_stream_config fc = {.task = call_query(c, "task"), .type = call_query(c, "type")};
	bool plain;

	if (str_empty(fc.task)) {
		call_error(c, 400, "must provide task name");
		return;
	}
	if (call_query_flag(c, "plain", false, &plain) < 0)
		return;
	if (!str_eq(fc.type, "stdout") && !str_eq(fc.type, "stderr")) {
		call_error(c, 400, "must provide log type (stdout/stderr)");
		return;
	}
	if (read_options(c, &fc, false) < 0 || !client_has_alloc(c, call_param(c, "id"), &dir))
		return;
	if (!client_has_task(call_daemon(c)->client, call_param(c, "id"), fc.task)) {
		call_error(c, 400, "unknown task name \"%s\"", fc.task);
		return;
	}
	fc.alloc_dir = dir;
	start(c, &fc, plain, plain ? "text/plain" : "application/json");
}

void logs_get_stream(struct call *c)
{
	cleanup_free char *dir = NULL;
	struct file_stream_config fc = {.path = call_query(c, "path")};

	if (str_empty(fc.path)) {
		call_error(c, 400, "must provide a file name");
		return;
	}
	if (read_options(c, &fc, true) < 0 || !client_has_alloc(c, call_param(c, "id"), &dir))
		return;
	fc.alloc_dir = dir;
	start(c, &fc, false, "text/plain; charset=utf-8");
}

void logs_send_file(struct call *c, const char *dir, const char *path, int64_t offset, int64_t limit)
{
	struct file_stream_config fc = {.alloc_dir = dir, .path = path, .offset = offset, .limit = limit};

	start(c, &fc, true, "text/plain; charset=utf-8");
}
