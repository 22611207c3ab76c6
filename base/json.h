/*
 * json: the small writers that everything which streams JSON shares, and the way to read it. Text goes straight into a
 * buffer; numbers and strings look as Go's encoder makes them, because scripts compare them.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/arena.h"
#include "base/buf.h"

struct json_t;
struct json_error_t;

/* One string literal, escaped as Nomad's API does; bytes that are not UTF-8 become U+FFFD. s may be NULL when n is 0. */
void json_put_string(struct buf *b, const char *s, size_t n);
/* The same as Go's own encoder does it: with \u003c, \u003e and \u0026 for what HTML would take for its own. */
void json_put_string_html(struct buf *b, const char *s, size_t n);
void json_put_str(struct buf *b, const char *s); /* NULL is "" */
void json_put_int(struct buf *b, int64_t v);
void json_put_double(struct buf *b, double v); /* shortest text that reads back the same */
void json_put_bool(struct buf *b, bool v);
/* The line break and spaces before an item at this depth; nothing when indent is 0. */
void json_put_break(struct buf *b, int indent, int depth);
/* `"key":` with the separator before it (comma unless first, break) and the space after it. */
void json_put_key(struct buf *b, const char *key, bool *first, int indent, int depth);
/* The same before an item of a list. */
void json_put_sep(struct buf *b, bool *first, int indent, int depth);
/* The closing bracket; an empty list or object closes on the same line. */
void json_put_end(struct buf *b, char bracket, bool empty, int indent, int depth);

/* jansson's json_loadb, but a whole number that no int64 holds becomes a real one, as in Go. */
struct json_t *json_read(const char *text, size_t n, size_t flags, struct json_error_t *error);
/* The same with all values in the arena, which saves an allocation for each: they go with it, without json_decref. */
struct json_t *json_read_into(struct arena *a, const char *text, size_t n, size_t flags, struct json_error_t *error);

#endif
