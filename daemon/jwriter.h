/*
 * jwriter: objects written by hand, for answers that have no table in base/model.def: keeps the commas, breaks and
 * depth of base/json.h. Keys are written in the order of the calls; callers keep them ascending, as everywhere.
 */
#ifndef DAEMON_JWRITER_H
#define DAEMON_JWRITER_H

#include "base/json.h"

#define JW_DEPTH 8
struct jwriter {
	struct buf *b;
	int indent, depth;
	bool first[JW_DEPTH];
};

static inline struct jwriter jw_new(struct buf *b, int indent)
{
	return (struct jwriter){.b = b, .indent = indent};
}
static inline void jw_begin(struct jwriter *w, char bracket) /* '{' or '[' */
{
	buf_putc(w->b, bracket);
	w->first[++w->depth] = true;
}
static inline void jw_end(struct jwriter *w, char bracket)
{
	bool empty = w->first[w->depth];

	w->depth--;
	json_put_end(w->b, bracket, empty, w->indent, w->depth);
}
static inline void jw_key(struct jwriter *w, const char *key)
{
	json_put_key(w->b, key, &w->first[w->depth], w->indent, w->depth);
}
static inline void jw_item(struct jwriter *w) /* before each item of a list */
{
	json_put_sep(w->b, &w->first[w->depth], w->indent, w->depth);
}
static inline void jw_object(struct jwriter *w, const char *key)
{
	jw_key(w, key);
	jw_begin(w, '{');
}
static inline void jw_list(struct jwriter *w, const char *key)
{
	jw_key(w, key);
	jw_begin(w, '[');
}
static inline void jw_str(struct jwriter *w, const char *key, const char *v)
{
	jw_key(w, key);
	json_put_str(w->b, v);
}
static inline void jw_int(struct jwriter *w, const char *key, int64_t v)
{
	jw_key(w, key);
	json_put_int(w->b, v);
}
static inline void jw_double(struct jwriter *w, const char *key, double v)
{
	jw_key(w, key);
	json_put_double(w->b, v);
}
static inline void jw_bool(struct jwriter *w, const char *key, bool v)
{
	jw_key(w, key);
	json_put_bool(w->b, v);
}

#endif
