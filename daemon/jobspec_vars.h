/*
 * jobspec_vars: the variables and locals of a job file. Declarations are read from the file's blocks; values come, each
 * winning over the one before, from the default, NOMAD_VAR_* and DROVER_VAR_* of the environment, variable files in their order, and -var
 * in its order. Then every variable must have a value, which its validation rules accept.
 */
#ifndef DAEMON_JOBSPEC_VARS_H
#define DAEMON_JOBSPEC_VARS_H

#include "base/hcl.h"
#include "base/map.h"
#include "daemon/jobspec.h"

struct vars {
	struct hcl *h;
	struct hcl_file *file; /* the job file */
	const struct jobspec_options *o;
	struct map vars, locals; /* name -> struct variable, struct local */
	struct variable *first_var, **last_var; /* in the order of the file */
	struct local *first_local, **last_local;
	bool constant; /* names mean nothing here: in defaults, variable files and on the command line */
};

void vars_init(struct vars *v, struct hcl *h, struct hcl_file *file, const struct jobspec_options *o); /* sets h->lookup */
void vars_release(struct vars *v);
/* Reads the blocks variable, variables and locals. Problems are collected in h. */
void vars_declare(struct vars *v, const struct hcl_body *body);
void vars_assign(struct vars *v); /* values from outside */
void vars_check(struct vars *v);  /* all are set and valid, all locals can be evaluated */

#endif
