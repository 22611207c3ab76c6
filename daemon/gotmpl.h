/*
 * gotmpl: the templates of `-t`: the language of Go's text/template over JSON-like values, as scripts use it:
 *
 *   {{.Field.Sub}} {{.}} {{$x}} {{$x := pipeline}}   {{- trims -}}   comments
 *   {{if p}} {{else if p}} {{else}} {{end}}   {{range p}} {{else}} {{end}}   {{range $i, $e := p}}   {{with p}}
 *   {{break}} {{continue}}   pipelines a | f x   parentheses   strings "..." `...`, numbers, true, false, nil
 *   functions: and or not eq ne lt le gt ge index len print printf println slice html js urlquery,
 *   toJSON toPrettyJSON (both also as toJson, toPrettyJson), join, split, lower, upper, trim, contains, hasPrefix,
 *   hasSuffix, replace, default
 *
 * Bounds: nesting, steps and output, so that a template cannot hang a script.
 * Source: the documentation of Go's text/template package.
 */
#ifndef DAEMON_GOTMPL_H
#define DAEMON_GOTMPL_H

#include "base/buf.h"
#include "base/err.h"
#include "base/value.h"

/* Prints text with v as the dot. -EINVAL: a sentence with the column, what is wrong and what was expected. */
int gotmpl_run(const char *text, const struct value *v, struct arena *a, struct buf *out, struct err *e);

#endif
