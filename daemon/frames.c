/* frames: cuts a stream into JSON objects and unpacks them. */
#include "daemon/frames.h"

#include <errno.h>
#include <jansson.h>

#include "daemon/base64.h"

enum { FRAME_MAX = 4 << 20 };

static int unpack(struct frames *f, struct err *e)
{
	cleanup_buf struct buf data = BUF_INIT;
	json_error_t je;
	json_t *j = json_loadb(f->pending.data, f->pending.len, 0, &je);
	const json_t *bytes = j ? json_object_get(j, "Data") : NULL, *event = j ? json_object_get(j, "FileEvent") : NULL;
	int rc = 0;

	if (!j)
		rc = err_set(e, -EPROTO, "a frame of the stream is no JSON: %s", je.text);
	else if (json_is_string(bytes) && base64_take(&data, json_string_value(bytes), json_string_length(bytes)) < 0)
		rc = err_set(e, -EPROTO, "the data in a frame of the stream is no base64");
	if (rc == 0 && data.len)
		f->on_data(f->arg, data.data, data.len);
	if (rc == 0 && json_is_string(event) && f->on_event)
		f->on_event(f->arg, json_string_value(event));
	json_decref(j);
	return rc;
}

/* Goes over one byte; true when it ends a frame. */
static bool ends_frame(struct frames *f, char c)
{
	if (f->in_string) {
		f->in_string = f->escaped || c != '"';
		f->escaped = !f->escaped && c == '\\';
		return false;
	}
	if (c == '"')
		f->in_string = true;
	else if (c == '{')
		f->depth++;
	else if (c == '}')
		return --f->depth == 0;
	return false;
}

int frames_feed(struct frames *f, const void *data, size_t n, struct err *e)
{
	const char *p = data, *end = p + n, *from = p;

	for (; p < end; p++) {
		if (!f->depth && *p != '{') {
			if (*p != '\n' && *p != ' ' && *p != '\r' && *p != '\t')
				return err_set(e, -EPROTO, "the stream holds something else than frames");
			from = p + 1;
			continue;
		}
		if (!ends_frame(f, *p))
			continue;
		buf_put(&f->pending, from, (size_t)(p + 1 - from));
		from = p + 1;
		if (unpack(f, e) < 0)
			return e ? e->code : -EPROTO;
		buf_clear(&f->pending);
	}
	if (f->pending.len + (size_t)(end - from) > FRAME_MAX)
		return err_set(e, -EPROTO, "a frame of the stream is larger than %d bytes", FRAME_MAX);
	buf_put(&f->pending, from, (size_t)(end - from));
	return 0;
}

void frames_clear(struct frames *f)
{
	buf_free(&f->pending);
	f->depth = 0;
	f->in_string = f->escaped = false;
}
