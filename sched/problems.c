/* problems: gathering and telling. */
#include "sched/problems.h"

#include "base/buf.h"

#define TOLD_MAX 100U /* of the problems of one thing; the rest is counted */

static char *format(struct arena *a, const char *fmt, va_list ap)
{
	cleanup_buf struct buf b = BUF_INIT;
	buf_vprintf(&b, fmt, ap);
	return arena_strndup(a, b.data ? b.data : "", b.len);
}

void problems_add(struct problems *p, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	strs_push(p->a, &p->list, format(p->a, fmt, ap));
	va_end(ap);
}

const char *problems_text(const struct problems *p)
{
	cleanup_buf struct buf b = BUF_INIT;
	if (!p->list.n)
		return "";
	buf_printf(&b, "%u error%s occurred:", p->list.n, p->list.n == 1 ? "" : "s");
	for (uint32_t i = 0; i < MIN(p->list.n, TOLD_MAX); i++)
		buf_printf(&b, "\n\t* %s", p->list.v[i]);
	if (p->list.n > TOLD_MAX)
		buf_printf(&b, "\n\t* and %u more", p->list.n - TOLD_MAX);
	buf_puts(&b, "\n\n");
	return arena_strndup(p->a, b.data, b.len);
}

void problems_name(struct problems *p, const char *what, const char *name)
{
	for (const char *s = name ? name : ""; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f) {
			problems_add(p, "%s contains a control character", what);
			return;
		}
}

void problems_nest(struct problems *p, const struct problems *inner, const char *fmt, ...)
{
	if (!inner->list.n)
		return;
	va_list ap;
	va_start(ap, fmt);
	const char *prefix = format(p->a, fmt, ap);
	va_end(ap);
	problems_add(p, "%s%s", prefix, problems_text(inner));
}

const char *problems_one_of(const char *word, const char *const *words)
{
	for (; *words; words++)
		if (str_eq(*words, word))
			return *words;
	return NULL;
}
