/* cli_print: tables, titles, times and sizes of the command line. */
#include "daemon/cli_print.h"

#include <math.h>

#include "base/clock.h"

struct table table_new(struct arena *a, const char *empty)
{
	return (struct table){.arena = a, .empty = empty};
}

static struct strs *row_of(struct table *t)
{
	if (!t->row) {
		t->row = arena_alloc(t->arena, sizeof(*t->row));
		objs_push(t->arena, &t->rows, t->row);
	}
	return t->row;
}

void table_cell(struct table *t, const char *fmt, ...)
{
	cleanup_buf struct buf b = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&b, fmt, ap);
	va_end(ap);
	strs_push(t->arena, row_of(t), b.data ? b.data : "");
}

void table_end_row(struct table *t)
{
	t->row = NULL;
}

void table_row(struct table *t, const char *cells)
{
	table_end_row(t);
	for (;;) {
		int n = (int)strcspn(cells, "|");

		table_cell(t, "%.*s", n, cells);
		if (!cells[n])
			break;
		cells += n + 1;
	}
	table_end_row(t);
}

/* Characters on the screen: UTF-8 continuation bytes take no place. */
static int columns_of(const char *s)
{
	int n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static const char *cell(const struct table *t, const struct strs *row, uint32_t i)
{
	return str_empty(row->v[i]) ? t->empty : row->v[i];
}

/* Width of column i; the last cell of a row is never padded, but counts. */
static int width_of(const struct table *t, uint32_t i)
{
	int width = 0;

	OBJS_EACH(&t->rows, struct strs, row)
		if (i < row->n)
			width = MAX(width, columns_of(cell(t, row, i)));
	return width;
}

/* What others named must not steer the terminal: of control characters only line ends, tabs and colours pass. */
static void put_cell(const char *s, FILE *out)
{
	for (; *s; s++) {
		size_t color = *s == '\033' && s[1] == '[' ? 2 + strspn(s + 2, "0123456789;") : 0;

		if (color && s[color] == 'm') {
			fwrite(s, 1, color + 1, out);
			s += color;
		} else {
			fputc(((unsigned char)*s < ' ' && *s != '\n' && *s != '\t') || *s == 0x7f ? '?' : *s, out);
		}
	}
}

static void print_with(const struct table *t, FILE *out, int indent, const char *glue)
{
	int widths[64];
	uint32_t n = 0;

	OBJS_EACH(&t->rows, struct strs, row)
		n = MAX(n, row->n);
	n = MIN(n, (uint32_t)ARRAY_LEN(widths));
	for (uint32_t i = 0; i < n; i++)
		widths[i] = width_of(t, i);
	OBJS_EACH(&t->rows, struct strs, row) {
		fprintf(out, "%*s", indent, "");
		for (uint32_t i = 0; i < row->n && i < n; i++) {
			const char *s = cell(t, row, i);

			put_cell(s, out);
			if (i + 1 < row->n)
				fprintf(out, "%*s%s", widths[i] - columns_of(s), "", glue);
		}
		fputc('\n', out);
	}
}

void table_print_indented(const struct table *t, FILE *out, int indent)
{
	print_with(t, out, indent, "  ");
}

void table_print(const struct table *t, FILE *out)
{
	print_with(t, out, 0, "  ");
}

void kv(struct table *t, const char *key, const char *fmt, ...)
{
	cleanup_buf struct buf b = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&b, fmt, ap);
	va_end(ap);
	table_end_row(t);
	table_cell(t, "%s", key);
	table_cell(t, "%s", b.data ? b.data : "");
	table_end_row(t);
}

void kv_print(const struct table *t, FILE *out)
{
	print_with(t, out, 0, " = ");
}

const char *colored(const struct cli *c, const char *code, const char *text)
{
	return c->color ? arena_printf(c->arena, "\033[%sm%s\033[0m", code, text) : text;
}

void print_title(const struct cli *c, const char *fmt, ...)
{
	cleanup_buf struct buf b = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&b, fmt, ap);
	va_end(ap);
	printf("\n%s\n", colored(c, "1", b.data));
}

void print_next_page(const struct cli *c, const char *token)
{
	if (str_empty(token))
		return;
	printf("\nResults have been paginated. To get the next page run:\n\ndrover %s -page-token %s", c->args->cmd->words,
	    token);
	for (const struct cmd_flag *f = c->args->cmd->flags; f && f->name; f++) {
		const char *v = arg_str(c->args, f->name, "");

		if (!arg_given(c->args, f->name) || str_eq(f->name, "page-token"))
			continue;
		if (f->kind == CMD_BOOL)
			printf(" -%s=%s", f->name, v);
		else
			printf(strpbrk(v, " \"'$*") ? " -%s '%s'" : " -%s %s", f->name, v);
	}
	putchar('\n');
}

const char *short_id(struct cli *c, const char *id)
{
	if (str_empty(id))
		return "";
	return arg_bool(c->args, "verbose") || strlen(id) < 8 ? id : arena_strndup(c->arena, id, 8);
}

const char *size_format(int64_t bytes, char out[SIZE_STR])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double v = (double)bytes;
	size_t u = 0;

	if (bytes < 10) {
		snprintf(out, SIZE_STR, "%lld B", (long long)bytes);
		return out;
	}
	for (; v >= 1024 && u + 1 < ARRAY_LEN(units); u++)
		v /= 1024;
	v = floor(v * 10 + 0.5) / 10;
	snprintf(out, SIZE_STR, v < 10 ? "%.1f %s" : "%.0f %s", v, units[u]);
	return out;
}

const char *local_time(struct cli *c, int64_t t)
{
	char text[TIME_STR];

	return arena_strdup(c->arena, time_format_local(t, text));
}

const char *list_time(struct cli *c, int64_t t)
{
	char text[TIME_STR];

	if (arg_bool(c->args, "verbose"))
		return local_time(c, t);
	return t ? arena_strdup(c->arena, time_format_relative(t, clock_now(), text)) : "";
}
