/*
 * metrics: the two forms in which figures are written down.
 */
#include "daemon/figures.h"

#include "base/clock.h"
#include "daemon/jwriter.h"

static void put_labels(struct jwriter *w, const struct strmap *labels)
{
	jw_object(w, "Labels");
	for (uint32_t i = 0; i < labels->n; i++)
		jw_str(w, labels->v[i].key, labels->v[i].value);
	jw_end(w, '}');
}

static void put_gauge(struct jwriter *w, const struct figure *g)
{
	jw_item(w);
	jw_begin(w, '{');
	put_labels(w, &g->labels);
	jw_str(w, "Name", g->name);
	jw_double(w, "Value", g->value);
	jw_end(w, '}');
}

/* Counters count since the start of the agent; there is no interval whose spread could be told. */
static void put_counter(struct jwriter *w, const struct figure *g, double uptime)
{
	jw_item(w);
	jw_begin(w, '{');
	jw_int(w, "Count", (int64_t)g->value);
	put_labels(w, &g->labels);
	jw_double(w, "Max", g->value);
	jw_double(w, "Mean", g->value);
	jw_double(w, "Min", g->value);
	jw_str(w, "Name", g->name);
	jw_double(w, "Rate", uptime > 0 ? g->value / uptime : 0);
	jw_double(w, "Stddev", 0);
	jw_double(w, "Sum", g->value);
	jw_end(w, '}');
}

void metrics_json(const struct daemon *d, struct buf *out, int indent, struct arena *a)
{
	struct figures f = {.arena = a, .daemon = d};
	struct jwriter w = jw_new(out, indent);
	double uptime = (double)(clock_now() - d->started_at) / 1e9;
	char text[TIME_STR];

	figures_gather(&f);
	jw_begin(&w, '{');
	jw_list(&w, "Counters");
	OBJS_EACH(&f.list, struct figure, g)
		if (g->counter)
			put_counter(&w, g, uptime);
	jw_end(&w, ']');
	jw_list(&w, "Gauges");
	OBJS_EACH(&f.list, struct figure, g)
		if (!g->counter)
			put_gauge(&w, g);
	jw_end(&w, ']');
	jw_list(&w, "Points");
	jw_end(&w, ']');
	jw_list(&w, "Samples");
	jw_end(&w, ']');
	time_format_rfc3339(clock_now() / SECOND * SECOND, text);
	text[strcspn(text, "TZ")] = ' ';
	text[strcspn(text, "Z")] = '\0';
	jw_key(&w, "Timestamp");
	buf_printf(out, "\"%s +0000 UTC\"", text);
	jw_end(&w, '}');
}

static void put_metric_name(struct buf *out, const char *name)
{
	for (const char *p = name; *p; p++)
		buf_putc(out, *p == '.' || *p == '-' ? '_' : *p);
}

static void put_label_value(struct buf *out, const char *v)
{
	for (; *v; v++) {
		if (*v == '\n') {
			buf_puts(out, "\\n");
			continue;
		}
		if (*v == '"' || *v == '\\')
			buf_putc(out, '\\');
		buf_putc(out, *v);
	}
}

static int by_name(const void *a, const void *b)
{
	const struct figure *x = *(const struct figure *const *)a, *y = *(const struct figure *const *)b;

	return strcmp(x->name, y->name);
}

static void put_sample(struct buf *out, const struct figure *g)
{
	put_metric_name(out, g->name);
	buf_putc(out, '{');
	for (uint32_t i = 0; i < g->labels.n; i++) {
		buf_printf(out, "%s%s=\"", i ? "," : "", g->labels.v[i].key);
		put_label_value(out, g->labels.v[i].value);
		buf_putc(out, '"');
	}
	buf_printf(out, "} %.17g\n", g->value);
}

void metrics_prometheus(const struct daemon *d, struct buf *out, struct arena *a)
{
	struct figures f = {.arena = a, .daemon = d};
	const char *last = "";

	figures_gather(&f);
	qsort(f.list.v, f.list.n, sizeof(*f.list.v), by_name); /* lines of one name stand together: the format wants it */
	OBJS_EACH(&f.list, struct figure, g) {
		if (!str_eq(last, g->name)) {
			buf_puts(out, "# TYPE ");
			put_metric_name(out, g->name);
			buf_puts(out, g->counter ? " counter\n" : " gauge\n");
			last = g->name;
		}
		put_sample(out, g);
	}
}
