#include "packaging/scale-in/state_file.h"

#include <errno.h>
#include <jansson.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"

#define VERSION  1
#define MOST     65536 /* bytes */

enum kind { TEXT, TIME, FLAG };
static const struct field {
	const char *name;
	enum kind kind;
	size_t offset;
} fields[] = {
    {"machine", TEXT, offsetof(struct course, machine)},
    {"node", TEXT, offsetof(struct course, node)},
    {"reason", TEXT, offsetof(struct course, reason)},
    {"since", TIME, offsetof(struct course, since)},
    {"deadline", TIME, offsetof(struct course, deadline)},
    {"hooked", FLAG, offsetof(struct course, hooked)},
    {"drain_set", FLAG, offsetof(struct course, drain_set)},
    {"confirmed", FLAG, offsetof(struct course, confirmed)},
};

static void *at(const struct course *c, const struct field *f)
{
	return (char *)(uintptr_t)c + f->offset;
}

static int read_field(const json_t *object, const struct field *f, struct course *out, struct err *e)
{
	const json_t *v = json_object_get(object, f->name);

	if (f->kind == FLAG ? !json_is_boolean(v) : !json_is_string(v))
		return err_set(e, -EINVAL, "\"%s\": expected a %s", f->name, f->kind == FLAG ? "boolean" : "string");
	if (f->kind == FLAG) {
		*(bool *)at(out, f) = json_is_true(v);
	} else if (f->kind == TIME) {
		if (time_parse_rfc3339(json_string_value(v), at(out, f)) < 0)
			return err_set(e, -EINVAL, "\"%s\": expected a time like 2026-11-25T12:00:00Z", f->name);
	} else {
		char **slot = at(out, f);

		free(*slot);
		*slot = xstrdup(json_string_value(v));
	}
	return 0;
}

static int read_object(const json_t *object, struct course *out, struct err *e)
{
	const json_t *phase = json_object_get(object, "phase");
	int rc = 0;

	if (json_integer_value(json_object_get(object, "version")) != VERSION)
		return err_set(e, -EINVAL, "\"version\": expected %d", VERSION);
	if (!json_is_string(phase) || !phase_parse(json_string_value(phase), &out->phase))
		return err_set(e, -EINVAL, "\"phase\": expected the name of a phase");
	for (size_t i = 0; i < ARRAY_LEN(fields) && rc >= 0; i++)
		rc = read_field(object, &fields[i], out, e);
	return rc;
}

int state_file_read(const char *path, struct course *out, struct err *e)
{
	cleanup_buf struct buf text = BUF_INIT;
	json_error_t where;
	struct course c;
	int rc = file_read(path, MOST, &text, e);

	if (rc < 0)
		return rc;
	json_t *object = json_read(text.data ? text.data : "", text.len, 0, &where);

	course_init(&c);
	rc = object ? read_object(object, &c, e) : err_set(e, -EINVAL, "line %d: %s", where.line, where.text);
	json_decref(object);
	if (rc < 0) {
		course_free(&c);
		return err_wrap(e, "%s", path);
	}
	c.longest = out->longest;
	course_free(out);
	*out = c;
	return 0;
}

static void put_field(struct buf *b, const struct course *c, const struct field *f)
{
	char text[TIME_STR];

	json_put_str(b, f->name);
	buf_puts(b, ": ");
	switch (f->kind) {
	case TEXT:
		json_put_str(b, *(char **)at(c, f));
		break;
	case TIME:
		json_put_str(b, time_format_rfc3339(*(int64_t *)at(c, f), text));
		break;
	case FLAG:
		json_put_bool(b, *(bool *)at(c, f));
		break;
	}
}

void state_file_put(struct buf *out, const struct course *c)
{
	buf_printf(out, "{\n    \"version\": %d,\n    \"phase\": \"%s\"", VERSION, phase_name(c->phase));
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		buf_puts(out, ",\n    ");
		put_field(out, c, &fields[i]);
	}
	buf_puts(out, "\n}\n");
}

int state_file_write(const char *path, const struct buf *text, struct err *e)
{
	return file_write_atomic(path, text->data, text->len, 0600, true, e);
}
