/*
 * codec: JSON and the journal's binary form of every type, generic over the field tables.
 */
#ifndef BASE_CODEC_H
#define BASE_CODEC_H

#include "base/err.h"
#include "base/json.h"
#include "base/model.h"

struct json_t;

enum codec_mode {
	CODEC_API,    /* as a server answers: unset numbers and strings as zero values */
	CODEC_PARSED, /* as `job run -output` prints: FIELD_PTR fields null when unset */
	CODEC_PEER,   /* between agents: as CODEC_API, hidden fields included */
};

/*
 * Decodes a JSON object. Unknown keys are ignored, names match exactly. JSON null leaves a field
 * unset, except that an empty list or map given as [] or {} is set. A wrong type is -EINVAL with the
 * path in the sentence: `TaskGroups[0].Tasks[1].Resources.CPU: expected an integer, got the string "x"`.
 * Durations are also accepted as strings ("30s").
 */
int codec_from_json(const struct type *t, void *obj, const struct json_t *j, struct arena *a,
    struct err *e);
/* Parses text first; syntax errors name line and column. Input past 16 MiB is refused. */
int codec_from_text(const struct type *t, void *obj, const char *text, size_t n, struct arena *a,
    struct err *e);
/* Streams JSON; indent 0 = compact, 4 = as `pretty` prints. Keys in ascending order. */
void codec_to_json(
    struct buf *b, const struct type *t, const void *obj, enum codec_mode mode, int indent, int depth);

/*
 * The binary form: for each set field its number (position in its STRUCT of model.def), a wire kind and
 * the value, objects length-prefixed, so that a reader skips numbers it does not know. Numbers are part
 * of the journal format: new fields are appended at the end of their STRUCT, none is ever moved or
 * removed. Reading what was written gives an object that is model_equal.
 */
void codec_put(struct buf *b, const struct type *t, const void *obj);
int codec_take(struct wire *w, const struct type *t, void *obj, struct arena *a);

#endif
