/*
 * cli_diff: one walk for jobs, groups, tasks and objects: a head line, then fields, objects and children, all of which
 * start their text in the column that the widest marker among them leaves.
 */
#include "daemon/cli_diff.h"

#include "daemon/cli_print.h"

struct walk {
	struct cli *c;
	struct buf b;
	bool verbose;
};

static const struct marker {
	const char *type, *text, *color;
} markers[] = {
    {"Added", "+ ", "32"},
    {"Deleted", "- ", "31"},
    {"Edited", "+/- ", "93"},
    {"", "", NULL}, /* every other type */
};

/* Words of the scheduler and the colour that they have. */
static const struct {
	const char *words, *color;
} colors[] = {
    {"create", "32"},
    {"forces create", "32"},
    {"destroy", "31"},
    {"forces destroy", "31"},
    {"migrate", "34"},
    {"in-place update", "36"},
    {"forces in-place update", "36"},
    {"create/destroy update", "33"},
    {"forces create/destroy update", "33"},
    {"canary", "93"},
};

static const char *text_of(const struct value *v, const char *key)
{
	const struct value *t = v ? value_get(v, key) : NULL;

	return t && t->kind == VAL_STR ? t->s : "";
}

/* The items of a list; n = 0 for null or nothing. */
static struct value **list_of(const struct value *v, const char *key, uint32_t *n)
{
	const struct value *l = v ? value_get(v, key) : NULL;

	*n = l && l->kind == VAL_LIST ? l->n : 0;
	return *n ? l->items : NULL;
}

static const struct marker *marker_of(const struct value *v)
{
	const char *type = text_of(v, "Type");
	const struct marker *m = markers;

	while (*m->type && !str_eq(m->type, type))
		m++;
	return m;
}

static int marker_width(const struct value *v)
{
	return (int)strlen(marker_of(v)->text);
}

/* The widest marker among the items of these lists. */
static int widest_marker(const struct value *v, const char *children)
{
	const char *lists[] = {"Fields", "Objects", children};
	int width = 0;

	for (size_t k = 0; k < ARRAY_LEN(lists) && lists[k]; k++) {
		uint32_t n;
		struct value **items = list_of(v, lists[k], &n);

		for (uint32_t i = 0; i < n; i++)
			width = MAX(width, marker_width(items[i]));
	}
	return width;
}

static void put_spaces(struct walk *w, int n)
{
	buf_printf(&w->b, "%*s", MAX(n, 0), "");
}

/* Up to the column of the text: indentation, marker, what the widest marker has more. */
static void put_start(struct walk *w, const struct value *v, int indent, int widest)
{
	const struct marker *m = marker_of(v);

	put_spaces(w, indent);
	if (m->color)
		buf_printf(&w->b, "%s ", colored(w->c, m->color, arena_strndup(w->c->arena, m->text, strlen(m->text) - 1)));
	put_spaces(w, widest - marker_width(v));
}

/* In quotes, with escapes as in a string of a program, so that a value stays on its line. */
static void put_quoted(struct walk *w, const char *s)
{
	static const char plain[] = "\n\t\r\\\"", letters[] = "ntr\\\"";

	buf_putc(&w->b, '"');
	for (; *s; s++) {
		const char *p = strchr(plain, *s);

		if (p)
			buf_printf(&w->b, "\\%c", letters[p - plain]);
		else if ((unsigned char)*s < 0x20 || *s == 0x7f)
			buf_printf(&w->b, "\\x%02x", (unsigned char)*s);
		else
			buf_putc(&w->b, *s);
	}
	buf_putc(&w->b, '"');
}

static const char *in_color(struct walk *w, const char *words, const char *text)
{
	for (size_t i = 0; i < ARRAY_LEN(colors); i++)
		if (str_eq(colors[i].words, words))
			return colored(w->c, colors[i].color, text);
	return text;
}

static void put_annotations(struct walk *w, const struct value *v)
{
	uint32_t n;
	struct value **notes = list_of(v, "Annotations", &n);

	for (uint32_t i = 0; i < n; i++)
		buf_printf(&w->b, "%s%s%s", i ? ", " : " (", in_color(w, notes[i]->s, notes[i]->s), i + 1 == n ? ")" : "");
}

