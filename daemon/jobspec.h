/*
 * jobspec: job files. HCL2 (by base/hcl) or JSON text in, struct job as parsed out: what the file does not set stays
 * unset, so that it prints as an existing Nomad prints it. Text that begins with a brace is JSON: {"Job": {...}} or the
 * bare job, as the API takes it and `job inspect` prints it.
 */
#ifndef DAEMON_JOBSPEC_H
#define DAEMON_JOBSPEC_H

#include "base/err.h"
#include "base/model.h"

struct jobspec_options {
	const char *filename;           /* for messages */
	const struct strs *vars;        /* "name=value", in order */
	const struct strs *var_files;   /* paths, in order */
	const char *const *env;         /* environ-like; NOMAD_VAR_* and DROVER_VAR_* are used. NULL = none */
	bool allow_file_functions;      /* file(), fileset(): on the command line only */
	bool lax_vars;                  /* undeclared -var are ignored (-hcl2-strict=false) */
	bool json;                      /* the text is JSON, also when it does not begin with a brace */
	const char *variables_text;     /* contents of a var-file given through the API, or NULL */
};

/* The sentence of the error is complete and for people: "file:line,column: what is wrong; what was expected",
 * the source line, a caret under the place. Several diagnostics are separated by empty lines. */
int jobspec_parse(const char *text, size_t n, const struct jobspec_options *o, struct arena *a, struct job **out,
    struct err *e);

/* Whether the text begins as JSON objects do, which HCL cannot. */
bool jobspec_is_json(const char *text, size_t n);

#endif
