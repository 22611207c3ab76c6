/*
 * gotmpl: the templates of `-t`: the language of Go's text/template over JSON-like values, as scripts use it:
 *
 *   {{.Field.Sub}} {{.}} {{$}} {{$x := pipeline}} {{$x = pipeline}}   {{- trims -}}   comments
 *   {{if p}} {{else if p}} {{else}} {{end}}   {{range p}} {{else}} {{end}}   {{range $i, $e := p}}   {{with p}}
 *   {{break}} {{continue}}   pipelines a | f x   parentheses   strings "..." `...` 'c', numbers, true, false, nil
 *   functions: and or not eq ne lt le gt ge index len print printf println slice html js urlquery,
 *   toJSON toPrettyJSON (both also as toJson, toPrettyJson), join, split, splitList, lower, upper, trim, contains,
 *   hasPrefix, hasSuffix, replace, default: as in the Sprig library, the text that is worked on comes last
 *
 * A field that an object's type has and the answer leaves out is its zero value; one that it has not is an error. A map
 * has no value for a missing key: it prints as <no value> and is false. Numbers compare by value, whole or not.
 *
 * Bounds: nesting 100, steps 50 million, output 256 MiB, so that a template cannot hang a script.
 * Source: the documentation of Go's packages text/template and fmt.
 */
#ifndef DAEMON_GOTMPL_H
#define DAEMON_GOTMPL_H

#include "base/buf.h"
#include "base/err.h"
#include "base/model.h"

extern long gotmpl_max_steps; /* fuzzing lowers it */

/*
 * Prints text with v as the dot. of: the type of the object v, or, with items, of the objects in the list or map v; NULL
 * when v has none. -EINVAL: a sentence with line and column, what is wrong and what was expected; out then holds what was
 * printed before.
 */
int gotmpl_run(const char *text, const struct value *v, const struct type *of, bool items, struct arena *a,
    struct buf *out, struct err *e);

#endif