/* `(1 create, 2 ignore)` of a group; keys of a map are in order. */
static void put_updates(struct walk *w, const struct value *group)
{
	const struct value *u = value_get(group, "Updates");
	uint32_t n = u && u->kind == VAL_MAP ? u->n : 0;

	for (uint32_t i = 0; i < n; i++) {
		const char *text = arena_printf(w->c->arena, "%lld %s", (long long)u->items[i]->i, u->keys[i]);

		buf_printf(&w->b, "%s%s%s", i ? ", " : " (", in_color(w, u->keys[i], text), i + 1 == n ? ")" : "");
	}
}

static void put_field(struct walk *w, const struct value *f, int indent, int widest, int name_width)
{
	const char *name = text_of(f, "Name"), *type = text_of(f, "Type");

	put_start(w, f, indent, widest);
	buf_printf(&w->b, "%s: ", name);
	put_spaces(w, name_width - (int)strlen(name));
	if (str_eq(type, "Deleted") || str_eq(type, "Edited"))
		put_quoted(w, text_of(f, "Old"));
	if (str_eq(type, "Edited"))
		buf_puts(&w->b, " => ");
	if (!str_eq(type, "Deleted"))
		put_quoted(w, text_of(f, "New"));
	put_annotations(w, f);
	buf_putc(&w->b, '\n');
}

static void put_body(struct walk *w, const struct value *v, int indent, int widest)
{
	uint32_t n_fields, n_objects;
	struct value **fields = list_of(v, "Fields", &n_fields), **objects = list_of(v, "Objects", &n_objects);
	int name_width = 0;

	for (uint32_t i = 0; i < n_fields; i++)
		name_width = MAX(name_width, (int)strlen(text_of(fields[i], "Name")));
	for (uint32_t i = 0; i < n_fields; i++)
		put_field(w, fields[i], indent, widest, name_width);
	for (uint32_t i = 0; i < n_objects; i++) {
		const struct value *o = objects[i];
		int pad = widest - marker_width(o);

		put_start(w, o, indent, widest);
		buf_printf(&w->b, "%s {\n", text_of(o, "Name"));
		put_body(w, o, indent + pad + 2, widest_marker(o, NULL));
		put_spaces(w, indent + widest);
		buf_puts(&w->b, "}\n");
	}
}

/* Whether what is inside is shown, and not only that it came or went as a whole. */
static bool is_open(const struct walk *w, const struct value *v)
{
	return w->verbose || str_eq(text_of(v, "Type"), "Edited");
}

static const char *title(struct walk *w, const char *kind, const char *name)
{
	return colored(w->c, "1", arena_printf(w->c->arena, "%s: \"%s\"", kind, name));
}

static void put_task(struct walk *w, const struct value *task, int indent, int widest)
{
	put_start(w, task, indent, widest);
	buf_puts(&w->b, title(w, "Task", text_of(task, "Name")));
	put_annotations(w, task);
	buf_putc(&w->b, '\n');
	if (is_open(w, task) && !str_eq(text_of(task, "Type"), "None"))
		put_body(w, task, indent + 2, widest_marker(task, NULL));
}

static void put_group(struct walk *w, const struct value *group, int widest)
{
	int indent = widest - marker_width(group) + 2, inner = widest_marker(group, "Tasks");
	uint32_t n;
	struct value **tasks = list_of(group, "Tasks", &n);

	put_start(w, group, 0, widest);
	buf_puts(&w->b, title(w, "Task Group", text_of(group, "Name")));
	put_updates(w, group);
	buf_putc(&w->b, '\n');
	if (is_open(w, group))
		put_body(w, group, indent, inner);
	for (uint32_t i = 0; i < n; i++)
		put_task(w, tasks[i], indent, inner);
	buf_putc(&w->b, '\n');
}

const char *cli_diff(struct cli *c, const struct value *diff, bool verbose)
{
	struct walk w = {.c = c, .verbose = verbose};
	const char *text;
	uint32_t n;

	if (!diff || diff->kind != VAL_MAP)
		return "";
	struct value **groups = list_of(diff, "TaskGroups", &n);
	int widest = widest_marker(diff, "TaskGroups");

	put_start(&w, diff, 0, 0);
	buf_puts(&w.b, title(&w, "Job", text_of(diff, "ID")));
	buf_putc(&w.b, '\n');
	if (is_open(&w, diff))
		put_body(&w, diff, 0, widest);
	for (uint32_t i = 0; i < n; i++)
		put_group(&w, groups[i], widest);
	while (w.b.len && w.b.data[w.b.len - 1] == '\n')
		w.b.len--;
	text = arena_strndup(c->arena, w.b.data, w.b.len);
	buf_free(&w.b);
	return text;
}
